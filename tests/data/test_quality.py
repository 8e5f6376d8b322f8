"""Signal quality marks, and gaps."""

from __future__ import annotations

import pickle
import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from heartzoo.data import synthetic
from heartzoo.data.quality import Gaps, LostSignal, Quality, Stretch, lost_between

FS = 250
TIME = np.arange(20 * FS) / FS


def clean() -> np.ndarray:
    return synthetic.generate("syn02", 20.0).signal


def stretches(x: np.ndarray, fs: float = FS) -> list[Stretch]:
    quality = Quality(fs)
    quality.push(x)
    quality.finish()
    return quality.stretches


def test_a_clean_signal_has_no_mark() -> None:
    assert stretches(clean()) == []
    assert stretches(clean() + 3.0) == []
    assert stretches(0.3 * clean()) == []


@pytest.mark.parametrize(
    ("mark", "spoilt"),
    [
        ("lead off", np.full(20 * FS, np.nan)),
        ("flat line", np.full(20 * FS, 0.3)),
        ("saturated", np.clip(20 * np.sin(2 * np.pi * TIME), -2.5, 2.5)),
        ("noise", 5 * np.sin(2 * np.pi * 60 * TIME)),
        ("noise", np.random.default_rng(0).normal(0, 0.2, 20 * FS)),
        ("noise", 30 * np.sin(2 * np.pi * TIME)),
    ],
)
def test_each_mark(mark: str, spoilt: np.ndarray) -> None:
    assert stretches(spoilt) == [Stretch(0.0, 20.0, mark)]
    x = clean()
    x[5 * FS : 8 * FS] = spoilt[: 3 * FS]
    found = [stretch for stretch in stretches(x) if stretch.mark == mark]
    assert found[0].start_s == 5.0
    assert 8.0 <= found[-1].end_s <= 9.0  # a high-pass rings on


def test_a_tenth_missing_is_a_lead_that_is_off() -> None:
    for missing, found in ((25, [Stretch(5.0, 6.0, "lead off")]), (24, [])):
        x = clean()
        x[5 * FS : 5 * FS + missing] = np.nan
        assert stretches(x) == found


@pytest.mark.parametrize(
    ("before", "after", "found"),
    [
        (13, 12, [Stretch(5.0, 6.0, "lead off")]),  # no tenth of either second, but a tenth of one in a row
        (12, 12, []),
        (24, 1, [Stretch(5.0, 6.0, "lead off")]),
        (25, 1, [Stretch(4.0, 6.0, "lead off")]),
        (2 * FS, 5, [Stretch(3.0, 6.0, "lead off")]),
    ],
)
def test_lost_signal_is_marked_on_both_sides_of_a_second(before: int, after: int, found: list[Stretch]) -> None:
    x = clean()
    x[5 * FS - before : 5 * FS + after] = np.nan
    assert stretches(x) == found


@pytest.mark.parametrize(("samples", "height", "saturated"), [(10, 1.2, True), (9, 1.2, False), (10, 0.8, False)])
def test_what_keeps_a_far_value_for_40_ms_is_saturated(samples: int, height: float, saturated: bool) -> None:
    x = 0.2 * np.sin(4 * np.pi * TIME)
    x[5 * FS + 100 : 5 * FS + 100 + samples] = height
    assert stretches(x) == ([Stretch(5.0, 6.0, "saturated")] if saturated else [])


def test_a_saturated_second_is_not_called_noise() -> None:
    x = np.random.default_rng(0).normal(0, 0.2, 20 * FS)
    x.reshape(20, FS)[:, 100:120] = 3.0
    assert stretches(x) == [Stretch(0.0, 20.0, "saturated")]


