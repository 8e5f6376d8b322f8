"""Detector and classifier together, against the reference annotations: nobody tells the model where the beats are."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from heartzoo.config import Config
from heartzoo.data.batches import Inputs, model_inputs
from heartzoo.data.beats import Examples
from heartzoo.data.databases import get_database
from heartzoo.data.download import folder, split_records
from heartzoo.data.front_end import FrontEnd
from heartzoo.data.matching import WINDOW_S, match
from heartzoo.data.preparation import available
from heartzoo.data.quality import LostSignal
from heartzoo.data.r_peaks import of_unannotated
from heartzoo.data.records import Record, read_record
from heartzoo.data.splits import Split
from heartzoo.data.wfdb_files import MissingLead
from heartzoo.errors import UserError
from heartzoo.evaluation import Subject, condition, refuse_known_people, refuse_without_recordings
from heartzoo.metrics import confusion_matrix
from heartzoo.metrics_file.results import EndToEndResult, end_to_end_figures
from heartzoo.prevalence import RunningPrevalence
from heartzoo.progress import console
from heartzoo.tasks import get_task

# Rhythms without beats that could be told apart: EC57 leaves them out.
FLUTTER = ("(VFL", "(VFIB", "(VF")
NO_BEATS = np.zeros(0, np.int64)


@dataclass(frozen=True)
class _Heard:
    """One record: its class of each reference beat (-1: not scored), and the pairs with the beats found that count.

    ``counted`` marks, of the beats that the model hears, those that the split counts.
    """

    name: str
    labels: np.ndarray
    pairs: np.ndarray
    counted: np.ndarray

    @property
    def found(self) -> int:
        return int(self.counted.sum())


def evaluate_end_to_end(subject: Subject, split: Split, present_only: bool = False) -> EndToEndResult:
    """Find the beats of a split's recordings, label them, and compare with the reference.

    Beats within 150 ms are pairs. Sensitivity and positive predictivity of the detection are over all beats but those
    in ventricular flutter or fibrillation; those of a class count a beat that was not found as missed and an extra one
    as falsely called. Pairs whose reference the task does not score count in the detection only.

    Args:
        subject: the model.
        split: where to score it.
        present_only: score the records that are on disk, where others of the split are not.

    Raises:
        UserError: as :func:`heartzoo.evaluation.evaluate`; the split holds no recordings, or the model labels frames.
    """
    refuse_without_beats(subject.config)
    refuse_without_recordings(split)
    refuse_known_people(subject.config, split)
    names, _ = available(get_database(split.database), split_records(split), present_only)
    heard: list[_Heard] = []
    answers = list(subject.predict(_inputs(subject, split, names, heard), len(names)))
    if not heard:
        raise UserError(f"no record of {split.name} has a lead that the model takes", "name other leads")
    return _result(subject, split, heard, answers)


def refuse_without_beats(config: Config) -> None:
    """Refuse a model that labels frames.

    Raises:
        UserError: it does.
    """
    if config.input.cut == "rhythm":
        raise UserError(f"{config.name} labels frames by rhythm, not beats", "leave the end-to-end evaluation out")


def _inputs(subject: Subject, split: Split, names: list[str], heard: list[_Heard]) -> Iterator[Inputs]:
    """What the network takes of each record's found beats; what they are compared with goes to ``heard``."""
    data, database = subject.config.data, get_database(split.database)
    for name in names:
        try:
            record = read_record(folder(database), database, name, tuple(data.leads) if data.leads else None)
        except MissingLead:
            if data.missing_lead == "skip":
                continue
            raise
        _tell_of_unannotated(record)
        front_end = FrontEnd(subject.config.input, record.fs, lost=LostSignal(record.fs, record.lost))
        found = Examples.joined([front_end.push(record.signal), front_end.finish()])
        found = found.where(_outside_flutter(record, found.samples))
        heard.append(_compared(subject, record, split, found.samples))
        if len(found.samples):
            yield model_inputs(found.frames, found.rr, subject.config.input)


def _tell_of_unannotated(record: Record) -> None:
    """Beats found where none is annotated count as false; a stretch of flutter does not count."""
    marks = [*record.rhythms, (len(record.signal), "")]
    flutter = [np.arange(start, end, record.fs) for (start, label), (end, _) in pairwise(marks) if label in FLUTTER]
    known = np.sort(np.concatenate([record.samples, *flutter]))
    if told := of_unannotated(known, len(record.signal), record.fs):
        console.print(f"record {record.name}: {told}; every beat that is found there counts as a false one")


def _outside_flutter(record: Record, samples: np.ndarray) -> np.ndarray:
    """Which positions are outside ventricular flutter and fibrillation."""
    kept = np.ones(len(samples), bool)
    marks = [*record.rhythms, (len(record.signal) + 1, "")]
    for (start, label), (end, _) in pairwise(marks):
        if label in FLUTTER:
            kept &= (samples < start) | (samples >= end)
    return kept


def _compared(subject: Subject, record: Record, split: Split, found: np.ndarray) -> _Heard:
    first = split.skip_s * record.fs
    kept = _outside_flutter(record, record.samples) & (record.samples >= first)
    labels = get_task(subject.config.task).labels(record.symbols, subject.config.data.mapping)[kept]
    counted = found >= first
    pairs = match(record.samples[kept], found[counted], WINDOW_S * record.fs)
    return _Heard(record.name, labels, pairs, counted)


def _result(subject: Subject, split: Split, heard: list[_Heard], answers: list[np.ndarray]) -> EndToEndResult:
    classes = get_task(subject.config.task).classes
    by_record, rest = {}, iter(answers)
    for one in heard:
        called = NO_BEATS
        if len(one.counted):
            called = RunningPrevalence(subject.config).shifted(next(rest)).argmax(axis=1)[one.counted]
        by_record[one.name] = {
            "found": len(one.pairs),
            "missed": len(one.labels) - len(one.pairs),
            "extra": one.found - len(one.pairs),
            "confusion_matrix": _matrix(one, called, len(classes)).tolist(),
        }
    return EndToEndResult.model_validate(
        {
            **condition(subject, split),
            "mapping": subject.config.data.mapping,
            "file_sha256": subject.file_sha256,
            "window_s": WINDOW_S,
            "by_record": by_record,
            **end_to_end_figures(by_record, classes),
        }
    )


def _matrix(one: _Heard, called: np.ndarray, k: int) -> np.ndarray:
    """Rows are the truth, columns the call, the last of both is no beat."""
    truth = np.full(one.found, k)
    truth[one.pairs[:, 1]] = one.labels[one.pairs[:, 0]]
    missed = np.delete(one.labels, one.pairs[:, 0])
    missed = missed[missed >= 0]
    scored = truth >= 0
    labels = np.concatenate([truth[scored], missed])
    calls = np.concatenate([called[scored], np.full(len(missed), k)])
    return confusion_matrix(labels, calls, k + 1)
