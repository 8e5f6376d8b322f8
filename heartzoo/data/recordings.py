"""Recordings of any origin -> one lead in mV, read piece by piece: WFDB records, EDF and BDF, CSV, NumPy arrays.

Missing samples are NaN. What a file is, its name tells: ``.edf`` and ``.bdf``, ``.csv`` and ``.txt``, ``.npy``; any
other is the name of a WFDB record, with or without an ending.
"""

from __future__ import annotations

import math
import os
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from heartzoo.config.export import HIGHEST_HZ, LOWEST_HZ
from heartzoo.data.annotations import NoBeat, read_annotations
from heartzoo.data.signal_csv import Layout
from heartzoo.data.wfdb_files import (
    DIFFERENCES,
    PER_MV,
    check_size,
    frame_samples,
    millivolts,
    read_frames,
    read_header,
    sampling_rate,
    told_apart,
)
from heartzoo.errors import MOST_NAMED, UserError, first_line

PIECE_S = 300.0
TIME_UNITS = {"s": 1.0, "ms": 1e3, "us": 1e6, "ns": 1e9}
LONGEST_GAP_S = 1.0
MOST_OFF = 0.02  # times may be rounded to a millisecond
_UNIT = re.compile(r"[ _(\[]([munµμ]v)[)\]]?$|[(\[](v)[)\]]$", re.IGNORECASE)  # a bare V is a lead's
_NO_UNIT = "no unit"  # of an EDF signal; a WFDB signal without one is in mV
NO_VOLTAGE = "take another recording, or write its signal as CSV or NumPy, where --unit says what it is in"


@dataclass(frozen=True)
class Recording:
    """One lead of a recording that need not fit into memory.

    Attributes:
        name: file name without ending.
        lead: name of the lead.
        leads: names of all leads.
        fs: sampling rate in Hz.
        samples: length.
        read: gives the signal in mV in pieces of so many samples.
        beats: annotated beats, in samples, ascending; None where there are none.
    """

    name: str
    lead: str
    leads: tuple[str, ...]
    fs: float
    samples: int
    read: Callable[[int], Iterator[np.ndarray]] = field(repr=False)
    beats: np.ndarray | None = None

    @property
    def seconds(self) -> float:
        """How long it lasts."""
        return self.samples / self.fs

    @property
    def piece(self) -> int:
        """Samples in a piece of five minutes."""
        return round(PIECE_S * self.fs)

    @property
    def number_of_pieces(self) -> int:
        """How many of these it has."""
        return -(-self.samples // self.piece)

    def pieces(self) -> Iterator[np.ndarray]:
        """Its signal, five minutes at a time."""
        return self.read(self.piece)


def open_recording(
    path: Path,
    leads: Sequence[str] = (),
    lead: str | None = None,
    fs: float | None = None,
    unit: str | None = None,
    annotated: bool = True,
) -> Recording:
    """Open a recording for reading.

    Args:
        path: the file, or a WFDB record with or without ending.
        leads: leads by preference; where the recording has none of them, its first lead with a voltage is taken.
        lead: the very lead to read.
        fs: sampling rate in Hz, for a CSV or NumPy file, which does not tell it (but for exports of devices).
        unit: of a CSV or NumPy file: V, mV, uV or nV; default mV.
        annotated: read the annotated beats of a WFDB record, if it has any.

    Raises:
        UserError: no such file, a damaged one, one without a voltage or without samples; no such lead; several columns
            and none named; a sampling rate missing or not the file's; a unit of a file that tells its own;
            annotations that are damaged, not in order of time, or past the end.
    """
    kinds = {".edf": _open_edf, ".bdf": _open_edf, ".csv": _open_csv, ".txt": _open_csv, ".npy": _open_numpy}
    if open_file := kinds.get(path.suffix.lower()):
        if not path.is_file():
            raise UserError(f"no file {path}", "check the name")
        recording = open_file(path, leads, lead, fs, unit)
    else:
        if unit:
            raise _own_unit(path)
        recording = _open_wfdb(path, leads, lead, fs, annotated)
    if recording.samples == 0:
        of_wfdb = "" if open_file else "; its header must say how many, behind the sampling rate"
        raise UserError(f"{path} holds no samples", f"check the recording{of_wfdb}")
    # A file's name may be in another encoding than this system's.
    return replace(recording, name=os.fsencode(recording.name).decode(errors="backslashreplace"))


def _choose(
    path: Path, names: Sequence[str], units: Sequence[str | None], leads: Sequence[str], lead: str | None
) -> int:
    """Number of the lead to read."""
    usable = [name for name, unit in zip(names, units, strict=True) if millivolts(unit) is not None]
    remedy = "say with --unit what it is in" if _NO_UNIT in units else NO_VOLTAGE
    if lead is not None:
        if lead not in names:
            raise UserError(f"{path} has no lead {lead}", f"it has {_listed(names)}")
        if lead not in usable:
            raise UserError(f"{path}: {lead} is not in volts", f"take one of {', '.join(usable)}" if usable else remedy)
        return list(names).index(lead)
    if not usable:
        found = [f"{name} in {unit or 'no unit'}" for name, unit in zip(names, units, strict=True)]
        raise UserError(
            f"{path}: expected a signal in V, mV or uV, found {_listed(found) if found else 'no signal'}", remedy
        )
    written = {name.casefold(): name for name in reversed(usable)}  # mlii is MLII
    known = [written[name.casefold()] for name in leads if name.casefold() in written]
    return list(names).index([*known, *_named_ecg(usable), *usable][0])


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - MOST_NAMED} more" if len(names) > MOST_NAMED else ""
    return (", ".join(name[:40] for name in names[:MOST_NAMED]) or "none") + more


