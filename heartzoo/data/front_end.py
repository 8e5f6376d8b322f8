"""From the samples of a recording, as they come, to examples of its beats: everything before the network."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from heartzoo.data.beat_stream import BeatStream
from heartzoo.data.beats import Examples
from heartzoo.data.detection import LOOK_AHEAD_S, Detector, lag_samples
from heartzoo.data.signal import RESAMPLING_REACH, Preparation, resample_positions
from heartzoo.errors import UserError

if TYPE_CHECKING:
    from heartzoo.config import InputConfig


class FrontEnd:
    """Takes a signal in pieces and gives the examples of its beats; the same ones whatever the pieces.

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
        self._preparation = Preparation(fs, contract)
        self._peaks = _Found(contract, fs) if r_peaks is None else _Given(r_peaks)
        self._beats = BeatStream(contract, fs)
        self.longest_delay_s = self._beats.longest_wait_s + LOOK_AHEAD_S + RESAMPLING_REACH / min(fs, contract.fs)

    def push(self, x: np.ndarray) -> Examples:
        """Take the next samples in mV, none missing; the beats that can be cut now."""
        prepared = self._preparation.push(x)
        return self._beats.push(prepared, self._peaks.push(prepared, len(x)), self._peaks.settled)

    def finish(self) -> Examples:
        """The beats that are left when the signal ends."""
        prepared = self._preparation.finish()
        peaks = np.concatenate([self._peaks.push(prepared, 0), self._peaks.finish()])
        return self._beats.finish(prepared, peaks)


class _Found:
    """R peaks that a detector finds, in samples of the recording; none before ``settled`` will follow."""

    def __init__(self, contract: InputConfig, fs: float) -> None:
        self._detector = Detector(contract.fs, lag_samples(contract))
        self._fs, self._contract_fs = fs, contract.fs
        self._seen = 0

    @property
    def settled(self) -> int:
        return int(self._in_recording(np.array([self._detector.settled]))[0])

    def push(self, prepared: np.ndarray, samples: int) -> np.ndarray:
        self._seen += samples
        return self._in_recording(self._detector.push(prepared))

    def finish(self) -> np.ndarray:
        return self._in_recording(self._detector.finish())

    def _in_recording(self, positions: np.ndarray) -> np.ndarray:
        return np.minimum(resample_positions(positions, self._contract_fs, self._fs), max(self._seen - 1, 0))


class _Given:
    """R peaks that were known before."""

    def __init__(self, peaks: np.ndarray) -> None:
        given = np.asarray(peaks)
        if len(fractions := given[~(given == np.floor(given))]):
            raise UserError(f"expected R peaks in samples, found {fractions[0]}", "multiply seconds by fs, and round")
        self._peaks = given.astype(np.int64)
        if self._peaks.ndim != 1 or (np.diff(self._peaks) < 0).any() or (self._peaks < 0).any():
            raise UserError("expected R peaks as ascending samples of the signal", "sort them")
        self.settled = 0

    def push(self, prepared: np.ndarray, samples: int) -> np.ndarray:
        before, self.settled = self.settled, self.settled + samples
        return self._peaks[(self._peaks >= before) & (self._peaks < self.settled)]

    def finish(self) -> np.ndarray:
        if len(after := self._peaks[self._peaks >= self.settled]):
            raise UserError(
                f"expected R peaks in samples of the signal, found {after[0]:,} of {self.settled:,}",
                "give both at the same sampling rate",
            )
        return after
