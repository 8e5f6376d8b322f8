"""WFDB files -> Record: one lead in millivolts, its beats and its rhythms."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from heartzoo.data.annotations import ATR, read_annotations
from heartzoo.data.databases import Database, get_database
from heartzoo.data.download import ensure
from heartzoo.data.quality import NOWHERE_LOST, Gaps, LostSignal, lost_between
from heartzoo.data.rr import counted_until
from heartzoo.data.wfdb_files import (
    MissingLead,
    calibrated,
    check_size,
    millivolts,
    read_frames,
    read_header,
    sampling_rate,
)
from heartzoo.errors import UserError

_PERSON = re.compile(r"\s*(-?\d{1,3})\s+([FM])\b")


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
        calibrated=calibrated(path, header.sig_name.index(lead)),
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
            "name one with data.leads, or among your database's leads, or leave such records out with "
            "data.missing_lead = skip",
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
