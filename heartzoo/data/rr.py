"""R-R features: the rhythm around a beat, from the record so far and at most one following beat.

Notation. ``t[k]`` is the time of beat k in seconds, over all beats of the record (also those that are not scored).
``pre[k] = t[k] - t[k-1]`` and ``post[k] = t[k+1] - t[k]``, each limited to 0.2 ... 3 s. The first beat has no ``pre``:
its ``post`` stands in; the last beat has no ``post``: its ``pre`` stands in; a record of one beat has 0.8 s for both.
An interval across lost signal is not known: the median of H(64) stands in, of an even number the lower of the middle
two, and it belongs to no H; 0.8 s, as an interval like others, where it would be the first.
``H(m)`` is the last m intervals up to and including ``pre[k]``, fewer at the record's start (the first beat uses the
second's), ``H(all)`` every one so far. The mean of those remembers a slow night for hours: models that take
``pre_mean`` or ``post_mean`` are for recordings of half an hour, as they were trained and scored on. The usual interval
u of ``pre_usual`` and ``post_usual`` forgets within a quarter of an hour, but follows no tachycardia at once. Every
feature is limited to -1 ... 1. One that starts with log2 is the logarithm of a ratio: a beat twice as late as its
reference gives 1, one twice as early -1.

:class:`heartzoo.data.rr_tracker.RRTracker` computes the same from one interval at a time.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

SHORTEST_S, LONGEST_S = 0.2, 3.0
SINGLE_BEAT_S = 0.8
# The rhythm context: what tells atrial fibrillation, which repeats nothing, from frequent ectopic beats.
CONTEXT = 64
LONGEST_HISTORY = 128
# Of the usual interval: after so many it is no plain mean any more, and one moves it by no more than that share.
USUAL_BEATS, USUAL_STEP = 512, 0.1
# Ratios that no two counts of samples have, so that rounding never decides.
STEADY, NEAR = 1.0502, 1.0602
ENTROPY_EDGES = np.exp(0.05 * (np.arange(30) - 14.5))
MOST_BITS = 5.0


@dataclass(frozen=True)
class Intervals:
    """Intervals around each beat of a record, in seconds, shape (beats,).

    ``known`` are the record's intervals each once, without those across lost signal, shape (any,), and ``place`` says
    which of them is each beat's latest, shape (beats,). Where they begin in the middle of a record, ``sum_before``,
    ``count_before`` and ``usual_before`` are of the intervals left out.
    """

    pre: np.ndarray
    post: np.ndarray
    known: np.ndarray
    place: np.ndarray
    sum_before: float = 0.0
    count_before: int = 0
    usual_before: float = 0.0


@dataclass(frozen=True)
class Feature:
    """An R-R feature.

    Attributes:
        formula: its definition in the notation of this module.
        delay_beats: how many following beats must have been seen before it is known.
        value: function of the intervals that gives the feature of every beat, not limited yet; shape (beats,).
    """

    formula: str
    delay_beats: int
    value: Callable[[Intervals], np.ndarray]


def intervals(samples: np.ndarray, fs: float, lost: np.ndarray | None = None) -> Intervals:
    """Intervals before and after each beat.

    Args:
        samples: beat positions, ascending, shape (beats,); of none as of a lone one.
        fs: their sampling rate in Hz.
        lost: whether signal was lost between each beat and the next, boolean, shape (beats - 1,); by default nowhere.
    """
    between = _limited(samples, fs)
    if len(between) == 0:
        between = np.array([SINGLE_BEAT_S])
        return Intervals(between, between, between, np.zeros(1, int))
    between, known, place = _assumed(between, np.zeros(len(between), bool) if lost is None else lost, np.zeros(0))
    return Intervals(
        np.concatenate([between[:1], between]), np.concatenate([between, between[-1:]]), known, np.append(0, place)
    )


def counted_until(samples: np.ndarray, following: np.ndarray, fs: float) -> np.ndarray:
    """Where what counts of the time after each beat ends: at the following beat or 3 s later; samples, shape (n,)."""
    return np.minimum(following, samples + math.ceil(LONGEST_S * fs))


def _limited(samples: np.ndarray, fs: float) -> np.ndarray:
    return np.clip(np.diff(samples) / fs, SHORTEST_S, LONGEST_S)


def _assumed(between: np.ndarray, lost: np.ndarray, before: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """What stands in where signal was lost.

    Args:
        between: intervals in turn, s, shape (n,).
        lost: which of them are across lost signal, boolean, shape (n,).
        before: those known before them, shape (any,).

    Returns:
        The intervals; all that are known, those before too; which of these is the latest after each interval.
    """
    between, whole = between.copy(), ~lost
    if len(between) and not len(before) and lost[0]:
        between[0], whole[0] = SINGLE_BEAT_S, True
    known, place = np.concatenate([before, between[whole]]), len(before) - 1 + np.cumsum(whole)
    if not whole.all():
        rows, count = _history(known, CONTEXT)
        middles = np.sort(rows, axis=1)[np.arange(len(known)), (count - 1) // 2]
        between = np.where(whole, between, middles[place])
    return between, known, place


def _history(known: np.ndarray, window: int) -> tuple[np.ndarray, np.ndarray]:
    """The H(window) of each interval as rows padded in front with infinity, (n, window), and how many are real."""
    padded = np.concatenate([np.full(window - 1, np.inf), known])
    rows = np.lib.stride_tricks.sliding_window_view(padded, window)
    return rows, np.minimum(np.arange(1, len(known) + 1), window)


def _quantile(i: Intervals, window: int, q: float) -> np.ndarray:
    """Quantile of each beat's H(window), linearly interpolated between order statistics."""
    rows, count = _history(i.known, window)
    rows = np.sort(rows, axis=1)
    position = q * (count - 1)
    low = np.floor(position).astype(int)
    high = np.minimum(low + 1, count - 1)
    every = np.arange(len(rows))
    return (rows[every, low] + (position - low) * (rows[every, high] - rows[every, low]))[i.place]


