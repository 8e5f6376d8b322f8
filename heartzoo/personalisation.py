"""Adapting a model to a patient by the first minutes of a recording, without touching the network.

What is adapted are the logits of the shipped file, by an affine map that a microcontroller computes in a few
multiplications: without labels an offset, with labels a matrix and an offset.

References:
    de Chazal and Reilly 2006, A patient-adapting heartbeat classifier (IEEE Trans Biomed Eng): what the first minutes
    of a recording, labelled, are worth.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import minimize

from heartzoo.confidence import probabilities
from heartzoo.metrics import confusion_matrix, pooled_figures

FIRST_S = 300.0
STRENGTHS = (0.0, 0.25, 0.5, 0.75, 1.0)
STIFFNESSES = (1.0, 10.0, 100.0, 1000.0, 10_000.0)


@dataclass(frozen=True)
class Personalisation:
    """How logits are adapted; chosen on validation patients.

    Attributes:
        usual: mean over records of the median of their logits, shape (classes,): where an unlabelled record's median
            is moved to.
        strength: how far, 0 for not at all to 1.
        stiffness: weight of the squared distance of the labelled map from leaving the logits as they are, beside the
            summed cross-entropy of the labelled beats.
    """

    usual: tuple[float, ...]
    strength: float
    stiffness: float


@dataclass(frozen=True)
class Logits:
    """Logits of the scored beats of some records, in order of time within each.

    Attributes:
        values: shape (n, classes).
        labels: shape (n,).
        records: record of each beat, shape (n,).
        first: which beats lie in their record's first minutes, boolean, shape (n,).
    """

    values: np.ndarray
    labels: np.ndarray
    records: np.ndarray
    first: np.ndarray


@dataclass(frozen=True)
class LogitMap:
    """What makes a model's logits one person's: ``logits @ matrix + offset``.

    Attributes:
        matrix: shape (classes, classes).
        offset: shape (classes,).
    """

    matrix: np.ndarray
    offset: np.ndarray

    def __call__(self, logits: np.ndarray) -> np.ndarray:
        """Map logits of shape (n, classes)."""
        return np.asarray(np.asarray(logits, np.float64) @ self.matrix + self.offset)


def centred(logits: np.ndarray, first: np.ndarray, usual: Sequence[float], strength: float) -> np.ndarray:
    """Move a recording's logits towards where they usually lie; without labels.

    Args:
        logits: shape (n, classes).
        first: which are known already, boolean, shape (n,); their median is what is moved. Without any nothing moves.
        usual: as in :class:`Personalisation`.
        strength: likewise.

    Returns:
        Shape (n, classes).
    """
    if not first.any():
        return logits
    return np.asarray(logits + strength * (np.asarray(usual) - np.median(logits[first], axis=0)))


def fit_map(logits: np.ndarray, labels: np.ndarray, stiffness: float) -> LogitMap:
    """The map by which a person's logits fit their labels.

    Args:
        logits: of labelled beats, shape (n, classes).
        labels: their classes, shape (n,).
        stiffness: as in :class:`Personalisation`.
    """
    k = logits.shape[1]
    target = np.eye(k)[labels]
    still = np.concatenate([np.eye(k), np.zeros((1, k))])  # the matrix, and below it the offset
    homogeneous = np.concatenate([logits, np.ones((len(logits), 1))], axis=1)

    def loss(flat: np.ndarray) -> tuple[float, np.ndarray]:
        change = flat.reshape(still.shape) - still
        chances = probabilities(homogeneous @ flat.reshape(still.shape))
        entropy = -np.log(np.maximum((chances * target).sum(axis=1), 1e-12)).sum()
        gradient = homogeneous.T @ (chances - target) + 2 * stiffness * change
        return float(entropy + stiffness * (change**2).sum()), gradient.ravel()

    found = minimize(loss, still.ravel(), jac=True, method="L-BFGS-B").x.reshape(still.shape)
    return LogitMap(found[:k], found[k])


def adapt(logits: Logits, how: Personalisation, labelled: bool) -> np.ndarray:
    """Logits after each record's first minutes have been seen, shape (n, classes)."""
    adapted = np.array(logits.values, np.float64)
    for record in np.unique(logits.records):
        mine = logits.records == record
        values, first = logits.values[mine].astype(np.float64), logits.first[mine]
        if labelled:
            adapted[mine] = fit_map(values[first], logits.labels[mine][first], how.stiffness)(values)
        else:
            adapted[mine] = centred(values, first, how.usual, how.strength)
    return adapted


def choose(logits: Logits, classes: Sequence[str], headline: str) -> Personalisation:
    """Choose how to adapt on validation patients: what gives the best figure after the first minutes.

    Args:
        logits: of their beats.
        classes: class names.
        headline: name of the figure.
    """
    medians = [np.median(logits.values[logits.records == record], axis=0) for record in np.unique(logits.records)]
    usual = tuple(np.mean(medians, axis=0).tolist())

    def best(values: Sequence[float], labelled: bool, make: Callable[[float], Personalisation]) -> float:
        figures = [figure_after(logits, adapt(logits, make(value), labelled), classes)[headline] for value in values]
        return values[int(np.argmax(figures))]

    strength = best(STRENGTHS, False, lambda value: Personalisation(usual, value, STIFFNESSES[-1]))
    stiffness = best(STIFFNESSES[::-1], True, lambda value: Personalisation(usual, strength, value))
    return Personalisation(usual, strength, stiffness)


def figure_after(logits: Logits, adapted: np.ndarray, classes: Sequence[str]) -> dict[str, float]:
    """Pooled figures of the beats after the first minutes."""
    rest = ~logits.first
    matrix = confusion_matrix(logits.labels[rest], adapted[rest].argmax(axis=1), len(classes))
    return pooled_figures(matrix[None], ["all"], classes)
