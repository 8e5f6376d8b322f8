"""What the results in ``metrics.json`` are made of, and how stated figures are compared with those they derive from."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Annotated, Any

import numpy as np
from pydantic import Field, StrictFloat

from heartzoo.schema import Count, Fraction, StrictModel

TOLERANCE = 1e-9

Finite = Annotated[StrictFloat, Field(allow_inf_nan=False)]
Name = Annotated[str, Field(min_length=1)]
Matrix = list[list[Count]]


class ClassFigures(StrictModel):
    """Figures of one class: sensitivity, positive predictivity, F1 (fractions, 0/0 = 0), and number of true beats."""

    se: Fraction
    ppv: Fraction
    f1: Fraction
    support: Count


PerClass = Annotated[dict[Name, ClassFigures], Field(min_length=2)]


def square(rows: Matrix, k: int) -> np.ndarray:
    """The matrix as an array of shape (k, k)."""
    if len(rows) != k or any(len(row) != k for row in rows):
        raise ValueError(f"confusion_matrix is not {k} x {k}, as per_class has {k} classes")
    return np.array(rows)


def check_agreement(stated: Mapping[str, Any], computed: Mapping[str, Any], prefix: str = "") -> None:
    """Compare stated figures with those computed; floats may differ by ``TOLERANCE``."""
    for name, value in computed.items():
        if isinstance(value, Mapping):
            check_agreement(stated[name], value, f"{prefix}{name}.")
        elif not _same(stated[name], value):
            raise ValueError(f"{prefix}{name} is {stated[name]}, but the figures it derives from give {value}")


def _same(stated: Any, computed: Any) -> bool:
    if stated is None or computed is None:
        return stated is computed
    if np.ndim(computed):
        return np.shape(stated) == np.shape(computed) and np.allclose(stated, computed, rtol=0, atol=TOLERANCE)
    return math.isclose(stated, computed, rel_tol=0.0, abs_tol=TOLERANCE)