def _mean(i: Intervals, window: int) -> np.ndarray:
    rows, count = _history(i.known, window)
    return (np.where(np.isinf(rows), 0.0, rows).sum(axis=1) / count)[i.place]


def _mean_so_far(i: Intervals) -> np.ndarray:
    total = np.cumsum(np.concatenate([[i.sum_before], i.known]))[1:]
    return (total / (i.count_before + np.arange(1, len(total) + 1)))[i.place]


def next_usual(usual: float, interval: float, total: float, count: int) -> float:
    """The usual interval after one more.

    Args:
        usual: before it, s.
        interval: s, of 0.2 ... 3.
        total: of all intervals so far, this one too, s.
        count: how many they are.
    """
    if count <= USUAL_BEATS:
        return total / count
    most = USUAL_STEP * usual
    return usual + min(max(interval - usual, -most), most) / USUAL_BEATS


def _usual(i: Intervals) -> np.ndarray:
    found, total, usual = [], i.sum_before, i.usual_before
    for count, interval in enumerate(i.known.tolist(), i.count_before + 1):
        total += interval
        usual = next_usual(usual, interval, total, count)
        found.append(usual)
    return np.array(found)[i.place]


def _previous(pre: np.ndarray) -> np.ndarray:
    return np.concatenate([pre[:1], pre[:-1]])


def _alike(values: np.ndarray, lag: int, times: float) -> np.ndarray:
    """Whether each value from number ``lag`` on and the one ``lag`` before it differ by less than that factor."""
    late, early = values[lag:], values[: len(values) - lag]
    return np.maximum(late, early) < times * np.minimum(late, early)


def _count_last(marks: np.ndarray, window: int) -> np.ndarray:
    """How many of the last ``window`` marks up to each are set."""
    total = np.concatenate([[0], np.cumsum(marks)])
    return total[1:] - total[np.maximum(np.arange(len(marks)) + 1 - window, 0)]


def _steadiness(i: Intervals) -> np.ndarray:
    changes = CONTEXT - 1
    steady = _count_last(_alike(i.known, 1, STEADY), changes)
    share = steady / np.minimum(np.arange(1, len(i.known)), changes)
    return np.concatenate([[1.0], share])[i.place]


