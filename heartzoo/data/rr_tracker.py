"""R-R features one interval at a time: the form that runs beside a detector, and that firmware ports.

Plain arithmetic over the last 128 intervals, a running sum and a running mean; :mod:`heartzoo.data.rr` defines the
features and computes the same over arrays.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections import Counter, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import combinations, islice, pairwise
from numbers import Real

from heartzoo.data.rr import (
    CONTEXT,
    ENTROPY_EDGES,
    FEATURES,
    LONGEST_HISTORY,
    LONGEST_S,
    MOST_BITS,
    NEAR,
    SHORTEST_S,
    SINGLE_BEAT_S,
    STEADY,
    next_usual,
)
from heartzoo.errors import UserError, look_up

_EDGES = ENTROPY_EDGES.tolist()


@dataclass(frozen=True)
class Rhythm:
    """The rhythm around one beat.

    Attributes:
        features: one value for each name, within -1 ... 1, never NaN.
        assumed: what stood in for what was not known or not possible; empty in the usual case.
    """

    features: tuple[float, ...]
    assumed: tuple[str, ...]


@dataclass(frozen=True)
class _Beat:
    """What is known when a beat's features are asked for: its intervals, H(128), the mean of all so far, the usual."""

    pre: float
    post: float
    previous: float
    history: Sequence[float]
    mean: float
    usual: float


class RRTracker:
    """Takes the intervals of a recording in turn and tells the rhythm around each beat.

    A beat's features are given when the following interval is known, that is one beat later.

    Args:
        names: keys of :data:`heartzoo.data.rr.FEATURES`, such as a model's ``preprocessing.rr_features``.

    Raises:
        UserError: an unknown feature.
    """

    def __init__(self, names: Sequence[str]) -> None:
        for name in names:
            look_up(FEATURES, name, "R-R feature")
        self._values = [_VALUES[name] for name in names]
        self._history: deque[float] = deque(maxlen=LONGEST_HISTORY)
        self._sum, self._count, self._usual = 0.0, 0, 0.0
        self._pre = self._previous = SINGLE_BEAT_S
        self._assumed: tuple[str, ...] = ()

    def push(self, interval: float, lost: bool = False) -> Rhythm:
        """Take the interval from the latest beat to a new one, in seconds.

        Args:
            interval: how long it is, s.
            lost: whether signal was lost in between, so that beats may be missing: the interval is not known then, and
                the median of the last 64 stands in.

        Returns:
            The rhythm around the beat *before* the new one.

        Raises:
            UserError: ``interval`` is not a number or below 0; the tracker stays as it was.
        """
        if not (isinstance(interval, Real) and interval >= 0):
            raise UserError(f"an R-R interval of {interval!s} s", "give seconds from one beat to the next, 0 or more")
        post = self._middle() if lost else min(max(interval, SHORTEST_S), LONGEST_S)
        found = "an interval across lost signal" if lost else f"an interval of {interval:g} s"
        replaced = (f"{found} is taken as {post:g} s",) if lost or post != interval else ()
        if self._count == 0:
            self._pre = self._previous = post
            self._append(post)
            rhythm = self._rhythm(post, (*replaced, "the first beat's interval is that after it"))
        else:
            rhythm = self._rhythm(post, (*self._assumed, *replaced))
            if not lost:
                self._append(post)
            self._previous, self._pre = self._pre, post
        self._assumed = replaced
        return rhythm

    def last(self) -> Rhythm:
        """The rhythm around the latest beat, should no other follow. The tracker goes on as if not asked."""
        if self._count:
            return self._rhythm(self._pre, (*self._assumed, "the last beat's next interval is that before it"))
        lone = _Beat(SINGLE_BEAT_S, SINGLE_BEAT_S, SINGLE_BEAT_S, [SINGLE_BEAT_S], SINGLE_BEAT_S, SINGLE_BEAT_S)
        return self._about(lone, (f"a lone beat has {SINGLE_BEAT_S:g} s on both sides",))

    def _middle(self) -> float:
        """The median of H(64), of an even number the lower of the middle two."""
        recent = sorted(list(self._history)[-CONTEXT:])
        return recent[(len(recent) - 1) // 2] if recent else SINGLE_BEAT_S

    def _append(self, interval: float) -> None:
        self._history.append(interval)
        self._sum += interval
        self._count += 1
        self._usual = next_usual(self._usual, interval, self._sum, self._count)

    def _rhythm(self, post: float, assumed: tuple[str, ...]) -> Rhythm:
        beat = _Beat(self._pre, post, self._previous, self._history, self._sum / self._count, self._usual)
        return self._about(beat, assumed)

    def _about(self, beat: _Beat, assumed: tuple[str, ...]) -> Rhythm:
        return Rhythm(tuple(min(max(value(beat), -1.0), 1.0) for value in self._values), assumed)


def _last(beat: _Beat, count: int) -> list[float]:
    """H(count), oldest first."""
    return list(islice(beat.history, max(len(beat.history) - count, 0), None))


def _quantile(beat: _Beat, count: int, q: float) -> float:
    ordered = sorted(_last(beat, count))
    position = q * (len(ordered) - 1)
    low = math.floor(position)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (position - low) * (ordered[high] - ordered[low])


def _mean10(beat: _Beat) -> float:
    recent = _last(beat, 10)
    return sum(recent) / len(recent)


def _alike(one: float, other: float, times: float) -> bool:
    return max(one, other) < times * min(one, other)


def _steadiness(beat: _Beat) -> float:
    changes = [_alike(one, other, STEADY) for one, other in pairwise(_last(beat, CONTEXT))]
    return sum(changes) / len(changes) if changes else 1.0


def _recurrence(beat: _Beat) -> float:
    points = list(pairwise(_last(beat, CONTEXT)))
    pairs = [_alike(a[0], b[0], NEAR) and _alike(a[1], b[1], NEAR) for a, b in combinations(points, 2)]
    return sum(pairs) / len(pairs) if pairs else 1.0


def _entropy(beat: _Beat) -> float:
    recent, middle = _last(beat, CONTEXT), _quantile(beat, CONTEXT, 0.5)
    bins = Counter(bisect_right(_EDGES, interval / middle) for interval in recent)
    shares = [count / len(recent) for count in bins.values()]
    return -sum(share * math.log2(share) for share in shares) / MOST_BITS


_VALUES: dict[str, Callable[[_Beat], float]] = {
    "pre_median": lambda beat: math.log2(beat.pre / _quantile(beat, 64, 0.5)),
    "post_median": lambda beat: math.log2(beat.post / _quantile(beat, 64, 0.5)),
    "pre_post": lambda beat: math.log2(beat.pre / beat.post),
    "pre_mean10": lambda beat: math.log2(beat.pre / _mean10(beat)),
    "previous_pre": lambda beat: math.log2(beat.previous / beat.pre),
    "pre_quantile70": lambda beat: math.log2(beat.pre / _quantile(beat, 128, 0.7)),
    "pre_mean": lambda beat: math.log2(beat.pre / beat.mean),
    "post_mean": lambda beat: math.log2(beat.post / beat.mean),
    "pre_slow": lambda beat: math.log2(beat.pre / _quantile(beat, 128, 0.9)),
    "post_slow": lambda beat: math.log2(beat.post / _quantile(beat, 128, 0.9)),
    "steadiness": _steadiness,
    "recurrence": _recurrence,
    "entropy": _entropy,
    "pre_usual": lambda beat: math.log2(beat.pre / beat.usual),
    "post_usual": lambda beat: math.log2(beat.post / beat.usual),
}
