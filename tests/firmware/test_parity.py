"""The C sources find, compute and quantize what Python does."""

from __future__ import annotations

import ctypes
from dataclasses import replace
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import signal as dsp

from heartzoo.classification.stream import Stream
from heartzoo.confidence import probabilities
from heartzoo.config import InputConfig
from heartzoo.config.file import parse_config
from heartzoo.data.batches import model_inputs
from heartzoo.data.beats import Examples
from heartzoo.data.databases import get_database
from heartzoo.data.intake import Intake
from heartzoo.data.records import Record, read_record
from heartzoo.data.rr import FEATURES
from heartzoo.data.rr_tracker import RRTracker
from heartzoo.data.signal import prepared
from heartzoo.data.synthetic import generate
from heartzoo.data.template import TEMPLATE_FEATURES
from heartzoo.firmware.golden import Golden, expected
from heartzoo.firmware.settings import section, taps
from heartzoo.personalisation import LogitMap
from heartzoo.prevalence import RunningPrevalence
from heartzoo.zoo.published import load_tflite

RR_MODEL, FRAME_MODEL, LONG_FRAME_MODEL, RHYTHM_MODEL = "arr-5-rr-sm", "beat-3-res-sm", "beat-2-eff-sm", "cnn1"
EQUAL_SHARE = 0.999


def in_float32(record: Record) -> Record:
    """As the firmware takes it."""
    return replace(record, signal=record.signal.astype(np.float32).astype(np.float64))


def check(built, record: Record, equal_share: float = EQUAL_SHARE) -> Golden:
    """Compare C with Python on a record."""
    record = in_float32(record)
    python = expected(built.settings, built.model, record, np.zeros(0))
    where, signal, rr = built.run(record.signal, record.samples)
    assert len(where) == len(python.samples)
    assert np.abs(where - python.samples).max() <= round(record.fs / built.settings.contract.fs)
    agrees(signal, python.signal, equal_share)
    if python.rr is not None:
        agrees(rr, python.rr, equal_share)
    return python


def agrees(c: np.ndarray, python: np.ndarray, equal_share: float) -> None:
    away = np.abs(c - python.astype(int))
    assert away.max() <= 1 and (away == 0).mean() >= equal_share


@pytest.mark.parametrize("record", ["syn03", "syn11", "syn24"])
@pytest.mark.parametrize("hz", [100, 128, 250, 360, 1000])
@pytest.mark.parametrize("model", [RR_MODEL, FRAME_MODEL, LONG_FRAME_MODEL])
def test_beats_and_inputs_of_synthetic_recordings(build, model, hz, record):
    python = check(build(model, hz), generate(record, 60.0, hz))
    assert len(python.samples) > 40


@pytest.mark.parametrize("model", [RR_MODEL, FRAME_MODEL, LONG_FRAME_MODEL])
def test_inputs_at_given_beats(build, model):
    record = generate("syn07", 60.0, 250)
    assert len(check(build(model, 250, False), record).samples) == len(record.samples)


RR_NAMES = ["pre_median", "post_median", "pre_mean10", "recurrence"]
CONTRACTS = {
    "difference": InputConfig(cut="difference", frame=96, highpass_hz=0.5, rr_features=RR_NAMES),
    "difference alone": InputConfig(cut="difference", frame=96, regular_beats="late"),
    "frame and template": InputConfig(
        frame=128, lowpass_hz=30, rr_features=["pre_median"], template_features=["qrs_match", "template_p", "qrs_width"]
    ),
    "template alone": InputConfig(cut="centred", frame=65, template_features=["p_match_usual", "t_match_unusual"]),
    "intervals so far": InputConfig(frame=64, fs=125.0, rr_features=["pre_quantile70", "previous_pre", "steadiness"]),
    "intervals alone": InputConfig(cut="features", frame=len(FEATURES), rr_features=list(FEATURES)),
    "template features alone": InputConfig(
        cut="features", frame=len(TEMPLATE_FEATURES), template_features=list(TEMPLATE_FEATURES)
    ),
    "rhythm": InputConfig(cut="rhythm", frame=300, fs=50.0, highpass_hz=0.1),
}


@pytest.mark.parametrize("dtype", ["int8", "int16"])
@pytest.mark.parametrize("contract", CONTRACTS)
def test_contracts_that_no_published_model_has(build_contract, contract, dtype):
    built = build_contract(CONTRACTS[contract], 360, dtype)
    check(built, generate("syn24", 60.0, 360), 0.97 if dtype == "int16" else EQUAL_SHARE)


