"""Signal preparation on arrays: resampling, filters, frames, normalisation."""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from scipy import signal as dsp

if TYPE_CHECKING:
    from heartzoo.config import InputConfig

WINDOW_S = 10.0
BEAT_LENGTH = 1.2  # of the window's median R-R interval
RESAMPLING_REACH = 10  # samples of the slower rate, to either side
KAISER_BETA = 5.0  # this and the reach are scipy.signal.resample_poly's


def resample(x: np.ndarray, fs: float, target_fs: float) -> np.ndarray:
    """Resample by a rational factor with SciPy's polyphase filter (Kaiser window, beta 5), edges continued.

    Args:
        x: shape (samples,).
        fs: sampling rate of ``x`` in Hz.
        target_fs: wanted sampling rate in Hz.

    Returns:
        float64, shape (ceil(samples * target_fs / fs),).
    """
    ratio = resampling_ratio(fs, target_fs)
    if ratio == 1:
        return np.asarray(x, np.float64)
    return dsp.resample_poly(np.asarray(x, np.float64), ratio.numerator, ratio.denominator, padtype="edge")


def resampling_ratio(fs: float, target_fs: float) -> Fraction:
    """``target_fs / fs`` in whole numbers of at most 10,000: both ways the same, and what positions go by, too."""
    slower, faster = sorted((Fraction(fs), Fraction(target_fs)))
    ratio = (slower / faster).limit_denominator(10_000)
    return ratio if fs >= target_fs else 1 / ratio


def resample_positions(samples: np.ndarray, fs: float, target_fs: float) -> np.ndarray:
    """Positions after resampling: ``floor(sample * target_fs / fs + 1/2)``, int64, of whole positions."""
    ratio = resampling_ratio(fs, target_fs)
    doubled = 2 * np.asarray(samples, np.int64) * ratio.numerator + ratio.denominator
    return doubled // (2 * ratio.denominator)


def prepared(x: np.ndarray, fs: float, contract: InputConfig) -> np.ndarray:
    """A recording in mV as the contract wants it before anything is cut: resampled and filtered.

    Args:
        x: shape (samples,).
        fs: its sampling rate in Hz.
        contract: gives the model's sampling rate and the filters.

    Returns:
        float64, shape (samples at the model's rate,).
    """
    x = resample(x, fs, contract.fs)
    for filter_ in _filters(contract):
        x = filter_.push(x)
    return x


def _filters(contract: InputConfig) -> list[Butterworth]:
    """The contract's filters, in order."""
    kinds: list[tuple[float | None, Literal["highpass", "lowpass"]]]
    kinds = [(contract.highpass_hz, "highpass"), (contract.lowpass_hz, "lowpass")]
    return [Butterworth(contract.fs, cutoff, kind) for cutoff, kind in kinds if cutoff is not None]


class Preparation:
    """:func:`prepared` for a recording that comes in pieces: the same values, whatever the pieces.

    Args:
        fs: the recording's sampling rate in Hz.
        contract: as for :func:`prepared`.
    """

    def __init__(self, fs: float, contract: InputConfig) -> None:
        self._resampler = Resampler(fs, contract.fs)
        self._filters = _filters(contract)

    def push(self, x: np.ndarray) -> np.ndarray:
        """Take the next samples, in mV; what of the prepared signal they make known, float64, shape (any,)."""
        return self._filtered(self._resampler.push(x))

    def finish(self) -> np.ndarray:
        """The rest of the prepared signal, when the recording ends."""
        return self._filtered(self._resampler.finish())

    def _filtered(self, x: np.ndarray) -> np.ndarray:
        for filter_ in self._filters:
            x = filter_.push(x)
        return x


