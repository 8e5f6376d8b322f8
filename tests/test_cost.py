"""What operators cost, against a network whose sizes are known."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from keras import layers

from heartzoo import zoo
from heartzoo.compression.quantization import to_tflite
from heartzoo.cost import INSTRUCTIONS_PER_MAC, operator_costs
from heartzoo.errors import UserError
from heartzoo.flatbuffer import inspect


def small() -> keras.Model:
    """Two convolutions whose outputs are added, pooled, and a dense layer."""
    signal = keras.Input((1, 20, 1), name="signal")
    a = layers.Conv2D(4, (1, 3), padding="same", activation="relu", name="a")(signal)
    b = layers.Conv2D(4, (1, 3), padding="same", name="b")(a)
    x = layers.GlobalAveragePooling2D()(layers.Add()([a, b]))
    return keras.Model({"signal": signal}, layers.Dense(3, name="logits")(x))


@pytest.fixture(scope="module")
def content() -> bytes:
    rng = np.random.default_rng(0)
    return to_tflite(small(), {"signal": rng.normal(size=(8, 1, 20, 1)).astype(np.float32)})


def test_operators_cost_what_their_sizes_say(content):
    costs = operator_costs(content)
    assert [row.name for row in costs] == ["CONV_2D", "CONV_2D", "ADD", "MEAN", "FULLY_CONNECTED"]
    assert [row.macs for row in costs] == [20 * 4 * 3, 20 * 4 * 3 * 4, 0, 0, 4 * 3]
    # kernels of one byte a weight, biases of four
    assert [row.weight_bytes for row in costs[:2]] == [4 * 3 + 4 * 4, 4 * 3 * 4 + 4 * 4]
    # the first convolution's output is still needed when the second one runs
    assert [row.live_bytes for row in costs] == [20 + 80, 80 + 80, 80 + 80 + 80, 80 + 4, 4 + 3]
    assert costs[0].instructions == 240 * INSTRUCTIONS_PER_MAC["CONV_2D"] and costs[2].instructions is None


def test_the_sum_is_what_is_published(tiny_zoo):
    entry = zoo.find("tiny", tiny_zoo)
    found = entry.path("model.tflite").read_bytes()
    assert sum(row.macs for row in operator_costs(found)) == inspect(found).macs == entry.metrics.cost.macs


def test_something_else_is_no_model():
    with pytest.raises(UserError, match=r"expected a .tflite model"):
        operator_costs(b"something else")
