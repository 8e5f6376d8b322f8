"""A seed's compression steps, one after the other."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import keras

from heartzoo.checkpoints import BEST, is_finished, plans
from heartzoo.compression.distill import distill_stage, find_layer
from heartzoo.compression.prune_channels import check_budgets, prune_channels_stage
from heartzoo.compression.prune_weights import KeepZeros, prune_weights_stage
from heartzoo.compression.quantize_aware import quantize_aware_stage
from heartzoo.compression.recurrent import is_recurrent
from heartzoo.compression.step import Step
from heartzoo.config import Config
from heartzoo.config.compression import SELF, DistillConfig
from heartzoo.data.training_set import TrainingSet
from heartzoo.errors import UserError
from heartzoo.models.members import is_committee
from heartzoo.training import Stage, build_model, run_stage

STAGES: dict[str, Callable[[Any, Step], Stage]] = {
    "distill": distill_stage,
    "prune_weights": prune_weights_stage,
    "prune_channels": prune_channels_stage,
    "quantize_aware": quantize_aware_stage,
}


def check_steps(config: Config) -> None:
    """Refuse steps that cannot work on the network, before anything is trained.

    Raises:
        UserError: a step needs TensorFlow or is not for an LSTM, or a budget cannot be met.
    """
    if not config.compression and config.export.calibration_method == "minmax":
        return
    model = build_model(config)
    if config.export.calibration_method != "minmax":
        _require_convolutions(model, f"export.calibration_method = {config.export.calibration_method}")
    for step in config.compression:
        if step.technique != "distill":
            _require_convolutions(model, step.technique)
        if step.technique in ("prune_weights", "quantize_aware") and keras.backend.backend() != "tensorflow":
            raise UserError(
                f"{step.technique} needs Keras on TensorFlow, found KERAS_BACKEND={keras.backend.backend()}",
                "run it without KERAS_BACKEND",
            )
        if is_committee(model) and not (step.distill and step.distill.fresh):
            raise UserError(
                f"{step.technique} would train the members of {config.name} as one",
                "take a single network (mlp with members: 1), or distill with fresh: true",
            )
        if step.distill:
            for pair in step.distill.features:
                find_layer(model, pair.student, "student")
    prunings = [step.prune_channels for step in config.compression if step.prune_channels]
    if prunings:  # a second begins with what the first leaves
        check_budgets(prunings[0], config, model)


def _require_convolutions(model: keras.Model, technique: str) -> None:
    if is_recurrent(model):
        raise UserError(f"{technique} is for convolutions and dense layers, this network is an LSTM", "leave it out")


def compress_seed(
    config: Config, data: TrainingSet, out: Path, seed: int, find_teachers: Callable[[str], Sequence[Path]]
) -> None:
    """Take the steps of one trained seed, or go on with them.

    Args:
        config: the configuration.
        data: its training set.
        out: the seed's folder.
        seed: the seed.
        find_teachers: name of a teacher -> files of its networks; asked for unfinished steps only.
    """
    pruned, trainings = False, plans(out, config)
    for number, (step, before, plan) in enumerate(zip(config.compression, trainings, trainings[1:], strict=False)):
        if not is_finished(plan):
            for later in trainings[number + 2 :]:  # where this one alone was removed: they began from it
                shutil.rmtree(later.folder, ignore_errors=True)
            teachers: list[Path] = []
            if isinstance(step.settings, DistillConfig):
                for name in step.settings.teachers:
                    teachers += [before.folder / BEST] if name == SELF else find_teachers(name)
            setting = Step(config, data, plan, before.folder / BEST, seed, tuple(teachers))
            stage = STAGES[step.technique](step.settings, setting)
            run_stage(replace(stage, callbacks=_keep_zeros) if pruned else stage, data, seed)
        pruned |= step.technique == "prune_weights"


def _keep_zeros(network: keras.Model) -> list[keras.callbacks.Callback]:
    return [KeepZeros(network)]
