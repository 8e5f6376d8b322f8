"""The command line: parse, call, print. What a command needs is imported when it runs, so that help comes at once."""

from __future__ import annotations

import gc
import io
import os
import re
import signal
import sys
import traceback
from collections.abc import Sequence
from typing import Annotated

import typer

from heartzoo import interruption
from heartzoo._version import __version__
from heartzoo.cli import classify, compare, data, evaluate, firmware, personalise, runs, zoo, zoo_keeping
from heartzoo.errors import UserError, first_line

app = typer.Typer(
    name="heartzoo",
    help="Small ECG models for microcontrollers, measured on patients they have never seen. Not a medical device.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.add_typer(data.app, name="data")
runs.add_commands(app)
evaluate.add_commands(app)
compare.add_commands(app)
classify.add_commands(app)
personalise.add_commands(app)
zoo.add_commands(app)
firmware.add_commands(app)
zoo_keeping.add_commands(app)


def _show_version(asked: bool) -> None:
    if asked:
        print(f"heartzoo {__version__}")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool, typer.Option("--version", is_eager=True, callback=_show_version, help="print heartzoo's version and exit")
    ] = False,
) -> None:
    """Small ECG models for microcontrollers, measured on patients they have never seen. Not a medical device."""


def main() -> None:
    """Run the command line; a user's mistake becomes one line on standard error and exit code 2."""
    # TensorFlow's start-up messages tell a user nothing.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    _open_what_is_closed()
    interruption.watch()
    try:
        code = _run()
    except Exception:  # a defect, of which whoever mends it needs to know everything
        traceback.print_exc()
        code = 1
    if {"tensorflow", "joblib"} & sys.modules.keys():
        # What feeds an interrupted training goes now: left to Python's own end it waits for good for one of
        # TensorFlow's threads, which waits for Python. So does what a failed command has given to workers: later these
        # could take no more of it, and say so.
        gc.collect()
    sys.exit(code)


def _run() -> int:
    """The exit code of the command; what went wrong has been told, and is forgotten."""
    try:
        _refuse_empty(sys.argv[1:])
        code = app(prog_name="heartzoo", standalone_mode=False)
        return _interrupted() if interruption.received() else code or 0
    except UserError as error:
        return _refused(str(error))
    except KeyboardInterrupt:
        return _interrupted()
    except BrokenPipeError:  # the reader of our output has gone, as in `heartzoo list | head -1`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except MemoryError as error:
        return _refused(f"out of memory ({first_line(error)}); take a smaller network, batch or recording")
    except OSError as error:
        if error.errno is None:
            raise
        return _refused(
            f"{error.filename}: {error.strerror}; check that path" if error.filename else f"{error.strerror}"
        )
    except Exception as error:
        if interruption.received():  # TensorFlow makes an error of its own of an interruption
            return _interrupted()
        # Click's complaints about arguments; which package they are defined in depends on typer's version.
        if not hasattr(error, "format_message"):
            raise
        message = error.format_message()
        if message.startswith("Usage:"):  # no command at all: the help
            print(message, file=sys.stderr)
            return 2
        context = getattr(error, "ctx", None)
        return _refused(f"{message.rstrip('.')}; see {context.command_path if context else 'heartzoo'} --help")


def _refuse_empty(arguments: Sequence[str]) -> None:
    """What a script's variable that is not set leaves would else be taken for an option that was not given."""
    for before, argument in zip(["heartzoo", *arguments], arguments, strict=False):
        if re.fullmatch(r"(--[\w-]+=)?", argument):
            option = argument.removesuffix("=") or before
            raise UserError(f"found nothing after {option}", "give it a value, or leave it out")


def _open_what_is_closed() -> None:
    """Give standard streams that the caller has closed to the null device, lest a file of ours take their place.

    What an encoding of theirs lacks is replaced.
    """
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # the lowest number that is free: this
        if getattr(sys, name) is None:
            setattr(sys, name, open(number, "r" if number == 0 else "w", closefd=False))  # noqa: SIM115
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")


def _interrupted() -> int:
    if "joblib" in sys.modules:  # else there is no worker
        from heartzoo.workers import end_workers

        end_workers()
    print("heartzoo: interrupted; what was finished is kept", file=sys.stderr)
    return 128 + (interruption.received() or signal.SIGINT)


def _refused(message: str) -> int:
    print(f"heartzoo: {' '.join(message.split())}", file=sys.stderr)
    return 2
