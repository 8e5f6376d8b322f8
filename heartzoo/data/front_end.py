"""From the samples of a recording, as they come, to examples of its beats: everything before the network."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from heartzoo.data.beat_stream import BeatStream
from heartzoo.data.beats import Examples
from heartzoo.data.detection import LOOK_AHEAD_S, Detector, lag_samples
from heartzoo.data.quality import LostSignal
from heartzoo.data.r_peaks import as_r_peaks, refuse_past_end
from heartzoo.data.signal import RESAMPLING_REACH, Preparation, resample_positions

if TYPE_CHECKING:
    from heartzoo.config import InputConfig


class FrontEnd:
    """Takes a signal in pieces and gives the examples of its beats; the same ones whatever the pieces.

    Args:
        contract: how a beat becomes an example; not one of rhythm frames.
        fs: sampling rate of the signal in Hz.
        r_peaks: R peaks that are known already, in samples of the signal, ascending, shape (n,); by default they are
            found.
        lost: where signal was lost, as far as the recording has come; by default nowhere.

    Attributes:
        longest_delay_s: no beat is given later than this after its R peak.

    Raises:
        UserError: R peaks that do not ascend, or at the end some that lie beyond it.
    """

    def __init__(
        self, contract: InputConfig, fs: float, r_peaks: np.ndarray | None = None, lost: LostSignal | None = None
    ) -> None:
        self._preparation = Preparation(fs, contract)
        self._peaks = _Found(contract, fs) if r_peaks is None else _Given(r_peaks, fs)
        self._beats = BeatStream(contract, fs, lost)
        self._length = 0
        self.longest_delay_s = self._beats.longest_wait_s + LOOK_AHEAD_S + RESAMPLING_REACH / min(fs, contract.fs)

    def push(self, x: np.ndarray) -> Examples:
        """Take the next samples in mV, none missing; the beats that can be cut now."""
        self._length += len(x)
        prepared = self._preparation.push(x)
        return self._beats.push(prepared, self._peaks.push(prepared, len(x)), self._peaks.settled)

    def finish(self) -> Examples:
        """The beats that are left when the signal ends."""
        prepared = self._preparation.finish()
        peaks = np.concatenate([self._peaks.push(prepared, 0), self._peaks.finish()])
        return self._beats.finish(prepared, peaks, self._length)


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

    def __init__(self, peaks: np.ndarray, fs: float) -> None:
        self._peaks, self._fs = as_r_peaks(peaks), fs
        self.settled = 0

    def push(self, prepared: np.ndarray, samples: int) -> np.ndarray:
        before, self.settled = self.settled, self.settled + samples
        return self._peaks[(self._peaks >= before) & (self._peaks < self.settled)]

    def finish(self) -> np.ndarray:
        refuse_past_end(self._peaks, self.settled, self._fs)
        return self._peaks[self._peaks >= self.settled]