def test_frames_of_a_rhythm_model(build):
    python = check(build(RHYTHM_MODEL, 360), generate("syn02", 60.0, 360))
    assert len(python.samples) == 7


@pytest.mark.parametrize(
    "x",
    [
        np.zeros(3000),
        np.full(3000, 2.5),
        np.zeros(1),
        generate("syn00", 10.0, 250).signal[:500],
        # a peak every 200 ms; none exactly as high as another, else rounding decides between them
        np.where(np.arange(5000) % 50 == 25, np.random.default_rng(0).uniform(0.9, 1.1, 5000), 0.0),
        generate("syn00", 60.0, 250).signal + 5 * np.sin(2 * np.pi * 60 * np.arange(15000) / 250),
        np.concatenate([generate("syn00", 20.0, 250).signal, np.zeros(5000), generate("syn01", 20.0, 250).signal]),
    ],
    ids=["zeros", "flat", "one sample", "two seconds", "every 200 ms", "hum", "a long pause"],
)
@pytest.mark.parametrize("model", [RR_MODEL, LONG_FRAME_MODEL])
def test_strange_signals(build, model, x):
    built = build(model, 250)
    record = replace(generate("syn00", 10.0, 250), signal=x)
    if np.ptp(x):
        check(built, record)
    else:
        where, _, _ = built.run(x, np.zeros(0))
        assert len(where) == 0


def test_missing_samples_are_those_before_them(build):
    record = in_float32(generate("syn11", 30.0, 250))
    gaps, filled = record.signal.copy(), record.signal.copy()
    for start, stop in ((0, 20), (2000, 2600), (7480, 7500)):
        gaps[start:stop], filled[start:stop] = np.nan, filled[start - 1 if start else stop]
    filled[2600:] -= filled[2602] - filled[2599]  # where signal was lost it goes on without a step
    gaps[2600:2602] = np.inf, 3e38
    filled[2600:2602] = filled[2599]
    built = build(LONG_FRAME_MODEL, 250)
    found, want = built.run(gaps, np.zeros(0)), built.run(filled, np.zeros(0))
    assert len(found[0]) > 20 and (found[0] == want[0]).all()
    agrees(found[1], want[1], EQUAL_SHARE)


def with_gaps(signal: np.ndarray, gaps_s: list[tuple[float, float]], hz: int) -> np.ndarray:
    """With lost signal, drawn to the rail before, and another offset after it."""
    signal = signal.copy()
    for number, (start, seconds) in enumerate(gaps_s):
        first, end = round(hz * start), round(hz * (start + seconds))
        if number % 3 == 2:
            signal[first - 10 : first] += np.linspace(0, 300, len(signal[first - 10 : first]))
        signal[first:end] = np.nan
        signal[end:] += (40.0, -60.0, 15.0)[number % 3]
    return signal.astype(np.float32).astype(np.float64)


RNG = np.random.default_rng(1)
GAPS_S = [
    pytest.param([(6.0, 0.09), (10.0, 0.11), (20.0, 5.0)], id="too short, short, long"),
    pytest.param([(0.0, 1.0), (58.0, 2.0)], id="at both ends"),
    pytest.param([(56.0, 0.2), (59.3, 0.2)], id="towards the end"),
    pytest.param([(1.0 + 0.9 * k, 0.2) for k in range(60)], id="many"),
    pytest.param([(10.0 + 1.3 * k, 0.9) for k in range(30)], id="hardly a beat between"),
    pytest.param([(12.0 + 0.21 * k, 0.1) for k in range(60)], id="more than are remembered"),
    *(
        pytest.param(list(zip(np.sort(RNG.uniform(0, 60, 20)), RNG.uniform(0.05, 1.5, 20), strict=True)), id=f"any {n}")
        for n in range(3)
    ),
]


