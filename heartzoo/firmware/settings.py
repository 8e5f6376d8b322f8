"""What a firmware folder is made for, and the numbers of its filters."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from scipy import signal as dsp

from heartzoo.config import InputConfig, PrevalenceConfig
from heartzoo.config.export import HIGHEST_HZ, LOWEST_HZ
from heartzoo.data.signal import KAISER_BETA, RESAMPLING_REACH, resampling_ratio
from heartzoo.errors import UserError
from heartzoo.flatbuffer import ModelFacts


@dataclass(frozen=True)
class Settings:
    """What a firmware folder is made for.

    Attributes:
        name: the model's name.
        version: its version.
        contract: its preprocessing.
        facts: of its file.
        classes: class names in the order of the logits.
        temperature: of its confidence.
        threshold: below which it had better abstain; 0 where it has none.
        prevalence: which class's logit follows which prevalence.
        recording_hz: the recording's sampling rate.
        detects: whether R peaks are found, not given.
    """

    name: str
    version: str
    contract: InputConfig
    facts: ModelFacts
    classes: tuple[str, ...]
    temperature: float
    threshold: float
    prevalence: Mapping[str, PrevalenceConfig]
    recording_hz: int
    detects: bool

    @property
    def ratio(self) -> Fraction:
        """The model's sampling rate divided by the recording's."""
        return resampling_ratio(self.recording_hz, self.contract.fs)


def check(contract: InputConfig, name: str, recording_hz: float | None) -> int:
    """The sampling rate to resample from.

    Args:
        contract: the model's preprocessing.
        name: the model's name, for errors.
        recording_hz: what the user asks for; None for the model's own.

    Raises:
        UserError: a rate out of range, or a model whose input is not made as the samples come.
    """
    if contract.cut == "r-peak":
        raise UserError(
            f"{name} scales each frame by the whole 10 s window around it and takes the median interval of the record "
            "where a window has none: that is not done sample by sample",
            "take a model with another cut, such as those named -rr- or -res-",
        )
    hz = contract.fs if recording_hz is None else recording_hz
    if not (LOWEST_HZ <= hz <= HIGHEST_HZ and hz == int(hz)):
        raise UserError(
            f"a sampling rate of {hz:g} Hz; expected {LOWEST_HZ:g} to {HIGHEST_HZ:g}, a whole number",
            "resample the recording",
        )
    return int(hz)


def taps(ratio: Fraction) -> np.ndarray:
    """The filter of ``scipy.signal.resample_poly`` from its middle on, of which the other half is the mirror image.

    Returns:
        float64, shape (1 + 10 times the larger of up and down,).
    """
    longest = max(ratio.numerator, ratio.denominator)
    half = RESAMPLING_REACH * longest
    whole = dsp.firwin(2 * half + 1, 1 / longest, window=("kaiser", KAISER_BETA)) * ratio.numerator
    return np.asarray(whole[half:])


def sections(contract: InputConfig) -> np.ndarray:
    """The contract's filters as the C sources take them: see :func:`section`; shape (filters, 6)."""
    kinds = (("highpass", contract.highpass_hz), ("lowpass", contract.lowpass_hz))
    return np.array([section(contract.fs, cutoff, kind) for kind, cutoff in kinds if cutoff]).reshape(-1, 6)


def section(fs: float, cutoff_hz: float, kind: str) -> list[float]:
    """A second-order Butterworth filter in powers of ``d = z - 1``.

    Returns:
        Numerator (d^2, d, 1), denominator (d, 1), and the gain at 0 Hz.
    """
    (b0, b1, b2, _, a1, a2), *_ = dsp.butter(2, cutoff_hz, kind, fs=fs, output="sos").tolist()
    if kind == "highpass":  # (z - 1)^2: what rounding leaves of the rest would let the baseline through
        return [b0, 0.0, 0.0, 2 + a1, 1 + a1 + a2, 0.0]
    return [b0, 2 * b0 + b1, b0 + b1 + b2, 2 + a1, 1 + a1 + a2, 1.0]
