"""Which channels structured pruning removes, and the budgets that say how many."""

from __future__ import annotations

import keras
import numpy as np
import pytest

from heartzoo import models
from heartzoo.compression.channel_costs import ChannelCosts
from heartzoo.compression.channel_search import Bound, choose_channels
from heartzoo.compression.fake_quantization import quantized
from heartzoo.compression.prune_channels import bounds
from heartzoo.compression.quantization import to_tflite
from heartzoo.config.compression import PruneChannelsConfig
from heartzoo.errors import UserError
from heartzoo.interpreters import smallest_arena_bytes
from heartzoo.models.channels import find_groups, macs, narrow
from heartzoo.runtime import arena_bytes, default_runtime


@pytest.mark.parametrize("pooling", ["average", "weighted"])
def test_as_few_channels_go_as_the_budget_allows(pooling):
    model = models.build("resnet", (1, 64, 1), 3, 3, pooling=pooling)
    (bound,) = bounds(PruneChannelsConfig(macs=0.5), model)
    keep = choose_channels(model, [bound], 0.1)
    assert 0.45 * macs(model) < macs(narrow(model, keep)) <= 0.5 * macs(model)
    assert all(mask.any() for mask in keep.values())


def test_the_least_important_channel_goes_first():
    model = models.build("resnet", (1, 64, 1), 3)
    layer = model.get_layer("stage2_block1_conv1")
    (kernel,) = layer.get_weights()
    kernel[..., 7] *= 1e-3
    layer.set_weights([kernel])
    keep = choose_channels(
        model, [Bound("macs", macs(model) - 1, macs, ChannelCosts(model, find_groups(model)).macs)], 0.1
    )
    assert {name: np.flatnonzero(~mask).tolist() for name, mask in keep.items() if not mask.all()} == {
        "stage2_block1_conv1": [7]
    }


def test_a_batch_norm_that_does_not_scale_is_no_hindrance():
    x = keras.Input((1, 64, 1), name="signal")
    y = keras.layers.Conv2D(8, (1, 5), padding="same", use_bias=False, name="conv")(x)
    y = keras.layers.ReLU()(keras.layers.BatchNormalization(scale=False)(y))
    y = keras.layers.GlobalAveragePooling2D()(keras.layers.Conv2D(4, (1, 3), padding="same")(y))
    model = keras.Model(x, keras.layers.Dense(3)(y))
    bound = Bound("macs", macs(model) * 0.6, macs, ChannelCosts(model, find_groups(model)).macs)
    assert macs(narrow(model, choose_channels(model, [bound], 0.1))) <= 0.6 * macs(model)


def test_a_budget_that_cannot_be_met_names_the_nearest_that_can():
    model = models.build("resnet", (1, 64, 1), 3)
    with pytest.raises(UserError, match=r"cannot reach macs <= 10: at its smallest it has [\d,]+; allow"):
        choose_channels(model, bounds(PruneChannelsConfig(macs=10), model), 0.1)


@pytest.mark.parametrize("aware", [False, True])
def test_the_file_is_bounded_by_what_tflite_makes_of_the_network(aware):
    model = models.build("resnet", (1, 64, 1), 3, stem_filters=4, filters=(24,), depths=(1,))
    (flash,) = bounds(PruneChannelsConfig(flash_bytes=6000), model, aware)
    assert flash.measure(model) > 6000
    smaller = narrow(model, choose_channels(model, [flash], 0.1))
    x = {"signal": np.random.default_rng(5).normal(size=(8, 1, 64, 1)).astype(np.float32)}
    assert 5500 < len(to_tflite(quantized(smaller, x) if aware else smaller, x)) <= 6000


@pytest.mark.skipif(default_runtime() != "tflm", reason="the tflite-micro wheel is not installed")
@pytest.mark.parametrize("activations", ["int8", "int16"])
def test_the_arena_is_bounded_by_what_tflite_micro_allocates(activations):
    model = models.build("resnet", (1, 256, 1), 3, stem_filters=4, filters=(24,), depths=(1,))
    (arena,) = bounds(PruneChannelsConfig(arena_bytes=8000), model, activations=activations)
    assert arena.measure(model) > 8000
    smaller = narrow(model, choose_channels(model, [arena], 0.1))
    x = {"signal": np.random.default_rng(5).normal(size=(8, 1, 256, 1)).astype(np.float32)}
    assert 6500 < smallest_arena_bytes(to_tflite(smaller, x, activations=activations)) <= 8000


