"""A network in network for 187-sample beats. NIN-style, re-derived: its authors never published widths and depth."""

from __future__ import annotations

import keras
from keras import layers

from heartzoo.models.blocks import batch_norm
from heartzoo.models.registry import register


@register
def nin_187(
    input_shape: tuple[int, int, int],
    num_classes: int,
    filters: tuple[int, ...] = (24, 48, 64, 96),
    kernels: tuple[int, ...] = (9, 9, 7, 5),
    activation: str = "hard_silu",
    dropout: float = 0.1,
) -> keras.Model:
    """Blocks of one convolution and two 1x1 convolutions, then global average pooling of one map a class.

    Max-pooling by 2 and dropout come between blocks. Widths, kernels and depth are ours.

    Args:
        input_shape: ``(1, samples, 1)``.
        num_classes: number of logits.
        filters: channels of each block.
        kernels: samples in the first kernel of each block.
        activation: a Keras activation, in place of its authors' GELU, which TFLite Micro does not have. It runs
            ``hard_silu`` and ``relu`` in one operator or none.
        dropout: fraction dropped between blocks.

    Returns:
        A model from ``signal`` to logits.

    References:
        Lin, Chen and Yan 2014, Network In Network (ICLR).
        Howard et al. 2019, Searching for MobileNetV3 (ICCV), for ``hard_silu``, there h-swish.
    """
    signal = keras.Input(input_shape, name="signal")
    x = signal
    for number, (width, kernel) in enumerate(zip(filters, kernels, strict=True), start=1):
        for part, length in (("conv", kernel), ("mix1", 1), ("mix2", 1)):
            name = f"block{number}_{part}"
            x = layers.Conv2D(width, (1, length), padding="same", use_bias=False, name=name)(x)
            x = layers.Activation(activation)(batch_norm(f"{name}_bn")(x))
        if number < len(filters):
            x = layers.Dropout(dropout)(layers.MaxPooling2D((1, 2))(x))
    x = layers.Conv2D(num_classes, (1, 1), name="maps")(x)
    return keras.Model({"signal": signal}, layers.GlobalAveragePooling2D(name="logits")(x))
