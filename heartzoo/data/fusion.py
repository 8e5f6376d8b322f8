"""Fusion beats that a patient did not have, made of beats that he had: copies of recordings to train on.

Where a normal and a ventricular activation meet, the beat looks like something between the two. Nine in ten of the
fusion beats that mitdb has to train on are of one person, so nobody else's can be learned from them. Here some of a
patient's normal beats take on part of one of his own ventricular beats, from the start of the QRS to the end of the T
wave, laid where the two QRS complexes agree best, and become fusion beats (``F``).

References:
    Fusion beats as a sum of both activations: Marriott, Schwartz and Bix 1962, Ventricular fusion beats (Circulation).
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from heartzoo.data.records import Record
from heartzoo.data.retiming import NORMAL, VENTRICULAR, TooFewBeats
from heartzoo.tasks import get_task

FUSED_SHARE = 0.1  # of the normal beats
VENTRICULAR_PART = (0.4, 0.75)
LEAST_NORMAL, LEAST_VENTRICULAR, FIRST_BEATS = 100, 10, 10
# The ventricular beat fades in after P, holds, and fades out as late, but before the next beat's P.
FADE_IN_S, FADE_OUT_S = (-0.16, -0.08), (0.48, 0.56)
NEXT_BEAT_S, LEAST_ROOM_S = 0.2, 0.3
SHIFT_S, QRS_S, LEVEL_S = 0.05, (-0.08, 0.12), (-0.16, -0.10)


def fuse(record: Record, rng: np.random.Generator) -> Record:
    """The recording with a tenth of its normal beats fused with ventricular ones.

    Args:
        record: the recording.
        rng: the source of chance.

    Returns:
        A recording as long as the given one, its beats where they were.

    Raises:
        TooFewBeats: it has less than 100 normal beats far enough from the next one, or less than 10 ventricular ones.
    """
    classes = get_task("arrhythmia-5").labels(record.symbols, "A")
    fs, samples = record.fs, record.samples
    reach = round((-FADE_IN_S[0] + SHIFT_S) * fs), round((FADE_OUT_S[1] + SHIFT_S) * fs)
    inside = (samples >= reach[0]) & (samples < len(record.signal) - reach[1])
    room = np.diff(samples, append=len(record.signal)) / fs - NEXT_BEAT_S
    normal = np.flatnonzero(inside & (classes == NORMAL) & (room > LEAST_ROOM_S))
    normal = normal[normal >= FIRST_BEATS]
    ventricular = np.flatnonzero(inside & (classes == VENTRICULAR))
    if len(normal) < LEAST_NORMAL or len(ventricular) < LEAST_VENTRICULAR:
        raise TooFewBeats(
            f"record {record.name}: expected {LEAST_NORMAL} normal and {LEAST_VENTRICULAR} ventricular beats to fuse, "
            f"found {len(normal)} and {len(ventricular)}",
            "take another recording",
        )
    chosen = np.sort(rng.choice(normal, round(FUSED_SHARE * len(normal)), replace=False))
    signal, symbols = np.array(record.signal, np.float64), record.symbols.copy()
    for beat, donor in zip(chosen, rng.choice(ventricular, len(chosen)), strict=True):
        _lay(signal, record, samples[beat], samples[donor], room[beat], rng.uniform(*VENTRICULAR_PART))
    symbols[chosen] = ord("F")
    return replace(record, signal=signal, symbols=symbols)


def _lay(signal: np.ndarray, record: Record, at: int, donor: int, room_s: float, part: float) -> None:
    """Lay part of the record's beat at ``donor`` over the one at ``at``."""
    fs = record.fs
    end = min(FADE_OUT_S[1], room_s)
    fade = FADE_OUT_S[1] - FADE_OUT_S[0]
    places = np.arange(round(FADE_IN_S[0] * fs), round(end * fs))
    weight = part * np.interp(places / fs, (*FADE_IN_S, end - fade, end), (0, 1, 1, 0))
    moves = np.arange(-round(SHIFT_S * fs), round(SHIFT_S * fs) + 1)
    qrs = np.arange(round(QRS_S[0] * fs), round(QRS_S[1] * fs))
    own = record.signal[at + qrs]
    others = record.signal[donor + moves[:, None] + qrs]
    others = others - others.mean(axis=1, keepdims=True)
    agreement = others @ (own - own.mean()) / np.sqrt((others**2).sum(axis=1) + np.finfo(float).tiny)
    moved = donor + moves[np.argmax(agreement)]
    level = np.arange(round(LEVEL_S[0] * fs), round(LEVEL_S[1] * fs))
    difference = record.signal[at + level].mean() - record.signal[moved + level].mean()
    signal[at + places] += weight * (record.signal[moved + places] + difference - record.signal[at + places])
