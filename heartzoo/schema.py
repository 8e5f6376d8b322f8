"""What the schemas of our JSON files are made of."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, StrictFloat, StrictInt

Count = Annotated[StrictInt, Field(ge=0, le=2**53)]  # exact in every JSON reader
Fraction = Annotated[StrictFloat, Field(ge=0, le=1, allow_inf_nan=False)]


class StrictModel(BaseModel):
    """Takes the keys it knows and no others, and stays as it was read."""

    model_config = ConfigDict(extra="forbid", frozen=True)
