"""Two residual paths side by side, of short and of long kernels, each with channel attention."""

from __future__ import annotations

import keras
from keras import layers

from heartzoo.models.blocks import batch_norm
from heartzoo.models.registry import register


@register
def dualpath_resnet(
    input_shape: tuple[int, int, int],
    num_classes: int,
    stem_filters: int = 32,
    stem_kernel: int = 7,
    kernels: tuple[int, ...] = (3, 7),
    filters: tuple[int, ...] = (64, 128, 256),
    attention_ratio: int = 8,
    merged_filters: int = 512,
    dropout: float = 0.3,
) -> keras.Model:
    """Stem, then a residual path for each kernel length, then attention, 1x1 convolution and global average pooling.

    The length is never reduced: every block has stride 1. Convolutions have biases and skips have batch norm.

    Args:
        input_shape: ``(1, samples, 1)``.
        num_classes: number of logits.
        stem_filters: channels of the stem.
        stem_kernel: samples in the stem's kernel.
        kernels: samples in the kernels of each path.
        filters: channels of each path's blocks.
        attention_ratio: hidden width of channel attention is the channels // ``attention_ratio``.
        merged_filters: channels of the 1x1 convolution over the joined paths.
        dropout: fraction dropped before the last layer.

    Returns:
        A model from ``signal`` to logits; with the defaults and 5 classes 1,690,693 parameters.

    References:
        Re-implemented from the description of a PyTorch study of five AAMI classes on the random split.
        Hu, Shen and Sun 2018, Squeeze-and-Excitation Networks (CVPR), for the channel attention.
    """
    signal = keras.Input(input_shape, name="signal")
    stem = layers.ReLU()(_conv(signal, stem_filters, stem_kernel, "stem"))
    paths = [_path(stem, kernel, filters, attention_ratio, f"path{kernel}") for kernel in kernels]
    x = layers.Concatenate()(paths) if len(paths) > 1 else paths[0]
    x = layers.ReLU()(_conv(x, merged_filters, 1, "merge"))
    x = layers.Dropout(dropout)(layers.GlobalAveragePooling2D()(x))
    return keras.Model({"signal": signal}, layers.Dense(num_classes, name="logits")(x))


def _path(x: keras.KerasTensor, kernel: int, filters: tuple[int, ...], ratio: int, name: str) -> keras.KerasTensor:
    for number, width in enumerate(filters, start=1):
        block = f"{name}_block{number}"
        y = layers.ReLU()(_conv(x, width, kernel, f"{block}_conv1"))
        y = _conv(y, width, kernel, f"{block}_conv2")
        x = layers.ReLU()(layers.Add()([_conv(x, width, 1, f"{block}_skip"), y]))
    channels = x.shape[-1]
    weight = layers.GlobalAveragePooling2D(keepdims=True)(x)
    weight = layers.Conv2D(channels // ratio, (1, 1), activation="relu", name=f"{name}_squeeze")(weight)
    weight = layers.Conv2D(channels, (1, 1), activation="sigmoid", name=f"{name}_excite")(weight)
    return layers.Multiply()([x, weight])


def _conv(x: keras.KerasTensor, filters: int, kernel: int, name: str) -> keras.KerasTensor:
    x = layers.Conv2D(filters, (1, kernel), padding="same", name=name)(x)
    return batch_norm(f"{name}_bn")(x)