@pytest.mark.skipif(default_runtime() != "tflm", reason="the tflite-micro wheel is not installed")
def test_what_making_a_model_ready_takes_counts_as_arena():
    model = models.build("rhythm_cnn", (1, 64, 1), 3)
    x = {"signal": np.random.default_rng(5).normal(size=(8, 1, 64, 1)).astype(np.float32)}
    content = to_tflite(model, x)
    (arena,) = bounds(PruneChannelsConfig(arena_bytes=8000), model)
    assert arena_bytes(content) < smallest_arena_bytes(content) <= arena.measure(model)


def test_an_arena_budget_takes_channels_from_the_fullest_layers():
    model = models.build("resnet", (1, 256, 1), 3)
    groups = find_groups(model)
    costs = ChannelCosts(model, groups)

    def peak(network: keras.Model) -> float:
        return float(ChannelCosts(network, find_groups(network)).arena_bytes(sizes(network)).max())

    def sizes(network: keras.Model) -> np.ndarray:
        return np.array([network.get_layer(name).output.shape[-1] for name in groups.sizes])

    keep = choose_channels(model, [Bound("arena", 0.7 * peak(model), peak, costs.arena_bytes)], 0.1)
    assert peak(narrow(model, keep)) <= 0.7 * peak(model)
    full = {name: (~mask).sum() for name, mask in keep.items() if name.startswith(("stem", "stage1"))}
    assert sum(full.values()) > 0.8 * sum((~mask).sum() for mask in keep.values())


def test_a_budget_that_the_estimates_misjudge_is_met_with_more_than_the_smallest_form():
    model = models.build("resnet", (1, 64, 1), 3)

    def measure(network: keras.Model) -> float:
        return 2.0 * network.count_params()

    def estimates(widths: np.ndarray) -> np.ndarray:
        return np.minimum(widths.sum(axis=-1, keepdims=True), 40.0)

    most = 1.2 * model.count_params()
    keep = choose_channels(model, [Bound("size", most, measure, estimates)], 0.1)
    assert 0.9 * most < measure(narrow(model, keep)) <= most


def test_a_budget_that_is_met_takes_nothing():
    model = models.build("resnet", (1, 64, 1), 3)
    (bound,) = bounds(PruneChannelsConfig(macs=10_000_000), model)
    assert all(mask.all() for mask in choose_channels(model, [bound], 0.1).values())


@pytest.mark.skipif(default_runtime() != "tflm", reason="the tflite-micro wheel is not installed")
def test_dead_channels_do_not_keep_the_arena_from_being_measured():
    model = models.build("resnet", (1, 64, 1), 3)
    for layer in model.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.beta.assign(0 * layer.beta - 100)
    (arena,) = bounds(PruneChannelsConfig(arena_bytes=100), model)
    with pytest.raises(UserError, match=r"cannot reach arena_bytes <= 100: at its smallest it has [\d,]+; allow"):
        choose_channels(model, [arena], 0.1)


@pytest.mark.skipif(default_runtime() != "tflm", reason="the tflite-micro wheel is not installed")
@pytest.mark.parametrize("architecture", ["rhythm_cnn", "efficientnetv2", "nin_187", "enhanced_cnn"])
def test_a_trial_needs_the_arena_of_the_network_or_a_little_more(architecture):
    keras.utils.set_random_seed(3)
    model = models.build(architecture, (1, 128, 1), 3)
    (arena,) = bounds(PruneChannelsConfig(arena_bytes=8000), model)
    x = {"signal": np.random.default_rng(5).normal(size=(8, 1, 128, 1)).astype(np.float32)}
    needed = smallest_arena_bytes(to_tflite(model, x))
    assert needed <= arena.measure(model) <= 1.03 * needed
