"""A signal in a text file: one number a line, or columns with or without a line of names.

Or an export of a device, as Apple's Health app writes them: lines of ``key,value``, one of which tells the sampling
rate (``Sample Rate,512 hertz``) and a later one the unit, then one number a line.
"""

from __future__ import annotations

import math
import re
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import TextIO

import numpy as np

from heartzoo.data.wfdb_files import PER_MV
from heartzoo.errors import UserError
from heartzoo.progress import console

SEPARATORS = ("\t", ";", ",")  # a comma last: it may be a decimal comma between the others
MOST_EXPORT_LINES = 40  # of key and value
FIRST_TIMES, MOST_TIMES, LEAST_MOVES, LEAST_LINEAR = 1000, 60_000, 20, 0.99
HOUR_S, DAY_S = 3600.0, 86_400.0
COUNTER = 2.0**32  # of microseconds, as a microcontroller counts them, which begin again after 72 minutes
# A single letter in lower case only: T is a temperature.
_TIME = re.compile(r"^((?i:elapsed[ _]?)?(?i:time|timestamp|seconds|secs?|ms|us|millis\w*|micros\w*)|t|s)([ _(\[].*)?$")
# A date, hours, minutes and seconds, of which the first two may be left out, and how far it is ahead of UTC.
_CLOCK = re.compile(
    r"(?:(?P<day>\d{4}-\d\d-\d\d)[T ])?(?:(?P<hours>\d+):)?(?P<minutes>\d+):(?P<seconds>\d\d?(?:[.,]\d*)?)"
    r"(?:Z|(?P<ahead>[+-]\d\d):?(?P<ahead_minutes>\d\d))?"
)
# As the languages of watches call a sampling rate; no filter's frequency.
_STATED_RATE = re.compile(
    r'^[^,;#]*(?:sampl|abtast|chantillon|muestre|campion)[^,;]*[,;]\s*"?(\d+(?:[.,]\d+)?)\s*(?:hertz|hz)\b"?\s*$',
    re.IGNORECASE,
)
_THOUSANDS = re.compile(r"^-?[1-9]\d{0,2},\d{3}$")


