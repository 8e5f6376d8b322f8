"""Prepared examples in HDF5: written once, read in batches.

A store holds every beat of a list of records under one preprocessing contract. It is named by a hash of both, so that
a changed contract makes a new store and an unchanged one is found again. It keeps the annotators' symbols: a task turns
them into classes, so one store serves every task.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from functools import cache, cached_property
from pathlib import Path
from typing import Any, Literal

import h5py
import joblib
import numpy as np

from heartzoo._version import __version__
from heartzoo.config import InputConfig
from heartzoo.config.disturbance import Disturbance
from heartzoo.data.beats import Examples, cut_beats, cut_frames
from heartzoo.data.databases import Database, get_database
from heartzoo.data.disturbances import disturb, lead_angle, noise_offset
from heartzoo.data.download import ensure, folder, known_hashes, present, record_files
from heartzoo.data.heartbeat_csv import read_heartbeats
from heartzoo.data.mapped import MappedRows
from heartzoo.data.noise import recorded_noise
from heartzoo.data.records import MissingLead, Record, of_doubled_beats, other_lead, read_record
from heartzoo.data.retiming import TooFewBeats
from heartzoo.errors import UserError
from heartzoo.files import Sink, atomic_path, cache_dir, lock, sha256
from heartzoo.progress import console, track
from heartzoo.tasks import BEAT_SYMBOLS, MAPPINGS, Task
from heartzoo.workers import in_processes

# What makes examples: a store that other code made is made anew.
_PART = re.compile(r"^\.part\.(\d+\.)+")  # what a temporary file's name has before the store's
MAKERS = (
    *("beats", "disturbances", "fusion", "heartbeat_csv", "motion", "noise", "quality", "records"),
    *("retiming", "rhythm", "rr", "signal", "store", "template"),
)
CHUNK_ROWS = 64
ALIGNMENT = 8  # bytes: rows are read from their place in the file
MOST_TOLD = 3


class Store:
    """Prepared examples on disk, opened for reading.

    Args:
        path: a file written by :func:`prepare`.

    Attributes:
        provenance: where the examples come from: database, version, records, leads, hashes, contract.
        people: the patient of each record, in the records' order.
        samples: int64, shape (n,), beat positions in the recording.
        symbols: uint8, shape (n,).
        records: record name of each example, shape (n,).
        patients: patient id of each example, shape (n,).
        margin: samples on both sides of a frame that only shift augmentation uses.

    Raises:
        UserError: the file is no store or is damaged.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            with h5py.File(path, "r") as file:
                self.provenance: dict[str, Any] = json.loads(file.attrs["provenance"])
                self.samples = file["samples"][:]
                self.symbols = file["symbols"][:]
                self._frames = MappedRows(file["frames"])
                self._features = MappedRows(file["rr"]) if "rr" in file else None
                # Who is the same person is asked now: the answer may be a better one than when the store was made.
                database = get_database(self.provenance["database"])
                self.people = {r["name"]: database.patient(r["name"]) for r in self.provenance["records"]}
                self.records = np.array(list(self.people))[file["record"][:]]
                self.patients = np.array(list(self.people.values()))[file["record"][:]]
        except (OSError, KeyError, ValueError, IndexError) as error:
            raise UserError(f"{path} is not a prepared store ({error})", "delete it and prepare it again") from error
        self.margin: int = self.provenance["margin"]

    def __len__(self) -> int:
        return len(self.symbols)

    def frames(self, indices: np.ndarray) -> np.ndarray:
        """Read frames in any order, repeats allowed.

        Args:
            indices: shape (n,).

        Returns:
            float32, shape (n, frame + 2 * margin), as ``contract.cut`` makes them: mV, unless scaled or features.
        """
        return self._frames[indices]

    def features(self, indices: np.ndarray) -> np.ndarray:
        """Read R-R and template features in any order, repeats allowed.

        Args:
            indices: shape (n,).

        Returns:
            float32, shape (n, features), in the order of ``contract.features``.
        """
        return np.zeros((len(indices), 0), np.float32) if self._features is None else self._features[indices]

    def labels(self, task: Task, mapping: str) -> np.ndarray:
        """Class of each example, -1 where the task does not score it; shape (n,)."""
        return task.labels(self.symbols, mapping)

    @cached_property
    def fs(self) -> np.ndarray:
        """Sampling rate of the recording each beat comes from, in Hz; shape (n,)."""
        rates = {record["name"]: record["fs"] for record in self.provenance["records"]}
        return np.array([rates[name] for name in self.records])


