"""Conversion to integers: ways of calibration, and activations of 16 bits."""

from __future__ import annotations

import keras
import numpy as np
import pytest

from heartzoo import models
from heartzoo.compression.calibration import METHODS
from heartzoo.compression.quantization import to_tflite
from heartzoo.errors import UserError
from heartzoo.flatbuffer import inspect, require_integer
from heartzoo.runtime import TfliteModel


def inputs(model: keras.Model, n: int = 48) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    return {tensor.name: rng.normal(size=(n, *tensor.shape[1:])).astype(np.float32) for tensor in model.inputs}


def lost(model: keras.Model, content: bytes, x: dict[str, np.ndarray]) -> float:
    """Root mean square of what the file's logits differ by from the network's."""
    found = TfliteModel(content).predict(x["signal"], x.get("rr"))
    return float(np.sqrt(np.square(found - model.predict(x, verbose=0)).mean()))


@pytest.mark.parametrize(
    ("architecture", "features", "sizes"),
    [
        ("resnet", 3, {"stem_filters": 4, "filters": (6, 8), "depths": (1, 1)}),
        ("rhythm_cnn", 0, {"blocks": 2}),
        ("baseline_cnn", 0, {"hidden": 8}),
        ("enhanced_cnn", 0, {"hidden": 8}),
        ("cnn_187", 0, {"filters": (4, 4, 4), "hidden": 8}),
        ("dualpath_resnet", 0, {"filters": (8, 8), "merged_filters": 8, "stem_filters": 4}),
    ],
)
def test_activations_of_16_bits_are_nearer_to_the_float_network(architecture, features, sizes):
    keras.utils.set_random_seed(3)
    model = models.build(architecture, (1, 128, 1), 3, features, **sizes)
    x = inputs(model)
    narrow, wide = to_tflite(model, x), to_tflite(model, x, activations="int16")
    assert (require_integer(inspect(narrow)), require_integer(inspect(wide))) == ("int8", "int16x8")
    assert {tensor.dtype for tensor in (*inspect(wide).inputs, inspect(wide).logits)} == {"int16"}
    assert {tensor.zero_point for tensor in (*inspect(wide).inputs, inspect(wide).logits)} == {0}
    assert lost(model, wide, x) < lost(model, narrow, x)


def test_values_beyond_16_bits_are_the_ends():
    model = models.build("resnet", (1, 64, 1), 3)
    wide = TfliteModel(to_tflite(model, inputs(model), activations="int16"))
    assert wide.quantize("signal", np.array([[-1e9, 0.0, 1e9]])).tolist() == [[-32768, 0, 32767]]


def test_an_operator_without_an_int16_form_is_named():
    model = models.build("nin_187", (1, 64, 1), 3, filters=(4, 8), kernels=(5, 5))
    with pytest.raises(UserError, match="no int16 form of HARD_SWISH"):
        to_tflite(model, inputs(model), activations="int16")


@pytest.mark.parametrize("method", METHODS)
def test_every_way_of_calibration_makes_a_file_of_the_same_operators(method):
    keras.utils.set_random_seed(3)
    model = models.build("resnet", (1, 64, 1), 3)
    x = inputs(model)
    content = to_tflite(model, x, method)
    assert inspect(content).operators == inspect(to_tflite(model, x)).operators
    spread = float(model.predict(x, verbose=0).std())
    assert lost(model, content, x) < 0.2 * spread


def test_an_outlier_among_the_examples_costs_percentiles_less():
    keras.utils.set_random_seed(3)
    model = models.build("resnet", (1, 64, 1), 3, stem_filters=4, filters=(6,), depths=(1,))
    x = inputs(model, 300)
    spoilt = {"signal": x["signal"].copy()}
    spoilt["signal"][0, 0, 5, 0] = 300.0
    whole, percentiles = to_tflite(model, spoilt), to_tflite(model, spoilt, "percentile")
    assert lost(model, percentiles, x) < 0.5 * lost(model, whole, x)
