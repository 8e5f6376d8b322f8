"""Whether a zoo is what it says: files, hashes, schemas, and figures that agree with each other and with the index."""

from __future__ import annotations

import json
import zipfile
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from heartzoo import configuration_file
from heartzoo.errors import UserError
from heartzoo.files import sha256
from heartzoo.flatbuffer import inspect, require_shapes
from heartzoo.progress import track
from heartzoo.zoo import choose, read_index
from heartzoo.zoo.index import CARD, IndexEntry, entry_of

if TYPE_CHECKING:
    from heartzoo.metrics_file import Metrics
    from heartzoo.metrics_file.results import Evaluation


@dataclass(frozen=True)
class Verified:
    """What was found out about a version: nothing wrong where ``problems`` is empty.

    Attributes:
        label: ``NAME@VERSION``.
        problems: a sentence each.
        here: False where the version is listed and has no folder, as most in an installed package.
    """

    label: str
    problems: tuple[str, ...]
    here: bool = True


def verify(zoo: Path, names: Sequence[str] = ()) -> list[Verified]:
    """Check versions of a zoo.

    Each file is there, of the listed size and hash, and no other; configuration and metrics follow their schemas, are
    of this version and of these files; every figure follows from its own confusion matrix, every interval from the
    patients of ``by_record``, the shipped seed's figures from its evaluation; the network's tensors and costs are what
    is said; it answers the example as ``configuration.json`` says; index and card say the same.

    Args:
        zoo: the zoo's folder.
        names: ``NAME`` or ``NAME@VERSION``, whose files must be there; default every version, and folders that the
            index does not know.

    Raises:
        UserError: no such model or version, or the index is damaged.
    """
    listed = read_index(zoo)
    chosen = [choose(name, listed) for name in names] or listed
    found = []
    for entry in track(chosen, len(chosen), "verify"):
        here = bool(names) or (zoo / entry.name / entry.version).is_dir()
        problems = (f"{entry.label}: {problem}" for problem in _problems(zoo, entry)) if here else ()
        found.append(Verified(entry.label, tuple(problems), here))
    if not names:
        known = {(entry.name, entry.version) for entry in listed}
        for path in sorted(zoo.glob("*/*/configuration.json")):
            if (path.parent.parent.name, path.parent.name) not in known:
                label = f"{path.parent.parent.name}@{path.parent.name}"
                found.append(Verified(label, (f"{label}: not in the index",)))
    return found


def _problems(zoo: Path, entry: IndexEntry) -> list[str]:
    folder = zoo / entry.name / entry.version
    problems = []
    for file, facts in entry.files.items():
        path = folder / file
        if not path.is_file():
            problems.append(f"{file} is missing")
        elif path.stat().st_size != facts.bytes:
            problems.append(f"{file} has {path.stat().st_size:,} bytes, the index says {facts.bytes:,}")
        elif sha256(path) != facts.sha256:
            problems.append(f"{file} has another SHA-256 than the index says")
    if folder.is_dir():
        others = {path.name for path in folder.iterdir()} - set(entry.files)
        problems += [f"{file} is not in the index" for file in sorted(others)]
    return problems or _contradictions(folder, entry)


def _contradictions(folder: Path, entry: IndexEntry) -> list[str]:
    """Of files that are the published ones."""
    from heartzoo import metrics_file
    from heartzoo.config.file import parse_config
    from heartzoo.contract.example import contradictions
    from heartzoo.tasks import get_task

    problems = []
    try:
        configuration = configuration_file.read(folder / "configuration.json")
        metrics = metrics_file.read(folder / "metrics.json")
        derived = entry_of(folder, configuration, metrics).model_copy(update={"withdrawn": entry.withdrawn})
        problems += [
            f"the index says {name} = {getattr(entry, name)}, the files {getattr(derived, name)}"
            for name in type(entry).model_fields
            if getattr(entry, name) != getattr(derived, name)
        ]
        config = parse_config(configuration["config"], "configuration.json")
        content = (folder / "model.tflite").read_bytes()
        facts = inspect(content)
        require_shapes(facts, config.input.frame, len(config.input.beat_features), len(get_task(config.task).classes))
        for name, found in (("macs", facts.macs), ("tflite_bytes", facts.tflite_bytes)):
            if getattr(derived.cost, name) != found:
                problems.append(f"{name} is {found:,}, metrics.json says {getattr(derived.cost, name):,}")
        problems += _others_figures(folder, entry, metrics)
        problems += _other_seeds_and_stages(metrics, configuration["training"]["shipped_seed"])
        if ("**Withdrawn**" in (folder / CARD).read_text("utf-8")) != (entry.withdrawn is not None):
            problems.append("its card and the index do not agree whether it is withdrawn")
        problems += _invented_intervals(metrics)
        for name, beats in (("example", "beats"), ("stream_example", "shown")):
            if given := configuration.get(name):  # not in versions of before
                problems += contradictions(config, content, name, given[beats])
    except UserError as error:
        problems.append(error.problem)
    except (OSError, ValueError, KeyError, TypeError, StopIteration) as error:
        problems.append(f"configuration.json or metrics.json lacks what it should hold ({error!r})")
    try:
        check_keras(folder / "model.keras")
    except UserError as error:
        problems.append(f"model.keras: {error.problem}")
    return problems


