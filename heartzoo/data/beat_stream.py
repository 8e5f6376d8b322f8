"""Beats of a recording that comes in pieces -> examples, those that :func:`heartzoo.data.beats.cut_beats` gives."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from heartzoo.data import signal as sig
from heartzoo.data.beats import Examples
from heartzoo.data.quality import NEVER, LostSignal, lost_between
from heartzoo.data.rr import LONGEST_HISTORY, LONGEST_S, RunningRhythm, counted_until
from heartzoo.data.template import (
    REGULAR_FEATURES,
    RunningTemplate,
    are_regular,
    differences,
    reach,
    template_features,
)

if TYPE_CHECKING:
    from heartzoo.config import InputConfig


class BeatStream:
    """Takes the prepared signal and the R peaks in pieces and cuts each beat as soon as that can be done.

    A beat is cut when the signal around it is there and, where the contract's features ask for it, the next beat is
    known or can only come more than 3 s later. The examples are those of the whole recording, but for two: the last
    beat, where the signal goes on for more than 3 s behind it, has an interval of 3 s behind it instead of the one
    before it; and the T of a frame from the R peak on whose window of 10 s holds fewer than two peaks is the median of
    the last intervals instead of the record's.

    Args:
        contract: how a beat becomes an example; not one of rhythm frames.
        fs: sampling rate of the recording, and so of the peaks, in Hz.
        lost: where signal was lost, as far as the recording has come; by default nowhere.
    """

    def __init__(self, contract: InputConfig, fs: float, lost: LostSignal | None = None) -> None:
        self._contract, self._fs = contract, fs
        self._lost = lost or LostSignal(fs)
        self._latest: int | None = None  # beat that was cut
        self._rhythm, self._template = RunningRhythm(fs), RunningTemplate(contract.fs)
        self._delay = contract.following_beats
        self._window = round(sig.WINDOW_S * contract.fs)
        self._before, self._after = _around(contract)
        self._x, self._start = np.zeros(0), 0
        self._peaks = np.zeros(0, np.int64)  # those not cut yet
        self._earlier = np.zeros(0, np.int64)  # the last ones that were cut, at the contract's sampling rate
        self._count = 0

    @property
    def longest_wait_s(self) -> float:
        """How long after an R peak, at most, a beat can be cut, once signal and peaks are there in time."""
        window = self._window if self._contract.cut == "r-peak" else 0
        return window / self._contract.fs + max(self._after / self._contract.fs, LONGEST_S if self._delay else 0.0)

    def push(self, x: np.ndarray, peaks: np.ndarray, settled: int) -> Examples:
        """Take what is new.

        Args:
            x: the next prepared samples, shape (any,).
            peaks: the next R peaks, in samples of the recording, ascending, shape (any,).
            settled: a sample of the recording before which no further peak will come.

        Returns:
            The beats that can be cut now; their ``symbols`` are ``?``.
        """
        self._take(x, peaks)
        examples = self._cut(self._ready(settled), settled)
        self._forget(settled)
        return examples

    def finish(self, x: np.ndarray, peaks: np.ndarray, length: int) -> Examples:
        """The beats that are left, with the last samples and peaks of the recording and its length in samples."""
        self._take(x, peaks)
        return self._cut(len(self._peaks), length)

    def _take(self, x: np.ndarray, peaks: np.ndarray) -> None:
        self._x = np.concatenate([self._x, x])
        self._peaks = np.concatenate([self._peaks, peaks])

    @property
    def _end(self) -> int:
        return self._start + len(self._x)

    def _centres(self, peaks: np.ndarray) -> np.ndarray:
        return sig.resample_positions(peaks, self._fs, self._contract.fs)

    def _ready(self, settled: int) -> int:
        """How many of the beats not cut yet can be."""
        centres = self._centres(self._peaks)
        ready = centres + self._after <= self._end
        if self._delay:
            followed = np.arange(len(self._peaks)) < len(self._peaks) - 1
            ready &= followed | (settled - self._peaks >= LONGEST_S * self._fs)
        if self._contract.cut == "r-peak":  # all beats of a window at once
            ends = (centres // self._window + 1) * self._window
            ready &= (ends + self._after <= self._end) & (ends <= self._centres(np.array([settled])))
            ready &= ~np.isin(ends, ends[~ready])
        return int(np.argmin(np.append(ready, False)))

    def _cut(self, count: int, settled: int) -> Examples:
        samples, rest = np.split(self._peaks, [count])
        if count == 0:
            width = self._contract.frame
            return Examples(np.zeros((0, width), np.float32), np.zeros((0, 0), np.float32), _unknown(0), samples)
        late = int(samples[-1]) + math.ceil(LONGEST_S * self._fs)
        following = int(rest[0]) if len(rest) else late if late <= settled else None
        frames, rr = self._examples(samples, following)
        self._peaks, self._count = rest, self._count + count
        return Examples(frames, rr, _unknown(count), samples)

    def _examples(self, samples: np.ndarray, following: int | None) -> tuple[np.ndarray, np.ndarray]:
        contract, places = self._contract, self._centres(samples) - self._start
        names = [contract.rr_features, REGULAR_FEATURES]
        lost = self._across(samples, following)
        rr, rule = self._rhythm.features(samples, following, names, lost)
        if contract.takes_template:
            numbers = self._count + np.arange(len(samples))
            regular = are_regular(rule, numbers, contract.regular_beats, lost[:-1])
            wide = sig.frames(self._x.astype(np.float32), places, *reach(contract.fs))
            compared = self._template.compare(wide, regular)
            rr = np.concatenate([rr, template_features(compared, contract.template_features)], axis=1)
        match contract.cut:
            case "features":
                return rr, rr
            case "difference":
                return differences(compared), rr
            case "r-peak":
                return self._scaled(places), rr
            case _:
                before = contract.frame // 2
                return sig.frames(self._x.astype(np.float32), places, before, contract.frame - before), rr

    def _across(self, samples: np.ndarray, following: int | None) -> np.ndarray:
        """Whether signal was lost before each beat, since the one before it, and after the last; shape (n + 1,).

        Only the 3 s after a beat that an interval counts matter. What was lost before the first beat does not.
        """
        known = np.append(samples[0] if self._latest is None else self._latest, samples)
        after = counted_until(known, np.append(samples, NEVER if following is None else following), self._fs)
        lost = lost_between(self._lost.stretches, known, after)
        self._latest = int(samples[-1])
        self._lost.forget(self._latest)
        return lost

    def _scaled(self, places: np.ndarray) -> np.ndarray:
        """Frames from the R peak on, window after window; ``_x`` begins with one."""
        frames = []
        windows = np.minimum(places, len(self._x) - 1) // self._window
        for window in np.unique(windows).tolist():
            first = window * self._window
            peaks = places[windows == window] - first
            gap = float(np.median(np.diff(self._earlier))) if len(self._earlier) > 1 else None
            piece = self._x[first : first + self._window + self._contract.frame]
            frames.append(sig.frames_from_r_peaks(piece, peaks, self._contract.fs, self._contract.frame, gap))
            self._earlier = np.concatenate([self._earlier, peaks + first + self._start])[-LONGEST_HISTORY - 1 :]
        return np.concatenate(frames)

    def _forget(self, settled: int) -> None:
        """Drop the samples that no beat to come takes."""
        first = int(self._centres(self._peaks[:1] if len(self._peaks) else np.array([settled]))[0])
        needed = first // self._window * self._window if self._contract.cut == "r-peak" else first - self._before
        dropped = min(max(needed - self._start, 0), max(len(self._x) - 1, 0))
        if self._contract.cut == "r-peak":
            dropped -= dropped % self._window
        self._x, self._start = self._x[dropped:], self._start + dropped


def _around(contract: InputConfig) -> tuple[int, int]:
    """Samples before a beat and from it on that cutting it takes."""
    before, after = {
        "centred": (contract.frame // 2, contract.frame - contract.frame // 2),
        "difference": (0, 0),
        "features": (0, 0),
        "r-peak": (0, contract.frame),
    }[contract.cut]
    if contract.takes_template:
        wide = reach(contract.fs)
        return max(before, wide[0]), max(after, wide[1])
    return before, after


def _unknown(count: int) -> np.ndarray:
    return np.full(count, ord("?"), np.uint8)
