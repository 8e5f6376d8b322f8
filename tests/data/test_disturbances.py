"""Disturbances: noise of the stated power, the same again, and nothing but what was asked for."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from heartzoo.config.disturbance import Disturbance
from heartzoo.data.disturbances import add_noise, disturb
from heartzoo.data.quality import LostSignal
from heartzoo.data.records import Record, open_record
from heartzoo.data.signal import highpass
from heartzoo.errors import UserError

quick = settings(max_examples=30)


def power(x: np.ndarray, fs: float) -> float:
    return float(np.mean(highpass(x - x.mean(), fs, 0.5) ** 2))


@pytest.fixture(scope="module")
def record(synthetic_cache) -> Record:
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setenv("HEARTZOO_CACHE", str(synthetic_cache))
        return open_record("synthetic", "syn01")


@quick
@given(
    snr=st.floats(-20, 40),
    offset=st.integers(0, 999),
    size=st.floats(0.01, 100),
    samples=st.integers(800, 5000),
    seed=st.integers(0, 2**32 - 1),
)
def test_noise_has_the_power_asked_for(snr: float, offset: int, size: float, samples: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    signal, noise = rng.normal(3.0, size, samples), rng.normal(-1.0, 0.2, 1000)
    added = add_noise(signal, noise, offset, snr, 100.0) - signal
    assert 10 * np.log10(power(signal, 100.0) / power(added, 100.0)) == pytest.approx(snr, abs=1e-4)
    expected = np.resize(np.roll(noise, -offset), samples)
    assert np.corrcoef(added, expected)[0, 1] == pytest.approx(1.0)
    assert added.mean() == pytest.approx(0.0, abs=1e-6 * np.abs(added).max())


@pytest.mark.parametrize("flat", ["signal", "noise"])
def test_a_flat_line_has_no_ratio_and_stays(flat: str) -> None:
    rng = np.random.default_rng(0)
    x = {"signal": rng.normal(size=500), "noise": rng.normal(size=500)} | {flat: np.full(500, 2.0)}
    assert np.array_equal(add_noise(x["signal"], x["noise"], 7, 0.0, 100.0), x["signal"])


def test_noise_starts_elsewhere_in_every_record_and_draw_and_always_there(record: Record) -> None:
    noise = np.random.default_rng(0).normal(size=30_000)
    once = Disturbance(noise="ma", snr_db=0.0)
    signals = [
        disturb(one, disturbance, noise).signal
        for one in (record, replace(record, name="other"))
        for disturbance in (once, Disturbance(noise="ma", snr_db=0.0, draw=1))
    ]
    assert np.array_equal(signals[0], disturb(record, once, noise).signal)
    assert all(not np.array_equal(a, b) for k, a in enumerate(signals) for b in signals[:k])


def test_made_motion_is_other_in_every_record_and_draw_and_has_the_power_asked_for(record: Record) -> None:
    once = Disturbance(noise="motion", snr_db=6.0)
    signals = [
        disturb(one, disturbance).signal
        for one in (record, replace(record, name="other"))
        for disturbance in (once, Disturbance(noise="motion", snr_db=6.0, draw=1))
    ]
    assert np.array_equal(signals[0], disturb(record, once).signal)
    added = [signal - record.signal for signal in signals]
    for a in added:
        assert 10 * np.log10(power(record.signal, record.fs) / power(a, record.fs)) == pytest.approx(6.0, abs=1e-3)
    assert all(abs(np.corrcoef(a, b)[0, 1]) < 0.5 for k, a in enumerate(added) for b in added[:k])


def test_recorded_noise_needs_the_recording(record: Record) -> None:
    with pytest.raises(ValueError, match="needs the recording"):
        disturb(record, Disturbance(noise="em", snr_db=6.0))


def test_only_the_signal_is_scaled(record: Record) -> None:
    before = record.signal.copy()
    inverted = disturb(record, Disturbance(gain=-2.0))
    assert np.array_equal(inverted.signal, -2.0 * record.signal) and np.array_equal(record.signal, before)
    assert replace(inverted, signal=record.signal) == record


def test_another_sampling_rate_keeps_times(record: Record) -> None:
    found = disturb(record, Disturbance(from_fs=128.0))
    assert found.fs == 128.0 and len(found.signal) == np.ceil(len(record.signal) * 128 / record.fs)
    np.testing.assert_allclose(found.samples / 128.0, record.samples / record.fs, atol=0.5 / 128 + 1e-9)
    assert np.array_equal(found.symbols, record.symbols)
    second = replace(record, rhythms=((0, "(N"), (round(2 * record.fs), "(AFIB")))
    assert disturb(second, Disturbance(from_fs=128.0)).rhythms == ((0, "(N"), (256, "(AFIB"))
    gap = replace(record, lost=np.array([[500, 750]]))
    assert disturb(gap, Disturbance(from_fs=128.0)).lost.tolist() == [[256, 384]]


@quick
@given(jitter=st.floats(1.0, 200.0), draw=st.integers(0, 5))
def test_r_peaks_move_by_no_more_than_asked_and_stay_in_order(record: Record, jitter: float, draw: int) -> None:
    found = disturb(record, Disturbance(jitter_ms=jitter, draw=draw))
    moves = (found.samples - record.samples) / record.fs
    assert np.abs(moves).max() <= jitter / 1000 + 0.5 / record.fs
    assert (np.diff(found.samples) >= 0).all() and found.samples[0] >= 0 and found.samples[-1] < len(record.signal)
    if jitter > 20:
        assert moves.std() == pytest.approx(jitter / 1000 / np.sqrt(3), rel=0.2)
    assert np.array_equal(found.signal, record.signal)


def test_r_peaks_stay_within_the_recording(record: Record) -> None:
    ends = np.array([0, 1, len(record.signal) - 2, len(record.signal) - 1])
    edge = replace(record, samples=ends, symbols=record.symbols[:4])
    found = [disturb(edge, Disturbance(jitter_ms=100.0, draw=draw)).samples for draw in range(8)]
    assert np.min(found) == 0 and np.max(found) == len(record.signal) - 1


@pytest.mark.parametrize(
    ("given_", "words"),
    [
        ({}, "found none"),
        ({"gain": 2.0, "jitter_ms": 5.0}, "gain and jitter_ms"),
        ({"noise": "ma"}, "both noise and snr_db"),
        ({"snr_db": 3.0, "gain": 2.0}, "both noise and snr_db"),
        ({"gain": 0.0}, "no signal"),
        ({"other_lead": True, "turned_lead": True}, "found other_lead and turned_lead"),
        ({"rhythm": "premature", "gain": 2.0, "from_fs": 128.0}, "gain and from_fs"),
    ],
)
def test_a_disturbance_is_one_change(given_: dict[str, object], words: str) -> None:
    with pytest.raises(UserError, match=words):
        Disturbance(**given_)


@pytest.mark.parametrize("given_", [{"noise": "ma", "snr_db": 0.0}, {"gain": 2.0}, {"jitter_ms": 5.0}])
def test_the_same_change_of_the_other_lead_has_another_heading(given_: dict[str, object]) -> None:
    """Two columns of an experiment's table said the same."""
    first, other = Disturbance(**given_), Disturbance(**given_, other_lead=True)
    assert other.kind == f"{first.kind}, other lead" and other.level == first.level
    assert Disturbance(other_lead=True).kind == "other lead"
    turned = Disturbance(**given_, turned_lead=True)
    assert turned.kind == f"{first.kind}, turned lead" and turned.level == first.level
    assert Disturbance(turned_lead=True).kind == "turned lead"


