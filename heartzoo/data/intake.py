"""A signal as it comes -> examples of its beats: what is missing filled in, its quality marked, an offset taken off."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from heartzoo.config import InputConfig
from heartzoo.data.beats import Examples
from heartzoo.data.front_end import FrontEnd
from heartzoo.data.quality import OFFSET_MV, Gaps, LostSignal, Quality, Stretch

BLOCK_S = 600.0  # a longer piece is taken in blocks, so that memory stays bounded


class Intake:
    """Takes a signal in pieces of any size; the same examples whatever the pieces.

    Args:
        contract: how a beat becomes an example; not one of rhythm frames.
        fs: sampling rate of the signal in Hz.
        r_peaks: R peaks that are known already, in samples of the signal, ascending, shape (n,); by default they are
            found.

    Attributes:
        longest_delay_s: no beat is given later than this after its R peak.

    Raises:
        UserError: R peaks that do not ascend.
    """

    def __init__(self, contract: InputConfig, fs: float, r_peaks: np.ndarray | None = None) -> None:
        self._fs = fs
        self._gaps, self._lost, self._quality = Gaps(fs), LostSignal(fs), Quality(fs)
        self._level: float | None = None
        self._front_end = FrontEnd(contract, fs, r_peaks, self._lost)
        self.longest_delay_s = self._front_end.longest_delay_s

    @property
    def quality(self) -> list[Stretch]:
        """The stretches of poor signal so far."""
        return list(self._quality.stretches)

    @property
    def missing(self) -> int:
        """How many samples so far were missing; each was taken as the one before it."""
        return self._gaps.missing

    def push(self, x: np.ndarray) -> Iterator[Examples]:
        """Take the next samples in mV, NaN where missing; the beats that can be cut now, a block at a time."""
        step = round(BLOCK_S * self._fs)
        for start in range(0, len(x), step):
            piece = x[start : start + step]
            self._quality.push(piece)
            self._lost.push(piece)
            for block in self._gaps.blocks(piece, step):
                yield self._front_end.push(self._less_level(block))

    def _less_level(self, x: np.ndarray) -> np.ndarray:
        """Less the signal's first value, where that is an electrode's offset."""
        if self._level is None and len(x):
            self._level = float(x[0]) if abs(x[0]) > OFFSET_MV else 0.0
        return x - (self._level or 0.0)

    def finish(self) -> list[Examples]:
        """The beats that are left when the signal ends.

        Raises:
            UserError: R peaks beyond it.
        """
        self._quality.finish()
        left, step = self._gaps.finish(), round(BLOCK_S * self._fs)
        blocks = (left[start : start + step] for start in range(0, len(left), step))
        return [*map(self._front_end.push, blocks), self._front_end.finish()]
