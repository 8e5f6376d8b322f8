"""Icentia11k: its file tree read one segment at a time.

The database is 1.1 TB, so it is never held, listed or read as a whole: use the part of it that is on disk. A segment is
a WFDB record ``pNN/pNNNNN/pNNNNN_sMM`` of about 70 minutes: 250 Hz, one lead ``ecg``. Beats are N, S, V, a, or Q where
none could be told; a rhythm opens with ``(N``, ``(AFIB`` or ``(AFL`` at its first beat, and closes with ``)`` at its
last.

References:
    Tan et al. 2019, arXiv:1910.09570; doi:10.13026/kk0v-r952.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Literal

from heartzoo.data.databases import ICENTIA, get_database
from heartzoo.data.records import Record, read_record
from heartzoo.errors import UserError

_SEGMENT_FILE = re.compile(r"(p\d{5}_s\d{2,})\.(?:hea|dat|atr)")


def segments(folder: Path, patients: Sequence[str] | None = None) -> Iterator[str]:
    """Name the segments on disk, patient by patient, in order of name.

    A segment of which only some files are there is named too: reading it tells what is missing.

    Args:
        folder: the folder that holds ``p00``, ``p01``, ...
        patients: patients as ``p00000``; default all that are there.

    Yields:
        Record names such as ``p00/p00000/p00000_s00``.

    Raises:
        UserError: a patient, or every patient, is missing there.
    """
    found = False
    for home in _homes(folder) if patients is None else _homes_of(folder, patients):
        names = {match[1] for path in home.iterdir() if (match := _SEGMENT_FILE.fullmatch(path.name))}
        for name in sorted(names):
            found = True
            yield f"{home.parent.name}/{home.name}/{name}"
    if not found:
        raise UserError(f"no segment pNN/pNNNNN/pNNNNN_sMM in {folder}", "name the folder that holds p00, p01, ...")


def stream(
    folder: Path, patients: Sequence[str] | None = None, on_error: Literal["raise", "skip"] = "raise"
) -> Iterator[Record]:
    """Read the segments on disk one after the other; the stream itself keeps none.

    Args:
        folder: the folder that holds ``p00``, ``p01``, ...
        patients: patients as ``p00000``; default all that are there.
        on_error: what to do about a segment that is damaged, incomplete or without beats: ``"raise"``, or ``"skip"``,
            which warns with the reason and goes on.

    Yields:
        Records; those of one patient share :attr:`Record.patient`.

    Raises:
        UserError: as :func:`segments`; a segment cannot be read and ``on_error`` is ``"raise"``.
    """
    database = get_database(ICENTIA)
    for name in segments(folder, patients):
        try:
            record = read_record(folder, database, name)
        except UserError as error:
            if on_error == "raise":
                raise
            warnings.warn(f"skipped {error}", stacklevel=2)
            continue
        yield record
        # Else it would live on while the next one is read.
        del record


def _homes(folder: Path) -> Iterator[Path]:
    """Folders of the patients, in order, one group of patients listed at a time."""
    for group in sorted(folder.glob("p[0-9][0-9]")):
        yield from sorted(group.glob("p[0-9][0-9][0-9][0-9][0-9]"))


def _homes_of(folder: Path, patients: Sequence[str]) -> Iterator[Path]:
    for patient in sorted(set(patients)):
        home = folder / patient[:3] / patient
        if not (re.fullmatch(r"p\d{5}", patient) and home.is_dir()):
            raise UserError(f"there is no patient {patient!r} in {folder}", "patients are named p00000 ... p10999")
        yield home
