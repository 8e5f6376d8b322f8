"""Beats put at other times: what moves, what stays, and what the features then say."""

from __future__ import annotations

import pickle
from dataclasses import replace

import numpy as np
import pytest

from heartzoo.config.disturbance import Disturbance
from heartzoo.data.disturbances import disturb
from heartzoo.data.records import Record, open_record
from heartzoo.data.retiming import TooFewBeats, retime
from heartzoo.data.rr import rr_features
from heartzoo.data.signal import frames
from heartzoo.data.template import compare, reach, template_features
from heartzoo.tasks import get_task

RHYTHMS = ["arrhythmia", "block", "fibrillation", "premature", "tachycardia"]


@pytest.fixture(scope="module")
def record(synthetic_cache) -> Record:
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setenv("HEARTZOO_CACHE", str(synthetic_cache))
        return open_record("synthetic", "syn01")


def classes(record: Record) -> np.ndarray:
    return get_task("arrhythmia-5").labels(record.symbols, "A")


def p_matches(record: Record) -> np.ndarray:
    wide = frames(record.signal.astype(np.float32), record.samples, *reach(record.fs))
    found = compare(wide, np.ones(len(wide), bool), record.fs)
    return template_features(found, ["template_p"])[20:, 0]


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("rhythm", RHYTHMS)
def test_beats_are_in_order_in_millivolts_and_inside(record, rhythm, seed):
    found = retime(record, rhythm, np.random.default_rng(seed))
    assert len(found.samples) == len(found.symbols) >= 50
    between = np.diff(found.samples) / found.fs
    assert between.min() >= 0.3 - 1 / found.fs and between.max() < 4
    assert found.samples[0] >= 0 and found.samples[-1] < len(found.signal)
    assert np.isfinite(found.signal).all() and np.ptp(found.signal) < 1.5 * np.ptp(record.signal)
    assert (found.fs, found.patient, found.name, found.lead) == (record.fs, record.patient, record.name, record.lead)


@pytest.mark.parametrize("rhythm", RHYTHMS)
def test_a_qrs_keeps_its_shape(record, rhythm):
    found = retime(record, rhythm, np.random.default_rng(0))
    normal = found.samples[classes(found) == 0][5:40]
    half = round(0.05 * record.fs)
    moved = np.array([found.signal[at - half : at + half] for at in normal])
    own = record.samples[(classes(record) == 0)]
    source = np.array([record.signal[at - half : at + half] for at in own if half < at < len(record.signal) - half])
    likeness = [max(np.corrcoef(one, other)[0, 1] for other in source) for one in moved]
    assert min(likeness) > 0.95


def test_fibrillation_has_irregular_intervals_and_no_p_waves(record):
    found = retime(record, "fibrillation", np.random.default_rng(1))
    assert set(classes(found)) <= {0, 2} and found.rhythms == ((0, "(AFIB"),)
    recurrence = rr_features(found.samples, found.fs, ["recurrence"])[64:, 0]
    assert recurrence.mean() < 0.15 < rr_features(record.samples, record.fs, ["recurrence"])[64:, 0].mean()
    assert p_matches(found).mean() < p_matches(record).mean()


def test_sinus_arrhythmia_breathes_and_keeps_p_waves_and_symbols(record):
    several = [retime(record, "arrhythmia", np.random.default_rng(seed)) for seed in range(6)]
    depths, likeness = [], []
    for found in several:
        assert set(classes(found)) <= {0, 2} and found.rhythms == ()
        assert abs(np.median(p_matches(found)) - np.median(p_matches(record))) < 0.1
        pre = np.diff(found.samples)[classes(found)[1:] == 0] / found.fs
        depths.append(pre.std() / pre.mean())
        likeness.append(np.corrcoef(pre[1:], pre[:-1])[0, 1])
    assert np.mean(likeness) > 0.3  # neighbours are alike, as they are not in fibrillation
    assert max(depths) > 2 * min(depths) > 0.04


def test_a_blocked_beat_leaves_a_pause_of_two_intervals_and_its_p_wave(record):
    start, stop, ratios, lone, without = round(0.28 * record.fs), round(0.07 * record.fs), [], [], []
    for seed in range(6):
        found = retime(record, "block", np.random.default_rng(seed))
        assert set(classes(found)) == {0} and found.rhythms == ()
        pre = np.diff(found.samples, prepend=0)
        waves = np.array([found.signal[at - start : at - stop] for at in found.samples[10:]])
        own = np.median(waves - waves.mean(axis=1, keepdims=True), axis=0)
        for number in range(30, len(pre) - 1):
            sinus = np.median(pre[number - 30 : number + 30])
            if 0.75 * record.fs < sinus < 0.9 * record.fs and pre[number] > 1.6 * sinus:
                ratios.append(pre[number] / sinus)
                middle = found.samples[number] - pre[number] // 2
                lone.append(likeness_of(found.signal[middle - start : middle - stop], own))
                early = middle + round(0.25 * record.fs)
                without.append(likeness_of(found.signal[early - start : early - stop], own))
    assert len(ratios) > 20 and 1.9 < np.median(ratios) < 2.1
    assert np.median(lone) > 0.8 > 0.5 > np.median(without)


def likeness_of(one: np.ndarray, other: np.ndarray) -> float:
    return float(np.corrcoef(one, other)[0, 1]) if np.ptp(one) > 0 else 0.0


