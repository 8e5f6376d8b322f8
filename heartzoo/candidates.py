"""What a run has trained, as candidates for publication: converted, evaluated on the test splits, and weighed."""

from __future__ import annotations

import gzip
import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cache, partial
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from pydantic import TypeAdapter, ValidationError

from heartzoo.checkpoints import BEST, best_epoch, float_network, load_model, plans, read_history
from heartzoo.compression.quantization import to_tflite
from heartzoo.confidence import Decisions, choose_threshold, fit_temperature
from heartzoo.config import Config
from heartzoo.data.batches import Inputs
from heartzoo.data.databases import get_database
from heartzoo.data.download import present, split_records
from heartzoo.data.preparation import changeable
from heartzoo.data.splits import get_split
from heartzoo.data.training_set import TrainingSet
from heartzoo.evaluation import (
    disturbances,
    evaluate,
    evaluate_disturbed,
    evaluate_personalised,
    evaluate_pooled,
)
from heartzoo.evaluation.end_to_end import evaluate_end_to_end
from heartzoo.files import atomic_path, write_json
from heartzoo.flatbuffer import inspect
from heartzoo.interpreters import smallest_arena_bytes
from heartzoo.metrics_file.costs import AblationRow, Cost
from heartzoo.metrics_file.results import DisturbedResult, EndToEndResult, Evaluation, PersonalisedResult, PooledResult
from heartzoo.personalisation import FIRST_S, Logits, Personalisation, choose
from heartzoo.predictors import keras_subject, tflite_subject
from heartzoo.prevalence import shifted
from heartzoo.progress import console
from heartzoo.runtime import default_runtime, predict_parallel
from heartzoo.tasks import get_task
from heartzoo.zoo.openings import log_openings, unlogged

R = TypeVar("R", Evaluation, DisturbedResult, PersonalisedResult, PooledResult, EndToEndResult)


@dataclass(frozen=True)
class Candidate:
    """One seed of a run: its float network, that network's int8 file, and what validation patients say of the file."""

    seed: int
    keras_path: Path
    validation: dict[str, float]
    content: bytes
    temperature: float = 1.0
    threshold: float | None = None
    personalisation: Personalisation | None = None


def convert_seed(config: Config, run: Path, seed: int, calibration: Inputs) -> Candidate:
    """A seed as it is after its last stage."""
    folder = run / f"seed-{seed}"
    console.print(f"convert {config.name}, seed {seed}, to integers")
    last = plans(folder, config)[-1]
    history = read_history(last.folder)
    validation = history[best_epoch(history, last)]
    content = _file(config, last.folder / BEST, calibration)
    return Candidate(seed, _without_optimizer(float_network(folder, config)), validation, content)


def tune(config: Config, candidate: Candidate, data: TrainingSet) -> Candidate:
    """The candidate with the temperature, threshold and way of adapting that suit its file on validation patients."""
    if not data.validation.any():
        return candidate
    labels, inputs = data.labels[data.validation], data.inputs(data.validation)
    logits = predict_parallel(
        candidate.content,
        inputs["signal"],
        inputs.get("rr"),
        config.export.runtime or default_runtime(),
        progress_description=f"{config.name}, validation",
    )
    records = data.recordings(data.validation)
    logits = shifted(config, logits, records)
    temperature = fit_temperature(logits, labels)
    task = get_task(config.task)
    decisions = Decisions.of(logits, labels, temperature)
    headline = task.headline(config.track)
    threshold = choose_threshold(decisions, task.classes, headline, config.export.least_coverage)
    candidate = replace(candidate, temperature=temperature, threshold=threshold)
    if not config.export.personalisation:
        return candidate
    by_store = zip(data.stores, data.rows_of(data.validation), strict=True)
    first = np.concatenate([store.samples[rows] < FIRST_S * store.fs[rows] for store, rows in by_store])
    how = choose(Logits(logits, labels, records, first), task.classes, headline)
    return replace(candidate, personalisation=how)


def _file(config: Config, network: Path, calibration: Inputs) -> bytes:
    """A network's ``.tflite`` file."""
    settings = config.export
    return to_tflite(load_model(network), calibration, settings.calibration_method, settings.activations)


def _without_optimizer(best: Path) -> Path:
    """The network beside its checkpoint as it is published; saved once, as every saving has other bytes."""
    path = best.with_name("model.keras")
    if not path.is_file():
        with atomic_path(path) as temporary:
            load_model(best).save(temporary)
    return path


