"""Keras -> int8 .tflite, by full-integer post-training quantization. The one module that imports TensorFlow."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stdout
from io import StringIO
from typing import Any

import keras
import numpy as np

from heartzoo.data.batches import Inputs
from heartzoo.errors import UserError
from heartzoo.flatbuffer import strip
from heartzoo.stderr import captured_stderr


def to_int8(model: keras.Model, calibration: Inputs) -> bytes:
    """Convert a network to int8 weights, activations, inputs and outputs, with a fixed batch of one.

    Args:
        model: a network with the inputs ``signal`` and perhaps ``rr``.
        calibration: inputs that set the ranges of the activations, first axis the examples.

    Returns:
        The bytes of a stripped ``.tflite`` file.

    Raises:
        UserError: Keras runs on another backend than TensorFlow.
    """
    if keras.backend.backend() != "tensorflow":
        raise UserError(
            f"int8 conversion needs Keras on TensorFlow, found KERAS_BACKEND={keras.backend.backend()}",
            "run the export without KERAS_BACKEND; the training may use any backend",
        )
    import tensorflow as tf

    names = [tensor.name for tensor in model.inputs]
    count = len(calibration[names[0]])

    def representative() -> Iterator[dict[str, np.ndarray]]:
        for row in range(count):
            yield {name: calibration[name][row : row + 1] for name in names}

    with _quiet():
        return strip(_converter(tf, model, representative).convert())


def _converter(tf: Any, model: keras.Model, representative: Callable[[], Iterator[dict[str, np.ndarray]]]) -> Any:
    converter = tf.lite.TFLiteConverter.from_keras_model(_with_batch_of_one(model))
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = representative
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    converter.inference_input_type = converter.inference_output_type = tf.int8
    return converter


@contextmanager
def _quiet() -> Iterator[None]:
    """Leave out what Keras' saving and TensorFlow's converter print: notes to their own developers."""
    with captured_stderr(), redirect_stdout(StringIO()), warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        yield


def _with_batch_of_one(model: keras.Model) -> keras.Model:
    inputs = {tensor.name: keras.Input(batch_shape=(1, *tensor.shape[1:]), name=tensor.name) for tensor in model.inputs}
    return keras.Model(inputs, model(inputs))
