"""``metrics.json``: its schema, and reading and writing it. Every figure is recomputed from the confusion matrices.

``python -m heartzoo.metrics_file`` regenerates ``metrics.schema.json`` beside this module.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, StrictInt, ValidationError, model_validator

from heartzoo.errors import UserError
from heartzoo.files import json_bytes
from heartzoo.metrics_file.costs import AblationRow, Cost
from heartzoo.metrics_file.figures import Name
from heartzoo.metrics_file.results import (
    DisturbedResult,
    EndToEndResult,
    Evaluation,
    PersonalisedResult,
    PooledResult,
    SeedResult,
)
from heartzoo.schema import Count, StrictModel

SCHEMA_VERSION = 1
SCHEMA_PATH = Path(__file__).with_name("metrics.schema.json")


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
    return json_bytes(metrics.model_dump(mode="json", exclude_none=True))


def schema_bytes() -> bytes:
    """The JSON schema, as kept in ``metrics.schema.json``."""
    return (json.dumps(Metrics.model_json_schema(), indent=2) + "\n").encode()