def _recurrence(i: Intervals) -> np.ndarray:
    known = i.known
    pairs = np.zeros(len(known), int)
    # Points (r[j-1], r[j]) and (r[j-1-lag], r[j-lag]) are near if both coordinates are; a pair lies in H(64) of
    # interval i if its later point is one of the last 63 - lag.
    for lag in range(1, min(CONTEXT - 1, len(known) - 1)):
        near = _alike(known, lag, NEAR)
        pairs[lag + 1 :] += _count_last(near[1:] & near[:-1], CONTEXT - 1 - lag)
    points = np.minimum(np.arange(len(known)), CONTEXT - 1)
    possible = points * (points - 1) // 2
    return np.where(possible > 0, pairs / np.maximum(possible, 1), 1.0)[i.place]


def _entropy(i: Intervals) -> np.ndarray:
    rows, count = (values[i.place] for values in _history(i.known, CONTEXT))
    bins = np.searchsorted(ENTROPY_EDGES, rows / _quantile(i, CONTEXT, 0.5)[:, None], side="right")
    places = bins + (len(ENTROPY_EDGES) + 1) * np.arange(len(rows))[:, None]
    counts = np.bincount(places[np.isfinite(rows)], minlength=len(rows) * (len(ENTROPY_EDGES) + 1))
    share = counts.reshape(len(rows), -1) / count[:, None]
    return -(share * np.log2(np.where(share > 0, share, 1.0))).sum(axis=1) / MOST_BITS


def _log_ratio(formula: str, delay_beats: int, ratio: Callable[[Intervals], np.ndarray]) -> Feature:
    return Feature(f"log2({formula})", delay_beats, lambda intervals: np.log2(ratio(intervals)))


_USUAL = (
    f"u = mean of H(all) where that holds at most {USUAL_BEATS} intervals; each further interval p then makes it "
    f"u + d / {USUAL_BEATS}, d = p - u limited to -u / {1 / USUAL_STEP:g} ... u / {1 / USUAL_STEP:g}"
)

FEATURES: dict[str, Feature] = {
    "pre_median": _log_ratio("pre / median of H(64)", 0, lambda i: i.pre / _quantile(i, 64, 0.5)),
    "post_median": _log_ratio("post / median of H(64)", 1, lambda i: i.post / _quantile(i, 64, 0.5)),
    "pre_post": _log_ratio("pre / post", 1, lambda i: i.pre / i.post),
    "pre_mean10": _log_ratio("pre / mean of H(10)", 0, lambda i: i.pre / _mean(i, 10)),
    "previous_pre": Feature(
        "log2(pre[k-1] / pre[k]), 0 for the first beat", 0, lambda i: np.log2(_previous(i.pre) / i.pre)
    ),
    "pre_quantile70": _log_ratio(
        "pre / 70 % quantile of H(128), linear interpolation", 0, lambda i: i.pre / _quantile(i, 128, 0.7)
    ),
    "pre_mean": _log_ratio("pre / mean of H(all)", 0, lambda i: i.pre / _mean_so_far(i)),
    "post_mean": _log_ratio("post / mean of H(all)", 1, lambda i: i.post / _mean_so_far(i)),
    "pre_slow": _log_ratio(
        "pre / 90 % quantile of H(128), linear interpolation", 0, lambda i: i.pre / _quantile(i, 128, 0.9)
    ),
    "post_slow": _log_ratio(
        "post / 90 % quantile of H(128), linear interpolation", 1, lambda i: i.post / _quantile(i, 128, 0.9)
    ),
    "steadiness": Feature(
        f"share of the pairs of neighbouring intervals of H(64) whose longer one is less than {STEADY:g} times the "
        "shorter; 1 where H holds one interval",
        0,
        _steadiness,
    ),
    "recurrence": Feature(
        "points (r[j-1], r[j]) of neighbouring intervals r of H(64): share, of all pairs of two of these points, of "
        f"those near each other: in both coordinates the larger value is less than {NEAR:g} times the smaller; 1 where "
        "H holds less than three intervals",
        0,
        _recurrence,
    ),
    "entropy": Feature(
        "entropy, in bits, of the histogram of H(64) / median of H(64) over 31 bins, the first and the last "
        "open-ended, divided by 5; the edges between them are exp(.05 * (j - 14.5)), j = 0 ... 29",
        0,
        _entropy,
    ),
    "pre_usual": Feature(f"log2(pre / u), {_USUAL}", 0, lambda i: np.log2(i.pre / _usual(i))),
    "post_usual": Feature(f"log2(post / u), {_USUAL}", 1, lambda i: np.log2(i.post / _usual(i))),
}


