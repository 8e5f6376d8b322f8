"""Template features: causal, bounded, blind to small shifts of the R peak, and equal to their definition."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from heartzoo.data import template
from heartzoo.data.signal import frames, resample, resample_positions
from heartzoo.data.template import TEMPLATE_FEATURES

NAMES = list(TEMPLATE_FEATURES)
SHAPES = NAMES[:9]  # of the beat itself
SIGNED = [f"{of}_{shape}" for of in ("qrs", "template") for shape in template.QRS_SHAPES]  # which way a QRS points
ALIKE = [float(name.endswith("_match")) for name in SHAPES]
FS = 100.0
quick = settings(max_examples=40)


def compare(x: np.ndarray, centres: np.ndarray, regular: np.ndarray, fs: float) -> template.Compared:
    return template.compare(frames(x, centres, *template.reach(fs)), regular, fs)


def template_features(
    x: np.ndarray, centres: np.ndarray, regular: np.ndarray, fs: float, names: list[str]
) -> np.ndarray:
    return template.template_features(compare(x, centres, regular, fs), names)


def pulse(at: np.ndarray, width: float, size: float, samples: int) -> np.ndarray:
    return size * np.exp(-(((np.arange(samples)[None] - at[:, None]) / width) ** 2)).sum(axis=0)


def ecg(centres: np.ndarray, wide: np.ndarray | None = None) -> np.ndarray:
    """P, QRS and T pulses around each centre; where marked a wide QRS without P."""
    wide = np.zeros(len(centres), bool) if wide is None else wide
    samples = int(centres[-1]) + 200
    usual = centres[~wide]
    waves = pulse(usual - 18, 4, 0.15, samples) + pulse(usual, 2, 1.2, samples) + pulse(centres + 28, 8, 0.3, samples)
    return waves - pulse(centres[wide], 6, 1.5, samples)


def reference(x: np.ndarray, centres: np.ndarray, regular: np.ndarray) -> tuple[list[list[float]], list[np.ndarray]]:
    """Features and differences straight from the text of the module, at 100 Hz, beat after beat."""

    def correlation(a: np.ndarray, b: np.ndarray) -> float:
        a, b = a - a.mean(), b - b.mean()
        return float(a @ b / math.sqrt(float(a @ a) * float(b @ b) + 0.01**4))

    def limited(value: float) -> float:
        return min(max(value, -1.0), 1.0)

    def rms(a: np.ndarray) -> float:
        return math.sqrt(float(np.mean(a**2)))

    def width(slope: np.ndarray) -> float:
        e = [float(step**2) + 1e-6 for step in np.diff(slope)]
        centre = sum(weight * i for i, weight in enumerate(e)) / sum(e)
        return math.sqrt(sum(weight * (i - centre) ** 2 for i, weight in enumerate(e)) / sum(e))

    def qrs_shape(x: np.ndarray) -> list[float]:
        q = x - x[26:32].mean()
        high, low = max(q[32:52]), min(q[32:52])
        size = high - low + 0.01
        area = q[32:52].mean() / (np.abs(q[32:52]).mean() + 0.001)
        return [limited(v) for v in ((high + low) / size, area, q[32:40].mean() / size, 2 * q[46:56].mean() / size)]

    mean_beat, taught, rows, left = None, 0, [], []
    usual, spread = [0.0] * 9, [0.0025] * 9
    qrs, p, t = slice(32, 52), slice(10, 33), slice(52, 91)
    for k, centre in enumerate(centres):
        windows = [np.array([x[min(max(centre + s + i, 0), len(x) - 1)] for i in range(-40, 56)]) for s in range(-5, 6)]
        mean_beat = windows[5] if mean_beat is None else mean_beat
        matches = [correlation(window[qrs], mean_beat[qrs]) for window in windows]
        window = windows[matches.index(max(matches))]
        b, mean = window - window.mean(), mean_beat - mean_beat.mean()
        size = np.ptp(mean[qrs]) + 0.01
        row = [
            correlation(b[qrs], mean[qrs]), correlation(b[p], mean[p]), correlation(b[t], mean[t]),
            math.log2((np.ptp(b[qrs]) + 0.01) / size), math.log2((np.ptp(b[p]) + 0.01) / (np.ptp(mean[p]) + 0.01)),
            math.log2((np.abs(np.diff(b[qrs])).sum() + 0.01) / (np.abs(np.diff(mean[qrs])).sum() + 0.01)),
            *(rms(b[part] - mean[part]) / size for part in (qrs, p, t)),
        ]  # fmt: skip
        row = [limited(value) for value in row]
        usual = row if k == 0 else usual
        far = [limited((f - m) / (4 * (math.sqrt(v) + 0.03))) for f, m, v in zip(row, usual, spread, strict=True)]
        shares = [limited(math.log2((np.ptp(mean[part]) + 0.01) / size) / 4) for part in (p, t)]
        wider = limited(math.log2(width(b[28:62]) / width(mean[28:62])))
        rows.append([*row, *far, usual[1], *shares, wider, *qrs_shape(b), *qrs_shape(mean)])
        left.append((b - mean) / size)
        if regular[k]:
            taught += 1
            mean_beat = mean_beat + (window - mean_beat) / min(taught, 16)
            a = 1 / min(taught, 32)
            steps = [min(max(f - m, -0.5), 0.5) for f, m in zip(row, usual, strict=True)]
            usual = [m + a * d for m, d in zip(usual, steps, strict=True)]
            spread = [(1 - a) * (v + a * d**2) for v, d in zip(spread, steps, strict=True)] if taught > 1 else spread
    return rows, left


@st.composite
def recordings(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Signal, beats, which are regular: noise, an ECG, or a flat line; beats also close together and at the ends."""
    beats = draw(st.one_of(st.integers(1, 40), st.integers(60, 90)))  # some learn from more than memory holds
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    centres = np.cumsum(rng.integers(1, 140, beats))
    kind = draw(st.sampled_from(["noise", "ecg", "flat"]))
    x = rng.normal(size=centres[-1] + 1) if kind == "noise" else np.zeros(centres[-1] + 1)
    if kind == "ecg":
        x = ecg(centres, rng.random(beats) < 0.2) + 0.02 * rng.normal(size=centres[-1] + 200)
    return x, centres, rng.random(beats) < draw(st.sampled_from([0.6, 1.0]))


