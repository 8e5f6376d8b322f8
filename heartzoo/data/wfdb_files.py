"""Headers and signal files of WFDB records, checked before they are believed."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from heartzoo.errors import UserError, first_line

REFETCH = "copy or fetch it again; `heartzoo data verify DATABASE` checks those of a database"
PER_MV = {"mv": 1.0, "uv": 1e-3, "µv": 1e-3, "μv": 1e-3, "nv": 1e-6, "v": 1e3}
DIFFERENCES = "8"  # a WFDB format: of each sample less the one before, which wfdb adds up from where it begins to read
# Bytes a frame of one sample of every signal takes, by WFDB format.
_BYTES_PER_SAMPLE = {DIFFERENCES: 1.0, "16": 2.0, "61": 2.0, "80": 1.0, "212": 1.5, "24": 3.0, "32": 4.0}


class MissingLead(UserError):
    """The record has none of the wanted leads."""


def read_header(path: Path) -> Any:
    """The header of a WFDB record, as wfdb reads it, but that of two signals of one name the second is ``NAME (2)``.

    Raises:
        MissingLead: it names no leads.
        UserError: it is missing or damaged, gives no sampling rate, or is of several segments.
    """
    import wfdb

    if not path.with_name(f"{path.name}.hea").is_file():
        raise UserError(f"record {path.name}: {path.name}.hea is missing in {path.parent}", REFETCH)
    try:
        header = wfdb.rdheader(str(path))
    except (ValueError, IndexError, KeyError, TypeError, AttributeError, wfdb.io.header.HeaderSyntaxError) as error:
        reason = "a line or a field is missing" if isinstance(error, IndexError) else first_line(error)
        raise UserError(f"record {path.name}: {path.name}.hea is not a WFDB header ({reason})", REFETCH) from error
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


def sampling_rate(header: Any, signal: int) -> float:
    """Rate in Hz of one of a record's signals, of which a frame of the record may hold several samples."""
    return float(header.fs) * frame_samples(header, signal)


def frame_samples(header: Any, signal: int) -> int:
    """How many samples of one of a record's signals a frame of the record holds."""
    return int((header.samps_per_frame or [1] * len(header.sig_name))[signal])


def millivolts(unit: str | None) -> float | None:
    """What a unit of a WFDB header is in mV; None where it is no voltage. Without a unit a signal is in mV."""
    return PER_MV.get((unit or "mV").lower())


def calibrated(path: Path, signal: int) -> bool:
    """Whether the header gives a gain: wfdb replaces a gain of 0 by 200 per mV without saying so."""
    text = path.with_name(f"{path.name}.hea").read_text(errors="replace")
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith("#")]
    fields = lines[1 + signal].split()
    gain = fields[2].split("(")[0].split("/")[0] if len(fields) > 2 else "0"
    try:
        return float(gain) != 0.0
    except ValueError as error:
        raise UserError(f"record {path.name}: expected a gain in its header, found {fields[2]!r}", REFETCH) from error


def check_size(path: Path, header: Any) -> None:
    """Refuse a signal file shorter than its header says: wfdb would read part of it or fail obscurely.

    Raises:
        UserError: a signal file is missing or truncated.
    """
    files = set(header.file_name)
    for file in files:
        if Path(file).name != file:  # it leads elsewhere, or nowhere
            raise UserError(f"record {path.name}: expected its signal file in {path.parent}, found {file}", REFETCH)
        here = path.with_name(file)
        if not here.is_file():
            raise UserError(f"record {path.name}: signal file {file} is missing in {path.parent}", REFETCH)
        signals = [i for i, name in enumerate(header.file_name) if name == file]
        formats = {header.fmt[i] for i in signals}
        if header.sig_len and len(formats) == 1 and (width := _BYTES_PER_SAMPLE.get(formats.pop())):
            frame = sum(frame_samples(header, signal) for signal in signals)
            expected = math.floor(width * frame * header.sig_len) + (header.byte_offset[signals[0]] or 0)
            if (found := here.stat().st_size) < expected:
                raise UserError(
                    f"record {path.name}: {file} is truncated, expected {expected} bytes, found {found}", REFETCH
                )


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
        raise UserError(f"record {path.name}: the signal file cannot be read ({first_line(error)})", REFETCH) from error
    return np.asarray(record.e_p_signal[0], np.float64)
