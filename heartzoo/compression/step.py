"""What every compression step starts from."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import keras

from heartzoo.checkpoints import load_model
from heartzoo.config import Config, TrainingConfig
from heartzoo.data.training_set import TrainingSet


@dataclass(frozen=True)
class Step:
    """A step of one seed.

    Attributes:
        config: the run's configuration.
        data: its training set.
        recipe: the step's own recipe.
        folder: where the step's checkpoints go.
        before: the network that the step starts from, a ``.keras`` file.
        seed: the training's seed.
        teachers: files of the networks that teach, in a distillation.
    """

    config: Config
    data: TrainingSet
    recipe: TrainingConfig
    folder: Path
    before: Path
    seed: int
    teachers: tuple[Path, ...] = ()

    def title(self, technique: str) -> str:
        """What the progress bar calls it."""
        return f"{self.config.name}, {technique.replace('_', ' ')}"

    def network(self) -> keras.Model:
        """The network that the step starts from."""
        return load_model(self.before)
