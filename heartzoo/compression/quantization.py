"""Keras -> int8 .tflite: full-integer post-training quantization, or the ranges of a fake-quantized network."""

from __future__ import annotations

import re
import tempfile
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stdout
from io import StringIO
from typing import Any

import keras
import numpy as np

from heartzoo.compression.fake_quantization import is_quantized, quantized, scale_and_shift
from heartzoo.compression.recurrent import is_recurrent, twin
from heartzoo.config.export import Activations, CalibrationMethod
from heartzoo.data.batches import Inputs
from heartzoo.errors import UserError
from heartzoo.flatbuffer import strip
from heartzoo.models.channels import is_free_norm
from heartzoo.stderr import captured_stderr


def to_tflite(
    model: keras.Model, calibration: Inputs, method: CalibrationMethod = "minmax", activations: Activations = "int8"
) -> bytes:
    """Convert a network to int8 weights and int8 or int16 activations, inputs and outputs, with a batch of one.

    Args:
        model: a network with the inputs ``signal`` and perhaps ``rr``.
        calibration: inputs that set the ranges of the activations, first axis the examples; not used where the network
            holds its ranges, as quantization-aware training leaves it.
        method: how they do; any but ``"minmax"`` is for networks without an LSTM and int8 activations.
        activations: ``"int8"``, or ``"int16"`` (16x8).

    Returns:
        The bytes of a stripped ``.tflite`` file.

    Raises:
        UserError: Keras runs on another backend than TensorFlow, the method is not for this network, or
            an operator of it has no 16x8 form.
    """
    if keras.backend.backend() != "tensorflow":
        raise UserError(
            f"conversion to integers needs Keras on TensorFlow, found KERAS_BACKEND={keras.backend.backend()}",
            "run the export without KERAS_BACKEND; the training may use any backend",
        )
    import tensorflow as tf

    if method != "minmax" and not is_quantized(model):
        model = quantized(model, calibration, method)
    names = [tensor.name for tensor in model.inputs]
    count = len(calibration[names[0]])

    def representative() -> Iterator[dict[str, np.ndarray]]:
        for row in range(count):
            yield {name: calibration[name][row : row + 1] for name in names}

    with _quiet(), tempfile.TemporaryDirectory() as folder:
        converter = _converter(tf, model, folder, representative, activations)
        try:
            content: bytes = converter.convert()
        except RuntimeError as error:
            if found := re.search(r"not yet supported for op: '(\w+)'", str(error)):
                raise UserError(
                    f"TensorFlow's converter has no int16 form of {found[1]}", "leave export.activations out"
                ) from error
            raise
    return strip(content)


def _converter(
    tf: Any,
    model: keras.Model,
    folder: str,
    representative: Callable[[], Iterator[dict[str, np.ndarray]]],
    activations: Activations,
) -> Any:
    if is_recurrent(model):
        converter = tf.lite.TFLiteConverter.from_keras_model(twin(model))
    else:
        _save(tf, model if is_quantized(model) else _fusable(model), folder)
        converter = tf.lite.TFLiteConverter.from_saved_model(folder)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    if not is_quantized(model):  # else it holds the ranges, and the converter takes them from it
        converter.representative_dataset = representative
        kinds = tf.lite.OpsSet
        wide = kinds.EXPERIMENTAL_TFLITE_BUILTINS_ACTIVATIONS_INT16_WEIGHTS_INT8
        converter.target_spec.supported_ops = [wide if activations == "int16" else kinds.TFLITE_BUILTINS_INT8]
    converter.inference_input_type = converter.inference_output_type = tf.dtypes.as_dtype(activations)
    return converter


def _save(tf: Any, model: keras.Model, folder: str) -> None:
    """Write a SavedModel of the function with a batch of one, the weights as constants.

    The converter makes the same of Keras' own export, whose tracking of every variable takes most of a conversion.
    """
    kinds = (model.trainable_variables, model.non_trainable_variables)
    weights = [[variable.numpy() for variable in kind] for kind in kinds]
    shapes = {tensor.name: tf.TensorSpec((1, *tensor.shape[1:]), tensor.dtype, tensor.name) for tensor in model.inputs}

    @tf.function(autograph=False)
    def call(**inputs: Any) -> Any:
        return model.stateless_call(*weights, inputs, training=False)[0]

    module = tf.Module()
    module.call = call
    tf.saved_model.save(module, folder, signatures=call.get_concrete_function(**shapes))


@contextmanager
def _quiet() -> Iterator[None]:
    """Leave out what Keras' saving and TensorFlow's converter print: notes to their own developers."""
    with captured_stderr(), redirect_stdout(StringIO()), warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        yield


def _fusable(model: keras.Model) -> keras.Model:
    """The same function with each batch norm that no convolution can absorb written as a 1x1 depthwise convolution.

    The converter would write such a batch norm as a multiplication and an addition; the convolution is one operator and
    takes the ReLU after it in.
    """

    def clone(layer: keras.Layer) -> keras.Layer:
        if is_free_norm(layer):
            return keras.layers.DepthwiseConv2D((1, 1), name=layer.name)
        return layer.from_config(layer.get_config())

    def call(layer: keras.Layer, *arguments: Any, mask: None = None, **options: Any) -> Any:
        return layer(*arguments, **options)  # a batch norm is called with a mask, which a convolution does not take

    if not any(is_free_norm(layer) for layer in model.layers):
        return model
    copy = keras.models.clone_model(model, clone_function=clone, call_function=call)
    for layer in model.layers:
        weights = layer.get_weights()
        if is_free_norm(layer):
            scale, shift = scale_and_shift(layer)
            weights = [scale[None, None, :, None], shift]
        copy.get_layer(layer.name).set_weights(weights)
    return copy
