"""A compact residual network over (1, samples), with an optional R-R input."""

from __future__ import annotations

import keras
from keras import layers

from heartzoo.models.blocks import batch_norm
from heartzoo.models.registry import register


@register
def resnet(
    input_shape: tuple[int, int, int],
    num_classes: int,
    rr_features: int = 0,
    stem_filters: int = 12,
    stem_kernel: int = 9,
    kernel: int = 5,
    filters: tuple[int, ...] = (16, 24, 32),
    depths: tuple[int, ...] = (1, 1, 1),
    rr_units: int = 16,
    head_units: int = 32,
    dropout: float = 0.2,
    pooling: str = "average",
) -> keras.Model:
    """Stem, then residual blocks of two convolutions, then pooling over time, joined with the R-R features.

    Args:
        input_shape: ``(1, samples, 1)``.
        num_classes: number of logits.
        rr_features: width of the input ``rr``; 0 leaves that branch out.
        stem_filters: channels of the stem (stride 2).
        stem_kernel: samples in the stem's kernel.
        kernel: samples in the blocks' kernels.
        filters: channels of each stage; the first block of a stage halves the length.
        depths: blocks in each stage.
        rr_units: hidden units of the R-R branch.
        head_units: hidden units of the layer in which waveform and rhythm meet (used with an R-R input only).
        dropout: fraction dropped before the last layer.
        pooling: ``"average"``, or ``"weighted"``: each channel's average with a weight for every position, learned. It
            tells the beat in the middle of a long frame from its neighbours.

    Returns:
        A model from ``signal`` (and ``rr``) to logits.

    References:
        He et al. 2016, Deep Residual Learning for Image Recognition (CVPR).
    """
    signal = keras.Input(input_shape, name="signal")
    x = _conv(signal, stem_filters, stem_kernel, 2, "stem")
    x = layers.ReLU()(x)
    for stage, (width, depth) in enumerate(zip(filters, depths, strict=True), start=1):
        for block in range(depth):
            x = _residual(x, width, kernel, 2 if block == 0 else 1, f"stage{stage}_block{block + 1}")
    x = _pool(x, pooling)
    if not rr_features:
        logits = layers.Dense(num_classes, name="logits")(layers.Dropout(dropout)(x))
        return keras.Model({"signal": signal}, logits)
    rr = keras.Input((rr_features,), name="rr")
    r = layers.Dense(rr_units, activation="relu", name="rr_hidden")(rr)
    x = layers.Dense(head_units, activation="relu", name="head")(layers.Concatenate()([x, r]))
    logits = layers.Dense(num_classes, name="logits")(layers.Dropout(dropout)(x))
    return keras.Model({"signal": signal, "rr": rr}, logits)


def _pool(x: keras.KerasTensor, pooling: str) -> keras.KerasTensor:
    match pooling:
        case "average":
            return layers.GlobalAveragePooling2D()(x)
        case "weighted":
            length = x.shape[2]
            start = keras.initializers.Constant(1 / length)
            return layers.Flatten()(layers.DepthwiseConv2D((1, length), depthwise_initializer=start, name="pool")(x))
    raise ValueError(f"pooling is average or weighted, not {pooling}")


def _conv(x: keras.KerasTensor, filters: int, kernel: int, stride: int, name: str) -> keras.KerasTensor:
    x = layers.Conv2D(filters, (1, kernel), strides=(1, stride), padding="same", use_bias=False, name=name)(x)
    return batch_norm(f"{name}_bn")(x)


def _residual(x: keras.KerasTensor, filters: int, kernel: int, stride: int, name: str) -> keras.KerasTensor:
    y = layers.ReLU()(_conv(x, filters, kernel, stride, f"{name}_conv1"))
    y = _conv(y, filters, kernel, 1, f"{name}_conv2")
    if stride > 1 or x.shape[-1] != filters:
        x = _conv(x, filters, 1, stride, f"{name}_skip")
    return layers.ReLU()(layers.Add()([x, y]))
