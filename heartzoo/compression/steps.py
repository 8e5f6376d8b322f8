"""A seed's compression steps, one after the other."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from heartzoo.checkpoints import BEST, stage_folders, stage_recipes
from heartzoo.compression.distill import distill_stage
from heartzoo.compression.prune_channels import prune_channels_stage
from heartzoo.compression.prune_weights import prune_weights_stage
from heartzoo.compression.quantize_aware import quantize_aware_stage
from heartzoo.compression.step import Step
from heartzoo.config import Config
from heartzoo.config.compression import SELF, DistillConfig
from heartzoo.data.training_set import TrainingSet
from heartzoo.training import Stage, is_finished, run_stage

STAGES: dict[str, Callable[[Any, Step], Stage]] = {
    "distill": distill_stage,
    "prune_weights": prune_weights_stage,
    "prune_channels": prune_channels_stage,
    "quantize_aware": quantize_aware_stage,
}


def compress_seed(
    config: Config, data: TrainingSet, out: Path, seed: int, find_teachers: Callable[[str], Sequence[Path]]
) -> None:
    """Take the steps of one trained seed, or go on with them.

    Args:
        config: the configuration.
        data: its training set.
        out: the seed's folder.
        seed: the seed.
        find_teachers: name of a teacher -> files of its networks.
    """
    folders, recipes = stage_folders(out, config), stage_recipes(config)
    for step, before, folder, recipe in zip(config.compression, folders, folders[1:], recipes[1:], strict=False):
        if is_finished(folder, recipe):
            continue
        teachers: list[Path] = []
        if isinstance(step.settings, DistillConfig):
            for name in step.settings.teachers:
                teachers += [before / BEST] if name == SELF else find_teachers(name)
        setting = Step(config, data, recipe, folder, before / BEST, seed, tuple(teachers))
        run_stage(STAGES[step.technique](step.settings, setting), data, seed)
