"""Scores of beat classification: confusion matrix, Se, +P, F1, means over patients, clustered bootstrap.

Conventions, the same everywhere:

* Confusion matrices hold the truth in rows and the prediction in columns. They may be stacked along leading axes.
* 0/0 counts as 0. So a class that neither occurs nor is predicted has F1 = 0, and a macro-F1, which is the mean over
  *all* the task's classes, falls when a test set, or a bootstrap resample of its patients, lacks a class. Only the
  figures of one patient or one record are means over the classes that it has.
* Leaving true classes out of a score means leaving their rows out. All columns stay: a scored beat that is called one
  of the classes left out is an error, a miss for its own class.

References:
    ANSI/AAMI EC57 (Se and +P of VEB and SVEB).
    Efron and Tibshirani 1993, An Introduction to the Bootstrap, section 13.3 (percentile interval).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

from heartzoo.errors import UserError
from heartzoo.tasks import AAMI

RESAMPLES = 2000
# Rows of the five-class matrix that are scored: Q is a handful of beats in DS2, and F nearly all one record's.
FIVE_CLASS_ROWS = {"nsv": 3, "nsvf": 4}
FEWEST_PATIENTS = 3  # over which a bootstrap interval says anything
# What tables and pictures call the figures that a task is judged by.
METRIC_NAMES = {"macro_f1": "macro-F1", "macro_f1_nsv": "macro-F1 N/S/V", "macro_f1_nsvf": "macro-F1 N/S/V/F"}


class ClassScores(NamedTuple):
    """Figures of each scored class, arrays of shape (..., r)."""

    se: np.ndarray
    ppv: np.ndarray
    f1: np.ndarray
    support: np.ndarray


@dataclass(frozen=True)
class Scores:
    """Every figure of one evaluation, in plain Python types, named as in ``metrics.json``; fractions, not percent.

    Attributes:
        bootstrap_seed: seed of the bootstrap.
        n: number of scored beats.
        accuracy: share of them that were called right.
        macro_f1: over all classes, pooled over beats.
        macro_f1_ci95: bootstrap 95 % interval, patients resampled.
        patient_macro_f1: mean over patients of the macro-F1 over the classes that the patient has.
        per_class: for each class ``se``, ``ppv``, ``f1``, ``support``.
        confusion_matrix: rows are the truth.
        by_record: for each record ``patient``, ``n``, ``accuracy``, ``macro_f1`` (over the classes that it has),
            ``per_class``, ``confusion_matrix``.
        macro_f1_nsv: five-class tasks only, as the four below: true F and Q beats left out.
        macro_f1_nsv_ci95: its interval.
        patient_macro_f1_nsv: its mean over patients (those with an N, S or V beat).
        macro_f1_nsvf: true Q beats left out.
        macro_f1_nsvf_ci95: its interval.
    """

    bootstrap_seed: int
    n: int
    accuracy: float
    macro_f1: float
    macro_f1_ci95: tuple[float, float]
    patient_macro_f1: float
    per_class: dict[str, dict[str, float]]
    confusion_matrix: list[list[int]]
    by_record: dict[str, dict[str, Any]]
    macro_f1_nsv: float | None = None
    macro_f1_nsv_ci95: tuple[float, float] | None = None
    patient_macro_f1_nsv: float | None = None
    macro_f1_nsvf: float | None = None
    macro_f1_nsvf_ci95: tuple[float, float] | None = None


def confusion_matrix(labels: np.ndarray, predictions: np.ndarray, k: int) -> np.ndarray:
    """Count true classes against predicted ones.

    Args:
        labels: true class indices, 0 ... k - 1, shape (n,).
        predictions: predicted class indices, 0 ... k - 1, shape (n,).
        k: number of classes.

    Returns:
        int64 array of shape (k, k), rows are the truth.

    Raises:
        UserError: the arrays differ in shape, or an index is out of range.
    """
    one_group = np.zeros(len(labels), np.int64)
    matrix: np.ndarray = _matrices(np.asarray(labels), np.asarray(predictions), one_group, 1, k)[0]
    return matrix


def confusion_matrices(
    labels: np.ndarray, predictions: np.ndarray, records: np.ndarray, k: int
) -> dict[str, np.ndarray]:
    """The confusion matrix of each record, in sorted order.

    Args:
        labels: true class indices, shape (n,).
        predictions: predicted class indices, shape (n,).
        records: record of each, shape (n,).
        k: number of classes.
    """
    names, index = np.unique(np.asarray(records).astype(str), return_inverse=True)
    matrices = _matrices(np.asarray(labels), np.asarray(predictions), index, len(names), k)
    return dict(zip(names.tolist(), matrices, strict=True))


def _matrices(labels: np.ndarray, predictions: np.ndarray, groups: np.ndarray, count: int, k: int) -> np.ndarray:
    """One confusion matrix for each of ``count`` groups, shape (count, k, k)."""
    if not labels.shape == predictions.shape == groups.shape:
        raise UserError(
            f"labels {labels.shape}, predictions {predictions.shape} and groups {groups.shape} differ in shape",
            "give one of each per beat",
        )
    for name, values in (("labels", labels), ("predictions", predictions)):
        if values.size and (values.min() < 0 or values.max() >= k):
            raise UserError(
                f"{name} lie between {values.min()} and {values.max()}, expected 0 to {k - 1}",
                "leave out the beats that are not scored",
            )
    cells = (groups * k + labels) * k + predictions
    return np.asarray(np.bincount(cells, minlength=count * k * k).reshape(count, k, k))


def _ratio(numerator: np.ndarray, denominator: np.ndarray) -> np.ndarray:
    """Quotient with 0/0 = 0; a zero denominator here always comes with a zero numerator."""
    quotient: np.ndarray = numerator / np.maximum(denominator, 1)
    return quotient


def class_scores(cm: np.ndarray) -> ClassScores:
    """Sensitivity, positive predictivity, F1 and support of each scored class.

    Args:
        cm: counts, shape (..., r, k); the first r <= k classes are scored.

    Returns:
        Arrays of shape (..., r), fractions; ``support`` in beats.
    """
    true_positives: np.ndarray = np.diagonal(cm, axis1=-2, axis2=-1)
    support = cm.sum(-1)
    called = cm.sum(-2)[..., : support.shape[-1]]
    return ClassScores(
        se=_ratio(true_positives, support),
        ppv=_ratio(true_positives, called),
        f1=_ratio(2 * true_positives, support + called),
        support=support,
    )


def macro_f1(cm: np.ndarray) -> np.ndarray:
    """Mean F1 over the scored classes: counts of shape (..., r, k) to fractions of shape (...)."""
    return np.asarray(class_scores(cm).f1.mean(-1))


def mean_recall(cm: np.ndarray) -> np.ndarray:
    """Mean sensitivity over all classes (balanced accuracy), for matrices of shape (..., k, k)."""
    recall: np.ndarray = class_scores(cm).se.mean(-1)
    return recall


def macro_f1_present(cm: np.ndarray) -> np.ndarray:
    """Mean F1 over those scored classes that have a true beat, 0 where none has: shapes as :func:`macro_f1`."""
    scores = class_scores(cm)
    # A class without a true beat has F1 = 0 and adds nothing to the sum.
    return _ratio(scores.f1.sum(-1), (scores.support > 0).sum(-1))


def macro_f1_nsv(cm: np.ndarray) -> np.ndarray:
    """Five-class headline, over N, S, V: true F and Q left out, a scored beat called F or Q is an error.

    Takes counts in the order N, S, V, F, Q, shape (..., 5, 5), and returns fractions of shape (...).
    """
    return macro_f1(cm[..., : FIVE_CLASS_ROWS["nsv"], :])


def macro_f1_nsvf(cm: np.ndarray) -> np.ndarray:
    """As :func:`macro_f1_nsv`, over N, S, V, F: only true Q left out, a scored beat called Q is an error."""
    return macro_f1(cm[..., : FIVE_CLASS_ROWS["nsvf"], :])


# The figures that a task is judged by, of counts of shape (..., k, k).
MACRO_F1S = {"macro_f1": macro_f1, "macro_f1_nsv": macro_f1_nsv, "macro_f1_nsvf": macro_f1_nsvf}


def without_each(matrices: np.ndarray, figure: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
    """A pooled figure as it would be without one patient, for each of them: who decides it?

    Args:
        matrices: one matrix per patient, shape (p, r, k).
        figure: of matrices, shape (..., r, k) to (...), such as :func:`macro_f1`.

    Returns:
        Shape (p,), in the order of the patients.
    """
    return figure(matrices.sum(0) - matrices)


def patient_macro_f1(matrices: np.ndarray) -> float:
    """Mean over patients of each patient's macro-F1 over the classes that the patient has.

    Args:
        matrices: one matrix per patient, shape (p, r, k). A patient without a scored beat is left out.

    Returns:
        A fraction.
    """
    scored = matrices[matrices.sum((1, 2)) > 0]
    return float(macro_f1_present(scored).mean()) if len(scored) else 0.0


def _ci95(resampled: np.ndarray) -> tuple[float, float]:
    low, high = np.percentile(macro_f1(resampled), [2.5, 97.5]).tolist()
    return low, high


def class_f1_ci95(matrices: np.ndarray, seed: int = 0) -> np.ndarray:
    """As :func:`intervals`, of the F1 of each scored class: shape (p, r, k) to (r, 2)."""
    found: np.ndarray = np.percentile(class_scores(_resampled(matrices, seed)).f1, [2.5, 97.5], axis=0).T
    return found


def false_alarms_ci95(matrices: np.ndarray, hours: np.ndarray, seed: int = 0) -> np.ndarray:
    """As :func:`intervals`, of how often each class is called wrongly in an hour.

    Args:
        matrices: one matrix per patient, shape (p, k, k).
        hours: length of each patient's recordings, shape (p,).
        seed: seed of the resampling.

    Returns:
        Shape (k, 2).
    """
    wrong = matrices.sum(1) - np.diagonal(matrices, axis1=1, axis2=2)
    sums = _resampled(np.concatenate([wrong, hours[:, None]], axis=1), seed)
    found: np.ndarray = np.percentile(sums[:, :-1] / sums[:, -1:], [2.5, 97.5], axis=0).T
    return found


def _resampled(counts: np.ndarray, seed: int) -> np.ndarray:
    """Sums over patients drawn with replacement: (p, ...) to (RESAMPLES, ...); of one seed the same patients always."""
    return np.tensordot(_draws(len(counts), seed), counts, axes=1)


@lru_cache(maxsize=2)
def _draws(patients: int, seed: int) -> np.ndarray:
    """How often each resample holds each patient, shape (RESAMPLES, patients)."""
    return np.random.default_rng(seed).multinomial(patients, np.full(patients, 1 / patients), RESAMPLES)


def paired_difference(
    first: np.ndarray, second: np.ndarray, figure: Callable[[np.ndarray], np.ndarray], seed: int = 0
) -> tuple[float, float, float]:
    """How much higher a figure is of one model than of another, with its percentile 95 % interval.

    Both are resampled with the same patients. What two models find hard in a patient is often alike, so that their
    difference is far surer than either figure, and intervals of the two may well overlap.

    Args:
        first: one matrix per patient, shape (p, r, k).
        second: the other model's, of the same patients in the same order.
        figure: of matrices, shape (..., r, k) to (...), such as :func:`macro_f1`.
        seed: seed of the resampling.

    Returns:
        The difference, and its lower and upper bound; fractions.
    """
    low, high = np.percentile(figure(_resampled(first, seed)) - figure(_resampled(second, seed)), [2.5, 97.5]).tolist()
    return float(figure(first.sum(0)) - figure(second.sum(0))), low, high


def patient_matrices(matrices: np.ndarray, patients: Sequence[str]) -> np.ndarray:
    """Add up the records of each patient.

    Args:
        matrices: one matrix per record, shape (m, k, k).
        patients: the patient of each record, length m.

    Returns:
        One matrix per patient, in the sorted order of their ids, shape (p, k, k).
    """
    names, index = np.unique(np.asarray(patients), return_inverse=True)
    total = np.zeros((len(names), *matrices.shape[1:]), matrices.dtype)
    np.add.at(total, index, matrices)
    return total


def record_figures(cm: np.ndarray, classes: Sequence[str]) -> dict[str, Any]:
    """Figures of one record, as under ``by_record``, but for its patient.

    Args:
        cm: its counts, shape (k, k).
        classes: k class names.
    """
    columns = [values.tolist() for values in class_scores(cm)]
    return {
        "n": int(cm.sum()),
        "accuracy": float(_ratio(np.trace(cm), cm.sum())),
        "per_class": {
            name: dict(zip(ClassScores._fields, row, strict=True)) for name, *row in zip(classes, *columns, strict=True)
        },
        "confusion_matrix": cm.tolist(),
        "macro_f1": float(macro_f1_present(cm)),
    }


def pooled_figures(matrices: np.ndarray, patients: Sequence[str], classes: Sequence[str]) -> dict[str, Any]:
    """Every figure of an evaluation but for the intervals and ``by_record``.

    Args:
        matrices: one matrix per record, shape (m, k, k).
        patients: the patient of each record, length m.
        classes: k class names; with those of AAMI the five-class figures come too.
    """
    cm, by_patient = matrices.sum(0), patient_matrices(matrices, patients)
    figures = record_figures(cm, classes)
    figures["macro_f1"] = float(macro_f1(cm))
    figures["patient_macro_f1"] = patient_macro_f1(by_patient)
    if tuple(classes) == AAMI:
        figures["macro_f1_nsv"] = float(macro_f1_nsv(cm))
        figures["macro_f1_nsvf"] = float(macro_f1_nsvf(cm))
        figures["patient_macro_f1_nsv"] = patient_macro_f1(by_patient[:, : FIVE_CLASS_ROWS["nsv"]])
    return figures


def false_alarms_per_hour(
    cm: np.ndarray, hours: Sequence[float | None], classes: Sequence[str]
) -> dict[str, float] | None:
    """How often each class but the first is called wrongly in an hour of recording.

    Args:
        cm: counts over all records, shape (k, k).
        hours: length of each record; None where one is not known.
        classes: k class names.

    Returns:
        None where a length is not known.
    """
    known = [length for length in hours if length is not None]
    if len(known) < len(hours):
        return None
    wrong = cm.sum(0) - np.diag(cm)
    return {name: float(wrong[index] / sum(known)) for index, name in enumerate(classes) if index}


def intervals(by_patient: np.ndarray, classes: Sequence[str], seed: int) -> dict[str, Any]:
    """Percentile 95 % interval of every pooled macro-F1, patients resampled with replacement 2,000 times.

    Whole patients are drawn because beats of one patient resemble each other: an interval over beats would be far too
    narrow. A class that a resample lacks counts with F1 = 0, as in the pooled figure.

    Args:
        by_patient: one matrix per patient, shape (p, k, k).
        classes: k class names; with those of AAMI the five-class figures have intervals too.
        seed: seed of the resampling.

    Returns:
        ``macro_f1_ci95`` and the like: lower and upper bound, fractions.
    """
    resampled = _resampled(by_patient, seed)
    found = {"macro_f1_ci95": _ci95(resampled)}
    if tuple(classes) == AAMI:
        for name, rows in FIVE_CLASS_ROWS.items():
            found[f"macro_f1_{name}_ci95"] = _ci95(resampled[:, :rows])
    return found


def _records(records: np.ndarray, patients: np.ndarray) -> tuple[list[str], np.ndarray, list[str]]:
    """The sorted names of the records, the position therein of each beat's record, and each record's patient."""
    names, first, index = np.unique(records, return_index=True, return_inverse=True)
    if patients.shape != records.shape or np.any(patients[first][index] != patients):
        raise UserError("a record's beats name several patients or none", "give every beat its record's patient")
    return names.tolist(), index, patients[first].tolist()


def score(
    labels: np.ndarray,
    predictions: np.ndarray,
    records: np.ndarray,
    patients: np.ndarray,
    classes: Sequence[str],
    seed: int = 0,
) -> Scores:
    """Score the predictions of one evaluation.

    Args:
        labels: true class indices, shape (n,); beats that are not scored are already left out.
        predictions: predicted class indices, shape (n,).
        records: record of each beat, shape (n,).
        patients: patient of each beat, shape (n,).
        classes: class names, in the order of the indices; with those of AAMI the five-class figures come too.
        seed: seed of the bootstrap.

    Returns:
        All figures. Records come in sorted order; the order of the beats has no influence.

    Raises:
        UserError: no beats, shapes that differ, an index out of range, or a record of two patients.
    """
    if not len(labels):
        raise UserError("there are no beats to score", "choose records that hold beats of the task's classes")
    names, index, owners = _records(np.asarray(records).astype(str), np.asarray(patients).astype(str))
    matrices = _matrices(np.asarray(labels), np.asarray(predictions), index, len(names), len(classes))
    return Scores(
        bootstrap_seed=seed,
        by_record={
            name: {"patient": owner, **record_figures(cm, classes)}
            for name, owner, cm in zip(names, owners, matrices, strict=True)
        },
        **pooled_figures(matrices, owners, classes),
        **intervals(patient_matrices(matrices, owners), classes, seed),
    )
