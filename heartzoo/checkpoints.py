"""A seed's folder, ``seed-<n>/`` of a run, and in it a folder ``step-<n>-<technique>/`` for each compression step.

Each holds ``state.json`` (the history), ``last.<epoch>.npz`` (the last finished epoch, optimizer included) and
``best.keras`` (the network that is kept: of the epoch that early stopping prefers, without validation of the last).
"""

from __future__ import annotations

import io
import json
import zipfile
from pathlib import Path

import keras
import numpy as np

from heartzoo.config import Config, ScheduleConfig, TrainingConfig
from heartzoo.errors import UserError
from heartzoo.files import atomic_path, write_bytes, write_json

History = list[dict[str, float]]
BEST = "best.keras"


def stage_folders(seed_folder: Path, config: Config) -> list[Path]:
    """The folders of a seed's training and of its compression steps, in order."""
    steps = [seed_folder / f"step-{n}-{step.technique}" for n, step in enumerate(config.compression, start=1)]
    return [seed_folder, *steps]


def stage_recipes(config: Config) -> list[TrainingConfig]:
    """The recipe of each of those trainings. A step has its own epochs and learning rate, which falls as a cosine."""
    steps = [
        config.training.model_copy(
            update={
                "epochs": step.settings.epochs,
                "learning_rate": step.settings.learning_rate,
                "schedule": ScheduleConfig(kind="cosine"),
            }
        )
        for step in config.compression
    ]
    return [config.training, *steps]


def float_network(seed_folder: Path, config: Config) -> Path:
    """A seed's network as it is published in float: after the last step that leaves it in float."""
    folders = stage_folders(seed_folder, config)
    rounded = bool(config.compression) and config.compression[-1].quantize_aware is not None
    return folders[-2 if rounded else -1] / BEST


def unfinished(run: Path, config: Config) -> list[int]:
    """Seeds of a run that have not had all of their trainings."""
    recipes = stage_recipes(config)
    return [
        seed
        for seed in config.seeds
        if not all(
            finished(read_history(folder), recipe)
            for folder, recipe in zip(stage_folders(run / f"seed-{seed}", config), recipes, strict=True)
        )
    ]


def save_epoch(
    network: keras.Model, optimizer: keras.optimizers.Optimizer, out: Path, history: History, training: TrainingConfig
) -> None:
    """Write the checkpoint of a finished epoch. ``state.json`` comes last: it makes the epoch count."""
    epoch = len(history)
    last = _last(out, epoch)
    # Made in memory: HDF5, which save_weights would write, takes the process down with it on a full disk.
    content = io.BytesIO()
    np.savez(content, *(np.asarray(variable) for variable in _state(network, optimizer)))
    write_bytes(last, content.getvalue())
    if best_epoch(history, training) == epoch - 1:
        with atomic_path(out / BEST) as temporary:
            network.save(temporary)
    write_json(out / "state.json", {"history": history})
    for old in out.glob("last.*"):
        if old != last:
            old.unlink()


def _last(out: Path, epoch: int) -> Path:
    return out / f"last.{epoch}.npz"


def _state(network: keras.Model, optimizer: keras.optimizers.Optimizer) -> list[keras.Variable]:
    """Everything an epoch changes: weights, statistics, the optimizer's moments and step count."""
    return [*network.weights, *optimizer.variables]


def load_epoch(network: keras.Model, optimizer: keras.optimizers.Optimizer, out: Path, epoch: int) -> None:
    """Load the weights and the optimizer's state of a finished epoch, counted from 1.

    Raises:
        UserError: the checkpoint is missing or damaged.
    """
    path = _last(out, epoch)
    optimizer.build(network.trainable_variables)
    try:
        with np.load(path) as content:
            for i, variable in enumerate(_state(network, optimizer)):
                variable.assign(content[f"arr_{i}"])
    except (OSError, ValueError, KeyError, TypeError, zipfile.BadZipFile) as error:
        raise UserError(f"{path} is missing or damaged", f"remove {path.parent} and train that seed anew") from error


def read_history(out: Path) -> History:
    """Figures of the finished epochs of a seed's folder; empty where there are none.

    Raises:
        UserError: ``state.json`` is damaged.
    """
    path = out / "state.json"
    if not path.is_file():
        return []
    try:
        return [
            {name: float(value) for name, value in figures.items()}
            for figures in json.loads(path.read_text())["history"]
        ]
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise UserError(f"{path} is damaged", f"remove {out} and train that seed anew") from error


def best_epoch(history: History, training: TrainingConfig) -> int:
    """Index of the epoch that is kept: the first with the best watched metric; without validation the last."""
    return len(history) - 1 if training.fold is None else _best(history, training)


def _best(history: History, training: TrainingConfig) -> int:
    """Index of the best epoch so far by the watched metric; without validation by the training loss."""
    rule = training.early_stopping
    metric = "loss" if training.fold is None else rule.metric
    sign = -1 if metric.endswith("loss") else 1
    best = 0
    for epoch, figures in enumerate(history):
        if sign * (figures[metric] - history[best][metric]) > rule.min_delta:
            best = epoch
    return best


def plateaus(history: History, training: TrainingConfig) -> int:
    """How often ``decay_epochs`` epochs have passed without a better one: how often a plateau schedule has decayed.

    It follows from the history alone, so a resumed training has the rate of the undisturbed one.
    """
    found, since = 0, 0
    for epoch in range(1, len(history)):
        if _best(history[: epoch + 1], training) == epoch:
            since = epoch
        elif epoch - since >= training.schedule.decay_epochs:
            found, since = found + 1, epoch
    return found


def finished(history: History, training: TrainingConfig) -> bool:
    """Whether training has had its last epoch."""
    if not history:
        return False
    waited = len(history) - 1 - best_epoch(history, training)
    return len(history) >= training.epochs or waited >= training.early_stopping.patience


def load_model(path: Path) -> keras.Model:
    """Load a ``.keras`` file in safe mode.

    Raises:
        UserError: it is absent, no Keras file, or holds code.
    """
    if not path.is_file():
        raise UserError(f"no model file {path}", "train first, or name another")
    try:
        return keras.saving.load_model(path, safe_mode=True, compile=False)
    except (ValueError, TypeError, KeyError, OSError) as error:
        raise UserError(
            f"{path} cannot be loaded as a Keras model ({str(error).splitlines()[0]})", "export it again"
        ) from error