def rr_features(samples: np.ndarray, fs: float, names: Sequence[str], lost: np.ndarray | None = None) -> np.ndarray:
    """R-R features of every beat of a record.

    Args:
        samples: beat positions, ascending, shape (beats,).
        fs: their sampling rate in Hz.
        names: keys of :data:`FEATURES`.
        lost: whether signal was lost between each beat and the next, boolean, shape (beats - 1,); by default nowhere.

    Returns:
        float32, shape (beats, len(names)), within -1 ... 1, never NaN.
    """
    return _features(intervals(samples, fs, lost), names)[: len(samples)]


def _features(around: Intervals, names: Sequence[str]) -> np.ndarray:
    columns = [np.clip(FEATURES[name].value(around), -1.0, 1.0) for name in names]
    return np.stack(columns, axis=1).astype(np.float32) if columns else np.zeros((len(around.pre), 0), np.float32)


class RunningRhythm:
    """:func:`rr_features` for a record whose beats come in pieces; the same numbers.

    Args:
        fs: sampling rate of the beats' positions in Hz.
    """

    def __init__(self, fs: float) -> None:
        self._fs = fs
        self._last: int | None = None  # the latest beat
        self._pre: float | None = None  # its interval, once two beats are known
        self._known = np.zeros(0)  # the last intervals up to it
        self._sum, self._count, self._usual = 0.0, 0, 0.0  # of those before them

    def features(
        self,
        samples: np.ndarray,
        following: int | None,
        names: Sequence[Sequence[str]],
        lost: np.ndarray | None = None,
    ) -> list[np.ndarray]:
        """Features of the next beats.

        Args:
            samples: their positions, ascending, shape (n,), at least one.
            following: the position of the beat after them, or any later than :data:`LONGEST_S` where that is as good;
                None where the record ends.
            names: lists of keys of :data:`FEATURES`.
            lost: whether signal was lost before each of them, since the beat before it, and after the last, boolean,
                shape (n + 1,); by default nowhere.

        Returns:
            For each list float32, shape (n, len(list)), within -1 ... 1, never NaN.
        """
        lost = np.zeros(len(samples) + 1, bool) if lost is None else lost
        positions = samples if following is None else np.append(samples, following)
        if self._last is None:
            around = intervals(positions, self._fs, lost[1 : len(positions)])
        else:
            around = self._going_on(np.append(self._last, positions), lost[: len(positions)])
        beats = len(samples) + (self._last is not None)  # the latest one before them, too
        here = replace(
            around,
            pre=around.pre[:beats],
            post=around.post[:beats],
            place=around.place[:beats],
            sum_before=self._sum,
            count_before=self._count,
            usual_before=self._usual,
        )
        found = [_features(here, some)[beats - len(samples) :] for some in names]
        self._remember(here, int(samples[-1]))
        return found

    def _going_on(self, positions: np.ndarray, lost: np.ndarray) -> Intervals:
        """The intervals around beats of which the first is the latest one before."""
        between, known, place = _assumed(_limited(positions, self._fs), lost, self._known)
        pre = between[0] if self._pre is None else self._pre
        return Intervals(
            np.append(pre, between),
            np.append(between, between[-1]),
            known,
            np.append(max(len(self._known) - 1, 0), place),
        )

    def _remember(self, here: Intervals, last: int) -> None:
        """Keep what the next beats' features look back to: 128 intervals that are known."""
        self._last = last
        if len(here.pre) < 2:
            return  # the first beat's interval is that after it
        self._pre = float(here.pre[-1])
        known = here.known[: here.place[-1] + 1]
        dropped = max(len(known) - LONGEST_HISTORY, 0)
        for interval in known[:dropped].tolist():
            self._sum, self._count = self._sum + interval, self._count + 1
            self._usual = next_usual(self._usual, interval, self._sum, self._count)
        self._known = known[dropped:]
