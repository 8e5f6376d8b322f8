"""Rhythm: its label at a position, and frames of a record that are labelled by rhythm instead of by beat.

Frames follow one another without a gap or overlap. Each gets a symbol, which a task turns into a class:

* ``n`` normal rhythm, ``f`` atrial fibrillation or flutter: that rhythm throughout the frame;
* ``~`` noise: a frame without an annotated rhythm whose beats are all ``Q`` (Icentia11k), or a frame of any rhythm,
  once more, drowned in recorded noise;
* ``?`` everything else, which is not scored.
"""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING

import numpy as np

from heartzoo.data import signal as sig
from heartzoo.data.records import Record

if TYPE_CHECKING:
    from heartzoo.config import InputConfig

NORMAL, FIBRILLATION, NOISE, OTHER = b"nf~?"
LABELS = {"N": NORMAL, "AFIB": FIBRILLATION, "AFL": FIBRILLATION}
UNCLASSIFIED = ord("Q")


def rhythm_at(record: Record, samples: np.ndarray) -> np.ndarray:
    """Rhythm at positions of a record.

    A rhythm lasts up to and including the sample of its ``)``, or, in databases that do not close one, up to the next.

    Args:
        record: a record of any database.
        samples: positions in samples, shape (n,); for the rhythm of each beat, ``record.samples``.

    Returns:
        Labels without the bracket, such as ``"N"``, ``"AFIB"``, ``"AFL"``, and ``""`` outside every rhythm; shape (n,).
    """
    if not record.rhythms:
        return np.full(np.shape(samples), "")
    labels, starts = _stretches(record)
    found: np.ndarray = labels[np.searchsorted(starts, samples, side="right")]
    return found


def _stretches(record: Record) -> tuple[np.ndarray, np.ndarray]:
    """Labels, the first for what is before every mark, and the sample from which on each of the others holds."""
    positions, notes = zip(*record.rhythms, strict=True)
    labels = np.array(["", *(note.strip("()") for note in notes)])
    starts = np.array(positions, dtype=np.int64)
    # A rhythm that opens where another one closes begins with that sample.
    after = np.append(starts[1:], np.iinfo(np.int64).max)
    return labels, np.where(labels[1:] == "", np.minimum(starts + 1, after), starts)


def frame_symbols(record: Record, first: np.ndarray, last: np.ndarray) -> np.ndarray:
    """Symbol of each frame of a record.

    Args:
        record: the record.
        first: first sample of each frame, shape (n,).
        last: last sample of each frame, shape (n,).

    Returns:
        uint8, shape (n,).
    """
    begins, ends = rhythm_at(record, first), rhythm_at(record, last)
    same = begins == ends
    if record.rhythms:
        starts = _stretches(record)[1]
        same &= np.searchsorted(starts, first, side="right") == np.searchsorted(starts, last, side="right")
    symbols = np.full(len(first), OTHER, np.uint8)
    for label, symbol in LABELS.items():
        symbols[same & (begins == label)] = symbol
    low, high = np.searchsorted(record.samples, first), np.searchsorted(record.samples, last, side="right")
    unclassified = np.append(0, np.cumsum(record.symbols == UNCLASSIFIED))
    unknown = (high > low) & (unclassified[high] - unclassified[low] == high - low)
    symbols[same & (begins == "") & unknown] = NOISE
    return symbols


def cut_rhythm_frames(
    record: Record, contract: InputConfig, noise: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Cut a record into frames.

    Args:
        record: the record.
        contract: sampling rate, frame and filters of the model, and how much noise drowns which share of frames.
        noise: recorded noise at the model's sampling rate, shape (recordings, samples); None for no drowned frames.

    Returns:
        Frames in mV (float32, shape (n, frame)), their symbols (uint8, shape (n,)) and the position of each one's first
        sample in the recording (int64, shape (n,)); drowned frames come after the others. What is left at the record's
        end is dropped.
    """
    x = sig.prepared(record.signal, record.fs, contract)
    count = len(x) // contract.frame
    frames = x[: count * contract.frame].reshape(count, contract.frame).astype(np.float32)
    scale = record.fs / contract.fs
    first = np.floor(np.arange(count) * contract.frame * scale).astype(np.int64)
    last = np.floor((np.arange(1, count + 1) * contract.frame - 1) * scale).astype(np.int64)
    symbols = frame_symbols(record, first, last)
    if noise is None or not contract.drowned_share:
        return frames, symbols, first
    # The record's name seeds its draw, so that it does not depend on which other records are prepared with it.
    rng = np.random.default_rng(zlib.crc32(record.name.encode()))
    chosen = np.sort(rng.choice(count, round(contract.drowned_share * count), replace=False))
    drowned = drown(frames[chosen], noise, contract.drowned_snr_db, rng)
    return (
        np.concatenate([frames, drowned]),
        np.append(symbols, np.full(len(chosen), NOISE, np.uint8)),
        np.append(first, first[chosen]),
    )


def drown(frames: np.ndarray, noise: np.ndarray, snr_db: tuple[float, float], rng: np.random.Generator) -> np.ndarray:
    """Add stretches of recorded noise to frames.

    Args:
        frames: shape (n, samples).
        noise: shape (recordings, samples).
        snr_db: range of the ratio of the powers of frame and noise, means removed, dB.
        rng: the source of chance.

    Returns:
        float32, shape (n, samples).
    """
    stretch = sig.stretches(noise, len(frames), frames.shape[1], rng)
    stretch = stretch - stretch.mean(axis=1, keepdims=True)
    ratio = 10 ** (-rng.uniform(*snr_db, (len(frames), 1)) / 20)
    scale = ratio * frames.std(axis=1, keepdims=True) / np.maximum(stretch.std(axis=1, keepdims=True), 1e-6)
    return (frames + scale * stretch).astype(np.float32)
