"""Signal quality, second by second: what is missing, flat, saturated or noisy. And gaps: where they are, and filled.

Each whole second of the recording gets the first of these marks that holds, or none:

* ``lead off``: a tenth of its samples or more are missing (NaN), or those of a tenth of a second in a row, part of
  which may lie in the second before;
* ``flat line``: it spans less than 0.01 mV;
* ``saturated``: for 40 ms or longer it keeps one value that is 1 mV or more from its median;
* ``noise``: half of its samples are above 0.05 mV after a high-pass at 30 Hz (muscles, hum), or it spans more than
  10 mV.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from heartzoo.data.signal import Butterworth

MISSING_SHARE = 0.1
LOST_S = 0.1  # about a QRS complex
FLAT_MV, NOISE_MV, NOISE_HZ, LARGEST_MV = 0.01, 0.05, 30.0, 10.0
SATURATED_S, SATURATED_MV = 0.04, 1.0
OFFSET_MV = 5.0  # a first value beyond this is an electrode's offset, of which resampling lets through a ripple
MOST_HELD_MV = 300.0  # electrodes have less between them
MOST_MV = 1e6  # beyond 1,000 V nothing was measured: a damaged value, missing as NaN is
NEVER = np.iinfo(np.int64).max  # the number of a sample that does not come
NOWHERE_LOST = np.zeros((0, 2), np.int64)
MARKS = ("", "lead off", "flat line", "saturated", "noise")


@dataclass(frozen=True)
class Stretch:
    """A stretch of poor signal: its first and its last second, the latter excluded, and the mark of :data:`MARKS`."""

    start_s: float
    end_s: float
    mark: str


class Gaps:
    """Fills missing samples of a signal that comes in pieces with the last value before them, at its start the first.

    Missing is what is NaN, infinite or larger than :data:`MOST_MV`. Where they are :data:`LOST_S` or more in a row, the
    signal goes on from that value: all that follows is moved by the same amount, so that no step is taken for a beat.
    A lead that comes back rarely has the offset that it had. What was more than :data:`MOST_HELD_MV` from where the
    recording began was at a rail: from there the signal goes on then, so that nothing piles up.

    Args:
        fs: sampling rate in Hz.

    Attributes:
        missing: how many samples were missing so far.
    """

    def __init__(self, fs: float) -> None:
        self._least = math.ceil(LOST_S * fs)
        self._last: float | None = None  # known value, as it was
        self._rest = 0.0  # where the recording began, where that is an electrode's offset or was not known at once
        self._moved = 0.0  # by how much the latest values are
        self._run = 0  # missing samples up to the latest
        self._ahead = 0
        self.missing = 0

    def push(self, x: np.ndarray) -> np.ndarray:
        """Fill the next samples. Nothing comes while none of the signal's values is known."""
        return np.concatenate([np.zeros(0), *self.blocks(x, max(self._ahead, 1))])

    def blocks(self, x: np.ndarray, size: int) -> Iterator[np.ndarray]:
        """As :meth:`push`; what was missing before the first known value comes in blocks of so many samples."""
        bad = is_missing(x)
        self.missing += int(bad.sum())
        if self._last is None:
            if bad.all():
                self._ahead += len(x)
                return
            self._last = first = float(x[np.argmin(bad)])
            self._rest = first if self._ahead or bad[0] or abs(first) > OFFSET_MV else 0.0
            for start in range(0, self._ahead, size):
                yield np.full(min(size, self._ahead - start), first)
        known = np.flatnonzero(np.append(True, ~bad))
        values = np.append(self._last, x)[known]
        missing = np.diff(known) - 1  # before each known one but the first
        missing[:1] += self._run
        back = np.flatnonzero(missing >= self._least) + 1
        steps = [self._moved]
        for place in back.tolist():
            held = float(values[place - 1]) - steps[-1]
            steps.append(float(values[place]) - (held if abs(held - self._rest) <= MOST_HELD_MV else self._rest))
        moved = np.repeat(steps, np.diff(np.concatenate([[0], back, [len(values)]])))
        places = np.searchsorted(known, np.arange(1, len(x) + 1), side="right") - 1
        self._last, self._moved = float(values[-1]), float(moved[-1])
        self._run = len(x) - int(known[-1]) + (self._run if len(known) == 1 else 0)
        yield (values - moved)[places]

    def finish(self) -> np.ndarray:
        """Zeros for a signal without any value; they take no memory before they are written to."""
        return np.zeros(self._ahead if self._last is None else 0)