def test_signal_is_lost_elsewhere_in_every_record_and_draw_and_always_there(record: Record) -> None:
    once = Disturbance(lost_share=0.3)
    found = [
        disturb(one, disturbance)
        for one in (record, replace(record, name="other"))
        for disturbance in (once, Disturbance(lost_share=0.3, draw=1))
    ]
    assert np.array_equal(found[0].signal, disturb(record, once).signal)
    assert all(not np.array_equal(a.signal, b.signal) for k, a in enumerate(found) for b in found[:k])
    for one in found:
        assert len(one.signal) == len(record.signal) and np.isfinite(one.signal).all()
        assert np.array_equal(one.samples, record.samples) and np.array_equal(one.symbols, record.symbols)
        least = LostSignal(record.fs).least
        held = sum(last - first + least for first, last in one.lost.tolist())
        assert 0.15 < held / len(record.signal) < 0.4  # runs overlap, and the short ones are none of these
        for first, last in one.lost.tolist():
            assert np.ptp(one.signal[first - least + 1 : last + 1]) == 0


def test_what_was_lost_before_stays_so(record: Record) -> None:
    found = disturb(replace(record, lost=np.array([[500, 700]])), Disturbance(lost_share=0.01))
    assert any(first <= 500 and last >= 700 for first, last in found.lost.tolist())


def test_all_of_a_short_recording_may_be_lost(record: Record) -> None:
    short = replace(record, signal=record.signal[:3], samples=np.array([1]), symbols=record.symbols[:1])
    assert disturb(short, Disturbance(lost_share=0.5)).signal.shape == (3,)
