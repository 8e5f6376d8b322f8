"""``heartzoo personalise``: somebody's labelled beats in, what adapts a model to that person out."""

from __future__ import annotations

from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, Annotated

import typer

from heartzoo.cli.backend import in_zoo, program
from heartzoo.cli.completion import model_names
from heartzoo.errors import UserError

if TYPE_CHECKING:
    import numpy as np

    from heartzoo.classification.personal_map import PersonalMap
    from heartzoo.data.recordings import Recording

LONGEST_MINUTES = 24 * 60
FEW_BEATS = 60
ROOM_S = 60.0  # more than any model waits for what follows a beat


def add_commands(app: typer.Typer) -> None:
    """Put the command of this module into the app."""
    app.command()(personalise)


def personalise(
    record: Annotated[Path, typer.Argument(metavar="RECORD", help="a WFDB record, or an EDF, BDF, CSV or NumPy file")],
    out: Annotated[Path, typer.Option(metavar="FILE", help="the file to write, for heartzoo classify --personal")],
    annotations: Annotated[
        Path | None, typer.Option(metavar="FILE", help="WFDB annotations of its beats; default RECORD.atr")
    ] = None,
    minutes: Annotated[float, typer.Option(help="of its beginning, whose beats are labelled")] = 5.0,
    model: Annotated[
        str | None,
        typer.Option(metavar="NAME[@VERSION]", help="default arr-5-rr-sm", autocompletion=model_names),
    ] = None,
    lead: Annotated[str | None, typer.Option(help="lead or column; default one that the model was trained on")] = None,
    fs: Annotated[float | None, typer.Option(help="sampling rate in Hz, of CSV and NumPy")] = None,
    unit: Annotated[
        str | None, typer.Option(help="V, mV, uV or nV, of CSV and NumPy (default mV), and of EDF without one")
    ] = None,
    zoo: Annotated[Path | None, typer.Option(help="the zoo's folder; default the zoo in use")] = None,
) -> None:
    """Adapt a model to one person, by the labelled beats of a recording's first minutes. Not a medical device."""
    from heartzoo.classification.personal_map import PersonalMap
    from heartzoo.classification.personalise import personalise as learn
    from heartzoo.classification.stream import DEFAULT_MODEL
    from heartzoo.cli.classify import open_for
    from heartzoo.contract import NOTICE
    from heartzoo.zoo.published import load_tflite

    if not 0 < minutes <= LONGEST_MINUTES:
        raise UserError(f"expected minutes above 0, {LONGEST_MINUTES} at most, found {minutes:g}", "five are usual")
    PersonalMap.refuse_other(out)
    chosen = load_tflite(model or DEFAULT_MODEL, zoo=zoo)
    recording = open_for(record, chosen, lead, fs, unit, detect=True)
    peaks, symbols = _labelled(record, recording, annotations)
    signal = _beginning(recording, 60 * minutes + ROOM_S)
    known = peaks < len(signal)
    name, lead = recording.name, recording.lead
    found = learn(signal, recording.fs, peaks[known], symbols[known], chosen, 60 * minutes, name, lead)
    found.save(out)
    _tell(found)
    print(f"wrote {out}; next: {program()} classify RECORD --personal {quote(str(out))}{in_zoo(zoo)}")
    print(NOTICE)


def _tell(found: PersonalMap) -> None:
    """What it was learned from, and what to make of it."""
    taught = ", ".join(f"{name} {count:,}" for name, count in found.beats.items() if count)
    total = sum(found.beats.values())
    others = f"; {found.others:,} others teach nothing" if found.others else ""
    print(f"{found.recording}, the first {found.seconds / 60:.3g} min: {total:,} labelled beats ({taught}){others}")
    print(
        f"{found.model} agrees with {found.agreed_before:,} of these labels, adapted with {found.agreed_after:,}; what "
        "that gains on a person's later beats, the model's card says under Personalisation"
    )
    if total < FEW_BEATS:
        print(f"{total} beats are few to learn from: take more minutes, or label more of them")
    if absent := ", ".join(name for name, count in found.beats.items() if not count):
        print(f"no beat labelled {absent}: such beats may be found less often than before")


def _labelled(record: Path, recording: Recording, annotations: Path | None) -> tuple[np.ndarray, np.ndarray]:
    """Positions and symbols of the annotated beats."""
    from heartzoo.data.annotations import read_annotations

    file = annotations or record.with_name(f"{recording.name}.atr")
    if not file.is_file() or not file.suffix:
        raise UserError(
            f"no annotation file {file}: the beats of the first minutes need labels",
            "name a WFDB annotation file with --annotations, such as what heartzoo classify writes, put right by hand",
        )
    try:
        return read_annotations(file.with_suffix(""), recording.samples, recording.fs, file.suffix[1:])[:2]
    except UserError as error:
        raise UserError(error.problem, f"expected WFDB annotations of the beats of {recording.name}") from error


def _beginning(recording: Recording, seconds: float) -> np.ndarray:
    """Its first seconds, in mV."""
    import numpy as np

    wanted, kept, got = round(seconds * recording.fs), [], 0
    for piece in recording.pieces():
        kept.append(piece[: wanted - got])
        got += len(kept[-1])
        if got == wanted:
            break
    return np.concatenate(kept)
