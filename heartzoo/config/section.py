"""What every section of the configuration is made of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from heartzoo.errors import UserError
from heartzoo.sizes import parse_size

T = TypeVar("T")
Fraction = Annotated[float, Field(ge=0.0, le=1.0)]
Positive = Annotated[float, Field(gt=0.0)]
NonNegative = Annotated[float, Field(ge=0.0)]
PositiveCount = Annotated[int, Field(ge=1, le=1_000_000_000)]
Decibels = Annotated[float, Field(ge=-30.0, le=60.0)]
Millivolts = Annotated[float, Field(ge=0.0, le=1000.0)]

Seeds = Annotated[list[Annotated[int, Field(ge=0, lt=2**32)]], Field(min_length=1)]  # Keras takes 32 bits


def _size(of_bytes: bool) -> BeforeValidator:
    """Reads what is text, such as 16k, as a number."""

    def read(value: Any) -> Any:
        if not isinstance(value, str) or value[-1:].isdigit():
            return value  # pydantic reads plain numbers, 0.5 and 5e5 among them
        try:
            return parse_size(value, of_bytes)
        except UserError as error:
            raise ValueError("a size is like 32k, 1.5M or 40000") from error  # pydantic names the key

    return BeforeValidator(read)


# Bytes of a memory, where 16k and 16 KB are 16,384; and a number of operations, where 300k are 300,000.
Bytes = Annotated[int, _size(of_bytes=True), Field(ge=1)]
Operations = Annotated[float, _size(of_bytes=False), Field(gt=0.0)]


def low_to_high(name: str, ends: tuple[float, float]) -> tuple[float, float]:
    """A range as it is.

    Raises:
        UserError: its first end is the higher one.
    """
    if ends[0] > ends[1]:
        raise UserError(f"{name} = {list(ends)} runs from high to low", "swap its ends")
    return ends


def refuse_repeated(name: str, entries: list[T]) -> list[T]:
    """A list as it is.

    Raises:
        UserError: an entry stands in it twice.
    """
    for position, entry in enumerate(entries):
        if entry in entries[:position]:
            raise UserError(f"{name} has an entry twice: {entry}", "name each once")
    return entries


def refuse_idle(section: BaseModel, path: str, kind: str, needed: Mapping[str, Sequence[str]]) -> None:
    """Refuse a key with a value of its own where it does nothing.

    Args:
        section: what holds it.
        path: the section's name, such as ``training.schedule``.
        kind: the key whose value decides.
        needed: key -> the values of ``kind`` that it goes with.

    Raises:
        UserError: there is one.
    """
    found = getattr(section, kind)
    for key, kinds in needed.items():
        value, default = getattr(section, key), type(section).model_fields[key].default
        if value != default and found not in kinds:
            raise UserError(
                f"{path}.{key} = {value} with {kind}: {found}, where it does nothing",
                f"leave it out, or take {kind}: {' or '.join(kinds)}",
            )


class Section(BaseModel):
    """A part of the tree: unknown keys and infinite numbers are errors, values do not change."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)
