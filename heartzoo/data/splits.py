"""Patient-wise splits, the random split, and grouped folds of the training patients.

References:
    de Chazal, O'Dwyer and Reilly 2004, IEEE Trans Biomed Eng 51(7):1196-1206 (DS1 and DS2).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from heartzoo.data.databases import DATABASES, HEARTBEAT_CSV, ICENTIA, check_paths, get_database
from heartzoo.errors import UserError, nearest

# What a result on each track is worth; said with every such result.
TRACKS = {
    "strict": "trained on DS1's patients only, tested on patients it has never seen, but for that of DS2's record 202",
    "extended": "trained on DS1 and svdb-train, tested on patients it has never seen, but for that of DS2's record 202",
    "svdb": "trained on svdb-train only, tested on patients it has never seen",
    "icentia": "trained on Icentia11k, tested on patients of it that it has never seen",
    "random": "random split, optimistic: beats of the same person are on both sides",
    "synthetic": "synthetic recordings: shows that the pipe works, says nothing about patients",
}
# Which training splits make which of them.
TRAINED_ON = {
    frozenset({"ds1"}): "strict",
    frozenset({"ds1", "svdb-train"}): "extended",
    frozenset({"svdb-train"}): "svdb",
    frozenset({"random-train"}): "random",
    frozenset({"csv-train"}): "random",
    frozenset({"rhythm-train"}): "strict",
    frozenset({"icentia-train"}): "icentia",
    frozenset({"synthetic-train"}): "synthetic",
}
BUILT_IN_TRACKS = frozenset(TRAINED_ON)  # other combinations are a user's own
RANDOM_SPLIT_SEED = 0
RANDOM_TEST_FRACTION = 0.2


@dataclass(frozen=True)
class Split:
    """A named part of a database.

    Attributes:
        name: the name used in every result.
        database: the database it belongs to.
        records: its records; empty where it is made of patients.
        patients: of a database that is never held whole, the patients whose records, as far as they are on disk, are
            the split's (see :func:`heartzoo.data.download.split_records`).
        test: True where it may only be opened by an evaluation, which logs the opening.
        skip_s: seconds at each record's start whose beats are left out (EC57's learning period).
        part: for the random split, which part of the beats (each record's last beat is in neither, as in the data set
            that it rebuilds); None where every beat of the records counts.
    """

    name: str
    database: str
    records: tuple[str, ...]
    test: bool = False
    skip_s: float = 0.0
    part: Literal["train", "test"] | None = None
    patients: tuple[str, ...] = ()

    @property
    def people(self) -> frozenset[str]:
        """``database/patient`` of everybody in it. The CSV files hold beats of all of mitdb's people."""
        if self.patients:
            return frozenset(f"{self.database}/{patient}" for patient in self.patients)
        database = DATABASES["mitdb" if self.database == HEARTBEAT_CSV else self.database]
        records = database.records if self.database == HEARTBEAT_CSV else self.records
        return frozenset(f"{database.name}/{database.patient(record)}" for record in records)

    def of(self, records: Sequence[str]) -> Split:
        """The same, of these of its records alone."""
        return replace(self, records=tuple(records), patients=())

    def select(self, samples: np.ndarray, fs: np.ndarray | float, symbols: np.ndarray) -> np.ndarray:
        """Which beats of the split's records, stacked in order, belong to it.

        Args:
            samples: beat positions in samples of the recording, shape (n,).
            fs: sampling rate of the recordings in Hz, one number or shape (n,).
            symbols: WFDB symbols as ASCII codes, shape (n,); the random split is stratified by them.

        Returns:
            Boolean array of shape (n,).
        """
        keep = samples >= self.skip_s * fs
        if self.part is not None:
            followed = np.append(samples[1:] > samples[:-1], False)
            in_test = _stratified(symbols, followed, RANDOM_TEST_FRACTION, RANDOM_SPLIT_SEED)
            keep &= followed & (in_test if self.part == "test" else ~in_test)
        return keep


