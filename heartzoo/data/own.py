"""A user's own databases, splits and tracks, as a model that was trained on them carries them in its configuration.

So whoever gets the model can use it without the file that entered them into the tables (docs/guides/own-data.md).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from heartzoo.data.databases import BUILT_IN_DATABASES, DATABASES, Database
from heartzoo.data.splits import BUILT_IN_SPLITS, SPLITS, TRACKS, TRAINED_ON, Split, get_split, track
from heartzoo.errors import UserError

FolderName = Annotated[str, Field(pattern=r"^\w[\w.-]{0,63}$")]


class OwnData(BaseModel):
    """What a model was trained and tested on that heartzoo does not know.

    Attributes:
        databases: the databases.
        splits: the splits.
        track: its track.
        means: what a result on it is worth.
        learnt_from: the training splits that make it.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    databases: list[Database]
    splits: list[Split]
    track: str
    means: str
    learnt_from: list[str]


def own_data(learnt_from: Sequence[str], test: Sequence[str]) -> dict[str, Any] | None:
    """What ``configuration.json`` tells of data that heartzoo does not know; None where it knows them all.

    Args:
        learnt_from: the splits that a model was trained on.
        test: those that it is tested on.
    """
    splits = [get_split(name) for name in dict.fromkeys([*learnt_from, *test])]
    name = track(list(learnt_from))
    own = [split for split in splits if split.name not in BUILT_IN_SPLITS]
    if not own:
        return None
    databases = {split.database: DATABASES[split.database] for split in own}
    return OwnData(
        databases=[database for database in databases.values() if database.name not in BUILT_IN_DATABASES],
        splits=own,
        track=name,
        means=TRACKS[name],
        learnt_from=list(learnt_from),
    ).model_dump(mode="json")


def adopt(stated: Any, source: str) -> None:
    """Enter what :func:`own_data` told into the tables, as far as they lack it. What they have stays as it is.

    Args:
        stated: the part of a ``configuration.json``.
        source: where that lies, for errors.

    Raises:
        UserError: it is none, or names what could not be a folder.
    """
    try:
        told = OwnData.model_validate(stated)
        for database in told.databases:
            for name in (database.name, database.version):
                TypeAdapter(FolderName).validate_python(name)
    except ValidationError as error:
        raise UserError(f"{source}: own_data is not as heartzoo writes it", "restore the file") from error
    for database in told.databases:
        DATABASES.setdefault(database.name, database)
    for split in told.splits:
        SPLITS.setdefault(split.name, split)
    TRACKS.setdefault(told.track, told.means)
    TRAINED_ON.setdefault(frozenset(told.learnt_from), told.track)
