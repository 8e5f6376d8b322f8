"""Fine-tuning: a training begins with a published network's weights, and nobody whom that has seen judges it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from heartzoo import zoo
from heartzoo.checkpoints import load_model
from heartzoo.config.file import load_config
from heartzoo.data import databases, splits
from heartzoo.data.download import folder
from heartzoo.data.splits import Split
from heartzoo.errors import UserError
from heartzoo.evaluation import refuse_known_people
from heartzoo.export import export
from heartzoo.runs import find_teachers, train

PRETRAINED = "training.pretrained={model: tiny@1.0.0, train: [synthetic-train]}"
MINE = ["name=mine", "data.train=[mine-train]", "data.test=[mine-test]", "training.folds=2", "seeds=[0]", PRETRAINED]


@pytest.fixture
def mine(cache, tiny, tiny_zoo, monkeypatch) -> Path:
    """The configuration of the published ``tiny``, with recordings of other people beside those that it has seen."""
    monkeypatch.setenv("HEARTZOO_ZOO", str(tiny_zoo))
    records = [f"syn{number}" for number in range(24, 32)]
    monkeypatch.setitem(splits.SPLITS, "mine-train", Split("mine-train", "synthetic", tuple(records[:6])))
    monkeypatch.setitem(splits.SPLITS, "mine-test", Split("mine-test", "synthetic", tuple(records[6:]), test=True))
    for seen in ((), ("synthetic-train",), ("ds1",)):
        monkeypatch.setitem(splits.TRAINED_ON, frozenset({"mine-train", *seen}), "mine")
    monkeypatch.setitem(splits.TRACKS, "mine", "made of ours")
    return tiny


def distance(path: Path, published: Path) -> float:
    """Largest difference of a trained weight; statistics of batches move without any learning."""
    weights = [[np.asarray(weight) for weight in load_model(file).trainable_weights] for file in (path, published)]
    return max(float(np.abs(a - b).max()) for a, b in zip(*weights, strict=True))


def test_it_begins_with_the_published_weights(mine, tiny_zoo, tmp_path):
    published = zoo.find("tiny", tiny_zoo).path("model.keras")
    still = ["training.learning_rate=1.0e-12", "training.epochs=1", "training.steps_per_epoch=1"]
    run = train(load_config(mine, [*MINE, *still]), tmp_path / "still")
    assert distance(run / "seed-0" / "best.keras", published) < 1e-6
    moved = train(load_config(mine, MINE), tmp_path / "moved")
    assert distance(moved / "seed-0" / "best.keras", published) > 1e-3


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ("training.pretrained.train=[ds1]", r"\['ds1'\], but tiny@1.0.0 has learnt from synthetic-train; write"),
        ("training.pretrained.model=tiny@1.0.9", "tiny has no version '1.0.9'"),
        ("training.pretrained.model=tiny", "= tiny names no version; write NAME@VERSION"),
        ("training.pretrained.train=[ds7]", "unknown split 'ds7'"),
        ("input.highpass_hz=0.7", "tiny@1.0.0 has another input than mine; both need the same input"),
        ("model.sizes={filters: [4, 4, 4]}", "tiny@1.0.0 has another model than mine; both need the same model"),
        ("data.test=[synthetic-test]", "mine was trained on mine-train .* synthetic-train: it has seen people"),
    ],
)
def test_a_mistake_is_told_and_leaves_no_run(change, told, mine, tmp_path):
    with pytest.raises(UserError, match=told):
        train(load_config(mine, [*MINE, change]), tmp_path / "run")
    assert not (tmp_path / "run" / "config.yaml").exists()


def test_nobody_whom_it_has_seen_validates(mine, tmp_path):
    both = "data.train=[mine-train, synthetic-train]"
    with pytest.raises(UserError, match=r"tiny@1.0.0 has seen \d+ of the \d+ people who validate, such as synthetic/"):
        train(load_config(mine, [*MINE, both]), tmp_path / "run")


def test_an_export_tells_whom_the_weights_have_seen(mine, tmp_path):
    run = train(load_config(mine, MINE), tmp_path / "run")
    entry = export(run, root=tmp_path / "zoo")
    stated, published = entry.configuration["splits"], zoo.find("tiny").configuration["splits"]
    assert list(stated["train"]) == ["mine-train"] and stated["pretrained"] == published["train"]
    (listed,) = zoo.entries(tmp_path / "zoo")
    assert (listed.train, listed.track) == (["mine-train", "synthetic-train"], "mine")
    card = " ".join((entry.folder / "README.md").read_text().split())
    assert "3 patients trained it further, after the 24 of the network that it began as, 3 validated it" in card
    assert "recordings of 30 people" in card and "nobody is in two of them" in card
    # and a student of it would have seen them, too
    with pytest.raises(UserError, match=r"has another training\.pretrained than"):
        find_teachers(str(run), load_config(mine, MINE[:-1]))


def test_the_licence_is_that_of_both_s_data(mine, monkeypatch, tmp_path):
    terms = replace(databases.DATABASES["synthetic"], license="a consent form", share_alike=True)
    monkeypatch.setitem(databases.DATABASES, "synthetic", terms)
    # the new recordings are of another database, in the same folder
    own = replace(terms, name="mine", license="our terms", source="user")
    monkeypatch.setitem(databases.DATABASES, "mine", own)
    for name in ("mine-train", "mine-test"):
        monkeypatch.setitem(splits.SPLITS, name, replace(splits.SPLITS[name], database="mine"))
    folder(own).parent.mkdir(exist_ok=True)
    if not folder(own).exists():
        folder(own).symlink_to(folder(terms))
    entry = export(train(load_config(mine, MINE), tmp_path / "run"), root=tmp_path / "zoo")
    (listed,) = zoo.entries(tmp_path / "zoo")
    assert listed.data_licences == ["a consent form", "our terms"]
    assert "Weights: our terms and a consent form." in (entry.folder / "README.md").read_text()
    assert entry.configuration["example"] is None


def test_the_random_split_s_test_is_not_of_a_fine_tuned_network(mine, monkeypatch):
    monkeypatch.setitem(splits.TRAINED_ON, frozenset({"mine-train", "random-train"}), "mine")
    config = load_config(mine, [*MINE, "training.pretrained.train=[random-train]"])
    with pytest.raises(UserError, match="has seen people of random-test"):
        refuse_known_people(config, splits.get_split("random-test"))
