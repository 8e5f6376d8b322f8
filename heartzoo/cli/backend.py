"""What commands share: Keras and its backend, imported by those that need them, and what the user has called."""

from __future__ import annotations

import logging
import os
import sys
from pathlib import Path
from shlex import quote

from heartzoo.errors import UserError
from heartzoo.interruption import check
from heartzoo.stderr import captured_stderr


def import_keras() -> None:
    """Import Keras and its backend without their messages."""
    # One process trains and judges several networks here; TensorFlow warns of each that it traces anew.
    logging.getLogger("tensorflow").setLevel(logging.ERROR)
    try:
        with captured_stderr():
            import keras

            keras.ops.zeros(())  # the backend looks for devices now, and says so where it finds none
        check()  # of the seconds that this takes, in which libraries' callbacks swallow a Ctrl-C
    except (ImportError, ValueError) as error:
        backend = os.environ.get("KERAS_BACKEND", "")
        raise UserError(
            f"Keras does not start with KERAS_BACKEND={backend!r} ({error})", "name one that is installed"
        ) from error


def in_zoo(zoo: Path | str | None) -> str:
    """What a hinted command needs to find its model in the same zoo: nothing, or `` --zoo FOLDER``."""
    return f" --zoo {quote(str(zoo))}" if zoo else ""


def program() -> str:
    """What the user runs heartzoo by, for hints: perhaps a file that enters other data (docs/guides/own-data.md)."""
    called = Path(sys.argv[0])
    return f"python {quote(str(called))}" if called.suffix == ".py" and called.name != "__main__.py" else "heartzoo"
