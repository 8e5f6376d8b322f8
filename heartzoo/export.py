"""A trained run -> a version in the zoo: int8 conversion, final evaluation, cost, C header, card."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from heartzoo import cheader, contract, zoo
from heartzoo.candidates import (
    Candidate,
    convert_seed,
    evaluate_candidate,
    measure_ablation,
    measure_cost,
    measure_end_to_end,
    measure_personalisation,
    measure_robustness,
    measure_without_prevalence,
    tune,
)
from heartzoo.checkpoints import load_model
from heartzoo.config import Config
from heartzoo.config.export import Runtime
from heartzoo.config.file import load_config
from heartzoo.data.batches import Inputs
from heartzoo.data.databases import get_database
from heartzoo.data.preparation import require_disturbable
from heartzoo.data.splits import get_split
from heartzoo.data.training_set import TrainingSet, load_training_set
from heartzoo.errors import UserError
from heartzoo.evaluation import refuse_short_recordings, refuse_without_recordings
from heartzoo.evaluation.end_to_end import refuse_without_beats
from heartzoo.files import refuse_unwritable
from heartzoo.firmware import preprocessing_cost, require_emulator
from heartzoo.firmware.settings import check as firmware_rate
from heartzoo.flatbuffer import inspect
from heartzoo.metrics_file import SCHEMA_VERSION, Agreement, Metrics
from heartzoo.metrics_file.costs import AblationRow, Preprocessing
from heartzoo.metrics_file.results import Evaluation, SeedResult
from heartzoo.models.channels import widths_of
from heartzoo.progress import console
from heartzoo.runs import check_examples, quantizes_otherwise, read_run, refuse_copies_of_training
from heartzoo.runtime import RUNTIMES, default_runtime, predict_parallel
from heartzoo.tasks import get_task
from heartzoo.training import build_model
from heartzoo.zoo import publishing
from heartzoo.zoo.assets import version_files
from heartzoo.zoo.index import newest

CHANGEABLE = ("export", "name", "summary", "limits", "origin")


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
        UserError: no finished run, a change of what was trained, the version exists, something is asked for that
            cannot be measured, data are missing, the newest version is of this very run, or the disk is full.
    """
    root = root or zoo.zoo_folder()
    refuse_unwritable(root, "--zoo")  # before hours of evaluation, not after
    config = _changed(read_run(run), run, changes)
    publishing.list_unlisted(root)
    before = None if version else _newest(root, config.name)
    version = publishing.next_version(root, config.name) if version is None else version
    publishing.check_free(root, config.name, version)
    if config.export.runtime and default_runtime() != "tflm":
        raise UserError(
            f"export.runtime = {config.export.runtime}, but TFLite Micro is not installed to compare it with",
            "export on Linux x86-64, where the tflite-micro package exists",
        )
    check_measurable(config)
    # What runs the file here is what the contract tells, and what repeats the figures.
    config = _with_export(config, runtime=config.export.runtime or _other_runtime())
    data = load_training_set(config)
    check_examples(run, data)
    refuse_copies_of_training(config, data)
    calibration = data.inputs(data.calibration())
    candidates = [convert_seed(config, run, seed, calibration) for seed in config.seeds]
    chosen = _choose(config, candidates)
    shipped = tune(config, chosen, data)
    candidates[candidates.index(chosen)] = shipped
    label = f"{config.name}@{version}"
    results = {c.seed: evaluate_candidate(config, c, run, root, label, config.data.test) for c in candidates}
    ablation = measure_ablation(config, run, calibration, shipped, root, label)
    apart = {
        "without_prevalence": measure_without_prevalence(config, shipped, run, root, label),
        "robustness": measure_robustness(config, shipped, run, root, label),
        "personalisation": measure_personalisation(config, shipped, run, root, label),
        "end_to_end": measure_end_to_end(config, shipped, run, root, label),
    }
    agreement = _agreement(config, shipped.content, calibration)
    rest = data, candidates, shipped, results, apart, ablation, agreement, large_header
    files = _files(config, version, *rest)
    if config.export.firmware_hz:
        with TemporaryDirectory() as folder:
            staged = publishing.publish(Path(folder), config.name, version, files)
            firmware = preprocessing_cost(staged.name, config.export.firmware_hz, Path(folder))
        files = _files(config, version, *rest, firmware)
    if before and before.files.keys() == files.keys() and publishing.says_the_same(files, before):
        raise UserError(
            f"{run} is published already, as {before.name}@{before.version}",
            "nothing is left to do; --version publishes it once more",
        )
    return publishing.publish(root, config.name, version, files)


