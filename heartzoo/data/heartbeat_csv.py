"""Reader of the 187-sample "heartbeat" data set as it is passed around: ``mitbih_train.csv`` and ``mitbih_test.csv``.

A line holds 187 values from 0 to 1 at 125 Hz and the class, 0 to 4 for N, S, V, F and Q; there is no header. Whose
beat it is and when it came is lost, so neither patients nor R-R intervals can be told.

References:
    Kachuee, Fazeli and Sarrafzadeh 2018, ECG Heartbeat Classification: A Deep Transferable Representation (IEEE ICHI).
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from heartzoo.data.beats import Examples
from heartzoo.data.databases import HEARTBEAT_CSV
from heartzoo.data.records import Record
from heartzoo.errors import UserError
from heartzoo.tasks import AAMI

if TYPE_CHECKING:
    from heartzoo.config import InputConfig

SAMPLES = 187
FS = 125.0
# Rows of each class in the two files, as they are passed around, by the split that rebuilds them from mitdb.
COUNTS = {"random-train": (72_471, 2_223, 5_788, 641, 6_431), "random-test": (18_118, 556, 1_448, 162, 1_608)}
# One symbol a class; as WFDB symbols they mean that class under either mapping.
SYMBOLS = np.frombuffer("".join(AAMI).encode(), np.uint8)


def read_heartbeats(path: Path, contract: InputConfig) -> tuple[Record, Examples]:
    """Read one of the files.

    Args:
        path: the file.
        contract: the preprocessing contract; it must be the one that the file was made with.

    Returns:
        A record without a signal, whose beat positions are line numbers from 0, and its examples.

    Raises:
        UserError: the contract cuts beats in another way; the file is absent, empty, has a header, another number of
            columns, values outside 0-1, a class outside 0-4, or ends inside a line.
    """
    if (contract.cut, contract.fs, contract.frame) != ("r-peak", FS, SAMPLES) or contract.rr_features:
        raise UserError(
            f"{HEARTBEAT_CSV} holds beats cut from the R peak, {SAMPLES} samples at {FS:g} Hz, without R-R intervals",
            f"set input: {{cut: r-peak, fs: {FS:g}, frame: {SAMPLES}}} and no rr_features",
        )
    table = _read_table(path)
    frames, classes = table[:, :SAMPLES].astype(np.float32), table[:, SAMPLES]
    _check_rows(path, (classes == np.rint(classes)) & (classes >= 0) & (classes < len(AAMI)), "a class outside 0 ... 4")
    _check_rows(path, (frames >= 0).all(axis=1) & (frames <= 1).all(axis=1), "a value outside 0 ... 1")
    symbols = SYMBOLS[classes.astype(int)]
    rows = np.arange(len(table))
    record = Record(
        HEARTBEAT_CSV, path.stem, path.stem, "MLII", FS, np.empty(0), False, rows, symbols, rhythms=(), comments=()
    )
    return record, Examples(frames, np.empty((len(rows), 0), np.float32), symbols, rows)


def _read_table(path: Path) -> np.ndarray:
    """Numbers of the file, shape (rows, 188)."""
    remedy = f"{HEARTBEAT_CSV} needs lines of {SAMPLES} values and a class, without a header; get the file again"
    try:
        with path.open(encoding="ascii") as file:
            first = file.readline()
            if not first.strip():
                raise UserError(f"{path} is empty", remedy)
            if (columns := first.count(",") + 1) != SAMPLES + 1:
                raise UserError(f"{path} has {columns} columns, expected {SAMPLES + 1}", remedy)
            file.seek(0)
            return np.loadtxt(file, np.float64, delimiter=",", ndmin=2)
    except FileNotFoundError as error:
        raise UserError(f"no file {path}", f"copy {path.name} there") from error
    except (ValueError, OSError) as error:  # UnicodeDecodeError is a ValueError
        reason = str(error).split(";")[0].strip().rstrip(".")
        raise UserError(f"{path} is not such a table ({reason})", remedy) from error


def _check_rows(path: Path, good: Any, problem: str) -> None:
    if not good.all():
        raise UserError(f"{path}, line {int(np.argmin(good)) + 1}: {problem}", "get the file again")
