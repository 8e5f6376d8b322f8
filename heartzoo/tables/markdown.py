"""Texts in Markdown: in a cell of a table, and in a paragraph."""

from __future__ import annotations

from html import escape


def cell(text: str) -> str:
    """The text in a Markdown table, where a bar would end the cell and a line break the row."""
    return text.replace("|", "\\|").replace("\n", " ")


def prose(text: str) -> str:
    """A user's words in Markdown: one paragraph, and no HTML."""
    return escape(" ".join(text.split()), quote=False)