def prepare(
    database: Database,
    records: Sequence[str],
    contract: InputConfig,
    leads: Sequence[str] | None = None,
    missing_lead: str = "error",
    margin: int = 0,
    present_only: bool = False,
    jobs: int = 2,
    out: Path | None = None,
    noise_half: Literal["first", "second"] | None = None,
    disturbance: Disturbance | None = None,
) -> Store:
    """Cut every beat of some records into a store, or find the store that holds them.

    Args:
        database: where the records belong.
        records: their names, in the order they are stored; one that is named twice is stored once.
        contract: the preprocessing contract.
        leads: leads by preference; default the database's.
        missing_lead: ``"error"``, or ``"skip"`` to leave such a record out (its name and reason are kept).
        margin: extra samples on both sides of a frame.
        present_only: take the records that are in the cache and name the others in the provenance, instead of
            downloading what is missing.
        jobs: processes.
        out: where to write; default a file of the cache named by a hash of all the others.
        noise_half: half of nstdb's recordings that drowns rhythm frames and that a disturbance by noise takes: the
            first for training, the second for testing; None drowns none. Nor are any drowned where the database marks
            noise itself.
        disturbance: a change of every recording before it is cut, by recorded noise with a ``noise_half`` only;
            ``samples`` are those of the changed recording.

    Returns:
        The opened store.

    Raises:
        UserError: a record is absent, damaged (so its hash, where one is known) or lacks the lead; the database holds
            beats instead of recordings, which cannot be disturbed; ``out`` holds something else; the disk is full.
    """
    if disturbance:
        require_disturbable(database)
    names, absent = available(database, list(dict.fromkeys(records)), present_only)
    drowns = bool(contract.drowned_share) and not database.marks_noise
    wanted = {
        "code": code(),
        "database": database.name,
        "version": database.version,
        "requested": names,
        "absent": absent,
        "leads": list(leads or database.leads),
        "missing_lead": missing_lead,
        "margin": margin,
        "input": contract.model_dump(mode="json"),
        "symbols": BEAT_SYMBOLS,
        "classes": dict(MAPPINGS["A"]),  # by which beats are retimed and fused
        "drowns": drowns,
        "disturbance": disturbance and disturbance.model_dump(mode="json"),
        "noise_half": noise_half if drowns or (disturbance and disturbance.recorded_noise) else None,
        "files": changeable(database, names),
    }
    key = hashlib.sha256(json.dumps(wanted, sort_keys=True).encode()).hexdigest()[:16]
    path = out or cache_dir() / "prepared" / f"{database.name}-{key}.h5"
    if out and out.exists() and _made_by(out) is None:
        raise UserError(f"{out} exists and was not written by heartzoo data prepare", "name a new file, or delete it")
    with lock(path):
        if not (path.is_file() and _holds(path, wanted)):
            _remove_leftovers(path)
            _write(path, database, contract, wanted, disturbance, jobs)
    return Store(path)


def require_disturbable(database: Database) -> None:
    """Refuse a database of single beats.

    Raises:
        UserError: it is one.
    """
    if database.extensions == ("csv",):
        raise UserError(f"{database.name} holds single beats, which cannot be disturbed", "take recordings")


@cache
def code() -> str:
    """A hash of the code that makes examples."""
    sources = (Path(__file__).with_name(f"{name}.py").read_bytes() for name in MAKERS)
    return hashlib.sha256(b"".join(sources)).hexdigest()[:16]


def clean() -> list[tuple[Path, int]]:
    """Remove the cache's prepared stores that are of no use to this heartzoo: made by other code, or damaged.

    Among them those of disturbed recordings that killed evaluations left.

    Returns:
        The files that went, with their sizes in bytes.
    """
    gone = []
    prepared, disturbed = (cache_dir() / "prepared").glob("*.h5"), (cache_dir() / "evaluations").glob("*/disturbed.h5")
    for path in sorted([*prepared, *disturbed]):
        if _made_by(path) == code():
            continue
        with lock(path.with_name(_PART.sub("", path.name))):  # what is being written is whole, or gone, when it is ours
            if path.is_file():
                gone.append((path, path.stat().st_size))
                path.unlink()
    return gone


