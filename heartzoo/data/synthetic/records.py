"""Synthetic records, in memory and as WFDB files."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from heartzoo.data.databases import get_database
from heartzoo.data.records import Record
from heartzoo.data.synthetic.noise import draw_noise
from heartzoo.data.synthetic.patients import Patient, draw_patient
from heartzoo.data.synthetic.rhythm import Beats, draw_rhythm, rhythm_changes
from heartzoo.data.synthetic.waves import FUSION, NORMAL, P, T, draw, fuse
from heartzoo.errors import UserError
from heartzoo.files import lock, writing

DURATION_S = 300.0
FS = get_database("synthetic").fs
SHORTEST_S = 10.0
LOWEST_FS = 100.0
GAIN_PER_MV = 200.0


def generate(record: str, duration_s: float = DURATION_S, fs: float = FS) -> Record:
    """Generate a record. The same arguments give the same record.

    Args:
        record: ``syn00``, ``syn01``, ...: the number is the patient and the seed.
        duration_s: length in s, at least 10.
        fs: sampling rate in Hz, at least 100.

    Returns:
        A record of one lead, ``MLII``, with noise, beats and rhythms; the first comment is age and sex.

    Raises:
        UserError: the name is not of that form, the record too short or its sampling rate too low.
    """
    number = _number(record)
    if not (duration_s >= SHORTEST_S and fs >= LOWEST_FS):
        raise UserError(
            f"expected at least {SHORTEST_S:g} s at {LOWEST_FS:g} Hz or more, found {duration_s:g} s at {fs:g} Hz",
            "ask for a longer record or a higher sampling rate",
        )
    patient = draw_patient(np.random.default_rng([number, 0]), number)
    beats = draw_rhythm(np.random.default_rng([number, 1]), patient, duration_s)
    time = np.arange(round(duration_s * fs)) / fs
    signal = draw(beats.times, _waves(np.random.default_rng([number, 2]), patient, beats), len(time), fs)
    signal += draw_noise(np.random.default_rng([number, 3]), patient, beats, time, fs)
    samples = np.round(beats.times * fs).astype(np.int64)
    symbols = np.frombuffer(f"{patient.symbol}AVVF/".encode(), np.uint8)[beats.kinds]
    return Record(
        database="synthetic",
        name=record,
        patient=record,
        lead="MLII",
        fs=float(fs),
        signal=signal,
        calibrated=True,
        samples=samples,
        symbols=symbols,
        rhythms=rhythm_changes(samples, beats),
        comments=(patient.comment, _provenance()),
    )


def write(folder: Path, records: Sequence[str], duration_s: float = DURATION_S) -> None:
    """Write records as WFDB files (``.dat``, ``.atr``, ``.hea``) at 250 Hz; one that is there already is left alone.

    Args:
        folder: where to; it is made.
        records: ``syn00``, ``syn01``, ...
        duration_s: length of each in s, at least 10.

    Raises:
        UserError: as :func:`generate`; the folder cannot be written, or the disk is full.
    """

    def absent() -> list[str]:
        return [record for record in records if not _is_written(folder / record, round(duration_s * FS))]

    if absent():
        with lock(folder / "synthetic"):
            for record in absent():
                _write_record(folder, generate(record, duration_s))


def _number(record: str) -> int:
    match = re.fullmatch(r"syn(\d{2,6})", record)
    if match is None:
        raise UserError(f"unknown synthetic record {record!r}", "they are named syn00, syn01, syn02 and so on")
    return int(match[1])


def _waves(rng: np.random.Generator, patient: Patient, beats: Beats) -> np.ndarray:
    """Waves of every beat, shape (beats, waves, 3): its kind's template, varied by breath, rate and chance."""
    waves: np.ndarray = patient.templates[beats.kinds]
    fusion = beats.kinds == FUSION
    waves[fusion] = fuse(patient.templates[NORMAL], patient.templates[FUSION], rng.uniform(0.3, 0.7, fusion.sum()))
    waves[beats.fibrillation, P, 0] = 0.0
    breath = 0.06 * np.sin(2 * np.pi * patient.breathing * beats.times)
    waves[..., 0] *= (1 + breath + rng.normal(0, 0.03, len(breath)))[:, None]
    # Repolarisation shortens with the interval before the beat.
    waves[:, T, 1] *= np.clip(beats.intervals / 0.8, 0.5, 1.5) ** 0.4
    return waves


def _is_written(path: Path, length: int) -> bool:
    """Whether a record of that length and of this version of the generator is there."""
    header, *others = (path.with_name(f"{path.name}.{extension}") for extension in ("hea", "dat", "atr"))
    if not (header.is_file() and all(other.is_file() for other in others)):
        return False
    text = header.read_text(errors="replace")
    return text.startswith(f"{path.name} 1 {FS} {length}\n") and _provenance() in text


def _provenance() -> str:
    return f"synthetic, version {get_database('synthetic').version}"


def _write_record(folder: Path, record: Record) -> None:
    import wfdb

    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=f".{record.name}.", suffix=".part", dir=folder) as part:
            wfdb.wrsamp(
                record.name,
                fs=int(record.fs),
                units=["mV"],
                sig_name=[record.lead],
                p_signal=record.signal[:, None],
                fmt=["16"],
                adc_gain=[GAIN_PER_MV],
                baseline=[0],
                comments=list(record.comments),
                write_dir=part,
            )
            _write_annotations(record, part)
            (folder / f"{record.name}.hea").unlink(missing_ok=True)
            # The header comes last: it is what makes the files a record.
            for extension in ("dat", "atr", "hea"):
                (Path(part) / f"{record.name}.{extension}").replace(folder / f"{record.name}.{extension}")


def _write_annotations(record: Record, folder: str) -> None:
    import wfdb

    starts, labels = zip(*record.rhythms, strict=True)
    samples = np.concatenate([np.array(starts, np.int64), record.samples])
    symbols = np.concatenate([np.full(len(starts), "+"), record.symbols.view("S1").astype(str)])
    notes = np.concatenate([np.array(labels), np.full(len(record.samples), "")])
    order = np.argsort(samples, kind="stable")
    wfdb.wrann(
        record.name,
        "atr",
        samples[order],
        symbol=symbols[order].tolist(),
        aux_note=notes[order].tolist(),
        fs=int(record.fs),
        write_dir=folder,
    )
