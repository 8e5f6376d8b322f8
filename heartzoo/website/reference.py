"""The reference of commands, and the licences and citations of the data."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from heartzoo.data.databases import DATABASES


def commands_page() -> str:
    """Every command with its arguments and options, as ``--help`` gives them."""
    import typer
    from typer.cli import get_docs_for_click

    from heartzoo.cli import app

    command = typer.main.get_command(app)
    text = get_docs_for_click(obj=command, ctx=typer.Context(command), name="heartzoo", title="Commands")
    for short, whole in _summaries(command):
        text = text.replace(short, whole)
    return f"{text.strip()}\n"


def _summaries(command: Any) -> Iterator[tuple[str, str]]:
    """Lines of the lists of commands, as they are cut and whole."""
    for name, part in getattr(command, "commands", {}).items():
        yield f"* `{name}`: {part.get_short_help_str()}\n", f"* `{name}`: {(part.help or '').splitlines()[0]}\n"
        yield from _summaries(part)


def citations_page() -> str:
    """What each database asks of those who use it, or models made from it."""
    parts = [
        "# Data, licences and citations",
        "heartzoo's code is under Apache-2.0, and so are its weights, with the notices below: a model's card says "
        "which databases trained it. No recording is part of heartzoo. What the licences ask is in [Data](data.md).",
    ]
    for database in DATABASES.values():
        share = (
            " What is made from it, weights too, is passed on under the same licence." if database.share_alike else ""
        )
        parts.append(
            f"## {database.title}\n\n`{database.name}` {database.version}, {database.license}.{share}\n\n"
            f"{database.citation}"
        )
    return "\n\n".join(parts) + "\n"