class Resampler:
    """:func:`resample` for a signal that comes in pieces; ten samples of the slower rate later.

    Args:
        fs: its sampling rate in Hz.
        target_fs: wanted sampling rate in Hz.
    """

    def __init__(self, fs: float, target_fs: float) -> None:
        ratio = resampling_ratio(fs, target_fs)
        self._up, self._down = ratio.numerator, ratio.denominator
        longer = max(self._up, self._down)
        # taps on either side of the middle one, as in resample_poly
        self._reach = RESAMPLING_REACH * longer if longer > 1 else 0
        window = ("kaiser", KAISER_BETA)
        taps = dsp.firwin(2 * self._reach + 1, 1 / longer, window=window) if self._reach else np.ones(1)
        front = np.zeros(-self._reach % self._down)  # so that the middle one is on the grid of the outputs
        self._taps, self._middle = np.concatenate([front, self._up * taps]), self._reach + len(front)
        self._x, self._last = np.zeros(0), 0.0
        self._start = self._taken = self._given = 0

    def push(self, x: np.ndarray) -> np.ndarray:
        """Take the next samples; float64, what has become certain of the resampled signal."""
        x = np.asarray(x, np.float64)
        if len(x) == 0:
            return x
        if self._taken == 0:
            self._start = self._grid(-self._reach // self._up)
            self._x = np.full(-self._start, x[0])
        self._x, self._last = np.concatenate([self._x, x]), x[-1]
        self._taken += len(x)
        return self._until(max(((self._taken - 1) * self._up - self._reach) // self._down + 1, 0))

    def finish(self) -> np.ndarray:
        """The rest, when the signal ends; its last value goes on."""
        if self._taken == 0:
            return np.zeros(0)
        self._x = np.concatenate([self._x, np.full(self._reach // self._up + 1, self._last)])
        return self._until(-(-self._taken * self._up // self._down))

    def _grid(self, sample: int) -> int:
        """The last sample up to that one at which an output lies."""
        return sample // self._down * self._down

    def _until(self, stop: int) -> np.ndarray:
        """Outputs up to number ``stop``. What no later one needs is forgotten."""
        first = (self._middle - self._start * self._up) // self._down
        made = dsp.upfirdn(self._taps, self._x, self._up, self._down)[first + self._given : first + stop]
        self._given = max(stop, self._given)
        needed = self._grid((self._given * self._down - self._reach) // self._up)
        self._x, self._start = self._x[needed - self._start :], needed
        return np.asarray(made)


def highpass(x: np.ndarray, fs: float, cutoff_hz: float) -> np.ndarray:
    """Causal Butterworth high-pass of second order, started in the steady state of the first sample.

    Args:
        x: shape (samples,).
        fs: sampling rate in Hz.
        cutoff_hz: -3 dB frequency in Hz, below ``fs / 2``.

    Returns:
        float64, shape (samples,).
    """
    return Butterworth(fs, cutoff_hz, "highpass").push(x)


class Butterworth:
    """A causal Butterworth filter of second order that takes a signal in pieces, started in the first sample's state.

    Args:
        fs: sampling rate in Hz.
        cutoff_hz: -3 dB frequency in Hz, below ``fs / 2``.
        kind: which side of it passes.
    """

    def __init__(self, fs: float, cutoff_hz: float, kind: Literal["highpass", "lowpass"]) -> None:
        self._sos = dsp.butter(2, cutoff_hz, kind, fs=fs, output="sos")
        self._state: np.ndarray | None = None

    def push(self, x: np.ndarray) -> np.ndarray:
        """Filter the next samples; float64, as many. The same whatever pieces the signal comes in."""
        if len(x) == 0:
            return np.zeros(0)
        if self._state is None:
            self._state = dsp.sosfilt_zi(self._sos) * x[0]
        y, self._state = dsp.sosfilt(self._sos, x, zi=self._state)
        return np.asarray(y)


def frames(x: np.ndarray, centres: np.ndarray, before: int, after: int) -> np.ndarray:
    """Cut ``x[c - before : c + after]`` around every centre; beyond an end the edge value is repeated.

    Args:
        x: shape (samples,).
        centres: positions, shape (n,); they may lie a little outside the signal.
        before: samples taken before the centre.
        after: samples taken from the centre on.

    Returns:
        Array of shape (n, before + after), of the type of ``x``.
    """
    positions = np.asarray(centres)[:, None] + np.arange(-before, after)
    return x[np.clip(positions, 0, len(x) - 1)]


def stretches(recordings: np.ndarray, n: int, length: int, rng: np.random.Generator) -> np.ndarray:
    """Cut stretches from anywhere in some recordings.

    Args:
        recordings: shape (recordings, samples).
        n: number of stretches.
        length: samples in each.
        rng: the source of chance.

    Returns:
        Shape (n, length).
    """
    windows = sliding_window_view(recordings, length, axis=1)
    found: np.ndarray = windows[rng.integers(0, windows.shape[0], n), rng.integers(0, windows.shape[1], n)]
    return found


def frames_from_r_peaks(
    x: np.ndarray, peaks: np.ndarray, fs: float, length: int, usual_gap: float | None = None
) -> np.ndarray:
    """Cut and scale beats as the 187-sample "heartbeat" data set does.

    The signal falls into windows of 10 s. A frame starts at its R peak and lasts 1.2 times the median R-R interval of
    the peak's window (of the record, where the window holds fewer than two peaks); zeros follow. It is scaled so that
    the window's smallest value is 0 and its largest 1; what passes them in the next window is clipped.

    Args:
        x: shape (samples,).
        peaks: positions of the R peaks in order, shape (n,).
        fs: sampling rate in Hz.
        length: samples in a frame.
        usual_gap: samples between neighbouring peaks where a window holds fewer than two; default the record's median.

    Returns:
        float32, shape (n, length), from 0 to 1.

    References:
        Kachuee, Fazeli and Sarrafzadeh 2018, ECG Heartbeat Classification: A Deep Transferable Representation
        (IEEE ICHI).
    """
    width = round(WINDOW_S * fs)
    windows = np.pad(x, (0, -len(x) % width), mode="edge").reshape(-1, width)
    window = np.clip(peaks // width, 0, len(windows) - 1)
    low, high = windows.min(axis=1)[window, None], windows.max(axis=1)[window, None]
    lasts = np.floor(BEAT_LENGTH * _median_gaps(peaks, window, len(windows), usual_gap or _usual_gap(peaks, length)))[
        window, None
    ]
    offsets = np.arange(length)
    positions = peaks[:, None] + offsets
    cut = x[np.clip(positions, 0, len(x) - 1)] - low
    scaled = np.clip(np.divide(cut, high - low, out=np.zeros_like(cut), where=high > low), 0.0, 1.0)
    return np.where((offsets < lasts) & (positions < len(x)), scaled, 0.0).astype(np.float32)


def _usual_gap(peaks: np.ndarray, default: int) -> float:
    return float(np.median(np.diff(peaks))) if len(peaks) > 1 else float(default)


def _median_gaps(peaks: np.ndarray, window: np.ndarray, windows: int, default: float) -> np.ndarray:
    """Median distance of neighbouring peaks inside each window, in samples; shape (windows,)."""
    gaps = np.diff(peaks)
    medians = np.full(windows, default)
    inside = window[1:] == window[:-1]
    for index in np.unique(window[1:][inside]):
        medians[index] = np.median(gaps[inside & (window[1:] == index)])
    return medians


def normalise(x: np.ndarray, contract: InputConfig) -> np.ndarray:
    """Frames -> the values that the network takes: z-scored, unless the cut has scaled them already; float32.

    Args:
        x: shape (n, frame); in mV; for frames cut from the R peak on already from 0 to 1; for differences in sizes of
            the template's QRS, limited here to -1 ... 1; for features already so.
        contract: the preprocessing contract.
    """
    match contract.cut:
        case "r-peak" | "features":
            return np.asarray(x, np.float32)
        case "difference":
            return np.clip(np.asarray(x, np.float32), -1.0, 1.0)
        case _:
            return standardise(x, contract.epsilon)


def standardise(x: np.ndarray, epsilon: float) -> np.ndarray:
    """Per-frame z-score: ``(x - mean) / (standard deviation + epsilon)``; a flat frame becomes zeros.

    Args:
        x: float array, shape (n, samples), in mV.
        epsilon: mV, above 0; keeps a flat frame finite.

    Returns:
        float32, shape (n, samples).
    """
    x = np.asarray(x, np.float32)
    mean = x.mean(axis=1, keepdims=True, dtype=np.float64)
    deviation = x.std(axis=1, keepdims=True, dtype=np.float64)
    return ((x - mean) / (deviation + epsilon)).astype(np.float32)