def _stratified(strata: np.ndarray, among: np.ndarray, fraction: float, seed: int) -> np.ndarray:
    """Mark ``fraction`` of the elements of each stratum that are marked in ``among``, drawn by ``seed``."""
    rng = np.random.default_rng(seed)
    chosen = np.zeros(len(strata), bool)
    for stratum in np.unique(strata):
        members = np.flatnonzero(among & (strata == stratum))
        chosen[rng.permutation(members)[: round(fraction * len(members))]] = True
    return chosen


def random_folds(labels: np.ndarray, count: int) -> list[np.ndarray]:
    """Folds with the same class shares, whoever the examples are from: on the random split nobody is unseen.

    Args:
        labels: class of each example, shape (n,).
        count: number of folds.

    Returns:
        For each fold the boolean validation mask, shape (n,).
    """
    masks: list[np.ndarray] = []
    for left in range(count, 0, -1):
        free = ~np.any(masks, axis=0) if masks else np.ones(len(labels), bool)
        masks.append(_stratified(labels, free, 1 / left, RANDOM_SPLIT_SEED))
    return masks


def _records(names: str) -> tuple[str, ...]:
    return tuple(names.split())


_DS1 = _records("101 106 108 109 112 114 115 116 118 119 122 124 201 203 205 207 208 209 215 220 223 230")
_DS2 = _records("100 103 105 111 113 117 121 123 200 202 210 212 213 214 219 221 222 228 231 232 233 234")
# Chosen once, on 2026-11-21: the 58 records at hand, sorted by number of S beats and cut into 18 groups of neighbours;
# numpy.random.default_rng(2026) drew one record of each group for testing, the other 40 train.
_SVDB_TRAIN = _records(
    "801 802 803 804 806 812 820 821 824 825 826 843 845 846 847 848 849 850 854 856 857 858 864 865 868 869 870 871 "
    "873 875 876 879 880 883 886 887 888 889 890 892"
)
_SVDB_TEST = tuple(record for record in DATABASES["svdb"].records if record not in _SVDB_TRAIN)
_SYNTHETIC = DATABASES["synthetic"].records
# A fifth of all 11,000 patients tests, whoever of them is on disk. Of the others, a fifth (a fold) may validate.
_ICENTIA = tuple(f"p{number:05d}" for number in range(11_000))
_ICENTIA_TEST = tuple(sorted(np.random.default_rng(2026).permutation(_ICENTIA)[:2_200].tolist()))
_ICENTIA_TRAIN = tuple(sorted(set(_ICENTIA) - set(_ICENTIA_TEST)))

SPLITS: dict[str, Split] = {
    split.name: split
    for split in (
        Split("ds1", "mitdb", _DS1),
        Split("ds2", "mitdb", _DS2, test=True),
        Split("ds2-no202", "mitdb", tuple(r for r in _DS2 if r != "202"), test=True),
        Split("ds2-skip5", "mitdb", _DS2, test=True, skip_s=300.0),
        Split("svdb-train", "svdb", _SVDB_TRAIN),
        Split("svdb-test", "svdb", _SVDB_TEST, test=True),
        Split("random-train", "mitdb", DATABASES["mitdb"].records, part="train"),
        Split("random-test", "mitdb", DATABASES["mitdb"].records, test=True, part="test"),
        Split("rhythm-train", "mitdb", (*_DS1, "202")),
        Split("rhythm-test", "mitdb", tuple(r for r in _DS2 if r != "202"), test=True),
        Split("icentia-train", ICENTIA, (), patients=_ICENTIA_TRAIN),
        Split("icentia-test", ICENTIA, (), patients=_ICENTIA_TEST, test=True),
        Split("csv-train", "heartbeat-csv", ("mitbih_train",)),
        Split("csv-test", "heartbeat-csv", ("mitbih_test",), test=True),
        Split("synthetic-train", "synthetic", _SYNTHETIC[:24]),
        Split("synthetic-test", "synthetic", _SYNTHETIC[24:], test=True),
    )
}

BUILT_IN_SPLITS = frozenset(SPLITS)  # others are a user's own

