"""A signal that comes in pieces -> labelled beats."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from heartzoo.contract import RESAMPLING_REACH
from heartzoo.data.beat_stream import BeatStream
from heartzoo.data.beats import Examples
from heartzoo.data.detection import LOOK_AHEAD_S, Detector, lag_samples
from heartzoo.data.quality import Gaps, Quality, Stretch
from heartzoo.data.signal import Preparation, resample_positions
from heartzoo.errors import UserError
from heartzoo.zoo import PublishedModel, load_tflite

if TYPE_CHECKING:
    from heartzoo.config import InputConfig

DEFAULT_MODEL = "arr-5-rr-sm"
LOWEST_FS, HIGHEST_FS = 100.0, 1000.0
BLOCK_S = 600.0  # a longer piece is taken in blocks, so that memory stays bounded


@dataclass(frozen=True)
class Beat:
    """A labelled beat.

    Attributes:
        sample: its R peak, in samples from the start of the recording.
        time_s: the same in seconds.
        label: the model's class.
        confidence: that class's probability.
        abstained: the confidence is below the model's threshold: better not to rely on the label.
    """

    sample: int
    time_s: float
    label: str
    confidence: float
    abstained: bool


class Stream:
    """Takes a signal in pieces of any size and gives beats as they are decided; the same ones whatever the pieces.

    A beat is decided when the next one is found or can only come more than 3 s later (a model without features of the
    following interval does not wait for it), and the signal that the model looks at is there.

    Args:
        model: ``NAME`` or ``NAME@VERSION`` of the zoo, or what :func:`heartzoo.load_tflite` gave.
        fs: sampling rate of the signal in Hz, 100 to 1,000.
        r_peaks: R peaks that are known already, in samples of the signal, ascending, shape (n,); by default they are
            found, see :mod:`heartzoo.data.detection`.

    Attributes:
        model: the model.
        longest_delay_s: no beat is given later than this after its R peak, if the pieces come in time; usually it is
            the next R-R interval and .3 s.

    Raises:
        UserError: no such model, or one that labels frames by rhythm; a sampling rate out of range; R peaks that do not
            ascend.

    Example:
        >>> stream = Stream("arr-5-rr-sm", fs=250.0)
        >>> for piece in pieces:  # doctest: +SKIP
        ...     for beat in stream.push(piece):
        ...         print(beat.time_s, beat.label)
        >>> rest = stream.finish()
    """

    def __init__(self, model: str | PublishedModel, fs: float, r_peaks: np.ndarray | None = None) -> None:
        self.model = load_tflite(model) if isinstance(model, str) else model
        contract = self.model.config.input
        if contract.cut == "rhythm":
            raise UserError(f"{self.model.entry.name} labels frames by rhythm, not beats", f"take {DEFAULT_MODEL}")
        require_fs(fs)
        self._fs = float(fs)
        self._gaps, self._quality = Gaps(), Quality(fs)
        self._preparation = Preparation(self._fs, contract)
        self._peaks = _Found(self._fs, contract) if r_peaks is None else _Given(r_peaks)
        self._beats = BeatStream(contract, self._fs)
        confidence = self.model.entry.configuration.get("confidence", {})
        self._threshold = confidence.get("threshold") or 0.0
        self.longest_delay_s = self._beats.longest_wait_s + LOOK_AHEAD_S + RESAMPLING_REACH / min(fs, contract.fs)

    @property
    def quality(self) -> list[Stretch]:
        """The stretches of poor signal so far."""
        return list(self._quality.stretches)

    @property
    def missing(self) -> int:
        """How many samples so far were NaN or infinite; each was taken as the one before it."""
        return self._gaps.missing

    def push(self, signal: np.ndarray) -> list[Beat]:
        """Take the next samples.

        Args:
            signal: in mV, NaN where missing, shape (any,).

        Returns:
            The beats that are decided now, in order of time.

        Raises:
            UserError: not one row of numbers.
        """
        x = _numbers(signal)
        step = round(BLOCK_S * self._fs)
        return [beat for start in range(0, len(x), step) for beat in self._push(x[start : start + step])]

    def _push(self, x: np.ndarray) -> list[Beat]:
        self._quality.push(x)
        prepared = self._preparation.push(self._gaps.push(x))
        peaks = self._peaks.push(prepared, len(x))
        return self._labelled(self._beats.push(prepared, peaks, self._peaks.settled))

    def finish(self) -> list[Beat]:
        """The beats that are left when the signal ends. Nothing may be pushed after that."""
        self._quality.finish()
        prepared = np.concatenate([self._preparation.push(self._gaps.finish()), self._preparation.finish()])
        peaks = np.concatenate([self._peaks.push(prepared, 0), self._peaks.finish()])
        return self._labelled(self._beats.finish(prepared, peaks))

    def _labelled(self, examples: Examples) -> list[Beat]:
        if not len(examples.samples):
            return []
        rr = examples.rr if self.model.config.input.beat_features else None
        probabilities = self.model.probabilities(examples.frames, rr)
        return [
            Beat(sample, sample / self._fs, self.model.classes[called], confidence, confidence < self._threshold)
            for sample, called, confidence in zip(
                examples.samples.tolist(),
                probabilities.argmax(axis=1).tolist(),
                probabilities.max(axis=1).tolist(),
                strict=True,
            )
        ]


class _Found:
    """R peaks that a detector finds, in samples of the recording; none before ``settled`` will follow."""

    def __init__(self, fs: float, contract: InputConfig) -> None:
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
        self._peaks = np.asarray(peaks, np.int64)
        if self._peaks.ndim != 1 or (np.diff(self._peaks) < 0).any() or (self._peaks < 0).any():
            raise UserError("expected R peaks as ascending samples of the signal", "sort them")
        self.settled = 0

    def push(self, prepared: np.ndarray, samples: int) -> np.ndarray:
        before, self.settled = self.settled, self.settled + samples
        return self._peaks[(self._peaks >= before) & (self._peaks < self.settled)]

    def finish(self) -> np.ndarray:
        return self._peaks[self._peaks >= self.settled]


def require_fs(fs: float) -> None:
    """Refuse a sampling rate out of range.

    Raises:
        UserError: it is below 100 or above 1,000 Hz.
    """
    if not (math.isfinite(fs) and LOWEST_FS <= fs <= HIGHEST_FS):
        raise UserError(
            f"expected a sampling rate of {LOWEST_FS:g} to {HIGHEST_FS:g} Hz, found {fs:g}", "resample the recording"
        )


def _numbers(signal: np.ndarray) -> np.ndarray:
    x = np.asarray(signal)
    if x.ndim != 1 or x.dtype.kind not in "fiu":
        raise UserError(
            f"expected one row of numbers in mV, found shape {x.shape} of {x.dtype}", "choose one lead of the recording"
        )
    return x.astype(np.float64)