def _made_by(path: Path) -> str | None:
    """Which code made a store; None where the file is none. Whose recordings it holds need not be known."""
    try:
        with h5py.File(path, "r") as file:
            return str(json.loads(file.attrs["provenance"])["code"])
    except (OSError, KeyError, ValueError):
        return None


def changeable(database: Database, names: Sequence[str]) -> dict[str, list[int]]:
    """Size and time of the user's own files, which may become others; those that were downloaded have a known hash."""
    if database.source != "user":
        return {}
    files = [file for name in names for file in record_files(database, name).values()]  # p1/ecg.dat, p2/ecg.dat
    found = {file: (folder(database) / file).stat() for file in files}
    return {file: [stat.st_size, stat.st_mtime_ns] for file, stat in found.items()}


def available(database: Database, records: Sequence[str], present_only: bool) -> tuple[list[str], list[str]]:
    """The records that are in the cache, downloaded if they have to be, and those that are not.

    Args:
        database: whose they are.
        records: which.
        present_only: download nothing.

    Raises:
        UserError: as :func:`heartzoo.data.download.ensure`; with ``present_only`` none is there.
    """
    if not present_only:
        ensure(database, records)
        return list(records), []
    here = set(present(database))
    names = [name for name in records if name in here]
    if not names:
        raise UserError(
            f"none of the {len(records)} records of {database.name} is in the cache",
            f"run `heartzoo data download {database.name}`",
        )
    return names, [name for name in records if name not in here]


def _holds(path: Path, wanted: dict[str, Any]) -> bool:
    try:
        provenance = Store(path).provenance
    except UserError:
        return False
    return all(provenance.get(key) == value for key, value in wanted.items())


def _remove_leftovers(path: Path) -> None:
    """A killed process leaves its temporary file; the lock is ours, so nobody writes it now."""
    for leftover in path.parent.glob(f".part.*.{path.name}"):
        leftover.unlink(missing_ok=True)


def _write(
    path: Path,
    database: Database,
    contract: InputConfig,
    wanted: dict[str, Any],
    disturbance: Disturbance | None,
    jobs: int,
) -> None:
    half = wanted["noise_half"]
    drowning = recorded_noise(contract.fs, half) if half and wanted["drowns"] else None
    noisy = half and disturbance and disturbance.recorded_noise
    added = recorded_noise(database.fs, half, [noisy])[0] if noisy else None
    leads, margin, missing_lead = tuple(wanted["leads"]), wanted["margin"], wanted["missing_lead"]
    arguments = (folder(database), database, leads, contract, margin, missing_lead, drowning, disturbance, added, half)
    names = wanted["requested"]
    tasks = (joblib.delayed(_prepare_record)(name, *arguments) for name in names)
    work = in_processes(tasks, min(jobs, len(names)), pre_dispatch=2 * jobs)
    known = known_hashes(database)
    facts: list[dict[str, Any]] = []
    skipped: dict[str, str] = {}
    with atomic_path(path) as temporary, Sink(temporary) as sink:
        with h5py.File(sink, "w", alignment_threshold=1, alignment_interval=ALIGNMENT) as file:
            for name, result in zip(names, track(work, len(names), f"prepare {database.name}"), strict=True):
                if isinstance(result, str):
                    skipped[name] = result
                    continue
                _refuse_damaged(database, name, result[1]["sha256"], known)
                _append(file, result[0], len(facts))
                sink.check()
                facts.append(result[1])
            if not facts:
                remedy = (
                    "leave other_lead and turned_lead out of training.copies, and two_leads out of the database"
                    if disturbance is not None and disturbance.takes_two_leads
                    else "name other leads"
                )
                raise UserError(f"every record was skipped: {next(iter(skipped.values()))}", remedy)
            if "frames" not in file:
                longest = max(fact["seconds"] for fact in facts)
                raise UserError(
                    f"none of the {len(facts)} records of {database.name} gives an example; the longest has "
                    f"{longest:g} s, an example {contract.frame / contract.fs:g} s",
                    "take longer recordings, or a lower input.frame",
                )
            if disturbance is None:  # which may be a change of the rate, and is told of the recordings already
                _tell_other_rates(database, facts)
                for fact in (fact for fact in facts if fact["doubled"]):
                    console.print(f"record {fact['name']}: {fact['doubled']}")
            provenance = {**wanted, "heartzoo": __version__, "records": facts, "skipped": skipped}
            file.attrs["provenance"] = json.dumps(provenance)
        sink.check()  # closing writes too


