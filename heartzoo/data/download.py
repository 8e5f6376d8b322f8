"""Fetch the records of a database into the cache, from PhysioNet or a mirror, and check their hashes.

A file gets its final name only when its SHA-256 is right, so whatever interrupts a download, running it again resumes.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from importlib import resources
from multiprocessing.pool import ThreadPool
from pathlib import Path
from threading import Event

from heartzoo.data.databases import RECORD, Database, get_database
from heartzoo.data.sources import Fetch, FileError, open_source
from heartzoo.data.splits import Split
from heartzoo.errors import UserError, nearest
from heartzoo.files import atomic_path, cache_dir, lock, sha256
from heartzoo.progress import track

PHYSIONET = "https://physionet.org/files"
HASH_LIST = "SHA256SUMS.txt"
PATIENCE_S = 1.0  # for threads to end after Ctrl-C


@dataclass(frozen=True)
class Verification:
    """The state of the expected files, by name.

    Attributes:
        ok: there, with the right hash.
        missing: not in the cache.
        damaged: there, with another hash.
        unlisted: there, but no hash is known for it.
    """

    ok: tuple[str, ...]
    missing: tuple[str, ...]
    damaged: tuple[str, ...]
    unlisted: tuple[str, ...]


def folder(database: Database) -> Path:
    """The folder of a database's records in the cache, whether or not it exists."""
    return cache_dir() / database.name / database.version


def download(
    database: Database, records: Sequence[str] | None = None, mirror: str | None = None, workers: int = 4
) -> Path:
    """Fetch the files of some records that are not in the cache yet, or are damaged there.

    Args:
        database: the database. A generated one is written instead, the files of a user's own must be there.
        records: record names; by default all of the database's.
        mirror: URL or folder with PhysioNet's layout ``<mirror>/<database>/<version>/<file>``; by default
            ``HEARTZOO_MIRROR``, else PhysioNet.
        workers: files fetched at a time.

    Returns:
        The folder that holds the records.

    Raises:
        UserError: an unknown record, a source that cannot be reached, a full disk, or files that the source lacks or
            that have a wrong hash (they are named, after the others have been fetched).
    """
    names = _checked(database, records)
    target = folder(database)
    with lock(target):
        if database.source == "generated":
            from heartzoo.data.synthetic import write

            write(target, names)
        elif database.source == "user":
            _require(database, _file_names(database, names))
        else:
            _complete(database, _file_names(database, names), mirror, workers)
    return target


def ensure(database: Database, records: Sequence[str]) -> Path:
    """The folder that holds some records, downloaded first if a file is missing. Hashes of present files are not read.

    Raises:
        UserError: as :func:`download`.
    """
    names = _file_names(database, _checked(database, records))
    target = folder(database)
    return target if all((target / name).is_file() for name in names) else download(database, records)


def present(database: Database) -> tuple[str, ...]:
    """Records of which every file is in the cache."""
    target = folder(database)
    return tuple(
        record
        for record in database.records or _found_records(database)
        if all((target / name).is_file() for name in _file_names(database, [record]))
    )


def split_records(split: Split) -> tuple[str, ...]:
    """A split's records; where it is made of patients, those of their records that are in the cache.

    Raises:
        UserError: it is made of patients, and nobody's record is in the cache.
    """
    if not split.patients:
        return split.records
    database, patients = get_database(split.database), set(split.patients)
    found = tuple(record for record in present(database) if database.patient(record) in patients)
    if not found:
        raise UserError(
            f"no record of {split.name}'s {len(split.patients):,} patients is in {folder(database)}",
            "put or link some there, or fetch them with `heartzoo data download`",
        )
    return found


def verify(database: Database, records: Sequence[str] | None = None) -> Verification:
    """Compare files in the cache with their pinned hashes, or with those their source gave. Needs no network.

    Generated records have no hashes: they are only looked for.

    Args:
        database: the database.
        records: record names; by default all of the database's, or those in the cache if its table lists none.

    Raises:
        UserError: an unknown record.
    """
    target = folder(database)
    known = known_hashes(database)
    states: dict[str, list[str]] = {"ok": [], "missing": [], "damaged": [], "unlisted": []}
    if records is None:
        records = database.records or _found_records(database)
    for name in _file_names(database, _checked(database, records)):
        if not (target / name).is_file():
            state = "missing"
        elif database.source == "generated":
            state = "ok"
        elif name not in known:
            state = "unlisted"
        else:
            state = "ok" if sha256(target / name) == known[name] else "damaged"
        states[state].append(name)
    return Verification(**{state: tuple(names) for state, names in states.items()})


