"""Real noise, from nstdb. The first half of each recording is for training, the second for testing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np

from heartzoo.data.databases import get_database
from heartzoo.data.download import ensure
from heartzoo.data.records import read_lead
from heartzoo.data.signal import resample

NAMES: tuple[Literal["bw"], Literal["ma"]] = ("bw", "ma")


def recorded_noise(fs: float, half: Literal["first", "second"], names: Sequence[str] = NAMES) -> np.ndarray:
    """Read a half of nstdb's recordings of noise, their first channel.

    Args:
        fs: wanted sampling rate in Hz.
        half: ``"first"`` or ``"second"``.
        names: which recordings; default baseline wander and muscle noise.

    Returns:
        float32, shape (names, samples), in mV.

    Raises:
        UserError: the recordings can neither be found nor downloaded.
    """
    database = get_database("nstdb")
    folder = ensure(database, names)
    found = []
    for name in names:
        signal, header, _ = read_lead(folder / name, database.leads)
        middle = len(signal) // 2
        found.append(resample(signal[:middle] if half == "first" else signal[middle:], header.fs, fs))
    shortest = min(map(len, found))
    return np.stack([signal[:shortest] for signal in found]).astype(np.float32)
