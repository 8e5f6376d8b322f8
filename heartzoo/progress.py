"""Progress bars with time left, on standard error, so that output can be piped."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TypeVar

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from heartzoo.interruption import check

T = TypeVar("T")
# Names of files and leads may hold brackets; a terminal breaks lines itself, and a log wants none broken.
console = Console(stderr=True, highlight=False, markup=False, soft_wrap=True)


def progress() -> Progress:
    """A rich progress display: description, bar, count, elapsed and remaining time."""
    return Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
        console=console,
    )


def track(items: Iterable[T], total: int, description: str) -> Iterator[T]:
    """Yield from ``items`` behind a progress bar of ``total`` steps."""
    with progress() as bar:
        for item in bar.track(items, total=total, description=description):
            check()
            yield item