def _others_figures(folder: Path, entry: IndexEntry, metrics: Metrics) -> list[str]:
    """Evaluations that are of other files than those published."""
    configuration = configuration_file.read(folder / "configuration.json")
    own = {
        "metrics.json": (metrics.model, metrics.version),
        "configuration.json": (configuration["name"], configuration["version"]),
    }
    problems = [
        f"{file} is of {name}@{version}"
        for file, (name, version) in own.items()
        if (name, version) != (entry.name, entry.version)
    ]
    for part in ("evaluations", "without_prevalence", "robustness", "personalisation", "end_to_end"):
        for result in getattr(metrics, part):
            file = "model.tflite" if result.of_file else "model.keras"
            if file in entry.files and result.file_sha256 != entry.files[file].sha256:
                apart = "" if part == "evaluations" else f", {part.replace('_', ' ')}"
                problem = f"the figures on {result.split} ({result.precision}{apart}) are of another {file}"
                problems += [problem] * (problem not in problems)
    return problems


def _other_seeds_and_stages(metrics: Metrics, shipped: int) -> list[str]:
    """Figures over seeds, and of the last stage of the making, that are not those of the published network."""
    problems = []
    for figure in metrics.seeds:
        for result in metrics.evaluations:
            same = (result.split, result.precision, result.runtime) == (figure.split, figure.precision, figure.runtime)
            if same and not _near(figure.each.get(shipped), _figure(result, figure.metric)):
                problems.append(
                    f"{figure.metric} of seed {shipped} on {figure.split} ({figure.precision}) is "
                    f"{figure.each.get(shipped)} among the seeds, {_figure(result, figure.metric)} in its evaluation"
                )
    if metrics.ablation:
        last, first = metrics.ablation[-1], metrics.first
        stated = last.int8.get(shipped)
        if last.split == first.split and not _near(stated, _figure(first, last.metric)):
            problems.append(
                f"{last.metric} after the last stage is {stated}, {_figure(first, last.metric)} in its evaluation"
            )
    return problems


def _figure(result: Evaluation, name: str) -> float:
    """A figure of an evaluation, by its name with dots."""
    found: Any = result.model_dump()
    for part in name.split("."):
        found = found[part]
    return float(found)


def _near(stated: float | None, computed: float) -> bool:
    from heartzoo.metrics_file.figures import TOLERANCE

    return stated is not None and abs(stated - computed) <= TOLERANCE


def _invented_intervals(metrics: Metrics) -> list[str]:
    """Intervals that the bootstrap over the evaluation's own patients does not give."""
    from heartzoo.metrics import intervals
    from heartzoo.metrics_file.figures import TOLERANCE

    problems = []
    for result in metrics.evaluations:
        computed = intervals(result.patient_matrices, list(result.per_class), result.bootstrap_seed)
        for name, (low, high) in computed.items():
            stated = getattr(result, name)
            if max(abs(stated[0] - low), abs(stated[1] - high)) > TOLERANCE:
                problems.append(
                    f"{name} on {result.split} ({result.precision}) is {stated[0]:.4f} to {stated[1]:.4f}, the "
                    f"bootstrap over its patients gives {low:.4f} to {high:.4f}"
                )
    return problems


def check_keras(path: Path) -> None:
    """Refuse a ``.keras`` file that holds code.

    Raises:
        UserError: it does, or it is no such file.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            tree = json.loads(archive.read("config.json"))
    except (zipfile.BadZipFile, zlib.error, KeyError, ValueError, OSError, RuntimeError) as error:
        raise UserError("it is no Keras file", "take the .tflite file, or another version") from error
    pending: list[Any] = [tree]
    while pending:
        part = pending.pop()
        if isinstance(part, dict):
            if part.get("class_name") in ("Lambda", "__lambda__"):
                raise UserError("it holds code (a Lambda layer)", "do not use it; tell whoever published it")
            pending += part.values()
        elif isinstance(part, list):
            pending += part


def recompute(zoo: Path, name: str, jobs: int | None = None) -> Verified:
    """Evaluate a version's ``.tflite`` file anew on its first test split, and compare the confusion matrices.

    The records are those of the published figures, downloaded if they have to be.

    Args:
        zoo: the zoo's folder.
        name: ``NAME`` or ``NAME@VERSION``.
        jobs: processes; default one a core.

    Raises:
        UserError: no such model, or records that cannot be had.
    """
    from heartzoo.data.splits import get_split
    from heartzoo.evaluation import evaluate
    from heartzoo.predictors import tflite_subject
    from heartzoo.zoo import find
    from heartzoo.zoo.openings import log_openings

    entry = find(name, zoo)
    label = f"{entry.name}@{entry.version}"
    stated = entry.metrics.first
    runtime = stated.runtime if stated.runtime in ("reference", "xnnpack") else None
    subject = tflite_subject(entry.config, entry.path("model.tflite").read_bytes(), stated.seed, runtime, jobs)
    results = evaluate(subject, get_split(stated.split).of(stated.records))
    log_openings(zoo, label, results)
    again = next(e for e in results if e.split == stated.split)
    if again.confusion_matrix == stated.confusion_matrix:
        return Verified(label, ())
    moved = sum(abs(a - b) for x, y in zip(again.confusion_matrix, stated.confusion_matrix, strict=True)
                for a, b in zip(x, y, strict=True)) // 2  # fmt: skip
    return Verified(label, (f"{label}: an evaluation on {stated.split} gives {moved:,} other decisions",))
