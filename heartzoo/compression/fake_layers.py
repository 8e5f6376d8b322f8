"""Layers that round as int8 does, in floating point, while gradients pass. TensorFlow only."""

from __future__ import annotations

from typing import Any

import keras
from keras import layers


@keras.saving.register_keras_serializable("heartzoo")
class FakeQuantize(layers.Layer):
    """Rounds to 256 steps between two ends, which are moved so that zero is one of them; the gradient passes.

    Args:
        low: lower end.
        high: upper end.
    """

    def __init__(self, low: float, high: float, **settings: Any) -> None:
        super().__init__(**settings)
        self.low, self.high = low, high

    def call(self, x: Any) -> Any:
        """Round."""
        import tensorflow as tf

        return tf.quantization.fake_quant_with_min_max_vars(x, self.low, self.high, num_bits=8)

    def get_config(self) -> dict[str, Any]:
        """What it is made of."""
        return {**super().get_config(), "low": self.low, "high": self.high}


def _fake_quantized_kernel(kernel: Any, channels_last: bool) -> Any:
    """A kernel rounded to -127 ... 127 in each output channel."""
    import tensorflow as tf

    kernel = tf.convert_to_tensor(kernel)
    shape = kernel.shape
    flat = kernel if channels_last else tf.reshape(kernel, (*shape[:-2], shape[-2] * shape[-1]))
    most = tf.reduce_max(tf.abs(flat), axis=list(range(len(flat.shape) - 1)))
    most = tf.stop_gradient(tf.maximum(most, 1e-9))
    rounded = tf.quantization.fake_quant_with_min_max_vars_per_channel(flat, -most, most, num_bits=8, narrow_range=True)
    return rounded if channels_last else tf.reshape(rounded, shape)


def _finished(layer: Any, y: Any) -> Any:
    """The products of a layer with its bias and activation."""
    y = y + layer.bias if layer.use_bias else y
    return y if layer.activation is None else layer.activation(y)


@keras.saving.register_keras_serializable("heartzoo")
class FakeQuantizedConv2D(layers.Conv2D):
    """A convolution that computes with rounded weights."""

    def call(self, inputs: Any) -> Any:
        """Convolve."""
        kernel = _fake_quantized_kernel(self.kernel, True)
        y = keras.ops.conv(inputs, kernel, self.strides, self.padding, dilation_rate=self.dilation_rate)
        return _finished(self, y)


@keras.saving.register_keras_serializable("heartzoo")
class FakeQuantizedDepthwiseConv2D(layers.DepthwiseConv2D):
    """A depthwise convolution that computes with rounded weights."""

    def call(self, inputs: Any) -> Any:
        """Convolve."""
        kernel = _fake_quantized_kernel(self.kernel, False)
        y = keras.ops.depthwise_conv(inputs, kernel, self.strides, self.padding, dilation_rate=self.dilation_rate)
        return _finished(self, y)


@keras.saving.register_keras_serializable("heartzoo")
class FakeQuantizedDense(layers.Dense):
    """A dense layer that computes with rounded weights."""

    def call(self, inputs: Any) -> Any:
        """Multiply."""
        import tensorflow as tf

        # One range for all: the converter does not take one a channel for a dense layer.
        kernel = tf.convert_to_tensor(self.kernel)
        most = tf.stop_gradient(tf.reduce_max(tf.abs(kernel)))
        kernel = tf.quantization.fake_quant_with_min_max_vars(kernel, -most, most, num_bits=8, narrow_range=True)
        return _finished(self, keras.ops.matmul(inputs, kernel))


FAKE_QUANTIZED: dict[type[keras.Layer], type[keras.Layer]] = {
    layers.Conv2D: FakeQuantizedConv2D,
    layers.DepthwiseConv2D: FakeQuantizedDepthwiseConv2D,
    layers.Dense: FakeQuantizedDense,
}
CUSTOM_LAYERS: dict[str, type[keras.Layer]] = {
    "FakeQuantize": FakeQuantize,
    "FakeQuantizedConv2D": FakeQuantizedConv2D,
    "FakeQuantizedDepthwiseConv2D": FakeQuantizedDepthwiseConv2D,
    "FakeQuantizedDense": FakeQuantizedDense,
}
