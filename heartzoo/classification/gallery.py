"""What a report shows of a signal, gathered while it passes: the mean beat of each class, strips of the surest ones."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from heartzoo.classification.stream import Beat
from heartzoo.data.quality import is_missing
from heartzoo.data.signal import frames

MEAN_BEFORE_S, MEAN_AFTER_S = 0.3, 0.5
STRIP_S = 4.0  # on either side of its beat
STRIPS = 3  # of each class


@dataclass(frozen=True)
class Strip:
    """The signal around a beat.

    Attributes:
        beat: the beat.
        start_s: where the strip begins.
        fs: its sampling rate in Hz.
        signal: mV, NaN where missing, shape (samples,).
        beats: the beats on it.
    """

    beat: Beat
    start_s: float
    fs: float
    signal: np.ndarray
    beats: tuple[Beat, ...]


class Gallery:
    """Gathers mean beats and the strips of the surest beats.

    Args:
        fs: sampling rate of the signal in Hz.
        shown: classes whose strips are kept.
        wait_s: how much later than its signal a beat may be decided.
    """

    def __init__(self, fs: float, shown: Sequence[str], wait_s: float) -> None:
        self._fs, self._reach, self._wait = fs, round(STRIP_S * fs), round(wait_s * fs)
        self._before, self._after = round(MEAN_BEFORE_S * fs), round(MEAN_AFTER_S * fs)
        self._x, self._start = np.zeros(0), 0
        self._beats: list[Beat] = []  # those that may still be on a strip
        self._done = 0  # how many of them were looked at
        self._sums: dict[str, np.ndarray] = {}
        self._counts: dict[str, int] = {}
        self._strips: dict[str, list[Strip]] = {name: [] for name in shown}

    @property
    def means(self) -> dict[str, np.ndarray]:
        """The mean beat of each class in mV, from 0.3 s before the R peak on, less its own mean."""
        return {name: total / self._counts[name] for name, total in sorted(self._sums.items())}

    @property
    def strips(self) -> list[Strip]:
        """The strips, class after class, the surest first."""
        return [strip for strips in self._strips.values() for strip in strips]

    def push(self, x: np.ndarray, beats: Sequence[Beat]) -> None:
        """Take the next samples, in mV, and the beats decided with them."""
        self._x = np.concatenate([self._x, np.where(is_missing(x), np.nan, x)])
        self._beats += beats
        end = self._start + len(self._x) - self._wait - self._reach
        self._look(sum(beat.sample <= end for beat in self._beats[self._done :]))
        self._forget()

    def finish(self, beats: Sequence[Beat]) -> None:
        """Take the last beats."""
        self._beats += beats
        self._look(len(self._beats) - self._done)

    def _look(self, count: int) -> None:
        """Look at the next beats, whose surroundings are known."""
        new = self._beats[self._done : self._done + count]
        self._done += count
        # Of beats that were withheld for longer, before the first known sample, the signal has gone.
        new = [beat for beat in new if not self._start or beat.sample - self._reach >= self._start]
        for name in {beat.label for beat in new}:
            self._average(name, np.array([beat.sample for beat in new if beat.label == name]))
        for beat in new:
            if beat.label in self._strips:
                self._consider(beat)

    def _average(self, name: str, samples: np.ndarray) -> None:
        cut = frames(self._x, samples - self._start, self._before, self._after)
        cut = cut[np.isfinite(cut).all(axis=1)]
        if len(cut):
            cut = cut - cut.mean(axis=1, keepdims=True)
            self._sums[name] = self._sums.get(name, 0.0) + cut.sum(axis=0)
            self._counts[name] = self._counts.get(name, 0) + len(cut)

    def _consider(self, beat: Beat) -> None:
        kept = self._strips[beat.label]
        if len(kept) == STRIPS and beat.confidence <= kept[-1].beat.confidence:
            return
        near = [strip for strip in kept if abs(strip.beat.time_s - beat.time_s) < 2 * STRIP_S]
        if any(strip.beat.confidence >= beat.confidence for strip in near):
            return
        others = [strip for strip in kept if strip not in near]
        ranked = sorted([*others, self._strip(beat)], key=lambda strip: -strip.beat.confidence)
        self._strips[beat.label] = ranked[:STRIPS]

    def _strip(self, beat: Beat) -> Strip:
        first = max(beat.sample - self._reach, 0)
        here = first - self._start
        signal = self._x[here : here + beat.sample - first + self._reach].copy()
        last = first + len(signal)
        beats = tuple(other for other in self._beats if first <= other.sample < last)
        return Strip(beat, first / self._fs, self._fs, signal, beats)

    def _forget(self) -> None:
        """Drop what no strip of a beat to come shows."""
        waiting = self._beats[self._done :]
        latest = max(self._start + len(self._x) - self._wait, 0)
        first = (min(waiting[0].sample, latest) if waiting else latest) - self._reach
        kept = [beat for beat in self._beats if beat.sample >= first]
        self._done -= len(self._beats) - len(kept)
        dropped = min(max(first - self._start, 0), max(len(self._x) - 1, 0))
        self._x, self._start, self._beats = self._x[dropped:], self._start + dropped, kept