def _named_ecg(names: Sequence[str]) -> list[str]:
    return [name for name in names if "ecg" in name.lower() or "ekg" in name.lower()]


def _own_unit(path: Path) -> UserError:
    return UserError(f"{path} tells its unit itself", "leave --unit out")


def _check_fs(path: Path, found: float, given: float | None) -> None:
    if given is not None and abs(given - found) > 1e-6 * found:
        raise UserError(f"{path} is sampled at {found:g} Hz, but --fs says {given:g}", "leave --fs out")


def _open_wfdb(path: Path, leads: Sequence[str], lead: str | None, fs: float | None, annotated: bool) -> Recording:
    if path.suffix in (".hea", ".dat", ".atr"):
        path = path.with_suffix("")
    if not Path(f"{path}.hea").is_file():
        if path.is_dir():
            raise UserError(f"{path} is a folder", "name a recording in it")
        raise UserError(
            f"no recording {path}: neither a WFDB header {path.name}.hea nor an EDF, BDF, CSV or NumPy file",
            "check the name",
        )
    header = read_header(path)
    check_size(path, header)
    names = header.sig_name
    number = _choose(path, names, header.units, leads, lead)
    rate, width, scale = sampling_rate(header, number), frame_samples(header, number), millivolts(header.units[number])
    assert scale is not None  # so chosen
    _check_fs(path, rate, fs)
    length = int(header.sig_len or 0) * width

    def read(step: int) -> Iterator[np.ndarray]:
        whole = read_frames(path, number) if header.fmt[number] == DIFFERENCES else None
        for start in range(0, length, step):
            stop = min(start + step, length)
            first, last = start // width, -(-stop // width)  # frames
            if whole is None:
                piece = read_frames(path, number, first, last)[start - first * width : stop - first * width]
            else:
                piece = whole[start:stop]
            yield piece * scale

    beats = _beats(path, length, rate) if annotated and length else None
    return Recording(path.name, names[number], tuple(names), rate, length, read, beats)


def _beats(path: Path, length: int, fs: float) -> np.ndarray | None:
    """The beats of a record's ``.atr`` file; None where it has none."""
    if not path.with_name(f"{path.name}.atr").is_file():
        return None
    try:
        return read_annotations(path, length, fs)[0]
    except NoBeat:
        return None
    except UserError as error:
        raise UserError(error.problem, f"{error.remedy}; --detect finds the R peaks without it") from error


