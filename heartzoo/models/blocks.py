"""Layers that several architectures share."""

from __future__ import annotations

from keras import layers

# Keras' default of 0.99 needs hundreds of steps to forget its start at variance 1: with epochs of 50 steps the first
# ten validations, and early stopping with them, would judge statistics that the network never had.
BATCH_NORM_MOMENTUM = 0.9


def batch_norm(name: str | None = None) -> layers.BatchNormalization:
    """Batch normalisation with statistics that follow within tens of steps."""
    return layers.BatchNormalization(momentum=BATCH_NORM_MOMENTUM, name=name)
