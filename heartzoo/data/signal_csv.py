"""A signal in a text file: one number a line, or columns with or without a line of names."""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TextIO

import numpy as np

from heartzoo.data.records import PER_MV
from heartzoo.errors import UserError

SEPARATORS = ("\t", ";", ",")  # a comma last: it may be a decimal comma between the others


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
    """

    path: Path
    names: tuple[str, ...]
    units: tuple[str, ...] | None
    separator: str | None
    start: int
    samples: int

    @classmethod
    def of(cls, path: Path) -> Layout:
        """Look at a file's first lines.

        Lines before the first of numbers that start with ``#`` are remarks. A line is one of names if it holds
        no number, or a text above a number.

        Raises:
            UserError: what should be the columns' names are more or fewer than the columns.
        """
        with _opened(path) as file:
            lines = list(islice(file, 1000))
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
        return cls(path, tuple(names), units, separator, start, max(0, _lines(path) - start))

    def read(self, column: int, step: int) -> Iterator[np.ndarray]:
        """Pieces of ``step`` numbers of a column, NaN where a line or its field is empty.

        Raises:
            UserError: text among the numbers.
        """
        with _opened(self.path) as file:
            for _ in islice(file, self.start):
                pass
            for start in range(0, self.samples, step):
                lines = list(islice(file, min(step, self.samples - start)))
                yield self._numbers(lines, column, self.start + start + 1)

    def _numbers(self, lines: Sequence[str], column: int, first: int) -> np.ndarray:
        """The numbers of a column in some lines, of which the first has that number in the file."""
        try:
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
        text = cells[column] if column < len(cells) else ""
        if not text and (not line.strip() or len(cells) == len(self.names)):
            return math.nan
        if not text:
            problem = f"line {number} has {len(cells)} of {len(self.names)} columns"
        elif _is_number(text):
            return float(text)
        else:
            problem = f"expected a number in every line, found {text[:40]!r} in line {number}"
        remedy = "write nan where a sample is missing"
        if _is_number(text.replace(",", ".")):
            remedy = "write numbers with a decimal point"
        raise UserError(f"{self.path}: {problem}", remedy)


def _opened(path: Path) -> TextIO:
    # Lines end where _lines counts them: not at a carriage return alone.
    return path.open(encoding="utf-8-sig", errors="replace", newline="\n")


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


def _lines(path: Path) -> int:
    """Lines up to the last that is not empty."""
    ended, found = 0, 0
    with path.open("rb") as file:
        while block := file.read(2**20):
            if text := block.rstrip():
                found = ended + text.count(b"\n") + 1
            ended += block.count(b"\n")
    return found
