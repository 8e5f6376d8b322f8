"""A multilayer perceptron: for inputs that are features already."""

from __future__ import annotations

import keras
from keras import layers

from heartzoo.models.registry import register


@register
def mlp(
    input_shape: tuple[int, int, int],
    num_classes: int,
    units: tuple[int, ...] = (32, 32),
    dropout: float = 0.3,
) -> keras.Model:
    """Dense layers with ReLU over all values of the input.

    Args:
        input_shape: ``(1, values, 1)``.
        num_classes: number of logits.
        units: of each hidden layer.
        dropout: fraction dropped before the last layer.

    Returns:
        A model from ``signal`` to logits.
    """
    signal = keras.Input(input_shape, name="signal")
    x = layers.Flatten()(signal)
    for number, width in enumerate(units, start=1):
        x = layers.Dense(width, activation="relu", name=f"hidden{number}")(x)
    return keras.Model({"signal": signal}, layers.Dense(num_classes, name="logits")(layers.Dropout(dropout)(x)))
