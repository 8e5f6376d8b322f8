"""Confidence: temperatures that fit, errors of calibration by hand, thresholds that keep enough."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from heartzoo.confidence import (
    COVERAGES,
    Decisions,
    choose_threshold,
    coverage_point,
    expected_calibration_error,
    fit_temperature,
    probabilities,
    reliability,
    risk_coverage,
)

CLASSES = ("NSR", "PAC", "PVC")


def drawn(temperature: float, n: int = 20_000) -> tuple[np.ndarray, np.ndarray]:
    """Logits, and labels that follow softmax(logits / temperature)."""
    rng = np.random.default_rng(0)
    logits = rng.normal(0, 3, (n, 3))
    chances = probabilities(logits, temperature).cumsum(axis=1)
    return logits, (rng.random((n, 1)) > chances).sum(axis=1)


@pytest.mark.parametrize("temperature", [0.5, 1.0, 4.0])
def test_the_fitted_temperature_is_the_one_the_labels_follow(temperature: float) -> None:
    logits, labels = drawn(temperature)
    found = fit_temperature(logits, labels)
    assert found == pytest.approx(temperature, rel=0.05)
    errors = [
        expected_calibration_error(reliability(Decisions.of(logits, labels, t))) for t in (found, 3 * found, found / 3)
    ]
    assert errors[0] < 0.02 < min(errors[1:])


def test_the_error_of_calibration_by_hand() -> None:
    decisions = Decisions(np.array([0, 0, 1, 1]), np.array([0, 1, 1, 1]), np.array([0.95, 0.97, 0.5, 0.52]))
    low, high = reliability(decisions)
    assert (low["n"], low["accuracy"], high["n"], high["accuracy"]) == (2, 1.0, 2, 0.5)
    assert low["confidence"] == pytest.approx(0.51) and high["confidence"] == pytest.approx(0.96)
    assert expected_calibration_error([low, high]) == pytest.approx(0.5 * 0.49 + 0.5 * 0.46)


@settings(max_examples=40)
@given(n=st.integers(1, 200), seed=st.integers(0, 2**32 - 1), sure=st.booleans())
def test_bins_hold_every_decision_once(n: int, seed: int, sure: bool) -> None:
    rng = np.random.default_rng(seed)
    logits = rng.normal(0, 1000 if sure else 1, (n, 3))
    bins = reliability(Decisions.of(logits, rng.integers(0, 3, n)))
    assert sum(entry["n"] for entry in bins) == n
    assert all(entry["low"] - 1e-12 <= entry["confidence"] <= entry["high"] + 1e-12 for entry in bins)


def test_the_surest_are_right_more_often() -> None:
    logits, labels = drawn(1.0)
    curve = risk_coverage(Decisions.of(logits, labels), CLASSES)
    assert [point["coverage"] for point in curve] == pytest.approx(COVERAGES, abs=1e-3)
    accuracies = [point["accuracy"] for point in curve]
    assert accuracies == sorted(accuracies) and accuracies[-1] > accuracies[0] + 0.05
    assert curve[0]["threshold"] == 0.0 and curve[0]["coverage"] == 1.0


def test_the_threshold_keeps_enough_and_helps() -> None:
    logits, labels = drawn(1.0)
    decisions = Decisions.of(logits, labels)
    for least in (0.9, 0.7):
        threshold = choose_threshold(decisions, CLASSES, "macro_f1", least)
        assert threshold > 0.3 and (decisions.confidence >= threshold).mean() == pytest.approx(least, abs=0.01)
    perfect = Decisions(labels, labels, decisions.confidence)
    assert choose_threshold(perfect, CLASSES, "macro_f1", 0.5) == 0.0


def test_a_threshold_that_keeps_too_few_is_not_chosen() -> None:
    """Of ten decisions the three least sure are wrong; the threshold that leaves out just these keeps seven."""
    labels, confidence = np.zeros(10, int), np.linspace(0.1, 1.0, 10)
    decisions = Decisions(labels, (np.arange(10) < 3).astype(int), confidence)
    for least, kept in ((0.75, 8), (0.7, 7)):
        threshold = choose_threshold(decisions, CLASSES, "accuracy", least)
        assert (confidence >= threshold).sum() == kept


def test_a_decision_as_sure_as_the_threshold_is_kept() -> None:
    decisions = Decisions(np.zeros(3, int), np.zeros(3, int), np.array([0.5, 0.7, 0.9]))
    assert coverage_point(decisions, 0.7, CLASSES)["coverage"] == pytest.approx(2 / 3)


def test_a_confidence_on_an_edge_is_in_the_bin_below() -> None:
    (found,) = reliability(Decisions(np.zeros(1, int), np.zeros(1, int), np.array([0.4])))
    assert (found["low"], found["high"]) == (5 / 15, 6 / 15)
