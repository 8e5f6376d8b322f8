"""Training: compile, fit, validate, resume. Runs on any Keras backend.

A run's folder holds ``config.yaml`` and for each seed ``seed-<n>/``: see :mod:`heartzoo.checkpoints`. A training is a
:class:`Stage`; compression adds further ones.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
from rich.progress import Progress, TaskID

from heartzoo import models, prevalence, recipes
from heartzoo.checkpoints import (
    History,
    Plan,
    best_epoch,
    finished,
    is_finished,
    load_epoch,
    load_model,
    plateaus,
    read_history,
    save_epoch,
)
from heartzoo.config import Config
from heartzoo.data.batches import Inputs, TrainingBatches
from heartzoo.data.training_set import TrainingSet
from heartzoo.errors import UserError
from heartzoo.interruption import check
from heartzoo.metrics import confusion_matrix, macro_f1, macro_f1_nsv, mean_recall
from heartzoo.models.channels import with_widths
from heartzoo.models.registry import check_sizes
from heartzoo.progress import console, progress
from heartzoo.tasks import get_task

PREDICT_BATCH = 512


def train_seed(config: Config, data: TrainingSet, out: Path, seed: int, pretrained: Path | None = None) -> None:
    """Train one seed, or go on with it from its last finished epoch.

    Args:
        config: the configuration.
        data: its training set.
        out: the seed's folder.
        seed: seeds the weights, the dropout and every batch.
        pretrained: the ``.keras`` file of the network that the first epoch begins with; default random weights.
    """
    batches = data.batches(seed)
    stage = Stage(
        title=config.name,
        plan=Plan(out, config.training),
        network=lambda: first_model(config, pretrained),
        loss=recipes.loss(config.training, batches.class_shares),
        batches=batches,
    )
    run_stage(stage, data, seed)


@dataclass(frozen=True)
class Stage:
    """One training of one network, with checkpoints of its own.

    Attributes:
        title: what the progress bar and errors call it.
        plan: its folder, its recipe, and the first epoch that may be kept.
        network: makes the network as it is before the first epoch; called after the seed is set.
        loss: the loss that the fitted model is compiled with.
        batches: what it learns from.
        fitted: the network -> the model that is fitted: itself, or one that trains it, such as Keras' Distiller.
        callbacks: the network -> further callbacks.
    """

    title: str
    plan: Plan
    network: Callable[[], keras.Model]
    loss: Any
    batches: TrainingBatches
    fitted: Callable[[keras.Model], keras.Model] = lambda network: network
    callbacks: Callable[[keras.Model], list[keras.callbacks.Callback]] = lambda network: []


def run_stage(stage: Stage, data: TrainingSet, seed: int) -> None:
    """Run a stage, or go on with it from its last finished epoch."""
    if is_finished(stage.plan):
        return
    recipe, folder, history = stage.plan.recipe, stage.plan.folder, read_history(stage.plan.folder)
    keras.utils.set_random_seed(seed)
    network = stage.network()
    model = stage.fitted(network)
    model.compile(
        optimizer=recipes.optimizer(recipe),
        loss=stage.loss,
        # XLA makes these networks slower under TensorFlow on a CPU; JAX always compiles.
        jit_compile=False if keras.backend.backend() == "tensorflow" else "auto",
    )
    # Variables that the first step made would have TensorFlow trace it twice, which takes seconds.
    model.optimizer.build(network.trainable_variables)
    for leftover in folder.glob(".part.*"):  # of a killed training: the run's lock is ours
        leftover.unlink(missing_ok=True)
    if history:
        load_epoch(network, model.optimizer, folder, len(history))
    validation = None if recipe.fold is None else Validation(data)
    with progress() as bar:
        total = recipe.epochs * recipe.steps_per_epoch
        done = len(history) * recipe.steps_per_epoch
        task = bar.add_task(f"train {stage.title}, seed {seed}", total=total, completed=done)
        keeper = StageKeeper(stage, network, seed, history, validation, bar, task)
        feed = Batches(stage.batches, recipe.steps_per_epoch, len(history))
        model.fit(
            feed,
            initial_epoch=len(history),
            epochs=recipe.epochs,
            callbacks=[*stage.callbacks(network), keeper],
            shuffle=False,
            verbose=0,
        )
        feed.close()
        bar.update(task, completed=total)


def build_model(config: Config) -> keras.Model:
    """The untrained network of a configuration."""
    check_sizes(config.model.architecture, config.model.sizes)  # before they stand among other arguments
    network = models.build(
        config.model.architecture,
        (1, config.input.frame, 1),
        len(get_task(config.task).classes),
        len(config.input.beat_features),
        **{name: tuple(v) if isinstance(v, list) else v for name, v in config.model.sizes.items()},
    )
    return with_widths(network, config.model.widths)


def first_model(config: Config, pretrained: Path | None) -> keras.Model:
    """The network that the first epoch begins with: untrained, or with the weights of a ``.keras`` file.

    Raises:
        UserError: the file holds a network of other layers.
    """
    network = build_model(config)
    if pretrained is None:
        return network
    known = load_model(pretrained)
    ours, theirs = ([tuple(weight.shape) for weight in model.weights] for model in (network, known))
    if ours != theirs:
        raise UserError(
            f"training.pretrained: that network has {known.count_params():,} parameters in {len(theirs)} arrays, this "
            f"one {network.count_params():,} in {len(ours)}",
            "give model the architecture, sizes and widths that its card states",
        )
    network.set_weights(known.get_weights())
    return network


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

    def close(self) -> None:
        """Let go of the data. Keras keeps what it was fed with, and an experiment trains dozens of times."""
        del self.batches


class Validation:
    """The validation patients' examples, and how well a model does on them.

    ``val_loss`` weighs examples as the training draws them, so that it does not follow the commonest class alone;
    ``val_accuracy``, ``val_mean_recall`` and ``val_macro_f1`` (the task's headline: over N, S and V for five classes,
    except on the random split) count every beat once, as it is called after :mod:`heartzoo.prevalence`.
    """

    def __init__(self, data: TrainingSet) -> None:
        self.config = data.config
        self.inputs = data.inputs(data.validation)
        self.records = data.recordings(data.validation)
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
        called = prevalence.shifted(self.config, logits, self.records).argmax(axis=1)
        matrix = confusion_matrix(self.labels, called, self.classes)
        return {
            "val_loss": float(-(self.weights * log_p[np.arange(len(log_p)), self.labels]).sum()),
            "val_accuracy": float(np.trace(matrix) / matrix.sum()),
            "val_mean_recall": float(mean_recall(matrix)),
            "val_macro_f1": float(self.headline(matrix)),
        }


class StageKeeper(keras.callbacks.Callback):
    """After each epoch: validate, write the checkpoint, stop early. Trackers go beside it as callbacks."""

    def __init__(
        self,
        stage: Stage,
        network: keras.Model,
        seed: int,
        history: History,
        validation: Validation | None,
        bar: Progress,
        task: TaskID,
    ) -> None:
        super().__init__()
        self.stage, self.network, self.seed, self.history = stage, network, seed, history
        self.validation, self.bar, self.task = validation, bar, task

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Seed each layer's dropout by epoch, so that a resumed run drops what the undisturbed one would have dropped.

        Keras counts a seed's second number up from call to call, so layers and epochs get numbers far from each other.
        A plateau schedule's rate is set here for the same reason.
        """
        recipe = self.stage.plan.recipe
        if recipe.schedule.kind == "plateau":
            decays = plateaus(self.history, recipe)
            self.model.optimizer.learning_rate = recipe.learning_rate * recipe.schedule.decay_factor**decays
        for number, layer in enumerate(self.network.layers):
            generator = getattr(layer, "seed_generator", None)
            if generator is not None:
                drawn = np.random.SeedSequence([self.seed, epoch, number]).generate_state(2)
                generator.state.assign(drawn.astype(generator.state.dtype))

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        """Move the progress bar, and end where a Ctrl-C has come that a callback of some library has swallowed."""
        self.bar.advance(self.task)
        check()

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Validate, keep the epoch, and end the training where the rule says so."""
        plan = self.stage.plan
        figures = {"loss": float((logs or {})["loss"])}
        if self.validation is not None:
            figures |= self.validation(self.network)
        if not np.isfinite(list(figures.values())).all():
            raise UserError(
                f"{self.stage.title}, seed {self.seed}: the loss is not finite in epoch {epoch + 1}",
                "lower training.learning_rate",
            )
        self.history.append(figures)
        save_epoch(self.network, self.model.optimizer, self.history, plan)
        best = best_epoch(self.history, plan)
        shown = "  ".join(f"{name} {value:.4f}" for name, value in figures.items())
        console.print(f"epoch {epoch + 1:3d}  {shown}{'  *' if best == epoch else ''}", soft_wrap=True)
        if finished(self.history, plan):
            self.model.stop_training = True