@dataclass(frozen=True)
class Layout:
    """How a text file holds its columns.

    Attributes:
        path: the file.
        names: of the columns; 1, 2, ... where the file has none.
        units: of the columns, as a line below the names says; None where there is none.
        separator: what splits them; None for blanks.
        start: lines before the first of numbers.
        samples: lines from there to the last that is not empty.
        decimal_comma: whether numbers have one.
        fs: sampling rate in Hz, as an export of a device states it; None where nothing does.
        ending: what ends a line; a carriage return where nothing else does.
    """

    path: Path
    names: tuple[str, ...]
    units: tuple[str, ...] | None
    separator: str | None
    start: int
    samples: int
    decimal_comma: bool = False
    fs: float | None = None
    ending: str = "\n"

    @classmethod
    def of(cls, path: Path) -> Layout:
        """Look at a file's first lines.

        Lines before the first of numbers that start with ``#`` are remarks. A line is one of names if it holds
        no number, or a text above a number.

        Raises:
            UserError: what should be the columns' names are more or fewer than the columns; it is no text in UTF-8.
        """
        with path.open("rb") as file:
            if b"\0" in file.read(2**16):
                raise UserError(f"{path} is no text in UTF-8", "save it as such: others show as zero bytes")
        ending = _ending(path)
        with _opened(path, ending) as file:
            lines = list(islice(file, 1000))
        lines = [line.replace("\N{REPLACEMENT CHARACTER}V", "µV") for line in lines]  # in Latin-1 µ is another byte
        if export := _export(path, lines, ending):
            return export
        start = next((k for k, line in enumerate(lines) if line.strip() and not line.startswith("#")), len(lines))
        first, *rest = lines[start:] or [""]
        separator = next((mark for mark in SEPARATORS if mark in first), None)
        cells = _cells(first, separator)
        below = _cells(next(filter(str.strip, rest), ""), separator)
        units = None
        if not _are_names(cells, below):
            names = [str(number + 1) for number in range(len(cells))]
        else:
            start += 1
            columns = len(below) if any(below) else len(cells)
            names = [first.strip()] if separator is None and columns == 1 else cells
            if len(names) != columns:
                found = first.strip()[:60]
                raise UserError(
                    f"{path}: line {start} is no line of names of the {columns} columns below it: {found!r}",
                    "put # before a line that is neither names nor numbers",
                )
            if rest and rest[0].strip() and len(below) == columns and any(cell.lower() in PER_MV for cell in below):
                units, start = tuple(below), start + 1
        comma = separator != "," and _have_decimal_comma(lines[start:], separator)
        samples = max(0, _lines(path, ending) - start)
        return cls(path, tuple(names), units, separator, start, samples, decimal_comma=comma, ending=ending)

    def read(self, column: int, step: int) -> Iterator[np.ndarray]:
        """Pieces of ``step`` numbers of a column, NaN where a line or its field is empty; times of day in seconds.

        Raises:
            UserError: text among the numbers, or lines of more or fewer columns than the first.
        """
        with _opened(self.path, self.ending) as file:
            for _ in islice(file, self.start):
                pass
            for start in range(0, self.samples, step):
                lines = list(islice(file, min(step, self.samples - start)))
                if self.decimal_comma:
                    lines = [line.replace(",", ".") for line in lines]
                yield self._numbers(lines, column, self.start + start + 1)

    @property
    def time_column(self) -> int | None:
        """The column that is named as one of times is; None where there is none."""
        return next((number for number, name in enumerate(self.names) if _TIME.match(name)), None)

    @cached_property
    def begins_again_s(self) -> float | None:
        """After how long times of day begin again: a day, or an hour of minutes alone; None of dates and of numbers."""
        with _opened(self.path, self.ending) as file:
            cells = (_cells(line, self.separator) for line in islice(file, self.start, self.start + FIRST_TIMES))
            column = self.time_column
            texts = (row[column] for row in cells if column is not None and column < len(row) and row[column])
            found = _CLOCK.fullmatch(next(texts, ""))
        if not found or found["day"]:
            return None
        return DAY_S if found["hours"] else HOUR_S

    def steps(self, times: np.ndarray) -> np.ndarray:
        """Differences between times, of which those go on that are from the end of a day, or counter, to a new one."""
        moved = np.diff(times)
        if (whole := self.begins_again_s) is not None:
            return (moved + whole / 2) % whole - whole / 2
        if len(times) and times.min() >= 0 and times.max() < COUNTER:
            begun = moved + COUNTER
            return np.where(begun < COUNTER / 1000, begun, moved)
        return moved

    def samples_per_time(self, column: int) -> float | None:
        """Samples in a unit of a column of times (a second, of times of day), by its beginning.

        Returns:
            None where it counts samples, or is no column of times after all, which is told.

        Raises:
            UserError: the times go backwards.
        """
        times = np.zeros(0)
        try:
            for piece in self.read(column, FIRST_TIMES):  # of times in whole seconds more than one
                times = np.append(times, piece)
                lines = np.flatnonzero(np.isfinite(times))
                steps = self.steps(times[lines])
                if np.count_nonzero(steps) >= LEAST_MOVES or len(times) >= MOST_TIMES:
                    break
        except UserError:
            self._tell_unchecked(column, "numbers, or times of day such as 10:00:00.004")
            return None
        if not len(times):
            return None
        counts, moves = np.diff(lines), np.flatnonzero(steps)  # a packet of samples may have one time
        if np.array_equal(steps, counts):
            return None
        if len(moves) > 1 and np.all(steps <= 0):
            raise UserError(
                f"{self.path}: its times in {self.names[column]} go backwards",
                "sort its lines by time, or rename that column",
            )
        steady = len(moves) > 1 and np.all(steps >= 0)
        if not steady or np.corrcoef(np.cumsum(steps), np.cumsum(counts))[0, 1] < LEAST_LINEAR:
            self._tell_unchecked(column, "times that grow steadily")
            return None
        between, counts = steps[moves[0] + 1 : moves[-1] + 1], counts[moves[0] + 1 : moves[-1] + 1]
        usual = between < 5 * np.median(steps[moves])
        return float(counts[usual].sum() / between[usual].sum())

    def _tell_unchecked(self, column: int, expected: str) -> None:
        console.print(f"{self.path}: {self.names[column]} is not checked: expected {expected}")

    def _numbers(self, lines: Sequence[str], column: int, first: int) -> np.ndarray:
        """The numbers of a column in some lines, of which the first has that number in the file."""
        try:
            if any(map(self._has_too_many, lines)):
                raise ValueError
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", UserWarning)  # of empty lines alone
                found = np.loadtxt(lines, delimiter=self.separator, usecols=column, ndmin=1, comments=None)
        except ValueError:
            found = np.empty(0)
        if len(found) == len(lines):
            return found
        return np.array([self._number(line, column, number) for number, line in enumerate(lines, first)])

    def _number(self, line: str, column: int, number: int) -> float:
        cells = _cells(line, self.separator)
        if any(cells[len(self.names) :]):
            raise UserError(
                f"{self.path}: line {number} has {len(cells)} columns, expected {len(self.names)}",
                "write numbers with a decimal point, and nothing between thousands",
            )
        text = cells[column] if column < len(cells) else ""
        if not text and (not line.strip() or len(cells) == len(self.names)):
            return math.nan
        if not text:
            problem = f"line {number} has {len(cells)} of {len(self.names)} columns"
        elif _is_number(text):
            return float(text)
        elif column == self.time_column and (seconds := _seconds(text)) is not None:
            return seconds
        else:
            problem = f"expected a number in every line, found {text[:40]!r} in line {number}"
        remedy = "write nan where a sample is missing"
        if _is_number(text.replace(",", ".")):
            remedy = "write numbers with a decimal point"
        raise UserError(f"{self.path}: {problem}", remedy)

    def _has_too_many(self, line: str) -> bool:
        if self.separator is None:
            return len(line.split()) > len(self.names)
        return line.count(self.separator) >= len(self.names)


