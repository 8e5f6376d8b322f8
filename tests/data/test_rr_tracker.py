"""The R-R tracker: what the arrays give, one interval at a time."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from heartzoo.data.rr import FEATURES, rr_features
from heartzoo.data.rr_tracker import Rhythm, RRTracker
from heartzoo.errors import UserError

NAMES = list(FEATURES)
FS = 250.0
# Gaps in samples at 250 Hz: usual, a regular rhythm's, 0 s, 10 s, and more.
GAPS = st.one_of(st.integers(60, 500), st.sampled_from([0, 1, 50, 200, 210, 750, 2500, 20_000]))


def track(samples: np.ndarray, names: list[str] = NAMES) -> list[Rhythm]:
    """The rhythm around every beat of a record."""
    tracker = RRTracker(names)
    return [*(tracker.push(gap / FS) for gap in np.diff(samples)), tracker.last()]


def features(rhythms: list[Rhythm]) -> np.ndarray:
    return np.array([rhythm.features for rhythm in rhythms])


@settings(max_examples=60)
@given(gaps=st.lists(GAPS, max_size=180))
def test_the_same_as_from_arrays(gaps: list[int]) -> None:
    samples = np.cumsum([50, *gaps])
    found = features(track(samples))
    assert np.isfinite(found).all() and np.abs(found).max() <= 1.0
    np.testing.assert_allclose(found, rr_features(samples, FS, NAMES), atol=2e-6)


@settings(max_examples=60)
@given(intervals=st.lists(st.tuples(GAPS, st.booleans()), max_size=180))
def test_the_same_as_from_arrays_where_signal_was_lost(intervals: list[tuple[int, bool]]) -> None:
    tracker, lost = RRTracker(NAMES), np.array([across for _, across in intervals], bool)
    found = features([*(tracker.push(gap / FS, across) for gap, across in intervals), tracker.last()])
    samples = np.cumsum([50, *(gap for gap, _ in intervals)])
    np.testing.assert_allclose(found, rr_features(samples, FS, NAMES, lost), atol=2e-6)


def test_an_interval_across_lost_signal_is_assumed_and_forgotten() -> None:
    tracker, other = RRTracker(NAMES), RRTracker(NAMES)
    for interval in (0.7, 0.9, 0.8):
        tracker.push(interval)
        other.push(interval)
    rhythm = tracker.push(7.0, lost=True)
    assert rhythm.features == other.push(0.8).features
    assert rhythm.assumed == ("an interval across lost signal is taken as 0.8 s",)
    assert tracker.push(0.7).assumed == rhythm.assumed
    first = RRTracker(["pre_post"])
    assert first.push(7.0, lost=True).assumed[0] == "an interval across lost signal is taken as 0.8 s"


@pytest.mark.parametrize("spread", [3, 200])
def test_the_same_as_from_arrays_over_a_long_record(spread: int) -> None:
    samples = np.cumsum(np.random.default_rng(spread).integers(200 - spread // 2, 200 + spread, 900))
    np.testing.assert_allclose(features(track(samples)), rr_features(samples, FS, NAMES), atol=2e-6)


def test_a_patient_whose_every_beat_is_early_after_the_start_gets_a_new_reference() -> None:
    samples = np.cumsum([0, *[250] * 20, *[125] * 200])
    pre_median = features(track(samples, ["pre_median"]))[:, 0]
    assert pre_median[21] == -1.0
    assert not pre_median[-60:].any()


def test_what_was_assumed_is_said() -> None:
    tracker = RRTracker(["pre_post"])
    assert tracker.last() == Rhythm((0.0,), ("a lone beat has 0.8 s on both sides",))
    assert tracker.push(1.0) == Rhythm((0.0,), ("the first beat's interval is that after it",))
    assert tracker.last().assumed == ("the last beat's next interval is that before it",)
    assert tracker.push(0.5) == Rhythm((1.0,), ())
    assert tracker.push(10.0).assumed == ("an interval of 10 s is taken as 3 s",)
    assert tracker.push(0.0).assumed == ("an interval of 10 s is taken as 3 s", "an interval of 0 s is taken as 0.2 s")
    assert tracker.last().assumed[0] == "an interval of 0 s is taken as 0.2 s"


def test_asking_for_the_last_beat_changes_nothing() -> None:
    asked, other = RRTracker(NAMES), RRTracker(NAMES)
    for gap in np.random.default_rng(0).uniform(0.3, 2, 200):
        asked.last()
        assert asked.push(gap) == other.push(gap)


@pytest.mark.parametrize("interval", [float("nan"), -0.1])
def test_an_interval_that_is_none_is_refused_and_changes_nothing(interval: float) -> None:
    tracker, other = RRTracker(NAMES), RRTracker(NAMES)
    for each in (tracker, other):
        each.push(0.8)
    with pytest.raises(UserError, match=r"R-R interval of .* give seconds"):
        tracker.push(interval)
    assert tracker.push(0.7) == other.push(0.7)


def test_an_unknown_feature_is_refused() -> None:
    with pytest.raises(UserError, match=r"unknown R-R feature 'pre_medain'.* 'pre_median'"):
        RRTracker(["pre_medain"])
