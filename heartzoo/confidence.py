"""How sure a model is, and whether it is right to be: temperature, reliability, abstention.

The confidence of a decision is its class's probability, softmax(logits / temperature).

References:
    Guo et al. 2017, On Calibration of Modern Neural Networks (ICML): temperature scaling, expected calibration error.
    Geifman and El-Yaniv 2017, Selective Classification for Deep Neural Networks (NeurIPS): risk-coverage curves.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.optimize import minimize_scalar

from heartzoo.metrics import confusion_matrix, pooled_figures

BINS = 15
COVERAGES = tuple(round(1 - 0.05 * step, 2) for step in range(11))  # 1, 0.95, ..., 0.5


@dataclass(frozen=True)
class Decisions:
    """What is decided by probabilities, and the truth.

    Attributes:
        labels: true classes, shape (n,).
        predictions: the classes called, shape (n,).
        confidence: how sure, 0 to 1, shape (n,).
    """

    labels: np.ndarray
    predictions: np.ndarray
    confidence: np.ndarray

    @classmethod
    def of(cls, logits: np.ndarray, labels: np.ndarray, temperature: float = 1.0) -> Decisions:
        """Decide by logits of shape (n, classes)."""
        return cls(labels, logits.argmax(axis=1), probabilities(logits, temperature).max(axis=1))


def probabilities(logits: np.ndarray, temperature: float = 1.0) -> np.ndarray:
    """``softmax(logits / temperature)``, float64, shape (n, classes)."""
    scaled = np.asarray(logits, np.float64) / temperature
    powers = np.exp(scaled - scaled.max(axis=1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=1, keepdims=True))


def fit_temperature(logits: np.ndarray, labels: np.ndarray) -> float:
    """The temperature with the least cross-entropy, between 0.05 and 20.

    Args:
        logits: shape (n, classes).
        labels: true classes, shape (n,).
    """

    def loss(log_temperature: float) -> float:
        right = probabilities(logits, np.exp(log_temperature))[np.arange(len(labels)), labels]
        return float(-np.log(np.maximum(right, 1e-12)).mean())

    return float(np.exp(minimize_scalar(loss, bounds=(np.log(0.05), np.log(20)), method="bounded").x))


def choose_threshold(decisions: Decisions, classes: Sequence[str], headline: str, least_coverage: float) -> float:
    """The confidence below which to abstain: of those that keep enough decisions, the one with the best figure.

    Args:
        decisions: those on validation patients.
        classes: class names.
        headline: name of the figure.
        least_coverage: share of the decisions that must be kept.

    Returns:
        0 where no abstention helps.
    """
    candidates = [0.0, *np.quantile(decisions.confidence, np.linspace(0, 1 - least_coverage, 41)[1:]).tolist()]
    points = [coverage_point(decisions, threshold, classes) for threshold in candidates]
    kept = [point for point in points if point["coverage"] >= least_coverage]
    return float(max(kept, key=lambda point: point[headline])["threshold"])  # of equal ones the lowest


def coverage_point(decisions: Decisions, threshold: float, classes: Sequence[str]) -> dict[str, Any]:
    """Figures of the decisions at least as sure as ``threshold``, and their share."""
    kept = decisions.confidence >= threshold
    matrix = confusion_matrix(decisions.labels[kept], decisions.predictions[kept], len(classes))
    return {"threshold": threshold, **coverage_figures(matrix, len(kept), classes)}


def coverage_figures(matrix: np.ndarray, whole: int, classes: Sequence[str]) -> dict[str, Any]:
    """Figures of the decisions kept out of ``whole``."""
    figures = pooled_figures(matrix[None], ["all"], classes)
    names = ("accuracy", "macro_f1", "macro_f1_nsv", "confusion_matrix")
    return {"coverage": float(matrix.sum() / whole), **{name: figures[name] for name in names if name in figures}}


def risk_coverage(decisions: Decisions, classes: Sequence[str]) -> list[dict[str, Any]]:
    """The curve: figures of the surest decisions, from all of them down to half."""
    thresholds = [0.0, *np.quantile(decisions.confidence, 1 - np.array(COVERAGES[1:])).tolist()]
    return [coverage_point(decisions, threshold, classes) for threshold in thresholds]


def reliability(decisions: Decisions) -> list[dict[str, Any]]:
    """The bins of a reliability diagram, of equal width, without empty ones.

    A bin holds the decisions whose confidence lies above ``low`` and not above ``high``: their number ``n``, mean
    ``confidence`` and ``accuracy``.
    """
    right = decisions.labels == decisions.predictions
    index = np.clip(np.ceil(decisions.confidence * BINS) - 1, 0, BINS - 1)
    return [
        {
            "low": number / BINS,
            "high": (number + 1) / BINS,
            "n": int((mine := index == number).sum()),
            "confidence": float(decisions.confidence[mine].mean()),
            "accuracy": float(right[mine].mean()),
        }
        for number in np.unique(index).astype(int).tolist()
    ]


def expected_calibration_error(bins: Sequence[dict[str, Any]]) -> float:
    """Mean distance of confidence and accuracy over bins, each weighed by its number of decisions."""
    total = sum(entry["n"] for entry in bins)
    return float(sum(entry["n"] * abs(entry["confidence"] - entry["accuracy"]) for entry in bins) / total)
