"""``heartzoo classify``: a recording without annotations in, labelled beats out."""

from __future__ import annotations

import codecs
import io
import itertools
import math
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from heartzoo.cli.completion import model_names
from heartzoo.errors import UserError
from heartzoo.files import refuse_unwritable

if TYPE_CHECKING:
    import numpy as np

    from heartzoo.classification.personal_map import PersonalMap
    from heartzoo.classification.recordings import Classification
    from heartzoo.classification.stream import Beat, Stream
    from heartzoo.data.quality import LostSignal
    from heartzoo.data.recordings import Recording
    from heartzoo.zoo.published import PublishedModel


MOSTLY = 0.9  # of a recording
MOST_DIGITS = 1000  # of a number on standard input


def add_commands(app: typer.Typer) -> None:
    """Put the command of this module into the app."""
    app.command()(classify)


def classify(
    records: Annotated[
        list[Path] | None,
        typer.Argument(metavar="RECORD...", help="WFDB records, or EDF, BDF, CSV or NumPy files; with --live none"),
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(metavar="NAME[@VERSION]", help="default arr-5-rr-sm", autocompletion=model_names),
    ] = None,
    lead: Annotated[str | None, typer.Option(help="lead or column; default one that the model was trained on")] = None,
    fs: Annotated[float | None, typer.Option(help="sampling rate in Hz, of CSV, NumPy and --live")] = None,
    unit: Annotated[
        str | None, typer.Option(help="V, mV, uV or nV, of CSV, NumPy and --live (default mV), and of EDF without one")
    ] = None,
    detect: Annotated[bool, typer.Option("--detect", help="find the R peaks even where beats are annotated")] = False,
    out: Annotated[Path | None, typer.Option(help="folder for the files; default classified")] = None,
    live: Annotated[
        bool, typer.Option("--live", help="read numbers from standard input, one a line, and print beats as decided")
    ] = False,
    personal: Annotated[
        Path | None, typer.Option(metavar="FILE", help="from heartzoo personalise; --model is by default its model")
    ] = None,
    zoo: Annotated[Path | None, typer.Option(help="the zoo's folder; default the zoo in use")] = None,
) -> None:
    """Label every beat of recordings: WFDB annotations, CSV, a summary and a report. Not a medical device."""
    from heartzoo.classification.files import paths_of
    from heartzoo.classification.personal_map import PersonalMap
    from heartzoo.classification.stream import DEFAULT_MODEL
    from heartzoo.contract import NOTICE
    from heartzoo.zoo.published import load_tflite

    if live == bool(records):
        raise UserError("expected recordings, or --live alone", "name a WFDB record, an EDF, BDF, CSV or NumPy file")
    adapted = PersonalMap.read(personal) if personal else None
    chosen = load_tflite(model or (adapted.model if adapted else DEFAULT_MODEL), zoo=zoo)
    if adapted:
        adapted.of(chosen)  # refused before anything is read
    if live:
        if detect or lead or out is not None:
            raise UserError("--live reads one signal and prints its beats", "leave out --detect, --lead and --out")
        return _live(chosen, fs, unit or "mV", adapted)
    out = out or Path("classified")
    refuse_unwritable(out, "--out")
    paths, failed = records or [], 0
    opened: list[tuple[Path, Recording]] = []
    for path in paths:
        try:
            opened.append((path, open_for(path, chosen, lead, fs, unit, detect)))
        except UserError as error:
            failed += _tell(error, path, paths)
    names = [recording.name for _, recording in opened]
    written = [paths_of(name, out)[0] for name in names]
    if twice := next((path for path in written if written.count(path) > 1), None):
        raise UserError(f"two recordings are named {twice.stem}", "classify them into folders of their own, with --out")
    _keep_what_is_read([*paths, *([personal] if personal else [])], names, out)
    for path, recording in opened:
        try:
            if adapted and adapted.lead and adapted.lead != recording.lead:
                _warn(f"{recording.name}: the personal map is of lead {adapted.lead}, this is {recording.lead}")
            _tell_of_unannotated(recording)
            _classify(recording, chosen, detect, out, adapted)
        except UserError as error:
            failed += _tell(error, path, paths)
    if failed:
        raise UserError(f"{failed} of {len(paths)} recordings are not classified", "see what is said of each above")
    print(NOTICE)


def _tell(error: UserError, path: Path, paths: list[Path]) -> int:
    """Say what is wrong with one of several recordings, so that the others follow; a single one ends the command."""
    if len(paths) == 1:
        raise error
    told = str(error) if path.stem in str(error) else f"{path}: {error}"
    print(f"heartzoo: {' '.join(told.split())}", file=sys.stderr)
    return 1


def _keep_what_is_read(read: list[Path], names: list[str], out: Path) -> None:
    """Refuse to write over what is read, or over others' files."""
    from heartzoo.classification.files import paths_of, refuse_foreign

    written = [path for name in names for path in paths_of(name, out)]
    resolved = {path.resolve() for path in written}
    if lost := next((path for path in read if path.resolve() in resolved), None):
        raise UserError(f"the labels would be written over {lost}, which is read", "name another folder with --out")
    refuse_foreign(written)