def test_premature_beats_come_early_and_become_supraventricular(record):
    several = [retime(record, "premature", np.random.default_rng(seed)) for seed in range(6)]
    for found in several:
        made = np.flatnonzero(found.symbols == ord("A"))
        assert set(classes(found)) <= {0, 1, 2}
        pre = rr_features(found.samples, found.fs, ["pre_median"])[:, 0]
        assert (pre[made] < 0).all() and np.median(pre[made]) < -0.2
    burdens = [float((found.symbols == ord("A")).mean()) for found in several]
    assert max(burdens) > 2 * min(burdens) > 0


def test_tachycardias_start_at_once_and_are_steady_and_the_sinus_node_takes_its_time(record):
    starts, within, normal = [], [], []
    for seed in range(30):
        found = retime(record, "tachycardia", np.random.default_rng(seed))
        assert set(classes(found)) <= {0, 1, 2}
        made = found.symbols[1:] == ord("A")
        pre = np.diff(found.samples) / found.fs
        before = np.concatenate([[False], made[:-1]])
        starts += (pre[made & ~before] / np.median(pre[~made])).tolist()
        steps = np.abs(np.log(pre[1:] / pre[:-1]))
        within += steps[made[1:] & made[:-1]].tolist()
        normal.append((~made & (pre < 0.8 * np.median(pre[~made]))).mean())
    assert len(starts) > 20 and max(starts) < 1.0 and np.median(starts) < 0.8
    assert np.quantile(within, 0.9) < 0.12
    assert max(normal) > 0.1  # fast, and still normal


def test_chance_hangs_on_the_records_name_and_the_draw(record):
    once, again = (disturb(record, Disturbance(rhythm="premature")) for _ in range(2))
    assert np.array_equal(once.signal, again.signal) and np.array_equal(once.symbols, again.symbols)
    other = disturb(record, Disturbance(rhythm="premature", draw=1))
    assert not np.array_equal(once.samples, other.samples)
    elsewhere = disturb(replace(record, name="else"), Disturbance(rhythm="premature"))
    assert not np.array_equal(once.samples, elsewhere.samples)


def test_a_copy_has_lost_nothing(record):
    gap = replace(record, lost=np.array([[500, 510]]))
    assert len(retime(gap, "premature", np.random.default_rng(0)).lost) == 0


@pytest.mark.parametrize("rhythm", ["premature", "tachycardia", "block"])
def test_intervals_across_lost_signal_say_nothing_of_the_rhythm(record, rhythm):
    lost = np.repeat(record.samples[100:-1:2, None] + 30, 2, axis=1)  # half of the intervals but for the first hundred
    lost = np.concatenate([lost, np.repeat(record.samples[101:-1:8, None] + 30, 2, axis=1)])
    gaps = replace(record, lost=lost[np.argsort(lost[:, 0])])
    assert gaps.across_lost_signal.mean() > 0.5
    intervals = [np.diff(retime(one, rhythm, np.random.default_rng(0)).samples) for one in (record, gaps)]
    assert np.median(intervals[1]) == pytest.approx(np.median(intervals[0]), rel=0.1)


def test_a_short_record_is_refused(record):
    short = replace(record, samples=record.samples[:20], symbols=record.symbols[:20])
    with pytest.raises(
        TooFewBeats, match=r"record syn01: expected 50 normal beats that can be moved, found \d+"
    ) as error:
        retime(short, "fibrillation", np.random.default_rng(0))
    assert str(pickle.loads(pickle.dumps(error.value))) == str(error.value)
    gaps = replace(record, lost=np.repeat(record.samples[:, None] + 30, 2, axis=1))  # between any two beats
    with pytest.raises(TooFewBeats):
        retime(gaps, "fibrillation", np.random.default_rng(0))
    one = replace(record, samples=record.samples[:1], symbols=record.symbols[:1])
    with pytest.raises(TooFewBeats):
        retime(one, "premature", np.random.default_rng(0))


def test_a_record_whose_normal_beats_lie_elsewhere_is_refused(record):
    """Of a long record a part is taken, in which there may be none."""
    rounds = 12
    length = len(record.signal)
    beats = len(record.samples)
    symbols = np.full(rounds * beats, ord("V"), np.uint8)
    symbols[:60] = ord("N")
    long = replace(
        record,
        signal=np.tile(record.signal, rounds),
        samples=np.concatenate([record.samples + length * k for k in range(rounds)]),
        symbols=symbols,
    )
    refused = 0
    for seed in range(12):
        try:
            assert len(retime(long, "block", np.random.default_rng(seed)).samples) >= 25
        except TooFewBeats as error:
            refused += 1
            assert "expected 50 normal beats in 1,500 that can be moved, found " in str(error)
    assert refused


def test_noise_comes_on_top_of_another_rhythm(record):
    noise = np.random.default_rng(0).normal(size=30_000)
    both = disturb(record, Disturbance(rhythm="premature", noise="ma", snr_db=0.0, draw=4), noise)
    alone = disturb(record, Disturbance(rhythm="premature", draw=4))
    assert np.array_equal(both.samples, alone.samples) and np.array_equal(both.symbols, alone.symbols)
    assert np.std(both.signal - alone.signal) > 0.5 * np.std(alone.signal)
