"""Labelled beats -> what a reader wants to know first: how many, how ectopic, how fast, how good the signal was.

Ectopic beats are those that the model calls supraventricular (S, PAC) or ventricular (V, PVC). Of one such kind, two in
a row are a couplet, three or more a run; three or more in turn with normal beats are bigeminy. Beats before and after a
stretch where the lead was off or flat do not follow one another, and the interval between them is none; nor is one of
more than twice the median that touches noise or saturation, where a beat may not have been found. Of a beat beside
lost signal a model knows less, and after a long gap a T wave may be found as one: such beats do not count in the
ectopic burden. A heart rate is 60 s divided by the mean of 8 intervals in a row.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import numpy as np

from heartzoo.classification.stream import Beat
from heartzoo.data.quality import Stretch
from heartzoo.data.rr import SHORTEST_S
from heartzoo.tasks import Task

RATE_INTERVALS = 8
NO_SIGNAL = ("lead off", "flat line")


def symbol_of(task: Task, label: str) -> str:
    """WFDB symbol of a class: N, S, V or F; Q for one that none tells."""
    group = task.groups[task.classes.index(label)]
    return group if len(group) == 1 else "Q"


def ectopic_classes(task: Task) -> list[str]:
    """The task's classes of ectopic beats."""
    return [name for name, group in zip(task.classes, task.groups, strict=True) if set(group) <= {"S", "V"}]


def summarise(beats: Sequence[Beat], quality: Sequence[Stretch], seconds: float, task: Task) -> dict[str, Any]:
    """Figures of a recording.

    Args:
        beats: its beats, in order of time.
        quality: its stretches of poor signal.
        seconds: how long it lasts.
        task: the model's.

    Returns:
        For ``NAME.json``: counts, shares of the beats, seconds, beats per minute; None where there is nothing to
        tell.
    """
    labels = [beat.label for beat in beats]
    lost = across_lost_signal(beats, quality)
    counts = {name: labels.count(name) for name in task.classes}
    beside = beside_lost_signal(beats, quality)
    whole = np.array(labels)[~beside]
    return {
        "seconds": seconds,
        "beats": len(beats),
        "classes": counts,
        "abstained": sum(beat.abstained for beat in beats),
        "beside_lost_signal": int(beside.sum()),
        "ectopic_burden": float(np.isin(whole, ectopic_classes(task)).mean()) if len(whole) else None,
        "ectopic": {name: _patterns(labels, lost, name, task.classes[0]) for name in ectopic_classes(task)},
        **_rates(beats, quality),
        "poor_signal_s": {
            mark: sum(s.end_s - s.start_s for s in quality if s.mark == mark)
            for mark in sorted({s.mark for s in quality})
        },
    }


def _patterns(labels: Sequence[str], lost: np.ndarray, ectopic: str, normal: str) -> dict[str, int]:
    """How the ectopic beats of one kind follow one another, where no signal was lost between them."""
    marks = ("E" if label == ectopic else "N" if label == normal else "." for label in labels)
    text = "".join(mark + "|" * gap for mark, gap in zip(marks, [*lost.tolist(), False], strict=False))
    runs = [len(run) for run in re.findall("E{3,}", text)]
    return {
        "beats": text.count("E"),
        "couplets": len(re.findall("(?<!E)EE(?!E)", text)),
        "bigeminy": len(re.findall("(?<!E)E(?:NE){2,}|(?:NE){3,}", text)),
        "runs": len(runs),
        "longest_run": max(runs, default=0),
    }


def across_lost_signal(beats: Sequence[Beat], quality: Sequence[Stretch]) -> np.ndarray:
    """Whether the lead was off or flat between each beat and the next; shape (beats - 1,)."""
    return _touching(beats, [stretch for stretch in quality if stretch.mark in NO_SIGNAL])


def beside_lost_signal(beats: Sequence[Beat], quality: Sequence[Stretch]) -> np.ndarray:
    """Whether the lead was off or flat between each beat and one of its neighbours, or an end; shape (beats,)."""
    lost = [stretch for stretch in quality if stretch.mark in NO_SIGNAL]
    found = np.zeros(len(beats), bool)
    if lost and len(beats):
        between = across_lost_signal(beats, quality)
        found[:-1] |= between
        found[1:] |= between
        found[0] |= lost[0].start_s < beats[0].time_s
        found[-1] |= lost[-1].end_s > beats[-1].time_s
    return found


def _touching(beats: Sequence[Beat], quality: Sequence[Stretch]) -> np.ndarray:
    """Whether a stretch touches the interval from each beat to the next; shape (beats - 1,)."""
    times = np.array([beat.time_s for beat in beats])
    found = np.zeros(max(len(times) - 1, 0), bool)
    for stretch in quality:
        found |= (times[1:] >= stretch.start_s) & (times[:-1] <= stretch.end_s)
    return found


def intervals(beats: Sequence[Beat], quality: Sequence[Stretch]) -> tuple[np.ndarray, np.ndarray]:
    """Where each R-R interval ends and how long it is, in s; without those across lost signal or a beat not found.

    Shorter ones than 0.2 s, as of beats at one sample, count as 0.2 s, as in the features.
    """
    times = np.array([beat.time_s for beat in beats])
    ends, lengths = times[1:], np.maximum(np.diff(times), SHORTEST_S)
    whole = ~across_lost_signal(beats, quality)
    if whole.any():
        whole &= ~(_touching(beats, quality) & (lengths > 2 * np.median(lengths[whole])))
    return ends[whole], lengths[whole]


def _means(ends: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    """Mean length of intervals that follow one another, as many as :data:`RATE_INTERVALS` where there are so many."""
    apart = ends[1:] - lengths[1:] > ends[:-1] + 1e-6  # what was left out between them, not rounding
    stretches = np.split(lengths, np.flatnonzero(apart) + 1)
    span = min(RATE_INTERVALS, max(map(len, stretches)))
    return np.concatenate([np.convolve(s, np.ones(span) / span, "valid") for s in stretches if len(s) >= span])


def _rates(beats: Sequence[Beat], quality: Sequence[Stretch]) -> dict[str, Any]:
    ends, lengths = intervals(beats, quality)
    if not len(lengths):
        return {"longest_rr_s": None, "longest_rr_at_s": None, "heart_rate": None}
    longest = int(lengths.argmax())
    rates = 60 / _means(ends, lengths)
    return {
        "longest_rr_s": float(lengths[longest]),
        "longest_rr_at_s": float(ends[longest] - lengths[longest]),
        "heart_rate": {
            "lowest": float(rates.min()),
            "mean": float(60 / lengths.mean()),
            "highest": float(rates.max()),
        },
    }
