"""Every registered architecture and every configuration gives a network that trains, converts and runs as int8."""

from __future__ import annotations

import zipfile
from dataclasses import dataclass
from inspect import signature
from pathlib import Path

import keras
import numpy as np
import pytest

from heartzoo import models
from heartzoo.checkpoints import load_model
from heartzoo.compression.quantization import to_tflite
from heartzoo.config.file import load_config, parse_config
from heartzoo.errors import UserError
from heartzoo.flatbuffer import inspect
from heartzoo.models.members import OneMember, without_silencing
from heartzoo.models.registry import size_names
from heartzoo.runtime import TfliteModel, arena_bytes, default_runtime
from heartzoo.tasks import get_task
from heartzoo.training import build_model

ROOT = Path(__file__).parents[1]


# parameters and multiply-accumulates of the published architectures
KNOWN = {"beat-2-eff-sm": (27_886, 866_624), "beat-3-eff-sm": (41_001, 963_264)}
EVERY = sorted((ROOT / "configs").glob("*.yaml"), key=lambda path: (len(path.stem), path.stem))


def configured_networks() -> dict[str, Path]:
    """One configuration for each architecture, pooling, committee and R-R input; and those of known size."""
    found = {}
    for path in EVERY:
        config = load_config(path)
        sizes = config.model.sizes
        kind = sizes.get("pooling"), "members" in sizes
        known = path.stem in KNOWN and path.stem
        network = config.model.architecture, kind, bool(config.input.beat_features), known
        found.setdefault(network, path)
    return {path.stem: path for path in sorted(found.values())}


CONFIGS = configured_networks()
ARCHITECTURES = models.list_architectures()
FEATURES = 5
EXAMPLES = 24
LAYERS = {
    "InputLayer", "Conv2D", "DepthwiseConv2D", "Dense", "BatchNormalization", "ReLU", "Add", "Multiply", "Concatenate",
    "Dropout", "GlobalAveragePooling2D", "MaxPooling2D", "AveragePooling2D", "Activation",
    "LeakyReLU", "Flatten", "Reshape", "ZeroPadding2D", "Rescaling", "LSTM", "OneMember",
}  # fmt: skip


def takes_rr(architecture: str) -> bool:
    return "rr_features" in signature(models.registry.ARCHITECTURES[architecture]).parameters


def build(case: str) -> keras.Model:
    """The network of a configuration, or of an architecture's defaults with or without the R-R input."""
    if case in CONFIGS:
        return build_model(load_config(CONFIGS[case]))
    architecture, _, rr = case.partition("+")
    return models.build(architecture, (1, 64, 1), 3, FEATURES if rr else 0)


def uncovered() -> list[str]:
    """Architectures, with and without the R-R input, that no configuration uses."""
    configs = [load_config(path) for path in CONFIGS.values()]
    covered = {config.model.architecture + "+rr" * bool(config.input.beat_features) for config in configs}
    every = [*ARCHITECTURES, *(f"{name}+rr" for name in ARCHITECTURES if takes_rr(name))]
    return [case for case in every if case not in covered]


CASES = [*CONFIGS, *uncovered()]


@dataclass
class Network:
    case: str
    model: keras.Model
    inputs: dict[str, np.ndarray]
    before: list[np.ndarray]
    losses: list[float]
    content: bytes


@pytest.fixture(scope="module", params=CASES)
def network(request) -> Network:
    """A network after a few training steps on classes that differ, and its int8 file."""
    keras.utils.set_random_seed(0)
    model = build(request.param)
    rng = np.random.default_rng(0)
    labels = np.arange(EXAMPLES) % model.output_shape[1]
    inputs = {t.name: rng.standard_normal((EXAMPLES, *t.shape[1:])).astype(np.float32) for t in model.inputs}
    time = np.arange(inputs["signal"].shape[2]) / 10
    inputs["signal"] += 2 * np.sin(time * (1 + labels[:, None]))[:, None, :, None].astype(np.float32)
    before = [weight.copy() for weight in model.get_weights()]
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(0.003), loss, run_eagerly=True)  # building a graph would take longer
    generators = [g for layer in model.layers if (g := getattr(layer, "seed_generator", None)) is not None]
    first = [np.array(generator.state) for generator in generators]
    losses = []
    for _ in range(4):
        for generator, state in zip(generators, first, strict=True):
            generator.state.assign(state)  # the same units and members fall silent, so that losses can be compared
        losses.append(float(model.train_on_batch(inputs, labels)))
    return Network(request.param, model, inputs, before, losses, to_tflite(model, inputs))


