"""Record -> examples: one frame, one row of features and one symbol for every beat, or for every rhythm frame."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

import numpy as np

from heartzoo.data import signal as sig
from heartzoo.data.records import Record
from heartzoo.data.rhythm import cut_rhythm_frames
from heartzoo.data.rr import rr_features
from heartzoo.data.template import compare, differences, reach, regular_beats, template_features

if TYPE_CHECKING:
    from heartzoo.config import InputConfig


@dataclass(frozen=True)
class Examples:
    """The beats of one record, ready for a model.

    Attributes:
        frames: float32, shape (n, frame + 2 * margin), at the model's sampling rate. Centred: in mV, not yet
            normalised, the beat at index ``margin + frame // 2``. From the R peak on: from 0 to 1. Difference: in sizes
            of the template's QRS, not yet limited. Features: the row of ``rr``.
        rr: float32, shape (n, features): R-R features, then template features.
        symbols: uint8, shape (n,), WFDB symbols as ASCII codes.
        samples: int64, shape (n,), beat positions in the recording.
    """

    frames: np.ndarray
    rr: np.ndarray
    symbols: np.ndarray
    samples: np.ndarray

    def where(self, kept: np.ndarray) -> Examples:
        """Those marked in ``kept``, boolean, shape (n,)."""
        return Examples(self.frames[kept], self.rr[kept], self.symbols[kept], self.samples[kept])

    @staticmethod
    def joined(parts: Sequence[Examples]) -> Examples:
        """Parts of one record, one after the other; at least one."""
        some = [part for part in parts if len(part.samples)] or parts[:1]  # an empty part's width may be another
        return Examples(*(np.concatenate([getattr(part, field.name) for part in some]) for field in fields(Examples)))


def cut_beats(record: Record, contract: InputConfig, margin: int = 0) -> Examples:
    """Cut every beat of a record.

    Args:
        record: the record.
        contract: sampling rate, frame, filters and features of the model.
        margin: extra samples on both sides of the frame, at the model's sampling rate, for shift augmentation.

    Returns:
        Its examples, in order of time; every beat is kept, frames at an end are padded: centred ones with the edge
        value, those from the R peak on with zeros.
    """
    x = sig.prepared(record.signal, record.fs, contract)
    centres = sig.resample_positions(record.samples, record.fs, contract.fs)
    lost = record.across_lost_signal
    features = [rr_features(record.samples, record.fs, contract.rr_features, lost)]
    if contract.takes_template:
        regular = regular_beats(record.samples, record.fs, contract.regular_beats, lost)
        compared = compare(sig.frames(x.astype(np.float32), centres, *reach(contract.fs)), regular, contract.fs)
        features.append(template_features(compared, contract.template_features))
    rr = np.concatenate(features, axis=1)
    if contract.cut == "features":
        frames = rr
    elif contract.cut == "difference":
        frames = differences(compared)
    elif contract.cut == "r-peak":
        frames = sig.frames_from_r_peaks(x, centres, contract.fs, contract.frame)
    else:
        before = contract.frame // 2 + margin
        frames = sig.frames(x.astype(np.float32), centres, before, contract.frame + 2 * margin - before)
    return Examples(
        frames=frames,
        rr=rr,
        symbols=record.symbols,
        samples=record.samples,
    )


def cut_frames(record: Record, contract: InputConfig, noise: np.ndarray | None = None) -> Examples:
    """Cut a record into frames that are labelled by rhythm: see :func:`heartzoo.data.rhythm.cut_rhythm_frames`."""
    frames, symbols, samples = cut_rhythm_frames(record, contract, noise)
    return Examples(frames, np.empty((len(frames), 0), np.float32), symbols, samples)
