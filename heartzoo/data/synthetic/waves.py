"""The shapes of synthetic heart beats: each is a sum of Gaussian waves, drawn with all others at once.

References:
    McSharry, Clifford, Tarassenko and Smith 2003, IEEE Trans Biomed Eng 50(3):289-294 (the Gaussian waves).
"""

from __future__ import annotations

import numpy as np

# A beat is drawn from this long before its R peak to this long after it.
BEFORE_S, AFTER_S = 0.4, 0.7

# Kinds of beats: the rows of a patient's templates.
NORMAL, ATRIAL, FOCUS_1, FOCUS_2, FUSION, PACED = range(6)
# Waves of a beat: the rows of a template.
P, Q, R, S, R2, T, SPIKE = range(7)
_OFF = ((0.0, 0.0), (0.0, 0.0), (0.01, 0.01))
# Ranges from which a patient's waves are drawn: (amplitude in mV), (centre in s after the R peak), (width, sigma in s).
NARROW_RANGES = np.array([
    ((0.06, 0.18), (-0.20, -0.14), (0.018, 0.028)),
    ((-0.20, -0.02), (-0.040, -0.028), (0.007, 0.010)),
    ((0.5, 1.6), (0.0, 0.0), (0.009, 0.014)),
    ((-0.5, -0.05), (0.025, 0.038), (0.008, 0.014)),
    _OFF,
    ((-0.10, 0.45), (0.24, 0.32), (0.035, 0.060)),
    _OFF,
])  # fmt: skip
LEFT_BLOCK_RANGES = np.array([
    ((0.06, 0.16), (-0.22, -0.16), (0.018, 0.028)),
    _OFF,
    ((0.6, 1.2), (0.0, 0.0), (0.020, 0.026)),
    ((-0.3, -0.05), (0.10, 0.12), (0.020, 0.030)),
    ((0.4, 0.9), (0.045, 0.055), (0.020, 0.026)),
    ((-0.40, -0.15), (0.30, 0.36), (0.045, 0.065)),
    _OFF,
])  # fmt: skip
RIGHT_BLOCK_RANGES = np.array([
    ((0.06, 0.16), (-0.22, -0.16), (0.018, 0.028)),
    ((-0.15, -0.02), (-0.040, -0.030), (0.007, 0.010)),
    ((0.5, 1.3), (0.0, 0.0), (0.009, 0.014)),
    ((-0.7, -0.3), (0.045, 0.060), (0.018, 0.028)),
    ((0.0, 0.3), (0.09, 0.11), (0.012, 0.020)),
    ((0.10, 0.35), (0.27, 0.33), (0.040, 0.060)),
    _OFF,
])  # fmt: skip
_VENTRICULAR = np.array([
    _OFF,
    ((-0.3, 0.3), (-0.08, -0.05), (0.020, 0.030)),
    ((0.8, 1.8), (0.0, 0.0), (0.026, 0.042)),
    ((-0.8, 0.1), (0.075, 0.11), (0.024, 0.040)),
    _OFF,
    ((-0.6, -0.2), (0.28, 0.36), (0.050, 0.075)),
    _OFF,
])  # fmt: skip
_PACED = np.array([
    _OFF,
    ((-0.2, 0.1), (-0.035, -0.030), (0.010, 0.014)),
    ((0.7, 1.4), (0.0, 0.0), (0.028, 0.036)),
    ((-0.5, 0.0), (0.08, 0.10), (0.022, 0.032)),
    _OFF,
    ((-0.5, -0.2), (0.30, 0.36), (0.050, 0.070)),
    ((0.4, 1.5), (-0.065, -0.055), (0.0018, 0.0025)),
])  # fmt: skip


def draw_templates(rng: np.random.Generator, normal_ranges: np.ndarray) -> np.ndarray:
    """Draw a patient's waves.

    Args:
        rng: the source of chance.
        normal_ranges: ranges of the normal beats, shape (waves, 3, 2): :data:`NARROW_RANGES` or those of a block.

    Returns:
        Amplitude in mV, centre in s from the R peak and width in s by kind of beat, shape (kinds, waves, 3).
    """
    ranges = np.stack([normal_ranges, normal_ranges, _VENTRICULAR, _VENTRICULAR, _VENTRICULAR, _PACED])
    waves = rng.uniform(ranges[..., 0], ranges[..., 1])
    if rng.random() < 0.2:  # an electrical axis that points away from the lead
        waves[NORMAL, Q : R2 + 1, 0] *= -1
    # The fusion row is the ventricular part of fusion beats: a polarity opposite to the normal beat's would cancel it.
    waves[FUSION, Q : T + 1, 0] *= np.sign(waves[NORMAL, R, 0])
    waves[[FOCUS_1, FOCUS_2, PACED], Q : T + 1, 0] *= rng.choice([-1.0, 1.0], (3, 1))
    waves[ATRIAL] = waves[NORMAL]
    # The premature P wave starts elsewhere in the atria: smaller, absent or inverted, and nearer to the QRS complex.
    waves[ATRIAL, P, :2] *= rng.uniform((-1.0, 0.6), (0.3, 0.9))
    return waves


def fuse(normal: np.ndarray, ventricular: np.ndarray, share: np.ndarray) -> np.ndarray:
    """Waves of fusion beats, between a normal and a ventricular beat's.

    Args:
        normal: shape (waves, 3).
        ventricular: shape (waves, 3).
        share: share of the normal beat in each, 0 ... 1, shape (beats,).

    Returns:
        Shape (beats, waves, 3).
    """
    weight = share[:, None, None]
    fused: np.ndarray = weight * normal + (1 - weight) * ventricular
    return fused


def draw(times: np.ndarray, waves: np.ndarray, length: int, fs: float) -> np.ndarray:
    """Draw beats.

    Args:
        times: R peaks in s, shape (beats,).
        waves: amplitude in mV, centre in s from the R peak and width in s, shape (beats, waves, 3).
        length: samples of the signal.
        fs: sampling rate in Hz.

    Returns:
        float64, shape (length,), in mV.
    """
    window = np.arange(round(-BEFORE_S * fs), round(AFTER_S * fs))
    positions = np.round(times * fs).astype(np.int64)[:, None] + window
    time = positions / fs - times[:, None]
    drawn = np.zeros_like(time)
    for wave in range(waves.shape[1]):  # one wave of all beats at a time keeps memory small
        amplitude, centre, width = waves[:, wave, :, None].transpose(1, 0, 2)
        drawn += amplitude * np.exp(-0.5 * ((time - centre) / width) ** 2)
    inside = (positions >= 0) & (positions < length)
    return np.bincount(positions[inside], drawn[inside], length)