# Training parts of splits with the same people on both sides, and the test part that belongs to each.
RANDOM_TESTS = {"random-train": "random-test", "csv-train": "csv-test"}
# Results on these parts of a split are read off the same predictions.
PARTS: dict[str, tuple[str, ...]] = {"ds2": ("ds2-no202", "ds2-skip5")}


def caveat(track: str, split: str) -> str | None:
    """What a model's figures on a split are worth, where they are not of people that it has not seen; else None."""
    seen = track == "random" and split in RANDOM_TESTS.values()
    return TRACKS[track] if seen or track == "synthetic" else None


def is_part(name: str) -> bool:
    """Whether the split is part of another one, in :data:`PARTS`."""
    return any(name in parts for parts in PARTS.values())


def get_split(name: str) -> Split:
    """Look a split up.

    Raises:
        UserError: there is none of that name; the nearest is named. One of a user's own is not as it should be.
    """
    if name not in SPLITS:
        own = "one of your own is known to the file that defines it alone: python mine.py …"
        raise UserError(f"unknown split {name!r}", f"{nearest(name, SPLITS)}; {own}")
    split = SPLITS[name]
    if name not in BUILT_IN_SPLITS:
        _check_own(split)
    return split


def _check_own(split: Split) -> None:
    """Tell a mistake in a split that a user has entered, before anything is made of it."""
    database = get_database(split.database)
    check_paths(database)
    if isinstance(split.records, str):
        raise UserError(
            f"split {split.name}: expected a tuple of records, found the text {split.records!r}",
            f"write ({split.records!r},) with a comma",
        )
    if not split.records and not split.patients:
        raise UserError(f"split {split.name} names no records", "name those that belong to it")
    if len({*split.records}) < len(split.records):
        twice = next(record for record, count in Counter(split.records).items() if count > 1)
        raise UserError(f"split {split.name} names record {twice!r} twice", "name each once")
    if database.records and (unknown := [record for record in split.records if record not in database.records]):
        raise UserError(
            f"split {split.name} names record {unknown[0]!r}, which {database.name} does not have",
            nearest(str(unknown[0]), database.records),
        )


def track(train_splits: list[str]) -> str:
    """The track of a model by what it was trained on: a key of :data:`TRACKS`.

    Raises:
        UserError: no track is trained on that combination.
    """
    key = frozenset(train_splits)
    if key not in TRAINED_ON:
        valid = "; ".join(" + ".join(sorted(splits)) for splits in TRAINED_ON)
        raise UserError(f"no track is trained on {' + '.join(sorted(key)) or 'nothing'}", f"take one of: {valid}")
    if TRAINED_ON[key] not in TRACKS:
        raise UserError(f"track {TRAINED_ON[key]!r} is not in TRACKS", "enter there what a result on it is worth")
    if key not in BUILT_IN_TRACKS and TRAINED_ON[key] in {TRAINED_ON[known] for known in BUILT_IN_TRACKS}:
        raise UserError(f"track {TRAINED_ON[key]!r} is not of {' + '.join(sorted(key))}", "give yours another name")
    return TRAINED_ON[key]


def folds(patients: np.ndarray, labels: np.ndarray, count: int) -> list[np.ndarray]:
    """Patient-grouped folds with about the same class shares; one person is never on both sides.

    Args:
        patients: patient id of each example, shape (n,).
        labels: class of each example, shape (n,).
        count: number of folds.

    Returns:
        For each fold the boolean validation mask, shape (n,).

    Raises:
        UserError: fewer patients than folds.
    """
    found = len(np.unique(patients))
    if found < count:
        raise UserError(
            f"training.folds = {count}, but the training data hold {found} patient{'s' * (found > 1)}",
            "lower training.folds" if found > 1 else "set training.fold to null, so that nobody validates",
        )
    from sklearn.model_selection import StratifiedGroupKFold

    splitter = StratifiedGroupKFold(count)
    masks = []
    for _, validation in splitter.split(np.zeros(len(labels)), labels, patients):
        mask = np.zeros(len(labels), bool)
        mask[validation] = True
        masks.append(mask)
    return masks
