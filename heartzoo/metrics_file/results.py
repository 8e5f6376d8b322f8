"""The results in ``metrics.json``: of evaluations, of what was varied, and over seeds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import mean, stdev
from typing import Annotated, Any, Literal, Self

import numpy as np
from pydantic import AfterValidator, Field, StrictFloat, StrictInt, model_validator

from heartzoo.config.disturbance import Disturbance
from heartzoo.data.databases import HEARTBEAT_CSV
from heartzoo.data.splits import TRACKS, caveat
from heartzoo.metrics import (
    FEWEST_PATIENTS,
    MACRO_F1S,
    class_scores,
    false_alarms_per_hour,
    patient_matrices,
    pooled_figures,
    record_figures,
    without_each,
)
from heartzoo.metrics_file.confidence import Confidence
from heartzoo.metrics_file.figures import Finite, Matrix, Name, PerClass, check_agreement, square
from heartzoo.schema import Count, Fraction, StrictModel

Interval = tuple[Fraction, Fraction]


class RecordFigures(StrictModel):
    """Figures of one record; ``macro_f1`` is the mean over the classes that the record has.

    ``sex`` and ``age`` (years) are the person's, where the recording gives them; ``hours`` is how long it lasts, as far
    as it is scored.
    """

    patient: Name
    sex: Literal["F", "M"] | None = None
    age: Count | None = None
    hours: Annotated[StrictFloat, Field(gt=0, allow_inf_nan=False)] | None = None
    n: Count
    accuracy: Fraction
    macro_f1: Fraction
    per_class: PerClass
    confusion_matrix: Matrix

    @model_validator(mode="after")
    def _agrees(self) -> Self:
        classes = list(self.per_class)
        check_agreement(self.model_dump(), record_figures(square(self.confusion_matrix, len(classes)), classes))
        return self


def _known_track(name: str) -> str:
    if name not in TRACKS:
        raise ValueError(f"expected {', '.join(TRACKS)}, found {name}")
    return name


Track = Annotated[str, AfterValidator(_known_track), Field(json_schema_extra={"examples": list(TRACKS)})]


class Condition(StrictModel):
    """What was run, and on which beats. ``int16x8`` is a file with activations of 16 bits and weights of 8."""

    precision: Literal["float32", "int8", "int16x8"]
    runtime: Literal["keras", "tflm", "reference", "xnnpack"]
    dataset: Name
    split: Name
    track: Track

    @property
    def of_file(self) -> bool:
        """Whether the ``.tflite`` file ran, not its float parent."""
        return self.precision != "float32"


def _by_patient(matrices: Mapping[str, list[list[int]]], patients: Mapping[str, str]) -> np.ndarray:
    chosen = {name: matrix for name, matrix in matrices.items() if name in patients}
    return patient_matrices(np.array(list(chosen.values())), [patients[name] for name in chosen])


class Evaluation(Condition):
    """One undisturbed, full-coverage result of the published file or of its float parent.

    ``records`` lists the records that were opened; ``by_record`` those of them that hold a scored beat. ``seed`` seeded
    the training, null where that is not known; ``bootstrap_seed`` the bootstrap over patients. The
    figures are those of :class:`heartzoo.metrics.Scores`. ``false_alarms_per_hour`` gives for every class but the first
    how often it is called wrongly, among scored beats, in an hour of recording.
    """

    mapping: Literal["A", "B"]
    records: list[Name]
    seed: StrictInt | None
    bootstrap_seed: StrictInt
    file_sha256: Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
    n: Annotated[StrictInt, Field(ge=1)]
    accuracy: Fraction
    macro_f1: Fraction
    macro_f1_ci95: Interval
    patient_macro_f1: Fraction
    macro_f1_nsv: Fraction | None = None
    macro_f1_nsv_ci95: Interval | None = None
    patient_macro_f1_nsv: Fraction | None = None
    macro_f1_nsvf: Fraction | None = None
    macro_f1_nsvf_ci95: Interval | None = None
    per_class: PerClass
    confusion_matrix: Matrix
    by_record: Annotated[dict[Name, RecordFigures], Field(min_length=1)]
    false_alarms_per_hour: dict[Name, Finite] | None = None
    confidence: Confidence | None = None

    @property
    def patients(self) -> dict[str, str]:
        """The patient of each record that holds a scored beat."""
        return {name: record.patient for name, record in self.by_record.items()}

    @property
    def patient_matrices(self) -> np.ndarray:
        """A confusion matrix for each patient, in the sorted order of their ids, shape (p, k, k)."""
        return self.by_patient(self.patients)

    @property
    def few_patients(self) -> str:
        """``1 patient``, where the patients are too few for an interval to say anything; else nothing.

        Nothing either of beats whose people are not known.
        """
        if self.dataset == HEARTBEAT_CSV:
            return ""
        count = len({*self.patients.values()})
        return f"{count} patient{'s' * (count > 1)}" if count < FEWEST_PATIENTS else ""

    def by_patient(self, patients: Mapping[str, str]) -> np.ndarray:
        """The same, of the records whose patient is given."""
        matrices = {name: record.confusion_matrix for name, record in self.by_record.items()}
        return _by_patient(matrices, patients)

    def without_each(self, metric: str) -> dict[str, float]:
        """A macro-F1 as it would be without one patient, by the names of that patient's records.

        Args:
            metric: ``macro_f1``, ``macro_f1_nsv`` or ``macro_f1_nsvf``.
        """
        records: dict[str, list[str]] = {}
        for name, record in self.by_record.items():
            records.setdefault(record.patient, []).append(name)
        figures = without_each(self.patient_matrices, MACRO_F1S[metric]).tolist()
        return {" and ".join(records[patient]): value for patient, value in zip(sorted(records), figures, strict=True)}

    def least_without_one(self, metric: str) -> tuple[float, str] | None:
        """A macro-F1 without the one patient whom it owes most to, and the names of that patient's records.

        None of a single patient, and where the patients are not what was drawn: on a random split, or synthetic ones.
        """
        without = self.without_each(metric)
        if len(without) < 2 or caveat(self.track, self.split):
            return None
        record = min(without, key=without.__getitem__)
        return without[record], record

    @model_validator(mode="after")
    def _agrees(self) -> Self:
        classes = list(self.per_class)
        square(self.confusion_matrix, len(classes))
        unknown = set(self.by_record) - set(self.records)
        if unknown:
            raise ValueError(f"by_record names {sorted(unknown)}, which are not among the records")
        for name, record in self.by_record.items():
            if list(record.per_class) != classes:
                raise ValueError(f"by_record.{name}.per_class does not name the classes {classes}")
        matrices = np.array([record.confusion_matrix for record in self.by_record.values()])
        patients = [record.patient for record in self.by_record.values()]
        absent = dict.fromkeys(("macro_f1_nsv", "macro_f1_nsvf", "patient_macro_f1_nsv"))
        check_agreement(self.model_dump(), absent | pooled_figures(matrices, patients, classes))
        self._check_intervals()
        if self.false_alarms_per_hour is not None:
            hours = [record.hours for record in self.by_record.values()]
            alarms = false_alarms_per_hour(np.array(self.confusion_matrix), hours, classes)
            check_agreement({"false_alarms_per_hour": self.false_alarms_per_hour}, {"false_alarms_per_hour": alarms})
        if self.confidence is not None:
            self.confidence.check(np.array(self.confusion_matrix), classes)
        return self

    def _check_intervals(self) -> None:
        """Each figure has an ordered interval."""
        for name in ("macro_f1", "macro_f1_nsv", "macro_f1_nsvf"):
            figure, interval = getattr(self, name), getattr(self, f"{name}_ci95")
            if (figure is None) != (interval is None):
                raise ValueError(f"{name} and {name}_ci95 belong together")
            if interval is not None and interval[0] > interval[1]:
                raise ValueError(f"{name}_ci95 runs from {interval[0]} down to {interval[1]}")


class PooledResult(Condition):
    """Figures of the shipped file pooled over beats, apart from the evaluations.

    ``by_record`` holds the confusion matrix of each record that has a scored beat; older files have none.
    """

    records: list[Name]
    file_sha256: Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
    n: Annotated[StrictInt, Field(ge=1)]
    accuracy: Fraction
    macro_f1: Fraction
    macro_f1_nsv: Fraction | None = None
    macro_f1_nsvf: Fraction | None = None
    per_class: PerClass
    confusion_matrix: Matrix
    by_record: Annotated[dict[Name, Matrix], Field(min_length=1)] | None = None

    def by_patient(self, patients: Mapping[str, str]) -> np.ndarray:
        """A confusion matrix for each patient, in the sorted order of their ids, shape (p, k, k).

        Args:
            patients: the patient of each record that counts; those of an :class:`Evaluation` of the same split.

        Raises:
            ValueError: an older file, which holds no matrices by record.
        """
        if self.by_record is None:
            raise ValueError("there are no matrices by record")
        return _by_patient(self.by_record, patients)

    @model_validator(mode="after")
    def _agrees(self) -> Self:
        classes = list(self.per_class)
        if self.by_record is not None:
            if unknown := set(self.by_record) - set(self.records):
                raise ValueError(f"by_record names {sorted(unknown)}, which are not among the records")
            matrices = [square(matrix, len(classes)) for matrix in self.by_record.values()]
            if not np.array_equal(np.sum(matrices, axis=0), self.confusion_matrix):
                raise ValueError("the matrices of by_record do not add up to the confusion matrix")
        figures = pooled_figures(square(self.confusion_matrix, len(classes))[None], ["all"], classes)
        absent = dict.fromkeys(("macro_f1_nsv", "macro_f1_nsvf"))
        pooled = {name: value for name, value in figures.items() if not name.startswith("patient_")}
        check_agreement(self.model_dump(), absent | pooled)
        return self


class DisturbedResult(PooledResult):
    """A result on recordings made worse; see :mod:`heartzoo.data.disturbances`.

    ``noise_offsets`` says for each record at which sample of the second half of nstdb's recording, at the record's
    sampling rate, its noise begins; null without recorded noise.
    """

    disturbance: Disturbance
    noise_offsets: dict[Name, Count] | None = None


class PersonalisedResult(PooledResult):
    """A result after each record's first five minutes, in which the file's logits were adapted to the patient or not.

    See :mod:`heartzoo.personalisation`.
    """

    adapted: Literal["no", "without labels", "with labels"]


class DetectionFigures(StrictModel):
    """Beats found, missed and extra, within 150 ms; sensitivity and positive predictivity of the detection."""

    found: Count
    missed: Count
    extra: Count
    se: Fraction
    ppv: Fraction


class EndToEndRecord(StrictModel):
    """The same counts of one record, and its confusion matrix; see :class:`EndToEndResult`."""

    found: Count
    missed: Count
    extra: Count
    confusion_matrix: Matrix


class EndToEndResult(Condition):
    """A result with the beats found by heartzoo's detector instead of given.

    Beats at most ``window_s`` apart are pairs. Rows of a confusion matrix are the truth; the last row holds extra beats
    by what they were called, the last column the missed ones. ``per_class`` derives from it: a missed beat lowers the
    sensitivity of its class, an extra one the positive predictivity of the class that it was called.
    """

    mapping: Literal["A", "B"]
    file_sha256: Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
    window_s: Finite
    detection: DetectionFigures
    per_class: PerClass
    confusion_matrix: Matrix
    by_record: Annotated[dict[Name, EndToEndRecord], Field(min_length=1)]

    @property
    def records(self) -> list[str]:
        """The records that were opened."""
        return list(self.by_record)

    @model_validator(mode="after")
    def _agrees(self) -> Self:
        classes = list(self.per_class)
        for record in self.by_record.values():
            square(record.confusion_matrix, len(classes) + 1)
        records = {name: record.model_dump() for name, record in self.by_record.items()}
        check_agreement(self.model_dump(), end_to_end_figures(records, classes))
        return self


def end_to_end_figures(by_record: Mapping[str, Mapping[str, Any]], classes: Sequence[str]) -> dict[str, Any]:
    """``detection``, ``per_class`` and ``confusion_matrix`` of an :class:`EndToEndResult` from its records."""
    found, missed, extra = (sum(record[key] for record in by_record.values()) for key in ("found", "missed", "extra"))
    matrix = np.sum([record["confusion_matrix"] for record in by_record.values()], axis=0)
    scores = class_scores(matrix)
    columns = {key: getattr(scores, key).tolist() for key in ("se", "ppv", "f1", "support")}
    return {
        "detection": {
            "found": found,
            "missed": missed,
            "extra": extra,
            "se": found / max(found + missed, 1),
            "ppv": found / max(found + extra, 1),
        },
        "per_class": {
            name: {key: values[index] for key, values in columns.items()} for index, name in enumerate(classes)
        },
        "confusion_matrix": matrix.tolist(),
    }


class SeedResult(Condition):
    """One figure over several trainings that differ by their seed only.

    ``metric`` names a figure of an evaluation, with dots (``macro_f1``, ``per_class.V.f1``). ``spread`` is the sample
    standard deviation (n - 1 in the denominator), so at least two seeds are needed. Make one with :meth:`of`.
    """

    metric: Name
    each: Annotated[dict[int, Finite], Field(min_length=2)]
    mean: Finite
    spread: Finite

    @classmethod
    def of(cls, metric: str, each: Mapping[int, float], **condition: Any) -> Self:
        """Take mean and spread of a figure.

        Args:
            metric: the figure's name.
            each: its value for each training seed; two or more.
            **condition: the fields of :class:`Condition`.
        """
        values = list(each.values())
        return cls(metric=metric, each=dict(each), mean=mean(values), spread=stdev(values), **condition)

    @model_validator(mode="after")
    def _agrees(self) -> Self:
        values = list(self.each.values())
        check_agreement(self.model_dump(), {"mean": mean(values), "spread": stdev(values)})
        return self
