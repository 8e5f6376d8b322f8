"""An extension of mkdocstrings: names in docstrings, ``:func:`f` `` and so on, as plain code."""

from __future__ import annotations

import re
from typing import Any

import griffe

ROLE = re.compile(r":(?:py:)?\w+:`~?([^`]+)`")


class PlainNames(griffe.Extension):
    """Rewrites the docstring of each object as it is read."""

    def on_instance(self, *, obj: griffe.Object, **_: Any) -> None:
        """Called by griffe for each object."""
        if obj.docstring:
            obj.docstring.value = ROLE.sub(r"`\1`", obj.docstring.value)
