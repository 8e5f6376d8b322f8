"""Training: compile, fit, validate, resume. Runs on any Keras backend.

A run's folder holds ``config.yaml`` and for each seed ``seed-<n>/``: see :mod:`heartzoo.checkpoints`.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import keras
import numpy as np
import yaml
from rich.progress import Progress, TaskID

from heartzoo import models, recipes
from heartzoo.checkpoints import History, best_epoch, finished, load_epoch, plateaus, read_history, save_epoch
from heartzoo.config import Config
from heartzoo.config_file import load_config
from heartzoo.data.batches import Inputs, TrainingBatches
from heartzoo.data.training_set import TrainingSet, load_training_set
from heartzoo.errors import UserError
from heartzoo.files import lock, write_bytes
from heartzoo.metrics import confusion_matrix, macro_f1, macro_f1_nsv, mean_recall
from heartzoo.progress import console, progress
from heartzoo.tasks import get_task

PREDICT_BATCH = 512


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
        optimizer=recipes.optimizer(config.training),
        loss=recipes.loss(config.training, batches.class_shares),
        # XLA makes these networks slower under TensorFlow on a CPU; JAX always compiles.
        jit_compile=False if keras.backend.backend() == "tensorflow" else "auto",
    )
    for leftover in out.glob(".part.*"):  # of a killed training: the run's lock is ours
        leftover.unlink(missing_ok=True)
    if history:
        load_epoch(model, out, len(history))
    validation = None if config.training.fold is None else Validation(data)
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
    ``val_accuracy``, ``val_mean_recall`` and ``val_macro_f1`` (the task's headline: over N, S and V for five classes,
    except on the random split) count every beat once.
    """

    def __init__(self, data: TrainingSet) -> None:
        self.inputs = data.inputs(data.validation)
        self.labels = data.labels[data.validation]
        self.weights = data.probabilities(data.validation)
        self.classes = len(data.task.classes)
        self.headline = macro_f1_nsv if data.task.headline(data.config.track) == "macro_f1_nsv" else macro_f1

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
            "val_mean_recall": float(mean_recall(matrix)),
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
        validation: Validation | None,
        bar: Progress,
        task: TaskID,
    ) -> None:
        super().__init__()
        self.config, self.out, self.seed, self.history = config, out, seed, history
        self.validation, self.bar, self.task = validation, bar, task

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Seed dropout by epoch, so that a resumed run drops what the undisturbed one would have dropped.

        A plateau schedule's rate is set here for the same reason.
        """
        training = self.config.training
        if training.schedule.kind == "plateau":
            decays = plateaus(self.history, training)
            self.model.optimizer.learning_rate = training.learning_rate * training.schedule.decay_factor**decays
        for layer in self.model.layers:
            generator = getattr(layer, "seed_generator", None)
            if generator is not None:
                generator.state.assign(np.array([self.seed, epoch], generator.state.dtype))

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        """Move the progress bar."""
        self.bar.advance(self.task)

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Validate, keep the epoch, and end the training where the rule says so."""
        figures = {"loss": float((logs or {})["loss"])}
        if self.validation is not None:
            figures |= self.validation(self.model)
        if not np.isfinite(list(figures.values())).all():
            raise UserError(
                f"{self.config.name}, seed {self.seed}: the loss is not finite in epoch {epoch + 1}",
                "lower training.learning_rate",
            )
        self.history.append(figures)
        save_epoch(self.model, self.out, self.history, self.config.training)
        best = best_epoch(self.history, self.config.training)
        shown = "  ".join(f"{name} {value:.4f}" for name, value in figures.items())
        console.print(f"epoch {epoch + 1:3d}  {shown}{'  *' if best == epoch else ''}", soft_wrap=True)
        if finished(self.history, self.config.training):
            self.model.stop_training = True


def _check_run(config: Config, out: Path, resume: bool) -> None:
    """Refuse a folder that holds a run which is not to be gone on with."""
    path = out / "config.yaml"
    if not path.is_file():
        return
    if not resume:
        raise UserError(f"{out} already holds a run", "go on with it by --resume, or name another --out")
    if load_config(path) != config:
        raise UserError(f"{out} holds a run of another configuration", "resume it with its own, or name another --out")
