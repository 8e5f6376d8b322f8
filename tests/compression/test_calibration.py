"""How calibration examples set a tensor's range."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from heartzoo.compression.calibration import METHODS, activation_range


@given(arrays(np.float32, st.integers(1, 40), elements=st.floats(-1e6, 1e6, width=32)), st.sampled_from(METHODS))
@settings(max_examples=60)
def test_a_range_holds_zero_and_stays_within_the_values(values, method):
    low, high = activation_range(values, method)
    assert min(0, values.min()) <= low <= 0 <= high <= max(0, values.max())


def test_an_outlier_sets_the_whole_range_only():
    values = np.random.default_rng(0).normal(size=100_000)
    values[17] = 1000.0
    assert activation_range(values, "minmax") == (values.min(), 1000.0)
    low, high = activation_range(values, "percentile")
    assert -4.5 < low < -3 and 3 < high < 4.5


def test_every_channel_counts():
    values = np.random.default_rng(0).normal(size=(500, 64, 16))
    values[..., 5] *= 30
    low, high = activation_range(values, "mse")
    assert low < -40 and high > 40


def test_the_least_squared_error_is_found():
    values = np.concatenate([np.random.default_rng(0).normal(size=10_000), [20.0]])

    def error(low: float, high: float) -> float:
        step = (high - low) / 255
        return float(np.square(np.clip(np.rint(values / step) * step, low, high) - values).sum())

    low, high = activation_range(values, "mse")
    whole = activation_range(values, "minmax")
    assert error(low, high) < error(*whole)
    assert error(low, high) == pytest.approx(
        min(error(s * whole[0], s * whole[1]) for s in np.linspace(0.3, 1, 36)), rel=0.05
    )


def test_a_percentile_range_leaves_out_one_value_of_ten_thousand():
    low, high = activation_range(np.linspace(-1, 1, 100_001), "percentile")
    assert (low, high) == pytest.approx((-0.9998, 0.9998), abs=1e-6)


def test_the_least_squared_error_may_leave_out_a_third_of_the_range():
    """Two far values, and many that a step of the whole range loses and one of half of it has exactly."""
    values = np.concatenate([np.full(99_998, 0.5), [-127.5, 127.5]])
    low, high = activation_range(values, "mse")
    assert high == -low == pytest.approx(0.62 * 127.5)