def _open_edf(path: Path, leads: Sequence[str], lead: str | None, fs: float | None, unit: str | None) -> Recording:
    import pyedflib

    _check_edf_size(path)  # pyedflib prints what it thinks of a cut file
    try:
        with pyedflib.EdfReader(str(path)) as file:
            names = told_apart([name.strip() for name in file.getSignalLabels()])
            units = [file.getPhysicalDimension(number).strip() for number in range(len(names))]
            lengths, rates = file.getNSamples().tolist(), file.getSampleFrequencies().tolist()
    except UnicodeError as error:
        raise UserError(f"{path}: EDF files cannot be read under a name that is no UTF-8", "rename it") from error
    except (OSError, IndexError) as error:  # IndexError: it has no signals at all
        problem = first_line(error).removeprefix(f"{path}: ")
        raise UserError(
            f"{path} cannot be read ({problem})", "expected a continuous EDF, EDF+, BDF or BDF+ file with signals"
        ) from error
    if unit and all(units):
        raise _own_unit(path)
    number = _choose(path, names, [own or unit or _NO_UNIT for own in units], leads, lead)
    length, scale = lengths[number], millivolts_per(units[number] or unit or _NO_UNIT)
    _check_fs(path, rates[number], fs)

    def read(step: int) -> Iterator[np.ndarray]:
        with pyedflib.EdfReader(str(path)) as file:
            for start in range(0, length, step):
                yield file.readSignal(number, start, min(step, length - start)) * scale

    return Recording(path.stem, names[number], tuple(names), rates[number], length, read)


def _check_edf_size(path: Path) -> None:
    """Refuse a file that is shorter than its header says; of another mistake in that pyedflib tells."""
    with path.open("rb") as file:
        header = file.read(256)
        try:
            begin, records, signals = int(header[184:192]), int(header[236:244]), int(header[252:256])
            file.seek(256 + 216 * max(signals, 0))
            samples = sum(int(file.read(8)) for _ in range(signals))
        except ValueError:
            return
    if records < 0:
        raise UserError(f"{path} does not say how many data records it holds", "let what wrote it finish the file")
    expected = begin + records * samples * (3 if header[:1] == b"\xff" else 2)
    if (found := path.stat().st_size) < expected:
        raise UserError(
            f"{path} is truncated: expected {expected:,} bytes, found {found:,}", "copy it again, or export it anew"
        )


def _unit_in(name: str) -> str | None:
    """The unit that a column's name ends in, as in ``ECG (mV)`` or ``ecg_uV``."""
    found = _UNIT.search(name)
    return (found[1] or found[2]) if found else None


def _bare(name: str) -> str:
    """A column's name without its unit."""
    return _UNIT.sub("", name).strip() or name


def _check_times(path: Path, per_time: float, fs: float | None) -> None:
    """Refuse a sampling rate that a column of times contradicts; without one, say what these suggest."""
    rates = {unit: per_time * count for unit, count in TIME_UNITS.items()}
    if fs is None:
        usual = [f"{rate:.6g}" for rate in rates.values() if LOWEST_HZ <= rate <= HIGHEST_HZ]
        suggested = f", {' or '.join(usual)} by its times" if usual else ""
        raise UserError(f"{path} does not tell its sampling rate", f"give it in Hz with --fs{suggested}")
    if not any(abs(rate - fs) <= MOST_OFF * fs for rate in rates.values()):
        told = ", ".join(f"{rate:.4g} Hz in {unit}" for unit, rate in rates.items())
        raise UserError(
            f"{path}: its times are of {told}, found --fs {fs:g}", "give the rate of the file, or rename that column"
        )


def _without_gaps(layout: Layout, column: int, step: int, fs: float, per_time: float) -> Iterator[np.ndarray]:
    """The pieces of a column of times, as long as no second is missing or there twice."""
    unit = min(TIME_UNITS.values(), key=lambda count: abs(math.log(per_time * count / fs)))
    times, lines = np.zeros(0), np.zeros(0, np.int64)  # where a time is another than the one before it
    path, first = layout.path, layout.start + 1
    for piece in layout.read(column, step):
        known = np.flatnonzero(np.isfinite(piece))
        times, lines = np.append(times[-1:], piece[known]), np.append(lines[-1:], first + known)
        moved = np.append(True, np.diff(times) != 0)
        times, lines = times[moved], lines[moved]
        missing = layout.steps(times) / unit - np.diff(lines) / fs
        if np.any(jumps := np.abs(missing) > LONGEST_GAP_S):
            place = int(jumps.argmax())
            seconds, where = missing[place], f"before line {lines[place + 1]}"
            told = f"{abs(seconds):.3g}" if abs(seconds) < 1000 else f"{abs(seconds):,.0f}"
            if seconds < 0:
                raise UserError(
                    f"{path}: its times go back by {told} s {where}",
                    "classify what is before and after as recordings of their own, or rename that column",
                )
            raise UserError(
                f"{path}: {told} s are missing {where}",
                "write lines with nan there, or classify what is before and after as recordings of their own",
            )
        yield piece
        first += len(piece)


