"""A seed's folder, ``seed-<n>/`` of a run, and in it a folder ``step-<n>-<technique>/`` for each compression step.

Each holds ``state.json`` (the history), ``last.<epoch>.npz`` (the last finished epoch, optimizer included) and
``best.keras`` (the network that is kept: of the epoch that early stopping prefers, or of the last); for a moment also
``before.<epoch>.keras``, which was the best before that epoch.
"""

from __future__ import annotations

import io
import json
import math
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path

import keras
import numpy as np

from heartzoo.compression.fake_layers import CUSTOM_LAYERS
from heartzoo.config import Config
from heartzoo.config.training import ScheduleConfig, TrainingConfig
from heartzoo.errors import UserError, first_line
from heartzoo.files import atomic_path, write_bytes, write_json
from heartzoo.models.members import CUSTOM_OBJECTS, without_silencing

History = list[dict[str, float]]
BEST = "best.keras"
_CUSTOM = {**CUSTOM_LAYERS, **CUSTOM_OBJECTS}


@dataclass(frozen=True)
class Plan:
    """One training of a seed.

    Attributes:
        folder: where its checkpoints go.
        recipe: by which it runs.
        first_epoch: the first that may be kept, counted from 0; the training does not end before it.
    """

    folder: Path
    recipe: TrainingConfig
    first_epoch: int = 0


def plans(seed_folder: Path, config: Config) -> list[Plan]:
    """The trainings of a seed: its first, then one for each compression step.

    A step has its own epochs and learning rate, which falls as a cosine; a pruning keeps no epoch before the last
    weights have gone.
    """
    found = [Plan(seed_folder, config.training)]
    for number, step in enumerate(config.compression, start=1):
        changes = {
            "epochs": step.settings.epochs,
            "learning_rate": step.settings.learning_rate,
            "schedule": ScheduleConfig(kind="cosine"),
        }
        first = 0
        if step.prune_weights:
            steps = config.training.steps_per_epoch
            first = math.ceil(step.prune_weights.choices(steps)[0] / steps) - 1
        folder = seed_folder / f"step-{number}-{step.technique}"
        found.append(Plan(folder, config.training.model_copy(update=changes), first))
    return found


def float_network(seed_folder: Path, config: Config) -> Path:
    """A seed's network as it is published in float: after the last step that leaves it in float."""
    rounded = bool(config.compression) and config.compression[-1].quantize_aware is not None
    return plans(seed_folder, config)[-2 if rounded else -1].folder / BEST


def save_epoch(network: keras.Model, optimizer: keras.optimizers.Optimizer, history: History, plan: Plan) -> None:
    """Write the checkpoint of a finished epoch. ``state.json`` comes last: it makes the epoch count."""
    epoch, out = len(history), plan.folder
    last = _last(out, epoch)
    # Made in memory: HDF5, which save_weights would write, takes the process down with it on a full disk.
    content = io.BytesIO()
    np.savez(content, *(np.asarray(variable) for variable in _state(network, optimizer)))
    write_bytes(last, content.getvalue())
    if best_epoch(history, plan) == epoch - 1:
        # The one before stays until the epoch counts: repeated after a kill, it may turn out worse on another machine.
        if (out / BEST).is_file():
            (out / BEST).replace(out / f"before.{epoch}.keras")
        with atomic_path(out / BEST) as temporary:
            without_silencing(network).save(temporary)
    write_json(out / "state.json", {"history": history})
    for old in (*out.glob("last.*"), *out.glob("before.*")):
        if old != last:
            old.unlink()


def _last(out: Path, epoch: int) -> Path:
    return out / f"last.{epoch}.npz"


def _state(network: keras.Model, optimizer: keras.optimizers.Optimizer) -> list[keras.Variable]:
    """Everything an epoch changes: weights, statistics, the optimizer's moments and step count."""
    return [*network.weights, *optimizer.variables]


def load_epoch(network: keras.Model, optimizer: keras.optimizers.Optimizer, out: Path, epoch: int) -> None:
    """Load the weights and the state of a built optimizer as of a finished epoch, counted from 1.

    ``best.keras`` becomes what it was then, where an epoch that does not count had taken its place.

    Raises:
        UserError: the checkpoint is missing or damaged.
    """
    for before in out.glob("before.*.keras"):
        if int(before.name.split(".")[1]) > epoch:
            before.replace(out / BEST)
    path = _last(out, epoch)
    try:
        with np.load(path) as content:
            for i, variable in enumerate(_state(network, optimizer)):
                variable.assign(content[f"arr_{i}"])
    except (OSError, EOFError, ValueError, KeyError, TypeError, zipfile.BadZipFile) as error:
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
            for figures in json.loads(path.read_text(encoding="utf-8"))["history"]
        ]
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise UserError(f"{path} is damaged", f"remove {out} and train that seed anew") from error


def best_epoch(history: History, plan: Plan) -> int:
    """Index of the epoch that is kept: the first with the best watched metric, or the last.

    It is the last where nobody validates, or the recipe wants it.
    """
    last = len(history) - 1
    if plan.recipe.fold is None or plan.recipe.early_stopping.keep == "last" or last < plan.first_epoch:
        return last
    return plan.first_epoch + _best(history[plan.first_epoch :], plan.recipe)


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


def finished(history: History, plan: Plan) -> bool:
    """Whether training has had its last epoch."""
    if not history:
        return False
    waited = len(history) - 1 - best_epoch(history, plan)
    return len(history) >= plan.recipe.epochs or waited >= plan.recipe.early_stopping.patience


def is_finished(plan: Plan) -> bool:
    """Whether a training's folder holds its last epoch.

    Raises:
        UserError: what it holds of it is damaged, or the network is gone.
    """
    done, network = finished(read_history(plan.folder), plan), plan.folder / BEST
    if done and not zipfile.is_zipfile(network):
        raise UserError(f"{network} is missing or cut short", f"remove {plan.folder} and train that seed anew")
    return done


def load_model(path: Path) -> keras.Model:
    """Load a ``.keras`` file in safe mode.

    Raises:
        UserError: it is absent, no Keras file, or holds code.
    """
    if not path.is_file():
        raise UserError(f"no model file {path}", "train first, or name another")
    if not zipfile.is_zipfile(path):  # Keras would say that it is not there
        raise UserError(f"{path} is cut short, or no .keras file", "restore it, or make it anew")
    try:
        return keras.saving.load_model(path, custom_objects=_CUSTOM, safe_mode=True, compile=False)
    except (ValueError, TypeError, KeyError, OSError, zipfile.BadZipFile, zlib.error, RecursionError) as error:
        raise UserError(f"{path} cannot be loaded as a Keras model ({first_line(error)})", "export it again") from error
