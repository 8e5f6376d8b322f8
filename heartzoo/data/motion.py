"""Made electrode motion: noise in the band of the QRS complex, which a wearable meets most and nobody can filter out.

nstdb's recording of it (``em``) may not be at hand, and is one recording; this is drawn anew for each record:

* ``steps``: the electrode shifts or is touched, and the potential jumps and returns, at times with a wobble;
* ``sway``: the body moves, and the potential wanders between some tenths of a hertz and some hertz;
* ``both``, equally strong.

All of it comes in bouts, weaker and stronger by turns. Nothing is fitted to a recording.

References:
    That electrode motion looks like ectopic beats and is the worst of the noises: Moody, Muldrow and Mark 1984, A noise
    stress test for arrhythmia detectors (Computers in Cardiology).
"""

from __future__ import annotations

import numpy as np

KINDS = ("steps", "sway", "both")
STEPS_PER_S = 1.2
RISE_S, DECAY_S = (0.02, 0.12), (0.08, 0.8)
WOBBLE_SHARE, WOBBLE_HZ = 0.4, (1.0, 6.0)
SWAY_HZ = (0.3, 1.5)
STEP_BOUT_S, SWAY_BOUT_S = 10.0, 2.0


def made_motion(fs: float, samples: int, rng: np.random.Generator) -> np.ndarray:
    """Make electrode motion, of a kind that is drawn.

    Args:
        fs: sampling rate, Hz.
        samples: how many.
        rng: what is drawn from.

    Returns:
        float64, shape (samples,), without unit.
    """
    kind = KINDS[rng.integers(len(KINDS))]
    parts = []
    if kind != "sway":
        parts.append(_steps(fs, samples, rng))
    if kind != "steps":
        parts.append(_sway(fs, samples, rng))
    return np.sum([part / max(part.std(), np.finfo(float).tiny) for part in parts], axis=0)


def _steps(fs: float, samples: int, rng: np.random.Generator) -> np.ndarray:
    found = np.zeros(samples)
    strength = _bouts(fs, samples, rng, STEP_BOUT_S, 1.0)
    for start in np.sort(rng.integers(samples, size=1 + rng.poisson(STEPS_PER_S * samples / fs))):
        rise, decay = (np.exp(rng.uniform(*np.log(range_s))) for range_s in (RISE_S, DECAY_S))
        t = np.arange(min(samples - start, round(fs * (rise + 6 * decay)))) / fs
        step = (1 - np.exp(-t / rise)) * np.exp(-t / decay)
        if rng.random() < WOBBLE_SHARE:
            step *= np.cos(2 * np.pi * rng.uniform(*WOBBLE_HZ) * t)
        found[start : start + len(t)] += rng.laplace() * strength[start] * step
    return found


def _sway(fs: float, samples: int, rng: np.random.Generator) -> np.ndarray:
    f = np.fft.rfftfreq(samples, 1 / fs)
    low, high = SWAY_HZ
    gain = f / (f + low) / np.sqrt(1 + (f / high) ** 4)
    return np.fft.irfft(np.fft.rfft(rng.standard_normal(samples)) * gain, samples) * _bouts(
        fs, samples, rng, SWAY_BOUT_S, 0.8
    )


def _bouts(fs: float, samples: int, rng: np.random.Generator, seconds: float, spread: float) -> np.ndarray:
    """How strong, sample by sample: log-normal, another value every so many seconds and a straight way between."""
    knots = rng.standard_normal(2 + int(samples / fs / seconds))
    return np.exp(spread * np.interp(np.arange(samples) / fs, seconds * np.arange(len(knots)), knots))
