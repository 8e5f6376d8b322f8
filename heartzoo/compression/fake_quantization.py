"""A network that is quantized as its int8 file will be, in floating point: fake quantization.

Batch norms are folded into the convolutions before them. Weights are rounded per output channel, symmetrically;
activations within ranges calibrated beforehand, wherever TFLite keeps a tensor. The converter reads the ranges from
the network. TensorFlow only.

References:
    Jacob et al. 2018, Quantization and Training of Neural Networks for Efficient Integer-Arithmetic-Only Inference
    (CVPR).
"""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import layers

from heartzoo.compression.calibration import activation_range
from heartzoo.compression.fake_layers import FAKE_QUANTIZED, FakeQuantize, FakeQuantizedDepthwiseConv2D
from heartzoo.compression.recurrent import is_recurrent
from heartzoo.config.export import CalibrationMethod
from heartzoo.data.batches import Inputs
from heartzoo.errors import UserError

# The ranges that TFLite fixes for these, whatever comes out of them.
_FIXED_RANGES = {"sigmoid": (0.0, 255 / 256), "tanh": (-1.0, 127 / 128)}
# Computed in the same operator as the layer that has them; the others are operators of their own.
_FUSED = ("linear", "relu", "relu6")
# Their outputs have the scale of their inputs.
_SAME_SCALE = (
    layers.MaxPooling2D,
    layers.AveragePooling2D,
    layers.Flatten,
    layers.Reshape,
    layers.Dropout,
    layers.ZeroPadding2D,
    layers.Identity,
)


def refuse_recurrent(model: keras.Model) -> None:
    """Raise a UserError for a network whose layers cannot be rounded here."""
    if is_recurrent(model):
        raise UserError(
            "int8's rounding is known for convolutions and dense layers, not for an LSTM", "calibrate it by minmax"
        )


def is_quantized(model: keras.Model) -> bool:
    """Whether a network rounds as int8 does."""
    return any(isinstance(layer, FakeQuantize) for layer in model.layers)


def quantized(model: keras.Model, calibration: Inputs, method: CalibrationMethod = "minmax") -> keras.Model:
    """The same network, batch norms folded, that rounds weights and activations to int8.

    Args:
        model: the float network.
        calibration: inputs that set the activations' ranges, first axis the examples.
        method: how they do.

    Raises:
        UserError: the network is recurrent, or Keras runs on another backend than TensorFlow.
    """
    if keras.backend.backend() != "tensorflow":
        raise UserError(
            f"fake quantization needs Keras on TensorFlow, found KERAS_BACKEND={keras.backend.backend()}",
            "run it without KERAS_BACKEND",
        )
    names, outputs = plain_outputs(model, calibration)
    ranges = {name: activation_range(output, method) for name, output in zip(names, outputs, strict=True)}
    rewriter = _Rewriter(model, ranges)
    return keras.Model(rewriter.inputs, rewriter.tensors[model.layers[-1].name])


def plain_outputs(model: keras.Model, inputs: Inputs) -> tuple[list[str], list[np.ndarray]]:
    """Names of the tensors that TFLite keeps with a scale of their own, after their layers, and their float values.

    Raises:
        UserError: the network is recurrent.
    """
    refuse_recurrent(model)
    plain = _Rewriter(model, None)
    watched = keras.Model(plain.inputs, list(plain.kept.values()))
    return list(plain.kept), watched.predict(inputs, verbose=0)


def _activation(layer: keras.Layer) -> str:
    return getattr(getattr(layer, "activation", None), "__name__", "")


