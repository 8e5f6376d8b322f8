"""A trained run -> a version in the zoo: int8 conversion, final evaluation, cost, C header, card."""

from __future__ import annotations

import gzip
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from heartzoo import cards, cheader, contract, publishing, zoo
from heartzoo.checkpoints import (
    BEST,
    best_epoch,
    float_network,
    load_model,
    plans,
    read_history,
)
from heartzoo.config import Config
from heartzoo.config.file import load_config
from heartzoo.data.batches import Inputs, model_inputs
from heartzoo.data.databases import get_database
from heartzoo.data.download import ensure
from heartzoo.data.splits import get_split
from heartzoo.data.store import prepare
from heartzoo.data.training_set import TrainingSet, load_training_set
from heartzoo.errors import UserError
from heartzoo.evaluation import Subject, evaluate
from heartzoo.files import atomic_path, write_json
from heartzoo.flatbuffer import ModelFacts, inspect
from heartzoo.metrics_file import (
    SCHEMA_VERSION,
    AblationRow,
    Agreement,
    Cost,
    Evaluation,
    Metrics,
    SeedResult,
    to_bytes,
)
from heartzoo.models.channels import widths_of
from heartzoo.openings import log_openings
from heartzoo.predictors import keras_subject, tflite_subject
from heartzoo.progress import console
from heartzoo.quantization import to_tflite
from heartzoo.runs import read_run
from heartzoo.runtime import RUNTIMES, TfliteModel, arena_bytes, default_runtime, predict_parallel
from heartzoo.tasks import get_task
from heartzoo.training import build_model

CHANGEABLE = ("export", "name", "summary", "limits", "origin")
GOLDEN_RECORD = "syn24"
GOLDEN_COUNT = 10


@dataclass(frozen=True)
class Candidate:
    """One seed of a run: its float network and that network's int8 file."""

    seed: int
    keras_path: Path
    validation: dict[str, float]
    content: bytes


def export(
    run: Path,
    version: str | None = None,
    root: Path | None = None,
    large_header: bool = False,
    changes: Sequence[str] = (),
) -> zoo.Entry:
    """Quantize every seed of a finished run, evaluate, and publish one of them, the seed that validation prefers.

    An interrupted export begins again and reuses the evaluations that it had finished.

    Args:
        run: the folder of a finished training.
        version: semantic version; default 1.0.0, or the newest with its minor number raised.
        root: the zoo's folder; default the zoo in use.
        large_header: write the C header of a model of any size; default up to 256 KB.
        changes: ``key=value`` for ``export``, the name and the texts of the run's configuration.

    Returns:
        The new entry.

    Raises:
        UserError: no finished run, a change of what was trained, the version exists, data are missing, or the disk is
            full.
    """
    root = root or zoo.zoo_folder()
    config = _changed(read_run(run), run, changes)
    version = version or publishing.next_version(root, config.name)
    publishing.check_free(root, config.name, version)
    if config.export.runtime and default_runtime() != "tflm":
        raise UserError(
            f"export.runtime = {config.export.runtime}, but TFLite Micro is not installed to compare it with",
            "export on Linux x86-64, where the tflite-micro package exists",
        )
    data = load_training_set(config)
    calibration = data.inputs(data.calibration())
    candidates = [_candidate(config, run, seed, calibration) for seed in config.seeds]
    shipped = _choose(config, candidates)
    label = f"{config.name}@{version}"
    results = {c.seed: _evaluations(config, c, run, root, label, config.data.test) for c in candidates}
    ablation = _ablation(config, run, calibration, shipped.seed, root, label)
    agreement = _agreement(config, shipped.content, calibration)
    files = _files(config, version, data, candidates, shipped, results, ablation, agreement, large_header)
    return publishing.publish(root, config.name, version, files)


def _changed(config: Config, run: Path, changes: Sequence[str]) -> Config:
    """The configuration with other settings of the export, another name or other texts."""
    changed = load_config(run / "config.yaml", list(changes))
    if config.model_copy(update={key: getattr(changed, key) for key in CHANGEABLE}) != changed:
        raise UserError(
            f"a finished run keeps its settings, all but {', '.join(CHANGEABLE)}", "train or compress anew for others"
        )
    return changed