def _seconds(text: str) -> float | None:
    """A time of day, perhaps with its date, in seconds; None where it is none."""
    if not (found := _CLOCK.fullmatch(text)):
        return None
    try:
        days = date.fromisoformat(found["day"]).toordinal() if found["day"] else 0
    except ValueError:  # the 31st of February
        return None
    ahead = float(found["ahead"] or 0)
    ahead += math.copysign(float(found["ahead_minutes"] or 0) / 60, ahead)
    hours = float(found["hours"] or 0) - ahead
    return days * DAY_S + HOUR_S * hours + 60 * float(found["minutes"]) + float(_pointed(found["seconds"]))


def _export(path: Path, lines: Sequence[str], ending: str) -> Layout | None:
    """The layout of a device's export; None of any other file."""
    stated = next((k for k, line in enumerate(lines[:MOST_EXPORT_LINES]) if _STATED_RATE.match(line)), None)
    if stated is None:
        return None
    found = _STATED_RATE.match(lines[stated])
    assert found is not None
    start = next((k for k, line in enumerate(lines) if k > stated and _is_number(_pointed(line))), None)
    if start is None:
        return None
    above = lines[start - 1]
    if "," in lines[start] and above.strip() and _cells(above, ",")[-1].lower() not in PER_MV:
        return None  # two columns, perhaps
    pairs = [_cells(line, "," if "," in line else ";") for line in lines[:start] if line.strip()]
    values = {key.lower(): value for key, value, *_ in (pair for pair in pairs if len(pair) > 1)}
    unit = next((value for value in values.values() if value.lower() in PER_MV), None)
    return Layout(
        path,
        names=(values.get("lead", "1"),),
        units=None if unit is None else (unit,),
        separator=None,
        start=start,
        samples=max(0, _lines(path, ending) - start),
        decimal_comma=_have_decimal_comma(lines[start:], None),
        fs=float(_pointed(found[1])),
        ending=ending,
    )


def _ending(path: Path) -> str:
    """A carriage return, if that alone ends lines."""
    with path.open("rb") as file:
        first = file.read(2**16)
    return "\r" if b"\r" in first and b"\n" not in first else "\n"


def _opened(path: Path, ending: str) -> TextIO:
    # Lines end where _lines counts them.
    return path.open(encoding="utf-8-sig", errors="replace", newline=ending)


def _pointed(text: str) -> str:
    return text.strip().replace(",", ".")


def _have_decimal_comma(lines: Sequence[str], separator: str | None) -> bool:
    """Whether numbers have decimal commas, not commas between thousands."""
    fields = (cell for line in lines for cell in _cells(line, separator))
    found = [cell for cell in fields if cell.count(",") == 1 and _is_number(_pointed(cell))]
    return not all(map(_THOUSANDS.match, found))


def _cells(line: str, separator: str | None) -> list[str]:
    return [cell.strip().strip("\"'") for cell in line.strip("\r\n").split(separator)] or [""]


def _are_names(cells: Sequence[str], below: Sequence[str]) -> bool:
    """Whether a line holds the names of the columns below it."""
    texts = [bool(cell) and not _is_number(cell) for cell in cells]
    if not any(map(_is_number, cells)):
        return any(texts)
    return any(text and _is_number(under) for text, under in zip(texts, below, strict=False))


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _lines(path: Path, ending: str) -> int:
    """Lines up to the last that is not empty."""
    ended, found, mark = 0, 0, ending.encode()
    with path.open("rb") as file:
        while block := file.read(2**20):
            if text := block.rstrip():
                found = ended + text.count(mark) + 1
            ended += block.count(mark)
    return found