def measure_ablation(
    config: Config, run: Path, calibration: Inputs, shipped: Candidate, root: Path, label: str
) -> list[AblationRow]:
    """Every stage of a compressed run, each seed evaluated on the first test split."""
    if not config.compression:
        return []
    rows = []
    split = config.data.test[0]
    names = ["train", *(step.technique for step in config.compression)]
    metric = get_task(config.task).headline(config.track)
    for number, stage in enumerate(names):
        rounded = stage == "quantize_aware"
        figures: dict[bool, dict[int, float]] = {False: {}, True: {}}  # of the float network, of the file
        for seed in config.seeds:
            folders = [plan.folder for plan in plans(run / f"seed-{seed}", config)]
            content = _file(config, folders[number] / BEST, calibration)
            network = _without_optimizer(folders[number - rounded] / BEST)
            candidate = Candidate(seed, network, {}, content)
            if content == shipped.content:  # so that its evaluation is not done twice
                candidate = replace(candidate, temperature=shipped.temperature, threshold=shipped.threshold)
            for evaluation in evaluate_candidate(config, candidate, run, root, f"{label} after {stage}", [split]):
                if evaluation.split == split:  # not one of its parts
                    figures[evaluation.of_file][seed] = getattr(evaluation, metric)
            if seed == shipped.seed:
                cost = measure_cost(candidate)
                packed = len(gzip.compress(content, mtime=0))
        rows.append(
            AblationRow(
                stage=stage,
                split=split,
                metric=metric,
                float32=None if rounded else figures[False],
                int8=figures[True],
                parameters=cost.parameters,
                nonzero_parameters=cost.nonzero_parameters,
                macs=cost.macs,
                tflite_bytes=cost.tflite_bytes,
                gzip_bytes=packed,
                arena_bytes=cost.arena_bytes,
                operators=sum(cost.operators.values()),
            )
        )
    return rows


def evaluate_candidate(
    config: Config, candidate: Candidate, run: Path, root: Path, label: str, splits: list[str]
) -> list[Evaluation]:
    """Int8 and float results of one seed on test splits, each kept in the run's folder as soon as it is there."""
    found = []
    file = tflite_subject(config, candidate.content, candidate.seed, config.export.runtime)
    subjects = (
        replace(file, temperature=candidate.temperature, threshold=candidate.threshold),
        keras_subject(config, candidate.keras_path, candidate.seed),
    )
    for subject in subjects:
        for name in splits:
            doubt = "" if subject.threshold is None else f"-{subject.temperature:.6f}-{subject.threshold:.6f}"
            kept = f"{name}-{subject.runtime}-{subject.file_sha256[:16]}{doubt}-{_asked(config, name)}.json"
            path = run / f"seed-{candidate.seed}" / kept
            asked = subject, get_split(name), subject.config.export.present_only
            found += _once(path, Evaluation, partial(evaluate, *asked), root, f"{label} seed {subject.seed}")
    return found


def measure_robustness(
    config: Config, shipped: Candidate, run: Path, root: Path, label: str, known: Sequence[DisturbedResult] = ()
) -> list[DisturbedResult]:
    """The shipped int8 file on the first test split made worse, each result kept in the run's folder.

    Those of the same file that are ``known`` already, by record too, are not measured again.
    """
    if not config.export.robustness:
        return []
    subject = tflite_subject(config, shipped.content, shipped.seed, config.export.runtime)
    split = get_split(config.data.test[0])
    asked_for, by = disturbances(split), f"{label} seed {subject.seed}"
    published = {result.disturbance.model_dump_json(): result for result in known if result.by_record}
    found = []
    for number, disturbance in enumerate(asked_for, start=1):
        if result := published.get(disturbance.model_dump_json()):
            found.append(result)
            continue
        named = hashlib.sha256(
            f"{subject.file_sha256} {disturbance} {_asked(config, split.name)}".encode()
        ).hexdigest()[:16]
        path = run / f"seed-{shipped.seed}" / f"{split.name}-{subject.runtime}-disturbed-{named}.json"
        if not path.is_file():
            console.print(f"robustness {number} of {len(asked_for)}: {disturbance.kind}, {disturbance.level}")
        asked = subject, split, disturbance, config.export.present_only
        found += _once(path, DisturbedResult, partial(_alone, evaluate_disturbed, *asked), root, by)
    return found


