"""Prepared examples in HDF5: written once, read in batches.

A store holds every beat of a list of records under one preprocessing contract. It is named by a hash of both, so that
a changed contract makes a new store and an unchanged one is found again. It keeps the annotators' symbols: a task turns
them into classes, so one store serves every task.
"""

from __future__ import annotations

import json
from functools import cached_property
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from heartzoo.data.beats import Examples
from heartzoo.data.databases import get_database
from heartzoo.data.mapped import MappedRows
from heartzoo.errors import UserError
from heartzoo.tasks import Task

CHUNK_ROWS = 64
ALIGNMENT = 8  # bytes: rows are read from their place in the file


class Store:
    """Prepared examples on disk, opened for reading.

    Args:
        path: a file written by :func:`heartzoo.data.preparation.prepare`.

    Attributes:
        provenance: where the examples come from: database, version, records, leads, hashes, contract.
        people: the patient of each record, in the records' order.
        samples: int64, shape (n,), beat positions in the recording.
        symbols: uint8, shape (n,).
        records: record name of each example, shape (n,).
        patients: patient id of each example, shape (n,).
        margin: samples on both sides of a frame that only shift augmentation uses.

    Raises:
        UserError: the file is no store or is damaged.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            with h5py.File(path, "r") as file:
                self.provenance: dict[str, Any] = json.loads(file.attrs["provenance"])
                self.samples = file["samples"][:]
                self.symbols = file["symbols"][:]
                self._frames = MappedRows(file["frames"])
                self._features = MappedRows(file["rr"]) if "rr" in file else None
                # Who is the same person is asked now: the answer may be a better one than when the store was made.
                database = get_database(self.provenance["database"])
                self.people = {r["name"]: database.patient(r["name"]) for r in self.provenance["records"]}
                self.records = np.array(list(self.people))[file["record"][:]]
                self.patients = np.array(list(self.people.values()))[file["record"][:]]
        except (OSError, KeyError, ValueError, IndexError) as error:
            raise UserError(f"{path} is not a prepared store ({error})", "delete it and prepare it again") from error
        self.margin: int = self.provenance["margin"]

    def __len__(self) -> int:
        return len(self.symbols)

    def frames(self, indices: np.ndarray) -> np.ndarray:
        """Read frames in any order, repeats allowed.

        Args:
            indices: shape (n,).

        Returns:
            float32, shape (n, frame + 2 * margin), as ``contract.cut`` makes them: mV, unless scaled or features.
        """
        return self._frames[indices]

    def features(self, indices: np.ndarray) -> np.ndarray:
        """Read R-R and template features in any order, repeats allowed.

        Args:
            indices: shape (n,).

        Returns:
            float32, shape (n, features), in the order of ``contract.features``.
        """
        return np.zeros((len(indices), 0), np.float32) if self._features is None else self._features[indices]

    def labels(self, task: Task, mapping: str) -> np.ndarray:
        """Class of each example, -1 where the task does not score it; shape (n,)."""
        return task.labels(self.symbols, mapping)

    @cached_property
    def fs(self) -> np.ndarray:
        """Sampling rate of the recording each beat comes from, in Hz; shape (n,)."""
        rates = {record["name"]: record["fs"] for record in self.provenance["records"]}
        return np.array([rates[name] for name in self.records])


def made_by(path: Path) -> str | None:
    """Which code made a store; None where the file is none. Whose recordings it holds need not be known."""
    try:
        with h5py.File(path, "r") as file:
            return str(json.loads(file.attrs["provenance"])["code"])
    except (OSError, KeyError, ValueError):
        return None


def append(file: h5py.File, examples: Examples, record: int) -> None:
    """Write one record's examples behind those that a store has.

    Args:
        file: the store, open for writing.
        examples: what was cut.
        record: the record's number.
    """
    count = len(examples.symbols)
    columns = {
        "frames": examples.frames,
        "rr": examples.rr,
        "symbols": examples.symbols,
        "samples": examples.samples,
        "record": np.full(count, record, np.int32),
    }
    for name, values in columns.items():
        if values.size == 0:  # a contract without R-R features
            continue
        width = values.shape[1:]
        rows = CHUNK_ROWS if width else 4096
        if name not in file:
            file.create_dataset(name, (0, *width), values.dtype, maxshape=(None, *width), chunks=(rows, *width))
        dataset = file[name]
        dataset.resize(len(dataset) + count, axis=0)
        dataset[-count:] = values