def open_for(
    path: Path, model: PublishedModel, lead: str | None, fs: float | None, unit: str | None, detect: bool
) -> Recording:
    """Open a recording, and say so if the model knows its lead from no training."""
    from heartzoo.classification.recordings import leads_to_take, trained_leads
    from heartzoo.classification.stream import require_fs
    from heartzoo.data.r_peaks import of_doubled_beats
    from heartzoo.data.recordings import open_recording

    known = trained_leads(model)
    recording = open_recording(path, leads_to_take(model), lead, fs, unit, annotated=not detect)
    require_fs(recording.fs)
    if recording.lead.casefold() not in map(str.casefold, known):
        copies = model.config.training.copies
        more = ["other lead"] * any(copy.other_lead for copy in copies)
        more += ["leads between the two"] * any(copy.turned_lead for copy in copies)
        _warn(
            f"{recording.name}: {model.entry.name} was not trained on lead {recording.lead}, but on {', '.join(known)}"
            + f" (and on copies of its recordings' {' and '.join(more)})" * bool(more)
        )
    if recording.beats is not None and (told := of_doubled_beats(recording.beats)):
        _warn(f"{recording.name}: {told}")
    return recording


def _warn(text: str) -> None:
    from heartzoo.progress import console

    console.print(text)


def _tell_of_unannotated(recording: Recording) -> None:
    """Say so where the annotations seem to be of a part of the recording."""
    from heartzoo.data.r_peaks import of_unannotated

    if recording.beats is not None and (told := of_unannotated(recording.beats, recording.samples, recording.fs)):
        _warn(f"{recording.name}: {told}, and none is looked for there; --detect finds them all")


def _classify(
    recording: Recording, model: PublishedModel, detect: bool, out: Path, personal: PersonalMap | None
) -> None:
    from heartzoo.classification.files import write
    from heartzoo.classification.recordings import classify_recording

    found = classify_recording(recording, model, annotated=not detect, personal=personal)
    paths = write(found, out)
    print(_line(found))
    print(f"wrote {', '.join(map(str, paths))}")


def _line(found: Classification) -> str:
    """The summary in one line."""
    summary = found.summary
    counts = ", ".join(f"{name} {count:,}" for name, count in summary["classes"].items())
    peaks = "annotated" if found.annotated else "found"
    beats = "1 beat" if summary["beats"] == 1 else f"{summary['beats']:,} beats"
    line = f"{found.name}: {beats} ({peaks}; {counts}), {summary['abstained']:,} below the threshold"
    if rate := summary["heart_rate"]:
        line += f", {rate['lowest']:.0f}-{rate['highest']:.0f} beats per minute"
    poor, seconds = sum(summary["poor_signal_s"].values()), summary["seconds"]
    if poor:
        line += f", poor signal {poor:.0f} s"
    if not summary["beats"]:
        return f"{line}: no beat in {seconds:.3g} s, check lead and unit"
    return line + (f" of {seconds:.0f}: check lead and unit" if poor > MOSTLY * seconds else "")


def _live(model: PublishedModel, fs: float | None, unit: str, personal: PersonalMap | None) -> None:
    """Print a line for each beat as soon as it is decided."""
    import csv

    from heartzoo.classification.files import COLUMNS, row
    from heartzoo.classification.stream import Stream
    from heartzoo.data.quality import LostSignal
    from heartzoo.data.recordings import millivolts_per

    if fs is None:
        raise UserError("standard input does not tell its sampling rate", "give it in Hz with --fs")
    scale, stream = millivolts_per(unit), Stream(model, fs, personal=personal)
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(COLUMNS[:-1])
    sys.stdout.flush()
    lost = LostSignal(fs)
    before: Beat | None = None

    def tell(beats: list[Beat]) -> None:
        nonlocal before
        for beat in beats:
            follows = before is not None and not _lost_between(before, beat, lost, stream)
            writer.writerow(row(beat, before if follows else None))
            lost.forget(beat.sample)
            before = beat
        sys.stdout.flush()

    for numbers in _read():
        signal = scale * numbers
        lost.push(signal)
        tell(stream.push(signal))
    tell(stream.finish())


def _lost_between(before: Beat, beat: Beat, lost: LostSignal, stream: Stream) -> bool:
    """Whether samples were missing between two beats, or the signal was flat in a second that is over."""
    import numpy as np

    from heartzoo.classification.summary import across_lost_signal
    from heartzoo.data.quality import lost_between

    if lost_between(lost.stretches, np.array([before.sample]), np.array([beat.sample])).any():
        return True
    recent = list(itertools.takewhile(lambda stretch: stretch.end_s >= before.time_s, reversed(stream.quality)))
    return bool(across_lost_signal([before, beat], recent).any())


def _read() -> Iterator[np.ndarray]:
    """The numbers on standard input, as they come."""
    import os

    text = codecs.getincrementaldecoder("utf-8-sig")("replace")
    decoder = io.IncrementalNewlineDecoder(text, translate=True)
    rest, line = "", 0
    while block := os.read(sys.stdin.fileno(), 2**16):
        *lines, rest = (rest + decoder.decode(block)).split("\n")
        yield from _numbers(lines, line)
        line += len(lines)
        if len(rest) > MOST_DIGITS:
            raise UserError(
                f"standard input, line {line + 1}: expected one number, found {len(rest):,} characters",
                "write one number a line",
            )
    rest = (rest + decoder.decode(b"", final=True)).removesuffix("\n")  # of a carriage return at the very end
    if rest:
        yield from _numbers([rest], line)
    elif not line:
        raise UserError("standard input holds no samples", "write one number a line")


def _numbers(lines: list[str], before: int) -> Iterator[np.ndarray]:
    """The numbers of some lines that follow ``before`` others; an empty line is a missing sample."""
    import numpy as np

    found = []
    for number, text in enumerate(lines, before + 1):
        try:
            found.append(float(text) if text.strip() else math.nan)
        except ValueError as error:
            yield np.array(found)
            raise UserError(
                f"standard input, line {number}: expected one number, found {text[:40]!r}",
                "write nan where a sample is missing",
            ) from error
    yield np.array(found)
