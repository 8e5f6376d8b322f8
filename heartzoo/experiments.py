"""Experiments: variants of a configuration on folds of the training patients. Test splits stay closed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from pydantic import ValidationError

from heartzoo.candidates import convert_seed, measure_cost
from heartzoo.checkpoints import BEST, load_model, plans
from heartzoo.config import Config
from heartzoo.config.disturbance import Disturbance
from heartzoo.config.experiment import Variant, load_experiment, trial_config, trial_folder
from heartzoo.config.export import ExportConfig
from heartzoo.config.file import load_config
from heartzoo.data.preparation import code
from heartzoo.data.training_set import TrainingSet, disturbed_validation, load_training_set
from heartzoo.errors import UserError
from heartzoo.experiment_results import ExperimentResult, SeedResult, TrialResult, VariantResult
from heartzoo.files import sha256, writable, write_json
from heartzoo.metrics import confusion_matrices
from heartzoo.prevalence import shifted
from heartzoo.progress import console
from heartzoo.runs import (
    check_examples,
    check_recordings,
    check_same_training,
    compress,
    find_teachers,
    teachers_of,
    train,
)
from heartzoo.tasks import get_task

_KEPT = "validation.json"


def run_experiment(path: Path, runs: Path = Path("runs")) -> tuple[ExperimentResult, Path]:
    """Train every variant, fold and seed that is not there yet, and write the result beside the experiment.

    Args:
        path: the experiment's file.
        runs: where the runs go; an interrupted experiment goes on from what lies there.

    Returns:
        The result and its file.

    Raises:
        UserError: the experiment or one of its configurations is wrong, which is told before anything is trained; as
            :func:`heartzoo.runs.train`.
    """
    experiment = load_experiment(path)
    if not writable(path.parent):
        raise UserError(f"{path.parent} cannot be written, where the result goes", "copy the experiment elsewhere")
    configs = {
        (variant.name, fold): trial_config(path, experiment, variant, fold, runs)
        for variant in experiment.variants
        for fold in experiment.folds
    }
    first = next(iter(configs.values()))
    for (name, _), config in configs.items():
        if config.task != first.task:
            raise UserError(f"variant {name} has task {config.task}, the first {first.task}", "compare one task")
    for variant in experiment.variants:
        if variant.after is None:
            continue
        for fold in experiment.folds:
            config, source = configs[variant.name, fold], trial_folder(runs, path.stem, variant.after, fold)
            if not config.compression:
                raise UserError(f"variant {variant.name} adds no compression to {variant.after}", "add a step to it")
            check_same_training(configs[variant.after, fold], config, source)
    variants = []
    for variant in experiment.variants:
        trials = []
        for fold in experiment.folds:
            console.print(f"{path.stem}: {variant.name}, fold {fold}")
            config = configs[variant.name, fold]
            trials.append(_trial(path, variant, fold, config, experiment.disturbances, runs))
        variants.append(VariantResult(name=variant.name, what=variant.what, changes=variant.changes, folds=trials))
    task = get_task(first.task)
    result = ExperimentResult(
        name=path.stem,
        question=experiment.question,
        task=task.name,
        classes=list(task.classes),
        headline=task.headline(first.track),
        reference=experiment.reference,
        disturbances=experiment.disturbances,
        variants=variants,
    )
    out = path.with_suffix(".json")
    write_json(out, result.model_dump(mode="json"))
    return result, out


def _trial(
    path: Path, variant: Variant, fold: int | str, config: Config, disturbances: list[Disturbance], runs: Path
) -> TrialResult:
    """Train a variant on a fold and validate it, or read what came of that."""
    out = trial_folder(runs, path.stem, variant.name, fold)
    kept = out / _KEPT
    if kept.is_file():
        if _of_training(load_config(out / "config.yaml")) != _of_training(config):
            raise UserError(f"{out} holds a run of another configuration", "remove it, or rename the variant")
        try:
            known = TrialResult.model_validate_json(kept.read_bytes())
        except ValidationError as error:
            raise UserError(f"{kept} is damaged", "remove it and run the experiment again") from error
        if known.code not in (None, code()):
            console.print(f"{out} is of examples that other code made; remove it, and it is trained anew")
        if None not in (known.teachers, taught := _teachers(config)) and known.teachers != taught:
            raise UserError(f"{out} was taught by other networks than its teachers are now", "remove it")
        check_recordings(out, config)
        if known.disturbances == disturbances:
            return known
    elif variant.after is None:
        train(config, out, resume=True)
    else:
        compress(trial_folder(runs, path.stem, variant.after, fold), config, out, resume=True)
    result = _validate(config, out, fold, disturbances)
    write_json(kept, result.model_dump(mode="json"))
    return result


def _of_training(config: Config) -> Config:
    """The configuration without what a trial does not look at: texts, test splits, and how a model is published."""
    converted = config.export.model_dump(include={"calibration_examples", "calibration_seed", "calibration_method"})
    return config.model_copy(
        update={
            **dict.fromkeys(("summary", "limits", "origin"), ""),
            "data": config.data.model_copy(update={"test": []}),
            "export": ExportConfig(**converted, activations=config.export.activations),
        }
    )


def _validate(config: Config, run: Path, fold: int | str, disturbances: list[Disturbance]) -> TrialResult:
    """Every seed's network, as its last step left it, on the patients that did not train it."""
    data = load_training_set(config)
    check_examples(run, data)
    models = {seed: load_model(plans(run / f"seed-{seed}", config)[-1].folder / BEST) for seed in config.seeds}
    found: dict[int, list[dict[str, list[list[int]]]]] = {seed: [] for seed in models}
    for each in (data, *(disturbed_validation(data, disturbance) for disturbance in disturbances)):
        inputs, records = each.inputs(each.validation), each.recordings(each.validation)
        for seed, model in models.items():
            logits = model.predict(inputs, batch_size=config.training.batch_size, verbose=0)
            found[seed].append(_by_patient(each, shifted(config, logits, records).argmax(axis=1)))
    seeds = [
        SeedResult(fold=fold, seed=seed, patients=plain, disturbed=others) for seed, (plain, *others) in found.items()
    ]
    cost = measure_cost(convert_seed(config, run, config.seeds[0], data.inputs(data.calibration())))
    return TrialResult(cost=cost, disturbances=disturbances, seeds=seeds, code=code(), teachers=_teachers(config))


def _teachers(config: Config) -> list[str] | None:
    """Hashes of the networks that teach; None where they are not at hand any more."""
    try:
        return [sha256(path) for name in teachers_of(config) for path in find_teachers(name, config)]
    except UserError:
        return None


def _by_patient(data: TrainingSet, found: np.ndarray) -> dict[str, list[list[int]]]:
    labels, patients = data.labels[data.validation], data.patients[data.validation]
    matrices = confusion_matrices(labels, found, patients, len(data.task.classes))
    return {name: matrix.tolist() for name, matrix in matrices.items()}
