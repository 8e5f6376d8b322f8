"""Runs: a configuration trained, seed by seed, and compressed.

A run's folder holds ``config.yaml``, ``examples.json`` (what it trains on) and for each seed ``seed-<n>/``: see
:mod:`heartzoo.checkpoints`.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import keras
import yaml

from heartzoo.allocator import keep_freed_memory
from heartzoo.checkpoints import BEST, Plan, float_network, is_finished, plans
from heartzoo.compression.prune_channels import ends_aware
from heartzoo.compression.steps import check_steps, compress_seed
from heartzoo.config import Config
from heartzoo.config.compression import SELF, DistillConfig
from heartzoo.config.export import ExportConfig
from heartzoo.config.file import load_config, run_config
from heartzoo.data.databases import get_database
from heartzoo.data.download import record_files, split_records
from heartzoo.data.preparation import code
from heartzoo.data.same_recordings import file_hashes, files_that_trained, refuse_copies
from heartzoo.data.splits import get_split
from heartzoo.data.training_set import TrainingSet, load_training_set
from heartzoo.errors import UserError
from heartzoo.evaluation import refuse_known_people
from heartzoo.files import lock, read_json, write_bytes, write_json
from heartzoo.training import first_model, train_seed
from heartzoo.zoo import named

EXAMPLES = "examples.json"


def train(config: Config, out: Path, resume: bool = False) -> Path:
    """Train every seed of a configuration, and take its compression steps.

    Args:
        config: the configuration.
        out: the run's folder.
        resume: continue a run that was interrupted; what is finished is left as it is.

    Returns:
        ``out``.

    Raises:
        UserError: ``out`` holds a run and ``resume`` is false, or a run of another configuration; data or a teacher are
            missing; a step does not fit the network.
    """
    return _train(config, out, resume, begin=lambda data: _refuse_leftovers(out))


def _train(config: Config, out: Path, resume: bool, begin: Callable[[TrainingSet], None]) -> Path:
    """Check everything, begin the run's folder if it is a new one, and train."""
    keep_freed_memory()
    with _without_tensorflow():
        pretrained = find_pretrained(config)
        first_model(config, pretrained)  # before minutes of preparation, and before the folder is there
        check_steps(config)
        for name in config.data.test:
            refuse_known_people(config, get_split(name))
        with _no_folder_without_a_run(out), lock(out / "run"):
            _check_run(config, out, resume)
            teachers = {name: find_teachers(name, config) for name in _teachers_to_ask(config, out)}
            data = load_training_set(config)
            refuse_copies_of_training(config, data)
            if not (out / "config.yaml").is_file():
                begin(data)
                write_json(out / EXAMPLES, _examples(data))
                tree = yaml.safe_dump(config.model_dump(mode="json"), sort_keys=False)
                write_bytes(out / "config.yaml", tree.encode())
            check_examples(out, data)
            for seed in config.seeds:
                train_seed(config, data, out / f"seed-{seed}", seed, pretrained)
                compress_seed(config, data, out / f"seed-{seed}", seed, teachers.__getitem__)
    return out


def check_examples(run: Path, data: TrainingSet) -> None:
    """Refuse a run that was trained on other examples than its training set holds now.

    Its folds would be others (a split that is made of patients holds what of them is on disk), or its network would be
    tuned, judged and published for inputs that it has never seen.

    Args:
        run: its folder. One that an earlier heartzoo began, without such a note, is taken as it is.
        data: the training set of its configuration.

    Raises:
        UserError: records, whose they are, their files, or the code that makes examples of them are others.
    """
    if not (run / EXAMPLES).is_file():
        return
    noted, found = _noted(run), _examples(data)
    restore = "restore them, or train anew"
    for part, whose, remedy in (
        ("records", "of other records or people", restore),
        ("files", "of other files", restore),
        ("code", "that other code made", "train anew, or go on with the heartzoo that began it"),
    ):
        if noted.get(part) != found[part]:
            raise UserError(f"{run} was trained on examples {whose} than are at hand", remedy)


