"""R peaks of a signal that comes in pieces: causal, in bounded memory, with a stated look-ahead; firmware ports it.

``x`` is the signal in mV at ``fs`` as a model's contract prepares it (resampled, filtered). Durations are rounded to
whole samples: ``n(d) = floor(d * fs + 1/2)``. Positions are whole samples, all else is float.

1. Band-pass: ``b`` is x through two causal Butterworth filters of second order, a high-pass at 9 Hz, then a low-pass at
   20 Hz, each started in the steady state of its first sample. Before the start x and b are as in the first sample.
2. Height: ``h[i]`` is the square root of the mean of b^2 over the n(.07) samples up to and including i (0 before the
   start), in mV.
3. Candidates are the samples c with ``h[c-1] < h[c] >= h[c+1]`` and ``h[c] > .01`` that no higher one is near to: a
   candidate waits; one that comes less than n(.22) after it takes its place if it is higher and is dropped if not; one
   that comes later confirms it, and so does sample c + n(.22) itself.
4. A confirmed candidate has its height, its slope, which is the largest ``|b[i] - b[i-1]|`` for i from c - n(.13) to c,
   and two peaks: of x from c - n(.16) to c + n(.04), less its mean there, the largest value (the first of equal ones)
   is the positive peak, the smallest the negative one.
5. Learning: the candidates of the 3 s from the first one on are kept, and decided when a later one comes or none can
   come any more (sample s has come and s + 1 - n(.22) is 3 s after the first). Of the highest candidate of each of the
   three seconds (of those that have one) take the one of median height (of two the higher one): the signal level ``S``
   starts as its height, the usual slope ``v`` as its slope, the noise level ``N`` as .1 S, the interval ``r`` as n(.8),
   and the last beat as n(.8) before the first candidate; due is floor(1.5 r) after it.
6. A candidate c is decided, with d the samples since the last beat and the threshold ``t = max(.01, N + .35 (S - N))``:

   * first, while c > due: search back (8);
   * if d < n(.34) and its slope is less than .6 v, it is a T wave, and nothing else happens;
   * if its height is above t, it is a beat (7);
   * else it is noise: ``N = N + (height - N) / 8``; and if d >= n(.34) and it is the highest of these since the last
     beat or search, it is the missed one.
7. A beat: ``S = S + a (min(height, 2 S) - S)`` and ``v = v + a (min(slope, 2 v) - v)``, where a is 1/2 if a search has
   failed since the last beat (8) and 1/8 if not; ``r = r + (min(max(d, n(.3)), n(1.6)) - r) / 8``; it is the last beat;
   none is missed; due is c + floor(1.5 r). Its R peak is the positive or the negative peak, the one of the usual sign
   if that one is at least .75 times as large as the other. The usual sign is that of ``p`` (positive if 0), which
   starts as 0; then ``p = p + (1 - p) / 8`` after a positive R peak and ``p + (-1 - p) / 8`` after a negative one.
8. Searching back: if there is a missed one and its height is above .65 t, it is a beat (7). If not, the search fails:
   none is missed, S is the largest of .8 S, 2 N and .01, and due moves on by floor(r). This happens also without a
   candidate, as soon as sample s has come with s + 1 - n(.22) > due.

At the end the signal's last value goes on for n(.3), and what is being learned is decided; a peak out there is dropped.

The prepared signal lags behind the recording: its low-pass, if it has one, delays it by ``n(sqrt(2) / (2 pi cutoff))``
samples, which are taken off the positions. A peak is given at most 3.5 s after it, usually .3 s.

Steps 7 and 8 were informed by an earlier version's published result on DS2, by record: most of its false peaks were
in a record with second-degree AV block and one with long pauses. Their constants were chosen on DS1 and svdb-train
alone, as they are and with beats taken out, noise added or the amplitude changed.

References:
    Pan and Tompkins 1985, A real-time QRS detection algorithm (IEEE Trans Biomed Eng 32(3)): band-pass, integration,
    two levels, search-back, T waves by slope. Hamilton 2002, Open source ECG analysis (Computers in Cardiology): peaks,
    refractory time, threshold between levels. Elgendi 2013, Fast QRS detection with an optimized knowledge-based method
    (PLoS ONE 8(9)): the band.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from heartzoo.data.signal import Butterworth

if TYPE_CHECKING:
    from heartzoo.config import InputConfig

BAND_HZ = (9.0, 20.0)
HEIGHT_S, SLOPE_S, REFRACTORY_S, T_WAVE_S = 0.07, 0.13, 0.22, 0.34
PEAK_BEFORE_S, PEAK_AFTER_S = 0.16, 0.04
LEARNING_S, END_S = 3, 0.3
LOWEST_MV = 0.01
THRESHOLD, MISSED, SAME_SIGN, T_WAVE_SLOPE = 0.35, 0.65, 0.75, 0.6
FIRST_NOISE, NOISE_MARGIN = 0.1, 2.0
STEP, STEP_AFTER_FAILURE, LARGEST_RISE, FALL = 0.125, 0.5, 2.0, 0.8
FIRST_INTERVAL_S, SHORTEST_S, LONGEST_S, OVERDUE = 0.8, 0.3, 1.6, 1.5
LOOK_AHEAD_S = 3.5


@dataclass(frozen=True)
class _Candidate:
    """A possible beat: its sample, height and slope, and the positive and the negative peak, each with its size."""

    at: int
    height: float
    slope: float
    positive: tuple[float, int]
    negative: tuple[float, int]


class Detector:
    """Takes a prepared signal in pieces and gives its R peaks; the same ones whatever the pieces.

    Args:
        fs: sampling rate in Hz.
        lag: samples by which the signal lags behind the recording; see :func:`lag_samples`.

    Example:
        >>> detector = Detector(100.0)
        >>> x = np.zeros(1000)
        >>> x[100::80] = 1.0
        >>> np.concatenate([detector.push(x[:333]), detector.push(x[333:]), detector.finish()])[:3]
        array([100, 180, 260])
    """

    def __init__(self, fs: float, lag: int = 0) -> None:
        self._picker = _Picker(fs)
        self._judge = _Judge(fs)
        self._fs, self._lag = fs, lag
        self._last_value = 0.0

    def push(self, x: np.ndarray) -> np.ndarray:
        """Take the next samples.

        Args:
            x: mV, finite, shape (any,).

        Returns:
            int64, the R peaks that have become certain, in order: samples from the start of the signal.
        """
        if len(x):
            self._last_value = float(x[-1])
        found = [peak for candidate in self._picker.push(x) for peak in self._judge.push(candidate)]
        found += self._judge.wait(self._picker.certain)
        return self._positions(found)

    def finish(self) -> np.ndarray:
        """The R peaks that are left when the signal ends."""
        end = self._picker.seen
        if not end:
            return self._positions([])
        found = self.push(np.full(whole_samples(END_S, self._fs), self._last_value))
        rest = self._positions(self._judge.learn())
        both = np.concatenate([found, rest])
        return both[both < end - self._lag]

    @property
    def settled(self) -> int:
        """No further R peak lies before this sample."""
        earliest = min(self._picker.earliest, self._judge.earliest)
        return max(int(earliest) - whole_samples(PEAK_BEFORE_S, self._fs) - self._lag, 0)

    def _positions(self, peaks: list[int]) -> np.ndarray:
        return np.maximum(np.array(peaks, np.int64) - self._lag, 0)


def lag_samples(contract: InputConfig) -> int:
    """Samples by which a prepared signal lags behind the recording: what its low-pass delays."""
    if contract.lowpass_hz is None:
        return 0
    return whole_samples(math.sqrt(2) / (2 * math.pi * contract.lowpass_hz), contract.fs)


def detect(x: np.ndarray, fs: float, lag: int = 0) -> np.ndarray:
    """The R peaks of a whole prepared signal.

    Args:
        x: mV, shape (samples,).
        fs: sampling rate in Hz.
        lag: as for :class:`Detector`.

    Returns:
        int64, ascending.
    """
    detector = Detector(fs, lag)
    return np.concatenate([detector.push(x), detector.finish()])


def whole_samples(seconds: float, fs: float) -> int:
    """A duration in samples, to the nearest; half a sample counts as one."""
    return math.floor(seconds * fs + 0.5)


def _height(candidate: _Candidate) -> float:
    return candidate.height


class _Picker:
    """Signal -> confirmed candidates (steps 1 to 4), over arrays.

    Attributes:
        seen: samples taken so far.
    """

    def __init__(self, fs: float) -> None:
        self._filters = Butterworth(fs, BAND_HZ[0], "highpass"), Butterworth(fs, BAND_HZ[1], "lowpass")
        self._width, self._slope = whole_samples(HEIGHT_S, fs), whole_samples(SLOPE_S, fs)
        self._before, self._after = whole_samples(PEAK_BEFORE_S, fs), whole_samples(PEAK_AFTER_S, fs)
        self._refractory = whole_samples(REFRACTORY_S, fs)
        self._kept = self._refractory + max(self._before, self._slope) + 2
        self._x = self._band = self._heights = np.zeros(0)
        self._waiting: tuple[int, float] | None = None
        self.seen = 0

    @property
    def certain(self) -> int:
        """No candidate before this sample can still come."""
        return self.seen - self._refractory

    @property
    def earliest(self) -> int:
        """No candidate that is not confirmed yet lies before this sample."""
        return self._waiting[0] if self._waiting else max(self.seen - 1, 0)

    def push(self, x: np.ndarray) -> list[_Candidate]:
        if len(x) == 0:
            return []
        start = self._extend(x)
        h = self._heights
        middle = h[1:-1]
        peaks = np.flatnonzero((h[:-2] < middle) & (middle >= h[2:]) & (middle > LOWEST_MV)) + 1
        confirmed = self._confirm(zip((peaks + start).tolist(), h[peaks].tolist(), strict=True))
        self._heights = h[-2:]
        return self._measured(confirmed)

    def _extend(self, x: np.ndarray) -> int:
        """Append to what is kept of x, b and h; the sample at which h, the two last heights in front, begins."""
        band = self._filters[1].push(self._filters[0].push(x))
        if self.seen == 0:
            self._x = np.full(self._kept, x[0])
            self._band, self._heights = np.full(self._kept, band[0]), np.zeros(2)
            first = np.zeros(self._width - 1)
        else:
            first = self._band[len(self._band) - self._width + 1 :] ** 2
        self._x = np.concatenate([self._x[-self._kept :], x])
        self._band = np.concatenate([self._band[-self._kept :], band])
        squares = np.concatenate([first, band**2])
        # added in a fixed order, so that no result depends on the pieces
        sums = sum(squares[k : k + len(x)] for k in range(self._width))
        self._heights = np.concatenate([self._heights, np.sqrt(sums / self._width)])
        self.seen += len(x)
        return self.seen - len(self._heights)

    def _confirm(self, peaks: Iterable[tuple[int, float]]) -> list[tuple[int, float]]:
        confirmed, waiting = [], self._waiting
        for peak in peaks:
            if waiting is None or peak[0] - waiting[0] >= self._refractory:
                confirmed += [waiting] if waiting else []
                waiting = peak
            elif peak[1] > waiting[1]:
                waiting = peak
        if waiting and waiting[0] < self.certain:
            confirmed.append(waiting)
            waiting = None
        self._waiting = waiting
        return confirmed

    def _measured(self, confirmed: list[tuple[int, float]]) -> list[_Candidate]:
        if not confirmed:
            return []
        at = np.array([sample for sample, _ in confirmed])
        here = at - (self.seen - len(self._x))
        steps = np.abs(np.diff(self._band))
        slopes = sliding_window_view(steps, self._slope + 1)[here - self._slope - 1].max(axis=1)
        around = sliding_window_view(self._x, self._before + self._after + 1)[here - self._before]
        around = around - around.mean(axis=1, keepdims=True)
        first = at - self._before
        high, low = around.argmax(axis=1) + first, around.argmin(axis=1) + first
        columns = (slopes, around.max(axis=1), high, -around.min(axis=1), low)
        return [
            _Candidate(sample, height, slope, (up, top), (down, bottom))
            for (sample, height), slope, up, top, down, bottom in zip(
                confirmed, *(column.tolist() for column in columns), strict=True
            )
        ]


class _Judge:
    """Candidates -> R peaks (steps 5 to 8), one after the other."""

    def __init__(self, fs: float) -> None:
        self._second, self._t_wave = fs, whole_samples(T_WAVE_S, fs)
        self._shortest, self._longest = whole_samples(SHORTEST_S, fs), whole_samples(LONGEST_S, fs)
        self._interval = float(whole_samples(FIRST_INTERVAL_S, fs))
        self._learning: list[_Candidate] | None = []
        self._signal = self._noise = self._slope = self._sign = 0.0
        self._step = STEP
        self._last = self._due = 0
        self._missed: _Candidate | None = None

    @property
    def earliest(self) -> float:
        """No candidate that is not decided yet lies before this sample."""
        waiting = self._learning[0] if self._learning else self._missed
        return waiting.at if waiting else math.inf

    def push(self, candidate: _Candidate) -> list[int]:
        """The R peaks that a candidate makes certain."""
        found = self.wait(candidate.at)
        if self._learning is not None:
            self._learning.append(candidate)
            return found
        return found + self._decide(candidate)

    def wait(self, until: int) -> list[int]:
        """The R peaks that are certain once no candidate before the sample ``until`` can come."""
        if self._learning is None:
            return self._search_back(until)
        if self._learning and until - self._learning[0].at >= LEARNING_S * self._second:
            return self.learn() + self._search_back(until)
        return []

    def learn(self) -> list[int]:
        """Set out from the candidates so far, and decide on them."""
        first, self._learning = self._learning, None
        if not first:
            return []
        highest: dict[int, _Candidate] = {}
        for candidate in first:
            second = int((candidate.at - first[0].at) / self._second)
            highest[second] = max(highest.get(second, candidate), candidate, key=_height)
        median = sorted(highest.values(), key=_height)[len(highest) // 2]
        self._signal, self._slope = median.height, median.slope
        self._noise = FIRST_NOISE * self._signal
        self._last = first[0].at - int(self._interval)
        self._due = self._last + int(OVERDUE * self._interval)
        return [peak for candidate in first for peak in self._decide(candidate)]

    @property
    def _threshold(self) -> float:
        return max(LOWEST_MV, self._noise + THRESHOLD * (self._signal - self._noise))

    def _decide(self, candidate: _Candidate) -> list[int]:
        found = self._search_back(candidate.at)
        early = candidate.at - self._last < self._t_wave
        if early and candidate.slope < T_WAVE_SLOPE * self._slope:
            return found
        if candidate.height > self._threshold:
            return [*found, self._accept(candidate)]
        self._noise += STEP * (candidate.height - self._noise)
        if not early and (self._missed is None or candidate.height > self._missed.height):
            self._missed = candidate
        return found

    def _search_back(self, until: int) -> list[int]:
        found = []
        while until > self._due:
            if self._missed and self._missed.height > MISSED * self._threshold:
                found.append(self._accept(self._missed))
            else:
                self._missed = None
                self._signal = max(FALL * self._signal, NOISE_MARGIN * self._noise, LOWEST_MV)
                self._step = STEP_AFTER_FAILURE
                self._due += int(self._interval)
        return found

    def _accept(self, beat: _Candidate) -> int:
        self._signal += self._step * (min(beat.height, LARGEST_RISE * self._signal) - self._signal)
        self._slope += self._step * (min(beat.slope, LARGEST_RISE * self._slope) - self._slope)
        interval = min(max(beat.at - self._last, self._shortest), self._longest)
        self._interval += STEP * (interval - self._interval)
        self._last, self._missed, self._step = beat.at, None, STEP
        self._due = beat.at + int(OVERDUE * self._interval)
        (up, top), (down, bottom) = beat.positive, beat.negative
        positive = up >= SAME_SIGN * down if self._sign >= 0 else SAME_SIGN * up > down
        self._sign += STEP * ((1.0 if positive else -1.0) - self._sign)
        return top if positive else bottom
