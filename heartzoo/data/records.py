"""WFDB files -> Record: one lead in millivolts, its beats and its rhythms."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from heartzoo.data.databases import Database, get_database
from heartzoo.data.download import ensure, folder
from heartzoo.data.quality import NOWHERE_LOST, Gaps, LostSignal, lost_between
from heartzoo.data.rr import SHORTEST_S, counted_until
from heartzoo.data.signal import resample_positions
from heartzoo.errors import UserError, first_line
from heartzoo.tasks import BEAT_SYMBOLS

# An annotator's mark may lie a sample or so past the last one (svdb 860); further out means a cut recording.
PAST_END_S = 0.1
ATR = "atr"  # the annotations of most databases
PER_MV = {"mv": 1.0, "uv": 1e-3, "µv": 1e-3, "μv": 1e-3, "nv": 1e-6, "v": 1e3}
_PERSON = re.compile(r"\s*(-?\d{1,3})\s+([FM])\b")


class NoBeat(UserError):
    """Annotations hold no beat."""


class MissingLead(UserError):
    """The record has none of the wanted leads."""


@dataclass(frozen=True)
class Record:
    """One lead of a recording.

    Attributes:
        database: database name.
        name: record name inside the database.
        patient: patient id; records of one person share it.
        lead: name of the signal.
        fs: sampling rate in Hz.
        signal: float64, shape (samples,), in mV, whatever the header's unit (at 200 units per mV where it gives no
            gain); what was missing is filled in as :class:`heartzoo.data.quality.Gaps` does.
        calibrated: False where the header gives no gain.
        samples: int64, shape (beats,), positions of the beats in the signal.
        symbols: uint8, shape (beats,), their WFDB symbols as ASCII codes.
        rhythms: (sample, label) of each rhythm change, label as in the file, for example ``"(AFIB"``.
        comments: the header's comment lines.
        lost: where a tenth of a second or more of the samples were missing, int64, shape (any, 2), as
            :class:`heartzoo.data.quality.LostSignal` has it.
    """

    database: str
    name: str
    patient: str
    lead: str
    fs: float
    signal: np.ndarray
    calibrated: bool
    samples: np.ndarray
    symbols: np.ndarray
    rhythms: tuple[tuple[int, str], ...]
    comments: tuple[str, ...]
    lost: np.ndarray = field(default_factory=NOWHERE_LOST.copy)

    @property
    def across_lost_signal(self) -> np.ndarray:
        """Whether signal was lost between each beat and the next, boolean, shape (beats - 1,)."""
        before, after = self.samples[:-1], self.samples[1:]
        return lost_between(self.lost, before, counted_until(before, after, self.fs))

    @property
    def age(self) -> int | None:
        """In years, as mitdb's comments give it (``69 M 1085 1629 x1``); None where unknown."""
        return int(found[1]) if (found := self._person) and int(found[1]) >= 0 else None

    @property
    def sex(self) -> str | None:
        """``"F"`` or ``"M"``, likewise."""
        return found[2] if (found := self._person) else None

    @property
    def _person(self) -> re.Match[str] | None:
        return _PERSON.match(self.comments[0]) if self.comments else None


def read_record(
    source: Path,
    database: Database,
    name: str,
    leads: tuple[str, ...] | None = None,
    turned_by: float | None = None,
) -> Record:
    """Read one annotated record with wfdb and check it.

    Args:
        source: the folder that holds the database's files.
        database: its entry in the table.
        name: record name.
        leads: leads by preference; default the database's.
        turned_by: read the lead that lies at this angle from that one, in radians, towards :func:`other_lead`.

    Returns:
        The record.

    Raises:
        MissingLead: the record has none of the leads; or, where the lead is to be turned, no other of the same rate.
        UserError: a file is missing, truncated or unreadable; the sampling rate is not positive; the signal is in no
            unit of voltage, or has no samples but missing ones; the annotations are absent, not in order of time, hold
            no beat, or lie past the end.
    """
    path = source / name
    signal, header, lead = read_lead(path, leads or database.leads)
    if turned_by is not None:
        signal = np.cos(turned_by) * signal + np.sin(turned_by) * _signal_beside(path, lead, len(signal))
    fs = sampling_rate(header, header.sig_name.index(lead))
    lost = LostSignal(fs)
    lost.push(signal)
    signal = Gaps(fs).push(signal)
    samples, symbols, rhythms = read_annotations(path, len(signal), fs, database.annotator or ATR)
    return Record(
        database=database.name,
        name=name,
        patient=database.patient(name),
        lead=lead,
        fs=fs,
        signal=signal,
        calibrated=_calibrated(path, header.sig_name.index(lead)),
        samples=samples,
        symbols=symbols,
        rhythms=rhythms,
        comments=tuple(header.comments),
        lost=lost.stretches,
    )


