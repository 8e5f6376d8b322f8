"""Random changes of training frames: shift, stretch, amplitude, baseline wander; muscle, white and recorded noise.

Noise comes in stretches cut from longer recordings, made or real, because making it anew for every batch would cost
more than a training step of a small network leaves idle.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from scipy import signal as dsp

from heartzoo.config import InputConfig
from heartzoo.config.training import AugmentationConfig
from heartzoo.data.rhythm import drown
from heartzoo.data.signal import stretches

NOISE_SAMPLES = 2**18


@dataclass(frozen=True)
class Noise:
    """Recordings of noise at the model's sampling rate, each of shape (recordings, samples), float32.

    Attributes:
        white: Gaussian white noise of root mean square 1.
        muscle: Gaussian noise above 10 Hz, of root mean square 1.
        recorded: real noise in mV; None where there is none.
    """

    white: np.ndarray
    muscle: np.ndarray
    recorded: np.ndarray | None = None

    @classmethod
    def make(cls, fs: float, seed: int, recorded: np.ndarray | None = None) -> Noise:
        """Make white and muscle noise.

        Args:
            fs: sampling rate in Hz.
            seed: seed of the noise.
            recorded: real noise to put beside it.
        """
        white, source = np.random.default_rng(seed).standard_normal((2, 1, NOISE_SAMPLES), np.float32)
        sos = dsp.butter(2, 10.0, "highpass", fs=fs, output="sos")
        muscle = dsp.sosfilt(sos, source, axis=1)
        return cls(white, (muscle / muscle.std()).astype(np.float32), recorded)


def augment(
    frames: np.ndarray,
    contract: InputConfig,
    augmentation: AugmentationConfig,
    noise: Noise,
    rng: np.random.Generator,
) -> np.ndarray:
    """Change frames at random and cut them to the model's length.

    Args:
        frames: float32, shape (n, frame + 2 * margin), in mV; the margin is what ``shift_s`` needs.
        contract: gives the sampling rate and the frame length.
        augmentation: what to do.
        noise: where noise is cut from; it needs ``recorded`` for ``nstdb_snr_db``.
        rng: the source of chance.

    Returns:
        float32, shape (n, frame).
    """
    a, n, length = augmentation, len(frames), contract.frame
    margin = (frames.shape[1] - length) // 2
    first = rng.integers(0, 2 * margin + 1, n)
    frames = sliding_window_view(frames, length, axis=1)[np.arange(n), first]  # a copy: the caller's stay
    if a.stretch:
        frames = _stretched(frames, a.stretch, rng)
    if a.amplitude:
        frames *= _uniform(1 - a.amplitude, 1 + a.amplitude, n, rng)
    if a.inverted_share:
        frames[rng.random(n) < a.inverted_share] *= -1
    if a.wander_mv:
        frames += _wander(n, length, contract.fs, a.wander_mv, rng)
    if a.muscle_mv:
        frames += _uniform(0, a.muscle_mv, n, rng) * stretches(noise.muscle, n, length, rng)
    if a.white_mv:
        frames += _uniform(0, a.white_mv, n, rng) * stretches(noise.white, n, length, rng)
    if a.nstdb_snr_db is not None and noise.recorded is not None:
        chosen = rng.random(n) < a.nstdb_share
        frames[chosen] = drown(frames[chosen], noise.recorded, a.nstdb_snr_db, rng)
    return frames


def augment_features(
    features: np.ndarray, augmentation: AugmentationConfig, noise: Noise, rng: np.random.Generator
) -> np.ndarray:
    """Add noise to the features beside a frame.

    Args:
        features: float32, shape (n, features), within -1 ... 1.
        augmentation: how much.
        noise: where it is cut from.
        rng: the source of chance.

    Returns:
        float32, shape (n, features).
    """
    if not augmentation.features:
        return features
    n, width = features.shape
    return features + _uniform(0, augmentation.features, n, rng) * stretches(noise.white, n, width, rng)


def _stretched(frames: np.ndarray, most: float, rng: np.random.Generator) -> np.ndarray:
    """Each frame slower or faster around ``frame // 2`` by a factor up to ``1 + most``, its ends as they are."""
    n, length = frames.shape
    speed = np.exp(_uniform(-np.log1p(most), np.log1p(most), n, rng))
    middle = length // 2
    place = np.clip(middle + speed * (np.arange(length, dtype=np.float32) - middle), 0, length - 1)
    before = place.astype(np.intp)
    after = np.minimum(before + 1, length - 1)
    part = place - before.astype(np.float32)
    return (1 - part) * np.take_along_axis(frames, before, 1) + part * np.take_along_axis(frames, after, 1)


def _uniform(low: float, high: float, n: int, rng: np.random.Generator) -> np.ndarray:
    """A number for each frame, float32, shape (n, 1)."""
    return rng.uniform(low, high, (n, 1)).astype(np.float32)


def _wander(n: int, length: int, fs: float, amplitude: float, rng: np.random.Generator) -> np.ndarray:
    time = np.arange(length, dtype=np.float32) / np.float32(fs)
    angular_frequency, phase = 2 * np.pi * _uniform(0.05, 0.7, n, rng), _uniform(0, 2 * np.pi, n, rng)
    return _uniform(0, amplitude, n, rng) * np.sin(angular_frequency * time + phase)
