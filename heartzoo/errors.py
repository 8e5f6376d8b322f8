"""The one exception a user's mistake raises, and the sentence that helps the user on."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from typing import TypeVar

MOST_NAMED = 25
T = TypeVar("T")


class UserError(Exception):
    """A mistake of the user's, told in one line: what was found, and what to do next.

    The command line prints the message without a traceback and exits with code 2.

    Args:
        problem: what was expected and what was found.
        remedy: what to do next; may be empty.
    """

    def __init__(self, problem: str, remedy: str = "") -> None:
        self.problem, self.remedy = problem, remedy
        super().__init__(f"{problem}; {remedy}" if remedy else problem)

    def __reduce__(self) -> tuple[type[UserError], tuple[str, str]]:
        # Keeps both parts when a worker process hands the error to its parent.
        return type(self), (self.problem, self.remedy)


def look_up(table: Mapping[str, T], name: str, kind: str) -> T:
    """The entry of a table by its name.

    Args:
        table: the entries.
        name: the wanted name.
        kind: what the entries are, for the error.

    Raises:
        UserError: there is none of that name; the nearest is named.
    """
    if name not in table:
        raise UserError(f"unknown {kind} {name!r}", nearest(name, table))
    return table[name]


def _natural(name: str) -> list[tuple[int, str]]:
    """Sorts 2.10.0 after 2.9.0."""
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in re.split(r"(\d+)", name)]


def nearest(word: str, valid: Iterable[str]) -> str:
    """Name the valid word nearest to a mistaken one, and the others, as far as a line holds them.

    >>> nearest("mitbd", ["mitdb", "svdb"])
    "did you mean 'mitdb'? Valid: mitdb, svdb"
    """
    names = sorted(valid, key=_natural)
    more = f" and {len(names) - MOST_NAMED} more" if len(names) > MOST_NAMED else ""
    listing = f"Valid: {', '.join(names[:MOST_NAMED])}{more}" if names else "There are none"
    match = get_close_matches(word, names, n=1, cutoff=0.5)
    return f"did you mean {match[0]!r}? {listing}" if match else listing


def first_line(error: BaseException) -> str:
    """The first line of what an exception says, or its name."""
    return (str(error) or type(error).__name__).splitlines()[0]