def _tell_other_rates(database: Database, facts: Sequence[Mapping[str, Any]]) -> None:
    """A user's recordings may have several rates; a header that states a wrong one looks the same."""
    others = [f"{fact['name']} ({fact['fs']:g} Hz)" for fact in facts if fact["fs"] != database.fs]
    if others:
        more = f" and {len(others) - MOST_TOLD} more" if len(others) > MOST_TOLD else ""
        console.print(
            f"{database.name} is declared as {database.fs:g} Hz, but these headers say otherwise and are believed: "
            f"{', '.join(others[:MOST_TOLD])}{more}"
        )


def _refuse_damaged(database: Database, record: str, found: Mapping[str, str], known: Mapping[str, str]) -> None:
    """Refuse a record's files, given by ending and hash, where another hash is known."""
    for ending, digest in found.items():
        expected = known.get(f"{record}.{ending}", digest)
        if digest != expected:
            file = folder(database) / f"{record}.{ending}"
            raise UserError(
                f"{file} is damaged: expected SHA-256 {expected[:12]}…, found {digest[:12]}…",
                f"fetch it anew with `heartzoo data download {database.name} --record {record}`",
            )


def _prepare_record(
    name: str,
    source: Path,
    database: Database,
    leads: tuple[str, ...],
    contract: InputConfig,
    margin: int,
    missing_lead: str,
    drowning: np.ndarray | None,
    disturbance: Disturbance | None,
    noise: np.ndarray | None,
    half: Literal["first", "second"],
) -> tuple[Examples, dict[str, Any]] | str:
    """One record's examples and facts, or the reason it is skipped. Runs in a worker process."""
    if database.extensions == ("csv",):
        record, examples = read_heartbeats(source / f"{name}.csv", contract)
        return examples, _facts(record, examples, source, database)
    try:
        if disturbance and disturbance.other_lead:
            leads = (other_lead(source / name, leads),)
        angle = lead_angle(name, disturbance.draw) if disturbance and disturbance.turned_lead else None
        record = read_record(source, database, name, leads, angle)
    except MissingLead as error:
        if missing_lead == "skip" or (disturbance and disturbance.takes_two_leads):
            return error.problem
        raise
    if disturbance:
        if disturbance.recorded_noise and record.fs != database.fs:  # a user's recordings may have several rates
            noise = recorded_noise(record.fs, half, [disturbance.recorded_noise])[0]
        try:
            record = disturb(record, disturbance, noise)
        except TooFewBeats as error:
            return error.problem
    cut = cut_frames(record, contract, drowning) if contract.cut == "rhythm" else cut_beats(record, contract, margin)
    facts = _facts(record, cut, source, database)
    if disturbance and noise is not None:
        facts["noise_offset"] = noise_offset(name, disturbance.draw, len(noise))
    return cut, facts


def _facts(record: Record, examples: Examples, source: Path, database: Database) -> dict[str, Any]:
    symbols, counts = np.unique(record.symbols, return_counts=True)
    return {
        "name": record.name,
        "patient": record.patient,
        "sex": record.sex,
        "age": record.age,
        "lead": record.lead,
        "fs": record.fs,
        "seconds": len(record.signal) / record.fs,
        "calibrated": record.calibrated,
        "beats": {chr(symbol): int(count) for symbol, count in zip(symbols, counts, strict=True)},
        "doubled": of_doubled_beats(record.samples),
        "flat_frames": int((np.ptp(examples.frames, axis=1) == 0).sum()),
        "sha256": {ending: sha256(source / file) for ending, file in record_files(database, record.name).items()},
    }


def _append(file: h5py.File, examples: Examples, record: int) -> None:
    count = len(examples.symbols)
    columns = {
        "frames": examples.frames,
        "rr": examples.rr,
        "symbols": examples.symbols,
        "samples": examples.samples,
        "record": np.full(count, record, np.int32),
    }
    for name, values in columns.items():
        if values.size == 0:  # a contract without R-R features
            continue
        width = values.shape[1:]
        rows = CHUNK_ROWS if width else 4096
        if name not in file:
            file.create_dataset(name, (0, *width), values.dtype, maxshape=(None, *width), chunks=(rows, *width))
        dataset = file[name]
        dataset.resize(len(dataset) + count, axis=0)
        dataset[-count:] = values