class LostSignal:
    """Where a signal that comes in pieces was lost: :data:`LOST_S` or more of it were missing, so that a beat may be.

    Missing is what is NaN, infinite or larger than :data:`MOST_MV`.

    Args:
        fs: sampling rate in Hz.
        stretches: where it was lost, if that is known already; by default nowhere.

    Attributes:
        least: how many missing samples in a row count as lost.
        samples: how many were taken so far.
        stretches: of each stretch the sample at which it had that length, and its last; int64, shape (n, 2).
    """

    def __init__(self, fs: float, stretches: np.ndarray = NOWHERE_LOST) -> None:
        self.least = math.ceil(LOST_S * fs)
        self.samples, self._missing = 0, 0  # of the latter how many in a row up to the latest, or enough
        self.stretches = stretches

    def push(self, x: np.ndarray) -> None:
        """Take the next samples in mV."""
        bad = np.concatenate([np.ones(self._missing, bool), is_missing(x)])
        edges = np.diff(np.concatenate([[0], bad.astype(np.int8), [0]]))
        start, end = np.flatnonzero(edges > 0), np.flatnonzero(edges < 0)
        first, long = self.samples - self._missing, end - start >= self.least
        found = np.stack([first + start[long] + self.least - 1, first + end[long] - 1], axis=1)
        known = self.stretches
        if self._missing == self.least and len(known) and known[-1, 1] == self.samples - 1:  # it goes on
            found[0, 0] = known[-1, 0]
            known = known[:-1]
        self.stretches = np.concatenate([known, found])
        self.samples += len(x)
        self._missing = min(int(end[-1] - start[-1]), self.least) if len(bad) and bad[-1] else 0

    def forget(self, sample: int) -> None:
        """No beat before this sample will be asked about any more."""
        self.stretches = self.stretches[np.searchsorted(self.stretches[:, 1], sample, side="right") :]


def lost_between(stretches: np.ndarray, samples: np.ndarray, following: np.ndarray) -> np.ndarray:
    """Whether signal was lost between two beats each, boolean, shape (n,).

    Args:
        stretches: where signal was lost, as :class:`LostSignal` has them.
        samples: where the first ones are, in samples from the start, shape (n,).
        following: where the others are, shape (n,).
    """
    place = np.searchsorted(stretches[:, 1], samples, side="right")
    return np.append(stretches[:, 0], NEVER)[place] < following


class Quality:
    """Marks the seconds of a signal that comes in pieces.

    Args:
        fs: sampling rate in Hz.

    Attributes:
        stretches: the stretches of poor signal among the seconds that are over.
    """

    def __init__(self, fs: float) -> None:
        self._fs, self._width = fs, round(fs)
        self._highpass = Butterworth(fs, NOISE_HZ, "highpass")
        self._gaps, self._lost = Gaps(fs), LostSignal(fs)
        self._x = self._high = np.zeros(0)
        self._silent: int | None = 0  # samples before the first known one in a second that is not over; then None
        self._seconds = 0
        self.stretches: list[Stretch] = []

    def push(self, x: np.ndarray) -> None:
        """Take the next samples in mV, NaN where missing."""
        self._lost.push(x)
        if self._silent is not None:
            if is_missing(x).all():
                over, self._silent = divmod(self._silent + len(x), self._width)
                for _ in range(over):
                    self._add("lead off")
                return
            x = np.concatenate([np.full(self._silent, np.nan), x])
            self._silent = None
        self._x = np.concatenate([self._x, x])
        self._mark(self._gaps.push(x))

    def finish(self) -> None:
        """The signal ends; what is left of its last second gets no mark."""
        if self._silent is None:
            self._mark(self._gaps.finish())

    def _mark(self, filled: np.ndarray) -> None:
        self._high = np.concatenate([self._high, self._highpass.push(filled)])
        whole = len(self._high) // self._width
        if whole:
            used = whole * self._width
            start = (self._seconds + np.arange(whole)) * self._width
            lost = lost_between(self._lost.stretches, start - 1, start + self._width)
            self._lost.forget(int(start[-1]) + self._width - 1)
            marks = _marks(self._x[:used].reshape(whole, -1), self._high[:used].reshape(whole, -1), lost, self._fs)
            for mark in marks.tolist():
                self._add(MARKS[mark])
            self._x, self._high = self._x[used:], self._high[used:]

    def _add(self, mark: str) -> None:
        start, end = (count * self._width / self._fs for count in (self._seconds, self._seconds + 1))
        self._seconds += 1
        last = self.stretches[-1] if self.stretches else None
        if last and (last.end_s, last.mark) == (start, mark):
            self.stretches[-1] = Stretch(last.start_s, end, mark)
        elif mark:
            self.stretches.append(Stretch(start, end, mark))


def is_missing(x: np.ndarray) -> np.ndarray:
    """Which samples were not measured: NaN, infinite or larger than :data:`MOST_MV`."""
    return ~(np.abs(x) <= MOST_MV)


def _marks(x: np.ndarray, high: np.ndarray, lost: np.ndarray, fs: float) -> np.ndarray:
    """Index into :data:`MARKS` of each second; both signals of shape (seconds, samples)."""
    missing = is_missing(x)
    off = lost | (missing.mean(axis=1) >= MISSING_SHARE)
    x = np.where(missing, np.where(missing.all(axis=1, keepdims=True), 0.0, np.nan), x)
    middle = np.nanmedian(x, axis=1, keepdims=True)
    x = np.where(np.isnan(x), middle, x)  # which is neither held nor far
    span = np.ptp(x, axis=1)
    far = np.abs(x - middle) >= SATURATED_MV
    steady = (np.diff(x, axis=1) == 0) & far[:, 1:]
    length = max(math.ceil(SATURATED_S * fs) - 1, 1)
    held = np.any(np.all(np.lib.stride_tricks.sliding_window_view(steady, length, axis=1), axis=2), axis=1)
    noisy = (np.median(np.abs(high), axis=1) > NOISE_MV) | (span > LARGEST_MV)
    return np.select([off, span < FLAT_MV, held, noisy], [1, 2, 3, 4], 0)
