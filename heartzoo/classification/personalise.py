"""Adapting a published model to one person, by the labelled beats of a recording's first minutes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from heartzoo.classification.intake import Intake
from heartzoo.classification.personal_map import PersonalMap
from heartzoo.classification.stream import DEFAULT_MODEL, numbers, require_beats, require_fs
from heartzoo.data.records import as_r_peaks, refuse_past_end
from heartzoo.errors import UserError
from heartzoo.personalisation import FIRST_S, fit_map
from heartzoo.tasks import get_task
from heartzoo.zoo import PublishedModel, load_tflite

LEAST_BEATS = 10
ROOM_S = 10.0  # more than the last beat waits for what follows it


def personalise(
    signal: np.ndarray,
    fs: float,
    r_peaks: np.ndarray,
    symbols: np.ndarray | Sequence[str],
    model: str | PublishedModel = DEFAULT_MODEL,
    seconds: float = FIRST_S,
    name: str = "signal",
) -> PersonalMap:
    """Learn from somebody's labelled beats how a model's logits are to be read.

    The network stays as it is. What that gained on people of a test split, by the first five minutes of each, their
    model's card says under *Personalisation*.

    Args:
        signal: one lead in mV from the recording's start on, NaN where missing, shape (samples,).
        fs: its sampling rate in Hz, 100 to 1,000.
        r_peaks: of all its beats, labelled or not, in samples, ascending, shape (n,).
        symbols: WFDB's symbol of each, as a text or an ASCII code, shape (n,); beats that the model's classes do not
            hold teach nothing.
        model: ``NAME`` or ``NAME@VERSION`` of the zoo, or what :func:`heartzoo.load_tflite` gave.
        seconds: beats before that teach, the others are not looked at.
        name: the recording's, for the map.

    Returns:
        The map, for :class:`heartzoo.Stream` and :func:`heartzoo.classify`.

    Raises:
        UserError: as :class:`heartzoo.Stream`; a model that does not say how it is adapted; as many symbols as R peaks
            expected; less than 10 labelled beats.
    """
    chosen = load_tflite(model) if isinstance(model, str) else model
    require_beats(chosen)
    require_fs(fs)
    how = chosen.entry.personalisation
    x, peaks, codes = numbers(signal), as_r_peaks(r_peaks), _codes(symbols)
    if len(codes) != len(peaks):
        raise UserError(f"expected a symbol for each of {len(peaks):,} R peaks, found {len(codes):,}", "give one each")
    refuse_past_end(peaks, len(x), fs)
    task = get_task(chosen.config.task)
    labels = task.labels(codes, chosen.config.data.mapping)
    teaching = (labels >= 0) & (peaks < seconds * fs)
    if teaching.sum() < LEAST_BEATS:
        raise UserError(
            f"expected at least {LEAST_BEATS} labelled beats in the first {seconds:g} s of {name}, found "
            f"{teaching.sum()} that {task.name} tells apart",
            "label more of them",
        )
    logits = _logits(chosen, x, fs, peaks, seconds)[teaching[: _within(peaks, seconds, fs)]]
    taught = labels[teaching]
    found = fit_map(logits.astype(np.float64), taught, how.stiffness)
    return PersonalMap(
        model=f"{chosen.entry.name}@{chosen.entry.version}",
        file_sha256=chosen.entry.files["model.tflite"]["sha256"],
        classes=chosen.classes,
        matrix=found.matrix.tolist(),
        offset=found.offset.tolist(),
        recording=name,
        seconds=seconds,
        beats={label: int((taught == number).sum()) for number, label in enumerate(chosen.classes)},
        agreed_before=int((logits.argmax(axis=1) == taught).sum()),
        agreed_after=int((found(logits).argmax(axis=1) == taught).sum()),
    )


def _codes(symbols: np.ndarray | Sequence[str]) -> np.ndarray:
    """Symbols as ASCII codes, uint8, shape (n,)."""
    given = np.asarray(symbols)
    if given.dtype == np.uint8 and given.ndim == 1:
        return given
    texts = [str(symbol) for symbol in given.ravel()]
    if wrong := next((text for text in texts if len(text) != 1 or not text.isascii()), None):
        raise UserError(f"expected WFDB symbols, one character each, found {wrong!r}", "take N, S, V, F and Q, say")
    return np.frombuffer("".join(texts).encode(), np.uint8)


def _within(peaks: np.ndarray, seconds: float, fs: float) -> int:
    """How many beats are before ``seconds``."""
    return int(np.searchsorted(peaks, seconds * fs))


def _logits(model: PublishedModel, x: np.ndarray, fs: float, peaks: np.ndarray, seconds: float) -> np.ndarray:
    """By which the beats before ``seconds`` are called, shape (n, classes)."""
    stop = min(len(x), round((seconds + ROOM_S) * fs))
    near = peaks if stop == len(x) else peaks[peaks < stop]
    intake = Intake(model.config.input, fs, near)
    pieces = [piece for piece in (intake.push(x[:stop]), *intake.finish()) if len(piece.samples)]
    frames, rr = (np.concatenate([getattr(piece, part) for piece in pieces]) for part in ("frames", "rr"))
    count = _within(peaks, seconds, fs)
    given = rr[:count] if model.config.input.beat_features else None
    return model.logits(frames[:count], given)
