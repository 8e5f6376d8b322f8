"""A published model measured anew: the same files, the published figures, and those that were missing."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from heartzoo import candidates, metrics_file, zoo
from heartzoo.config.disturbance import Disturbance
from heartzoo.errors import UserError
from heartzoo.interpreters import default_runtime
from heartzoo.zoo import index as zoo_index
from heartzoo.zoo import verification
from heartzoo.zoo.remeasurement import remeasure

needs_tflm = pytest.mark.skipif(default_runtime() != "tflm", reason="the tflite-micro package is not installed")


@pytest.fixture
def copy(cache, tiny_zoo, tmp_path) -> Path:
    """A copy of the tiny zoo to publish in."""
    return shutil.copytree(tiny_zoo, tmp_path / "zoo")


@needs_tflm
def test_the_new_version_has_the_files_of_the_old_and_more_figures(copy: Path) -> None:
    old = zoo.find("tiny@1.0.0", copy)
    new = remeasure("tiny", root=copy)
    assert (new.version, new.configuration["version"], new.metrics.version) == ("1.0.1", "1.0.1", "1.0.1")
    for name in ("model.tflite", "model.keras"):
        assert new.path(name).read_bytes() == old.path(name).read_bytes()
    assert new.metrics.evaluations == old.metrics.evaluations and new.metrics.seeds == old.metrics.seeds
    assert not old.metrics.end_to_end
    assert [(r.split, r.file_sha256) for r in new.metrics.end_to_end] == [
        ("synthetic-test", old.files["model.tflite"]["sha256"])
    ]
    assert new.configuration["remeasured"]["version"] == "1.0.0"
    assert "files are those of version 1.0.0" in new.path("README.md").read_text()
    assert '_VERSION "1.0.1"' in new.path("model.h").read_text()
    assert not any(found.problems for found in verification.verify(copy))
    with pytest.raises(UserError, match=r"tiny@1.0.1 lacks nothing"):
        remeasure("tiny", root=copy)
    assert not (copy / "tiny/1.0.2").exists()


@needs_tflm
def test_words_that_were_wrong_are_mended(copy: Path, tiny: Path, tmp_path: Path) -> None:
    texts = tmp_path / "texts.yaml"
    texts.write_text(f"base: {tiny}\norigin: told rightly now\nlimits: it is tiny\n")
    new = remeasure(remeasure("tiny", root=copy).name, root=copy, texts=texts)
    texts.write_text(f"base: {tiny}\nname: other\n")
    with pytest.raises(UserError, match="is the configuration of other, not of tiny"):
        remeasure("tiny", root=copy, texts=texts)
    assert new.version == "1.0.2" and new.config.origin == new.configuration["origin"] == "told rightly now"
    card = new.path("README.md").read_text()
    assert "## How it was chosen\n\ntold rightly now\n" in card and "- it is tiny\n" in card
    assert new.config.model == zoo.find("tiny@1.0.0", copy).config.model


@needs_tflm
def test_robustness_grows_by_what_was_not_measured_before(copy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = Disturbance(gain=-1.0), Disturbance(from_fs=128.0)
    asked = []
    measure = candidates.evaluate_disturbed
    monkeypatch.setattr(candidates, "evaluate_disturbed", lambda *given: asked.append(given[2]) or measure(*given))
    monkeypatch.setattr("heartzoo.evaluation.DISTURBANCES", (first,))
    old = remeasure("tiny", root=copy, robustness=True)
    monkeypatch.setattr("heartzoo.evaluation.DISTURBANCES", (second, first))
    new = remeasure("tiny", root=copy)
    assert asked == [first, second]
    assert [result.disturbance for result in new.metrics.robustness] == [second, first]
    assert new.metrics.robustness[1] == old.metrics.robustness[0]


@needs_tflm
def test_older_results_gain_the_matrices_of_their_records(copy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("heartzoo.evaluation.DISTURBANCES", (Disturbance(gain=-1.0),))
    old = remeasure("tiny", root=copy, robustness=True)
    (whole,) = old.metrics.robustness
    before = old.metrics.model_copy(update={"robustness": [whole.model_copy(update={"by_record": None})]})
    old.path("metrics.json").write_bytes(metrics_file.to_bytes(before))
    zoo_index.write(copy, [zoo_index.entry_on_disk(path.parent) for path in copy.glob("*/*/metrics.json")])
    assert remeasure("tiny", "2.0.0", root=copy).metrics.robustness == [whole]
    moved = whole.model_copy(update={"confusion_matrix": [row[::-1] for row in whole.confusion_matrix]})
    monkeypatch.setattr(candidates, "evaluate_disturbed", lambda *_: moved)
    with pytest.raises(UserError, match=r"robustness came out with other decisions than published: .*\"gain\":-1"):
        remeasure(f"tiny@{old.version}", "3.0.0", root=copy)
    assert not (copy / "tiny" / "3.0.0").exists()


def test_what_is_measured_anew_is_of_the_published_records(copy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    entry = zoo.find("tiny@1.0.0", copy)
    fewer = [e.model_copy(update={"records": e.records[:-1]}) for e in entry.metrics.evaluations]
    monkeypatch.setattr(zoo.Entry, "metrics", entry.metrics.model_copy(update={"evaluations": fewer}))
    export = entry.config.export.model_copy(update={"present_only": True})
    monkeypatch.setattr(zoo.Entry, "config", entry.config.model_copy(update={"export": export}))
    told = f"was scored on 7 records of synthetic-test; 1 more are at hand, such as {entry.metrics.first.records[-1]}"
    with pytest.raises(UserError, match=told):
        remeasure("tiny", root=copy)


@needs_tflm
def test_the_hashes_of_what_trained_stay(copy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = copy / "tiny" / "1.0.0" / "configuration.json"
    content = json.loads(path.read_text())
    record = content["splits"]["train"]["synthetic-train"][0]
    content["data_sha256"]["synthetic"][record]["dat"] = "0" * 64
    path.write_text(json.dumps(content))
    zoo_index.write(copy, [zoo_index.entry_on_disk(path.parent)])
    with pytest.raises(UserError, match=f"record {record} of synthetic has other files than those that trained"):
        remeasure("tiny", root=copy)
    assert not (copy / "tiny" / "1.0.1").exists()


def test_figures_that_do_not_come_out_again_are_not_published_anew(copy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    published = zoo.find("tiny@1.0.0", copy).metrics.evaluations[0]
    moved = [row[::-1] for row in published.confusion_matrix]
    again = published.model_copy(update={"confusion_matrix": moved})
    monkeypatch.setattr("heartzoo.evaluation.evaluate", lambda *_: [again])
    with pytest.raises(UserError, match="other decisions"):
        remeasure("tiny", root=copy)
    assert not (copy / "tiny" / "1.0.1").exists()


def test_a_version_is_never_overwritten(copy: Path) -> None:
    with pytest.raises(UserError, match="exists and is never overwritten"):
        remeasure("tiny", "1.0.0", copy)
