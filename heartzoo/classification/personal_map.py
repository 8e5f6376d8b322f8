"""What adapts a published model to one person, as a file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import numpy as np
from pydantic import Field, ValidationError, model_validator

from heartzoo.errors import UserError
from heartzoo.files import write_json
from heartzoo.personalisation import LogitMap
from heartzoo.schema import Count, StrictModel
from heartzoo.zoo.published import PublishedModel

LARGEST = 1000.0  # beyond it is no map of logits
Number = Annotated[float, Field(ge=-LARGEST, le=LARGEST)]


class PersonalMap(StrictModel):
    """What makes a model's logits those of one person: ``logits @ matrix + offset``.

    The logits are those that a prevalence, where the model follows one, has shifted already.

    Attributes:
        model: name and version of the model.
        file_sha256: hash of its ``model.tflite``.
        classes: its classes, in the order of the logits.
        matrix: classes rows of as many numbers.
        offset: a number for each class.
        recording: name of the recording that it was learned from.
        lead: its lead; empty where that is not known.
        seconds: of its beginning.
        beats: how many labelled beats of each class it was learned from.
        others: how many beats there had a label that is no class of the model's, and taught nothing.
        agreed_before: how many of these the model called as they are labelled.
        agreed_after: how many it does with the map.
    """

    schema_version: Literal[1] = 1
    model: str
    file_sha256: str
    classes: tuple[str, ...]
    matrix: tuple[tuple[Number, ...], ...]
    offset: tuple[Number, ...]
    recording: str
    lead: str
    seconds: Annotated[float, Field(gt=0, allow_inf_nan=False)]
    beats: dict[str, Count]
    others: Count
    agreed_before: Count
    agreed_after: Count

    @model_validator(mode="after")
    def _is_square(self) -> PersonalMap:
        if {len(self.matrix), len(self.offset), *map(len, self.matrix)} != {len(self.classes)}:
            raise ValueError("a map of logits has as many rows, columns and offsets as there are classes")
        return self

    @classmethod
    def read(cls, path: Path | str) -> PersonalMap:
        """Read a file that :meth:`save` wrote.

        Raises:
            UserError: it is missing, damaged, or something else.
        """
        if not Path(path).is_file():
            raise UserError(f"no personal map {path}", "make one: heartzoo personalise RECORD --out FILE")
        try:
            return cls.model_validate_json(Path(path).read_bytes())
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            where = ".".join(map(str, first["loc"]))
            raise UserError(
                f"{path} is no personal map ({f'{where}: ' if where else ''}{first['msg']})",
                "make it anew: heartzoo personalise",
            ) from error

    def save(self, path: Path | str) -> None:
        """Write it as JSON, whole or not at all.

        Raises:
            UserError: something else is there.
        """
        self.refuse_other(Path(path))
        write_json(Path(path), self.model_dump(mode="json"))

    @classmethod
    def refuse_other(cls, path: Path) -> None:
        """Refuse a place where something else than a personal map is.

        Raises:
            UserError: something else is there.
        """
        if not path.exists():
            return
        try:
            cls.read(path)
        except UserError as error:
            raise UserError(f"{path} is there and is no personal map", "name another file to write") from error

    def of(self, model: PublishedModel) -> LogitMap:
        """The map, for the model that it was made of.

        Raises:
            UserError: another model, or another version of it.
        """
        entry, found = model.entry, model.entry.files["model.tflite"]["sha256"]
        if found != self.file_sha256 or model.classes != self.classes:
            raise UserError(
                f"expected {self.model} ({self.file_sha256[:8]}), which this personal map was made of, found "
                f"{entry.name}@{entry.version} ({found[:8]})",
                "take that model, or make a map of this one: heartzoo personalise",
            )
        return LogitMap(np.array(self.matrix), np.array(self.offset))
