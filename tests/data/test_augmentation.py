"""Augmentation: each change does what its description says, and nothing more."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from heartzoo.config import InputConfig
from heartzoo.config.training import AugmentationConfig
from heartzoo.data.augmentation import Noise, augment, augment_features
from heartzoo.data.batches import model_inputs
from heartzoo.data.signal import stretches

CONTRACT = InputConfig(fs=100.0, frame=128)
MADE = Noise.make(CONTRACT.fs, seed=0)

RAMPS = np.tile(np.arange(148.0, dtype=np.float32), (500, 1))  # a frame of 128 with 10 samples on both sides


def changed(frames: np.ndarray, recorded: np.ndarray | None = None, **changes: Any) -> np.ndarray:
    noise = Noise(MADE.white, MADE.muscle, recorded)
    before = frames.copy()
    found = augment(frames, CONTRACT, AugmentationConfig(**changes), noise, np.random.default_rng(0))
    np.testing.assert_array_equal(frames, before)  # the caller's are left as they are
    assert found.shape == (len(frames), 128)
    assert found.dtype == np.float32
    return found


def test_nothing_asked_nothing_changed() -> None:
    np.testing.assert_array_equal(changed(RAMPS[:, 10:-10]), RAMPS[:, 10:-10])


def test_a_shift_only_moves() -> None:
    found = changed(RAMPS, shift_s=0.1)
    np.testing.assert_array_equal(np.diff(found, axis=1), 1.0)
    assert set(found[:, 0].tolist()) == set(range(21))  # every shift from -10 to 10 samples


def test_a_stretch_turns_around_the_beat() -> None:
    ramps = np.tile(np.arange(128.0, dtype=np.float32) - 64, (2000, 1))
    found = changed(ramps, stretch=0.25)
    np.testing.assert_array_equal(found[:, 64], 0)  # the R peak stays where it was
    speeds = found[:, 65] - found[:, 64]
    assert 1 / 1.25 <= speeds.min() < 0.82 and 1.23 < speeds.max() <= 1.25
    assert np.median(speeds) == pytest.approx(1, abs=0.02)
    # a ramp becomes a ramp as steep as the beat is fast, until the frame that was given ends
    np.testing.assert_allclose(found, np.clip(speeds[:, None] * ramps, -64, 63), atol=1e-3)


def test_amplitude_stays_within_its_bounds() -> None:
    factors = changed(np.ones((2000, 128), np.float32), amplitude=0.3)
    assert (factors == factors[:, :1]).all()
    assert 0.7 <= factors.min() < 0.72
    assert 1.28 < factors.max() <= 1.3


def test_some_frames_are_turned_upside_down() -> None:
    signs = changed(np.ones((2000, 128), np.float32), inverted_share=0.25)
    assert (signs == signs[:, :1]).all() and set(signs[:, 0].tolist()) == {-1.0, 1.0}
    assert (signs[:, 0] < 0).mean() == pytest.approx(0.25, abs=0.04)


def test_noise_on_features_is_each_example_s_own_and_bounded() -> None:
    features, rng = np.zeros((2000, 40), np.float32), np.random.default_rng(0)
    assert augment_features(features, AugmentationConfig(), MADE, rng) is features
    found = augment_features(features, AugmentationConfig(features=0.1), MADE, rng)
    assert found.shape == features.shape and found.dtype == np.float32 and not features.any()
    sizes = np.sqrt((found**2).mean(axis=1))
    assert sizes.min() < 0.01 and 0.08 < sizes.max() < 0.15
    assert sizes.mean() == pytest.approx(0.05, rel=0.1)


def test_wander_is_slow_and_bounded() -> None:
    found = changed(np.zeros((500, 128), np.float32), wander_mv=0.5)
    assert 0.3 < np.abs(found).max() <= 0.5
    assert np.abs(np.diff(found, axis=1)).max() <= 0.5 * 2 * np.pi * 0.7 / 100


def test_muscle_noise_is_fast_and_bounded() -> None:
    found = changed(np.zeros((500, 128), np.float32), muscle_mv=0.2)
    rms = found.std(axis=1)
    assert 0.18 < rms.max() < 0.26
    power = (np.abs(np.fft.rfft(found, axis=1)) ** 2).mean(axis=0)
    frequency = np.fft.rfftfreq(128, 0.01)
    assert power[frequency < 5].mean() < 0.1 * power[frequency > 15].mean()


def test_white_noise_is_bounded() -> None:
    rms = changed(np.zeros((500, 128), np.float32), white_mv=0.1).std(axis=1)
    assert 0.08 < rms.max() < 0.13
    assert rms.mean() == pytest.approx(0.05, abs=0.01)


def test_recorded_noise_has_the_ratio_asked_for() -> None:
    rng = np.random.default_rng(1)
    frames = rng.normal(0.3, 1.0, (400, 128)).astype(np.float32)
    noise = np.stack([rng.normal(2.0, 3.0, 5000), rng.normal(-1.0, 0.1, 5000)]).astype(np.float32)
    for low, high in ((6.0, 6.0), (-6.0, 18.0)):
        added = changed(frames, noise, nstdb_snr_db=[low, high], nstdb_share=1.0) - frames
        snr = 20 * np.log10(frames.std(axis=1) / added.std(axis=1))
        assert snr.min() == pytest.approx(low, abs=0.3)
        assert snr.max() == pytest.approx(high, abs=0.3)
        np.testing.assert_allclose(added.mean(axis=1), 0.0, atol=1e-5)


def test_recorded_noise_comes_to_the_share_of_frames_asked_for() -> None:
    frames = np.random.default_rng(1).normal(0, 1, (2000, 128)).astype(np.float32)
    noise = np.random.default_rng(2).standard_normal((1, 5000), np.float32)
    same = (changed(frames, noise, nstdb_snr_db=[6.0, 6.0], nstdb_share=0.25) == frames).all(axis=1)
    assert same.mean() == pytest.approx(0.75, abs=0.04)
    np.testing.assert_array_equal(changed(frames, noise, nstdb_snr_db=[6.0, 6.0], nstdb_share=0.0), frames)


@settings(max_examples=25)
@given(seed=st.integers(0, 1000), flat=st.booleans())
def test_everything_at_once_stays_finite(seed: int, flat: bool) -> None:
    rng = np.random.default_rng(seed)
    frames = np.zeros((8, 148), np.float32) if flat else rng.normal(0, 1, (8, 148)).astype(np.float32)
    everything = AugmentationConfig(
        amplitude=0.9,
        inverted_share=0.5,
        shift_s=0.1,
        stretch=0.3,
        wander_mv=1,
        muscle_mv=1,
        white_mv=1,
        nstdb_snr_db=(-6, 24),
        nstdb_share=0.5,
    )
    recorded = np.stack([np.zeros(500), rng.normal(0, 1, 500)]).astype(np.float32)
    found = augment(frames, CONTRACT, everything, Noise(MADE.white, MADE.muscle, recorded), rng)
    assert np.isfinite(found).all()
    assert np.isfinite(model_inputs(found, np.zeros((8, 0)), CONTRACT)["signal"]).all()


@settings(max_examples=20)
@given(recordings=st.integers(1, 3), extra=st.integers(0, 20))
def test_noise_is_cut_from_anywhere_in_every_recording(recordings: int, extra: int) -> None:
    samples = 128 + extra
    ramps = np.arange(recordings * samples, dtype=np.float32).reshape(recordings, samples)
    found = stretches(ramps, 2000, 128, np.random.default_rng(0))
    np.testing.assert_array_equal(np.diff(found, axis=1), 1.0)
    starts = {(int(first) // samples, int(first) % samples) for first in found[:, 0]}
    assert starts == {(source, start) for source in range(recordings) for start in range(extra + 1)}


def test_noise_is_that_of_its_seed() -> None:
    again, other = Noise.make(100.0, seed=0), Noise.make(100.0, seed=1)
    for name in ("white", "muscle"):
        np.testing.assert_array_equal(getattr(again, name), getattr(MADE, name))
        assert (getattr(other, name) != getattr(MADE, name)).any()
