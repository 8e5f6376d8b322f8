"""Ctrl-C and a request to end (SIGTERM): the process unwinds, so that nothing half-written and no process is left."""

from __future__ import annotations

import signal
from types import FrameType

_received: list[int] = []


def watch() -> None:
    """From now on both raise :class:`KeyboardInterrupt` in the main thread, and are remembered."""
    _received.clear()
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:  # not where a shell has it ignored
        signal.signal(signal.SIGINT, _stop)
    if signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:
        signal.signal(signal.SIGTERM, _stop)


def _stop(number: int, frame: FrameType | None) -> None:
    _received.append(number)
    raise KeyboardInterrupt


def received() -> int | None:
    """The signal that has come; None where none has."""
    return _received[0] if _received else None


def check() -> None:
    """Raise again what a callback of some library has swallowed.

    Raises:
        KeyboardInterrupt: a signal has come.
    """
    if _received:
        raise KeyboardInterrupt
