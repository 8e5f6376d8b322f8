"""Beats of each class that a model called right and wrong, cut from the evaluated recordings as they are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from heartzoo.confidence import Decisions
from heartzoo.data.databases import Database
from heartzoo.data.download import folder
from heartzoo.data.records import Record, read_record
from heartzoo.data.signal import resample

EACH = 3  # called right, and as many called wrong, of each class
SEED = 0
REACH_S = 1.2  # before and after the R peak: the neighbouring beats are seen too
MOST_FS = 100.0  # Hz; more would only make the picture's file larger


@dataclass(frozen=True)
class Verdicts:
    """What a model said of each scored beat of a split.

    Attributes:
        records: the beat's record, shape (n,).
        samples: its position in the recording, shape (n,).
        decisions: its class, the class called, and how sure, each of shape (n,).
        leads: how many records were read by each lead.
        unscored: how many beats were not scored, by symbol: no class holds it.
    """

    records: np.ndarray
    samples: np.ndarray
    decisions: Decisions
    leads: Mapping[str, int] = field(default_factory=dict)
    unscored: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class ExampleBeat:
    """A beat and the signal around it.

    Attributes:
        record: the record's name.
        lead: name of the signal.
        position_s: where in the recording its R peak is.
        label: its true class, an index.
        prediction: the class called, an index.
        confidence: how sure the model was, 0 to 1.
        times: seconds from the R peak, shape (m,).
        signal: the recording as it is, in mV, shape (m,).
    """

    record: str
    lead: str
    position_s: float
    label: int
    prediction: int
    confidence: float
    times: np.ndarray
    signal: np.ndarray

    @property
    def right(self) -> bool:
        """Whether the model called the true class."""
        return self.label == self.prediction


def example_beats(
    verdicts: Verdicts, database: Database, leads: Sequence[str] | None = None, each: int = EACH
) -> list[ExampleBeat]:
    """Draw beats of each class, called right and called wrong, and read the signal around them.

    Args:
        verdicts: what the model said.
        database: holds the recordings; they are in the cache.
        leads: leads by preference; default the database's.
        each: how many called right, and how many called wrong, of each class; fewer where there are not so many.

    Returns:
        The beats, in order of class, those called right first.

    Raises:
        UserError: a recording is missing or damaged.
    """
    rows = choose(verdicts, each)
    records = {
        name: read_record(folder(database), database, name, tuple(leads or database.leads))
        for name in np.unique(verdicts.records[rows]).tolist()
    }
    return [_example(verdicts, row, records[verdicts.records[row]]) for row in rows]


def choose(verdicts: Verdicts, each: int) -> list[int]:
    """Rows of the beats to show: drawn by chance, from as many records as there are, not by how they look.

    Args:
        verdicts: what the model said.
        each: as for :func:`example_beats`.
    """
    labels, right = verdicts.decisions.labels, verdicts.decisions.labels == verdicts.decisions.predictions
    rng = np.random.default_rng(SEED)
    rows: list[int] = []
    for label in np.unique(labels):
        for called_right in (True, False):
            members = rng.permutation(np.flatnonzero((labels == label) & (right == called_right)))
            rows += members[np.argsort(_repeats(verdicts.records[members]), kind="stable")][:each].tolist()
    return rows


def _repeats(values: np.ndarray) -> np.ndarray:
    """For each value how many of the same come before it."""
    order = np.argsort(values, kind="stable")
    _, first, index = np.unique(values[order], return_index=True, return_inverse=True)
    repeats = np.empty(len(values), np.int64)
    repeats[order] = np.arange(len(values)) - first[index]
    return repeats


def _example(verdicts: Verdicts, row: int, record: Record) -> ExampleBeat:
    sample = int(verdicts.samples[row])
    reach = round(REACH_S * record.fs)
    start = max(sample - reach, 0)
    fs = min(record.fs, MOST_FS)
    signal = resample(record.signal[start : sample + reach], record.fs, fs)
    return ExampleBeat(
        record=record.name,
        lead=record.lead,
        position_s=sample / record.fs,
        label=int(verdicts.decisions.labels[row]),
        prediction=int(verdicts.decisions.predictions[row]),
        confidence=float(verdicts.decisions.confidence[row]),
        times=(start - sample) / record.fs + np.arange(len(signal)) / fs,
        signal=signal,
    )
