"""Training: compile, fit, validate, checkpoint, resume. Runs on any Keras backend.

A run's folder holds ``config.yaml`` and for each seed ``seed-<n>/`` with ``state.json`` (the history),
``last.<epoch>.npz`` (the last finished epoch, optimizer included) and ``best.keras`` (the epoch that early
stopping prefers).
"""

from __future__ import annotations

import io
import json
import sys
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import keras
import numpy as np
import yaml
from keras import ops
from rich.progress import Progress, TaskID

from heartzoo import models
from heartzoo.config import Config, EarlyStoppingConfig, TrainingConfig, load_config
from heartzoo.data.batches import Inputs, TrainingBatches
from heartzoo.data.training_set import TrainingSet, load_training_set
from heartzoo.errors import UserError
from heartzoo.files import atomic_path, lock, write_bytes, write_json
from heartzoo.metrics import confusion_matrix, macro_f1, macro_f1_nsv
from heartzoo.progress import console, progress
from heartzoo.tasks import get_task

PREDICT_BATCH = 512
History = list[dict[str, float]]


def train(config: Config, out: Path, resume: bool = False) -> Path:
    """Train every seed of a configuration.

    Args:
        config: the configuration.
        out: the run's folder.
        resume: continue a run that was interrupted; a finished seed is left as it is.

    Returns:
        ``out``.

    Raises:
        UserError: ``out`` holds a run and ``resume`` is false, or a run of another configuration; data are missing.
    """
    with lock(out / "run"), _without_tensorflow():
        _check_run(config, out, resume)
        build_model(config)  # before minutes of preparation
        data = load_training_set(config)
        if not (out / "config.yaml").is_file():
            tree = yaml.safe_dump(config.model_dump(mode="json"), sort_keys=False)
            write_bytes(out / "config.yaml", tree.encode())
        for seed in config.seeds:
            train_seed(config, data, out / f"seed-{seed}", seed)
    return out


@contextmanager
def _without_tensorflow() -> Iterator[None]:
    """Keep Keras on another backend from importing TensorFlow, as it does under any backend where it is installed."""
    if keras.backend.backend() == "tensorflow" or "tensorflow" in sys.modules:
        yield
        return
    sys.modules["tensorflow"] = None  # type: ignore[assignment]  # an import raises ImportError
    try:
        yield
    finally:
        del sys.modules["tensorflow"]


def train_seed(config: Config, data: TrainingSet, out: Path, seed: int) -> None:
    """Train one seed, or go on with it from its last finished epoch.

    Args:
        config: the configuration.
        data: its training set.
        out: the seed's folder.
        seed: seeds the weights, the dropout and every batch.
    """
    history = read_history(out)
    if finished(history, config.training):
        return
    keras.utils.set_random_seed(seed)
    model, batches = build_model(config), data.batches(seed)
    model.compile(
        optimizer=keras.optimizers.Adam(_schedule(config.training)),
        loss=_loss(config.training, batches),
        # XLA makes these networks slower under TensorFlow on a CPU; JAX always compiles.
        jit_compile=False if keras.backend.backend() == "tensorflow" else "auto",
    )
    for leftover in out.glob(".part.*"):  # of a killed training: the run's lock is ours
        leftover.unlink(missing_ok=True)
    if history:
        _load_epoch(model, _last(out, len(history)))
    validation = Validation(data)
    with progress() as bar:
        total = config.training.epochs * config.training.steps_per_epoch
        done = len(history) * config.training.steps_per_epoch
        task = bar.add_task(f"train {config.name}, seed {seed}", total=total, completed=done)
        keeper = RunKeeper(config, out, seed, history, validation, bar, task)
        model.fit(
            Batches(batches, config.training.steps_per_epoch, len(history)),
            initial_epoch=len(history),
            epochs=config.training.epochs,
            callbacks=[keeper],
            shuffle=False,
            verbose=0,
        )
        bar.update(task, completed=total)


