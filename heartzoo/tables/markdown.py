"""What every table in Markdown needs."""

from __future__ import annotations


def cell(text: str) -> str:
    """The text in a Markdown table, where a bar would end the cell."""
    return text.replace("|", "\\|")
