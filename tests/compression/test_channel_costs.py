"""What the search believes of a narrower network is what the network and its file say."""

from __future__ import annotations

import numpy as np
import pytest

from heartzoo import models
from heartzoo.compression.channel_costs import ChannelCosts
from heartzoo.compression.quantization import to_tflite
from heartzoo.cost import operator_costs
from heartzoo.models.channels import find_groups, macs, narrow
from heartzoo.runtime import arena_bytes, default_runtime

NETWORKS = {"resnet": 3, "efficientnetv2": 0, "baseline_cnn": 0, "nin_187": 0}  # and their R-R features


@pytest.mark.parametrize("architecture", NETWORKS)
def test_estimates_are_those_of_the_network_and_its_file(architecture):
    model = models.build(architecture, (1, 128, 1), 3, NETWORKS[architecture])
    groups = find_groups(model)
    rng = np.random.default_rng(0)
    widths = np.array([rng.integers(max(1, size // 2), size + 1) for size in groups.sizes.values()])
    keep = {name: np.arange(size) < width for (name, size), width in zip(groups.sizes.items(), widths, strict=True)}
    narrower = narrow(model, keep)
    x = {t.name: rng.normal(size=(4, *t.shape[1:])).astype(np.float32) for t in model.inputs}
    content = to_tflite(narrower, x)
    costs = ChannelCosts(model, groups)
    assert costs.macs(widths) == macs(narrower)
    peak = max(operator.live_bytes for operator in operator_costs(content))
    live = costs.arena_bytes(widths, 2) - costs.arena_bytes(widths, 1)
    assert live.max() == pytest.approx(peak, rel=0.02)
    assert 0.5 * len(content) < costs.weight_bytes(widths) < len(content)
    np.testing.assert_array_equal(costs.macs(np.stack([widths, widths])), 2 * [costs.macs(widths)])


@pytest.mark.skipif(default_runtime() != "tflm", reason="the tflite-micro wheel is not installed")
def test_all_of_the_arena_that_channels_make_is_estimated():
    model = models.build("efficientnetv2", (1, 128, 1), 3)
    groups = find_groups(model)
    sizes = np.array(list(groups.sizes.values()))
    halves = np.ceil(sizes / 2).astype(int)
    beside = []
    for widths in (sizes, halves):
        keep = {n: np.arange(size) < w for (n, size), w in zip(groups.sizes.items(), widths, strict=True)}
        x = {"signal": np.random.default_rng(0).normal(size=(4, 1, 128, 1)).astype(np.float32)}
        arena = arena_bytes(to_tflite(narrow(model, keep), x))
        beside.append(arena - ChannelCosts(model, groups).arena_bytes(widths).max())
    assert beside[1] == pytest.approx(beside[0], rel=0.03)