def _needed_fs(path: Path, fs: float | None, unit: str | None) -> tuple[float, float]:
    """The sampling rate and mV per unit of a file that tells neither."""
    if fs is None:
        raise UserError(f"{path} does not tell its sampling rate", "give it in Hz with --fs")
    if not (math.isfinite(fs) and fs >= 1):
        raise UserError(f"expected the sampling rate of {path} in Hz, found {fs:g}", "give it in Hz with --fs")
    return fs, millivolts_per(unit or "mV")


def millivolts_per(unit: str) -> float:
    """What a unit is in mV.

    Raises:
        UserError: it is unknown.
    """
    if unit.lower() not in PER_MV:
        raise UserError(f"unknown unit {unit!r}", "take V, mV, uV or nV")
    return PER_MV[unit.lower()]


def _column(path: Path, names: Sequence[str], leads: Sequence[str], lead: str | None) -> int:
    known = {name.casefold() for name in leads} & {name.casefold() for name in names}
    if lead is None and len(names) > 1 and not known and not _named_ecg(names):
        comma = (
            "; of numbers with a decimal comma, write a point"
            if list(names) == ["1", "2"] and path.suffix != ".npy"
            else ""
        )
        raise UserError(
            f"{path} has {len(names)} columns and none is chosen", f"name one with --lead: {_listed(names)}{comma}"
        )
    return _choose(path, names, ["mV"] * len(names), leads, lead)


def _open_numpy(path: Path, leads: Sequence[str], lead: str | None, fs: float | None, unit: str | None) -> Recording:
    rate, scale = _needed_fs(path, fs, unit)
    try:
        signal = np.load(path, mmap_mode="r", allow_pickle=False)
    except (ValueError, OSError, EOFError) as error:
        raise UserError(f"{path} is not a NumPy array ({first_line(error)})", "save one with numpy.save") from error
    if not isinstance(signal, np.ndarray):  # an archive of several
        signal.close()
        raise UserError(f"{path} holds several NumPy arrays", "save the one of the signal with numpy.save")
    if signal.ndim not in (1, 2) or signal.dtype.kind not in "fiu":
        raise UserError(
            f"{path}: expected numbers of shape (samples,) or (samples, leads), found {signal.shape} of {signal.dtype}",
            "save such an array",
        )
    table = signal[:, None] if signal.ndim == 1 else signal
    names = [str(number + 1) for number in range(table.shape[1])]
    if table.shape[1] > max(len(table), 16):
        raise UserError(f"{path}: expected shape (samples, leads), found {signal.shape}", "save the array transposed")
    number = _column(path, names, leads, lead)

    def read(step: int) -> Iterator[np.ndarray]:
        for start in range(0, len(table), step):
            yield np.asarray(table[start : start + step, number], np.float64) * scale

    return Recording(path.stem, names[number], tuple(names), rate, len(table), read)


def _open_csv(path: Path, leads: Sequence[str], lead: str | None, fs: float | None, unit: str | None) -> Recording:
    layout = Layout.of(path)
    names = told_apart([_bare(name) for name in layout.names])
    times = layout.time_column
    signals = [name for column, name in enumerate(names) if column != times] or names
    number = names.index(signals[_column(path, signals, leads, lead if lead is None or lead in names else _bare(lead))])
    if stated := layout.units[number] if layout.units else _unit_in(layout.names[number]):
        if (scale := millivolts(stated)) is None and unit is None:
            raise UserError(f"{path}: {names[number]} is in {stated}", "say what one of them is, with --unit")
        if scale is not None and unit and millivolts_per(unit) != scale:
            raise UserError(f"{path} says that {names[number]} is in {stated}", "leave --unit out")
        unit = unit or stated
    if layout.fs is not None:
        _check_fs(path, layout.fs, fs)
    per_time = None if times in (None, number) else layout.samples_per_time(times)
    if per_time is not None:
        _check_times(path, per_time, fs)
    rate, scale = _needed_fs(path, layout.fs or fs, unit)

    def read(step: int) -> Iterator[np.ndarray]:
        pieces = (scale * piece for piece in layout.read(number, step))
        if times is None or per_time is None:
            return pieces
        steady = _without_gaps(layout, times, step, rate, per_time)
        return (piece for piece, _ in zip(pieces, steady, strict=True))

    return Recording(path.stem, names[number], tuple(names), rate, layout.samples, read)
