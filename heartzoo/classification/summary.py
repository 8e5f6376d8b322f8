"""Labelled beats -> what a reader wants to know first: how many, how ectopic, how fast, how good the signal was.

Ectopic beats are those that the model calls supraventricular (S, PAC) or ventricular (V, PVC). Of one such kind, two in
a row are a couplet, three or more a run; three or more in turn with normal beats are bigeminy. Intervals that touch a
stretch where the lead was off or flat are left out. A heart rate is 60 s divided by the mean of 8 intervals in a row.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import numpy as np

from heartzoo.classification.stream import Beat
from heartzoo.data.quality import Stretch
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
    counts = {name: labels.count(name) for name in task.classes}
    ectopic = sum(counts[name] for name in ectopic_classes(task))
    return {
        "seconds": seconds,
        "beats": len(beats),
        "classes": counts,
        "abstained": sum(beat.abstained for beat in beats),
        "ectopic_burden": ectopic / len(beats) if beats else None,
        "ectopic": {name: _patterns(labels, name, task.classes[0]) for name in ectopic_classes(task)},
        **_rates(beats, quality),
        "poor_signal_s": {
            mark: sum(s.end_s - s.start_s for s in quality if s.mark == mark)
            for mark in sorted({s.mark for s in quality})
        },
    }


def _patterns(labels: Sequence[str], ectopic: str, normal: str) -> dict[str, int]:
    """How the ectopic beats of one kind follow one another."""
    text = "".join("E" if label == ectopic else "N" if label == normal else "." for label in labels)
    runs = [len(run) for run in re.findall("E{3,}", text)]
    return {
        "beats": text.count("E"),
        "couplets": len(re.findall("(?<!E)EE(?!E)", text)),
        "bigeminy": len(re.findall("(?:NE){3,}", text)),
        "runs": len(runs),
        "longest_run": max(runs, default=0),
    }


def intervals(beats: Sequence[Beat], quality: Sequence[Stretch]) -> tuple[np.ndarray, np.ndarray]:
    """Where each R-R interval ends and how long it is, in s; without those that touch a lost signal."""
    times = np.array([beat.time_s for beat in beats])
    starts, ends = times[:-1], times[1:]
    whole = np.ones(len(ends), bool)
    for stretch in quality:
        if stretch.mark in NO_SIGNAL:
            whole &= (ends < stretch.start_s) | (starts > stretch.end_s)
    return ends[whole], (ends - starts)[whole]


def _rates(beats: Sequence[Beat], quality: Sequence[Stretch]) -> dict[str, Any]:
    ends, lengths = intervals(beats, quality)
    if not len(lengths):
        return {"longest_rr_s": None, "longest_rr_at_s": None, "heart_rate": None}
    longest = int(lengths.argmax())
    span = min(RATE_INTERVALS, len(lengths))
    rates = 60 / np.convolve(lengths, np.ones(span) / span, "valid")
    return {
        "longest_rr_s": float(lengths[longest]),
        "longest_rr_at_s": float(ends[longest] - lengths[longest]),
        "heart_rate": {
            "lowest": float(rates.min()),
            "mean": float(60 / lengths.mean()),
            "highest": float(rates.max()),
        },
    }
