"""Beats cut while the recording comes in: the examples of the whole recording, in time, in bounded memory."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from heartzoo.config import InputConfig
from heartzoo.data import synthetic
from heartzoo.data.beat_stream import BeatStream
from heartzoo.data.beats import Examples, cut_beats
from heartzoo.data.quality import LostSignal
from heartzoo.data.records import Record
from heartzoo.data.rr import FEATURES, rr_features
from heartzoo.data.signal import Preparation
from heartzoo.data.template import TEMPLATE_FEATURES

RR, SHAPE = list(FEATURES), list(TEMPLATE_FEATURES)
CONTRACTS = {
    "features": InputConfig(
        cut="features",
        frame=len(RR) + len(SHAPE),
        highpass_hz=0.5,
        rr_features=RR,
        template_features=SHAPE,
        regular_beats="late",
    ),
    "centred": InputConfig(frame=128, rr_features=RR[:8]),
    "centred with template": InputConfig(frame=64, highpass_hz=0.5, rr_features=RR[:1], template_features=SHAPE[:3]),
    "difference": InputConfig(cut="difference", frame=96, rr_features=["pre_median"]),
    "r-peak": InputConfig(cut="r-peak", frame=187, fs=125.0),
    "r-peak with features": InputConfig(cut="r-peak", frame=187, fs=125.0, rr_features=RR[:8]),
}


def cut_in_pieces(record: Record, contract: InputConfig, pieces: list[np.ndarray]) -> list[Examples]:
    lost = LostSignal(record.fs, record.lost)
    preparation, beats = Preparation(record.fs, contract), BeatStream(contract, record.fs, lost)
    found, seen = [], 0
    for piece in pieces:
        peaks = record.samples[(record.samples >= seen) & (record.samples < seen + len(piece))]
        seen += len(piece)
        found.append(beats.push(preparation.push(piece), peaks, seen))
    return [*found, beats.finish(preparation.finish(), record.samples[record.samples >= seen], seen)]


def assert_same(found: list[Examples], expected: Examples) -> None:
    for name in ("samples", "frames", "rr"):
        parts = [getattr(examples, name) for examples in found if len(examples.samples)]
        np.testing.assert_array_equal(np.concatenate(parts), getattr(expected, name), err_msg=name)


@pytest.mark.parametrize("name", CONTRACTS)
@settings(max_examples=8)
@given(number=st.integers(0, 40), seed=st.integers(0, 2**32 - 1))
def test_the_examples_of_the_whole_record(name: str, number: int, seed: int) -> None:
    record = synthetic.generate(f"syn{number:02d}", 150.0)
    rng = np.random.default_rng(seed)
    pieces = np.split(record.signal, np.sort(rng.integers(0, len(record.signal), rng.integers(0, 80))))
    assert_same(cut_in_pieces(record, CONTRACTS[name], pieces), cut_beats(record, CONTRACTS[name]))


@pytest.mark.parametrize("name", CONTRACTS)
@settings(max_examples=8)
@given(number=st.integers(0, 40), seed=st.integers(0, 2**32 - 1))
def test_signal_lost_in_a_whole_recording(name: str, number: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    record = synthetic.generate(f"syn{number:02d}", 100.0)
    lost = np.cumsum(rng.integers(25, 2_000, (12, 2)).ravel()).reshape(12, 2)
    kept = np.ones(len(record.samples), bool)
    for hole in (rng.uniform(20, 45), rng.uniform(60, 85)):  # two intervals longer than any counts, beats at the end
        kept &= abs(record.samples / record.fs - hole) > 2
    record = replace(record, samples=record.samples[kept], lost=lost)
    pieces = np.split(record.signal, np.sort(rng.integers(0, len(record.signal), 10)))
    assert_same(cut_in_pieces(record, CONTRACTS[name], pieces), cut_beats(record, CONTRACTS[name]))


def test_features_of_a_recording_tell_where_signal_was_lost() -> None:
    record = synthetic.generate("syn03", 60.0)
    gap = replace(record, lost=np.array([[record.samples[20] + 40, record.samples[20] + 90]]))
    for name in ("features", "centred"):  # with template features, and R-R features alone
        whole, found = (cut_beats(one, CONTRACTS[name]).rr for one in (record, gap))
        assert np.array_equal(whole[:20], found[:20]) and not np.array_equal(whole[20:22], found[20:22])


@pytest.mark.parametrize("name", CONTRACTS)
@pytest.mark.parametrize("beats", [[1000], [200, 2200], [0, 40, 80, 2499]])
def test_few_beats(name: str, beats: list[int]) -> None:
    record = replace(synthetic.generate("syn01", 10.0), samples=np.array(beats), symbols=np.zeros(len(beats), np.uint8))
    assert_same(cut_in_pieces(record, CONTRACTS[name], [record.signal]), cut_beats(record, CONTRACTS[name]))


def test_a_beat_comes_with_the_next_one_or_after_three_seconds() -> None:
    contract, fs = CONTRACTS["features"], 100.0
    beats = BeatStream(contract, fs)
    came = {}
    for second in range(20):
        peaks = np.array([100 * second + 50] if second in (2, 3, 4, 10) else [], np.int64)
        for sample in beats.push(np.zeros(100), peaks, 100 * second + 100).samples.tolist():
            came[sample] = second
    assert came == {250: 3, 350: 4, 450: 7, 1050: 13}


def test_a_window_waits_for_all_of_its_r_peaks() -> None:
    beats = BeatStream(CONTRACTS["r-peak"], 125.0)
    assert beats.push(np.zeros(3000), np.array([100]), 500).samples.tolist() == []
    assert beats.push(np.zeros(0), np.array([600]), 1249).samples.tolist() == []
    assert beats.push(np.zeros(0), np.array([1300]), 1400).samples.tolist() == [100, 600]


def test_a_window_waits_for_the_beat_after_its_last() -> None:
    beats = BeatStream(CONTRACTS["r-peak with features"], 125.0)
    assert beats.push(np.zeros(3000), np.array([100, 1240]), 1300).samples.tolist() == []
    assert beats.push(np.zeros(0), np.array([1400]), 1420).samples.tolist() == [100, 1240]


@pytest.mark.parametrize("name", ["centred", "r-peak with features"])
@pytest.mark.parametrize(("behind", "post"), [(3 * 125 - 1, 200), (3 * 125, 375)])
def test_the_last_beat_knows_how_long_the_signal_goes_on_behind_it(name: str, behind: int, post: int) -> None:
    peaks, length = np.array([200, 400, 600]), 600 + behind
    beats = BeatStream(CONTRACTS[name], 125.0)
    found = [beats.push(np.zeros(length), peaks, length), beats.finish(np.zeros(0), peaks[:0], length)]
    last = Examples.joined([part for part in found if len(part.samples)]).rr[-1, RR.index("post_median")]
    assert last == pytest.approx(min(np.log2(post / 200), 1.0))


def test_what_is_lost_after_the_next_beat_is_not_between() -> None:
    lost, contract = LostSignal(100.0), CONTRACTS["features"]
    x = np.zeros(3_000)
    x[1_900:1_950] = np.nan
    lost.push(x)
    peaks = np.array([100, 200, 300, 1_000, 1_150, 1_400, 1_800])
    found = BeatStream(contract, 100.0, lost).finish(np.zeros(3_000), peaks, 2_000).rr[:, RR.index("post_usual")]
    whole = rr_features(peaks, 100.0, ["post_usual"])[:, 0]
    np.testing.assert_array_equal(found, whole)


@pytest.mark.parametrize("delay", [0, 1])
def test_lost_signal_in_pieces(delay: int) -> None:
    names = ["pre_median", "pre_usual", *["post_usual"] * delay]
    contract = InputConfig(frame=64, fs=100.0, rr_features=names)
    rng = np.random.default_rng(delay)
    peaks = np.cumsum(rng.integers(50, 150, 120))
    x = np.zeros(int(peaks[-1]) + 500)
    for start in rng.integers(1_000, len(x), 15):
        x[start : start + rng.integers(5, 400)] = np.nan
    peaks = peaks[np.isfinite(x[peaks])]
    found = []
    for size in (len(x), 25):
        lost = LostSignal(100.0)
        beats, parts = BeatStream(contract, 100.0, lost), []
        for start in range(0, len(x), size):
            piece = x[start : start + size]
            lost.push(piece)
            here = peaks[(peaks >= start) & (peaks < start + size)]
            parts.append(beats.push(np.zeros(len(piece)), here, start + len(piece)))
        found.append(Examples.joined([*parts, beats.finish(np.zeros(0), peaks[:0], len(x))]))
    np.testing.assert_array_equal(found[0].samples, found[1].samples)
    np.testing.assert_allclose(found[0].rr, found[1].rr, atol=1e-6)
    assert np.abs(found[0].rr - rr_features(peaks, 100.0, names)).max() > 0.5


@pytest.mark.parametrize("name", CONTRACTS)
def test_memory_is_bounded(name: str) -> None:
    lost = LostSignal(100.0)
    beats = BeatStream(CONTRACTS[name], 100.0, lost)
    for second in range(600):
        lost.push(np.where(np.arange(100) < 50, np.nan, 1.0))
        peaks = np.arange(second % 2) + 100 * second
        beats.push(np.ones(round(CONTRACTS[name].fs)), peaks if second < 300 else peaks[:0], 100 * second + 100)
    assert len(beats._x) <= 25 * CONTRACTS[name].fs
    assert len(beats._peaks) + len(beats._earlier) + len(beats._rhythm._known) <= 300