def _newest(root: Path, name: str) -> zoo.Entry | None:
    """The model's newest version in a zoo; None where it has none that is not withdrawn."""
    listed = newest(zoo.read_index(root))
    return zoo.find(listed[name].label, root) if name in listed else None


def check_measurable(config: Config) -> None:
    """Refuse, before a test split is opened, what cannot be measured.

    Raises:
        UserError: there is such a thing.
    """
    export = config.export
    splits = [get_split(name) for name in config.data.test]
    if export.end_to_end:
        refuse_without_beats(config)
        for split in splits:
            refuse_without_recordings(split)
    if export.personalisation:
        refuse_without_recordings(splits[0])
        refuse_short_recordings(splits[0])
    if export.robustness:
        require_disturbable(get_database(splits[0].database))
    if export.firmware_hz:
        firmware_rate(config.input, config.name, export.firmware_hz)
        require_emulator()


def _with_export(config: Config, **changes: Any) -> Config:
    return config.model_copy(update={"export": config.export.model_copy(update=changes)})


def _other_runtime() -> Runtime | None:
    """What runs the file where TFLite Micro cannot be had."""
    runtime = default_runtime()
    return None if runtime == "tflm" else runtime


def _changed(config: Config, run: Path, changes: Sequence[str]) -> Config:
    """The configuration with other settings of the export, another name or other texts."""
    changed = load_config(run / "config.yaml", list(changes))
    if config.model_copy(update={key: getattr(changed, key) for key in CHANGEABLE}) != changed:
        raise UserError(
            f"a finished run keeps its settings, all but {', '.join(CHANGEABLE)}", "train or compress anew for others"
        )
    tuned = any(step.quantize_aware for step in config.compression)
    if tuned and quantizes_otherwise(config.export, changed.export):
        raise UserError(
            f"the network of {run} was tuned for the int8 ranges that it has (quantize_aware)",
            "leave export.calibration_* and export.activations as they are, or compress anew with others",
        )
    return changed


def _choose(config: Config, candidates: list[Candidate]) -> Candidate:
    """The seed that does best on the validation patients by the watched metric; without validation the first."""
    if config.training.fold is None:
        return candidates[0]
    metric = config.training.early_stopping.metric
    sign = -1 if metric == "val_loss" else 1
    return max(candidates, key=lambda candidate: sign * candidate.validation[metric])


def _agreement(config: Config, content: bytes, calibration: Inputs) -> Agreement | None:
    """Compare the runtime of the evaluation with TFLite Micro, where it is another."""
    runtime = config.export.runtime
    if runtime is None or runtime == "tflm" or default_runtime() != "tflm":
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
    apart: dict[str, Any],
    ablation: list[AblationRow],
    agreement: Agreement | None,
    large_header: bool,
    firmware: Preprocessing | None = None,
) -> dict[str, bytes]:
    metrics = Metrics(
        schema_version=SCHEMA_VERSION,
        model=config.name,
        version=version,
        task=config.task,
        classes=list(get_task(config.task).classes),
        evaluations=results[shipped.seed],
        seeds=_seed_results(config, results),
        **apart,
        ablation=ablation,
        agreement=agreement,
        cost=measure_cost(shipped).model_copy(update={"preprocessing": firmware}),
    )
    choice = {
        "shipped_seed": shipped.seed,
        "chosen_by": None if config.training.fold is None else config.training.early_stopping.metric,
        "validation": {str(candidate.seed): candidate.validation for candidate in candidates},
    }
    tuned = {
        "confidence": {"temperature": shipped.temperature, "threshold": shipped.threshold},
        "personalisation": shipped.personalisation and asdict(shipped.personalisation),
    }
    whole = build_model(config.model_copy(update={"model": config.model.model_copy(update={"widths": {}})}))
    widths = widths_of(load_model(shipped.keras_path), whole)
    before = _seen_before(config)
    configuration = contract.configuration(config, version, data, shipped.content, choice, tuned, widths, before)
    limit = len(shipped.content) if large_header else cheader.MAX_MODEL_BYTES
    keras_content = shipped.keras_path.read_bytes()
    return version_files(config, configuration, metrics, keras_content, shipped.content, limit)


def _seen_before(config: Config) -> dict[str, list[str]]:
    """Records that the pretrained network has learnt from, by split; empty where the training began at random."""
    if config.training.pretrained is None:
        return {}
    splits = zoo.find(config.training.pretrained.model).configuration["splits"]
    return {**splits.get("pretrained", {}), **splits["train"]}


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


def describe(entry: zoo.Entry) -> list[str]:
    """Lines that name the files of a new entry."""
    return [f"{entry.folder / name}  ({fact['bytes']:,} bytes)" for name, fact in entry.files.items()]
