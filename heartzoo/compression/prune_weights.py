"""Magnitude pruning: the smallest weights are set to zero, more of them as the training goes on, and stay zero.

TFLite Micro's stock kernels multiply by zeros as by any other weight: this makes no model faster, and its file smaller
only once it is compressed.

References:
    Zhu and Gupta 2017, To Prune, or Not to Prune (arXiv:1710.01878).
"""

from __future__ import annotations

import warnings
from typing import Any

import keras
import numpy as np

from heartzoo import recipes
from heartzoo.compression.step import Step
from heartzoo.config.compression import PruneWeightsConfig
from heartzoo.training import Stage

_PRUNED = (keras.layers.Conv2D, keras.layers.Dense)


def prune_weights_stage(settings: PruneWeightsConfig, step: Step) -> Stage:
    """The training of a network whose smallest weights go."""
    batches = step.data.batches(step.seed)
    return Stage(
        title=step.title("prune_weights"),
        plan=step.plan,
        network=step.network,
        loss=recipes.loss(step.plan.recipe, batches.class_shares),
        batches=batches,
        callbacks=lambda network: [Pruner(network, settings, step.plan.recipe.steps_per_epoch)],
    )


class KeepZeros(keras.callbacks.Callback):
    """Keeps at zero the weights of convolutions and dense layers that are zero.

    Args:
        network: the network; biases and norms are left alone.
    """

    def __init__(self, network: keras.Model) -> None:
        super().__init__()
        self.kernels = [layer.kernel for layer in network.layers if isinstance(layer, _PRUNED)]
        self.masks: list[np.ndarray] = []

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        """Note what is zero."""
        self.masks = [np.asarray(kernel) != 0 for kernel in self.kernels]

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        """Set it to zero again."""
        for kernel, mask in zip(self.kernels, self.masks, strict=True):
            kernel.assign(kernel * mask)


class Pruner(KeepZeros):
    """Sets more and more weights to zero, by a schedule of tensorflow-model-optimization.

    What is zero follows from the weights and the number of the step alone, so a resumed training goes on as the
    undisturbed one would have.

    Args:
        network: the network.
        settings: the step's settings.
        steps_per_epoch: steps of an epoch.
    """

    def __init__(self, network: keras.Model, settings: PruneWeightsConfig, steps_per_epoch: int) -> None:
        super().__init__(network)
        with warnings.catch_warnings():  # it looks at versions by the old distutils
            warnings.simplefilter("ignore", DeprecationWarning)
            from tensorflow_model_optimization.python.core.sparsity.keras import pruning_schedule

        self.settings, self.steps_per_epoch, self.step = settings, steps_per_epoch, 0
        end, every = settings.choices(steps_per_epoch)
        self.schedule = (
            pruning_schedule.PolynomialDecay(0.0, settings.sparsity, 0, end, frequency=every)
            if settings.schedule == "polynomial"
            else pruning_schedule.ConstantSparsity(settings.sparsity, 0, end, frequency=every)
        )

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Know the step, in a resumed training too."""
        self.step = epoch * self.steps_per_epoch

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        """Choose anew what is zero where the schedule says so, and keep it."""
        self.step += 1
        due, sparsity = self.schedule(self.step)
        if bool(due):
            self.masks = magnitude_masks([np.asarray(k) for k in self.kernels], float(sparsity), self.settings.scope)
        super().on_train_batch_end(batch, logs)


def magnitude_masks(kernels: list[np.ndarray], sparsity: float, scope: str) -> list[np.ndarray]:
    """Which weights stay: all but the fraction ``sparsity`` with the smallest magnitudes.

    Args:
        kernels: the weights of each layer, any shape.
        sparsity: fraction of zeros, 0 to 1.
        scope: ``"layer"``: that fraction in each layer; ``"global"``: of all together, magnitudes relative to the root
            mean square of their layer.

    Returns:
        Boolean masks, shaped as the kernels.
    """
    sizes = [np.abs(kernel) for kernel in kernels]
    if scope == "layer":
        return [_largest(size, sparsity) for size in sizes]
    relative = [size / max(np.sqrt((size**2).mean()), 1e-12) for size in sizes]
    kept = _largest(np.concatenate([size.ravel() for size in relative]), sparsity)
    ends = np.cumsum([size.size for size in sizes])[:-1]
    return [part.reshape(size.shape) for part, size in zip(np.split(kept, ends), sizes, strict=True)]


def _largest(size: np.ndarray, sparsity: float) -> np.ndarray:
    zeros = round(sparsity * size.size)
    mask = np.ones(size.size, bool)
    mask[np.argsort(size, axis=None, kind="stable")[:zeros]] = False
    return mask.reshape(size.shape)
