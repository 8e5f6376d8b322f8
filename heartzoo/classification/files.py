"""A classification as files: WFDB annotations, CSV, a summary in JSON, and a report in HTML."""

from __future__ import annotations

import csv
import hashlib
import io
import os
import re
import tempfile
from collections.abc import Sequence
from html import escape
from pathlib import Path

import numpy as np

from heartzoo.classification.recordings import Classification
from heartzoo.classification.report import report
from heartzoo.classification.stream import Beat
from heartzoo.classification.summary import across_lost_signal, beside_lost_signal, symbol_of
from heartzoo.contract import NOTICE
from heartzoo.errors import UserError
from heartzoo.files import json_bytes, write_together, writing

ANNOTATOR = "hz"
BESIDE = "beside lost signal"
MOST_READ = 1 << 20  # characters, to know a file by
COLUMNS = ("sample", "time_s", "rr_s", "class", "confidence", "abstained", "signal")


def write(classification: Classification, folder: Path) -> list[Path]:
    """Write every file of a classification, each atomically, the summary last.

    Args:
        classification: what to write.
        folder: where to; it is made.

    Returns:
        The files: ``NAME.hz`` (WFDB annotations), ``NAME.csv``, ``NAME.html`` and ``NAME.json``.

    Raises:
        UserError: the folder cannot be written, or the disk is full; there was no signal.
    """
    if not classification.summary["seconds"]:
        raise UserError("the signal holds no samples", "check the recording")
    told = ("name", "lead", "model", "personalised_by", "fs", "missing", "annotated")
    facts = {key: getattr(classification, key) for key in told}
    paths = paths_of(classification.name, folder)
    contents = (
        annotation_file(classification),
        table(classification).encode(),
        report(classification).encode(),
        json_bytes({**facts, **classification.summary}),
    )
    write_together(dict(zip(paths, contents, strict=True)))
    return paths


def paths_of(recording: str, folder: Path) -> list[Path]:
    """The files that :func:`write` makes of a recording of that name.

    What is no letter, digit, ``-`` or ``_`` becomes ``_``, and a hash of the name comes behind it: names that differ in
    nothing else stay apart.
    """
    name = re.sub(r"[^\w-]", "_", recording)
    if name != recording or not name:
        name = f"{name or 'recording'}-{hashlib.sha256(recording.encode()).hexdigest()[:8]}"
    name = os.fsdecode(name.encode())  # of letters that this system's names may not have
    return [folder / f"{name}.{ending}" for ending in (ANNOTATOR, "csv", "html", "json")]


def refuse_foreign(paths: Sequence[Path]) -> None:
    """Refuse to write over files that heartzoo did not write.

    Args:
        paths: from :func:`paths_of`.

    Raises:
        UserError: one is there that looks otherwise.
    """
    ours = {".csv": ",".join(COLUMNS), ".html": escape(NOTICE), ".json": '"ectopic_burden"'}
    for path in paths:
        if path.suffix in ours and path.is_file() and ours[path.suffix] not in _beginning(path):
            raise UserError(f"{path} is there, and not of heartzoo's making", "name another folder with --out")


def _beginning(path: Path) -> str:
    with path.open(encoding="utf-8", errors="replace") as file:
        return file.read(MOST_READ)


def annotation_file(classification: Classification) -> bytes:
    """The content of a WFDB annotation file.

    Beats have the standard symbols (N, S, V, F; Q for another class), their confidence in percent as ``subtype``, and
    ``num`` 1 where the model had better abstain. A stretch of poor signal begins with ``~`` and its mark as a note and
    ends with ``~`` and the note ``clean``.
    """
    import wfdb

    rows = [
        (beat.sample, symbol_of(classification.task, beat.label), round(100 * beat.confidence), int(beat.abstained), "")
        for beat in classification.beats
    ]
    ends = {round(stretch.end_s * classification.fs): "clean" for stretch in classification.quality}
    starts = {round(stretch.start_s * classification.fs): stretch.mark for stretch in classification.quality}
    rows += [(sample, "~", 0, 0, note) for sample, note in (ends | starts).items()]
    if not rows:
        return b"\0\0"  # how such a file ends
    samples, symbols, subtypes, nums, notes = zip(*sorted(rows), strict=True)
    with tempfile.TemporaryDirectory() as folder, writing(Path(folder)):
        wfdb.wrann(
            "record",
            ANNOTATOR,
            np.array(samples, np.int64),
            symbol=list(symbols),
            subtype=np.array(subtypes),
            num=np.array(nums),
            aux_note=list(notes),
            fs=classification.fs,
            write_dir=folder,
        )
        _require_whole(Path(folder) / "record", samples)
        return (Path(folder) / f"record.{ANNOTATOR}").read_bytes()


def _require_whole(written: Path, samples: Sequence[int]) -> None:
    """Refuse what wfdb, which says nothing of a full disk, has cut off."""
    import wfdb

    try:
        found = wfdb.rdann(str(written), ANNOTATOR).sample.tolist()
    except (IndexError, ValueError, TypeError):
        found = []
    if found != list(samples):
        raise UserError(
            f"the disk is full: cannot write into {written.parent}",
            "free some space there, or name another folder for temporary files in TMPDIR",
        )


def table(classification: Classification) -> str:
    """The beats as CSV; see :data:`COLUMNS`."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    marks, beats = _marks(classification), classification.beats
    lost = [True, *across_lost_signal(beats, classification.quality).tolist()]
    for number, (beat, mark) in enumerate(zip(beats, marks, strict=True)):
        writer.writerow((*row(beat, None if lost[number] else beats[number - 1]), mark))
    return text.getvalue()


def row(beat: Beat, before: Beat | None) -> tuple[object, ...]:
    """A beat's columns, but for the signal's quality; no interval where no beat is before it."""
    interval = f"{beat.time_s - before.time_s:.3f}" if before else ""
    return beat.sample, f"{beat.time_s:.3f}", interval, beat.label, f"{beat.confidence:.4f}", int(beat.abstained)


def _marks(classification: Classification) -> list[str]:
    """The quality of the signal at each beat, or that it was lost between that and a neighbour."""
    starts = np.array([stretch.start_s for stretch in classification.quality])
    marks = []
    for beat in classification.beats:
        index = int(np.searchsorted(starts, beat.time_s, side="right")) - 1
        inside = index >= 0 and beat.time_s < classification.quality[index].end_s
        marks.append(classification.quality[index].mark if inside else "")
    beside = beside_lost_signal(classification.beats, classification.quality)
    return [mark or BESIDE * bool(lost) for mark, lost in zip(marks, beside, strict=True)]
