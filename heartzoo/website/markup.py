"""Pieces of pages: data for the scripts of the site, and links to the files of the zoo beside it."""

from __future__ import annotations

import json
from html import escape
from typing import Any

from heartzoo.tables.markdown import cell
from heartzoo.zoo import Entry

ZOO = "../zoo"  # where the site serves the zoo, from a page in a folder


def data_block(name: str, content: Any) -> str:
    """JSON for a script of the site, in the page, so that it works from the disk too."""
    text = json.dumps(content, separators=(",", ":"), allow_nan=False).replace("</", "<\\/")
    return f'<script type="application/json" id="{name}">{text}</script>'


def placeholder(kind: str, source: str, label: str) -> str:
    """Where a script draws what the data block ``source`` holds."""
    return f'<span class="hz-{kind}" data-source="{source}" role="figure" aria-label="{escape(label)}"></span>'


def file_link(entry: Entry, name: str) -> str:
    """A link to a file of a version."""
    address = f"{ZOO}/{entry.name}/{entry.version}/{name}"
    return f'<a href="{address}" download data-sha256="{entry.files[name]["sha256"]}">{name}</a>'


def table(head: list[str], rows: list[list[str]]) -> str:
    """A Markdown table; bars in cells are escaped."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(map(cell, line)) + " |" for line in lines)
