"""``metrics.json``: its schema, and reading and writing it. Every figure is recomputed from the confusion matrices.

``python -m heartzoo.metrics_file`` regenerates ``metrics.schema.json`` beside this module.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from statistics import mean, stdev
from typing import Annotated, Any, Literal, Self

import numpy as np
from pydantic import (
    AfterValidator,
    Field,
    StrictFloat,
    StrictInt,
    ValidationError,
    model_validator,
)

from heartzoo.confidence import coverage_figures, expected_calibration_error
from heartzoo.config.disturbance import Disturbance
from heartzoo.data.splits import TRACKS
from heartzoo.errors import UserError
from heartzoo.files import write_bytes
from heartzoo.metrics import (
    class_scores,
    false_alarms_per_hour,
    patient_matrices,
    pooled_figures,
    record_figures,
)
from heartzoo.schema import Count, Fraction, StrictModel

SCHEMA_VERSION = 1
SCHEMA_PATH = Path(__file__).with_name("metrics.schema.json")
TOLERANCE = 1e-9

Finite = Annotated[StrictFloat, Field(allow_inf_nan=False)]
Name = Annotated[str, Field(min_length=1)]
Interval = tuple[Fraction, Fraction]
Matrix = list[list[Count]]


class ClassFigures(StrictModel):
    """Figures of one class: sensitivity, positive predictivity, F1 (fractions, 0/0 = 0), and number of true beats."""

    se: Fraction
    ppv: Fraction
    f1: Fraction
    support: Count


PerClass = Annotated[dict[Name, ClassFigures], Field(min_length=2)]


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
        _check_agreement(self.model_dump(), record_figures(_square(self.confusion_matrix, len(classes)), classes))
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


class ReliabilityBin(StrictModel):
    """Decisions whose confidence lies above ``low`` and not above ``high``: how many, how sure, how many right."""

    low: Fraction
    high: Fraction
    n: Annotated[StrictInt, Field(ge=1)]
    confidence: Fraction
    accuracy: Fraction

    @model_validator(mode="after")
    def _agrees(self) -> Self:
        if not self.low - TOLERANCE <= self.confidence <= self.high + TOLERANCE:
            raise ValueError(f"a mean confidence of {self.confidence} lies outside {self.low} to {self.high}")
        return self


class CoveragePoint(StrictModel):
    """Figures of the decisions whose confidence is at least ``threshold``; ``coverage`` is their share."""

    threshold: Fraction
    coverage: Fraction
    accuracy: Fraction
    macro_f1: Fraction
    macro_f1_nsv: Fraction | None = None
    confusion_matrix: Matrix


class Confidence(StrictModel):
    """Whether the model is as sure as it is right. Confidence is the called class's softmax(logits / temperature).

    ``temperature`` and ``at_threshold.threshold`` were chosen on validation patients; without any the temperature is 1
    and there is no threshold. ``ece`` is the expected calibration error over the bins of ``reliability``,
    ``ece_uncalibrated`` that at temperature 1. ``risk_coverage`` goes from all decisions to the surest half.
    """

    temperature: Annotated[StrictFloat, Field(gt=0, allow_inf_nan=False)]
    ece: Fraction
    ece_uncalibrated: Fraction
    reliability: Annotated[list[ReliabilityBin], Field(min_length=1)]
    risk_coverage: list[CoveragePoint]
    at_threshold: CoveragePoint | None = None

    @model_validator(mode="after")
    def _agrees(self) -> Self:
        for before, after in pairwise(self.reliability):
            if before.high > after.low + TOLERANCE:
                raise ValueError("the bins of reliability overlap")
        bins = [entry.model_dump() for entry in self.reliability]
        _check_agreement({"ece": self.ece}, {"ece": expected_calibration_error(bins)})
        return self

    def check(self, whole: np.ndarray, classes: list[str]) -> None:
        """Compare with the confusion matrix of all decisions."""
        if sum(entry.n for entry in self.reliability) != whole.sum():
            raise ValueError("confidence.reliability holds another number of decisions than the confusion matrix")
        right = [entry.n * entry.accuracy for entry in self.reliability]
        if not np.allclose(right, np.rint(right), rtol=0, atol=1e-4) or round(sum(right)) != np.trace(whole):
            raise ValueError(
                f"confidence.reliability has {sum(right):.2f} decisions right, the confusion matrix {np.trace(whole)}"
            )
        for point in (*self.risk_coverage, *([self.at_threshold] if self.at_threshold else [])):
            matrix = _square(point.confusion_matrix, len(classes))
            if (matrix > whole).any():
                raise ValueError("a confusion matrix of confidence holds more than that of all decisions")
            figures = {"macro_f1_nsv": None} | coverage_figures(matrix, int(whole.sum()), classes)
            _check_agreement(point.model_dump(), figures, "confidence.")


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
    def patient_matrices(self) -> np.ndarray:
        """A confusion matrix for each patient, in the sorted order of their ids, shape (p, k, k)."""
        records = list(self.by_record.values())
        return patient_matrices(np.array([r.confusion_matrix for r in records]), [r.patient for r in records])

    @model_validator(mode="after")
    def _agrees(self) -> Self:
        classes = list(self.per_class)
        _square(self.confusion_matrix, len(classes))
        unknown = set(self.by_record) - set(self.records)
        if unknown:
            raise ValueError(f"by_record names {sorted(unknown)}, which are not among the records")
        for name, record in self.by_record.items():
            if list(record.per_class) != classes:
                raise ValueError(f"by_record.{name}.per_class does not name the classes {classes}")
        matrices = np.array([record.confusion_matrix for record in self.by_record.values()])
        patients = [record.patient for record in self.by_record.values()]
        absent = dict.fromkeys(("macro_f1_nsv", "macro_f1_nsvf", "patient_macro_f1_nsv"))
        _check_agreement(self.model_dump(), absent | pooled_figures(matrices, patients, classes))
        self._check_intervals()
        if self.false_alarms_per_hour is not None:
            hours = [record.hours for record in self.by_record.values()]
            alarms = false_alarms_per_hour(np.array(self.confusion_matrix), hours, classes)
            _check_agreement({"false_alarms_per_hour": self.false_alarms_per_hour}, {"false_alarms_per_hour": alarms})
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
    """Figures of the shipped file pooled over beats, apart from the evaluations."""

    records: list[Name]
    file_sha256: Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
    n: Annotated[StrictInt, Field(ge=1)]
    accuracy: Fraction
    macro_f1: Fraction
    macro_f1_nsv: Fraction | None = None
    macro_f1_nsvf: Fraction | None = None
    per_class: PerClass
    confusion_matrix: Matrix

    @model_validator(mode="after")
    def _agrees(self) -> Self:
        classes = list(self.per_class)
        figures = pooled_figures(_square(self.confusion_matrix, len(classes))[None], ["all"], classes)
        absent = dict.fromkeys(("macro_f1_nsv", "macro_f1_nsvf"))
        pooled = {name: value for name, value in figures.items() if not name.startswith("patient_")}
        _check_agreement(self.model_dump(), absent | pooled)
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
            _square(record.confusion_matrix, len(classes) + 1)
        records = {name: record.model_dump() for name, record in self.by_record.items()}
        _check_agreement(self.model_dump(), end_to_end_figures(records, classes))
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
        _check_agreement(self.model_dump(), {"mean": mean(values), "spread": stdev(values)})
        return self


class CoreCost(StrictModel):
    """What the preprocessing of ``heartzoo firmware`` costs on one core.

    ``instructions_per_second`` are for a second of ECG, counted on an emulated board; ``flash_bytes`` are without the C
    library; ``stack_bytes`` is its deepest stack.
    """

    instructions_per_second: Count
    flash_bytes: Count
    stack_bytes: Count


class Preprocessing(CoreCost):
    """What the preprocessing costs on a Cortex-M4F, for recordings of ``recording_hz``; ``ram_bytes`` is its state.

    Beside it, on a ``cortex_m0plus``, which has no floating-point unit; left out by versions of before.
    """

    recording_hz: Count
    ram_bytes: Count
    cortex_m0plus: CoreCost | None = None


class Cost(StrictModel):
    """What the model costs.

    ``parameters`` counts the registered float architecture before folding, ``macs`` the multiply-accumulates of one
    inference. ``arena_bytes`` is the smallest arena in which the tflite-micro wheel makes the model ready on a 64-bit
    host; of older versions what stays allocated then, which is less for a very small network. It is left out where that
    wheel does not exist (anywhere but Linux x86-64).
    """

    parameters: Count
    nonzero_parameters: Count
    macs: Count
    tflite_bytes: Count
    keras_bytes: Count
    arena_bytes: Count | None = None
    operators: dict[Name, Count]
    preprocessing: Preprocessing | None = None


class Agreement(StrictModel):
    """How far the runtime of the evaluations agrees with TFLite Micro, where it is another.

    Of ``examples`` calibration examples ``same_class`` get the same class from both; no logit differs by more than
    ``largest_difference`` steps of the output.
    """

    runtime: Literal["reference", "xnnpack"]
    examples: Count
    same_class: Count
    largest_difference: Count

    @model_validator(mode="after")
    def _agrees(self) -> Self:
        if self.same_class > self.examples:
            raise ValueError(f"same_class is {self.same_class} of {self.examples} examples")
        return self


class AblationRow(StrictModel):
    """The network after one stage of its making: what the stage bought and what it cost.

    ``stage`` is ``train`` or a compression technique. ``metric`` on ``split`` is given for each seed, of the float
    network (not after ``quantize_aware``, which leaves it as it was) and of its int8 (16x8) file. The costs are those
    of the shipped seed's file, ``parameters`` those of its float network; ``gzip_bytes`` is the file compressed.
    """

    stage: Name
    split: Name
    metric: Name
    float32: dict[int, Fraction] | None = None
    int8: Annotated[dict[int, Fraction], Field(min_length=1)]
    parameters: Count
    nonzero_parameters: Count
    macs: Count
    tflite_bytes: Count
    gzip_bytes: Count
    arena_bytes: Count | None = None
    operators: Count


class Metrics(StrictModel):
    """The whole file. ``seeds`` are of the shipped model and its siblings, all other results of it alone.

    ``without_prevalence`` is how the file does where its largest output is the class, in a model that follows the
    prevalence of a class (:mod:`heartzoo.prevalence`).
    """

    schema_version: Annotated[StrictInt, Field(ge=SCHEMA_VERSION, le=SCHEMA_VERSION)]
    model: Name
    version: Annotated[str, Field(pattern=r"^\d+\.\d+\.\d+$")]
    task: Name
    classes: Annotated[list[Name], Field(min_length=2)]
    evaluations: list[Evaluation]
    seeds: list[SeedResult] = []
    without_prevalence: list[PooledResult] = []
    robustness: list[DisturbedResult] = []
    personalisation: list[PersonalisedResult] = []
    end_to_end: list[EndToEndResult] = []
    ablation: list[AblationRow] = []
    agreement: Agreement | None = None
    cost: Cost

    @property
    def first(self) -> Evaluation:
        """The ``.tflite`` file on the first test split, whose figures are quoted.

        Raises:
            StopIteration: there is none.
        """
        return next(result for result in self.evaluations if result.of_file)

    def over_seeds(self, split: str, precision: str, metric: str) -> SeedResult | None:
        """A figure over all trainings of the recipe; None where there was one training."""
        wanted = split, precision, metric
        return next((each for each in self.seeds if (each.split, each.precision, each.metric) == wanted), None)

    @model_validator(mode="after")
    def _same_classes(self) -> Self:
        for name in ("evaluations", "without_prevalence", "robustness", "personalisation", "end_to_end"):
            for index, result in enumerate(getattr(self, name)):
                if list(result.per_class) != self.classes:
                    raise ValueError(f"{name}.{index}.per_class does not name the classes {self.classes}")
        return self


def _square(rows: Matrix, k: int) -> np.ndarray:
    """The matrix as an array of shape (k, k)."""
    if len(rows) != k or any(len(row) != k for row in rows):
        raise ValueError(f"confusion_matrix is not {k} x {k}, as per_class has {k} classes")
    return np.array(rows)


def _check_agreement(stated: Mapping[str, Any], computed: Mapping[str, Any], prefix: str = "") -> None:
    """Compare stated figures with those computed; floats may differ by ``TOLERANCE``."""
    for name, value in computed.items():
        if isinstance(value, Mapping):
            _check_agreement(stated[name], value, f"{prefix}{name}.")
        elif not _same(stated[name], value):
            raise ValueError(f"{prefix}{name} is {stated[name]}, but the figures it derives from give {value}")


def _same(stated: Any, computed: Any) -> bool:
    if stated is None or computed is None:
        return stated is computed
    if np.ndim(computed):
        return np.shape(stated) == np.shape(computed) and np.allclose(stated, computed, rtol=0, atol=TOLERANCE)
    return math.isclose(stated, computed, rel_tol=0.0, abs_tol=TOLERANCE)


def _explain(path: Path, error: ValidationError) -> UserError:
    """One line for all that pydantic found: the file, the first field, and how many more there are."""
    problems = error.errors()
    for problem in problems:
        found = problem["input"]
        if problem["loc"] == ("schema_version",) and isinstance(found, int) and found > SCHEMA_VERSION:
            return UserError(
                f"{path} has schema_version {found}, this heartzoo reads {SCHEMA_VERSION}", "upgrade heartzoo"
            )
    parts = [str(path), ".".join(map(str, problems[0]["loc"])), problems[0]["msg"].removeprefix("Value error, ")]
    more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
    return UserError(": ".join(part for part in parts if part) + more, "restore the file, or export the model again")


def read(path: Path) -> Metrics:
    """Read and check a ``metrics.json``.

    Raises:
        UserError: the file is missing, is not JSON, was written by a newer version, or does not hold: one line that
            names the file and the first field at fault.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}", "check the name and the version") from error
    try:
        return Metrics.model_validate_json(content)
    except ValidationError as error:
        raise _explain(path, error) from error


def to_bytes(metrics: Metrics) -> bytes:
    """The content of a ``metrics.json``. Figures that a task does not have are left out."""
    content = metrics.model_dump(mode="json", exclude_none=True)
    return (json.dumps(content, indent=2, allow_nan=False) + "\n").encode()


def schema_bytes() -> bytes:
    """The JSON schema, as kept in ``metrics.schema.json``."""
    return (json.dumps(Metrics.model_json_schema(), indent=2) + "\n").encode()


if __name__ == "__main__":
    write_bytes(SCHEMA_PATH, schema_bytes())
