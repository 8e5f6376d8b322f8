"""Adapting to a patient: what it may look at, that it helps where it can, and leaves alone what it should."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from heartzoo.confidence import probabilities
from heartzoo.personalisation import Logits, Personalisation, adapt, centred, choose, figure_after, fit_map

CLASSES = ("NSR", "PAC", "PVC")


def patients(shift: float, count: int = 6, beats: int = 200, seed: int = 0) -> Logits:
    """Patients whose logits for class 1 are off, each one's by an offset of his own; a tenth of beats each are rare."""
    rng = np.random.default_rng(seed)
    labels = rng.choice(3, (count, beats), p=[0.8, 0.1, 0.1])
    values = 4.0 * np.eye(3)[labels] + rng.normal(0, 0.7, (count, beats, 3))
    values[..., 1] += rng.uniform(-shift, shift, (count, 1))
    first = np.tile(np.arange(beats) < beats // 4, count)
    return Logits(values.reshape(-1, 3), labels.ravel(), np.repeat(np.arange(count).astype(str), beats), first)


def wrong(logits: Logits, values: np.ndarray) -> float:
    rest = ~logits.first
    return float((values[rest].argmax(axis=1) != logits.labels[rest]).mean())


@pytest.mark.parametrize("labelled", [False, True])
def test_an_offset_of_the_patient_is_found_and_removed(labelled: bool) -> None:
    validation, test = patients(5.0, seed=1), patients(5.0, seed=2)
    how = choose(validation, CLASSES, "macro_f1")
    assert how.strength > 0.5 and how.stiffness < 1000
    before, after = wrong(test, test.values), wrong(test, adapt(test, how, labelled))
    assert before > 0.1 and after < before / 3


def test_where_nothing_is_off_nothing_is_lost() -> None:
    test = patients(0.0)
    how = choose(patients(0.0, seed=1), CLASSES, "macro_f1")
    for labelled in (False, True):
        assert wrong(test, adapt(test, how, labelled)) <= wrong(test, test.values) + 0.01


@settings(max_examples=20)
@given(seed=st.integers(0, 1000), labelled=st.booleans())
def test_only_the_first_minutes_of_the_own_record_count(seed: int, labelled: bool) -> None:
    logits = patients(3.0, count=2, beats=40, seed=seed)
    how = Personalisation((1.0, 0.0, 0.0), 0.5, 10.0)
    own = logits.records == "0"
    other = Logits(
        np.where((own & logits.first)[:, None], logits.values, 9.0),
        np.where(own & logits.first, logits.labels, 0),
        logits.records,
        logits.first,
    )
    first = own & logits.first
    np.testing.assert_allclose(adapt(logits, how, labelled)[first], adapt(other, how, labelled)[first], atol=1e-9)


def test_logits_are_moved_by_the_median_of_the_first_ones() -> None:
    values = np.array([[1.0, 0.0], [2.0, 0.0], [90.0, 6.0], [4.0, 1.0]])
    first = np.array([True, True, True, False])
    found = centred(values, first, (3.0, 1.0), 0.5)
    np.testing.assert_allclose(found, values + 0.5 * np.array([3.0 - 2.0, 1.0 - 0.0]))


def test_no_known_beats_and_stiffness_leave_logits_alone() -> None:
    values, labels, none = np.random.default_rng(0).normal(size=(5, 3)), np.arange(5) % 3, np.zeros(5, bool)
    assert np.array_equal(centred(values, none, (9.0, 0.0, 0.0), 1.0), values)
    np.testing.assert_allclose(fit_map(values[none], labels[none], 1.0)(values), values)
    np.testing.assert_allclose(fit_map(values, labels, 1e9)(values), values, atol=1e-6)
    softer = [np.abs(fit_map(values, labels, stiffness)(values) - values).max() for stiffness in (100.0, 10.0, 1.0)]
    assert softer == sorted(softer) and softer[0] > 0


def test_a_choice_looks_at_the_beats_after_the_first_minutes_alone() -> None:
    logits = patients(0.0)
    calls = np.where(logits.first, (logits.labels + 1) % 3, logits.labels)
    figures = figure_after(logits, np.eye(3)[calls], CLASSES)
    assert (figures["n"], figures["accuracy"]) == (int((~logits.first).sum()), 1.0)


def test_the_labelled_map_is_where_nothing_more_is_gained() -> None:
    rng = np.random.default_rng(3)
    values, labels = rng.normal(size=(60, 3)), rng.integers(0, 3, 60)
    homogeneous = np.concatenate([values, np.ones((60, 1))], axis=1)
    mapped = fit_map(values, labels, 5.0)(values)
    change = np.linalg.lstsq(homogeneous, mapped - values)[0]
    slope = homogeneous.T @ (probabilities(mapped) - np.eye(3)[labels]) + 2 * 5.0 * change
    assert np.abs(change).max() > 0.1 and np.abs(slope).max() < 0.01


def test_usual_logits_are_those_of_the_usual_record_however_long_it_is() -> None:
    lengths, middles = (100, 10, 10), (0.0, 3.0, 6.0)
    values = np.repeat(np.array(middles)[:, None] * [1.0, 0.0, -1.0], lengths, axis=0)
    records = np.repeat(["a", "b", "c"], lengths)
    logits = Logits(values, np.arange(120) % 3, records, np.arange(120) % 2 == 0)
    assert choose(logits, CLASSES, "macro_f1").usual == pytest.approx((3.0, 0.0, -3.0))
