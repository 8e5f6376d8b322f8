"""Signal preparation: properties that hold for every signal."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from scipy import signal as dsp

from heartzoo.config import InputConfig
from heartzoo.data.signal import (
    Preparation,
    Resampler,
    frames,
    frames_from_r_peaks,
    highpass,
    prepared,
    resample,
    resample_positions,
    resampling_ratio,
    standardise,
)

HZ = [100.0, 125.0, 128.0, 180.0, 250.0, 360.0, 500.0]
RATES = st.sampled_from(HZ)
MILLIVOLTS = st.floats(-20, 20, allow_nan=False, width=32)
SEEDS = st.integers(0, 2**32 - 1)
quick = settings(max_examples=60)


def signals(shortest: int = 1, longest: int = 400) -> st.SearchStrategy[np.ndarray]:
    return arrays.arrays(np.float64, st.integers(shortest, longest), elements=MILLIVOLTS)


# Resampling


@quick
@given(x=signals(), fs=RATES, target=RATES)
def test_resampled_length(x: np.ndarray, fs: float, target: float) -> None:
    expected = math.ceil(len(x) * Fraction(target) / Fraction(fs))
    y = resample(x, fs, target)
    assert y.shape == (expected,)
    assert y.dtype == np.float64
    assert np.isfinite(y).all()


@quick
@given(level=MILLIVOLTS, n=st.integers(1, 2000), fs=RATES, target=RATES)
def test_resampling_keeps_a_constant_up_to_the_edges(level: float, n: int, fs: float, target: float) -> None:
    # SciPy's filter has a ripple of about 0.1 % at DC
    np.testing.assert_allclose(resample(np.full(n, level), fs, target), level, rtol=2e-3, atol=1e-9)


@quick
@given(frequency=st.floats(0.5, 25.0), phase=st.floats(0, 6.28), fs=RATES, target=RATES)
def test_resampling_keeps_a_sine(frequency: float, phase: float, fs: float, target: float) -> None:
    def sine(rate: float, n: int) -> np.ndarray:
        return np.sin(2 * np.pi * frequency * np.arange(n) / rate + phase)

    y = resample(sine(fs, round(4 * fs)), fs, target)
    inside = slice(round(0.5 * target), round(3.5 * target))
    np.testing.assert_allclose(y[inside], sine(target, len(y))[inside], atol=0.02)


def test_resampling_takes_out_what_the_new_rate_cannot_hold() -> None:
    y = resample(np.sin(2 * np.pi * 80 * np.arange(3600) / 360), 360, 100)
    assert np.abs(y[100:-100]).max() < 0.02


@quick
@given(x=signals(), fs=RATES)
def test_the_same_rate_changes_nothing(x: np.ndarray, fs: float) -> None:
    np.testing.assert_array_equal(resample(x, fs, fs), x)


@quick
@given(samples=arrays.arrays(np.int64, st.integers(0, 50), elements=st.integers(0, 10**7)), fs=RATES, target=RATES)
def test_positions_round_half_up(samples: np.ndarray, fs: float, target: float) -> None:
    exact = [math.floor(int(s) * Fraction(target) / Fraction(fs) + Fraction(1, 2)) for s in samples]
    found = resample_positions(samples, fs, target)
    assert found.dtype == np.int64
    assert found.tolist() == exact


@given(seconds=st.integers(0, 200_000), fs=st.floats(99.0, 1001.0), target=RATES)
def test_positions_and_signal_go_by_the_same_ratio_and_back(seconds: int, fs: float, target: float) -> None:
    ratio = resampling_ratio(fs, target)
    assert max(ratio.numerator, ratio.denominator) <= 10_000 and resampling_ratio(target, fs) == 1 / ratio
    sample = np.array([round(seconds * fs)])
    there = resample_positions(sample, fs, target)
    assert there == math.floor(int(sample[0]) * ratio + Fraction(1, 2))
    assert abs(resample_positions(there, target, fs) - sample) <= math.ceil(1 / (2 * ratio)) + 1


def test_positions_are_those_of_the_resampled_peaks() -> None:
    x = np.zeros(36_000)
    samples = np.arange(720, 35_000, 501)
    bump = dsp.windows.gaussian(73, 9)
    for sample in samples:
        x[sample - 36 : sample + 37] += bump
    y = resample(x, 360, 100)
    for position in resample_positions(samples, 360, 100):
        assert abs(y[position - 10 : position + 11].argmax() - 10) <= 1


def in_pieces(x: np.ndarray, seed: int) -> list[np.ndarray]:
    rng = np.random.default_rng(seed)
    return np.split(x, np.sort(rng.integers(0, len(x) + 1, rng.integers(0, 20))))


@quick
@given(x=signals(), seed=SEEDS, fs=st.sampled_from([*HZ, 257.0, 1000.0]), target=RATES)
def test_resampling_in_pieces_is_resampling(x: np.ndarray, seed: int, fs: float, target: float) -> None:
    resampler = Resampler(fs, target)
    found = np.concatenate([*map(resampler.push, in_pieces(x, seed)), resampler.finish()])
    np.testing.assert_allclose(found, resample(x, fs, target), rtol=0, atol=1e-12)


@quick
@given(x=signals(), seed=SEEDS, highpass_hz=st.sampled_from([None, 0.5]), lowpass_hz=st.sampled_from([None, 25.0]))
def test_preparing_in_pieces_is_preparing(
    x: np.ndarray, seed: int, highpass_hz: float | None, lowpass_hz: float | None
) -> None:
    contract = InputConfig(highpass_hz=highpass_hz, lowpass_hz=lowpass_hz)
    preparation = Preparation(360.0, contract)
    found = np.concatenate([*map(preparation.push, in_pieces(x, seed)), preparation.finish()])
    np.testing.assert_allclose(found, prepared(x, 360.0, contract), rtol=0, atol=1e-12)


def test_resampling_in_pieces_keeps_little() -> None:
    resampler = Resampler(360.0, 100.0)
    made = [len(resampler.push(np.ones(360))) for _ in range(60)]
    assert set(made[1:]) == {100}
    assert resampler.finish().shape == (6000 - sum(made),)


# High-pass


@quick
@given(x=signals(10, 500), cut=st.integers(1, 9), seed=SEEDS, cutoff=st.floats(0.05, 5.0))
def test_the_highpass_is_causal(x: np.ndarray, cut: int, seed: int, cutoff: float) -> None:
    other = x.copy()
    here = len(x) * cut // 10
    other[here:] = np.random.default_rng(seed).normal(0, 5, len(x) - here)
    np.testing.assert_array_equal(highpass(x, 100.0, cutoff)[:here], highpass(other, 100.0, cutoff)[:here])


@quick
@given(level=MILLIVOLTS, n=st.integers(1, 2000), cutoff=st.floats(0.05, 5.0))
def test_the_highpass_starts_settled(level: float, n: int, cutoff: float) -> None:
    np.testing.assert_allclose(highpass(np.full(n, level), 100.0, cutoff), 0.0, atol=1e-6)


@pytest.mark.parametrize(("frequency", "gain"), [(0.05, 0.01), (0.5, 0.7071), (5.0, 1.0)])
def test_the_highpass_response(frequency: float, gain: float) -> None:
    y = highpass(np.sin(2 * np.pi * frequency * np.arange(20_000) / 100.0), 100.0, 0.5)
    assert np.abs(y[10_000:]).max() == pytest.approx(gain, abs=0.01)


# Frames


@quick
@given(data=st.data(), x=signals(1, 60), before=st.integers(0, 40), after=st.integers(1, 40))
def test_frames_are_cut_or_padded_with_the_edge_value(
    data: st.DataObject, x: np.ndarray, before: int, after: int
) -> None:
    centres = np.array(data.draw(st.lists(st.integers(-5, len(x) + 5), max_size=8)), np.int64)
    found = frames(x, centres, before, after)
    assert found.shape == (len(centres), before + after)
    assert found.dtype == x.dtype
    for centre, frame in zip(centres, found, strict=True):
        expected = [x[min(max(int(i), 0), len(x) - 1)] for i in range(centre - before, centre + after)]
        np.testing.assert_array_equal(frame, expected)


# Normalisation


def batches() -> st.SearchStrategy[np.ndarray]:
    shape = st.tuples(st.integers(1, 5), st.integers(1, 200))
    return arrays.arrays(np.float32, shape, elements=MILLIVOLTS)


@quick
@given(x=batches(), epsilon=st.floats(1e-4, 1.0))
def test_standardised_frames_are_finite_and_centred(x: np.ndarray, epsilon: float) -> None:
    z = standardise(x, epsilon)
    assert z.dtype == np.float32
    assert np.isfinite(z).all()
    deviation = x.astype(np.float64).std(axis=1)
    # float32 rounds an offset of up to 20 mV by some 1e-6 mV, which a small epsilon enlarges
    np.testing.assert_allclose(z.mean(axis=1, dtype=np.float64), 0.0, atol=1e-5 / epsilon)
    np.testing.assert_allclose(z.std(axis=1, dtype=np.float64), deviation / (deviation + epsilon), atol=1e-5 / epsilon)


@quick
@given(level=MILLIVOLTS, n=st.integers(1, 600), epsilon=st.floats(1e-4, 1.0))
def test_a_flat_frame_becomes_zeros(level: float, n: int, epsilon: float) -> None:
    assert not standardise(np.full((2, n), level, np.float32), epsilon).any()


@quick
@given(seed=SEEDS, scale=st.floats(0.5, 50.0), offset=st.floats(-5, 5))
def test_scale_and_offset_hardly_matter(seed: int, scale: float, offset: float) -> None:
    """An uncalibrated record looks like a calibrated one, as long as its deviation is far above epsilon."""
    x = np.random.default_rng(seed).normal(0, 1, (3, 256))
    np.testing.assert_allclose(standardise(scale * x + offset, 0.01), standardise(x, 0.01), atol=0.15)
    np.testing.assert_allclose(standardise(x + offset, 0.01), standardise(x, 0.01), atol=1e-4)
    np.testing.assert_allclose(standardise(-x, 0.01), -standardise(x, 0.01), atol=1e-6)


def test_epsilon_keeps_a_tiny_noise_small() -> None:
    assert np.abs(standardise(np.random.default_rng(0).normal(0, 1e-4, (1, 500)), 0.01)).max() < 0.1


# Frames from the R peak on


def from_r_peaks_one_by_one(x: np.ndarray, peaks: np.ndarray, fs: float, length: int) -> np.ndarray:
    """The same from the words of the configuration, beat by beat."""
    width = round(10 * fs)
    last = (len(x) - 1) // width
    of = [min(int(c) // width, last) for c in peaks]
    found = np.zeros((len(peaks), length))
    for k, c in enumerate(peaks):
        window = x[of[k] * width : (of[k] + 1) * width]
        gaps = [peaks[j + 1] - peaks[j] for j in range(len(peaks) - 1) if of[j] == of[j + 1] == of[k]]
        t = np.median(gaps or np.diff(peaks)) if len(peaks) > 1 else length
        for i in range(length):
            if i < math.floor(1.2 * t) and c + i < len(x) and window.max() > window.min():
                found[k, i] = min(max((x[c + i] - window.min()) / (window.max() - window.min()), 0), 1)
    return found


@quick
@given(seed=SEEDS, samples=st.integers(60, 900), beats=st.integers(1, 12), flat=st.booleans())
def test_frames_from_r_peaks_are_scaled_by_their_window(seed: int, samples: int, beats: int, flat: bool) -> None:
    rng = np.random.default_rng(seed)
    x = np.zeros(samples) if flat else rng.normal(0, 1, samples) + np.linspace(0, 5, samples)
    peaks = np.sort(rng.choice(samples, beats, replace=False))
    found = frames_from_r_peaks(x, peaks, 20.0, 30)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, from_r_peaks_one_by_one(x, peaks, 20.0, 30), atol=1e-6)