def test_it_trains(network):
    assert np.isfinite(network.losses).all() and min(network.losses[1:]) < network.losses[0]
    after = network.model.get_weights()
    changed = [not np.array_equal(a, b) for a, b in zip(network.before, after, strict=True)]
    # a bias whose layer's units are all at rest may stay
    assert sum(changed) > 0.8 * len(changed) and all(np.isfinite(weight).all() for weight in after)


def committee(members: int = 3) -> keras.Model:
    return models.build("mlp", (1, 12, 1), 4, units=(8, 6), dropout=0.0, members=members)


def test_a_committee_answers_by_the_mean_of_its_members():
    model, signal = committee(), np.random.default_rng(0).normal(size=(20, 1, 12, 1)).astype(np.float32)
    logits = model.get_layer("logits")
    kernel, bias = (weights.numpy() for weights in logits.weights)
    alone = []
    for member in range(3):
        only = np.zeros_like(kernel)
        only[6 * member : 6 * (member + 1)] = 3 * kernel[6 * member : 6 * (member + 1)]
        logits.set_weights([only, bias])
        alone.append(model.predict_on_batch({"signal": signal}))
    logits.set_weights([kernel, bias])
    np.testing.assert_allclose(model.predict_on_batch({"signal": signal}), np.mean(alone, axis=0), atol=1e-5)


def test_each_example_teaches_one_member_of_a_committee():
    model, signal = committee(), np.random.default_rng(0).normal(size=(600, 1, 12, 1)).astype(np.float32)
    inner = keras.Model(model.inputs, model.get_layer("one_member").output)
    whole = inner({"signal": signal}, training=False).numpy().reshape(600, 3, 6)
    taught = inner({"signal": signal}, training=True).numpy().reshape(600, 3, 6)
    active = (taught != 0).any(axis=2)
    assert (active.sum(axis=1) <= 1).all() and (active.sum(axis=0) > 150).all()
    np.testing.assert_allclose(taught[active], 3 * whole[active], rtol=1e-6)


def seeing_committee(seen_class: int | tuple[int, ...] = 2) -> keras.Model:
    return models.build(
        "committee",
        (1, 64, 1),
        3,
        FEATURES,
        units=(8, 6),
        members=2,
        filters=(4, 5),
        seen_class=seen_class,
        draws=(1, 3),
        dropout=0.0,
    )


def beats(count: int) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    shapes = {"signal": (count, 1, 64, 1), "rr": (count, FEATURES)}
    return {name: rng.normal(size=shape).astype(np.float32) for name, shape in shapes.items()}


def test_members_are_taught_as_often_as_they_are_drawn_and_as_if_alone():
    silencing = OneMember(widths=[2, 3], draws=[1, 2], weights=[0.5, 0.25])
    ones = np.ones((6000, 5), np.float32)
    np.testing.assert_array_equal(silencing(ones, training=False), ones)
    rows, counts = np.unique(silencing(ones, training=True), axis=0, return_counts=True)
    # what comes through is divided by its weight in the answer
    np.testing.assert_array_equal(rows, [[0, 0, 4, 4, 4], [2, 2, 0, 0, 0]])
    np.testing.assert_allclose(counts / 6000, [2 / 3, 1 / 3], atol=0.03)


def test_the_perceptrons_of_a_seeing_committee_answer_by_their_mean():
    silencing = seeing_committee().get_layer("one_member").get_config()
    assert silencing["draws"] == (1, 1, 3) and silencing["widths"] == (6, 6, 5)
    assert silencing["weights"] == (0.5, 0.5, 1.5)


