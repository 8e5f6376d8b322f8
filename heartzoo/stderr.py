"""Catching what C++ libraries write to the process's standard error, which replacing ``sys.stderr`` does not catch."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import IO


@contextmanager
def captured_stderr() -> Iterator[Callable[[], str]]:
    """Collect what is written to file descriptor 2; the yielded function gives the text so far."""
    saved = os.dup(2)
    with tempfile.TemporaryFile() as file:
        os.dup2(file.fileno(), 2)
        try:
            yield lambda: _read_from_start(file)
        finally:
            os.dup2(saved, 2)
            os.close(saved)


def _read_from_start(file: IO[bytes]) -> str:
    file.seek(0)
    return file.read().decode(errors="replace")
