"""Streaming: the same beats whatever the pieces, in time, and the labels of the whole-record path."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import heartzoo as hz
from heartzoo.classification.stream import DEFAULT_MODEL, Beat, Stream
from heartzoo.data import synthetic
from heartzoo.errors import UserError
from heartzoo.zoo import find, zoo_folder
from heartzoo.zoo.published import PublishedModel, load_tflite

MODELS = ("arr-5-rr-sm", "beat-2-rr-sm", "arr-5-res-sm", "res-187-ds1")
SEEDS = st.integers(0, 2**32 - 1)
quick = settings(max_examples=8, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture(scope="module", params=MODELS)
def model(request: pytest.FixtureRequest) -> PublishedModel:
    return load_tflite(request.param, zoo=zoo_folder())


@pytest.fixture(scope="module")
def small() -> PublishedModel:
    return load_tflite(DEFAULT_MODEL, zoo=zoo_folder())


def streamed(stream: Stream, pieces: list[np.ndarray]) -> list[Beat]:
    return [beat for piece in pieces for beat in stream.push(piece)] + stream.finish()


def test_the_default_model_is_in_the_zoo() -> None:
    assert find(DEFAULT_MODEL, zoo_folder()).withdrawn is None


@quick
@given(number=st.integers(0, 40), seed=SEEDS, fs=st.sampled_from([100.0, 128.0, 250.0, 360.0]))
def test_the_same_beats_whatever_the_pieces(model: PublishedModel, number: int, seed: int, fs: float) -> None:
    rng = np.random.default_rng(seed)
    x = synthetic.generate(f"syn{number:02d}", 45.0, fs).signal
    x[rng.integers(0, len(x), 20)] = np.nan
    for start in rng.integers(0, len(x), 5):
        x[start : start + rng.integers(0, 3 * fs)] = np.nan
    pieces = np.split(x, np.sort(rng.integers(0, len(x), rng.integers(0, 50))))
    one, other = Stream(model, fs), Stream(model, fs)
    beats = streamed(one, [x])
    assert streamed(other, pieces) == beats
    assert len(beats) > 10
    assert (one.quality, one.missing) == (other.quality, other.missing)


@pytest.mark.parametrize("name", ["syn00", "syn03", "syn07"])
def test_the_last_beat_before_lost_signal_keeps_its_label(small: PublishedModel, name: str) -> None:
    record = synthetic.generate(name, 120.0, 250.0)
    broken, gaps = record.signal.copy(), range(5_000, 28_000, 2_500)
    for start in gaps:
        broken[start : start + 1_250] = np.nan
    whole = {beat.sample: beat.label for beat in hz.classify(record.signal, 250.0, small).beats}
    found = hz.classify(broken, 250.0, small).beats
    last = [max((beat for beat in found if beat.sample < start), key=lambda beat: beat.sample) for start in gaps]
    assert [beat.label for beat in last] == [whole[beat.sample] for beat in last]


def test_given_r_peaks_get_the_labels_of_the_whole_record(model: PublishedModel) -> None:
    record = synthetic.generate("syn07", 120.0)
    stream = Stream(model, record.fs, record.samples)
    beats = streamed(stream, np.array_split(record.signal, 37))
    assert [beat.sample for beat in beats] == record.samples.tolist()
    assert [beat.label for beat in beats] == model.label_beats(record)


def test_beats_come_no_later_than_stated(model: PublishedModel) -> None:
    record = synthetic.generate("syn12", 40.0, 128.0)
    stream, step = Stream(model, 128.0), 16
    for start in range(0, len(record.signal), step):
        for beat in stream.push(record.signal[start : start + step]):
            assert (start + step - beat.sample) / 128 <= stream.longest_delay_s + step / 128


def test_a_beat_comes_with_the_next_one(small: PublishedModel) -> None:
    record = synthetic.generate("syn02", 60.0)
    stream, delays = Stream(small, record.fs), []
    for start in range(0, len(record.signal), 25):
        delays += [(start + 25 - beat.sample) / record.fs for beat in stream.push(record.signal[start : start + 25])]
    usual = float(np.median(np.diff(record.samples))) / record.fs
    assert np.median(delays) < usual + 0.5


def test_what_a_beat_says(small: PublishedModel) -> None:
    record = synthetic.generate("syn05", 60.0)
    beats = streamed(Stream(small, record.fs), [record.signal])
    threshold = small.entry.configuration["confidence"]["threshold"]
    for beat in beats:
        assert beat.label in small.classes
        assert beat.time_s == beat.sample / record.fs
        assert 1 / len(small.classes) <= beat.confidence <= 1
        assert beat.abstained == (beat.confidence < threshold)
    assert {beat.abstained for beat in beats} == {True, False}


@pytest.mark.parametrize(
    "signal",
    [
        np.zeros(0),
        np.zeros(500),
        np.full(2000, np.nan),
        np.full(5000, 3.3),
        np.r_[np.full(3000, np.nan), np.zeros(2000)],
        np.clip(np.random.default_rng(0).normal(0, 100, 5000), -5, 5),
        np.tile(np.r_[np.full(12, 4.0), np.zeros(38)], 100),
    ],
)
def test_signals_that_are_no_ecg(small: PublishedModel, signal: np.ndarray) -> None:
    stream = Stream(small, 250.0)
    beats = streamed(stream, np.array_split(signal, 7))
    assert all(0 <= beat.sample < len(signal) for beat in beats)
    assert all(b.sample > a.sample for a, b in pairwise(beats))
    if len(signal) and np.ptp(np.nan_to_num(signal)) < 3.4 and np.nanmax(np.nan_to_num(signal)) in (0.0, 3.3):
        assert not beats


@pytest.mark.parametrize("fs", [99.0, 1001.0, 0.0, -5.0, float("nan"), float("inf"), "250", None])
def test_sampling_rates_out_of_range_are_refused(small: PublishedModel, fs: float) -> None:
    with pytest.raises(UserError, match="expected a sampling rate of 100 to 1000 Hz, found"):
        Stream(small, fs)


@pytest.mark.parametrize("fs", [100.0, 257.0, 1000.0])
def test_sampling_rates_in_range(small: PublishedModel, fs: float) -> None:
    record = synthetic.generate("syn02", 30.0, fs)
    assert abs(len(streamed(Stream(small, fs), [record.signal])) - len(record.samples)) <= 2


def test_models_of_rhythm_are_refused() -> None:
    with pytest.raises(UserError, match="cnn1 labels frames by rhythm, not beats"):
        Stream(load_tflite("cnn1", zoo=zoo_folder()), 250.0)


@pytest.mark.parametrize("signal", [np.zeros((2, 500)), np.array(["a"]), np.zeros(3, complex), "night.edf"])
def test_what_is_no_lead_is_refused(small: PublishedModel, signal: np.ndarray) -> None:
    with pytest.raises(UserError, match="expected one row of numbers in mV"):
        Stream(small, 250.0).push(signal)
    with pytest.raises(UserError, match="expected one row of numbers in mV"):
        hz.classify(signal, 250.0, small)


def test_what_an_array_masks_is_missing(small: PublishedModel) -> None:
    x = synthetic.generate("syn02", 30.0).signal
    hidden = np.zeros(len(x), bool)
    hidden[2000:2500] = True
    found = hz.classify(np.ma.masked_array(x, hidden), 250.0, small)
    assert found.missing == 500 and found.beats == hz.classify(np.where(hidden, np.nan, x), 250.0, small).beats


def test_nothing_is_pushed_into_a_stream_that_has_ended(small: PublishedModel) -> None:
    stream = Stream(small, 250.0)
    stream.finish()
    with pytest.raises(UserError, match=r"ended with finish\(\); begin another"):
        stream.push(np.zeros(10))


@pytest.mark.parametrize(
    ("peaks", "told"),
    [
        ([300, 200], "as ascending samples"),
        ([-1, 5], "as ascending samples"),
        ([[1, 2]], r"of shape \(n,\), found int64 of \(1, 2\)"),
        ([1.5, 2.25], "in samples, found 1.5; multiply seconds by fs"),
        ([0.0, np.nan], "in samples, found nan"),
        ([0.0, np.inf], "in samples, found inf"),
        (np.array([300, 200], np.uint32), "as ascending samples"),
        (np.array([5, 2**63], np.uint64), "in samples, found 9223372036854775808"),
    ],
)
def test_r_peaks_that_are_none_are_refused(small: PublishedModel, peaks: list[float] | np.ndarray, told: str) -> None:
    with pytest.raises(UserError, match=f"expected R peaks {told}"):
        Stream(small, 250.0, np.array(peaks))


def test_r_peaks_of_another_signal_are_refused(small: PublishedModel) -> None:
    record = synthetic.generate("syn07", 30.0)
    within, beyond = np.append(record.samples, len(record.signal) + 10), np.append(record.samples, 10**9)
    assert len(hz.classify(record.signal, record.fs, small, within).beats) == len(within)
    with pytest.raises(UserError, match=r"found 1,000,000,000 where it has 7,500; give both at the same"):
        hz.classify(record.signal, record.fs, small, beyond)
    with pytest.raises(UserError, match="found 1,000,000,000"):
        small.label_beats(replace(record, samples=beyond))
    assert small.label_beats(replace(record, samples=beyond[:0], symbols=record.symbols[:0])) == []


@pytest.mark.parametrize(
    ("mistake", "told"),
    [
        (lambda model: hz.load_tflite(None), "expected the name of a model, found NoneType"),
        (lambda model: hz.Stream(7, 250.0), "expected the name of a model, found int"),
        (
            lambda model: model.label_beats(np.zeros(500)),
            "expected a record, found ndarray; .*classify takes",
        ),
        (lambda model: hz.Stream(model, 250.0, personal={}), "expected a personal map, found dict"),
        (lambda model: hz.RRTracker(["pre_median"]).push("1"), "an R-R interval of 1 s"),
    ],
)
def test_what_is_of_another_kind_is_told(small: PublishedModel, mistake: Callable[[Any], Any], told: str) -> None:
    with pytest.raises(hz.UserError, match=told):
        mistake(small)


def test_a_name_will_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HEARTZOO_ZOO", str(Path(zoo_folder())))
    assert hz.Stream("arr-5-rr-xs", 250.0).model.entry.name == "arr-5-rr-xs"
    with pytest.raises(UserError, match="unknown model"):
        hz.Stream("arr-5", 250.0)
