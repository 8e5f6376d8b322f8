"""Trees that teach: what they learn, that it is kept, and where they have no meaning."""

from __future__ import annotations

import numpy as np
import pytest

from heartzoo import runs
from heartzoo.checkpoints import load_model, plans
from heartzoo.compression import trees
from heartzoo.config.compression import TreesConfig
from heartzoo.config.file import load_config
from heartzoo.data.template import TEMPLATE_FEATURES
from heartzoo.data.training_set import load_training_set
from heartzoo.errors import UserError

SMALL = TreesConfig(examples=3000, rounds=10, leaf_examples=5)
FEATURES = [
    *("seeds=[0, 1]", "name=taught", "input.cut=features", "input.frame=16", "input.rr_features=[pre_median]"),
    f"input.template_features={list(TEMPLATE_FEATURES)[:15]}",
    *("model.architecture=mlp", "model.sizes={units: [8]}", "training.augmentation={}"),
]


@pytest.fixture
def data(tiny, cache):
    return load_training_set(load_config(tiny, FEATURES))


def test_trees_learn_the_training_examples_and_answer_for_each(data, tmp_path):
    logits = trees.taught_by_trees(SMALL, data, tmp_path, "trees")
    labels = data.labels[~data.validation]
    assert logits.shape == (len(labels), 3) and logits.dtype == np.float32
    np.testing.assert_allclose(np.exp(logits).sum(axis=1), 1, atol=1e-4)
    assert (logits.argmax(axis=1) == labels).mean() > 0.95


def test_what_they_said_is_kept_and_made_again_where_it_is_damaged(data, tmp_path, monkeypatch):
    first = trees.taught_by_trees(SMALL, data, tmp_path, "trees")
    (path,) = tmp_path.iterdir()
    content = path.read_bytes()
    with monkeypatch.context() as broken:
        broken.setattr(trees, "_learn_and_answer", lambda *_: pytest.fail("asked again"))
        np.testing.assert_array_equal(trees.taught_by_trees(SMALL, data, tmp_path, "trees"), first)
    path.write_bytes(content[: len(content) // 2])
    np.testing.assert_array_equal(trees.taught_by_trees(SMALL, data, tmp_path, "trees"), first)
    trees.taught_by_trees(SMALL.model_copy(update={"rounds": 11}), data, tmp_path, "trees")
    assert len(list(tmp_path.iterdir())) == 2


def test_pieces_do_not_matter(data, tmp_path, monkeypatch):
    whole = trees.taught_by_trees(SMALL, data, tmp_path / "a", "trees")
    monkeypatch.setattr(trees, "PIECE", 100)
    np.testing.assert_array_equal(trees.taught_by_trees(SMALL, data, tmp_path / "b", "trees"), whole)


def test_a_network_learns_from_itself_and_trees(tiny, cache, tmp_path):
    taught = "compression=[{distill: {teachers: [self], trees: {examples: 3000, rounds: 10}, alpha: 0, epochs: 1}}]"
    out = runs.train(load_config(tiny, [*FEATURES, taught]), tmp_path / "run")
    assert len(list(out.glob("trees-*.npy"))) == 1  # for both seeds
    config = load_config(out / "config.yaml")
    for seed in config.seeds:
        before, after = (load_model(plan.folder / "best.keras") for plan in plans(out / f"seed-{seed}", config))
        assert before.count_params() == after.count_params()


def test_trees_are_for_features(tiny):
    with pytest.raises(UserError, match=r"distill\.trees with input\.cut centred: they learn from features"):
        load_config(tiny, ["compression=[{distill: {teachers: [self], trees: {}}}]"])
