"""Made electrode motion: at any length and rate, in the band of the QRS complex, in bouts, other at each draw."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from heartzoo.data.motion import made_motion


@settings(max_examples=40)
@given(fs=st.floats(50, 1000), samples=st.integers(1, 20_000), seed=st.integers(0, 2**32 - 1))
def test_made_of_any_length_and_the_same_again(fs: float, samples: int, seed: int) -> None:
    found = made_motion(fs, samples, np.random.default_rng(seed))
    assert found.shape == (samples,) and np.isfinite(found).all()
    assert np.array_equal(found, made_motion(fs, samples, np.random.default_rng(seed)))


@pytest.mark.parametrize("fs", [125.0, 360.0])
def test_lies_where_qrs_complexes_lie_at_every_rate(fs: float) -> None:
    shares = []
    for seed in range(12):
        motion = made_motion(fs, round(600 * fs), np.random.default_rng(seed))
        power, f = np.abs(np.fft.rfft(motion)) ** 2, np.fft.rfftfreq(len(motion), 1 / fs)
        shares.append([power[(f >= low) & (f < high)].sum() / power.sum() for low, high in ((0.5, 20), (20, fs))])
    inside, above = np.mean(shares, axis=0)
    assert inside > 0.5 and above < 0.05


def test_comes_in_bouts() -> None:
    """Of even noise the strongest ten seconds of ten minutes are little stronger than the rest."""
    for seed in range(6):
        motion = made_motion(100.0, 60_000, np.random.default_rng(seed))
        power = np.mean(motion.reshape(-1, 1000) ** 2, axis=1)
        assert power.max() > 2 * np.median(power)


def test_steps_sway_and_both_are_drawn() -> None:
    """Steps have the more power above 6 Hz; of equally strong ones together it is between."""
    fast = []
    for seed in range(30):
        motion = made_motion(100.0, 30_000, np.random.default_rng(seed))
        power, f = np.abs(np.fft.rfft(motion)) ** 2, np.fft.rfftfreq(30_000, 0.01)
        fast.append(power[f > 6].sum() / power[f > 0.5].sum())
    sway, both, steps = np.histogram(fast, [0, 0.013, 0.031, 1])[0]
    assert min(sway, both, steps) >= 4
