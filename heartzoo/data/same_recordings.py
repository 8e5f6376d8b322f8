"""Recordings found again by their files: the same person under another name, or another signal under the same."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from heartzoo.data.databases import Database, get_database
from heartzoo.data.download import folder, known_hashes, record_files
from heartzoo.data.splits import Split, get_split
from heartzoo.errors import UserError
from heartzoo.files import sha256

# Hash of each file, by database, record and ending.
Hashes = Mapping[str, Mapping[str, Mapping[str, str]]]


def file_hashes(database: Database, records: Iterable[str]) -> dict[str, dict[str, str]]:
    """SHA-256 of some records' files, by record and ending, as far as they are in the cache or known without it."""
    known, place = known_hashes(database) if database.source != "user" else {}, folder(database)
    found: dict[str, dict[str, str]] = {}
    for record in records:
        files = record_files(database, record)
        hashes = {ending: known.get(file) or _hash(place / file) for ending, file in files.items()}
        found[record] = {ending: digest for ending, digest in hashes.items() if digest}
    return found


def _hash(path: Path) -> str | None:
    if not path.is_file():
        return None
    stat = path.stat()
    return _hash_of(path, stat.st_size, stat.st_mtime_ns)


@cache
def _hash_of(path: Path, size: int, time_ns: int) -> str:
    """Large files are read once, as long as they stay as they are."""
    return sha256(path)


def files_that_trained(configuration: Mapping[str, Any]) -> Hashes:
    """Of the hashes in a ``configuration.json`` those of the records that trained the model, or the one it began as."""
    splits = configuration["splits"]
    trained = {**splits["train"], **splits.get("pretrained", {})}
    records = {(get_split(name).database, record) for name, names in trained.items() for record in names}
    return {
        database: {record: files for record, files in found.items() if (database, record) in records}
        for database, found in configuration.get("data_sha256", {}).items()
    }


def refuse_copies(trained: Hashes, split: Split, records: Sequence[str]) -> None:
    """Refuse to test on a recording whose signal has trained, whatever it is called: its person is no unseen one.

    Args:
        trained: the files that trained.
        split: a test split; one of beats that were drawn from the same recordings is let pass.
        records: its records.

    Raises:
        UserError: a signal file of the split is one that trained.
    """
    if split.part:
        return
    seen = {
        _signals(get_database(name), files): f"{name}/{record}"
        for name, of_records in trained.items()
        for record, files in of_records.items()
    }
    database = get_database(split.database)
    for record, files in file_hashes(database, records).items():
        if (signals := _signals(database, files)) and signals in seen:
            raise UserError(
                f"record {record} of {split.name} has the very signals of {seen[signals]}, which trained",
                "leave one of the two out: a test is of people that the model has not seen",
            )


def _signals(database: Database, files: Mapping[str, str]) -> frozenset[str]:
    """Hashes of the signal files of a record: a dead channel beside others may be alike in many."""
    return frozenset(digest for ending, digest in files.items() if ending not in ("hea", database.annotator))


def changed(stated: Hashes, database: Database, records: Iterable[str]) -> list[str]:
    """Records whose files are others now than those stated; of a record that is not stated nothing is known."""
    noted = stated.get(database.name, {})
    here = file_hashes(database, [record for record in records if record in noted])
    return [record for record, files in here.items() if files != noted[record]]