def _candidate(config: Config, run: Path, seed: int, calibration: dict[str, np.ndarray]) -> Candidate:
    """A seed as it is after its last stage."""
    folder = run / f"seed-{seed}"
    console.print(f"convert {config.name}, seed {seed}, to integers")
    last = plans(folder, config)[-1]
    history = read_history(last.folder)
    validation = history[best_epoch(history, last)]
    content = _file(config, last.folder / BEST, calibration)
    return Candidate(seed, _without_optimizer(float_network(folder, config)), validation, content)


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


def _ablation(
    config: Config, run: Path, calibration: dict[str, np.ndarray], shipped: int, root: Path, label: str
) -> list[AblationRow]:
    """Every stage of a compressed run, each seed evaluated on the first test split."""
    if not config.compression:
        return []
    rows = []
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
            for evaluation in _evaluations(
                config, candidate, run, root, f"{label} after {stage}", config.data.test[:1]
            ):
                if evaluation.split == config.data.test[0]:  # not one of its parts
                    figures[evaluation.of_file][seed] = getattr(evaluation, metric)
            if seed == shipped:
                cost = _cost(candidate, inspect(content))
                packed = len(gzip.compress(content, mtime=0))
        rows.append(
            AblationRow(
                stage=stage,
                split=config.data.test[0],
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


def _choose(config: Config, candidates: list[Candidate]) -> Candidate:
    """The seed that does best on the validation patients by the watched metric; without validation the first."""
    if config.training.fold is None:
        return candidates[0]
    metric = config.training.early_stopping.metric
    sign = -1 if metric == "val_loss" else 1
    return max(candidates, key=lambda candidate: sign * candidate.validation[metric])


def _evaluations(
    config: Config, candidate: Candidate, run: Path, root: Path, label: str, splits: list[str]
) -> list[Evaluation]:
    """Int8 and float results of one seed on test splits, each kept in the run's folder as soon as it is there."""
    found = []
    subjects = (
        tflite_subject(config, candidate.content, candidate.seed, config.export.runtime),
        keras_subject(config, candidate.keras_path, candidate.seed),
    )
    for subject in subjects:
        for name in splits:
            path = run / f"seed-{candidate.seed}" / f"{name}-{subject.runtime}-{subject.file_sha256[:16]}.json"
            found += _kept(path) if path.is_file() else _evaluate(subject, name, path, root, label)
    return found


def _kept(path: Path) -> list[Evaluation]:
    return [Evaluation.model_validate(value) for value in json.loads(path.read_text())]


def _evaluate(subject: Subject, split: str, path: Path, root: Path, label: str) -> list[Evaluation]:
    found = evaluate(subject, get_split(split))
    log_openings(root, f"{label} seed {subject.seed}", found)
    write_json(path, [evaluation.model_dump(mode="json") for evaluation in found])
    return found


def _agreement(config: Config, content: bytes, calibration: Inputs) -> Agreement | None:
    """Compare the runtime of the evaluation with TFLite Micro, where it is another."""
    runtime = config.export.runtime
    if runtime is None or runtime == "tflm":
        return None
    console.print(f"compare {RUNTIMES[runtime]} with TFLite Micro on {len(calibration['signal'])} calibration examples")
    signal, rr = calibration["signal"], calibration.get("rr")
    found = predict_parallel(content, signal, rr, runtime)
    expected = predict_parallel(content, signal, rr, "tflm", progress_description="TFLite Micro")
    return Agreement(
        runtime=runtime,
        examples=len(signal),
        same_class=int((found.argmax(axis=1) == expected.argmax(axis=1)).sum()),
        largest_difference=round(float(np.abs(found - expected).max()) / inspect(content).logits.scale),
    )


def _files(
    config: Config,
    version: str,
    data: TrainingSet,
    candidates: list[Candidate],
    shipped: Candidate,
    results: dict[int, list[Evaluation]],
    ablation: list[AblationRow],
    agreement: Agreement | None,
    large_header: bool,
) -> dict[str, bytes]:
    facts = inspect(shipped.content)
    metrics = Metrics(
        schema_version=SCHEMA_VERSION,
        model=config.name,
        version=version,
        task=config.task,
        classes=list(get_task(config.task).classes),
        evaluations=results[shipped.seed],
        seeds=_seed_results(config, results),
        ablation=ablation,
        agreement=agreement,
        cost=_cost(shipped, facts),
    )
    choice = {
        "shipped_seed": shipped.seed,
        "chosen_by": None if config.training.fold is None else config.training.early_stopping.metric,
        "validation": {str(candidate.seed): candidate.validation for candidate in candidates},
    }
    whole = build_model(config.model_copy(update={"model": config.model.model_copy(update={"widths": {}})}))
    widths = widths_of(load_model(shipped.keras_path), whole)
    configuration = contract.configuration(config, version, data, facts, choice, widths)
    files = {
        "configuration.json": (json.dumps(configuration, indent=1, allow_nan=False) + "\n").encode(),
        "metrics.json": to_bytes(metrics),
        "model.keras": shipped.keras_path.read_bytes(),
        "model.tflite": shipped.content,
        "README.md": cards.card(configuration, metrics).encode(),
    }
    limit = len(shipped.content) if large_header else cheader.MAX_MODEL_BYTES
    if len(shipped.content) <= limit:
        golden = golden_vectors(config, shipped.content)
        classes, arena = metrics.classes, metrics.cost.arena_bytes
        text = cheader.c_header(config.name, version, shipped.content, classes, facts, arena, golden, limit)
        files["model.h"] = text.encode("ascii")
    return files


def _seed_results(config: Config, results: dict[int, list[Evaluation]]) -> list[SeedResult]:
    """Mean and spread over seeds of the headline and of each class's F1, on every test split and its parts."""
    if len(results) < 2:
        return []
    headline = get_task(config.task).headline(config.track)
    found = []
    for position, example in enumerate(next(iter(results.values()))):
        condition = example.model_dump(include={"precision", "runtime", "dataset", "split", "track"})
        headlines = {seed: getattr(r[position], headline) for seed, r in results.items()}
        found.append(SeedResult.of(headline, headlines, **condition))
        for name in example.per_class:
            each = {seed: r[position].per_class[name].f1 for seed, r in results.items()}
            found.append(SeedResult.of(f"per_class.{name}.f1", each, **condition))
    return found


def _cost(shipped: Candidate, facts: ModelFacts) -> Cost:
    model = load_model(shipped.keras_path)
    return Cost(
        parameters=model.count_params(),
        nonzero_parameters=int(sum(np.count_nonzero(weight) for weight in model.get_weights())),
        macs=facts.macs,
        tflite_bytes=facts.tflite_bytes,
        keras_bytes=shipped.keras_path.stat().st_size,
        arena_bytes=arena_bytes(shipped.content),
        operators=facts.operators,
    )


def golden_vectors(config: Config, content: bytes) -> cheader.GoldenVectors:
    """Beats of a synthetic recording with the answers of the int8 file, spread over the recording's symbols."""
    database = get_database("synthetic")
    ensure(database, [GOLDEN_RECORD])
    store = prepare(database, [GOLDEN_RECORD], config.input)
    # One beat of each symbol in turn, so that rare classes are among them.
    order = np.argsort([(store.symbols[:i] == symbol).sum() for i, symbol in enumerate(store.symbols)], kind="stable")
    rows = np.sort(order[:GOLDEN_COUNT])
    frames, rr = store.frames(rows), store.rr[rows]
    inputs = model_inputs(frames, rr, config.input)
    model = TfliteModel(content)
    quantized = {role: model.quantize(role, value) for role, value in inputs.items()}  # type: ignore[arg-type]
    return cheader.GoldenVectors(
        raw_frames=frames,
        rr=inputs.get("rr"),
        signal_quantized=quantized["signal"].reshape(len(rows), math.prod(frames.shape[1:])),
        rr_quantized=quantized.get("rr"),
        logits_quantized=model.run_quantized(quantized["signal"], quantized.get("rr")),
    )


def describe(entry: zoo.Entry) -> list[str]:
    """Lines that name the files of a new entry."""
    return [f"{entry.folder / name}  ({fact['bytes']:,} bytes)" for name, fact in entry.files.items()]