def read_lead(path: Path, leads: tuple[str, ...]) -> tuple[np.ndarray, Any, str]:
    """Read the first of ``leads`` that a WFDB record has.

    Args:
        path: the record's path without extension.
        leads: signal names by preference.

    Returns:
        The signal in mV (float64, shape (samples,), NaN where missing), wfdb's header, the lead's name.

    Raises:
        MissingLead, UserError: as :func:`read_record`.
    """
    header = read_header(path)
    lead = next((lead for lead in leads if lead in header.sig_name), None)
    if lead is None:
        raise MissingLead(
            f"record {path.name}: expected a lead among {', '.join(leads)}, found {', '.join(header.sig_name)}",
            "name one with data.leads, or leave such records out with data.missing_lead = skip",
        )
    check_size(path, header)
    unit = header.units[header.sig_name.index(lead)]
    if (scale := millivolts(unit)) is None:
        raise UserError(
            f"record {path.name}, lead {lead}: expected a signal in V, mV or uV, found the unit {unit}",
            "mend the header, or name another lead",
        )
    signal = read_frames(path, header.sig_name.index(lead)) * scale
    if np.isnan(signal).all():
        raise UserError(
            f"record {path.name}, lead {lead}: expected numbers, found none in {len(signal):,} samples",
            "leave the record out",
        )
    return signal, header, lead


def sampling_rate(header: Any, signal: int) -> float:
    """Rate in Hz of one of a record's signals, of which a frame of the record may hold several samples."""
    return float(header.fs) * frame_samples(header, signal)


def frame_samples(header: Any, signal: int) -> int:
    """How many samples of one of a record's signals a frame of the record holds."""
    return int((header.samps_per_frame or [1] * len(header.sig_name))[signal])


def read_frames(path: Path, signal: int, start: int = 0, stop: int | None = None) -> np.ndarray:
    """Samples of one of a record's signals in some of its frames, in the header's unit, NaN where missing.

    Args:
        path: the record's path without extension.
        signal: the signal's number.
        start: the first frame.
        stop: the one after the last; default to the record's end.

    Raises:
        UserError: the signal file cannot be read.
    """
    import wfdb

    try:
        record = wfdb.rdrecord(str(path), sampfrom=start, sampto=stop, channels=[signal], smooth_frames=False)
    except KeyError as error:
        raise UserError(
            f"record {path.name}: its header names a signal format that wfdb does not know, {first_line(error)}",
            "mend the header",
        ) from error
    except (ValueError, IndexError, OSError) as error:
        raise UserError(
            f"record {path.name}: the signal file cannot be read ({first_line(error)})", _REFETCH
        ) from error
    return np.asarray(record.e_p_signal[0], np.float64)


def millivolts(unit: str | None) -> float | None:
    """What a unit of a WFDB header is in mV; None where it is no voltage. Without a unit a signal is in mV."""
    return PER_MV.get((unit or "mV").lower())


def other_lead(path: Path, leads: tuple[str, ...]) -> str:
    """Name of a WFDB record's first signal beside the one that :func:`read_lead` reads.

    Raises:
        MissingLead: it has no other.
        UserError: the header is missing or damaged.
    """
    names = read_header(path).sig_name
    first = next((lead for lead in leads if lead in names), None)
    if other := next((name for name in names if name != first), None):
        return str(other)
    raise MissingLead(f"record {path.name}: it has no lead beside {first}", "take that one alone")


