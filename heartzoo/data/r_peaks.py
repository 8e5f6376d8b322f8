"""R peaks as they are given: checked, and told of what is odd about them."""

from __future__ import annotations

import numpy as np

from heartzoo.data.rr import SHORTEST_S
from heartzoo.errors import UserError

# An annotator's mark may lie a sample or so past the last one (svdb 860); further out means a cut recording.
PAST_END_S = 0.1
UNANNOTATED_S = 10.0  # without a beat, beyond which annotations seem to be of a part of a recording


def as_r_peaks(samples: np.ndarray) -> np.ndarray:
    """R peaks as int64.

    Raises:
        UserError: they are not whole, ascending samples from 0 on.
    """
    given = np.asarray(samples)
    if given.ndim != 1 or (len(given) and given.dtype.kind not in "iuf"):
        raise UserError(f"expected R peaks of shape (n,), found {given.dtype} of {given.shape}", "give samples")
    if len(fractions := given[~(np.isfinite(given) & (given == np.floor(given)))]):
        raise UserError(f"expected R peaks in samples, found {fractions[0]}", "multiply seconds by fs, and round")
    if len(huge := given[np.abs(given.astype(np.float64)) >= 2.0**53]):
        raise UserError(f"expected R peaks in samples, found {huge[0]}", "give samples of the signal")
    samples = given.astype(np.int64)  # before differences: those of unsigned numbers are never below 0
    if (np.diff(samples) < 0).any() or (samples < 0).any():
        raise UserError("expected R peaks as ascending samples of the signal", "sort them")
    return samples


def of_doubled_beats(samples: np.ndarray) -> str:
    """What to say of beats that stand at one sample; nothing where each has its own."""
    twice = np.unique(samples[1:][np.diff(samples) == 0])
    more = f" and {len(twice) - 1} more" if len(twice) > 1 else ""
    if not len(twice):
        return ""
    return f"more than one beat at sample {twice[0]}{more}, whose interval counts as {SHORTEST_S:g} s"


def of_unannotated(samples: np.ndarray, length: int, fs: float) -> str:
    """What to say of the longest stretch of a signal without a beat; nothing where it is no longer than ten seconds."""
    ends = np.array([0, *samples, length]) / fs
    longest = int(np.diff(ends).argmax())
    if (seconds := ends[longest + 1] - ends[longest]) <= UNANNOTATED_S:
        return ""
    return f"no beat is annotated for {seconds:.0f} s from {ends[longest]:.0f} s on"


def refuse_past_end(r_peaks: np.ndarray, length: int, fs: float) -> None:
    """Refuse R peaks that are no samples of their signal; a tenth of a second is let pass, as databases have it.

    Raises:
        UserError: there are some.
    """
    if len(r_peaks) and r_peaks[-1] >= length + PAST_END_S * fs:
        raise UserError(
            f"expected R peaks in samples of the signal, found {r_peaks[-1]:,} where it has {length:,}",
            "give both at the same sampling rate",
        )