def _checked(database: Database, records: Sequence[str] | None) -> Sequence[str]:
    """The records, each once; refuse unknown ones, and names that would leave the database's folder."""
    if records is None:
        if not database.records:
            raise UserError(
                f"{database.name} is too large to download whole", "name records, such as p00/p00000/p00000_s00"
            )
        return database.records
    for record in records:
        if database.records and record not in database.records:
            raise UserError(f"{database.name} has no record {record!r}", nearest(record, database.records))
        if not RECORD.fullmatch(record):
            raise UserError(f"{record!r} is not a record name", "name records such as p00/p00000/p00000_s00")
    return tuple(dict.fromkeys(records))


def record_files(database: Database, record: str) -> dict[str, str]:
    """Files of a record, as paths in the database's folder, by what tells them apart: their endings, mostly.

    The signal of a user's own record may lie in files of other names: those that its header names, if it is there.
    """
    files = {ending: f"{record}.{ending}" for ending in database.extensions}
    header = folder(database) / files.get("hea", "")
    if database.source != "user" or "hea" not in files or not header.is_file():
        return files
    place, _, name = record.rpartition("/")
    kept = {ending: file for ending, file in files.items() if ending in ("hea", database.annotator)}
    signals = {file.removeprefix(f"{name}."): file for file in _signal_files(header)}
    return kept | {ending: f"{place}/{file}" if place else file for ending, file in signals.items()}


def _signal_files(header: Path) -> list[str]:
    """The signal files that a WFDB header names; none where it is of several segments, or leads out of its folder."""
    text = header.read_text(encoding="utf-8", errors="replace")
    first, *others = [line.split() for line in text.splitlines() if line.strip() and not line.startswith("#")] or [[""]]
    if "/" in first[0]:
        return []
    return list(dict.fromkeys(fields[0] for fields in others if Path(fields[0]).name == fields[0]))


def _file_names(database: Database, records: Iterable[str]) -> list[str]:
    return [file for record in records for file in record_files(database, record).values()]


def _found_records(database: Database) -> tuple[str, ...]:
    """Records of which at least one file is in the cache, or in a folder that is linked there."""
    target = folder(database)
    endings = tuple(f".{extension}" for extension in database.extensions)
    files = (Path(home) / name for home, _, names in os.walk(target, followlinks=True) for name in names)
    found = (path.relative_to(target) for path in files if path.suffix in endings and not path.name.startswith("."))
    return tuple(sorted({path.with_suffix("").as_posix() for path in found}))


def _require(database: Database, names: list[str]) -> None:
    target = folder(database)
    missing = [name for name in names if not (target / name).is_file()]
    if missing:
        others = f" (and {len(missing) - 3} files more)" if len(missing) > 3 else ""
        raise UserError(
            f"{database.name} cannot be downloaded, and {', '.join(missing[:3])}{others} is not in {target}",
            "copy or link your files into that folder",
        )


def _complete(database: Database, names: list[str], mirror: str | None, workers: int) -> None:
    """Fetch those of the named files that are not intact. The caller holds the database's lock."""
    target = folder(database)
    for stale in target.rglob(".part.*"):  # left by a killed process: nobody else writes while we hold the lock
        stale.unlink(missing_ok=True)
    known = known_hashes(database)
    wanted = _not_intact(target, names, known)
    if not wanted:
        return
    stop = Event()
    try:
        base = mirror or os.environ.get("HEARTZOO_MIRROR") or PHYSIONET
        with open_source(f"{base.rstrip('/')}/{database.name}/{database.version}", workers, stop) as fetch:
            if _pinned_hashes(database) is None:
                known = _fetch_hashes(target, wanted, fetch)
                wanted = _not_intact(target, wanted, known)
            hashes = {name: known.get(name) for name in wanted}
            failures = _fetch_all(target, hashes, fetch, workers, database.name, stop)
    finally:
        stop.set()
    if failures:
        raise _summary(database, failures, len(names))


def _not_intact(target: Path, names: list[str], known: dict[str, str]) -> list[str]:
    def intact(name: str) -> bool:
        return name in known and (target / name).is_file() and sha256(target / name) == known[name]

    return [name for name in names if not intact(name)]


