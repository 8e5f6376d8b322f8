"""The tuned network of a five-class study on 187-sample beats: two convolutions, global pooling, a wide dense layer."""

from __future__ import annotations

import keras
from keras import layers

from heartzoo.models.blocks import batch_norm
from heartzoo.models.registry import register


@register
def enhanced_cnn(
    input_shape: tuple[int, int, int],
    num_classes: int,
    filters: tuple[int, ...] = (32, 256),
    kernels: tuple[int, ...] = (5, 7),
    hidden: int = 512,
    dropout: float = 0.45,
) -> keras.Model:
    """Convolution, batch norm, ReLU and max-pooling by 2; the last pooling is global.

    Args:
        input_shape: ``(1, samples, 1)``.
        num_classes: number of logits.
        filters: channels of each convolution.
        kernels: samples in each kernel.
        hidden: units of the hidden dense layer.
        dropout: fraction dropped before the last layer.

    Returns:
        A model from ``signal`` to logits; with the defaults and 5 classes 193,093 parameters.

    References:
        Re-implemented from the description of a PyTorch study of five AAMI classes on the random split.
    """
    signal = keras.Input(input_shape, name="signal")
    x = signal
    for number, (width, kernel) in enumerate(zip(filters, kernels, strict=True), start=1):
        x = layers.Conv2D(width, (1, kernel), padding="same", name=f"conv{number}")(x)
        x = layers.ReLU()(batch_norm(f"conv{number}_bn")(x))
        if number < len(filters):
            x = layers.MaxPooling2D((1, 2))(x)
    x = layers.Dense(hidden, activation="relu", name="hidden")(layers.GlobalAveragePooling2D()(x))
    logits = layers.Dense(num_classes, name="logits")(layers.Dropout(dropout)(x))
    return keras.Model({"signal": signal}, logits)
