"""The command line: parse, call, print. What a command needs is imported when it runs, so that help comes at once."""

from __future__ import annotations

import os
import sys

import typer

from heartzoo.cli import data, models
from heartzoo.errors import UserError

app = typer.Typer(
    name="heartzoo",
    help="Small ECG models for microcontrollers, measured on patients they have never seen. Not a medical device.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
app.add_typer(data.app, name="data")
models.add_commands(app)


def main() -> None:
    """Run the command line; a user's mistake becomes one line on standard error and exit code 2."""
    # TensorFlow's start-up messages tell a user nothing.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    try:
        app()
    except UserError as error:
        print(f"heartzoo: {error}", file=sys.stderr)
        sys.exit(2)