@quick
@given(recording=recordings())
def test_equal_to_the_definition(recording: tuple[np.ndarray, np.ndarray, np.ndarray]) -> None:
    found = template_features(*recording, FS, NAMES)
    assert found.shape == (len(recording[1]), len(NAMES)) and found.dtype == np.float32
    assert np.isfinite(found).all() and np.abs(found).max() <= 1.0
    rows, left = reference(*recording)
    np.testing.assert_allclose(found, rows, atol=5e-6)
    differences = template.differences(compare(*recording, FS))
    assert differences.dtype == np.float32 and differences.shape[1] == template.window_samples(FS)
    np.testing.assert_allclose(differences, left, rtol=1e-5, atol=5e-6)


@quick
@given(recording=recordings(), data=st.data())
def test_nothing_after_a_window_counts(
    recording: tuple[np.ndarray, np.ndarray, np.ndarray], data: st.DataObject
) -> None:
    x, centres, regular = recording
    k = data.draw(st.integers(0, len(centres) - 1))
    end = centres[k] + 56 + 5
    other = np.concatenate([x, np.zeros(max(end - len(x), 0))])
    other[: len(x)] = np.where(np.arange(len(x)) < end, x, 5.0)
    longer = np.concatenate([x, np.full(max(end - len(x), 0), x[-1])])
    found = template_features(longer, centres, regular, FS, NAMES)[: k + 1]
    other[len(x) :] = x[-1]
    left = template.differences(compare(longer, centres, regular, FS))[: k + 1]
    again = template.differences(compare(other, centres[: k + 1], regular[: k + 1], FS))
    np.testing.assert_array_equal(again, left)
    np.testing.assert_array_equal(template_features(other, centres[: k + 1], regular[: k + 1], FS, NAMES), found)


def test_a_steady_beat_is_like_its_template() -> None:
    centres = 100 + 80 * np.arange(30)
    found = template_features(ecg(centres), centres, np.ones(30, bool), FS, NAMES)
    whole = [*ALIKE, *(0.0 for _ in SHAPES), 1.0, math.log2(0.15 / 1.2) / 4, math.log2(0.3 / 1.2) / 4, 0.0]
    np.testing.assert_allclose(found[:, :-8], np.broadcast_to(whole, (30, len(whole))), atol=0.05)
    np.testing.assert_allclose(found[:, -8:-4], found[:, -4:], atol=1e-6)
    assert NAMES[-8:] == SIGNED and found[:, -8].min() > 0.8  # its QRS points up