def _fetch_all(
    target: Path, hashes: dict[str, str | None], fetch: Fetch, workers: int, title: str, stop: Event
) -> dict[str, str]:
    """Fetch files and return file name -> reason for those that failed."""

    def attempt(item: tuple[str, str | None]) -> tuple[str, str]:
        name, expected = item
        try:
            _fetch_checked(target / name, name, expected, fetch)
        except FileError as failure:
            return name, str(failure)
        return name, ""

    # Not a ThreadPoolExecutor: after Ctrl-C it waits for its threads, which a silent server holds up to the timeout.
    with ThreadPool(workers) as pool:
        results = pool.imap_unordered(attempt, hashes.items())
        try:
            return {name: reason for name, reason in track(results, len(hashes), f"download {title}") if reason}
        except KeyboardInterrupt:
            stop.set()  # the threads that get bytes end at once, and take their half-written files with them
            stop_by = time.monotonic() + PATIENCE_S
            while time.monotonic() < stop_by and any(target.rglob(f".part.{os.getpid()}.*")):
                time.sleep(0.01)
            raise


def _fetch_checked(path: Path, name: str, expected: str | None, fetch: Fetch) -> None:
    """Fetch one file; give it its name only if its hash is right."""
    if expected is None:
        raise FileError(f"not listed in the source's {HASH_LIST}")
    with atomic_path(path) as temporary:
        fetch(name, temporary)
        found = sha256(temporary)
        if found != expected:
            raise FileError(f"rejected, expected SHA-256 {expected[:12]}…, found {found[:12]}…")


def _summary(database: Database, failures: dict[str, str], total: int) -> UserError:
    records = sorted({name.rsplit(".", 1)[0] for name in failures})
    told = [f"{name} ({failures[name]})" for name in sorted(failures)[:3]]
    if len(failures) > len(told):
        told.append(f"and {len(failures) - len(told)} more")
    listing = ", ".join(records[:20]) + (" …" if len(records) > 20 else "")
    return UserError(
        f"{len(failures)} of {total} files of {database.name} could not be fetched: {', '.join(told)}; "
        f"incomplete records: {listing}",
        "run it again to fetch only what is missing, or name another source with --mirror",
    )


# Hashes: pinned in the package, else the source's list, of which the lines in use are kept beside the records.


def _read_list(lines: Iterable[str]) -> Iterator[tuple[str, str]]:
    """(file name, hash) of each line of ``sha256sum`` output."""
    for line in lines:
        digest, _, name = line.strip().partition(" ")
        if re.fullmatch("[0-9a-fA-F]{64}", digest):
            yield name.strip().removeprefix("*").removeprefix("./"), digest.lower()


def _pinned_hashes(database: Database) -> dict[str, str] | None:
    file = resources.files("heartzoo.data").joinpath("sha256", f"{database.name}.txt")
    return dict(_read_list(file.read_text().splitlines())) if file.is_file() else None


def _stored_hashes(target: Path) -> dict[str, str]:
    path = target / HASH_LIST
    return dict(_read_list(path.read_text(errors="replace").splitlines())) if path.is_file() else {}


def known_hashes(database: Database) -> dict[str, str]:
    """SHA-256 by file name: pinned in the package, else what the source gave of files in the cache; perhaps none."""
    pinned = _pinned_hashes(database)
    return _stored_hashes(folder(database)) if pinned is None else pinned


def _fetch_hashes(target: Path, names: list[str], fetch: Fetch) -> dict[str, str]:
    """Take the hashes of the named files from the source's list, and keep them with those already stored."""
    wanted = set(names)
    stored = _stored_hashes(target)
    for name in names:
        stored.pop(name, None)
    with atomic_path(target / HASH_LIST) as temporary:
        try:
            fetch(HASH_LIST, temporary)
        except FileError as failure:
            raise UserError(
                f"the source has no list of hashes: {failure}", f"add {HASH_LIST} to it, or name another with --mirror"
            ) from failure
        with temporary.open(errors="replace") as file:  # line by line: Icentia11k's list has 1.6 million
            known = stored | {name: digest for name, digest in _read_list(file) if name in wanted}
        temporary.write_text("".join(f"{known[name]} {name}\n" for name in sorted(known)))
    return known
