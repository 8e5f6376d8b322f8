"""The fake-quantized network computes what its int8 file will."""

from __future__ import annotations

import keras
import numpy as np
import pytest

from heartzoo import models
from heartzoo.checkpoints import load_model
from heartzoo.compression.fake_layers import FakeQuantize
from heartzoo.compression.fake_quantization import quantized
from heartzoo.compression.quantization import to_tflite
from heartzoo.compression.quantization_report import quantization_report
from heartzoo.errors import UserError
from heartzoo.flatbuffer import inspect
from heartzoo.runtime import TfliteModel


@pytest.mark.parametrize(
    ("architecture", "features", "sizes"),
    [
        ("resnet", 3, {"stem_filters": 4, "filters": (6, 8), "depths": (1, 1)}),
        ("resnet", 3, {"stem_filters": 4, "filters": (6,), "depths": (1,), "pooling": "weighted"}),
        ("efficientnetv2", 0, {"stem_filters": 4, "filters": (6, 8), "depths": (1, 1), "se_ratio": 2}),
        ("rhythm_cnn", 0, {"blocks": 2}),
        ("dualpath_resnet", 0, {"filters": (8, 8), "merged_filters": 8, "stem_filters": 4}),
        ("nin_187", 0, {"filters": (4, 8), "kernels": (5, 5)}),
        ("cnn_187", 0, {"filters": (4, 4, 4), "hidden": 8}),
    ],
)
def test_the_int8_file_computes_what_the_fake_quantized_network_does(architecture, features, sizes):
    keras.utils.set_random_seed(3)
    model = models.build(architecture, (1, 128, 1), 3, features, **sizes)
    rng = np.random.default_rng(0)
    for layer in model.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.set_weights([rng.uniform(0.8, 1.2, weight.shape) for weight in layer.get_weights()])
        elif getattr(layer, "use_bias", False):
            # the converter takes equal biases for those of one channel, so they are unequal, as training makes them
            layer.bias.assign(rng.uniform(-0.1, 0.1, layer.bias.shape))
    x = {tensor.name: rng.normal(size=(64, *tensor.shape[1:])).astype(np.float32) for tensor in model.inputs}
    fake = quantized(model, x)
    content = to_tflite(fake, x)
    assert inspect(content).operators == inspect(to_tflite(model, x)).operators
    step = inspect(content).logits.scale
    found = TfliteModel(content).predict(x["signal"], x.get("rr"))
    assert np.abs(found - fake.predict(x, verbose=0)).max() <= 4.01 * step
    assert np.abs(found - model.predict(x, verbose=0)).max() <= 12 * step


def test_a_batch_norm_after_an_activation_is_not_folded_into_the_convolution_before():
    keras.utils.set_random_seed(5)
    signal = keras.Input((1, 32, 1), name="signal")
    x = keras.layers.Conv2D(4, (1, 3), activation="relu", padding="same")(signal)
    x = keras.layers.Flatten()(keras.layers.BatchNormalization()(x))
    model = keras.Model({"signal": signal}, keras.layers.Dense(3)(x))
    norm = next(layer for layer in model.layers if isinstance(layer, keras.layers.BatchNormalization))
    norm.set_weights(
        [np.array(values, np.float32) for values in ([0.5, 2, 1, 1.5], [1, -1, 0, 2], [0, 1, 0.5, -1], [1, 2, 3, 4])]
    )
    x = {"signal": np.random.default_rng(0).normal(size=(64, 1, 32, 1)).astype(np.float32)}
    expected = model.predict(x, verbose=0)
    assert np.abs(quantized(model, x).predict(x, verbose=0) - expected).max() < 0.05 * np.ptp(expected)


def test_values_beyond_a_range_are_its_ends():
    layer = FakeQuantize(-1.0, 3.0)
    found = np.asarray(layer(np.array([-50.0, -1.0, 0.0, 0.004, 3.0, 1e9], np.float32)))
    low, high = found[0], found[-1]
    assert high - low == pytest.approx(4.0) and low == pytest.approx(-1.0, abs=0.01)
    np.testing.assert_allclose(found, [low, low, 0.0, 0.0, high, high], atol=1e-6)


def test_a_fake_quantized_network_loads_in_safe_mode(tmp_path):
    model = models.build("resnet", (1, 64, 1), 3)
    x = {"signal": np.random.default_rng(0).normal(size=(8, 1, 64, 1)).astype(np.float32)}
    fake = quantized(model, x)
    fake.save(tmp_path / "x.keras")
    np.testing.assert_array_equal(load_model(tmp_path / "x.keras").predict(x), fake.predict(x))


def test_the_report_names_the_tensor_that_breaks():
    keras.utils.set_random_seed(3)
    model = models.build("resnet", (1, 64, 1), 3)
    rng = np.random.default_rng(0)
    x = {"signal": rng.normal(size=(64, 1, 64, 1)).astype(np.float32)}
    report = quantization_report(model, x, x)
    assert (report[0].layer, report[-1].layer) == ("signal", "logits")
    assert all(20 < row.own_snr_db < 70 and row.snr_db < row.own_snr_db + 3 for row in report[1:])
    wide = {"signal": np.concatenate([x["signal"], 200 * x["signal"][:1]])}
    assert quantization_report(model, wide, x)[0].own_snr_db < report[0].own_snr_db - 30
    with pytest.raises(UserError, match="not for an LSTM"):
        quantization_report(models.build("lstm_187", (1, 64, 1), 3), x, x)
