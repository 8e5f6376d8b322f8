"""Sizes as people write them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heartzoo.errors import UserError
from heartzoo.sizes import parse_size


@given(number=st.integers(0, 10**6), unit=st.sampled_from(["", "k", "K", "M", "kB", "KiB"]))
def test_sizes_are_read_as_they_are_written(number, unit):
    power = {"": 0, "k": 1, "m": 2}[unit[:1].lower()]
    assert parse_size(f"{number}{unit}") == number * 1024**power
    assert parse_size(f" {number} {unit}", of_bytes=False) == number * 1000**power


@pytest.mark.parametrize("text", ["", "k", "-3", "1e3", "3G", "a lot", "9" * 400])
def test_what_is_no_size_is_told(text):
    with pytest.raises(UserError, match="is no size"):
        parse_size(text)
