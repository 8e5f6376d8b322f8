"""The zoo finds, checks and loads its entries; what is published here is whole, valid and logged."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import heartzoo
from heartzoo import zoo
from heartzoo.config.file import load_config
from heartzoo.data.beats import cut_beats
from heartzoo.data.records import open_record
from heartzoo.data.splits import get_split
from heartzoo.errors import UserError
from heartzoo.metrics_file.results import Evaluation
from heartzoo.tables.ablation import every_ablation
from heartzoo.tables.comparison import comparison
from heartzoo.zoo import publishing
from heartzoo.zoo.index import headline
from heartzoo.zoo.openings import log_openings, unlogged

ROOT = Path(__file__).parents[2]
ZOO = ROOT / "zoo"
PUBLISHED = [model.label for model in zoo.read_index(ZOO)]


@pytest.fixture
def copy(tiny_zoo, tmp_path) -> Path:
    """A copy of the tiny zoo that a test may damage."""
    return shutil.copytree(tiny_zoo, tmp_path / "zoo")


def files_of(entry: zoo.Entry) -> dict[str, bytes]:
    return {name: (entry.folder / name).read_bytes() for name in entry.files}


def test_models_are_listed_by_pattern(tiny_zoo):
    assert heartzoo.list_models(zoo=tiny_zoo) == ["tiny"] == heartzoo.list_models("t?n*", tiny_zoo)
    assert heartzoo.list_models("beat-*", tiny_zoo) == []


@pytest.mark.parametrize(("place", "told"), [("none", "index.json; name such a folder"), ("http://x/y", "found a URL")])
def test_what_is_no_zoo_is_told(place, told, tmp_path):
    with pytest.raises(UserError, match=f"no zoo .*{told}"):
        heartzoo.list_models(zoo=tmp_path / place)


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("tinny", "unknown model 'tinny'; did you mean 'tiny'. Valid: tiny"),
        ("", "'' names no model"),
        ("tiny@1.0.1", "tiny has no version '1.0.1'; did you mean '1.0.0'. Valid: 1.0.0"),
        ("tiny@../1.0.0", "tiny has no version"),
    ],
)
def test_an_unknown_model_or_version_names_the_nearest(name, told, tiny_zoo):
    with pytest.raises(UserError, match=told):
        zoo.find(name, tiny_zoo)


def test_the_newest_version_is_by_number_not_by_letter(copy):
    entry = zoo.find("tiny", copy)
    for version in ("1.9.0", "1.10.0"):
        publishing.publish(copy, "tiny", version, files_of(entry))
    assert zoo.find("tiny", copy).version == "1.10.0" and publishing.next_version(copy, "tiny") == "1.11.0"
    assert publishing.next_version(copy, "other") == "1.0.0"


def test_a_damaged_file_is_detected_and_stays_so_when_another_version_is_published(copy):
    entry = zoo.find("tiny", copy)
    files = files_of(entry)
    content = bytearray(files["model.tflite"])
    content[-1] ^= 1
    (entry.folder / "model.tflite").write_bytes(content)
    (entry.folder / "model.keras").unlink()
    publishing.publish(copy, "tiny", "1.1.0", files)
    for load in (heartzoo.load_tflite, heartzoo.load):
        with pytest.raises(UserError, match="is missing or is not the file that was published"):
            load("tiny@1.0.0", zoo=copy)
    assert heartzoo.load_tflite("tiny@1.1.0", zoo=copy)
    with pytest.raises(UserError, match=r"has no file 'model.tfl'; did you mean 'model.tflite'"):
        entry.path("model.tfl")


@pytest.mark.parametrize(
    ("index", "told"),
    [
        ("{", "is not a zoo index"),
        ("[]", "is not a zoo index"),
        ('{"schema_version": 2}', "is not a zoo index: models: Field required"),
        ('{"schema_version": 2, "models": 3}', "is not a zoo index: models"),
        ('{"schema_version": 2, "models": [{"name": "tiny"}]}', "is not a zoo index: models.0"),
        ('{"schema_version": 2, "models": ["tiny"]}', "is not a zoo index: models.0"),
        ('{"schema_version": 2, "models": [{"name": "../a", "version": "x"}]}', "is not a zoo index: models.0.name"),
        ('{"schema_version": 3, "models": []}', "has schema_version 3, this heartzoo reads 2; upgrade heartzoo"),
        ("\N{REPLACEMENT CHARACTER}\0", "is not a zoo index"),
    ],
)
def test_a_damaged_or_newer_index_is_told(index, told, copy):
    files = files_of(zoo.find("tiny", copy))
    (copy / "index.json").write_text(index, encoding="utf-8")
    attempts: list[Callable[[], Any]] = [
        lambda: zoo.list_models(zoo=copy),
        lambda: zoo.find("tiny", copy),
        lambda: publishing.publish(copy, "new", "1.0.0", files),
    ]
    for attempt in attempts:
        with pytest.raises(UserError, match=told):
            attempt()
    assert (copy / "index.json").read_text(encoding="utf-8") == index and not (copy / "new").exists()


def test_the_index_can_be_made_anew_from_the_entries(copy):
    before = (copy / "index.json").read_bytes()
    (copy / "index.json").unlink()
    (copy / "tiny" / "notes").mkdir()
    publishing.write_index(copy)
    assert (copy / "index.json").read_bytes() == before


def test_publishing_refuses_what_exists_and_cleans_up_after_the_killed(copy):
    files = files_of(zoo.find("tiny", copy))
    with pytest.raises(UserError, match="exists and is never overwritten"):
        publishing.publish(copy, "tiny", "1.0.0", {"configuration.json": b"{}"})
    assert files_of(zoo.find("tiny@1.0.0", copy)) == files
    for leftover in ("tiny/.part.1.1.0", "other/.part.1.0.0"):
        (copy / leftover).mkdir(parents=True)
        (copy / leftover / "model.tflite").write_bytes(b"half")
    publishing.publish(copy, "tiny", "1.2.0", files)
    assert not list(copy.glob("*/.part.*"))
    assert [model.version for model in zoo.read_index(copy)] == ["1.0.0", "1.2.0"]


def test_a_zoo_that_cannot_be_is_told(tmp_path):
    (tmp_path / "zoo").write_text("a file")
    with pytest.raises(UserError, match="cannot write"):
        publishing.publish(tmp_path / "zoo", "tiny", "1.0.0", {"configuration.json": b"{}"})


def test_load_and_load_tflite_give_the_published_networks(cache, tiny_zoo):
    model, tflite = heartzoo.load("tiny", tiny_zoo), heartzoo.load_tflite("tiny@1.0.0", zoo=tiny_zoo)
    assert tflite.classes == ("NSR", "PAC", "PVC")
    record = open_record("synthetic", "syn26")
    examples = cut_beats(record, tflite.config.input)
    logits = tflite.predict(examples.frames, examples.rr)
    assert logits.shape == (len(record.samples), 3) and logits.dtype == np.float32
    # the same normalised frames, in the float network
    frames = examples.frames.astype(np.float64)
    normal = (frames - frames.mean(1, keepdims=True)) / (frames.std(1, keepdims=True) + tflite.config.input.epsilon)
    inputs = {"signal": normal[:, None, :, None].astype(np.float32), "rr": examples.rr}
    float_logits = model.predict_on_batch(inputs)
    assert (np.asarray(float_logits).argmax(1) == logits.argmax(1)).mean() > 0.9
    assert tflite.label_beats(record) == [tflite.classes[index] for index in logits.argmax(1)]
    for arguments, told in (
        ((examples.frames[:, 1:], examples.rr), "expected"),
        ((examples.frames,), "expected rr"),
        ((examples.frames * np.nan, examples.rr), "NaN"),
    ):
        with pytest.raises(UserError, match=told):
            tflite.predict(*arguments)


INFO = """\
import sys
from pathlib import Path
import heartzoo
found = heartzoo.info("tiny", Path(sys.argv[1]))
assert found["metrics"]["model"] == "tiny" and found["configuration"]["classes"] == ["NSR", "PAC", "PVC"]
assert heartzoo.list_models("t*", Path(sys.argv[1])) == ["tiny"]
assert heartzoo.load_tflite("tiny", zoo=Path(sys.argv[1])).classes
print(*sorted({"keras", "tensorflow", "jax", "torch"} & sys.modules.keys()))
"""


def test_info_and_int8_inference_need_neither_keras_nor_tensorflow(tiny_zoo):
    done = subprocess.run([sys.executable, "-c", INFO, tiny_zoo], capture_output=True, text=True)
    assert done.returncode == 0 and done.stdout.strip() == "", done.stderr + done.stdout


def test_the_zoo_in_use_is_the_one_named(monkeypatch, tmp_path):
    monkeypatch.setenv("HEARTZOO_ZOO", str(tmp_path))
    assert zoo.zoo_folder() == tmp_path
    monkeypatch.setenv("HEARTZOO_ZOO", "https://example.org/zoo")
    assert zoo.zoo_folder().name in ("zoo", "published")
    monkeypatch.delenv("HEARTZOO_ZOO")
    assert zoo.zoo_folder().name in ("zoo", "published")


# The log of openings


@pytest.fixture
def opened(tiny_zoo) -> Evaluation:
    """A result that claims to be of a real test split."""
    result = zoo.find("tiny", tiny_zoo).metrics.evaluations[0]
    return result.model_copy(update={"dataset": "mitdb", "split": "ds2"})


def test_an_opening_is_appended_to_the_log_of_the_zoo_in_use(opened, tmp_path):
    for model in ("tiny@1.0.0", "other@2.0.0"):
        assert log_openings(tmp_path / "my-zoo", model, [opened]) == tmp_path / "my-zoo" / "openings.jsonl"
    lines = [json.loads(line) for line in (tmp_path / "my-zoo" / "openings.jsonl").read_text().splitlines()]
    assert [line["model"] for line in lines] == ["tiny@1.0.0", "other@2.0.0"]
    for line in lines:
        assert (line["split"], line["precision"], line["file_sha256"]) == ("ds2", "int8", opened.file_sha256)
        assert line["figures"]["macro_f1"] == opened.macro_f1 and line["date"].startswith("20")


def test_an_opening_is_logged_in_the_cache_where_the_zoo_cannot_be_written(opened, tmp_path, monkeypatch):
    monkeypatch.setenv("HEARTZOO_CACHE", str(tmp_path / "cache"))
    (tmp_path / "zoo").mkdir()
    monkeypatch.setattr("os.access", lambda path, mode: Path(path) != tmp_path / "zoo")
    assert log_openings(tmp_path / "zoo", "tiny@1.0.0", [opened]) == tmp_path / "cache" / "openings.jsonl"
    assert not list((tmp_path / "zoo").iterdir())


def test_what_another_zoo_has_logged_is_not_logged_here(opened, tmp_path):
    assert unlogged(tmp_path, [opened]) == [opened]
    log_openings(tmp_path, "tiny@1.0.0", [opened])
    with (tmp_path / "openings.jsonl").open("a") as log:
        log.write('\n{"date": "20')  # somebody was killed
    other = opened.model_copy(update={"split": "ds2-no202"})
    assert unlogged(tmp_path, [opened, other]) == [other]
    log_openings(tmp_path, "tiny@1.0.0", [other])  # in a line of its own
    assert unlogged(tmp_path, [opened, other]) == []


def test_training_splits_and_synthetic_results_are_no_openings(opened, tmp_path):
    closed = [opened.model_copy(update={"split": "ds1"}), opened.model_copy(update={"dataset": "synthetic"})]
    assert log_openings(tmp_path / "zoo", "tiny@1.0.0", closed) is None and not (tmp_path / "zoo").exists()


# What is published here


@pytest.fixture(scope="module", params=PUBLISHED)  # one after the other, each read once
def published(request) -> zoo.Entry:
    return zoo.find(request.param, ZOO)


@pytest.fixture(scope="module")
def logged() -> set[tuple[str, str]]:
    """The files that a test split was opened for, and the split."""
    lines = [json.loads(line) for line in (ZOO / "openings.jsonl").read_text(encoding="utf-8").splitlines()]
    return {(line["file_sha256"], line["split"]) for line in lines}


def test_published_metrics_are_valid_and_of_these_files(published):
    metrics = published.metrics
    assert (metrics.model, metrics.version) == (published.name, published.version)
    assert metrics.task == published.configuration["task"] and metrics.classes == published.configuration["classes"]
    runtime = metrics.agreement.runtime if metrics.agreement else "tflm"
    for evaluation in metrics.evaluations:
        assert (
            evaluation.file_sha256 == published.files["model.tflite" if evaluation.of_file else "model.keras"]["sha256"]
        )
        if evaluation.of_file:
            assert evaluation.runtime == runtime
    assert metrics.cost.tflite_bytes == published.files["model.tflite"]["bytes"]


def test_published_int8_is_within_a_point_of_float(published):
    figures: dict[tuple[bool, str], float] = {
        (e.of_file, e.split): headline(e, published.metrics.task)[0] for e in published.metrics.evaluations
    }
    splits = {split for _, split in figures}
    assert splits and all(figures[True, split] > figures[False, split] - 0.01 for split in splits)


@pytest.mark.parametrize("name", zoo.list_models(zoo=ZOO))
def test_published_configurations_are_those_of_configs(name):
    # a key that came later counts by its default
    assert load_config(ROOT / "configs" / f"{name}.yaml") == zoo.find(name, ZOO).config


def test_every_published_opening_of_a_test_split_is_logged(published, logged):
    evaluated = {(e.file_sha256, e.split) for e in published.metrics.evaluations if get_split(e.split).test}
    assert evaluated and evaluated <= logged


def test_nothing_published_was_trained_on_non_commercial_data(published):
    assert not any("icentia" in split for split in published.configuration["splits"]["train"])


def test_the_comparison_is_current():
    page = ROOT / "docs" / "comparison.md"
    assert page.read_text(encoding="utf-8") == comparison(ZOO), (
        "run `python -m heartzoo.tables.comparison docs/comparison.md`"
    )


def test_the_comparison_quotes_each_newest_version_by_its_confusion_matrix():
    page = comparison(ZOO)
    for name in zoo.list_models(zoo=ZOO):
        entry = zoo.find(name, ZOO)
        row = next(line for line in page.splitlines() if f"{name}@{entry.version}" in line)
        result = next(e for e in entry.metrics.evaluations if e.of_file)
        matrix = np.array(result.confusion_matrix)
        f1 = 2 * np.diag(matrix) / (matrix.sum(axis=0) + matrix.sum(axis=1)).clip(1)
        assert f"{f1.mean():.3f}" in row
        if result.track == "random":
            assert f"accuracy {np.trace(matrix) / matrix.sum():.4f}" in row


def test_the_ablation_page_is_current():
    page = (ROOT / "docs" / "compression.md").read_text(encoding="utf-8")
    text = page.partition("<!-- ablation: begin -->")[2].partition("<!-- ablation: end -->")[0]
    assert text.strip() == every_ablation(ZOO), "run `python -m heartzoo.tables.ablation docs/compression.md`"


@pytest.mark.parametrize("name", ["arr-5-rr-sm", "beat-3-res-sm", "beat-3-eff-sm", "res-187-ds1"])
@pytest.mark.parametrize("beats", [0, 1, 2, 9])
def test_a_record_of_hardly_any_beats_is_labelled(name, beats, cache):
    record = open_record("synthetic", "syn24")
    few = replace(record, samples=record.samples[3 : 3 + beats], symbols=record.symbols[3 : 3 + beats])
    model = heartzoo.load_tflite(name)
    examples = cut_beats(few, model.config.input)
    assert len(examples.frames) == len(examples.rr) == len(model.label_beats(few))
    assert len(examples.frames) == beats or name != "arr-5-rr-sm"


def test_frames_are_labelled_one_after_the_other_by_their_rhythm(cache):
    record, model = open_record("synthetic", "syn24"), heartzoo.load_tflite("cnn1")
    short = replace(
        record, signal=record.signal[: 3 * 2049 + 100], samples=record.samples[:5], symbols=record.symbols[:5]
    )
    labels = model.label_frames(short)
    assert len(labels) == 3 and set(labels) <= set(model.classes)
    with pytest.raises(UserError, match="cnn1 labels frames by rhythm, not beats; call label_frames"):
        model.label_beats(record)
    with pytest.raises(UserError, match="arr-5-rr-sm labels beats, not frames; call label_beats"):
        heartzoo.load_tflite("arr-5-rr-sm").label_frames(record)