def test_a_short_gap_is_no_saturation() -> None:
    x = clean() + 2.0
    x[5 * FS] = 4.0  # the first sample of a second, far from the rest
    x[5 * FS + 10 : 5 * FS + 10 + FS // 16] = np.nan
    x[9 * FS : 10 * FS] = np.inf
    assert {(stretch.start_s, stretch.mark) for stretch in stretches(x)} == {(9.0, "lead off")}


@settings(max_examples=30)
@given(seed=st.integers(0, 2**32 - 1))
def test_the_same_marks_and_values_whatever_the_pieces(seed: int) -> None:
    rng = np.random.default_rng(seed)
    x = np.where(rng.random(20) < 0.5, clean().reshape(20, FS).T, rng.choice([np.nan, 0.0, 9.0], 20)).T.ravel()
    x[: rng.integers(0, 600)] = np.nan
    for start in rng.integers(0, len(x), 10):
        x[start : start + rng.integers(10, 60)] = np.nan
    pieces = np.split(x, np.sort(rng.integers(0, len(x), 30)))
    quality, gaps, whole = Quality(FS), Gaps(FS), Gaps(FS)
    for piece in pieces:
        quality.push(piece)
    quality.finish()
    assert quality.stretches == stretches(x)
    filled = np.concatenate([*map(gaps.push, pieces), gaps.finish()])
    np.testing.assert_array_equal(filled, np.concatenate([whole.push(x), whole.finish()]))
    assert gaps.missing == whole.missing == np.isnan(x).sum()


@settings(max_examples=60)
@given(data=st.data(), seed=st.integers(0, 2**32 - 1))
def test_signal_is_lost_where_a_tenth_of_a_second_of_it_is_missing(data: st.DataObject, seed: int) -> None:
    rng = np.random.default_rng(seed)
    lengths = rng.choice([1, 8, 9, 10, 11, 40], 30)
    x = np.repeat(np.where(np.arange(30) % 2 == rng.integers(2), np.nan, 0.0), lengths)
    x[~np.isnan(x) & (rng.random(len(x)) < 0.05)] = np.inf
    gone = "".join("x" if missing else "." for missing in ~np.isfinite(x))
    lengthy = [(found.start() + 9, found.end() - 1) for found in re.finditer("x{10,}", gone)]
    lost, before = LostSignal(100.0), 0
    for piece in np.split(x, np.sort(rng.integers(0, len(x), 10))):
        lost.push(piece)
        if before < lost.samples - 1:
            a, b = sorted(
                data.draw(st.lists(st.integers(before, lost.samples - 1), min_size=2, max_size=2, unique=True))
            )
            assert lost_between(lost.stretches, np.array([a]), np.array([b])).tolist() == [
                any(c < b and e > a for c, e in lengthy)
            ]
            before = a
            lost.forget(a)


def test_gaps_keep_the_last_value() -> None:
    gaps, nan = Gaps(FS), np.nan
    assert gaps.push(np.array([nan, nan])).tolist() == []
    assert gaps.push(np.array([nan, 2.0, nan, 3.0])).tolist() == [2.0, 2.0, 2.0, 2.0, 2.0, 3.0]
    assert gaps.push(np.array([nan, np.inf, -3e38])).tolist() == [3.0, 3.0, 3.0]
    assert gaps.finish().tolist() == []
    assert (gaps.missing, gaps.push(np.zeros(0)).tolist()) == (7, [])


@pytest.mark.parametrize("size", [1, 3, 7, 100])
def test_what_was_missing_at_the_start_comes_in_blocks(size: int) -> None:
    gaps, nan = Gaps(FS), np.nan
    assert [*gaps.blocks(np.full(7, nan), size)] == []
    blocks = [*gaps.blocks(np.array([nan, 2.0, 3.0]), size)]
    assert max(map(len, blocks[:-1])) <= size and np.concatenate(blocks).tolist() == [2.0] * 9 + [3.0]
    assert [block.tolist() for block in gaps.blocks(np.array([4.0]), size)] == [[4.0]]


def test_a_lead_that_comes_back_goes_on_where_it_was() -> None:
    gaps, nan = Gaps(50.0), np.nan
    assert gaps.push(np.array([1.0, nan, nan, nan, nan, 9.0])).tolist() == [1.0, 1.0, 1.0, 1.0, 1.0, 9.0]
    assert gaps.push(np.array([nan, nan])).tolist() == [9.0, 9.0]
    assert gaps.push(np.array([nan, nan, nan])).tolist() == [9.0, 9.0, 9.0]
    assert gaps.push(np.array([-31.0, -30.0, nan])).tolist() == [9.0, 10.0, 10.0]
    assert gaps.push(np.array([-28.0, *[nan] * 5, 4.0, 5.0])).tolist() == [12.0, *[12.0] * 6, 13.0]


def test_what_was_at_a_rail_before_a_gap_does_not_pile_up() -> None:
    gaps = Gaps(50.0)
    for _ in range(4):
        filled = gaps.push(np.array([0.5, 250.0, *[np.nan] * 5]))
    assert filled.tolist() == [249.5, 499.0, *[499.0] * 5]
    assert gaps.push(np.array([7.0, 8.0])).tolist() == [0.0, 1.0]


def test_a_signal_without_values_becomes_zeros() -> None:
    gaps = Gaps(FS)
    assert gaps.push(np.full(3, np.nan)).tolist() == []
    assert gaps.finish().tolist() == [0.0, 0.0, 0.0]


def test_a_lead_that_is_off_from_the_start_costs_no_memory() -> None:
    quality, lost = Quality(250.0), LostSignal(250.0)
    for _ in range(1_000):
        quality.push(np.full(333, np.nan))
        lost.push(np.full(333, np.nan))
    assert len(pickle.dumps(quality)) < 5_000 and len(pickle.dumps(lost)) < 1_000
    assert lost_between(lost.stretches, np.array([0, 300_000]), np.array([20, 300_300])).tolist() == [False, True]
    quality.push(np.zeros(500))
    quality.finish()
    assert quality.stretches[0] == Stretch(0.0, 1332.0, "lead off")
