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


def resample(x: np.ndarray, fs: float, target_fs: float) -> np.ndarray:
    """Resample by a rational factor with SciPy's polyphase filter (Kaiser window, beta 5), edges continued.

    Args:
        x: shape (samples,).
        fs: sampling rate of ``x`` in Hz.
        target_fs: wanted sampling rate in Hz.

    Returns:
        float64, shape (ceil(samples * target_fs / fs),).
    """
    ratio = (Fraction(target_fs) / Fraction(fs)).limit_denominator(10_000)
    if ratio == 1:
        return np.asarray(x, np.float64)
    return dsp.resample_poly(np.asarray(x, np.float64), ratio.numerator, ratio.denominator, padtype="edge")


def resample_positions(samples: np.ndarray, fs: float, target_fs: float) -> np.ndarray:
    """Positions after resampling: ``floor(sample * target_fs / fs + 1/2)``, int64."""
    return np.floor(np.asarray(samples) * target_fs / fs + 0.5).astype(np.int64)


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
    if contract.highpass_hz is not None:
        x = highpass(x, contract.fs, contract.highpass_hz)
    if contract.lowpass_hz is not None:
        x = lowpass(x, contract.fs, contract.lowpass_hz)
    return x


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


def lowpass(x: np.ndarray, fs: float, cutoff_hz: float) -> np.ndarray:
    """The low-pass of the same kind: see :func:`highpass`."""
    return Butterworth(fs, cutoff_hz, "lowpass").push(x)


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


def frames_from_r_peaks(x: np.ndarray, peaks: np.ndarray, fs: float, length: int) -> np.ndarray:
    """Cut and scale beats as the 187-sample "heartbeat" data set does.

    The signal falls into windows of 10 s. A frame starts at its R peak and lasts 1.2 times the median R-R interval of
    the peak's window (of the record, where the window holds fewer than two peaks); zeros follow. It is scaled so that
    the window's smallest value is 0 and its largest 1; what passes them in the next window is clipped.

    Args:
        x: shape (samples,).
        peaks: positions of the R peaks in order, shape (n,).
        fs: sampling rate in Hz.
        length: samples in a frame.

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
    lasts = np.floor(BEAT_LENGTH * _median_gaps(peaks, window, len(windows), length))[window, None]
    offsets = np.arange(length)
    positions = peaks[:, None] + offsets
    cut = x[np.clip(positions, 0, len(x) - 1)] - low
    scaled = np.clip(np.divide(cut, high - low, out=np.zeros_like(cut), where=high > low), 0.0, 1.0)
    return np.where((offsets < lasts) & (positions < len(x)), scaled, 0.0).astype(np.float32)


def _median_gaps(peaks: np.ndarray, window: np.ndarray, windows: int, default: int) -> np.ndarray:
    """Median distance of neighbouring peaks inside each window, in samples; shape (windows,)."""
    gaps = np.diff(peaks)
    medians = np.full(windows, float(np.median(gaps)) if len(gaps) else float(default))
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