@pytest.mark.parametrize("built", [RR_MODEL, "given peaks", "intervals so far", "frame and template", "difference"])
@pytest.mark.parametrize("gaps", GAPS_S)
def test_lost_signal_is_taken_as_in_python(build, build_contract, gaps, built):
    if built in CONTRACTS:
        built = build_contract(CONTRACTS[built], 250, "int8")
    else:
        built = build(RR_MODEL, 250, built == RR_MODEL)
    record, contract = generate("syn11", 60.0, 250), built.settings.contract
    signal = with_gaps(record.signal, gaps, 250)
    peaks = None if built.settings.detects else record.samples[np.isfinite(signal[record.samples])]
    intake = Intake(contract, 250, peaks)
    examples = Examples.joined([*intake.push(signal), *intake.finish()])
    inputs = model_inputs(examples.frames, examples.rr, contract)
    where, found, rr = built.run(signal, np.zeros(0) if peaks is None else peaks)
    assert len(where) == len(examples.samples) > 20 and np.abs(where - examples.samples).max() <= 2
    for name, of_c in (("signal", found), ("rr", rr)):
        if name in inputs:
            agrees(of_c, built.model.quantize(name, inputs[name]).reshape(len(where), -1), 0.99)


@pytest.mark.parametrize("known", ["all", "one"])
@pytest.mark.parametrize("tail_s", [1.0, 2.996, 3.0, 3.3, 5.0])
def test_what_follows_the_last_given_beat_is_as_in_python(build, known, tail_s):
    built, record = build(RR_MODEL, 250, False), in_float32(generate("syn24", 40.0, 250))
    peaks = record.samples[record.samples < 30 * 250][: None if known == "all" else 1]
    signal = record.signal[: peaks[-1] + round(tail_s * 250)]
    intake = Intake(built.settings.contract, 250, peaks)
    examples = Examples.joined([*intake.push(signal), *intake.finish()])
    inputs = model_inputs(examples.frames, examples.rr, built.settings.contract)
    where, found, _ = built.run(signal, peaks)
    assert where.tolist() == examples.samples.tolist() == peaks.tolist()
    agrees(found, built.model.quantize("signal", inputs["signal"]).reshape(len(where), -1), 0.99)


def test_after_a_night_without_a_lead_one_sample_costs_no_more(build):
    """Nothing piles up that the first known sample would have to work off."""
    record = in_float32(generate("syn11", 30.0, 250))
    built = build(RR_MODEL, 250)
    late, _, _ = built.run(np.concatenate([np.full(250_000, np.nan), record.signal]), np.zeros(0))
    built.library.heartzoo_push.argtypes = [ctypes.c_void_p, ctypes.c_float]
    state = (ctypes.c_uint64 * 2048)()
    built.library.heartzoo_run_start(state)
    for _ in range(1000):
        built.library.heartzoo_push(state, float("nan"))
    assert ctypes.cast(state, ctypes.POINTER(ctypes.c_uint32))[0] == 1000  # all are taken already
    assert len(late) > 30


@pytest.mark.parametrize("hz", [125, 250, 360])
@pytest.mark.parametrize("offset", [300.0, -40.0])
def test_an_offset_of_the_electrodes_changes_nothing(build, hz, offset):
    record = in_float32(generate("syn11", 60.0, hz))
    built = build(RR_MODEL, hz)
    where, signal, _ = built.run(record.signal + offset, np.zeros(0))
    expected, plain, _ = built.run(record.signal, np.zeros(0))
    assert (where == expected).all() and len(where) > 40
    agrees(signal, plain, 0.995)  # a float of 300 mV is a multiple of 0.03 uV
    assert streamed(record.signal + offset, hz) == streamed(record.signal, hz)


def streamed(signal: np.ndarray, hz: int) -> list[tuple[int, str]]:
    stream = Stream(RR_MODEL, hz)
    return [(beat.sample, beat.label) for beat in (*stream.push(signal), *stream.finish())]


def peaks_taken(library: ctypes.CDLL, state: Any, peaks: list[int]) -> list[int]:
    return [library.heartzoo_add_peak(state, peak) for peak in peaks]


def test_a_peak_that_cannot_be_is_refused(build):
    library, state = build(RR_MODEL, 250, False).library, (ctypes.c_uint64 * 2048)()
    library.heartzoo_push.argtypes = [ctypes.c_void_p, ctypes.c_float]
    library.heartzoo_next.restype = ctypes.c_void_p
    library.heartzoo_run_start(state)
    for sample in generate("syn11", 20.0, 250).signal[:2000].tolist():
        library.heartzoo_push(state, sample)
    assert peaks_taken(library, state, [2000, 2**32 - 16, 10, 1900, 1900, 1800, 1990]) == [-1, -1, -1, 0, -1, -1, 0]


