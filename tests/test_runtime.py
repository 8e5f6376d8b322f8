"""Facts, stripping and inference of .tflite models, on small untrained networks converted here."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import warnings
from collections.abc import Callable
from contextlib import suppress

import flatbuffers
import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from heartzoo import runtime
from heartzoo.cost import operator_costs
from heartzoo.errors import UserError
from heartzoo.flatbuffer import inspect, require_integer, require_shapes, strip
from heartzoo.runtime import TfliteModel, arena_bytes, default_runtime, predict_chunks, predict_parallel
from heartzoo.zoo import find

SAMPLES, FEATURES, CLASSES = 64, 8, 3
needs_tflm = pytest.mark.skipif(default_runtime() != "tflm", reason="the tflite-micro wheel is not installed")


def convert(model, int8: bool = True) -> bytes:
    """Convert a Keras model with a batch of one; calibrate on noise."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    import keras
    import tensorflow as tf

    inputs = {tensor.name: keras.Input(tensor.shape[1:], batch_size=1, name=tensor.name) for tensor in model.inputs}
    fixed = keras.Model(inputs, model(inputs))
    rng = np.random.default_rng(0)
    batches = [
        {name: rng.standard_normal(tensor.shape).astype(np.float32) for name, tensor in inputs.items()}
        for _ in range(20)
    ]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        converter = tf.lite.TFLiteConverter.from_keras_model(fixed)
        if int8:
            converter.optimizations = [tf.lite.Optimize.DEFAULT]
            converter.representative_dataset = lambda: iter(batches)
            converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
            converter.inference_input_type = converter.inference_output_type = tf.int8
        return bytes(converter.convert())


@pytest.fixture(scope="module")
def networks():
    """A one-input and a two-input Keras network."""
    import keras

    from heartzoo.models import build

    keras.utils.set_random_seed(1)
    shape = (1, SAMPLES, 1)
    effnet = build("efficientnetv2", shape, CLASSES, stem_filters=4, filters=(6,), depths=(1,), se_ratio=2)
    sizes = {"stem_filters": 4, "filters": (6,), "depths": (1,), "rr_units": 5, "head_units": 7}
    return {"effnet": effnet, "resnet": build("resnet", shape, CLASSES, rr_features=FEATURES, **sizes)}


@pytest.fixture(scope="module")
def models(networks) -> dict[str, bytes]:
    return {name: convert(network) for name, network in networks.items()}


def edited(content: bytes, edit: Callable[[schema.ModelT], None]) -> bytes:
    """The same .tflite file after a change to its object tree."""
    model = schema.ModelT.InitFromObj(schema.Model.GetRootAs(content, 0))
    edit(model)
    builder = flatbuffers.Builder(0)
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def swap_inputs(model: schema.ModelT) -> None:
    model.subgraphs[0].inputs = model.subgraphs[0].inputs[::-1].copy()


def examples(name: str, n: int, seed: int = 5) -> tuple[np.ndarray, np.ndarray | None]:
    rng = np.random.default_rng(seed)
    signal, rr = rng.standard_normal((n, SAMPLES)), rng.standard_normal((n, FEATURES))
    return signal.astype(np.float32), rr.astype(np.float32) if name == "resnet" else None


def test_facts(models):
    facts = inspect(models["resnet"])
    assert facts.signal.shape == (1, 1, SAMPLES, 1) and facts.rr.shape == (1, FEATURES)
    assert facts.logits.shape == (1, CLASSES) and facts.logits.dtype == "int8"
    assert facts.operators["CONV_2D"] == 4 and facts.operators["FULLY_CONNECTED"] == 3
    assert facts.tflite_bytes == len(models["resnet"])
    assert inspect(models["effnet"]).rr is None


def test_macs_equal_those_counted_by_hand(models):
    stem = 32 * 4 * 9
    residual = 16 * 6 * 5 * 4 + 16 * 6 * 5 * 6 + 16 * 6 * 4
    assert inspect(models["resnet"]).macs == stem + residual + 5 * 8 + 7 * (6 + 5) + 3 * 7
    mbconv = 32 * 4 * 9 + 2 * 4 + 4 * 2 + 16 * 6 * 4
    assert inspect(models["effnet"]).macs == stem + mbconv + 3 * 6


