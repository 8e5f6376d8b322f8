"""Detector and classifier together against reference annotations."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from heartzoo.config.file import load_config
from heartzoo.data.batches import Inputs
from heartzoo.data.front_end import FrontEnd
from heartzoo.data.quality import LostSignal
from heartzoo.data.records import Record, open_record, read_record
from heartzoo.data.splits import get_split
from heartzoo.errors import UserError
from heartzoo.evaluation import Subject, end_to_end
from heartzoo.metrics_file.results import EndToEndResult
from heartzoo.predictors import tflite_subject
from heartzoo.zoo import find
from heartzoo.zoo.openings import log_openings

SPLIT = get_split("synthetic-test")


@pytest.fixture
def subject(tiny_zoo: Path, cache: Path) -> Subject:
    entry = find("tiny", tiny_zoo)
    return tflite_subject(entry.config, entry.path("model.tflite").read_bytes(), 0, jobs=1)


def test_without_a_record_there_is_no_result(subject: Subject, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    leads = subject.config.data.model_copy(update={"leads": ["V9"], "missing_lead": "skip"})
    deaf = replace(subject, config=subject.config.model_copy(update={"data": leads}))
    with pytest.raises(UserError, match="no record of synthetic-test has a lead that the model takes"):
        end_to_end.evaluate_end_to_end(deaf, SPLIT)
    monkeypatch.setenv("HEARTZOO_CACHE", str(tmp_path))
    with pytest.raises(UserError, match=r"none of the \d+ records of synthetic is in the cache"):
        end_to_end.evaluate_end_to_end(subject, SPLIT, present_only=True)


def called(subject: Subject, name: str) -> Subject:
    """The same, but it calls every beat one class."""

    def predict(chunks: Iterable[Inputs], total: int) -> Iterator[np.ndarray]:
        for chunk in chunks:
            yield np.tile(np.eye(3)[["NSR", "PAC", "PVC"].index(name)], (len(chunk["signal"]), 1))

    return replace(subject, predict=predict)


def test_counts_add_up(subject: Subject) -> None:
    result = end_to_end.evaluate_end_to_end(subject, SPLIT)
    assert result.records == list(SPLIT.records)
    detection, matrix = result.detection, np.array(result.confusion_matrix)
    assert detection.se > 0.98 and detection.ppv > 0.98
    assert matrix[:, -1].sum() <= detection.missed
    assert matrix[-1].sum() == detection.extra
    assert matrix[:-1].sum(axis=1).tolist() == [figures.support for figures in result.per_class.values()]
    assert result.per_class["PVC"].f1 > 0.8
    assert EndToEndResult.model_validate_json(result.model_dump_json()) == result


def test_missed_and_extra_beats_count_against_their_classes(subject: Subject, monkeypatch: pytest.MonkeyPatch) -> None:
    class Deaf(end_to_end.FrontEnd):
        def __init__(self, contract, fs, lost):
            super().__init__(contract, fs, np.arange(1000, 60_000, 1000), lost)

    monkeypatch.setattr(end_to_end, "FrontEnd", Deaf)
    result = end_to_end.evaluate_end_to_end(called(subject, "PVC"), SPLIT)
    matrix = np.array(result.confusion_matrix)
    assert result.detection.missed > result.detection.found
    assert matrix[-1, 2] == result.detection.extra > 0
    assert result.per_class["NSR"].se == 0
    assert result.per_class["PVC"].se == pytest.approx(matrix[2, 2] / matrix[2].sum())
    assert result.per_class["PVC"].ppv == pytest.approx(matrix[2, 2] / matrix[:, 2].sum())


def beside(tiny: Path, monkeypatch: pytest.MonkeyPatch, late_s: float, **changes: Any) -> EndToEndResult:
    """The result on one recording, where a beat is found so much later than each that is there."""
    record = open_record("synthetic", SPLIT.records[0])

    class Late(FrontEnd):
        def __init__(self, contract: Any, fs: float, lost: LostSignal) -> None:
            super().__init__(contract, fs, record.samples + round(late_s * fs), lost)

    monkeypatch.setattr(end_to_end, "FrontEnd", Late)
    monkeypatch.setattr(end_to_end, "read_record", lambda *_: replace(record, rhythms=changes.get("rhythms", ())))
    one = replace(SPLIT, records=SPLIT.records[:1], skip_s=changes.get("skip_s", 0.0))
    nobody = Subject(load_config(tiny), "float32", "keras", "0" * 64, 0, lambda chunks, total: iter(()))
    return end_to_end.evaluate_end_to_end(called(nobody, "NSR"), one)


def test_beats_farther_apart_than_150_ms_are_no_pair(tiny: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    near, far = (beside(tiny, monkeypatch, late_s).detection for late_s in (0.14, 0.17))
    assert near.missed <= 2 and far.found <= 2 < near.found


def test_flutter_and_what_is_skipped_count_for_nothing(
    tiny: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    record = open_record("synthetic", SPLIT.records[0])
    samples, fs = record.samples, record.fs
    whole = beside(tiny, monkeypatch, 0.0).detection
    assert (whole.found + whole.missed, whole.extra) == (len(samples), 0)
    start, end = round(20 * fs), round(50 * fs)
    for label in end_to_end.FLUTTER:
        rhythms = ((0, "(N"), (start, label), (end, "(N"))
        part = beside(tiny, monkeypatch, 0.0, rhythms=rhythms).detection
        assert part.found + part.missed == ((samples < start) | (samples >= end)).sum()
        assert part.found > 0 and part.extra == 0
    late = beside(tiny, monkeypatch, 0.0, skip_s=50.0).detection
    assert (late.found + late.missed, late.extra) == ((samples >= end).sum(), 0)


def test_recordings_that_are_annotated_in_part_are_told(
    subject: Subject, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    end_to_end.evaluate_end_to_end(subject, SPLIT)
    assert "annotated" not in "".join(capfd.readouterr())

    def first_beats(*arguments: Any) -> Record:
        record = read_record(*arguments)
        return replace(record, samples=record.samples[:3], symbols=record.symbols[:3])

    monkeypatch.setattr(end_to_end, "read_record", first_beats)
    end_to_end.evaluate_end_to_end(subject, SPLIT)
    told = " ".join("".join(capfd.readouterr()).split())
    assert told.count("every beat that is found there counts as a false one") == len(SPLIT.records)
    monkeypatch.setattr(end_to_end, "read_record", lambda *given: replace(first_beats(*given), rhythms=((0, "(VFL"),)))
    end_to_end.evaluate_end_to_end(subject, SPLIT)
    assert "annotated" not in "".join(capfd.readouterr())


def test_what_a_recording_lost_is_known(subject: Subject, monkeypatch: pytest.MonkeyPatch) -> None:
    record = open_record("synthetic", SPLIT.records[0])
    known: list[list[list[int]]] = []

    class Attentive(FrontEnd):
        def __init__(self, contract: Any, fs: float, lost: LostSignal) -> None:
            super().__init__(contract, fs, lost=lost)
            known.append(lost.stretches.tolist())

    monkeypatch.setattr(end_to_end, "FrontEnd", Attentive)
    monkeypatch.setattr(end_to_end, "read_record", lambda *_: replace(record, lost=np.array([[500, 510]])))
    end_to_end.evaluate_end_to_end(called(subject, "NSR"), replace(SPLIT, records=SPLIT.records[:1]))
    assert known == [[[500, 510]]]


def test_a_split_without_the_first_minutes_is_called_as_the_whole_recording_is(subject: Subject) -> None:
    """The prevalence that is followed is that of the recording from its beginning on."""
    late = end_to_end.evaluate_end_to_end(subject, replace(SPLIT, skip_s=60.0))
    whole = end_to_end.evaluate_end_to_end(subject, SPLIT)
    heard: list[np.ndarray] = []
    for change in (SPLIT, replace(SPLIT, skip_s=60.0)):
        counted: list[np.ndarray] = []

        def predict(chunks: Iterable[Inputs], total: int, counted: list[np.ndarray] = counted) -> Iterator[np.ndarray]:
            for chunk in chunks:
                counted.append(chunk["signal"])
                yield np.tile(np.eye(3)[0], (len(chunk["signal"]), 1))

        end_to_end.evaluate_end_to_end(replace(subject, predict=predict), change)
        heard.append(np.concatenate(counted))
    assert np.array_equal(*heard)
    assert 0 < np.sum(late.confusion_matrix) < np.sum(whole.confusion_matrix)


def test_stated_figures_are_checked(subject: Subject) -> None:
    content = end_to_end.evaluate_end_to_end(called(subject, "NSR"), SPLIT).model_dump()
    content["detection"]["extra"] += 1
    with pytest.raises(ValueError, match=r"detection\.extra"):
        EndToEndResult.model_validate(content)


def test_openings_are_logged(subject: Subject, tmp_path: Path) -> None:
    result = end_to_end.evaluate_end_to_end(called(subject, "NSR"), SPLIT)
    opened = result.model_copy(update={"split": "ds2", "dataset": "mitdb"})
    assert log_openings(tmp_path, "tiny", [result]) is None
    path = log_openings(tmp_path, "tiny", [opened])
    assert path is not None
    assert json.loads(path.read_text())["figures"]["end_to_end_se"] == result.detection.se


def test_people_it_has_trained_on_are_refused(subject: Subject) -> None:
    with pytest.raises(UserError, match="it has seen people of synthetic-train"):
        end_to_end.evaluate_end_to_end(subject, get_split("synthetic-train"))


def test_beats_from_single_frames_are_refused(subject: Subject) -> None:
    with pytest.raises(UserError, match="holds no whole recordings"):
        end_to_end.evaluate_end_to_end(subject, get_split("random-test"))