def _signal_beside(path: Path, lead: str, samples: int) -> np.ndarray:
    """As :func:`read_lead`, the signal of a record's :func:`other_lead`, which has to have so many samples."""
    other = other_lead(path, (lead,))
    signal = read_lead(path, (other,))[0]
    if len(signal) != samples:
        raise MissingLead(
            f"record {path.name}: {lead} and {other} have different rates", "leave {turned_lead: true} out"
        )
    return signal


DIFFERENCES = "8"  # a WFDB format: of each sample less the one before, which wfdb adds up from where it begins to read
_REFETCH = "copy or fetch it again; `heartzoo data verify DATABASE` checks those of a database"
# Bytes a frame of one sample of every signal takes, by WFDB format.
_BYTES_PER_SAMPLE = {DIFFERENCES: 1.0, "16": 2.0, "61": 2.0, "80": 1.0, "212": 1.5, "24": 3.0, "32": 4.0}


def read_header(path: Path) -> Any:
    """The header of a WFDB record, as wfdb reads it, but that of two signals of one name the second is ``NAME (2)``.

    Raises:
        MissingLead: it names no leads.
        UserError: it is missing or damaged, gives no sampling rate, or is of several segments.
    """
    import wfdb

    if not path.with_name(f"{path.name}.hea").is_file():
        raise UserError(f"record {path.name}: {path.name}.hea is missing in {path.parent}", _REFETCH)
    try:
        header = wfdb.rdheader(str(path))
    except (ValueError, IndexError, KeyError, TypeError, AttributeError, wfdb.io.header.HeaderSyntaxError) as error:
        reason = "a line or a field is missing" if isinstance(error, IndexError) else first_line(error)
        raise UserError(f"record {path.name}: {path.name}.hea is not a WFDB header ({reason})", _REFETCH) from error
    if not header.fs or header.fs <= 0 or not math.isfinite(header.fs):
        raise UserError(
            f"record {path.name}: expected a sampling rate above 0 Hz, found {header.fs}", "mend the header"
        )
    if isinstance(header, wfdb.MultiRecord):
        raise UserError(f"record {path.name} is made of several segments", "name its segments one by one, as records")
    if not header.sig_name or None in header.sig_name:
        raise MissingLead(f"record {path.name}: its header names no leads", "name the leads in the header")
    if header.n_sig != len(header.sig_name):
        raise UserError(
            f"record {path.name}: its header says {header.n_sig} signals and describes {len(header.sig_name)}",
            "mend the header",
        )
    header.sig_name = told_apart(header.sig_name)
    return header


def told_apart(names: Sequence[str]) -> list[str]:
    """Names of which no two are the same: ``ECG``, ``ECG (2)``, so that each can be asked for."""
    found: list[str] = []
    for name in names:
        number = 2
        told = name = name or str(len(found) + 1)
        while told in found:
            told, number = f"{name} ({number})", number + 1
        found.append(told)
    return found


def check_size(path: Path, header: Any) -> None:
    """Refuse a signal file shorter than its header says: wfdb would read part of it or fail obscurely.

    Raises:
        UserError: a signal file is missing or truncated.
    """
    files = set(header.file_name)
    for file in files:
        if Path(file).name != file:  # it leads elsewhere, or nowhere
            raise UserError(f"record {path.name}: expected its signal file in {path.parent}, found {file}", _REFETCH)
        here = path.with_name(file)
        if not here.is_file():
            raise UserError(f"record {path.name}: signal file {file} is missing in {path.parent}", _REFETCH)
        signals = [i for i, name in enumerate(header.file_name) if name == file]
        formats = {header.fmt[i] for i in signals}
        if header.sig_len and len(formats) == 1 and (width := _BYTES_PER_SAMPLE.get(formats.pop())):
            frame = sum(frame_samples(header, signal) for signal in signals)
            expected = math.floor(width * frame * header.sig_len) + (header.byte_offset[signals[0]] or 0)
            if (found := here.stat().st_size) < expected:
                raise UserError(
                    f"record {path.name}: {file} is truncated, expected {expected} bytes, found {found}", _REFETCH
                )


