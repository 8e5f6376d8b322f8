"""What every section of the configuration is made of."""

from __future__ import annotations

import re
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

Fraction = Annotated[float, Field(ge=0.0, le=1.0)]
Positive = Annotated[float, Field(gt=0.0)]
NonNegative = Annotated[float, Field(ge=0.0)]
Count = Annotated[int, Field(ge=1)]


def _scaled(thousand: int) -> BeforeValidator:
    """Reads 16k, 1.5M or 16 KB as a number; what a k is depends on what is counted."""

    def read(value: Any) -> Any:
        match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([kKM])(?:i?B)?\s*", value) if isinstance(value, str) else None
        if match is None:
            return value
        return round(float(match[1]) * (thousand if match[2] in "kK" else thousand**2))

    return BeforeValidator(read)


# Bytes of a memory, where 16k and 16 KB are 16,384; and a number of operations, where 300k are 300,000.
Bytes = Annotated[int, _scaled(1024), Field(ge=1)]
Operations = Annotated[float, _scaled(1000), Field(gt=0.0)]


class Section(BaseModel):
    """A part of the tree: unknown keys and infinite numbers are errors, values do not change."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)