@pytest.mark.parametrize("gain", [0.5, 2.0, -1.0])
def test_gain_does_not_count_and_an_inverted_lead_turns_the_qrs_alone(gain: float) -> None:
    centres = 100 + 80 * np.arange(40)
    x = ecg(centres, np.arange(40) % 7 == 6)
    usual = template_features(x, centres, np.ones(40, bool), FS, NAMES)
    usual[:, -8:] *= np.sign(gain)
    np.testing.assert_allclose(template_features(gain * x, centres, np.ones(40, bool), FS, NAMES), usual, atol=0.03)


def test_marks_beside_the_r_peak_change_little() -> None:
    centres = 100 + 80 * np.arange(40)
    x = ecg(centres)
    marks = centres + np.random.default_rng(0).integers(-2, 3, 40)
    found = template_features(x, marks, np.ones(40, bool), FS, SHAPES)
    np.testing.assert_allclose(found, np.broadcast_to(ALIKE, found.shape), atol=0.02)


def test_a_wide_beat_stands_out_and_does_not_teach_the_template() -> None:
    centres = 100 + 80 * np.arange(60)
    wide = np.arange(60) % 3 == 2
    wide[:10] = False
    found = dict(zip(NAMES, template_features(ecg(centres, wide), centres, ~wide, FS, NAMES).T, strict=True))
    assert found["qrs_match"][wide].max() < 0.5 < 0.95 < found["qrs_match"][~wide].min()
    assert found["qrs_difference"][wide].min() > 0.3 > 0.05 > found["qrs_difference"][~wide].max()
    assert found["p_match"][wide].max() < found["p_match"][~wide].min()
    assert found["qrs_match_unusual"][wide].max() == -1.0 < -0.5 < found["qrs_match_unusual"][~wide].min()
    left = np.abs(template.differences(compare(ecg(centres, wide), centres, ~wide, FS))).max(axis=1)
    assert left[wide].min() > 0.5 > 0.1 > left[~wide].max()


def test_late_beats_are_regular_also_where_most_are_early() -> None:
    early = np.arange(120) % 4 != 0
    samples = np.cumsum(np.where(early, 150, 300))
    assert np.array_equal(template.regular_beats(samples, 300.0, "late")[20:], ~early[20:])
    assert np.array_equal(template.regular_beats(samples, 300.0, "median")[20:], early[20:])
    for rule in ("median", "late"):
        assert template.regular_beats(samples, 300.0, rule)[:10].all()
        assert template.regular_beats(np.arange(0, 30_000, 240), 300.0, rule).all()


def test_a_beat_after_lost_signal_is_not_regular() -> None:
    steady, lost = np.zeros((12, 2)), np.arange(12) >= 9
    assert template.are_regular(steady, np.arange(12), "median", lost).tolist() == [True] * 10 + [False] * 2


def test_the_first_ten_beats_are_regular_and_no_more() -> None:
    early = np.full((12, 2), -1.0)
    for rule in ("median", "late"):
        assert template.are_regular(early, np.arange(12), rule).tolist() == [True] * 10 + [False] * 2


@pytest.mark.parametrize("fs", [125.0, 250.0, 360.0])
def test_the_sampling_rate_changes_little(fs: float) -> None:
    centres = 100 + 80 * np.arange(40)
    x = ecg(centres, np.arange(40) % 7 == 6)
    marks = resample_positions(centres, FS, fs)
    found = template_features(resample(x, FS, fs), marks, np.ones(40, bool), fs, SHAPES)
    np.testing.assert_allclose(found, template_features(x, centres, np.ones(40, bool), FS, SHAPES), atol=0.1)


def test_columns_come_in_the_order_asked_for() -> None:
    centres = 100 + 80 * np.arange(5)
    whole = template_features(ecg(centres), centres, np.ones(5, bool), FS, NAMES)
    np.testing.assert_array_equal(
        template_features(ecg(centres), centres, np.ones(5, bool), FS, NAMES[::-1]), whole[:, ::-1]
    )
    assert template_features(ecg(centres), centres, np.ones(5, bool), FS, []).shape == (5, 0)
