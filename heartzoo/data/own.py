"""A user's own databases, splits and tracks, as a model that was trained on them carries them in its configuration.

So whoever gets the model can use it without the file that entered them into the tables (docs/guides/own-data.md).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from pydantic import ValidationError

from heartzoo.data.databases import BUILT_IN_DATABASES, DATABASES, Database, check_paths
from heartzoo.data.splits import BUILT_IN_SPLITS, BUILT_IN_TRACKS, SPLITS, TRACKS, TRAINED_ON, Split, get_split, track
from heartzoo.errors import UserError
from heartzoo.schema import StrictModel


class OwnData(StrictModel):
    """What a model was trained and tested on that heartzoo does not know.

    Attributes:
        databases: the databases.
        splits: the splits.
        track: its track.
        means: what a result on it is worth.
        learnt_from: the training splits that make it.
    """

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
    if not own and frozenset(learnt_from) in BUILT_IN_TRACKS:
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
    """Enter what :func:`own_data` told into the tables, as far as they lack it.

    What a user has entered there stays as it is. What another version of the model has told grows by what this one has
    more.

    Args:
        stated: the part of a ``configuration.json``.
        source: where that lies, for errors.

    Raises:
        UserError: it is none, or names what could leave the cache; a database or a split of a name that is known here
            is another one.
    """
    try:
        told = OwnData.model_validate(stated)
        for database in told.databases:
            check_paths(database)
    except (ValidationError, UserError) as error:  # the latter of paths and patients that make no sense
        raise UserError(f"{source}: own_data is not as heartzoo writes it", "restore the file") from error
    for database in told.databases:
        _refuse_other_database(database, source)
    # Splits of before may name a record twice, which counted once.
    splits = [replace(split, records=tuple(dict.fromkeys(split.records))) for split in told.splits]
    for split in splits:
        _refuse_other_split(split, source)
    for database in told.databases:
        _enter(DATABASES, replace(database, source="user"))
    for split in splits:
        _enter(SPLITS, split)
    TRACKS.setdefault(told.track, told.means)  # of one name or another, as the model's version had it
    TRAINED_ON.setdefault(frozenset(told.learnt_from), told.track)


_ADOPTED: dict[tuple[type, str], Database | Split] = {}  # what is in the tables because a model told of it


def _is_adopted(known: Database | Split) -> bool:
    """Whether nobody has put another of that name into the tables since."""
    return known is _ADOPTED.get((type(known), known.name))


def _enter(table: dict[str, Any], told: Database | Split) -> None:
    known = table.get(told.name)
    if known is None or (_is_adopted(known) and _holds(told, known)):
        table[told.name] = _ADOPTED[type(told), told.name] = told


def _holds(one: Database | Split, other: Database | Split) -> bool:
    patients = (one.patients, other.patients) if isinstance(one, Split) and isinstance(other, Split) else ((), ())
    return set(one.records) >= set(other.records) and set(patients[0]) >= set(patients[1])


def _refuse_other_database(told: Database, source: str) -> None:
    known = DATABASES.get(told.name)
    kept = ("title", "fs", "license", "share_alike")  # of a database that has grown since
    if known and any(getattr(known, each) != getattr(told, each) for each in kept):
        raise _another("database", told.name, source)


def _refuse_other_split(told: Split, source: str) -> None:
    """One that has grown since is the same: whom the model has seen is still in it."""
    known = SPLITS.get(told.name)
    same = known is None or (
        (known.database, known.test, known.part, known.skip_s) == (told.database, told.test, told.part, told.skip_s)
        and (_holds(known, told) or (_is_adopted(known) and _holds(told, known)))
    )
    if not same:
        raise _another("split", told.name, source)


def _another(kind: str, name: str, source: str) -> UserError:
    return UserError(
        f"{source}: its {kind} {name!r} differs from the one of that name here",
        "load the model without the file that enters your data, or give yours another name",
    )
