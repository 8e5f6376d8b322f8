"""Annotation files of WFDB records -> beats and rhythm changes."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from heartzoo.data.databases import Database
from heartzoo.data.download import folder
from heartzoo.data.r_peaks import PAST_END_S
from heartzoo.data.signal import resample_positions
from heartzoo.data.wfdb_files import REFETCH
from heartzoo.errors import UserError, first_line
from heartzoo.tasks import BEAT_SYMBOLS

ATR = "atr"  # the annotations of most databases


class NoBeat(UserError):
    """Annotations hold no beat."""


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
        raise UserError(f"record {path.name}: the annotation file {file.name} is missing", REFETCH)
    # wfdb would return what there is of a cut file, without its last annotation.
    if not (content := file.read_bytes()).endswith(b"\0\0"):
        raise UserError(f"record {path.name}: {file.name} is {'truncated' if content else 'empty'}", REFETCH)
    _refuse_endless(file, content)
    try:
        annotation = wfdb.rdann(str(path), ending)
    except (ValueError, IndexError, KeyError, TypeError) as error:
        raise UserError(f"record {path.name}: {file.name} cannot be read ({first_line(error)})", REFETCH) from error
    if not all(isinstance(symbol, str) for symbol in annotation.symbol):  # NaN for a code without a meaning
        raise UserError(f"record {path.name}: {file.name} holds an unknown annotation code", REFETCH)
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


def beat_symbols(database: Database, names: Sequence[str]) -> np.ndarray:
    """Symbols of every beat of some records in the cache, as ASCII codes; uint8, shape (n,).

    Raises:
        UserError: an annotation file is absent, empty or unreadable.
    """
    ending = database.annotator or ATR
    return np.concatenate([read_marks(folder(database) / name, ending=ending)[1] for name in names])


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