def test_weights_count_every_constant(networks, models):
    # Each channel of a convolution keeps an int32 bias; a dense layer's untrained bias, all zero, is left out.
    facts = inspect(models["resnet"])
    kernels = sum(int(np.prod(w.shape)) for w in networks["resnet"].weights if "kernel" in w.path)
    biases, mean_axes = 4 + 3 * 6, 2
    assert facts.weights == kernels + biases + mean_axes
    assert facts.weight_bytes == kernels + 4 * (biases + mean_axes)


@needs_tflm
@pytest.mark.parametrize("name", ["effnet", "resnet"])
def test_tflite_micro_agrees_with_the_reference_kernels(models, name):
    batch = examples(name, 200)
    logits = {kind: TfliteModel(models[name], kind).predict(*batch) for kind in ("tflm", "reference", "xnnpack")}
    step = inspect(models[name]).logits.scale
    assert logits["tflm"].shape == (200, CLASSES) and logits["tflm"].dtype == np.float32
    assert len(np.unique(logits["tflm"])) > 20, "the network answers the same to everything"
    assert np.mean(logits["tflm"] != logits["reference"]) < 0.05
    assert np.abs(logits["tflm"] - logits["reference"]).max() < 2 * step
    assert np.abs(logits["tflm"] - logits["xnnpack"]).max() < 10 * step


@pytest.mark.parametrize("name", ["effnet", "resnet"])
def test_int8_follows_the_float_network(networks, models, name):
    signal, rr = examples(name, 100)
    images = signal[:, None, :, None]
    floats = np.asarray(networks[name]({"signal": images} if rr is None else {"signal": images, "rr": rr}))
    errors = np.abs(TfliteModel(models[name]).predict(signal, rr) - floats)
    assert np.median(errors) < 6 * inspect(models[name]).logits.scale


@pytest.mark.parametrize("kind", runtime.RUNTIMES)
def test_inputs_are_found_in_either_order(models, kind):
    if kind == "tflm" and default_runtime() != "tflm":
        pytest.skip("the tflite-micro wheel is not installed")
    swapped = edited(models["resnet"], swap_inputs)
    assert inspect(swapped).signal_index != inspect(models["resnet"]).signal_index
    batch = examples("resnet", 20)
    expected = TfliteModel(models["resnet"], kind).predict(*batch)
    np.testing.assert_array_equal(TfliteModel(swapped, kind).predict(*batch), expected)


def test_frames_may_come_as_images(models):
    signal, _ = examples("effnet", 5)
    model = TfliteModel(models["effnet"])
    np.testing.assert_array_equal(model.predict(signal[:, None, :, None]), model.predict(signal))
    assert model.predict(signal[:0]).shape == (0, CLASSES)


@pytest.fixture(scope="module", params=[None, 0], ids=["calibrated", "zero point 0"])
def quantizer(models, request) -> TfliteModel:
    def set_zero_point(model: schema.ModelT) -> None:
        graph = model.subgraphs[0]
        if request.param is not None:
            graph.tensors[graph.inputs[0]].quantization.zeroPoint = np.array([request.param])

    return TfliteModel(edited(models["effnet"], set_zero_point))


@given(x=arrays(np.float32, 20, elements=st.floats(width=32, allow_nan=False, allow_infinity=False)))
def test_quantize_rounds_and_clips(quantizer, x):
    tensor, stored = quantizer.facts.signal, quantizer.quantize("signal", x)
    assert stored.dtype == np.int8
    value = (stored.astype(np.float64) - tensor.zero_point) * tensor.scale
    low, high = (np.array([-128, 127]) - tensor.zero_point) * tensor.scale
    np.testing.assert_array_equal(stored[x <= low], -128)
    np.testing.assert_array_equal(stored[x >= high], 127)
    inside = (x > low) & (x < high)
    assert np.all(np.abs(value - x)[inside] <= tensor.scale * 0.5001)


def test_quantize_uses_a_zero_point_of_zero(quantizer):
    tensor = quantizer.facts.signal
    values = np.array([-1.4, 0, 1.4, 1.6, 1000]) * tensor.scale
    expected = np.clip(np.array([-1, 0, 1, 2, 1000]) + tensor.zero_point, -128, 127)
    np.testing.assert_array_equal(quantizer.quantize("signal", values), expected)


