"""The interpreters on a network that keeps a state."""

from __future__ import annotations

from importlib.util import find_spec

import numpy as np
import pytest

from heartzoo import models
from heartzoo.interpreters import RUNTIMES
from heartzoo.quantization import to_tflite
from heartzoo.runtime import TfliteModel


@pytest.fixture(scope="module")
def lstm() -> bytes:
    network = models.build("lstm_187", (1, 32, 1), 3, units=(8, 4), hidden=5)
    kernel, bias = network.layers[-1].get_weights()
    network.layers[-1].set_weights([100 * kernel, bias])  # outputs that tell the examples apart
    return to_tflite(network, {"signal": np.random.default_rng(0).random((16, 1, 32, 1), np.float32)})


@pytest.mark.parametrize("kind", RUNTIMES)
def test_an_example_says_the_same_alone_and_after_others(lstm, kind):
    if kind == "tflm" and not find_spec("tflite_micro"):
        pytest.skip("the tflite-micro wheel is not installed")
    frames = np.random.default_rng(1).random((6, 32), np.float32)
    model = TfliteModel(lstm, kind)
    together = model.predict(frames)
    assert len(np.unique(together, axis=0)) > 1
    for frame, logits in zip(frames[::-1], together[::-1], strict=True):
        np.testing.assert_array_equal(model.predict(frame[None])[0], logits)