def build_model(config: Config) -> keras.Model:
    """The untrained network of a configuration."""
    return models.build(
        config.model.architecture,
        (1, config.input.frame, 1),
        len(get_task(config.task).classes),
        len(config.input.rr_features),
        **{name: tuple(v) if isinstance(v, list) else v for name, v in config.model.sizes.items()},
    )


class Batches(keras.utils.PyDataset):
    """Feeds a training set's batches to ``fit``; the next ones are made while a step runs."""

    def __init__(self, batches: TrainingBatches, steps: int, epoch: int) -> None:
        super().__init__(workers=1, use_multiprocessing=False, max_queue_size=4)
        self.batches, self.steps, self.epoch = batches, steps, epoch

    def __len__(self) -> int:
        """Steps in an epoch."""
        return self.steps

    def __getitem__(self, step: int) -> tuple[Inputs, np.ndarray]:
        return self.batches.batch(self.epoch, step)

    def on_epoch_end(self) -> None:
        """The next batches are those of the next epoch."""
        self.epoch += 1


class Validation:
    """The validation patients' examples, and how well a model does on them.

    ``val_loss`` weighs examples as the training draws them, so that it does not follow the commonest class alone;
    ``val_accuracy`` and ``val_macro_f1`` (the task's headline: over N, S and V for five classes) count every beat once.
    """

    def __init__(self, data: TrainingSet) -> None:
        self.inputs = data.inputs(data.validation)
        self.labels = data.labels[data.validation]
        self.weights = data.probabilities(data.validation)
        self.classes = len(data.task.classes)
        self.headline = macro_f1_nsv if data.task.headline == "macro_f1_nsv" else macro_f1

    def __call__(self, model: keras.Model) -> dict[str, float]:
        """Figures of a model on the validation patients."""
        logits = model.predict(self.inputs, batch_size=PREDICT_BATCH, verbose=0)
        return self.score(logits)

    def score(self, logits: np.ndarray) -> dict[str, float]:
        """Figures for logits of shape (n, classes)."""
        shifted = logits - logits.max(axis=1, keepdims=True)
        log_p = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
        matrix = confusion_matrix(self.labels, logits.argmax(axis=1), self.classes)
        return {
            "val_loss": float(-(self.weights * log_p[np.arange(len(log_p)), self.labels]).sum()),
            "val_accuracy": float(np.trace(matrix) / matrix.sum()),
            "val_macro_f1": float(self.headline(matrix)),
        }


class RunKeeper(keras.callbacks.Callback):
    """After each epoch: validate, write the checkpoint, stop early. Trackers go beside it as callbacks."""

    def __init__(
        self,
        config: Config,
        out: Path,
        seed: int,
        history: History,
        validation: Validation,
        bar: Progress,
        task: TaskID,
    ) -> None:
        super().__init__()
        self.config, self.out, self.seed, self.history = config, out, seed, history
        self.validation, self.bar, self.task = validation, bar, task

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Seed dropout by epoch, so that a resumed run drops what the undisturbed one would have dropped."""
        for layer in self.model.layers:
            generator = getattr(layer, "seed_generator", None)
            if generator is not None:
                generator.state.assign(np.array([self.seed, epoch], generator.state.dtype))

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        """Move the progress bar."""
        self.bar.advance(self.task)

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Validate, keep the epoch, and end the training where the rule says so."""
        figures = {"loss": float((logs or {})["loss"]), **self.validation(self.model)}
        if not np.isfinite(list(figures.values())).all():
            raise UserError(
                f"{self.config.name}, seed {self.seed}: the loss is not finite in epoch {epoch + 1}",
                "lower training.learning_rate",
            )
        self.history.append(figures)
        save_epoch(self.model, self.out, self.history, self.config.training.early_stopping)
        best = best_epoch(self.history, self.config.training.early_stopping)
        shown = "  ".join(f"{name} {value:.4f}" for name, value in figures.items())
        console.print(f"epoch {epoch + 1:3d}  {shown}{'  *' if best == epoch else ''}", soft_wrap=True)
        if finished(self.history, self.config.training):
            self.model.stop_training = True


