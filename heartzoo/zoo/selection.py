"""Choosing a model by what a device can hold: read off the index alone."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from heartzoo.errors import UserError
from heartzoo.zoo.index import IndexEntry, newest

SORTS = ("macro_f1", "flash", "arena", "macs", "parameters")


@dataclass(frozen=True)
class Limits:
    """The most a model may need: bytes of ``.tflite``, bytes of arena, multiply-accumulates; None for any."""

    flash: int | None = None
    arena: int | None = None
    macs: int | None = None


@dataclass(frozen=True)
class Miss:
    """A model that does not fit, and what it exceeds: name of the limit -> (needed, None if not measured; allowed)."""

    entry: IndexEntry
    exceeded: dict[str, tuple[int | None, int]]


def needs(entry: IndexEntry) -> dict[str, int | None]:
    """What a model needs, by the names of :class:`Limits`."""
    return {"flash": entry.cost.tflite_bytes, "arena": entry.cost.arena_bytes, "macs": entry.cost.macs}


def select(
    entries: Sequence[IndexEntry],
    limits: Limits,
    task: str | None = None,
    track: str | None = None,
    sort: str = "macro_f1",
) -> tuple[list[IndexEntry], list[Miss]]:
    """The newest usable version of each model that fits, best first, and the others, nearest first.

    Args:
        entries: of an index.
        limits: what the device can hold; a model whose arena was not measured does not fit a limit of it.
        task: of this task only.
        track: of this track only; default all but the random split, whose figures are of people seen in training.
        sort: ``macro_f1`` (highest first), or ``flash``, ``arena``, ``macs`` or ``parameters`` (lowest first).

    Raises:
        UserError: an unknown way to sort.
    """
    if sort not in SORTS:
        raise UserError(f"cannot sort by {sort!r}", f"take one of {', '.join(SORTS)}")
    fits, misses = [], []
    for entry in newest(entries).values():
        if task not in (None, entry.task) or (entry.track != track if track else entry.track == "random"):
            continue
        allowed = {name: getattr(limits, name) for name in needs(entry) if getattr(limits, name) is not None}
        exceeded = {
            name: (need, allowed[name])
            for name, need in needs(entry).items()
            if name in allowed and (need is None or need > allowed[name])
        }
        if exceeded:
            misses.append(Miss(entry, exceeded))
        else:
            fits.append(entry)
    return sorted(fits, key=lambda entry: _rank(entry, sort)), sorted(misses, key=_distance)


def _rank(entry: IndexEntry, sort: str) -> tuple[float, str]:
    if sort == "macro_f1":
        return -entry.headline.value, entry.name
    value = entry.cost.parameters if sort == "parameters" else needs(entry)[sort]
    return (float("inf") if value is None else float(value)), entry.name


def _distance(miss: Miss) -> tuple[float, float]:
    """How many times the allowance it needs at worst, what was not measured last; of equal ones the better first."""
    needed = ((math.inf if need is None else need, allowed) for need, allowed in miss.exceeded.values())
    worst = max(need / max(allowed, 1) for need, allowed in needed)
    return worst, -miss.entry.headline.value
