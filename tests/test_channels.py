"""Channels that belong together, and networks with fewer of them: the same as one whose channels are silenced."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from keras import layers

from heartzoo import models
from heartzoo.config.file import parse_config
from heartzoo.errors import UserError
from heartzoo.models.channels import find_groups, macs, narrow, with_widths
from heartzoo.training import build_model

# Architecture, frame, R-R features.
NETWORKS = [
    ("resnet", 64, 3),
    ("efficientnetv2", 128, 0),
    ("baseline_cnn", 64, 0),
    ("enhanced_cnn", 64, 0),
    ("cnn_187", 64, 0),
    ("nin_187", 64, 0),
    ("rhythm_cnn", 256, 0),
]


def build(architecture: str, frame: int, features: int) -> keras.Model:
    """A network whose batch norms are not those of an untrained one."""
    keras.utils.set_random_seed(0)
    model = models.build(architecture, (1, frame, 1), 3, features)
    rng = np.random.default_rng(0)
    for layer in model.layers:
        if isinstance(layer, layers.BatchNormalization):
            layer.set_weights([rng.uniform(0.5, 1.5, weight.shape) for weight in layer.get_weights()])
    return model


def inputs(model: keras.Model) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(1)
    return {tensor.name: rng.normal(size=(4, *tensor.shape[1:])).astype(np.float32) for tensor in model.inputs}


@pytest.mark.parametrize("network", NETWORKS, ids=lambda network: network[0])
def test_a_narrow_network_computes_what_the_whole_one_does_without_those_channels(network):
    model = build(*network)
    groups = find_groups(model)
    rng = np.random.default_rng(2)
    keep = {name: rng.permutation(size) < max(1, round(0.6 * size)) for name, size in groups.sizes.items()}
    narrower = narrow(model, keep)
    assert narrower.count_params() < model.count_params() and macs(narrower) < macs(model)
    # nobody reads the removed channels any more
    for layer in model.layers:
        if isinstance(layer, layers.Conv2D | layers.Dense):
            kernel, *rest = layer.get_weights()
            position = 0
            for group, size in groups.inputs[layer.name]:
                if group is not None:
                    kernel[..., position : position + size, :][..., ~keep[group], :] = 0
                position += size
            layer.set_weights([kernel, *rest])
    x = inputs(model)
    np.testing.assert_allclose(narrower.predict(x, verbose=0), model.predict(x, verbose=0), atol=1e-5)


def test_channels_that_are_added_go_together_and_logits_stay():
    groups = find_groups(build("resnet", 64, 3))
    assert set(groups.makers["stage1_block1_skip"]) == {"stage1_block1_conv2", "stage1_block1_skip"}
    assert "logits" not in groups.sizes and "signal" not in groups.sizes
    assert {"rr_hidden", "head"} <= set(groups.sizes)


def test_channels_of_an_lstm_and_padded_ones_stay():
    assert set(find_groups(models.build("lstm_187", (1, 64, 1), 3)).sizes) == {"hidden"}
    padded = find_groups(models.build("rhythm_cnn", (1, 256, 1), 3, halve_every=4)).sizes
    assert all(name.endswith("conv1") for name in padded)


def test_multiply_accumulates_are_those_of_the_published_network():
    model = models.build("efficientnetv2", (1, 512, 1), 3)
    assert macs(model) == 963_264


def test_widths_of_a_configuration_are_those_of_its_network():
    tree = {"name": "x", "task": "beat-3", "model": {"architecture": "resnet", "widths": {"stem": 5}}}
    model = build_model(parse_config(tree, "x"))
    assert model.get_layer("stem").filters == 5
    with pytest.raises(UserError, match=r"model.widths.stem = 500, but that layer has 12"):
        with_widths(models.build("resnet", (1, 64, 1), 3), {"stem": 500})
    with pytest.raises(UserError, match=r"model.widths.stam names no layer.*did you mean 'stem'"):
        with_widths(models.build("resnet", (1, 64, 1), 3), {"stam": 5})
