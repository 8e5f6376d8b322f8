"""Keras and its backend, imported by the commands that need them."""

from __future__ import annotations

import os

from heartzoo.errors import UserError
from heartzoo.stderr import captured_stderr


def import_keras() -> None:
    """Import Keras and its backend without their messages."""
    try:
        with captured_stderr():
            import keras  # noqa: F401
    except (ImportError, ValueError) as error:
        backend = os.environ.get("KERAS_BACKEND", "")
        raise UserError(
            f"Keras does not start with KERAS_BACKEND={backend!r} ({error})", "name one that is installed"
        ) from error
