"""Adapting a published model to one person, by the labelled beats of a recording's first minutes."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from heartzoo.classification.personal_map import PersonalMap
from heartzoo.classification.stream import DEFAULT_MODEL, numbers, require_beats, require_fs
from heartzoo.data.beats import Examples
from heartzoo.data.intake import Intake
from heartzoo.data.matching import WINDOW_S, match
from heartzoo.data.r_peaks import as_r_peaks, refuse_past_end
from heartzoo.errors import UserError
from heartzoo.personalisation import FIRST_S, fit_map
from heartzoo.tasks import BEAT_SYMBOLS, get_task
from heartzoo.zoo.published import PublishedModel, load_tflite

LEAST_BEATS = 10
LEAST_FOUND = 0.8  # of the labelled beats; of another recording's labels about a third are near a beat by chance


def personalise(
    signal: np.ndarray,
    fs: float,
    r_peaks: np.ndarray,
    symbols: np.ndarray | Sequence[str],
    model: str | PublishedModel = DEFAULT_MODEL,
    seconds: float = FIRST_S,
    name: str = "signal",
    lead: str = "",
) -> PersonalMap:
    """Learn from somebody's labelled beats how a model's logits are to be read.

    The network, the temperature of its confidence and the threshold below which it abstains stay as they are. What it
    gained on people of a test split, each by the first five minutes of the recording and scored on the rest of it, the
    model's card says under *Personalisation*; nobody was recorded on another day. The prevalence that a model follows
    is that of all beats here, of the scored ones there.

    Args:
        signal: one lead in mV from the recording's start on, NaN where missing, shape (samples,).
        fs: its sampling rate in Hz, 100 to 1,000.
        r_peaks: of all its beats, labelled or not, in samples, ascending, shape (n,).
        symbols: WFDB's symbol of each, as a text or an ASCII code, shape (n,); beats of none of the model's classes
            teach nothing.
        model: ``NAME`` or ``NAME@VERSION`` of the zoo, or what :func:`heartzoo.load_tflite` gave.
        seconds: beats before that teach, the others are not looked at.
        name: the recording's, for the map.
        lead: its lead's, for the map.

    Returns:
        The map, for :class:`heartzoo.Stream` and :func:`heartzoo.classify`.

    Raises:
        UserError: as :class:`heartzoo.Stream`; a model that does not say how it is adapted; as many symbols of beats as
            R peaks expected; less than 10 labelled beats; most of them are nowhere near a beat of the signal.
    """
    chosen = model if isinstance(model, PublishedModel) else load_tflite(model)
    require_beats(chosen)
    require_fs(fs)
    how = chosen.entry.personalisation
    if not (isinstance(seconds, int | float | np.integer | np.floating) and math.isfinite(seconds) and seconds > 0):
        raise UserError(f"expected seconds above 0, found {seconds}", "five minutes are usual")
    seconds = float(seconds)
    x, peaks = numbers(signal), as_r_peaks(r_peaks)
    codes = _codes(symbols, len(peaks))
    refuse_past_end(peaks, len(x), fs)
    early = peaks < seconds * fs
    task = get_task(chosen.config.task)
    labels = task.labels(codes, chosen.config.data.mapping)[early]
    if (count := int((labels >= 0).sum())) < LEAST_BEATS:
        raise UserError(
            f"expected at least {LEAST_BEATS} labelled beats in the first {seconds:g} s of {name}, found {count} that "
            f"{task.name} tells apart",
            "label more of them",
        )
    _require_beats_there(chosen, x, fs, peaks[early], seconds, name)
    cut = _beginning(chosen, x, fs, seconds, peaks)
    logits = chosen.logits(cut.frames, cut.rr if chosen.config.input.beat_features else None)[labels >= 0]
    taught = labels[labels >= 0]
    found = fit_map(logits.astype(np.float64), taught, how.stiffness)
    return PersonalMap(
        model=f"{chosen.entry.name}@{chosen.entry.version}",
        file_sha256=chosen.entry.files["model.tflite"]["sha256"],
        classes=chosen.classes,
        matrix=found.matrix.tolist(),
        offset=found.offset.tolist(),
        recording=name,
        lead=lead,
        seconds=min(seconds, len(x) / fs),
        beats={label: int((taught == number).sum()) for number, label in enumerate(chosen.classes)},
        others=len(labels) - count,
        agreed_before=int((logits.argmax(axis=1) == taught).sum()),
        agreed_after=int((found(logits).argmax(axis=1) == taught).sum()),
    )


def _codes(symbols: np.ndarray | Sequence[str], beats: int) -> np.ndarray:
    """Symbols as ASCII codes, uint8, shape (beats,)."""
    given = np.asarray(symbols)
    if given.shape != (beats,):
        raise UserError(f"expected a symbol for each of {beats:,} R peaks, found {given.size:,}", "give one each")
    texts = [chr(code) if 0 <= code < 128 else str(code) for code in given] if given.dtype.kind in "iu" else given
    for text in map(str, texts):
        if len(text) != 1 or text not in BEAT_SYMBOLS:
            raise UserError(
                f"expected WFDB's symbols of beats, found {text!r}",
                "leave marks that are no beats out, and write N, S, V",
            )
    return np.frombuffer("".join(map(str, texts)).encode(), np.uint8)


def _require_beats_there(
    model: PublishedModel, x: np.ndarray, fs: float, peaks: np.ndarray, seconds: float, name: str
) -> None:
    """Refuse R peaks that are mostly nowhere near one that is found in the signal."""
    found = _beginning(model, x, fs, seconds).samples
    near = len(match(peaks, found, WINDOW_S * fs)) / len(peaks)
    if near < LEAST_FOUND:
        raise UserError(
            f"expected R peaks of {name}, found that only {near:.0%} of them are near a beat of its signal",
            "check that labels and signal are of one recording, and the labels' sampling rate",
        )


def _beginning(
    model: PublishedModel, x: np.ndarray, fs: float, seconds: float, peaks: np.ndarray | None = None
) -> Examples:
    """The beats before ``seconds``: at given R peaks, or as they are found."""
    intake = Intake(model.config.input, fs, peaks)
    stop = math.ceil((seconds + intake.longest_delay_s) * fs)
    pieces = list(intake.push(x[:stop]))
    if stop >= len(x):
        pieces += intake.finish()
    joined = Examples.joined(pieces)
    return joined.where(joined.samples < seconds * fs)