def test_halves_are_rounded_to_even(models):
    def set_scale(model: schema.ModelT) -> None:
        graph = model.subgraphs[0]
        quantization = graph.tensors[graph.inputs[0]].quantization
        quantization.scale, quantization.zeroPoint = np.array([0.5], np.float32), np.array([0])

    found = TfliteModel(edited(models["effnet"], set_scale)).quantize("signal", np.array([0.25, 0.75, -0.25, -0.75]))
    assert found.tolist() == [0, 2, 0, -2]


@needs_tflm
def test_arena_is_measured_and_stable(models, capfd):
    first = arena_bytes(models["resnet"])
    assert first is not None and 1000 < first < 100_000
    assert arena_bytes(strip(models["resnet"])) == arena_bytes(models["resnet"]) == first
    assert capfd.readouterr() == ("", "")


def test_arena_is_unknown_without_tflite_micro(models, monkeypatch):
    monkeypatch.setattr("heartzoo.interpreters.find_spec", lambda name: None)
    assert arena_bytes(models["resnet"]) is None
    assert default_runtime() == "reference"
    with pytest.raises(UserError, match=r"not installed.*reference"):
        TfliteModel(models["resnet"], "tflm")


@pytest.mark.parametrize("name", ["effnet", "resnet"])
def test_strip_shrinks_and_changes_no_output(models, name):
    content, stripped = models[name], strip(models[name])
    assert len(stripped) < 0.85 * len(content)
    assert b"serving_default" in content and b"serving_default" not in stripped
    assert strip(stripped) == stripped
    facts, before = inspect(stripped), inspect(content)
    assert (facts.inputs, facts.operators, facts.weights) == (before.inputs, before.operators, before.weights)
    for kind in runtime.RUNTIMES if default_runtime() == "tflm" else ("reference", "xnnpack"):
        batch = examples(name, 50)
        expected = TfliteModel(content, kind).predict(*batch)
        np.testing.assert_array_equal(TfliteModel(stripped, kind).predict(*batch), expected)


@pytest.mark.parametrize("name", ["effnet", "resnet"])
def test_parallel_equals_serial(models, name, monkeypatch):
    monkeypatch.setattr(runtime, "CHUNK", 64)
    signal, rr = examples(name, 300)
    expected = TfliteModel(models[name]).predict(signal, rr)
    np.testing.assert_array_equal(predict_parallel(models[name], signal, rr, jobs=2), expected)
    np.testing.assert_array_equal(predict_parallel(models[name], signal, rr, jobs=1), expected)


def test_chunks_keep_their_order_and_show_progress(models, capfd):
    chunks = [examples("effnet", 10 + i, seed=i) for i in range(6)]
    results = predict_chunks(models["effnet"], iter(chunks), len(chunks), jobs=2, progress_description="evaluating")
    model = TfliteModel(models["effnet"])
    for chunk, logits in zip(chunks, results, strict=True):
        np.testing.assert_array_equal(logits, model.predict(*chunk))
    assert "evaluating" in capfd.readouterr().err


def test_a_worker_hands_on_the_error(models):
    signal, _ = examples("effnet", 30)
    signal[25, 3] = np.nan
    chunks = ((signal[i : i + 10], None) for i in range(0, 30, 10))
    with pytest.raises(UserError, match="NaN"):
        list(predict_chunks(models["effnet"], chunks, 3, jobs=2))


def test_bad_batches(models):
    one, two = TfliteModel(models["effnet"]), TfliteModel(models["resnet"])
    signal, rr = examples("resnet", 4)
    calls = {
        r"expected signal of shape \(n, 64\), found \(4, 63\)": lambda: one.predict(signal[:, 1:]),
        r"expected signal of shape \(n, 64\), found \(64,\)": lambda: one.predict(signal[0]),
        "no R-R input, but rr was given": lambda: one.predict(signal, rr),
        r"expected rr of shape \(n, 8\), found none": lambda: two.predict(signal),
        r"expected rr of shape \(n, 8\), found \(4, 7\)": lambda: two.predict(signal, rr[:, 1:]),
        "found 3 rows for 4 frames": lambda: predict_parallel(models["resnet"], signal, rr[1:]),
        "unknown runtime 'tlfm'; did you mean 'tflm'": lambda: TfliteModel(models["effnet"], "tlfm"),
    }
    for message, call in calls.items():
        with pytest.raises(UserError, match=message):
            call()
    with pytest.raises(UserError, match="found NaN or infinity"):
        one.predict(np.full((1, SAMPLES), np.inf))


