"""``heartzoo firmware``: a model for a microcontroller."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from heartzoo.cli.zoo import ModelName
from heartzoo.files import refuse_unwritable


def add_commands(app: typer.Typer) -> None:
    """Put the commands of this module into the app."""
    app.command()(firmware)


def firmware(
    name: ModelName,
    out: Annotated[Path, typer.Option(help="the folder to write")],
    fs: Annotated[
        float | None, typer.Option(help="sampling rate of the recordings, Hz, 100 to 1000; default the model's")
    ] = None,
    zoo: Annotated[Path | None, typer.Option(help="the zoo's folder; default the zoo in use")] = None,
) -> None:
    """Write a model as a folder of C99 for a microcontroller: from samples to labels, with golden vectors."""
    from heartzoo.firmware import write_firmware

    refuse_unwritable(out, "--out")
    for path in write_firmware(name, out, fs, zoo):
        print(f"{path}  {path.stat().st_size:,} B")
