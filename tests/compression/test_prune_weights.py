"""Which weights magnitude pruning sets to zero."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from heartzoo.compression.prune_weights import magnitude_masks

SHAPES = st.lists(st.tuples(st.integers(1, 5), st.integers(1, 8)), min_size=1, max_size=4)


@given(SHAPES, st.floats(0, 1), st.sampled_from(["layer", "global"]), st.integers(0, 1000))
@settings(max_examples=60)
def test_masks_take_the_smallest_and_as_many_as_asked(shapes, sparsity, scope, seed):
    rng = np.random.default_rng(seed)
    weights = [rng.normal(size=shape) for shape in shapes]
    masks = magnitude_masks(weights, sparsity, scope)
    zeros, sizes = [(~mask).sum() for mask in masks], [mask.size for mask in masks]
    if scope == "layer":
        assert zeros == [round(sparsity * size) for size in sizes]
    else:
        assert sum(zeros) == round(sparsity * sum(sizes))
    for weight, mask in zip(weights, masks, strict=True):
        if mask.any() and not mask.all():
            assert np.abs(weight[~mask]).max() <= np.abs(weight[mask]).min()


def test_a_layer_of_small_weights_is_pruned_no_more_than_others():
    weights = np.random.default_rng(0).normal(size=(5, 8))
    small, large = magnitude_masks([weights, 100 * weights], 0.5, "global")
    assert np.array_equal(small, large) and small.sum() == 20
