"""The R-peak detector: the same peaks whatever the pieces, and the right ones on signals whose peaks are known."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import signal as dsp

from heartzoo.config import InputConfig
from heartzoo.data import synthetic
from heartzoo.data.databases import get_database
from heartzoo.data.detection import LOOK_AHEAD_S, REFRACTORY_S, Detector, detect, lag_samples
from heartzoo.data.records import read_record
from heartzoo.data.signal import prepared
from heartzoo.data.splits import get_split

FS = 100.0
CONTRACT = InputConfig(fs=FS, highpass_hz=0.5, lowpass_hz=25.0)
SEEDS = st.integers(0, 2**32 - 1)
quick = settings(max_examples=25)


def ecg(number: int = 3, seconds: float = 40.0, fs: float = 250.0) -> tuple[np.ndarray, np.ndarray]:
    """A prepared synthetic recording, and where its beats are, in s."""
    record = synthetic.generate(f"syn{number:02d}", seconds, fs)
    return prepared(record.signal, record.fs, CONTRACT), record.samples / fs


def pulses(every_s: float, seconds: float = 30.0, amplitude: float = 1.0, fs: float = FS) -> np.ndarray:
    """Bell-shaped peaks of 10 ms, in mV."""
    time = np.arange(round(seconds * fs)) / fs
    distance = (time + every_s / 2) % every_s - every_s / 2
    return np.asarray(amplitude * np.exp(-0.5 * (distance / 0.01) ** 2))


def unmatched(found: np.ndarray, times: np.ndarray, fs: float = FS, window: float = 0.15) -> tuple[int, int]:
    """How many beats have no peak within 150 ms, and how many peaks no beat."""
    distance = np.abs(found[:, None] / fs - times)
    return int((distance.min(axis=0) > window).sum()), int((distance.min(axis=1) > window).sum())


@quick
@given(
    number=st.integers(0, 40), seed=SEEDS, noise=st.sampled_from([0.0, 0.1, 1.0]), fs=st.sampled_from([100.0, 128.0])
)
def test_the_same_peaks_whatever_the_pieces(number: int, seed: int, noise: float, fs: float) -> None:
    rng = np.random.default_rng(seed)
    x = ecg(number, 20.0)[0]
    x = x + noise * rng.normal(0, 1, len(x))
    x[500:800] *= rng.choice([0.0, 1.0, 10.0])
    cuts = np.sort(rng.integers(0, len(x), rng.integers(0, 60)))
    detector = Detector(fs, 1)
    found = [detector.push(piece) for piece in np.split(x, cuts)]
    np.testing.assert_array_equal(np.concatenate([*found, detector.finish()]), detect(x, fs, 1))


def by_the_text(x: np.ndarray, fs: float) -> list[int]:
    """The R peaks straight from the text of the module, sample after sample, as firmware would find them."""

    def n(seconds: float) -> int:
        return math.floor(seconds * fs + 0.5)

    end = len(x)
    x = np.concatenate([x, np.full(n(0.3), x[-1])])
    b = x
    for cutoff, kind in ((9.0, "highpass"), (20.0, "lowpass")):
        sos = dsp.butter(2, cutoff, kind, fs=fs, output="sos")
        b = dsp.sosfilt(sos, b, zi=dsp.sosfilt_zi(sos) * b[0])[0]

    def at(values, i: int) -> float:
        return float(values[max(i, 0)])

    h = [math.sqrt(sum(float(v) ** 2 for v in b[max(i - n(0.07) + 1, 0) : i + 1]) / n(0.07)) for i in range(len(x))]
    state = {"S": 0.0, "v": 0.0, "N": 0.0, "r": 0.0, "p": 0.0, "last": 0, "due": 0, "failed": False}
    missed: list[tuple[int, float]] = []
    learning: list[int] | None = []
    peaks: list[int] = []

    def slope(c: int) -> float:
        return max(abs(at(b, i) - at(b, i - 1)) for i in range(c - n(0.13), c + 1))

    def threshold() -> float:
        return max(0.01, state["N"] + 0.35 * (state["S"] - state["N"]))

    def beat(c: int) -> None:
        a = 1 / 2 if state["failed"] else 1 / 8
        state["S"] += a * (min(h[c], 2 * state["S"]) - state["S"])
        state["v"] += a * (min(slope(c), 2 * state["v"]) - state["v"])
        state["r"] += (min(max(c - state["last"], n(0.3)), n(1.6)) - state["r"]) / 8
        state.update(last=c, due=c + math.floor(1.5 * state["r"]), failed=False)
        missed.clear()
        around = np.array([at(x, i) for i in range(c - n(0.16), c + n(0.04) + 1)])
        around = around - around.mean()
        up, down = around.max(), -around.min()
        positive = up >= 0.75 * down if state["p"] >= 0 else not down >= 0.75 * up
        state["p"] += ((1 if positive else -1) - state["p"]) / 8
        peaks.append(max(c - n(0.16) + int(around.argmax() if positive else around.argmin()), 0))

    def search(until: int) -> None:
        while until > state["due"]:
            if missed and missed[0][1] > 0.65 * threshold():
                beat(missed[0][0])
            else:
                missed.clear()
                state.update(S=max(0.8 * state["S"], 2 * state["N"], 0.01), failed=True)
                state["due"] += math.floor(state["r"])

    def decide(c: int) -> None:
        search(c)
        d = c - state["last"]
        if d < n(0.34) and slope(c) < 0.6 * state["v"]:
            return
        if h[c] > threshold():
            beat(c)
            return
        state["N"] += (h[c] - state["N"]) / 8
        if d >= n(0.34) and (not missed or h[c] > missed[0][1]):
            missed[:] = [(c, h[c])]

    def learn() -> None:
        nonlocal learning
        first, learning = learning or [], None
        if not first:
            return
        seconds: dict[int, list[int]] = {}
        for c in first:
            seconds.setdefault(int((c - first[0]) / fs), []).append(c)
        highest = sorted((max(of, key=lambda c: h[c]) for of in seconds.values()), key=lambda c: h[c])
        median = highest[len(highest) // 2]
        state.update(S=h[median], v=slope(median), N=0.1 * h[median], r=float(n(0.8)), last=first[0] - n(0.8))
        state["due"] = state["last"] + math.floor(1.5 * state["r"])
        for c in first:
            decide(c)

    def none_before(until: int) -> None:
        if learning and until - learning[0] >= 3 * fs:
            learn()
        if learning is None:
            search(until)

    def confirmed(c: int) -> None:
        none_before(c)
        if learning is None:
            decide(c)
        else:
            learning.append(c)

    waiting: int | None = None
    for i in range(len(x)):
        c = i - 1
        before = h[c - 1] if c > 0 else 0.0
        if c >= 0 and before < h[c] >= h[i] and h[c] > 0.01:
            if waiting is not None and c - waiting >= n(0.22):
                confirmed(waiting)
                waiting = None
            if waiting is None or h[c] > h[waiting]:
                waiting = c
        if waiting is not None and i >= waiting + n(0.22):
            confirmed(waiting)
            waiting = None
        none_before(i + 1 - n(0.22))
    if learning is not None:
        learn()
    return [peak for peak in peaks if peak < end]


@settings(max_examples=15)
@given(
    number=st.integers(0, 40), seed=SEEDS, noise=st.sampled_from([0.0, 0.1, 1.0]), fs=st.sampled_from([100.0, 125.0])
)
def test_the_peaks_are_those_of_the_text(number: int, seed: int, noise: float, fs: float) -> None:
    rng = np.random.default_rng(seed)
    x = ecg(number, 30.0)[0]
    x = x + noise * rng.normal(0, 1, len(x))
    start = rng.integers(0, 2500)
    x[start : start + 500] *= rng.choice([0.0, 0.1, 10.0])
    assert detect(x, fs).tolist() == by_the_text(x, fs)


def test_one_sample_at_a_time_and_no_later_than_stated() -> None:
    x = ecg(1)[0]
    x[1500:2200] *= 0.05
    detector, found = Detector(FS), []
    for position in range(len(x)):
        for peak in detector.push(x[position : position + 1]):
            assert position - peak <= LOOK_AHEAD_S * FS
            found.append(peak)
    np.testing.assert_array_equal([*found, *detector.finish()], detect(x, FS))


@pytest.mark.parametrize("fs", [100.0, 125.0, 250.0, 360.0, 1000.0])
@pytest.mark.parametrize("amplitude", [0.2, 1.0, 5.0, -1.0])
def test_regular_peaks_are_found_where_they_are(fs: float, amplitude: float) -> None:
    x = pulses(0.8, amplitude=amplitude, fs=fs)
    found = detect(x, fs)
    expected = np.arange(0.8, 29.7, 0.8) * fs
    found = found[found > 0.4 * fs]
    assert len(found) == len(expected)
    assert np.abs(found - expected).max() <= 1


@pytest.mark.parametrize("number", range(0, 32, 4))
def test_synthetic_beats_are_found(number: int) -> None:
    x, times = ecg(number, 120.0)
    missed, wrong = unmatched(detect(x, FS, lag_samples(CONTRACT)), times)
    assert missed + wrong <= 0.05 * len(times)


def test_amplitude_does_not_matter_nor_polarity() -> None:
    x = ecg(5)[0]
    for gain in (0.5, 4.0, -1.0):
        assert np.abs(detect(gain * x, FS)[:, None] - detect(x, FS)).min(axis=1).max() <= 15
        assert len(detect(gain * x, FS)) == len(detect(x, FS))


def test_a_low_beat_is_searched_back() -> None:
    x = pulses(0.8)
    x[1180:1220] *= 0.3
    assert 1200 in detect(x, FS)


@pytest.mark.parametrize(("share", "within_s"), [(0.33, 1), (0.2, 4), (0.1, 7)])
def test_peaks_that_become_small_are_found_again(share: float, within_s: float) -> None:
    x = pulses(0.8, 60.0)
    x[3000:] *= share
    found = detect(x, FS)
    assert np.diff(found).max() <= within_s * FS
    assert (np.diff(found[found > 3800]) == 80).all()


def waves(times: np.ndarray, amplitude: float, width_s: float, seconds: float = 120.0) -> np.ndarray:
    """Bell-shaped waves at some times."""
    time = np.arange(round(seconds * FS)) / FS
    return np.asarray(amplitude * np.exp(-0.5 * ((time - times[:, None]) / width_s) ** 2).sum(axis=0))


@pytest.mark.parametrize("blocked", [2, 3, 4])
@pytest.mark.parametrize(("p_mv", "pq_s"), [(0.1, 0.16), (0.2, 0.2), (0.25, 0.3)])
def test_p_waves_without_a_beat_are_no_beats(p_mv: float, pq_s: float, blocked: int) -> None:
    p = np.arange(0.5, 119.0, 0.8)
    number = np.arange(len(p))
    r = p[(number < 20) | (number % blocked != 0)] + pq_s
    x = waves(p, p_mv, 0.022) + waves(r, 1.0, 0.01) + waves(r + 0.3, 0.3, 0.05)
    x += np.random.default_rng(0).normal(0, 0.01, len(x))
    assert unmatched(detect(x, FS), r) == (0, 0)


def test_noise_in_a_pause_is_no_beat() -> None:
    times = np.arange(0.5, 119.0, 0.8)
    times = times[np.arange(len(times)) % 20 < 16]
    x = waves(times, 1.0, 0.01)
    x += np.random.default_rng(0).normal(0, 0.03, len(x))
    assert unmatched(detect(x, FS), times) == (0, 0)


def test_a_large_artefact_does_not_hide_the_beats_after_it() -> None:
    x = pulses(0.8, 40.0)
    x[2000:2030] += 50.0
    found = detect(x, FS)
    assert set(range(2320, 3960, 80)) <= set(found.tolist())


def test_waves_of_little_slope_after_a_beat_are_no_beats() -> None:
    time = np.arange(6000) / FS
    t_waves = 0.6 * np.exp(-0.5 * (((time - 0.3 + 0.4) % 0.8 - 0.4) / 0.035) ** 2)
    found = detect(pulses(0.8, 60.0) + t_waves, FS)
    assert (np.diff(found[(found > 300) & (found < 5950)]) == 80).all()


@pytest.mark.parametrize("level", [0.0, 5.0, -300.0])
def test_a_flat_line_has_no_peaks(level: float) -> None:
    assert detect(np.full(3000, level), FS).tolist() == []


def test_a_peak_every_200_ms_keeps_the_refractory_time() -> None:
    found = detect(pulses(0.2), FS)
    assert len(found) > 30
    assert np.diff(found).min() >= round(REFRACTORY_S * FS) - 2


def test_hum_does_not_hide_the_beats() -> None:
    record = synthetic.generate("syn03", 60.0, 360.0)
    hum = 5.0 * np.sin(2 * np.pi * 60 * np.arange(len(record.signal)) / 360)
    for contract in (CONTRACT, InputConfig(fs=125.0)):
        found = detect(prepared(record.signal + hum, 360.0, contract), contract.fs, lag_samples(contract))
        missed, wrong = unmatched(found, record.samples / 360, contract.fs)
        assert missed + wrong <= 3


@pytest.mark.parametrize("seconds", [0.0, 0.01, 0.5, 2.0])
def test_short_signals(seconds: float) -> None:
    x = ecg(2)[0][: round(seconds * FS)]
    found = detect(x, FS)
    assert len(found) <= 4
    assert (found < len(x)).all()
    assert len(found) >= 1 or seconds < 2


@quick
@given(seed=SEEDS, scale=st.floats(0.001, 1e4), fs=st.sampled_from([50.0, 100.0, 360.0]))
def test_whatever_comes_peaks_ascend_within_the_signal(seed: int, scale: float, fs: float) -> None:
    rng = np.random.default_rng(seed)
    x = scale * np.cumsum(rng.standard_t(2, 3000))
    found = detect(x, fs, 1)
    assert found.dtype == np.int64
    assert (np.diff(found) > 0).all()
    assert ((found >= 0) & (found < len(x))).all()


def test_the_lag_is_that_of_the_lowpass() -> None:
    x = pulses(0.8, fs=360.0)
    found = detect(prepared(x, 360.0, CONTRACT), FS, lag_samples(CONTRACT))
    assert lag_samples(InputConfig(fs=FS)) == 0
    assert np.abs(found[1:-1] - np.arange(1, len(found) - 1) * 80).max() <= 1


@pytest.mark.data
@pytest.mark.parametrize(("split", "name"), [("ds1", "101"), ("ds1", "208"), ("svdb-train", "801")])
def test_real_beats_are_found(physionet: Path, split: str, name: str) -> None:
    database = get_database(get_split(split).database)
    record = read_record(physionet / database.name / database.version, database, name)
    found = detect(prepared(record.signal, record.fs, CONTRACT), FS, lag_samples(CONTRACT))
    missed, wrong = unmatched(found, record.samples / record.fs)
    assert missed < 0.01 * len(record.samples)
    assert wrong < 0.01 * len(record.samples)
