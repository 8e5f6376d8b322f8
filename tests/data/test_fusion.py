"""Fused beats: which change, how, and when a recording has too few."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from heartzoo.config.disturbance import Disturbance
from heartzoo.data.disturbances import disturb
from heartzoo.data.fusion import fuse
from heartzoo.data.records import Record, open_record
from heartzoo.data.retiming import TooFewBeats
from heartzoo.tasks import get_task


@pytest.fixture(scope="module")
def record(synthetic_cache) -> Record:
    """A synthetic recording whose every seventh beat is ventricular, wherever it has none of its own."""
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setenv("HEARTZOO_CACHE", str(synthetic_cache))
        found = open_record("synthetic", "syn01")
    symbols, signal = found.symbols.copy(), np.array(found.signal, np.float64)
    wide = np.exp(-0.5 * (np.arange(-0.15, 0.15, 1 / found.fs) / 0.05) ** 2)
    for beat in range(15, len(symbols) - 2, 7):
        symbols[beat] = ord("V")
        start = found.samples[beat] - len(wide) // 2
        signal[start : start + len(wide)] -= 2 * wide
    return replace(found, symbols=symbols, signal=signal)


def classes(record: Record) -> np.ndarray:
    return get_task("arrhythmia-5").labels(record.symbols, "A")


@pytest.mark.parametrize("seed", range(5))
def test_a_tenth_of_the_normal_beats_becomes_fusion_beats_and_nothing_else_changes(record, seed):
    found = fuse(record, np.random.default_rng(seed))
    before, after = classes(record), classes(found)
    fused = (after == 3) & (before != 3)
    assert set(before[fused]) == {0} and np.array_equal(before[~fused], after[~fused])
    assert 0.05 < fused.sum() / (before == 0).sum() <= 0.1 and not fused[:10].any()
    assert np.array_equal(found.samples, record.samples) and len(found.signal) == len(record.signal)
    near = np.zeros(len(record.signal), bool)
    for at in found.samples[fused]:
        near[at - round(0.17 * record.fs) : at + round(0.57 * record.fs)] = True
    changed = found.signal != record.signal
    assert changed.any() and not (changed & ~near).any()


def test_a_fused_beat_lies_between_both_and_joins_without_a_step(record):
    found = fuse(record, np.random.default_rng(0))
    before, after = classes(record), classes(found)
    half = round(0.05 * record.fs)

    def qrs(source: Record, at: int) -> np.ndarray:
        return source.signal[at - half : at + half]

    normal = np.mean([qrs(record, at) for at in record.samples[before == 0][20:60]], axis=0)
    wide = np.mean([qrs(record, at) for at in record.samples[before == 2]], axis=0)
    axis = (wide - normal) / ((wide - normal) ** 2).sum()
    parts = np.array([(qrs(found, at) - normal) @ axis for at in found.samples[(after == 3) & (before != 3)]])
    low, middle, high = np.quantile(parts, (0.05, 0.5, 0.95))
    assert 0.15 < low < 0.4 < middle < 0.75 and high < 0.95
    assert np.abs(np.diff(found.signal)).max() <= 1.05 * np.abs(np.diff(record.signal)).max()


def test_the_same_draw_gives_the_same_beats_and_another_draw_others(record):
    one, again, other = (disturb(record, Disturbance(fusion=True, draw=draw)) for draw in (0, 0, 1))
    assert np.array_equal(one.signal, again.signal) and not np.array_equal(one.symbols, other.symbols)


def test_it_goes_with_another_rhythm_and_with_noise(record):
    noise = np.random.default_rng(0).standard_normal(10_000)
    found = disturb(record, Disturbance(fusion=True, rhythm="premature", noise="ma", snr_db=6), noise)
    assert {1, 3} <= set(classes(found)) and not np.array_equal(found.samples, record.samples)


def test_a_recording_with_too_few_ventricular_beats_is_refused_with_their_number(record):
    symbols = np.where(record.symbols == ord("V"), np.uint8(ord("N")), record.symbols)
    with pytest.raises(TooFewBeats, match=r"record syn01: expected .* 10 ventricular beats to fuse, found \d+ and \d"):
        fuse(replace(record, symbols=symbols), np.random.default_rng(0))