def as_r_peaks(samples: np.ndarray) -> np.ndarray:
    """R peaks as int64.

    Raises:
        UserError: they are not whole, ascending samples from 0 on.
    """
    given = np.asarray(samples)
    if given.ndim != 1 or (len(given) and given.dtype.kind not in "iuf"):
        raise UserError(f"expected R peaks of shape (n,), found {given.dtype} of {given.shape}", "give samples")
    if len(fractions := given[~(np.isfinite(given) & (given == np.floor(given)))]):
        raise UserError(f"expected R peaks in samples, found {fractions[0]}", "multiply seconds by fs, and round")
    if len(huge := given[np.abs(given.astype(np.float64)) >= 2.0**53]):
        raise UserError(f"expected R peaks in samples, found {huge[0]}", "give samples of the signal")
    samples = given.astype(np.int64)  # before differences: those of unsigned numbers are never below 0
    if (np.diff(samples) < 0).any() or (samples < 0).any():
        raise UserError("expected R peaks as ascending samples of the signal", "sort them")
    return samples


def of_doubled_beats(samples: np.ndarray) -> str:
    """What to say of beats that stand at one sample; nothing where each has its own."""
    twice = np.unique(samples[1:][np.diff(samples) == 0])
    more = f" and {len(twice) - 1} more" if len(twice) > 1 else ""
    if not len(twice):
        return ""
    return f"more than one beat at sample {twice[0]}{more}, whose interval counts as {SHORTEST_S:g} s"


def refuse_past_end(r_peaks: np.ndarray, length: int, fs: float) -> None:
    """Refuse R peaks that are no samples of their signal; a tenth of a second is let pass, as databases have it.

    Raises:
        UserError: there are some.
    """
    if len(r_peaks) and r_peaks[-1] >= length + PAST_END_S * fs:
        raise UserError(
            f"expected R peaks in samples of the signal, found {r_peaks[-1]:,} where it has {length:,}",
            "give both at the same sampling rate",
        )


def read_annotations(
    path: Path, length: int, fs: float, ending: str = ATR
) -> tuple[np.ndarray, np.ndarray, tuple[tuple[int, str], ...]]:
    """As :func:`read_marks`, of a signal of so many samples.

    Raises:
        UserError: likewise, or a beat lies past the end.
    """
    samples, symbols, rhythms = read_marks(path, fs, ending)
    if (last := int(samples.max())) >= length + PAST_END_S * fs:
        raise UserError(
            f"record {path.name}: a beat is annotated at sample {last}, past the end ({length} samples)",
            "the signal and its annotations do not belong together: fetch both again",
        )
    return samples, symbols, rhythms


def read_marks(
    path: Path, fs: float | None = None, ending: str = ATR
) -> tuple[np.ndarray, np.ndarray, tuple[tuple[int, str], ...]]:
    """Positions and symbols of the beats in a record's annotation file, and the rhythm changes.

    Args:
        path: the record's path without extension.
        fs: the record's sampling rate in Hz, at which the positions are wanted: an annotation file may have a time
            resolution of its own. Default that of the file.
        ending: of the annotation file's name.

    Raises:
        UserError: it is missing, truncated or unreadable, not in order of time, or holds no beat.
    """
    import wfdb

    file = path.with_name(f"{path.name}.{ending}")
    if not file.is_file():
        raise UserError(f"record {path.name}: the annotation file {file.name} is missing", _REFETCH)
    # wfdb would return what there is of a cut file, without its last annotation.
    if not (content := file.read_bytes()).endswith(b"\0\0"):
        raise UserError(f"record {path.name}: {file.name} is {'truncated' if content else 'empty'}", _REFETCH)
    _refuse_endless(file, content)
    try:
        annotation = wfdb.rdann(str(path), ending)
    except (ValueError, IndexError, KeyError, TypeError) as error:
        raise UserError(f"record {path.name}: {file.name} cannot be read ({first_line(error)})", _REFETCH) from error
    if not all(isinstance(symbol, str) for symbol in annotation.symbol):  # NaN for a code without a meaning
        raise UserError(f"record {path.name}: {file.name} holds an unknown annotation code", _REFETCH)
    symbols = np.array([ord(symbol[0]) for symbol in annotation.symbol], dtype=np.uint8)
    samples = np.asarray(annotation.sample, dtype=np.int64)
    _require_order(file, samples)
    if fs and annotation.fs and annotation.fs != fs:
        samples = resample_positions(samples, annotation.fs, fs)
    beats = np.isin(symbols, np.frombuffer(BEAT_SYMBOLS.encode(), np.uint8))
    if not beats.any():
        raise NoBeat(f"record {path.name}: {file.name} holds no beat", "an annotated record is needed here")
    rhythms = tuple(
        (int(sample), note.rstrip("\x00"))
        for sample, note in zip(samples, annotation.aux_note, strict=True)
        if note.startswith(("(", ")"))
    )
    return samples[beats], symbols[beats], rhythms


