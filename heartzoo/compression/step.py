"""What every compression step starts from."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import keras

from heartzoo.checkpoints import Plan, load_model
from heartzoo.config import Config
from heartzoo.data.training_set import TrainingSet


@dataclass(frozen=True)
class Step:
    """A step of one seed.

    Attributes:
        config: the run's configuration.
        data: its training set.
        plan: the step's own recipe, and where its checkpoints go.
        before: the network that the step starts from, a ``.keras`` file.
        seed: the training's seed.
        teachers: files of the networks that teach, in a distillation.
    """

    config: Config
    data: TrainingSet
    plan: Plan
    before: Path
    seed: int
    teachers: tuple[Path, ...] = ()

    @property
    def run(self) -> Path:
        """The run's folder."""
        return self.plan.folder.parents[1]

    def title(self, technique: str) -> str:
        """What the progress bar calls it."""
        return f"{self.config.name}, {technique.replace('_', ' ')}"

    def network(self) -> keras.Model:
        """The network that the step starts from."""
        return load_model(self.before)
