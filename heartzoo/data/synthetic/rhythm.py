"""The rhythm of a synthetic record: when its beats come, and of what kind they are."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from heartzoo.data.synthetic.patients import Patient
from heartzoo.data.synthetic.waves import ATRIAL, FOCUS_1, FOCUS_2, FUSION, NORMAL, PACED

SHORTEST_RR_S = 0.3


@dataclass(frozen=True)
class Beats:
    """The beats of a record, each attribute of shape (beats,).

    Attributes:
        times: R peaks in s from the record's start.
        intervals: intervals before them in s.
        kinds: rows of the patient's templates.
        fibrillation: whether the atria fibrillate.
    """

    times: np.ndarray
    intervals: np.ndarray
    kinds: np.ndarray
    fibrillation: np.ndarray


def draw_rhythm(rng: np.random.Generator, patient: Patient, duration_s: float) -> Beats:
    """Draw the beats of a record of ``duration_s`` seconds."""
    n = int(duration_s / SHORTEST_RR_S) + 2
    fibrillation = _stretches(rng, n, patient.burden * patient.profile.fibrillation)
    paced = _stretches(rng, n, patient.profile.paced)
    phase = 2 * np.pi * patient.mean_rr * np.arange(n)
    variation = patient.respiratory * np.sin(patient.breathing * phase) + patient.slow * np.sin(0.03 * phase)
    sinus = patient.mean_rr * (1 + np.where(paced, 0.0, variation + rng.normal(0, 0.012, n)))
    irregular = np.clip(0.85 * patient.mean_rr * np.exp(rng.normal(0, 0.22, n)), 0.36, 1.8)
    kinds = _kinds(rng, patient, fibrillation, paced)
    intervals = np.where(fibrillation, irregular, sinus) * _prematurity(rng, kinds, fibrillation)
    intervals = np.maximum(intervals, SHORTEST_RR_S)
    times = np.cumsum(intervals)
    inside = times < duration_s - 0.1
    return Beats(times[inside], intervals[inside], kinds[inside], fibrillation[inside])


def _stretches(rng: np.random.Generator, n: int, share: float) -> np.ndarray:
    """Recurring stretches of beats that are True, ``share`` of all; shape (n,)."""
    period = rng.integers(90, 180)
    return (np.arange(n) + rng.integers(period)) % period < share * period


def _kinds(rng: np.random.Generator, patient: Patient, fibrillation: np.ndarray, paced: np.ndarray) -> np.ndarray:
    """Kind of each beat. No two ectopic beats follow each other; fibrillating atria have no premature beats."""
    profile = patient.profile
    edges = np.cumsum([profile.atrial, profile.ventricular, profile.fusion]) * patient.burden
    ectopic = np.array([ATRIAL, FOCUS_1, FUSION, NORMAL])[np.searchsorted(edges, rng.random(len(paced)), side="right")]
    ectopic[fibrillation & (ectopic != FOCUS_1)] = NORMAL
    ectopic[1:][ectopic[:-1] != NORMAL] = NORMAL
    ectopic[(ectopic == FOCUS_1) & (rng.random(len(paced)) < 0.2)] = FOCUS_2
    return np.where((ectopic == NORMAL) & paced, PACED, ectopic)


def _prematurity(rng: np.random.Generator, kinds: np.ndarray, fibrillation: np.ndarray) -> np.ndarray:
    """Factor on the interval before each beat."""
    factor = np.ones(len(kinds))
    atrial, ventricular = kinds == ATRIAL, (kinds == FOCUS_1) | (kinds == FOCUS_2)
    factor[atrial] = rng.uniform(0.62, 0.90, atrial.sum())
    factor[ventricular] = rng.uniform(0.58, 0.85, ventricular.sum())
    reset = np.flatnonzero(atrial[:-1])
    compensated = np.flatnonzero((ventricular & ~fibrillation)[:-1])
    factor[reset + 1] = rng.uniform(0.98, 1.08, len(reset))
    factor[compensated + 1] = 2 - factor[compensated]
    return factor


def rhythm_changes(samples: np.ndarray, beats: Beats) -> tuple[tuple[int, str], ...]:
    """Rhythm changes, the first at the record's start, the others half way between two beats."""
    changes = np.flatnonzero(np.diff(beats.fibrillation)) + 1
    starts = [0, *((samples[changes - 1] + samples[changes]) // 2)]
    labels = np.where(beats.fibrillation[[0, *changes]], "(AFIB", "(N")
    return tuple((int(start), str(label)) for start, label in zip(starts, labels, strict=True))
