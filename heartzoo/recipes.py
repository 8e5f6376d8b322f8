"""What a recipe names, made: optimizer, learning-rate schedule and loss."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import ops

from heartzoo.config.training import TrainingConfig

SMALLEST_LIKELIHOOD = 1e-6  # below it the generalised loss's slope would be without bounds


def optimizer(training: TrainingConfig) -> keras.optimizers.Optimizer:
    """The optimizer of a recipe, with its learning-rate schedule."""
    if training.optimizer == "adamw":
        return keras.optimizers.AdamW(_schedule(training), weight_decay=training.weight_decay)
    return keras.optimizers.Adam(_schedule(training))


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
    if rule.kind in ("exponential", "step"):
        return keras.optimizers.schedules.ExponentialDecay(
            training.learning_rate, rule.decay_epochs * steps, rule.decay_factor, staircase=rule.kind == "step"
        )
    return training.learning_rate  # plateau: training lowers it between epochs


def loss(training: TrainingConfig, drawn: np.ndarray) -> Any:
    """The loss of a recipe, on one-hot labels and logits.

    Args:
        training: the recipe.
        drawn: share of each class in the batches, shape (classes,).

    References:
        Menon et al. 2021, Long-tail learning via logit adjustment (ICLR).
    """
    plain = _plain_loss(training, drawn)
    if training.logit_offsets is None:
        return plain

    def adjusted(labels: Any, logits: Any) -> Any:
        # What is left after the offsets learns as without them, so the network's own logits hold them in the end.
        return plain(labels, logits - ops.convert_to_tensor(training.logit_offsets, "float32"))

    return adjusted


def _plain_loss(training: TrainingConfig, drawn: np.ndarray) -> Any:
    """The loss without offsets.

    References:
        Zhang and Sabuncu 2018, Generalized Cross Entropy Loss for Training Deep Neural Networks with Noisy Labels
        (NeurIPS).
    """
    weights = (1 / drawn) / (1 / drawn).mean()
    if training.loss == "focal":
        return keras.losses.CategoricalFocalCrossentropy(
            alpha=weights.tolist(), gamma=training.focal_gamma, from_logits=True
        )
    if training.loss == "weighted":

        def weighted_cross_entropy(labels: Any, logits: Any) -> Any:
            # A weighted mean, as PyTorch has it: a rare class does not make the whole batch's gradient larger.
            weight = ops.sum(labels * ops.convert_to_tensor(weights, "float32"), axis=-1)
            losses = ops.categorical_crossentropy(labels, logits, from_logits=True)
            return ops.sum(losses * weight) / ops.sum(weight)

        return weighted_cross_entropy
    if training.loss == "generalised":
        q = training.generalised_q

        def generalised_cross_entropy(labels: Any, logits: Any) -> Any:
            likelihood = ops.exp(ops.sum(labels * ops.log_softmax(logits), axis=-1))
            return ops.mean((1 - ops.maximum(likelihood, SMALLEST_LIKELIHOOD) ** q) / q)

        return generalised_cross_entropy
    return keras.losses.CategoricalCrossentropy(from_logits=True)