def check_recordings(run: Path, config: Config) -> None:
    """As :func:`check_examples`, of the recordings alone, which need not be prepared.

    Args:
        run: its folder.
        config: its configuration.

    Raises:
        UserError: records, whose they are, or their files are others, or gone.
    """
    if not (run / EXAMPLES).is_file():
        return
    noted = _noted(run)
    if isinstance(noted["files"], str):  # of before they were noted by split
        return
    for name in config.data.train:
        split = get_split(name)
        database, people = get_database(split.database), noted["records"].get(name, {})
        here = [record for record in split_records(split) if record not in noted.get("left_out", {}).get(name, ())]
        if {record: database.patient(record) for record in here} != people:
            raise UserError(f"{run} was trained on other records of {name}, or people, than there are now", "remove it")
        hashes = file_hashes(database, people)
        if any(hashes[record].keys() != record_files(database, record).keys() for record in people):
            if database.source == "user":
                raise UserError(f"{run} was trained on files that are gone", "restore them, or remove it")
        elif noted["files"].get(name) != _hash(list(hashes.values())):
            raise UserError(
                f"{run} was trained on other files of {name} than are at hand", "restore them, or remove it"
            )


def _noted(run: Path) -> dict[str, Any]:
    """What a run's folder says of its examples."""
    noted = read_json(run / EXAMPLES)
    if not (isinstance(noted, dict) and isinstance(noted.get("records"), dict) and "files" in noted):
        raise UserError(f"{run / EXAMPLES} is damaged", "restore it, or train anew")
    return noted