@pytest.mark.parametrize("seen_class", [2, (1, 2)])
def test_what_a_seeing_committee_sees_moves_its_classes_alone_and_these_alike(seen_class):
    model, inputs = seeing_committee(seen_class), beats(200)
    model.compile(keras.optimizers.Adam(0.01), keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    labels = np.arange(200) % 3
    inputs["signal"][labels == 2] += np.sin(np.arange(64)).astype(np.float32)[:, None]
    model.fit(inputs, labels, epochs=2, verbose=0)
    other = inputs | {"signal": inputs["signal"][::-1]}
    change = model.predict(inputs, verbose=0) - model.predict(other, verbose=0)
    seen = np.atleast_1d(seen_class)
    assert np.abs(np.delete(change, seen, axis=1)).max() < 1e-5 < np.abs(change[:, 2]).mean()
    np.testing.assert_allclose(change[:, seen], np.repeat(change[:, 2:], len(seen), axis=1), atol=1e-5)


def test_a_seeing_committee_is_published_with_keras_own_layers_alone(tmp_path):
    model, inputs = seeing_committee(), beats(20)
    without_silencing(model).save(tmp_path / "model.keras")
    content = zipfile.ZipFile(tmp_path / "model.keras").read("config.json").decode()
    assert "heartzoo" not in content
    loaded = keras.saving.load_model(tmp_path / "model.keras", safe_mode=True)
    np.testing.assert_allclose(loaded.predict_on_batch(inputs), model.predict_on_batch(inputs), atol=1e-6)


@pytest.mark.parametrize("seen_class", [2, (0, 2), ()])
def test_a_committee_sees_classes_that_there_are(seen_class):
    with pytest.raises(UserError, match=r"seen_class is 0 to 1"):
        models.build("committee", (1, 64, 1), 2, FEATURES, seen_class=seen_class)


def test_weighted_pooling_starts_as_the_average():
    weighted = models.build("resnet", (1, 64, 1), 3, pooling="weighted")
    average = models.build("resnet", (1, 64, 1), 3)
    at_first = {weight.path: weight.numpy() for weight in weighted.weights}
    for weight in average.weights:
        weight.assign(at_first[weight.path])
    frames = np.random.default_rng(0).normal(size=(5, 1, 64, 1)).astype(np.float32)
    np.testing.assert_allclose(weighted({"signal": frames}), average({"signal": frames}), atol=1e-5)


def test_it_is_written_over_one_row_of_samples_without_code(network):
    kinds = {type(layer).__name__ for layer in network.model.layers}
    assert kinds <= LAYERS, f"{kinds - LAYERS}: write the network as Conv2D over (1, samples), without Lambda"
    for layer in network.model.layers:
        if isinstance(layer, keras.layers.Conv2D):
            assert layer.kernel_size[0] == layer.strides[0] == 1
    assert {tensor.name: tensor.shape[:2] for tensor in network.model.inputs}["signal"] == (None, 1)
    assert "EXPAND_DIMS" not in inspect(network.content).operators


def test_it_is_int8_at_both_ends_and_small(network):
    facts = inspect(network.content)
    assert {tensor.dtype for tensor in (*facts.inputs, *facts.outputs)} == {"int8"}
    assert {tensor.shape[0] for tensor in (*facts.inputs, *facts.outputs)} == {1}
    assert facts.signal.shape == (1, *network.inputs["signal"].shape[1:])
    assert (facts.rr is None) == ("rr" not in network.inputs)
    assert facts.tflite_bytes < 3 * network.model.count_params() + 40_000


def test_tflite_micro_runs_it_near_the_float_network(network):
    if default_runtime() != "tflm":
        pytest.skip("the tflite-micro wheel exists for Linux x86-64 only")
    logits = network.model.predict_on_batch(network.inputs)
    quantized = TfliteModel(network.content, "tflm").predict(network.inputs["signal"], network.inputs.get("rr"))
    error = np.sqrt(np.mean((quantized - logits) ** 2)) / logits.std()
    assert error < 0.2, f"int8 logits are off by {error:.0%} of their spread"


def test_a_saved_network_loads_in_safe_mode_and_is_the_same(network, tmp_path):
    network.model.save(tmp_path / "model.keras")
    loaded = load_model(tmp_path / "model.keras")
    assert [type(layer) for layer in loaded.layers] == [type(layer) for layer in network.model.layers]
    pairs = list(zip(loaded.get_weights(), network.model.get_weights(), strict=True))
    assert pairs and all(np.array_equal(a, b) for a, b in pairs)


def test_known_sizes(network):
    if network.case not in KNOWN:
        pytest.skip("no published figures to compare with")
    assert (network.model.count_params(), inspect(network.content).macs) == KNOWN[network.case]


@pytest.mark.parametrize("path", EVERY, ids=lambda path: path.stem)
def test_every_configuration_builds_its_network(path):
    config = load_config(path)
    model = build_model(config)
    assert model.output_shape == (None, len(get_task(config.task).classes))


def test_the_default_efficientnetv2_is_heartkits_three_class_network():
    assert models.build("efficientnetv2", (1, 512, 1), 3).count_params() == 41_001


@pytest.mark.parametrize(
    ("architecture", "samples", "classes", "sizes", "parameters"),
    [
        ("baseline_cnn", 187, 5, {}, 363_525),
        ("enhanced_cnn", 187, 5, {}, 193_093),
        ("dualpath_resnet", 187, 5, {}, 1_690_693),
        ("cnn_187", 187, 5, {}, 120_453),
        ("lstm_187", 187, 5, {}, 120_453),
        ("cnn_187", 187, 5, {"filters": (64, 128, 64), "hidden": 96}, 192_645),
        ("rhythm_cnn", 2049, 3, {"blocks": 8, "filters": 2, "halve_every": 8}, 4_455),
        ("rhythm_cnn", 2049, 3, {"blocks": 13, "filters": 2, "halve_every": 8}, 7_093),
        ("rhythm_cnn", 2049, 3, {"blocks": 11, "filters": 2, "halve_every": 4}, 11_833),
        ("rhythm_cnn", 2049, 3, {"blocks": 13, "filters": 2, "halve_every": 4}, 20_289),
        ("rhythm_cnn", 2049, 3, {"blocks": 13, "filters": 4, "halve_every": 4}, 73_343),
        ("rhythm_cnn", 2049, 3, {"blocks": 13, "filters": 8, "halve_every": 4}, 277_755),
    ],
)
def test_published_parameter_counts(architecture, samples, classes, sizes, parameters):
    assert models.build(architecture, (1, samples, 1), classes, **sizes).count_params() == parameters


@pytest.mark.parametrize(
    ("sizes", "most_bytes", "most_operators", "most_arena"),
    [((8, 2, 8), 20 * 1024, 60, 24 * 1024), ((11, 2, 4), 36 * 1024, 80, 30 * 1024)],
    ids=["cnn1", "cnn3"],
)
def test_rhythm_networks_take_far_less_than_their_authors_files(sizes, most_bytes, most_operators, most_arena):
    names = ("blocks", "filters", "halve_every")
    model = models.build("rhythm_cnn", (1, 2049, 1), 3, **dict(zip(names, sizes, strict=True)))
    rng = np.random.default_rng(0)
    for layer in model.layers:
        if isinstance(layer, keras.layers.BatchNormalization):  # as after a training: none does nothing
            layer.set_weights([rng.uniform(0.5, 1.5, weight.shape) for weight in layer.get_weights()])
    inputs = {"signal": rng.standard_normal((6, 1, 2049, 1)).astype(np.float32)}
    content = to_tflite(model, inputs)
    facts = inspect(content)
    assert len(content) <= most_bytes and sum(facts.operators.values()) <= most_operators
    if default_runtime() == "tflm":
        assert (arena_bytes(content) or 0) <= most_arena
        logits = model.predict_on_batch(inputs)
        error = TfliteModel(content, "tflm").predict(inputs["signal"]) - logits
        assert np.sqrt(np.mean(error**2)) < 0.2 * logits.std()


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_every_size_can_be_set_and_is_documented(architecture):
    function = models.registry.ARCHITECTURES[architecture]
    for size in size_names(architecture):
        assert f"        {size}: " in (function.__doc__ or ""), f"{architecture} does not describe {size}"


def test_a_frame_that_is_too_short_is_told_with_the_lengths_that_do():
    with pytest.raises(UserError, match=r"baseline_cnn cannot take frames of 60 samples .* but 76 samples or more"):
        models.build("baseline_cnn", (1, 60, 1), 5, filters=(4, 4, 4, 4))
    assert models.build("baseline_cnn", (1, 76, 1), 5, filters=(4, 4, 4, 4)).output_shape == (None, 5)


def test_a_recurrent_network_that_branches_is_refused():
    signal = keras.Input((1, 16, 1), name="signal")
    x = keras.layers.LSTM(4)(keras.layers.Reshape((16, 1))(signal))
    model = keras.Model({"signal": signal}, keras.layers.Add()([keras.layers.Dense(3)(x), keras.layers.Dense(3)(x)]))
    with pytest.raises(UserError, match="recurrent network that branches cannot be converted"):
        to_tflite(model, {"signal": np.zeros((2, 1, 16, 1), np.float32)})


@pytest.mark.parametrize("setting", [{"go_backwards": True}, {"activation": "relu"}, {"use_bias": False}])
def test_an_lstm_that_cannot_be_converted_is_refused(setting):
    signal = keras.Input((1, 16, 1), name="signal")
    x = keras.layers.LSTM(4, **setting)(keras.layers.Reshape((16, 1))(signal))
    (name,) = setting
    with pytest.raises(UserError, match=f"{name} = .* cannot be converted in a recurrent network; take {name} = "):
        to_tflite(keras.Model({"signal": signal}, keras.layers.Dense(3)(x)), {"signal": np.zeros((2, 1, 16, 1), "f4")})


def test_an_lstm_counts_the_work_of_every_step():
    model = models.build("lstm_187", (1, 16, 1), 3, units=(8, 4), hidden=5)
    content = to_tflite(model, {"signal": np.random.default_rng(0).random((4, 1, 16, 1), np.float32)})
    lstm1, lstm2 = 16 * 4 * 8 * (1 + 8), 16 * 4 * 4 * (8 + 4)
    assert inspect(content).macs == lstm1 + lstm2 + 4 * 5 + 5 * 3


def test_patterns_list_architectures():
    assert models.list_architectures("eff*") == ["efficientnetv2"]
    assert set(ARCHITECTURES) >= {"efficientnetv2", "resnet"}


def test_a_layer_that_keras_would_number_is_refused(monkeypatch):
    def numbered(input_shape, num_classes):
        signal = keras.Input(input_shape, name="signal")
        x = keras.layers.Flatten()(keras.layers.Conv2D(2, (1, 3), name="first")(signal))
        return keras.Model({"signal": signal}, keras.layers.Dense(num_classes)(x))

    monkeypatch.setitem(models.registry.ARCHITECTURES, "numbered", numbered)
    with pytest.raises(UserError, match=r"architecture numbered: layer dense(_\d+)? has no name of its own"):
        models.build("numbered", (1, 64, 1), 3)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ({"architecture": "resnett"}, "unknown architecture 'resnett'; did you mean 'resnet'"),
        ({"architecture": "resnet", "stem_filter": 3}, "model.sizes.stem_filter .*did you mean 'stem_filters'"),
        ({"architecture": "efficientnetv2", "rr_features": 4}, "efficientnetv2 has no R-R input.* names 4 features"),
        ({"architecture": "resnet", "depths": (1,)}, "resnet cannot be built with depths"),
        ({"architecture": "resnet", "stem_filters": 0}, "resnet cannot be built with stem_filters = 0"),
        (
            {"architecture": "resnet", "stem_filters": 10**8},
            "model.sizes.stem_filters = 100000000: expected 0 to 4,096",
        ),
        ({"architecture": "resnet", "depths": [1, 1, 5000]}, r"model.sizes.depths = \[1, 1, 5000\]: expected 0 to"),
        ({"architecture": "efficientnetv2", "depths": (-1, 1)}, r"model.sizes.depths = \(-1, 1\): expected 0 to"),
        ({"architecture": "resnet", "dropout": "1e-1"}, "model.sizes.dropout = '1e-1': expected a number"),
        ({"architecture": "lstm_187", "units": []}, r"lstm_187 with these sizes gives outputs of \(None, 64, 3\)"),
        ({"architecture": "dualpath_resnet", "kernels": []}, "dualpath_resnet cannot be built with kernels"),
        ({"architecture": "resnet", "pooling": "max"}, "pooling is average or weighted, not max"),
        ({"architecture": "efficientnetv2", "se_ratio": 0}, "cannot be built with se_ratio = 0"),
        ({"architecture": "resnet", "filters": 8}, "cannot be built with filters = 8"),
        ({"architecture": "nin_187", "activation": "relux"}, "cannot be built with activation = relux"),
    ],
)
def test_sizes_that_make_no_network_are_told(arguments, told):
    with pytest.raises(UserError, match=told) as caught:
        models.build(input_shape=(1, 64, 1), num_classes=3, **arguments)
    assert "\n" not in str(caught.value)


def test_a_configuration_that_asks_efficientnetv2_for_rr_input_is_refused():
    network = {"architecture": "efficientnetv2"}
    tree = {"name": "x", "task": "beat-3", "input": {"rr_features": ["pre_post"]}, "model": network}
    with pytest.raises(UserError, match="no R-R input"):
        build_model(parse_config(tree, "x"))


def test_the_lstm_begins_with_memories_from_one_sample_to_the_frame():
    model = models.build("lstm_187", (1, 64, 1), 3, units=(6, 4))
    for name, units in (("lstm1", 6), ("lstm2", 4)):
        bias = np.asarray(model.get_layer(name).get_weights()[2]).reshape(4, units)  # input, forget, cell, output
        np.testing.assert_allclose(bias[1], np.log(np.linspace(1, 63, units)), rtol=1e-5)
        np.testing.assert_array_equal(bias[0], -bias[1])
        assert not bias[2:].any()
