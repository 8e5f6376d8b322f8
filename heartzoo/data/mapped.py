"""Rows of an HDF5 file, read through the system's page cache."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path

import h5py
import numpy as np


class MappedRows:
    """The rows of a dataset, read in any order without holding it in memory.

    A training draws rows from all over a hundred files. The system keeps what fits, for all processes together, and
    takes the memory back when something else needs it.

    Args:
        dataset: float32, two axes, chunked along the first, not compressed; its file may be closed afterwards.
    """

    def __init__(self, dataset: h5py.Dataset) -> None:
        self._path = Path(dataset.file.filename)
        self._count, self._width = dataset.shape
        self._rows = dataset.chunks[0]
        starts = np.zeros(-(-self._count // self._rows), np.int64)

        def note(chunk: h5py.h5d.StoreInfo) -> None:
            starts[chunk.chunk_offset[0] // self._rows] = chunk.byte_offset

        dataset.id.chunk_iter(note)
        self._starts = starts // dataset.dtype.itemsize

    def __len__(self) -> int:
        return self._count

    @cached_property
    def _places(self) -> np.ndarray:
        """What lies at each place of the file, as if a row began there; shape (places, width)."""
        words = np.memmap(self._path, np.float32, "r", shape=(self._path.stat().st_size // 4,))
        return np.lib.stride_tricks.sliding_window_view(words, self._width)

    def __getitem__(self, indices: np.ndarray) -> np.ndarray:
        """Read rows, repeats allowed.

        Args:
            indices: shape (n,).

        Returns:
            float32, shape (n, width).
        """
        return self._places[self._starts[indices // self._rows] + indices % self._rows * self._width]