def test_the_last_peak_before_a_pause_is_labelled_without_another(build):
    library, state = build(RR_MODEL, 250, False).library, (ctypes.c_uint64 * 2048)()
    library.heartzoo_push.argtypes = [ctypes.c_void_p, ctypes.c_float]
    library.heartzoo_next.restype = ctypes.c_void_p
    library.heartzoo_run_start(state)
    given = []
    for number, sample in enumerate(generate("syn11", 20.0, 250).signal.tolist()):
        library.heartzoo_push(state, sample)
        if number in (500, 700):
            assert library.heartzoo_add_peak(state, number) == 0
        while library.heartzoo_next(state):
            given.append(number)
    assert len(given) == 2 and given[0] == 700 and 700 + 750 <= given[1] < 700 + 1500


class Decision(ctypes.Structure):
    _fields_ = (("label", ctypes.c_int), ("confidence", ctypes.c_float), ("sure", ctypes.c_int))


PREVALENCES = [
    {},
    {"S": {}},
    {"V": {"usual": 0.2, "assumed": 0.1}, "F": {"usual": 0.001}},
    {"S": {}, "F": {"of": "V", "usual": 0.03, "assumed": 0.015}},
]


@pytest.fixture(scope="module", params=PREVALENCES)
def deciding(build, compile_sources, request, tmp_path_factory):
    """The C sources of a model that follows the prevalence of some classes, and its configuration."""
    settings = build(RR_MODEL, 250).settings
    config = load_tflite(RR_MODEL).config
    config = parse_config({**config.model_dump(mode="json"), "prevalence": request.param}, "x")
    settings = replace(settings, prevalence=config.prevalence)
    library = compile_sources(settings, tmp_path_factory.mktemp("deciding"))
    library.heartzoo_decide.restype = Decision
    return library, settings, config


FACTORS = st.floats(-2, 2, width=32)


@given(
    st.lists(st.lists(st.integers(-128, 127), min_size=5, max_size=5), min_size=1, max_size=60),
    st.none() | st.lists(FACTORS, min_size=30, max_size=30),
)
def test_decisions_are_those_of_python(deciding, beats, factors):
    library, wanted, config = deciding
    prevalence = (ctypes.c_float * 5)()
    library.heartzoo_prevalence_start(prevalence)
    personal = factors and (ctypes.c_float * 30)(*factors)
    found = [library.heartzoo_decide(prevalence, personal, (ctypes.c_int8 * 5)(*logits)) for logits in beats]
    logits = (np.array(beats) - wanted.facts.logits.zero_point) * wanted.facts.logits.scale
    shifted = RunningPrevalence(config).shifted(logits)
    if factors:
        shifted = LogitMap(np.reshape(factors[:25], (5, 5)), np.array(factors[25:]))(shifted)
    likely = probabilities(shifted, wanted.temperature)
    for decision, chances in zip(found, likely, strict=True):
        assert chances[decision.label] == pytest.approx(chances.max(), abs=1e-5)
        assert decision.confidence == pytest.approx(chances.max(), abs=1e-5)
        assert bool(decision.sure) == (chances.max() >= wanted.threshold) or chances.max() == pytest.approx(
            wanted.threshold, abs=1e-5
        )


def test_of_equal_classes_the_first_is_called(deciding):
    library, _, _ = deciding
    prevalence = (ctypes.c_float * 5)()
    library.heartzoo_prevalence_start(prevalence)
    assert library.heartzoo_decide(prevalence, None, (ctypes.c_int8 * 5)(100, -100, -100, -100, 100)).label == 0


@pytest.mark.data
@pytest.mark.slow
@pytest.mark.parametrize(
    ("database", "version", "name"), [("mitdb", "1.0.0", "119"), ("mitdb", "1.0.0", "203"), ("svdb", "1.0.0", "820")]
)
def test_real_recordings(build, physionet, database, version, name):
    table = get_database(database)
    record = read_record(physionet / database / version, table, name)
    part = replace(record, signal=record.signal[: round(600 * record.fs)])
    for model in (RR_MODEL, FRAME_MODEL):
        assert len(check(build(model, int(record.fs)), part).samples) > 500