class _Rewriter:
    """Builds a network layer by layer, with its batch norms folded and, once ranges are known, quantized.

    Attributes:
        inputs: inputs of the new network by name.
        tensors: the new network's tensor for each old layer's output.
        kept: the tensors that TFLite keeps with a scale of their own, before quantization, by name.
    """

    def __init__(self, model: keras.Model, ranges: dict[str, tuple[float, float]] | None) -> None:
        self.ranges = ranges
        self.inputs: dict[str, keras.KerasTensor] = {}
        self.tensors: dict[str, keras.KerasTensor] = {}
        self.kept: dict[str, keras.KerasTensor] = {}
        self.folded: set[str] = set()
        makers = {id(layer.output): layer.name for layer in model.layers}
        self.sources = {
            layer.name: [makers[id(t)] for t in keras.tree.flatten(layer.input)]
            for layer in model.layers
            if not isinstance(layer, layers.InputLayer)
        }
        self.readers: dict[str, list[keras.Layer]] = {layer.name: [] for layer in model.layers}
        for name, sources in self.sources.items():
            for source in sources:
                self.readers[source].append(model.get_layer(name))
        for layer in model.layers:
            self._add(layer)

    def _add(self, layer: keras.Layer) -> None:
        if isinstance(layer, layers.InputLayer):
            x = keras.Input(layer.output.shape[1:], name=layer.name)
            self.inputs[layer.name] = x
        else:
            given = [self.tensors[source] for source in self.sources[layer.name]]
            x = self._apply(layer, given if len(given) > 1 else given[0])
        if not isinstance(layer, _SAME_SCALE) and not self._goes_on(layer):
            x = self._keep(x, layer.name, _FIXED_RANGES.get(_activation(layer)))
        self.tensors[layer.name] = x

    def _keep(self, x: Any, name: str, fixed: tuple[float, float] | None = None) -> Any:
        """Note a tensor that TFLite keeps, and quantize it where its range is known."""
        self.kept[name] = x
        if self.ranges is None:
            return x
        low, high = fixed or self.ranges[self._scaled_as(name)]
        return FakeQuantize(low, high, name=f"{name}_int8")(x)

    def _scaled_as(self, name: str) -> str:
        """The concatenation that a tensor goes into, whose inputs share its scale, or else the tensor itself."""
        readers = self.readers.get(name, [])
        while len(readers) == 1 and isinstance(readers[0], _SAME_SCALE):
            readers = self.readers[readers[0].name]
        return readers[0].name if len(readers) == 1 and isinstance(readers[0], layers.Concatenate) else name

    def _norm_of(self, layer: keras.Layer) -> keras.Layer | None:
        """The batch norm that a convolution takes in."""
        readers = self.readers[layer.name]
        if len(readers) == 1 and isinstance(readers[0], layers.BatchNormalization) and _activation(layer) == "linear":
            return readers[0]
        return None

    def _goes_on(self, layer: keras.Layer) -> bool:
        """Whether the one layer that reads this one's output is computed in the same operator."""
        readers = self.readers[layer.name]
        if len(readers) != 1:
            return False
        if isinstance(readers[0], layers.BatchNormalization):
            return isinstance(layer, layers.Conv2D | layers.DepthwiseConv2D) and _activation(layer) == "linear"
        computes = isinstance(
            layer, layers.Conv2D | layers.DepthwiseConv2D | layers.Dense | layers.Add | layers.BatchNormalization
        )
        return computes and isinstance(readers[0], layers.ReLU)

    def _apply(self, layer: keras.Layer, x: Any) -> Any:
        if isinstance(layer, layers.BatchNormalization):
            source = self.sources[layer.name][0]
            if source in self.folded:
                return x
            return self._free_norm(layer, x)
        if type(layer) in FAKE_QUANTIZED:
            return self._computing(layer, x)
        return layer.from_config(layer.get_config())(x)

    def _computing(self, layer: keras.Layer, x: Any) -> Any:
        norm = self._norm_of(layer)
        settings = layer.get_config()
        weights = layer.get_weights()
        if norm is not None and not isinstance(layer, layers.Dense):
            weights = _folded(layer, norm)
            settings["use_bias"] = True
            self.folded.add(layer.name)
        activation = _activation(layer)
        if activation == "hard_sigmoid":  # computed as relu6(x + 3) / 6: a convolution and a multiplication
            settings["activation"] = "relu6"
            bias = weights[1] if len(weights) > 1 else np.zeros(layer.output.shape[-1], np.float32)
            weights, settings["use_bias"] = [weights[0], bias + 3], True
        elif activation not in _FUSED:
            settings["activation"] = "linear"
        made = (FAKE_QUANTIZED[type(layer)] if self.ranges is not None else type(layer)).from_config(settings)
        y = made(x)
        made.set_weights(weights)
        if activation in _FUSED:
            return y
        if activation == "hard_sigmoid":
            return layers.Rescaling(1 / 6)(self._keep(y, f"{layer.name}_relu6", (0.0, 6.0)))
        return layers.Activation(activation)(self._keep(y, f"{layer.name}_linear"))

    def _free_norm(self, norm: keras.Layer, x: Any) -> Any:
        """A batch norm that no convolution takes in, as a 1x1 depthwise convolution."""
        kind = FakeQuantizedDepthwiseConv2D if self.ranges is not None else layers.DepthwiseConv2D
        if len(x.shape) != 4:
            raise UserError(
                f"int8's rounding is not known for {norm.name}, a batch norm over a vector", "leave that norm out"
            )
        made = kind((1, 1), name=norm.name)
        y = made(x)
        scale, shift = scale_and_shift(norm)
        made.set_weights([scale[None, None, :, None], shift])
        return y


def scale_and_shift(norm: keras.Layer) -> tuple[np.ndarray, np.ndarray]:
    """What a trained batch norm multiplies each channel by, and adds; shapes (channels,)."""
    mean, variance = np.asarray(norm.moving_mean), np.asarray(norm.moving_variance)
    scale = (np.asarray(norm.gamma) if norm.scale else 1.0) / np.sqrt(variance + norm.epsilon)
    shift = (np.asarray(norm.beta) if norm.center else 0.0) - scale * mean
    return scale, shift


def _folded(layer: keras.Layer, norm: keras.Layer) -> list[np.ndarray]:
    """Kernel and bias of a convolution with the batch norm after it taken in."""
    kernel, *rest = layer.get_weights()
    scale, shift = scale_and_shift(norm)
    bias = rest[0] if rest else np.zeros_like(scale)
    shaped = scale[:, None] if isinstance(layer, layers.DepthwiseConv2D) else scale
    return [kernel * shaped, bias * scale + shift]