def _hash(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


def _examples(data: TrainingSet) -> dict[str, Any]:
    """Training records and whose they are by split, which were left out, a hash of their files', and of the code."""
    stores = dict(zip(data.config.data.train, data.stores, strict=False))  # copies follow
    facts = {name: store.provenance["records"] for name, store in stores.items()}
    return {
        "records": {name: store.people for name, store in stores.items()},
        "left_out": {name: sorted(store.provenance["skipped"]) for name, store in stores.items()},
        "files": {name: _hash([record["sha256"] for record in records]) for name, records in facts.items()},
        "code": code(),
    }


def refuse_copies_of_training(config: Config, data: TrainingSet) -> None:
    """Refuse to test on a recording whose signal has trained, the network itself or the one that it begins as.

    Raises:
        UserError: there is one.
    """
    pretrained = config.training.pretrained
    trained = [data.file_hashes, *([files_that_trained(named(pretrained.model).configuration)] if pretrained else [])]
    for split in map(get_split, config.data.test):
        for files in trained:
            refuse_copies(files, split, split.records)


def _refuse_leftovers(out: Path) -> None:
    if leftover := next(out.glob("seed-*"), None):
        raise UserError(f"{leftover} is there, but no config.yaml beside it", f"remove {out}, or name another --out")


def compress(source: Path, config: Config, out: Path, resume: bool = False) -> Path:
    """Take the compression steps of a configuration from a finished run on, which is left as it is.

    Args:
        source: the run.
        config: the run's configuration but for its name, texts, compression and export, and perhaps fewer seeds. Steps
            that the run has taken already, in the same order, are not taken again.
        out: the new run's folder.
        resume: continue where an earlier call was interrupted.

    Returns:
        ``out``.

    Raises:
        UserError: ``source`` is no finished run, or one of another training; as :func:`train`.
    """
    done = run_config(source)
    check_same_training(done, config, source)
    same = _same_steps(done, config)
    for seed in config.seeds:
        for plan in plans(source / f"seed-{seed}", done)[: same + 1]:
            _require_finished(plan, source, seed)
    return _train(config, out, resume, begin=lambda data: _copy_trainings(source, config, out, same, data))


def _require_finished(plan: Plan, run: Path, seed: int) -> None:
    if not is_finished(plan):
        raise UserError(
            f"seed {seed} of {run} has not been trained to its end", "go on with `heartzoo train … --resume`"
        )


def read_run(run: Path) -> Config:
    """The configuration of a finished run.

    Raises:
        UserError: there is no run, or it is not finished.
    """
    config = run_config(run)
    for seed in config.seeds:
        for plan in plans(run / f"seed-{seed}", config):
            _require_finished(plan, run, seed)
    return config


def check_same_training(done: Config, config: Config, source: Path) -> None:
    """Refuse to compress a run by a configuration of another training.

    Raises:
        UserError: they differ in a section that trains.
    """
    for section in ("task", "data", "input", "model", "training", "prevalence"):
        if getattr(done, section) != getattr(config, section):
            raise UserError(
                f"{source} was trained with another {section}",
                f"keep the run's own {section}, or train anew with `heartzoo train`",
            )
    if missing := sorted(set(config.seeds) - set(done.seeds)):
        raise UserError(f"{source} has no seed {missing[0]}", f"take seeds among {done.seeds}")


def _same_steps(done: Config, config: Config) -> int:
    """How many steps both configurations begin with, and would take alike."""
    same, otherwise = 0, quantizes_otherwise(config.export, done.export)
    budgets = otherwise or ends_aware(config) != ends_aware(done)  # of what a pruning measures
    for mine, theirs in zip(config.compression, done.compression, strict=False):
        if mine != theirs or (otherwise and mine.quantize_aware) or (budgets and mine.prune_channels):
            break
        same += 1
    return same


def quantizes_otherwise(one: ExportConfig, other: ExportConfig) -> bool:
    """Whether two exports make other int8 files of the same network: steps that look at those files differ, too."""
    settings = ("calibration_examples", "calibration_seed", "calibration_method", "activations")
    return any(getattr(one, name) != getattr(other, name) for name in settings)


def _copy_trainings(source: Path, config: Config, out: Path, steps: int, data: TrainingSet) -> None:
    """Copy the training and its first steps, with what an export has made of them.

    What an interrupted copy left goes; other trainings in that folder do not. An export evaluates those networks again
    only if their files differ: it knows an evaluation by its file's hash.
    """
    check_examples(source, data)
    copying = out / ".part.copy"
    if copying.is_file():
        for leftover in out.glob("seed-*"):
            shutil.rmtree(leftover)
    else:
        _refuse_leftovers(out)
        write_bytes(copying, b"")
    for seed in config.seeds:
        for plan in plans(out / f"seed-{seed}", config)[: steps + 1]:
            old = source / plan.folder.relative_to(out)
            plan.folder.mkdir(parents=True, exist_ok=True)
            for path in (old / BEST, *old.glob("model.keras"), *old.glob("[!.]*.json")):
                write_bytes(plan.folder / path.name, path.read_bytes())
    copying.unlink()


def find_pretrained(config: Config) -> Path | None:
    """The ``.keras`` file of the network that a training begins with; None for one that begins at random.

    Raises:
        UserError: no such model in the zoo, or one of another task, input or mapping, or of other people than stated.
    """
    stated = config.training.pretrained
    if stated is None:
        return None
    entry = named(stated.model)
    theirs = entry.config
    pairs = {
        "task": (theirs.task, config.task),
        "input": (theirs.input, config.input),
        "data.mapping": (theirs.data.mapping, config.data.mapping),
        "model": (_network(theirs), _network(config)),
    }
    _require_same(pairs, f"training.pretrained: {stated.model}", config.name)
    if set(stated.train) != set(theirs.learnt_from):
        raise UserError(
            f"training.pretrained.train = {stated.train}, but {stated.model} has learnt from "
            f"{' + '.join(theirs.learnt_from)}",
            f"write [{', '.join(theirs.learnt_from)}]",
        )
    return entry.path("model.keras")


def _network(config: Config) -> tuple[str, dict[str, object]]:
    """What makes a network's layers, but for what counts in training alone."""
    return config.model.architecture, {name: size for name, size in config.model.sizes.items() if name != "dropout"}


def _require_same(pairs: Mapping[str, tuple[object, object]], whose: str, name: str) -> None:
    """Refuse a network that another one is to learn from, where a section of its configuration is another."""
    for section, (theirs, ours) in pairs.items():
        if theirs != ours:
            raise UserError(f"{whose} has another {section} than {name}", f"both need the same {section}")


def teachers_of(config: Config) -> list[str]:
    """The names of all that teach in distillations, but for the network itself."""
    distillations = [step.settings for step in config.compression if isinstance(step.settings, DistillConfig)]
    return [name for settings in distillations for name in settings.teachers if name != SELF]


def _teachers_to_ask(config: Config, out: Path) -> set[str]:
    """Teachers of distillations that are not finished in every seed."""
    return {
        name
        for seed in config.seeds
        for step, plan in zip(config.compression, plans(out / f"seed-{seed}", config)[1:], strict=True)
        if isinstance(step.settings, DistillConfig) and not is_finished(plan)
        for name in step.settings.teachers
        if name != SELF
    }


def find_teachers(name: str, config: Config) -> list[Path]:
    """The networks that a teacher's name stands for.

    Args:
        name: a run's folder (all its seeds, as they are after the last step), ``seed-<n>`` of a run, or a model of the
            zoo.
        config: the student's configuration.

    Returns:
        ``.keras`` files.

    Raises:
        UserError: there is none, or it was made for another input, task or data.
    """
    folder = Path(name)
    run = folder.parent if folder.name.startswith("seed-") else folder
    if (run / "config.yaml").is_file():
        teacher = read_run(run)
        _check_teacher(name, teacher, config, lambda: read_json(run / EXAMPLES)["records"])
        folders = [folder] if folder != run else [run / f"seed-{seed}" for seed in teacher.seeds]
        return [float_network(seed_folder, teacher) for seed_folder in folders]
    if folder.exists():
        raise UserError(f"teacher {name} is no run", "name a run's folder, its seed-<n>, or a model of the zoo")
    entry = named(name)
    _check_teacher(name, entry.config, config, lambda: entry.configuration["splits"]["train"])
    return [entry.path("model.keras")]


def _check_teacher(
    name: str, teacher: Config, student: Config, records: Callable[[], Mapping[str, Sequence[str]]]
) -> None:
    """Refuse a teacher of other data; ``records`` gives those it trained on, by split."""
    pairs = {
        "task": (teacher.task, student.task),
        "input": (teacher.input, student.input),
        "data.train": (teacher.data.train, student.data.train),
        "data.mapping": (teacher.data.mapping, student.data.mapping),
        # else a teacher would have learnt from the patients that choose the student: folds are of the records used
        "data.leads": (teacher.data.leads, student.data.leads),
        "data.missing_lead": (teacher.data.missing_lead, student.data.missing_lead),
        "training.pretrained": (teacher.training.pretrained, student.training.pretrained),
        "training.folds": (teacher.training.folds, student.training.folds),
        "training.fold": (teacher.training.fold, student.training.fold),
    }
    _require_same(pairs, f"teacher {name}", student.name)
    for split in map(get_split, student.data.train):
        if split.patients and tuple(records()[split.name]) != split_records(split):
            raise UserError(
                f"teacher {name} was trained on other records of {split.name} than are at hand",
                "restore them, or train it anew",
            )


@contextmanager
def _without_tensorflow() -> Iterator[None]:
    """Keep Keras on another backend from importing TensorFlow, as it does under any backend where it is installed."""
    if keras.backend.backend() == "tensorflow" or "tensorflow" in sys.modules:
        yield
        return
    sys.modules["tensorflow"] = None  # type: ignore[assignment]  # an import raises ImportError
    try:
        yield
    finally:
        del sys.modules["tensorflow"]


@contextmanager
def _no_folder_without_a_run(out: Path) -> Iterator[None]:
    """Remove the folder of a new run that is refused before its first epoch has ended."""
    is_new = not out.exists()
    try:
        yield
    except UserError:
        if is_new and not ((out / "config.yaml").is_file() and any(out.rglob("state.json"))):
            shutil.rmtree(out, ignore_errors=True)
        raise


def _check_run(config: Config, out: Path, resume: bool) -> None:
    """Refuse a folder that holds a run which is not to be gone on with."""
    path = out / "config.yaml"
    if not path.is_file():
        return
    if not resume:
        raise UserError(f"{out} already holds a run", "go on with it by --resume, or name another --out")
    if load_config(path) != config:
        raise UserError(f"{out} holds a run of another configuration", "resume it with its own, or name another --out")