def save_epoch(model: keras.Model, out: Path, history: History, rule: EarlyStoppingConfig) -> None:
    """Write the checkpoint of a finished epoch. ``state.json`` comes last: it makes the epoch count."""
    epoch = len(history)
    last = _last(out, epoch)
    # Made in memory: HDF5, which save_weights would write, takes the process down with it on a full disk.
    content = io.BytesIO()
    np.savez(content, *(np.asarray(variable) for variable in _state(model)))
    write_bytes(last, content.getvalue())
    if best_epoch(history, rule) == epoch - 1:
        with atomic_path(out / "best.keras") as temporary:
            model.save(temporary)
    write_json(out / "state.json", {"history": history})
    for old in out.glob("last.*"):
        if old != last:
            old.unlink()


def _last(out: Path, epoch: int) -> Path:
    return out / f"last.{epoch}.npz"


def _state(model: keras.Model) -> list[keras.Variable]:
    """Everything an epoch changes: weights, statistics, the optimizer's moments and step count."""
    return [*model.weights, *model.optimizer.variables]


def _load_epoch(model: keras.Model, path: Path) -> None:
    """Load the weights and the optimizer's state of a finished epoch."""
    model.optimizer.build(model.trainable_variables)
    try:
        with np.load(path) as content:
            for i, variable in enumerate(_state(model)):
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


def best_epoch(history: History, rule: EarlyStoppingConfig) -> int:
    """Index of the epoch that is kept: the first with the best value of the watched metric."""
    values = np.array([figures[rule.metric] for figures in history])
    return int(values.argmin() if rule.metric == "val_loss" else values.argmax())


def finished(history: History, training: TrainingConfig) -> bool:
    """Whether training has had its last epoch."""
    if not history:
        return False
    waited = len(history) - 1 - best_epoch(history, training.early_stopping)
    return len(history) >= training.epochs or waited >= training.early_stopping.patience


def _check_run(config: Config, out: Path, resume: bool) -> None:
    """Refuse a folder that holds a run which is not to be gone on with."""
    path = out / "config.yaml"
    if not path.is_file():
        return
    if not resume:
        raise UserError(f"{out} already holds a run", "go on with it by --resume, or name another --out")
    if load_config(path) != config:
        raise UserError(f"{out} holds a run of another configuration", "resume it with its own, or name another --out")


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


def _schedule(training: TrainingConfig) -> float | keras.optimizers.schedules.LearningRateSchedule:
    rule, steps = training.schedule, training.steps_per_epoch
    if rule.kind == "cosine":
        return keras.optimizers.schedules.CosineDecay(
            training.learning_rate, training.epochs * steps, alpha=rule.final_fraction
        )
    if rule.kind == "cosine-restarts":
        return keras.optimizers.schedules.CosineDecayRestarts(
            training.learning_rate,
            rule.first_restart_epochs * steps,
            t_mul=rule.period_factor,
            m_mul=rule.peak_factor,
            alpha=rule.final_fraction,
        )
    return training.learning_rate


def _loss(training: TrainingConfig, batches: TrainingBatches) -> Any:
    drawn = np.bincount(batches.labels, weights=batches.probabilities, minlength=batches.classes)
    weights = (1 / drawn) / (1 / drawn).mean()
    if training.loss == "focal":
        return keras.losses.CategoricalFocalCrossentropy(
            alpha=weights.tolist(), gamma=training.focal_gamma, from_logits=True
        )
    if training.loss == "weighted":

        def weighted_cross_entropy(labels: Any, logits: Any) -> Any:
            losses = ops.categorical_crossentropy(labels, logits, from_logits=True)
            return ops.mean(losses * ops.sum(labels * ops.convert_to_tensor(weights, "float32"), axis=-1))

        return weighted_cross_entropy
    return keras.losses.CategoricalCrossentropy(from_logits=True)
