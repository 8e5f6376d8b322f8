"""Pairs of found and reference beats."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from heartzoo.data.matching import match

BEATS = st.lists(st.integers(0, 600), max_size=30).map(lambda beats: np.array(sorted(beats), np.int64))


@pytest.mark.parametrize(
    ("reference", "found", "pairs"),
    [
        ([], [], []),
        ([100], [], []),
        ([100], [115], [(0, 0)]),
        ([100], [116], []),
        ([100, 200], [90, 110, 200], [(0, 0), (1, 2)]),
        ([100, 110], [109], [(1, 0)]),
        ([100, 120], [98, 101], [(0, 1)]),
    ],
)
def test_the_nearest_are_pairs(reference: list[int], found: list[int], pairs: list[tuple[int, int]]) -> None:
    matched = match(np.array(reference, np.int64), np.array(found, np.int64), 15)
    assert [tuple(pair) for pair in matched.tolist()] == pairs


@given(reference=BEATS, found=BEATS)
def test_each_beat_is_in_one_pair_at_most(reference: np.ndarray, found: np.ndarray) -> None:
    pairs = match(reference, found, 15)
    for column, beats in enumerate((reference, found)):
        assert len(set(pairs[:, column].tolist())) == len(pairs) <= len(beats)
    assert (np.abs(reference[pairs[:, 0]] - found[pairs[:, 1]]) <= 15).all()
    left, other = np.delete(reference, pairs[:, 0]), np.delete(found, pairs[:, 1])
    assert (np.abs(left[:, None] - other) > 15).all()
