"""Sizes as people write them: 32k, 1.5M, 24 KB."""

from __future__ import annotations

import re

from heartzoo.errors import UserError

_LONGEST = 20  # characters
_SIZE = re.compile(r"\s*(\d+(?:\.\d+)?)\s*([kKmM]?)(?:i?[bB])?\s*")


def parse_size(text: str, of_bytes: bool = True) -> int:
    """``32k`` -> 32,768 bytes, or 32,000 of anything else; ``1.5M``, ``40000``, ``24 KB`` likewise.

    Raises:
        UserError: it is no such number.
    """
    found = _SIZE.fullmatch(text)
    if not found or len(text) > _LONGEST:
        raise UserError(f"{text!r} is no size", "give one like 32k, 1.5M or 40000")
    step = 1024 if of_bytes else 1000
    return round(float(found[1]) * step ** " km".index(found[2].lower() or " "))
