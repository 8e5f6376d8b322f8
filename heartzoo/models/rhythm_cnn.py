"""Pre-activation residual networks for rhythm frames, published as compressed CNNs for Icentia11k (cnn1 ... cnn5)."""

from __future__ import annotations

import keras
from keras import layers

from heartzoo.models.blocks import batch_norm
from heartzoo.models.registry import register


@register
def rhythm_cnn(
    input_shape: tuple[int, int, int],
    num_classes: int,
    blocks: int = 8,
    filters: int = 2,
    halve_every: int = 8,
    kernel: int = 16,
    dropout: float = 0.2,
) -> keras.Model:
    """Residual stem, then pre-activation blocks that end in a pooling, then a dense layer over all that is left.

    Every ``halve_every``-th block, the first among them, halves the length and all but the first double the channels;
    the poolings of the others have stride 1. Shortcuts are max-poolings; where channels double they are padded with
    zeros.

    Args:
        input_shape: ``(1, samples, 1)``.
        num_classes: number of logits.
        blocks: number of blocks after the stem.
        filters: channels of the stem and of the first blocks.
        halve_every: blocks from one halving to the next.
        kernel: samples in every kernel.
        dropout: fraction dropped inside stem and blocks.

    Returns:
        A model from ``signal`` to logits. With 2,049 samples and 3 classes: 4,455 parameters with the defaults (cnn1),
        and with (blocks, filters, halve_every) = (13, 2, 8) 7,093 (cnn2), (11, 2, 4) 11,833 (cnn3), (13, 2, 4) 20,289
        (cnn4), (13, 4, 4) 73,343 (cnn5), (13, 8, 4) 277,755 (their teacher).

    References:
        Re-implemented from the description of a study that compresses CNNs for Icentia11k.
        He et al. 2016, Identity Mappings in Deep Residual Networks (ECCV), for the pre-activation block.
    """
    signal = keras.Input(input_shape, name="signal")
    a = _activated(_conv(signal, filters, kernel, "stem"), "stem")
    x = _activated(_conv(a, filters, kernel, "stem_conv1"), "stem_conv1")
    x = _conv(layers.Dropout(dropout)(x), filters, kernel, "stem_conv2", stride=2)
    x = layers.Add()([x, layers.MaxPooling2D((1, 2), padding="same")(a)])
    width = filters
    for number in range(blocks):
        halves = number % halve_every == 0
        if halves and number:
            width *= 2
        x = _block(x, width, kernel, 2 if halves else 1, dropout, f"block{number + 1}")
    logits = layers.Dense(num_classes, name="logits")(layers.Flatten()(_activated(x, "head")))
    return keras.Model({"signal": signal}, logits)


def _block(
    x: keras.KerasTensor, filters: int, kernel: int, stride: int, dropout: float, name: str
) -> keras.KerasTensor:
    y = _conv(_activated(x, f"{name}_in"), filters, kernel, f"{name}_conv1")
    y = layers.Dropout(dropout)(_activated(y, f"{name}_conv1"))
    y = _conv(y, filters, kernel, f"{name}_conv2")
    y = layers.AveragePooling2D((1, 2), strides=(1, stride), padding="same")(y)
    x = layers.MaxPooling2D((1, 2), strides=(1, stride), padding="same")(x)
    if missing := filters - x.shape[-1]:
        # As channels first, our samples and channels are the rows and columns that this layer pads.
        x = layers.ZeroPadding2D(((0, 0), (0, missing)), data_format="channels_first")(x)
    return layers.Add()([x, y])


def _activated(x: keras.KerasTensor, name: str) -> keras.KerasTensor:
    return layers.ReLU()(batch_norm(f"{name}_bn")(x))


def _conv(x: keras.KerasTensor, filters: int, kernel: int, name: str, stride: int = 1) -> keras.KerasTensor:
    return layers.Conv2D(filters, (1, kernel), strides=(1, stride), padding="same", name=name)(x)
