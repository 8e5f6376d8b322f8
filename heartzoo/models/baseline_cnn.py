"""The two-convolution baseline of a five-class study on 187-sample beats."""

from __future__ import annotations

import keras
from keras import layers

from heartzoo.models.registry import register


@register
def baseline_cnn(
    input_shape: tuple[int, int, int],
    num_classes: int,
    filters: tuple[int, ...] = (32, 64),
    kernel: int = 5,
    hidden: int = 128,
) -> keras.Model:
    """Convolutions without padding, each followed by ReLU and max-pooling by 2, then two dense layers.

    Args:
        input_shape: ``(1, samples, 1)``.
        num_classes: number of logits.
        filters: channels of each convolution.
        kernel: samples in each kernel.
        hidden: units of the hidden dense layer.

    Returns:
        A model from ``signal`` to logits; with the defaults, 187 samples and 5 classes 363,525 parameters.

    References:
        Re-implemented from the description of a PyTorch study of five AAMI classes on the random split.
    """
    signal = keras.Input(input_shape, name="signal")
    x = signal
    for number, width in enumerate(filters, start=1):
        x = layers.Conv2D(width, (1, kernel), activation="relu", name=f"conv{number}")(x)
        x = layers.MaxPooling2D((1, 2))(x)
    x = layers.Dense(hidden, activation="relu", name="hidden")(layers.Flatten()(x))
    return keras.Model({"signal": signal}, layers.Dense(num_classes, name="logits")(x))