@settings(max_examples=60)
@given(
    hz=st.sampled_from([128, 250, 360]),
    intervals=st.lists(st.integers(1, 4000), min_size=1, max_size=200),
    steadiness=st.integers(1, 4000),
    seed=st.integers(0, 2**32 - 1),
    share_lost=st.sampled_from([0.0, 0.3]),
)
def test_rr_features(build, hz, intervals, steadiness, seed, share_lost):
    lost = set(np.flatnonzero(np.random.default_rng(seed).random(len(intervals)) < share_lost).tolist())
    # real rhythms repeat themselves: half of the intervals lie near one another
    samples = [value if k % 2 else steadiness + value % 40 for k, value in enumerate(intervals)]
    built = build(RR_MODEL, hz)
    library, state, tracker = built.library, (ctypes.c_uint64 * 256)(), RRTracker(list(FEATURES))
    library.heartzoo_rr_feature.restype = ctypes.c_float
    library.heartzoo_rr_start(state)
    for count, value in enumerate(samples):
        rhythm = tracker.push(value / hz, count in lost)
        before = max(count - 1, 0)
        if count > 1 and before in lost:
            library.heartzoo_rr_skip(state)
        elif count != 1:  # the first interval also stands in for the one before the first beat
            first = library.heartzoo_rr_middle(state) if before in lost else None
            library.heartzoo_rr_add(state, first or library.heartzoo_interval(samples[before]))
        post = library.heartzoo_rr_middle(state) if count in lost else library.heartzoo_interval(value)
        found = [library.heartzoo_rr_feature(state, number, post) for number in range(len(FEATURES))]
        assert found == pytest.approx(rhythm.features, abs=1e-5)


def test_the_usual_interval_over_hours(build):
    library, state, names = build(RR_MODEL, 250).library, (ctypes.c_uint64 * 256)(), ["pre_usual", "post_usual"]
    numbers, tracker = [list(FEATURES).index(name) for name in names], RRTracker(names)
    library.heartzoo_rr_feature.restype = ctypes.c_float
    library.heartzoo_rr_start(state)
    rng = np.random.default_rng(0)
    slowly = 220 + 80 * np.sin(np.arange(20_000) / 3000)
    intervals = np.where(rng.random(20_000) < 0.05, rng.integers(1, 1000, 20_000), slowly + rng.normal(0, 5, 20_000))
    before = None
    for value in intervals.astype(int).tolist():
        rhythm, post = tracker.push(value / 250), library.heartzoo_interval(value)
        if before is not None:
            library.heartzoo_rr_add(state, before)
            found = [library.heartzoo_rr_feature(state, number, post) for number in numbers]
            assert found == pytest.approx(rhythm.features, abs=1e-4)
        before = post


@settings(max_examples=60)
@given(seed=st.integers(0, 2**32), length=st.integers(1, 900), level=st.floats(-5, 5))
def test_resampling_is_that_of_scipy(build, seed, length, level):
    built = build(RR_MODEL, 360)
    x = (np.random.default_rng(seed).standard_normal(length) + level).astype(np.float32)
    state = (ctypes.c_uint64 * 64)()
    built.library.heartzoo_resampler_start(state)
    output, found = ctypes.c_float(), []
    want = prepared(x.astype(np.float64), 360.0, built.settings.contract.model_copy(
        update={"highpass_hz": None, "lowpass_hz": None}
    ))  # fmt: skip
    for value in [*x.tolist(), *[float(x[-1])] * 60]:
        built.library.heartzoo_resampler_push(state, ctypes.c_float(value))
        while built.library.heartzoo_resampler_take(state, ctypes.byref(output)):
            found.append(output.value)
    assert np.array(found[: len(want)]) == pytest.approx(want, abs=1e-5)


def test_half_the_taps_are_enough():
    up_and_down = taps(Fraction(100, 360))
    assert len(up_and_down) == 181 and up_and_down[0] == up_and_down.max()


@pytest.mark.parametrize("kind", ["highpass", "lowpass"])
def test_a_section_is_the_filter(kind):
    out2, out1, out0, back1, back0, rest = section(100.0, 5.0, kind)
    z = np.exp(2j * np.pi * np.linspace(0.001, 0.499, 50))
    d = z - 1
    found = (out2 * d**2 + out1 * d + out0) / (d**2 + back1 * d + back0)
    sos = dsp.butter(2, 5.0, kind, fs=100.0, output="sos")
    _, want = dsp.freqz_sos(sos, np.angle(z) % (2 * np.pi))
    assert found == pytest.approx(want, abs=1e-9) and rest == {"highpass": 0.0, "lowpass": 1.0}[kind]