def measure_without_prevalence(
    config: Config, shipped: Candidate, run: Path, root: Path, label: str
) -> list[PooledResult]:
    """The shipped int8 file on the test splits, its logits as they are; kept in the run's folder."""
    if not config.prevalence:
        return []
    plain = config.model_copy(update={"prevalence": {}})
    subject = tflite_subject(plain, shipped.content, shipped.seed, config.export.runtime)
    found, by = [], f"{label} seed {subject.seed}"
    for split in config.data.test:
        of = f"{subject.file_sha256[:16]}-{_asked(plain, split)}"
        path = run / f"seed-{shipped.seed}" / f"{split}-{subject.runtime}-{of}-pooled.json"
        asked = subject, get_split(split), config.export.present_only
        found += _once(path, PooledResult, partial(_alone, evaluate_pooled, *asked), root, by)
    return found


def measure_personalisation(
    config: Config, shipped: Candidate, run: Path, root: Path, label: str
) -> list[PersonalisedResult]:
    """The shipped int8 file on the first test split, adapted to each patient; kept in the run's folder."""
    how = shipped.personalisation
    if how is None:
        return []
    subject, split = tflite_subject(config, shipped.content, shipped.seed, config.export.runtime), config.data.test[0]
    named = hashlib.sha256(f"{subject.file_sha256} {how} {_asked(config, split)}".encode()).hexdigest()[:16]
    path = run / f"seed-{shipped.seed}" / f"{split}-{subject.runtime}-adapted-{named}.json"
    asked = subject, get_split(split), how, config.export.present_only
    by = f"{label} seed {subject.seed}"
    return _once(path, PersonalisedResult, partial(evaluate_personalised, *asked), root, by)


def measure_end_to_end(config: Config, shipped: Candidate, run: Path, root: Path, label: str) -> list[EndToEndResult]:
    """The shipped int8 file on the test splits with found beats, each result kept in the run's folder."""
    if not config.export.end_to_end:
        return []
    subject = tflite_subject(config, shipped.content, shipped.seed, config.export.runtime)
    found, by = [], f"{label} seed {subject.seed}"
    for split in config.data.test:
        of = f"{subject.file_sha256[:16]}-{_asked(config, split)}"
        path = run / f"seed-{shipped.seed}" / f"{split}-{subject.runtime}-end-to-end-{of}.json"
        asked = subject, get_split(split), config.export.present_only
        found += _once(path, EndToEndResult, partial(_alone, evaluate_end_to_end, *asked), root, by)
    return found


def _once(path: Path, kind: type[R], measure: Callable[[], list[R]], root: Path, opened_by: str) -> list[R]:
    """Results as they lie in the run's folder; where they do not yet, they are measured, logged and put there."""
    if known := _kept(path, kind):
        log_openings(root, opened_by, unlogged(root, known))  # this zoo may be another than the one they were logged in
        return known
    found = measure()
    log_openings(root, opened_by, found)
    write_json(path, [result.model_dump(mode="json") for result in found])
    return found


def _alone(measure: Callable[..., R], *asked: Any) -> list[R]:
    """The one result of a measurement."""
    return [measure(*asked)]


def _asked(config: Config, split: str) -> str:
    """For the name of a file, what tells apart results of one model: code, shifted logits, records."""
    wanted = get_split(split)
    database, records = get_database(wanted.database), set(split_records(wanted))
    if config.export.present_only:
        records &= set(present(database))
    told = f"{_code()} {config.prevalence} {sorted(records)} {changeable(database, sorted(records))}"
    return hashlib.sha256(told.encode()).hexdigest()[:16]


@cache
def _code() -> str:
    """A hash of the package, any of whose modules may have had a part in a result."""
    package = Path(__file__).parent
    found = hashlib.sha256()
    for path in sorted(package.rglob("*.py")):
        found.update(path.relative_to(package).as_posix().encode() + path.read_bytes())
    return found.hexdigest()


def _kept(path: Path, kind: type[R]) -> list[R]:
    """Results that lie in the run's folder; none where they are of another version of heartzoo, or damaged."""
    try:
        return TypeAdapter(list[kind]).validate_json(path.read_bytes())  # type: ignore[valid-type]
    except (FileNotFoundError, ValidationError):
        return []


def measure_cost(candidate: Candidate) -> Cost:
    """What a seed's network and its file cost."""
    model, facts = load_model(candidate.keras_path), inspect(candidate.content)
    return Cost(
        parameters=model.count_params(),
        nonzero_parameters=int(sum(np.count_nonzero(weight) for weight in model.get_weights())),
        macs=facts.macs,
        tflite_bytes=facts.tflite_bytes,
        keras_bytes=candidate.keras_path.stat().st_size,
        arena_bytes=smallest_arena_bytes(candidate.content),
        operators=facts.operators,
    )
