"""The three-block convolutional network of a Keras study on 187-sample beats."""

from __future__ import annotations

import keras
from keras import layers

from heartzoo.models.blocks import batch_norm
from heartzoo.models.registry import register


@register
def cnn_187(
    input_shape: tuple[int, int, int],
    num_classes: int,
    filters: tuple[int, ...] = (64, 64, 64),
    kernels: tuple[int, ...] = (5, 3, 3),
    hidden: int = 64,
    dropout: float = 0.4,
) -> keras.Model:
    """Blocks of convolution, batch norm, ReLU, dropout and max-pooling by 2, then two dense layers.

    In the first block dropout comes before ReLU, in the others after it; dropout comes before the last layer too.

    Args:
        input_shape: ``(1, samples, 1)``.
        num_classes: number of logits.
        filters: channels of each block.
        kernels: samples in each kernel.
        hidden: units of the hidden dense layer.
        dropout: fraction dropped everywhere.

    Returns:
        A model from ``signal`` to logits; with 187 samples and 5 classes 120,453 parameters with the defaults,
        192,645 with ``filters=(64, 128, 64)`` and ``hidden=96``.

    References:
        Re-implemented from the description of a Keras study of CNN and RNN on the random split.
    """
    signal = keras.Input(input_shape, name="signal")
    x = signal
    for number, (width, kernel) in enumerate(zip(filters, kernels, strict=True), start=1):
        x = layers.Conv2D(width, (1, kernel), padding="same", name=f"conv{number}")(x)
        x = batch_norm(f"conv{number}_bn")(x)
        order = (layers.Dropout(dropout), layers.ReLU())
        for layer in order if number == 1 else reversed(order):
            x = layer(x)
        x = layers.MaxPooling2D((1, 2))(x)
    x = layers.Dense(hidden, activation="relu", name="hidden")(layers.Flatten()(x))
    logits = layers.Dense(num_classes, name="logits")(layers.Dropout(dropout)(x))
    return keras.Model({"signal": signal}, logits)
