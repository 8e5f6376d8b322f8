"""Configuration -> training batches, validation examples and calibration examples, of disjoint patients."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from heartzoo.config import Config
from heartzoo.config.disturbance import Disturbance
from heartzoo.config.training import SamplingConfig
from heartzoo.data.augmentation import Noise
from heartzoo.data.batches import Inputs, TrainingBatches, draw_probabilities, input_chunks
from heartzoo.data.databases import get_database
from heartzoo.data.download import split_records
from heartzoo.data.noise import recorded_noise
from heartzoo.data.preparation import prepare
from heartzoo.data.splits import folds, get_split, random_folds
from heartzoo.data.store import Store
from heartzoo.errors import UserError
from heartzoo.progress import console
from heartzoo.tasks import Task, get_task

IRREGULAR_RECURRENCE = 0.15


@dataclass(frozen=True)
class TrainingSet:
    """The training splits of a configuration, divided by patient into training and validation.

    Attributes:
        config: the configuration.
        task: its task.
        stores: one store a training split, then one for every split that somebody trains from and every copy
            (``training.copies``).
        rows: the scored rows of each store.
        labels: class of each example, the stores one after the other, shape (n,).
        patients: ``database/patient`` of each example, shape (n,).
        validation: which examples validate, boolean, shape (n,); the others train. Disturbed copies
            never validate, and people who validate have no copies among the training examples.
    """

    config: Config
    task: Task
    stores: tuple[Store, ...]
    rows: tuple[np.ndarray, ...]
    labels: np.ndarray
    patients: np.ndarray
    validation: np.ndarray

    def probabilities(self, part: np.ndarray) -> np.ndarray:
        """Draw probabilities of the examples marked in ``part``; shape (part.sum(),)."""
        sampling, irregular = self.config.training.sampling, None
        if sampling.irregular != 1:
            column = self.config.input.rr_features.index("recurrence")
            of_stores = zip(self.stores, self.rows_of(part), strict=True)
            recurrence = np.concatenate([store.features(rows)[:, column] for store, rows in of_stores])
            irregular = recurrence < IRREGULAR_RECURRENCE
        return draw_probabilities(self.labels[part], self.patients[part], len(self.task.classes), sampling, irregular)

    def recordings(self, part: np.ndarray) -> np.ndarray:
        """Which recording each example marked in ``part`` is of, as text that no two share; shape (part.sum(),)."""
        of_stores = zip(self.stores, self.rows_of(part), strict=True)
        return np.concatenate([np.char.add(f"{i} ", store.records[rows]) for i, (store, rows) in enumerate(of_stores)])

    def batches(self, seed: int, beside: Mapping[str, np.ndarray] | None = None) -> TrainingBatches:
        """Random training batches, with further inputs by name for each training example where there are any."""
        training = ~self.validation
        return TrainingBatches(
            stores=self.stores,
            rows=self.rows_of(training),
            labels=self.labels[training],
            probabilities=self.probabilities(training),
            classes=len(self.task.classes),
            contract=self.config.input,
            augmentation=self.config.training.augmentation,
            noise=_noise(self.config, seed),
            batch_size=self.config.training.batch_size,
            seed=seed,
            beside=beside or {},
        )

    @property
    def file_hashes(self) -> dict[str, dict[str, dict[str, str]]]:
        """SHA-256 of the files that it was made of, by database, record and ending."""
        found: dict[str, dict[str, dict[str, str]]] = {}
        for store in self.stores:
            files = {record["name"]: record["sha256"] for record in store.provenance["records"]}
            found.setdefault(store.provenance["database"], {}).update(files)
        return found

    def inputs(self, part: np.ndarray) -> Inputs:
        """The inputs of the examples marked in ``part``, in order, not augmented."""
        pieces = list(self.chunks(part))
        return {name: np.concatenate([piece[name] for piece in pieces]) for name in pieces[0]}

    def chunks(self, part: np.ndarray) -> Iterator[Inputs]:
        """The inputs of the examples marked in ``part``, in order, a piece at a time."""
        for store, rows in zip(self.stores, self.rows_of(part), strict=True):
            yield from input_chunks(store, rows, self.config.input)

    def calibration(self) -> np.ndarray:
        """Mark the training examples that set the int8 ranges: drawn evenly over classes and patients; shape (n,).

        Disturbed copies are not among them.
        """
        export = self.config.export
        recorded = sum(map(len, self.rows[: len(self.config.data.train)]))
        training = np.flatnonzero(~self.validation[:recorded])
        rng = np.random.default_rng(export.calibration_seed)
        sampling = SamplingConfig(by="class")
        classes = len(self.task.classes)
        weights = draw_probabilities(self.labels[training], self.patients[training], classes, sampling)
        count = min(export.calibration_examples, len(training))
        chosen = np.zeros(len(self.labels), bool)
        chosen[rng.choice(training, count, replace=False, p=weights)] = True
        drawn = np.bincount(self.labels[chosen], minlength=classes)
        if missing := [name for name, n in zip(self.task.classes, drawn, strict=True) if n == 0]:
            raise UserError(
                f"export.calibration_examples = {count} drew no example of class {', '.join(missing)}",
                "take more, or another export.calibration_seed",
            )
        return chosen

    def rows_of(self, part: np.ndarray) -> tuple[np.ndarray, ...]:
        """Of each store, the rows of the examples marked in ``part`` (boolean, shape (n,))."""
        pieces = np.split(part, np.cumsum([len(rows) for rows in self.rows])[:-1])
        return tuple(rows[piece] for rows, piece in zip(self.rows, pieces, strict=True))


def load_training_set(config: Config, jobs: int = 2) -> TrainingSet:
    """Prepare the training splits of a configuration and divide their patients.

    Args:
        config: the configuration.
        jobs: processes that prepare.

    Raises:
        UserError: data are missing or damaged; a class has no training example.
    """
    training = config.training
    _refuse_overlap(config)
    parts = [_Part.load(config, name, None, jobs) for name in config.data.train]
    for name, part in zip(config.data.train, parts, strict=True):
        if skipped := part.store.provenance["skipped"]:
            console.print(f"{name}: {len(skipped)} records left out, such as {next(iter(skipped.values()))}")
    labels, patients = (np.concatenate([getattr(part, name) for part in parts]) for name in ("labels", "patients"))
    if training.fold is None:
        validation = np.zeros(len(labels), bool)
    elif isinstance(training.fold, str):
        validation = np.char.startswith(patients, f"{training.fold}/")
    elif config.track == "random":
        validation = random_folds(labels, training.folds)[training.fold]
    else:
        validation = folds(patients, labels, training.folds)[training.fold]
    task = get_task(config.task)
    _require_classes(labels[~validation], task, config)
    _tell_unvalidated(labels[validation], task, config)
    validating = np.unique(patients[validation])
    _refuse_known(validating, config)
    learned = [name for name, part in zip(config.data.train, parts, strict=True) if len(part.without(validating).rows)]
    for copy in training.copies:
        parts += [_Part.load(config, name, copy, jobs).without(validating) for name in learned]
    return TrainingSet(
        config=config,
        task=task,
        stores=tuple(part.store for part in parts),
        rows=tuple(part.rows for part in parts),
        labels=np.concatenate([part.labels for part in parts]),
        patients=np.concatenate([part.patients for part in parts]),
        validation=np.concatenate([validation, np.zeros(sum(len(p.rows) for p in parts) - len(validation), bool)]),
    )


def disturbed_validation(data: TrainingSet, disturbance: Disturbance, jobs: int = 2) -> TrainingSet:
    """The validation patients of a training set in disturbed recordings; nobody else, and nobody trains.

    Args:
        data: the training set.
        disturbance: what happens to every recording; noise is of nstdb's first half, as that of ``training.copies``.
        jobs: processes that prepare.

    Raises:
        UserError: as :func:`load_training_set`.
    """
    people = np.unique(data.patients[data.validation])
    parts = [_Part.load(data.config, name, disturbance, jobs).of(people) for name in data.config.data.train]
    labels, patients = (np.concatenate([getattr(part, name) for part in parts]) for name in ("labels", "patients"))
    return TrainingSet(
        config=data.config,
        task=data.task,
        stores=tuple(part.store for part in parts),
        rows=tuple(part.rows for part in parts),
        labels=labels,
        patients=patients,
        validation=np.ones(len(labels), bool),
    )


@dataclass(frozen=True)
class _Part:
    """The scored examples of one training split or of one copy: store, rows, classes, and patients by database."""

    store: Store
    rows: np.ndarray
    labels: np.ndarray
    patients: np.ndarray

    @classmethod
    def load(cls, config: Config, name: str, disturbance: Disturbance | None, jobs: int) -> _Part:
        split = get_split(name)
        database = get_database(split.database)
        store = prepare(
            database,
            split_records(split),
            config.input,
            config.data.leads,
            config.data.missing_lead,
            round(config.training.augmentation.shift_s * config.input.fs),
            jobs=jobs,
            noise_half="first",
            disturbance=disturbance,
        )
        labels = store.labels(get_task(config.task), config.data.mapping)
        rows = np.flatnonzero((labels >= 0) & split.select(store.samples, store.fs, store.symbols))
        return cls(store, rows, labels[rows], np.char.add(f"{database.name}/", store.patients[rows]))

    def without(self, people: np.ndarray) -> _Part:
        return self._where(~np.isin(self.patients, people))

    def of(self, people: np.ndarray) -> _Part:
        return self._where(np.isin(self.patients, people))

    def _where(self, kept: np.ndarray) -> _Part:
        return _Part(self.store, self.rows[kept], self.labels[kept], self.patients[kept])


def _refuse_overlap(config: Config) -> None:
    """No record may be read twice."""
    seen: set[tuple[str, str]] = set()
    for split in map(get_split, config.data.train):
        records = {(split.database, record) for record in split.records}
        if both := sorted(seen & records):
            raise UserError(
                f"data.train = {config.data.train} would read record {both[0][1]} twice", "take splits that share none"
            )
        seen |= records


def _require_classes(labels: np.ndarray, task: Task, config: Config) -> None:
    counts = np.bincount(labels, minlength=len(task.classes))
    empty = [name for name, count in zip(task.classes, counts, strict=True) if count == 0]
    if empty:
        fold = config.training.fold
        raise UserError(
            f"class {', '.join(empty)} of {task.name} has no training example in {' + '.join(config.data.train)} "
            f"({'nobody' if fold is None else f'fold {fold}'} validates)",
            "take another training.fold, other training splits or another task",
        )


def _tell_unvalidated(labels: np.ndarray, task: Task, config: Config) -> None:
    """Say which of the headline's classes nobody validates: epoch, seed and threshold are chosen without them."""
    counts = np.bincount(labels, minlength=len(task.classes))
    empty = [name for name, count in zip(task.headline_classes(config.track), counts, strict=False) if count == 0]
    if empty and len(labels):
        console.print(
            f"class {', '.join(empty)} of {task.name} has no validation example in fold {config.training.fold}: what "
            "validation chooses is chosen without it, and its figures count it as 0"
        )


def _refuse_known(validating: np.ndarray, config: Config) -> None:
    """Nobody whom the pretrained network has seen may validate: what suits it suits them."""
    pretrained = config.training.pretrained
    if pretrained is None:
        return
    known = frozenset().union(*(get_split(name).people for name in pretrained.train))
    if seen := sorted(known.intersection(validating.tolist())):
        raise UserError(
            f"{pretrained.model} has seen {len(seen)} of the {len(validating)} people who validate, such as {seen[0]}",
            "set training.fold to a database that it has not seen, or leave its splits out of data.train",
        )


def _noise(config: Config, seed: int) -> Noise:
    """Made noise and, where asked for, the training half of recorded baseline wander and muscle noise."""
    fs = config.input.fs
    asked = config.training.augmentation.nstdb_snr_db is not None
    return Noise.make(fs, seed, recorded_noise(fs, "first") if asked else None)
