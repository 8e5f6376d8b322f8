"""The interpreters on a network that keeps a state."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from importlib.util import find_spec

import flatbuffers
import keras
import numpy as np
import pytest

from heartzoo import models
from heartzoo.compression.quantization import to_tflite
from heartzoo.config.file import parse_config
from heartzoo.contract import preprocessing
from heartzoo.errors import UserError
from heartzoo.flatbuffer import inspect, operator_name, unpack
from heartzoo.interpreters import RUNTIMES, arena_bytes, smallest_arena_bytes
from heartzoo.runtime import TfliteModel
from heartzoo.zoo import find

# In a process of its own: TFLite Micro may crash where its memory runs out.
FITS = """
import sys
from tflite_micro import runtime
runtime.Interpreter.from_bytes(sys.stdin.buffer.read(), arena_size=int(sys.argv[1])).invoke()
"""


@pytest.fixture(scope="module")
def lstm() -> bytes:
    keras.utils.set_random_seed(0)
    network = models.build("lstm_187", (1, 32, 1), 3, units=(8, 4), hidden=5)
    for layer in network.layers:  # larger weights, for logits that tell the examples apart
        layer.set_weights([3 * weight if weight.ndim > 1 else weight for weight in layer.get_weights()])
    return to_tflite(network, {"signal": np.random.default_rng(0).normal(size=(64, 1, 32, 1)).astype(np.float32)})


@pytest.mark.parametrize("kind", RUNTIMES)
def test_an_example_says_the_same_alone_and_after_others(lstm, kind):
    if kind == "tflm" and not find_spec("tflite_micro"):
        pytest.skip("the tflite-micro wheel is not installed")
    frames = np.random.default_rng(1).normal(size=(6, 32)).astype(np.float32)
    model = TfliteModel(lstm, kind)
    together = model.predict(frames)
    assert len(np.unique(together, axis=0)) == len(frames)
    for frame, logits in zip(frames[::-1], together[::-1], strict=True):
        np.testing.assert_array_equal(model.predict(frame[None])[0], logits)


def test_the_contract_of_a_network_with_a_state_says_to_reset_it(lstm):
    config = parse_config({"name": "x", "task": "beat-3", "model": {"architecture": "lstm_187"}}, "x")
    facts = inspect(lstm)
    assert any("Reset()" in step for step in preprocessing(config, facts)["steps"])
    stateless = replace(facts, operators={"FULLY_CONNECTED": 1})
    assert not any("Reset()" in step for step in preprocessing(config, stateless)["steps"])


@pytest.mark.parametrize("activations", ["int8", "int16"])
def test_a_sum_whose_channels_are_dead_is_refused_as_it_would_end_the_process(activations):
    network = models.build("resnet", (1, 32, 1), 3)
    for layer in network.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.beta.assign(0 * layer.beta - 100)
    frames = {"signal": np.random.default_rng(0).normal(size=(8, 1, 32, 1)).astype(np.float32)}
    with pytest.raises(UserError, match=r"all its channels are dead; train the network anew"):
        TfliteModel(to_tflite(network, frames, activations=activations))


def test_a_sum_without_scales_is_no_reason_to_crash():
    network = models.build("resnet", (1, 32, 1), 3)
    frames = {"signal": np.random.default_rng(0).normal(size=(8, 1, 32, 1)).astype(np.float32)}
    model = unpack(to_tflite(network, frames))
    graph = model.subgraphs[0]
    sums = [op for op in graph.operators if operator_name(model.operatorCodes[op.opcodeIndex]) == "ADD"]
    graph.tensors[sums[0].outputs[0]].quantization.scale = np.array([], np.float32)
    sums[1].outputs = np.array([], np.int32)
    builder = flatbuffers.Builder(0)
    builder.Finish(model.Pack(builder), b"TFL3")
    assert inspect(bytes(builder.Output())).operators["ADD"] == len(sums)


@pytest.mark.skipif(not find_spec("tflite_micro"), reason="the tflite-micro wheel is not installed")
def test_an_interpreter_that_cannot_be_started_is_told(monkeypatch):
    monkeypatch.setattr(sys, "executable", "/bin/false")
    with pytest.raises(RuntimeError, match="/bin/false does not run TFLite Micro"):
        smallest_arena_bytes(find("arr-5-rr-xs").path("model.tflite").read_bytes())


@pytest.mark.skipif(not find_spec("tflite_micro"), reason="the tflite-micro wheel is not installed")
def test_the_smallest_arena_is_enough_and_one_step_less_is_not():
    content = find("arr-5-rr-xs").path("model.tflite").read_bytes()
    smallest = smallest_arena_bytes(content)
    assert smallest is not None and smallest > (arena_bytes(content) or 0)
    tries = [[sys.executable, "-c", FITS, str(size)] for size in (smallest, smallest - 64)]
    fits, fails = (subprocess.run(command, input=content, capture_output=True).returncode for command in tries)
    assert fits == 0 and fails != 0