def test_what_is_not_a_model_is_refused(models):
    for content in (b"", b"TFL3", b"\x1c\0\0\0TFL3", b"PK\x03\x04" * 100):
        with pytest.raises(UserError, match=r"TFL3|truncated or damaged"):
            TfliteModel(content)


@pytest.mark.parametrize("name", ["effnet", "resnet"])
def test_truncated_models_are_refused(models, name):
    content = models[name]
    for size in range(8, len(content) - 64, 509):
        with pytest.raises(UserError, match="truncated or damaged"):
            inspect(content[:size])


@given(seed=st.integers(0, 2**32), head=st.binary(min_size=4, max_size=4))
def test_random_bytes_never_crash(seed, head):
    generator = random.Random(seed)
    content = head[:2] + b"\0\0TFL3" + generator.randbytes(generator.randrange(3000))
    with pytest.raises(UserError, match=r"the \.tflite model is truncated or damaged"):
        inspect(content)


def test_damaged_models_are_refused_or_read(models):
    generator = random.Random(0)
    for _ in range(100):
        content = bytearray(models["resnet"])
        for _ in range(20):
            content[generator.randrange(len(content))] = generator.randrange(256)
        with suppress(UserError):
            inspect(bytes(content))


def test_a_model_with_any_byte_lost_is_refused_or_read():
    content = find("arr-5-rr-xs").path("model.tflite").read_bytes()
    for place in range(0, len(content), 2):
        damaged = content[:place] + b"\0" + content[place + 1 :]
        for read in (inspect, operator_costs):
            with suppress(UserError):
                read(damaged)


def test_a_float_model_is_refused(networks):
    facts = inspect(convert(networks["effnet"], int8=False))
    with pytest.raises(UserError, match=r"expected an int8 input, found float32 of shape \(1, 1, 64, 1\)"):
        require_integer(facts)


def test_wrong_shapes_are_refused(models):
    facts = inspect(models["effnet"])
    require_shapes(facts, SAMPLES, 0, CLASSES)
    with pytest.raises(UserError, match=r"expected signal \(1, 1, 512, 1\), found \(1, 1, 64, 1\)"):
        require_shapes(facts, 512, 0, CLASSES)
    with pytest.raises(UserError, match=r"expected rr \(1, 8\), found none"):
        require_shapes(facts, SAMPLES, 8, CLASSES)
    with pytest.raises(UserError, match=r"expected rr absent, found \(1, 8\)"):
        require_shapes(inspect(models["resnet"]), SAMPLES, 0, CLASSES)
    with pytest.raises(UserError, match=r"expected logits \(1, 5\), found \(1, 3\)"):
        require_shapes(facts, SAMPLES, 0, 5)


def test_other_inputs_and_outputs_are_refused(models):
    def drop_signal(model: schema.ModelT) -> None:
        graph = model.subgraphs[0]
        graph.inputs = np.array([i for i in graph.inputs if len(graph.tensors[i].shape) == 2], np.int32)

    def repeat_output(model: schema.ModelT) -> None:
        model.subgraphs[0].outputs = np.repeat(model.subgraphs[0].outputs, 2)

    with pytest.raises(UserError, match=r"expected the inputs signal .* found \(1, 8\)"):
        TfliteModel(edited(models["resnet"], drop_signal))
    with pytest.raises(UserError, match="expected one output"):
        TfliteModel(edited(models["resnet"], repeat_output))


@needs_tflm
def test_an_operator_that_tflite_micro_lacks_is_named(models, capfd):
    def to_gelu(model: schema.ModelT) -> None:
        add = next(code for code in model.operatorCodes if code.deprecatedBuiltinCode == schema.BuiltinOperator.ADD)
        add.builtinCode, add.deprecatedBuiltinCode = schema.BuiltinOperator.GELU, 127

    content = edited(models["resnet"], to_gelu)
    assert inspect(content).operators["GELU"] == 1
    with pytest.raises(UserError, match="TFLite Micro has no operator GELU"):
        TfliteModel(content, "tflm")
    with pytest.raises(UserError, match="LiteRT cannot run this model"):
        TfliteModel(content, "reference")
    assert capfd.readouterr().err == ""


def test_the_runtime_needs_no_tensorflow():
    program = "import sys, heartzoo.runtime, heartzoo.cheader; print({'tensorflow', 'keras'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"
