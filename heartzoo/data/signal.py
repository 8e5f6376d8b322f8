"""Signal preparation on arrays: resampling, high-pass, frames, normalisation."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
from scipy import signal as dsp


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


def highpass(x: np.ndarray, fs: float, cutoff_hz: float) -> np.ndarray:
    """Causal Butterworth high-pass of second order, started in the steady state of the first sample.

    Args:
        x: shape (samples,).
        fs: sampling rate in Hz.
        cutoff_hz: -3 dB frequency in Hz, below ``fs / 2``.

    Returns:
        float64, shape (samples,).
    """
    sos = dsp.butter(2, cutoff_hz, "highpass", fs=fs, output="sos")
    y, _ = dsp.sosfilt(sos, x, zi=dsp.sosfilt_zi(sos) * x[0])
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
