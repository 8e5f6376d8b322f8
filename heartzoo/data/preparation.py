"""Recordings -> prepared stores: cut once, found again by the contract and what was cut."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal

import h5py
import joblib
import numpy as np

from heartzoo._version import __version__
from heartzoo.config import InputConfig
from heartzoo.config.disturbance import Disturbance
from heartzoo.data.beats import Examples, cut_beats, cut_frames
from heartzoo.data.databases import Database
from heartzoo.data.disturbances import disturb, lead_angle, noise_offset
from heartzoo.data.download import ensure, folder, known_hashes, present, record_files
from heartzoo.data.heartbeat_csv import read_heartbeats
from heartzoo.data.noise import recorded_noise
from heartzoo.data.r_peaks import of_doubled_beats
from heartzoo.data.records import Record, other_lead, read_record
from heartzoo.data.retiming import TooFewBeats
from heartzoo.data.store import ALIGNMENT, Store, append, made_by
from heartzoo.data.wfdb_files import MissingLead
from heartzoo.errors import UserError
from heartzoo.files import Sink, atomic_path, cache_dir, lock, sha256
from heartzoo.progress import console, track
from heartzoo.tasks import BEAT_SYMBOLS, MAPPINGS
from heartzoo.workers import in_processes

# What makes examples: a store that other code made is made anew.
MAKERS = (
    *("annotations", "beats", "disturbances", "fusion", "heartbeat_csv", "motion", "noise", "preparation", "quality"),
    *("r_peaks", "records", "retiming", "rhythm", "rr", "signal", "store", "template", "wfdb_files"),
)
MOST_TOLD = 3
_PART = re.compile(r"^\.part\.(\d+\.)+")  # what a temporary file's name has before the store's


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
    if out and out.exists() and made_by(out) is None:
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
        if made_by(path) == code():
            continue
        with lock(path.with_name(_PART.sub("", path.name))):  # what is being written is whole, or gone, when it is ours
            if path.is_file():
                gone.append((path, path.stat().st_size))
                path.unlink()
    return gone


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
    noisy = half and disturbance and disturbance.recorded_noise
    cutting = _Cutting(
        source=folder(database),
        database=database,
        leads=tuple(wanted["leads"]),
        missing_lead=wanted["missing_lead"],
        contract=contract,
        margin=wanted["margin"],
        drowning=recorded_noise(contract.fs, half) if half and wanted["drowns"] else None,
        disturbance=disturbance,
        noise_half=half,
        noise=recorded_noise(database.fs, half, [noisy])[0] if noisy else None,
    )
    names = wanted["requested"]
    tasks = (joblib.delayed(cutting)(name) for name in names)
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
                append(file, result[0], len(facts))
                sink.check()
                facts.append(result[1])
            if "frames" not in file:
                raise _no_example(database, contract, facts, skipped, disturbance)
            if disturbance is None:  # which may be a change of the rate, and is told of the recordings already
                _tell_other_rates(database, facts)
                for fact in (fact for fact in facts if fact["doubled"]):
                    console.print(f"record {fact['name']}: {fact['doubled']}")
            provenance = {**wanted, "heartzoo": __version__, "records": facts, "skipped": skipped}
            file.attrs["provenance"] = json.dumps(provenance)
        sink.check()  # closing writes too


def _no_example(
    database: Database,
    contract: InputConfig,
    facts: Sequence[Mapping[str, Any]],
    skipped: Mapping[str, str],
    disturbance: Disturbance | None,
) -> UserError:
    """Why no record gave an example."""
    if facts:
        longest = max(fact["seconds"] for fact in facts)
        return UserError(
            f"none of the {len(facts)} records of {database.name} gives an example; the longest has {longest:g} s, an "
            f"example {contract.frame / contract.fs:g} s",
            "take longer recordings, or a lower input.frame",
        )
    return UserError(
        f"every record was skipped: {next(iter(skipped.values()))}",
        "leave other_lead and turned_lead out of training.copies, and two_leads out of the database"
        if disturbance is not None and disturbance.takes_two_leads
        else "name other leads",
    )


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


@dataclass(frozen=True)
class _Cutting:
    """What is done to each record, in a worker process.

    Attributes:
        source: the folder that holds the database's files.
        database: whose records they are.
        leads: leads by preference.
        missing_lead: as :func:`prepare` has it, like the others.
        contract: the preprocessing contract.
        margin: extra samples on both sides of a frame.
        drowning: the noise that rhythm frames drown in, as :func:`cut_frames` takes it.
        disturbance: what changes a record before it is cut.
        noise_half: the half of nstdb's recordings that noise comes from.
        noise: what the disturbance adds, at the database's rate; None where it adds none.
    """

    source: Path
    database: Database
    leads: tuple[str, ...]
    missing_lead: str
    contract: InputConfig
    margin: int
    drowning: np.ndarray | None
    disturbance: Disturbance | None
    noise_half: Literal["first", "second"] | None
    noise: np.ndarray | None

    def __call__(self, name: str) -> tuple[Examples, dict[str, Any]] | str:
        """One record's examples and facts, or the reason it is skipped."""
        if self.database.extensions == ("csv",):
            record, examples = read_heartbeats(self.source / f"{name}.csv", self.contract)
            return examples, self._facts(record, examples)
        try:
            record = self._read(name)
        except MissingLead as error:
            if self.missing_lead == "skip" or (self.disturbance and self.disturbance.takes_two_leads):
                return error.problem
            raise
        noise = self._added(record.fs)
        if self.disturbance:
            try:
                record = disturb(record, self.disturbance, noise)
            except TooFewBeats as error:
                return error.problem
        examples = self._cut(record)
        facts = self._facts(record, examples)
        if self.disturbance and noise is not None:
            facts["noise_offset"] = noise_offset(name, self.disturbance.draw, len(noise))
        return examples, facts

    def _read(self, name: str) -> Record:
        leads, angle = self.leads, None
        if self.disturbance and self.disturbance.other_lead:
            leads = (other_lead(self.source / name, leads),)
        if self.disturbance and self.disturbance.turned_lead:
            angle = lead_angle(name, self.disturbance.draw)
        return read_record(self.source, self.database, name, leads, angle)

    def _added(self, fs: float) -> np.ndarray | None:
        """The noise that the disturbance adds, at the record's rate: a user's recordings may have several."""
        kind = self.disturbance and self.disturbance.recorded_noise
        if kind and self.noise_half and fs != self.database.fs:
            return recorded_noise(fs, self.noise_half, [kind])[0]
        return self.noise

    def _cut(self, record: Record) -> Examples:
        if self.contract.cut == "rhythm":
            return cut_frames(record, self.contract, self.drowning)
        return cut_beats(record, self.contract, self.margin)

    def _facts(self, record: Record, examples: Examples) -> dict[str, Any]:
        symbols, counts = np.unique(record.symbols, return_counts=True)
        files = record_files(self.database, record.name)
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
            "sha256": {ending: sha256(self.source / file) for ending, file in files.items()},
        }
