"""R-R features: the rhythm around a beat, from the record so far and at most one following beat.

Notation. ``t[k]`` is the time of beat k in seconds, over all beats of the record (also those that are not scored).
``pre[k] = t[k] - t[k-1]`` and ``post[k] = t[k+1] - t[k]``, each limited to 0.2 ... 3 s. The first beat has no ``pre``:
its ``post`` stands in; the last beat has no ``post``: its ``pre`` stands in; a record of one beat has 0.8 s for both.
``H(m)`` is the last m intervals up to and including ``pre[k]``, fewer at the record's start (the first beat uses the
second's). Every feature is a base-2 logarithm of a ratio, limited to -1 ... 1: a beat twice as late as its reference
gives 1, one twice as early -1.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

SHORTEST_S, LONGEST_S = 0.2, 3.0
SINGLE_BEAT_S = 0.8


@dataclass(frozen=True)
class Intervals:
    """Intervals around each beat of a record, in seconds, shape (beats,)."""

    pre: np.ndarray
    post: np.ndarray


@dataclass(frozen=True)
class Feature:
    """An R-R feature.

    Attributes:
        formula: its definition in the notation of this module.
        delay_beats: how many following beats must have been seen before it is known.
        ratio: function of the intervals that gives the ratio whose logarithm is the feature.
    """

    formula: str
    delay_beats: int
    ratio: Callable[[Intervals], np.ndarray]


def intervals(samples: np.ndarray, fs: float) -> Intervals:
    """Intervals before and after each beat.

    Args:
        samples: beat positions, ascending, shape (beats,), at least one.
        fs: their sampling rate in Hz.
    """
    between = np.clip(np.diff(samples) / fs, SHORTEST_S, LONGEST_S)
    if len(between) == 0:
        between = np.array([SINGLE_BEAT_S])
        return Intervals(between, between)
    return Intervals(np.concatenate([between[:1], between]), np.concatenate([between, between[-1:]]))


def _history(pre: np.ndarray, window: int) -> tuple[np.ndarray, np.ndarray]:
    """The H(window) of each beat as rows padded in front with infinity, (n, window), and how many are real, (n,)."""
    known = pre[1:] if len(pre) > 1 else pre
    padded = np.concatenate([np.full(window - 1, np.inf), known])
    rows = np.lib.stride_tricks.sliding_window_view(padded, window)
    index = np.maximum(np.arange(len(pre)) - 1, 0)
    return rows[index], np.minimum(index + 1, window)


def _quantile(pre: np.ndarray, window: int, q: float) -> np.ndarray:
    """Quantile of H(window), linearly interpolated between order statistics."""
    rows, count = _history(pre, window)
    rows = np.sort(rows, axis=1)
    position = q * (count - 1)
    low = np.floor(position).astype(int)
    high = np.minimum(low + 1, count - 1)
    every = np.arange(len(pre))
    return rows[every, low] + (position - low) * (rows[every, high] - rows[every, low])


def _mean(pre: np.ndarray, window: int) -> np.ndarray:
    rows, count = _history(pre, window)
    return np.where(np.isinf(rows), 0.0, rows).sum(axis=1) / count


def _mean_so_far(pre: np.ndarray) -> np.ndarray:
    known = pre[1:] if len(pre) > 1 else pre
    means = np.cumsum(known) / np.arange(1, len(known) + 1)
    return means[np.maximum(np.arange(len(pre)) - 1, 0)]


def _previous(pre: np.ndarray) -> np.ndarray:
    return np.concatenate([pre[:1], pre[:-1]])


FEATURES: dict[str, Feature] = {
    "pre_median": Feature("log2(pre / median of H(64))", 0, lambda i: i.pre / _quantile(i.pre, 64, 0.5)),
    "post_median": Feature("log2(post / median of H(64))", 1, lambda i: i.post / _quantile(i.pre, 64, 0.5)),
    "pre_post": Feature("log2(pre / post)", 1, lambda i: i.pre / i.post),
    "pre_mean10": Feature("log2(pre / mean of H(10))", 0, lambda i: i.pre / _mean(i.pre, 10)),
    "previous_pre": Feature("log2(pre[k-1] / pre[k]), 0 for the first beat", 0, lambda i: _previous(i.pre) / i.pre),
    "pre_quantile70": Feature(
        "log2(pre / 70 % quantile of H(128), linear interpolation)", 0, lambda i: i.pre / _quantile(i.pre, 128, 0.7)
    ),
    "pre_mean": Feature("log2(pre / mean of all pre so far)", 0, lambda i: i.pre / _mean_so_far(i.pre)),
    "post_mean": Feature("log2(post / mean of all pre so far)", 1, lambda i: i.post / _mean_so_far(i.pre)),
}


def rr_features(samples: np.ndarray, fs: float, names: Sequence[str]) -> np.ndarray:
    """R-R features of every beat of a record.

    Args:
        samples: beat positions, ascending, shape (beats,).
        fs: their sampling rate in Hz.
        names: keys of :data:`FEATURES`.

    Returns:
        float32, shape (beats, len(names)), within -1 ... 1, never NaN.
    """
    around = intervals(samples, fs)
    columns = [np.clip(np.log2(FEATURES[name].ratio(around)), -1.0, 1.0) for name in names]
    return np.stack(columns, axis=1).astype(np.float32) if columns else np.zeros((len(samples), 0), np.float32)