def _refuse_endless(file: Path, content: bytes) -> None:
    """Refuse a note before all beats that looks like a definition and is none: wfdb 4.3 would read it for ever."""
    known, defining = False, False
    for note in _first_notes(content):
        if defining:
            defining = note != b"## end of definitions"
        elif note == b"## annotation type definitions":
            defining = True
        elif note.startswith(b"## ") and not known and re.search(rb"## time resolution: \d", note):
            known = True
        elif note.startswith(b"## "):
            told = note.decode(errors="replace")[:60]
            raise UserError(
                f"record {file.stem}: {file.name} begins with the note {told!r}, which defines nothing",
                "leave the ## out of it",
            )


def _first_notes(content: bytes) -> Iterator[bytes]:
    """The notes of an annotation file (format MIT) at sample 0."""
    place = 0
    while place + 2 <= len(content):
        word = int.from_bytes(content[place : place + 2], "little")
        kind, value = word >> 10, word & 1023
        place += 2
        if kind == 63:
            yield content[place : place + value]
            place += value + value % 2
        elif kind == 59 or (kind < 59 and (word == 0 or value)):  # later ones, or the end
            return


def _require_order(file: Path, samples: np.ndarray) -> None:
    """Refuse annotations that are not in order of time: R-R intervals between them would be negative."""
    if len(samples) and samples[0] < 0:
        raise UserError(
            f"record {file.stem}: {file.name} has an annotation at sample {samples[0]}",
            "mend the file",
        )
    if len(back := np.flatnonzero(np.diff(samples) < 0)):
        before, after = samples[back[0] : back[0] + 2]
        raise UserError(
            f"record {file.stem}: {file.name} is not in order of time, an annotation at sample {after} follows one at "
            f"{before}",
            "sort its annotations",
        )


def _calibrated(path: Path, signal: int) -> bool:
    """Whether the header gives a gain: wfdb replaces a gain of 0 by 200 per mV without saying so."""
    text = path.with_name(f"{path.name}.hea").read_text(errors="replace")
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith("#")]
    fields = lines[1 + signal].split()
    gain = fields[2].split("(")[0].split("/")[0] if len(fields) > 2 else "0"
    try:
        return float(gain) != 0.0
    except ValueError as error:
        raise UserError(f"record {path.name}: expected a gain in its header, found {fields[2]!r}", _REFETCH) from error


def open_record(database: str, name: str | int, leads: tuple[str, ...] | None = None) -> Record:
    """Read an annotated record of a database of the table, downloading it first if it is not in the cache.

    Args:
        database: such as ``"mitdb"``.
        name: record name, such as ``"100"``; a number will do.
        leads: leads by preference; default the database's.

    Raises:
        UserError: as :func:`read_record`, or the record is unknown or cannot be downloaded.
    """
    entry, name = get_database(database), str(name)
    return read_record(ensure(entry, [name]), entry, name, leads)


def beat_symbols(database: Database, names: Sequence[str]) -> np.ndarray:
    """Symbols of every beat of some records in the cache, as ASCII codes; uint8, shape (n,).

    Raises:
        UserError: an annotation file is absent, empty or unreadable.
    """
    ending = database.annotator or ATR
    return np.concatenate([read_marks(folder(database) / name, ending=ending)[1] for name in names])
