"""Whether a model is as sure as it is right, as ``metrics.json`` has it; see :mod:`heartzoo.confidence`."""

from __future__ import annotations

from itertools import pairwise
from typing import Annotated, Self

import numpy as np
from pydantic import Field, StrictFloat, StrictInt, model_validator

from heartzoo.confidence import coverage_figures, expected_calibration_error
from heartzoo.metrics_file.figures import TOLERANCE, Matrix, check_agreement, square
from heartzoo.schema import Fraction, StrictModel


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
        check_agreement({"ece": self.ece}, {"ece": expected_calibration_error(bins)})
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
            matrix = square(point.confusion_matrix, len(classes))
            if (matrix > whole).any():
                raise ValueError("a confusion matrix of confidence holds more than that of all decisions")
            figures = {"macro_f1_nsv": None} | coverage_figures(matrix, int(whole.sum()), classes)
            check_agreement(point.model_dump(), figures, "confidence.")
