"""An export says everything that another implementation needs, and is whole or not there at all."""

from __future__ import annotations

import errno
import hashlib
import json
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

import heartzoo
from heartzoo import candidates, cheader, metrics_file, zoo
from heartzoo.confidence import fit_temperature
from heartzoo.config.disturbance import Disturbance
from heartzoo.config.file import load_config, parse_config
from heartzoo.data.batches import input_chunks
from heartzoo.data.records import open_record
from heartzoo.data.splits import get_split
from heartzoo.data.training_set import load_training_set
from heartzoo.errors import UserError
from heartzoo.export import _choose, check_measurable, describe, export
from heartzoo.metrics import macro_f1, paired_difference
from heartzoo.prevalence import RunningPrevalence
from heartzoo.runs import train
from heartzoo.runtime import default_runtime
from heartzoo.zoo import publishing
from heartzoo.zoo.verification import verify

FILES = ["README.md", "configuration.json", "metrics.json", "model.h", "model.keras", "model.tflite"]
needs_tflm = pytest.mark.skipif(default_runtime() != "tflm", reason="the tflite-micro wheel is not installed")


@pytest.fixture
def entry(cache, tiny_zoo) -> zoo.Entry:
    return zoo.find("tiny@1.0.0", tiny_zoo)


@pytest.fixture
def run(cache, tiny_run, tiny_zoo, tmp_path) -> Path:
    """A copy of the tiny run, with the evaluations that its export has kept."""
    return shutil.copytree(tiny_run, tmp_path / "run")


def published(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_every_file_is_in_the_index(entry, tiny_zoo):
    assert sorted(path.name for path in entry.folder.iterdir()) == FILES == sorted(entry.files)
    for name, fact in entry.files.items():
        content = (entry.folder / name).read_bytes()
        assert fact == {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
    (model,) = json.loads((tiny_zoo / "index.json").read_text())["models"]
    assert (model["name"], model["version"], model["task"]) == ("tiny", "1.0.0", "beat-3")
    assert all(str(entry.folder / name) in line for name, line in zip(entry.files, describe(entry), strict=True))


def test_metrics_hold_float_and_int8_of_the_published_file_and_every_seed(entry):
    metrics = metrics_file.read(entry.folder / "metrics.json")
    assert [(e.precision, e.split, e.track) for e in metrics.evaluations] == [
        ("int8", "synthetic-test", "synthetic"), ("float32", "synthetic-test", "synthetic"),
    ]  # fmt: skip
    shipped = entry.configuration["training"]["shipped_seed"]
    validation = entry.configuration["training"]["validation"]
    assert {e.seed for e in metrics.evaluations} == {shipped}
    assert validation[str(shipped)]["val_loss"] == min(figures["val_loss"] for figures in validation.values())
    assert metrics.evaluations[0].file_sha256 == entry.files["model.tflite"]["sha256"]
    assert metrics.evaluations[1].file_sha256 == entry.files["model.keras"]["sha256"]
    by_metric = {(s.metric, s.precision): s for s in metrics.seeds}
    assert set(by_metric) == {
        (metric, precision)
        for metric in ("macro_f1", "per_class.NSR.f1", "per_class.PAC.f1", "per_class.PVC.f1")
        for precision in ("int8", "float32")
    }
    headline = by_metric["macro_f1", "int8"]
    assert set(headline.each) == {0, 1} and headline.each[shipped] == metrics.evaluations[0].macro_f1
    assert metrics.cost.tflite_bytes == entry.files["model.tflite"]["bytes"]
    assert metrics.cost.keras_bytes == entry.files["model.keras"]["bytes"]
    assert 0 < metrics.cost.nonzero_parameters <= metrics.cost.parameters


def test_the_card_says_what_it_is(entry):
    card = (entry.folder / "README.md").read_text()
    assert "# tiny 1.0.0" in card and "**Not a medical device.**" in card and "Apache-2.0" in card
    assert "says nothing about patients" in card and "heartzoo evaluate tiny@1.0.0" in card


def test_the_card_tells_how_it_does_on_women_and_men_young_and_old(entry):
    card = (entry.folder / "README.md").read_text().partition("by sex and age")[2]
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in card.splitlines() if line.startswith("| ")]
    patients = {row[0]: int(row[1]) for row in rows[2:7]}
    beats = {row[0]: int(row[2].replace(",", "")) for row in rows[2:7]}
    assert patients == {
        "women": 3, "men": 5, "under 50 years": 2, "50 to 69 years": 4, "70 years and over": 2,
    }  # fmt: skip
    assert beats["women"] + beats["men"] == entry.metrics.evaluations[0].n
    assert sum(count for name, count in beats.items() if "years" in name) == entry.metrics.evaluations[0].n


def test_the_end_to_end_result_is_published_where_asked_for_and_measured_once(run, tmp_path, monkeypatch):
    asked = []
    measure = candidates.evaluate_end_to_end
    monkeypatch.setattr(candidates, "evaluate_end_to_end", lambda *given: asked.append(given) or measure(*given))
    for version in ("1.0.0", "1.1.0"):
        entry = export(run, version, tmp_path / "zoo", changes=["export.end_to_end=true"])
        assert [result.split for result in entry.metrics.end_to_end] == ["synthetic-test"]
        assert entry.metrics.end_to_end[0].file_sha256 == entry.files["model.tflite"]["sha256"]
    assert len(asked) == 1
    card, detection = (entry.folder / "README.md").read_text(), entry.metrics.end_to_end[0].detection
    monkeypatch.setattr(candidates, "_code", lambda: "another")  # whose detector may find other beats
    export(run, "1.2.0", tmp_path / "zoo", changes=["export.end_to_end=true"])
    assert len(asked) == 2
    assert "## End to end (synthetic-test)" in card and detection.se > 0.9 and detection.ppv > 0.9
    assert f"| detection | {detection.se:.4f} | {detection.ppv:.4f} |" in card


def test_robustness_is_published_where_asked_for_and_measured_once(run, tmp_path, monkeypatch):
    few = Disturbance(gain=-1.0), Disturbance(from_fs=128.0)
    monkeypatch.setattr("heartzoo.evaluation.DISTURBANCES", few)
    asked = []
    measure = candidates.evaluate_disturbed
    monkeypatch.setattr(candidates, "evaluate_disturbed", lambda *given: asked.append(given) or measure(*given))
    for version in ("1.0.0", "1.1.0"):
        entry = export(run, version, tmp_path / "zoo", changes=["export.robustness=true"])
        assert tuple(result.disturbance for result in entry.metrics.robustness) == few
        assert {result.file_sha256 for result in entry.metrics.robustness} == {entry.files["model.tflite"]["sha256"]}
    assert len(asked) == 2
    card = (entry.folder / "README.md").read_text()
    assert "## Robustness (synthetic-test)" in card and "| resampled | from 128 Hz |" in card
    undisturbed, turned = entry.metrics.first, entry.metrics.robustness[0]
    assert set(turned.by_record) == set(undisturbed.by_record)
    change, low, high = paired_difference(
        turned.by_patient(undisturbed.patients), undisturbed.patient_matrices, macro_f1
    )
    assert low < change < high
    told = f"{turned.macro_f1:.4f} | {100 * change:+.1f} ({100 * low:+.1f} to {100 * high:+.1f})"
    assert f"| inverted lead | x -1 | {told} |" in card


def test_a_test_split_may_be_scored_on_the_records_at_hand(run, tmp_path, monkeypatch):
    here = [name for name in get_split("synthetic-test").records if name != "syn27"]
    asked_for = ["export.present_only=true"]
    for version, names in (("1.0.0", here), ("1.1.0", [*here, "syn27"]), ("1.2.0", here)):
        for module in ("data.preparation", "candidates"):
            monkeypatch.setattr(f"heartzoo.{module}.present", lambda database, names=names: names)
        entry = export(run, version, tmp_path / "zoo", changes=asked_for)
        assert [sorted(evaluation.records) for evaluation in entry.metrics.evaluations] == [sorted(names)] * 2


def test_the_largest_output_alone_is_published_beside_the_prevalence_followed(entry):
    (plain,) = entry.metrics.without_prevalence
    file = entry.metrics.evaluations[0]
    assert (plain.split, plain.n, plain.file_sha256) == (file.split, file.n, file.file_sha256)
    assert plain.confusion_matrix != file.confusion_matrix
    card = (entry.folder / "README.md").read_text()
    assert f"by its largest output alone macro-F1 is {plain.macro_f1:.4f} on synthetic-test" in card
    assert "over a record's scored beats" in card and "shifted logits (see the input contract)" in card


def test_confidence_is_fitted_on_validation_patients_and_judged_on_the_test_split(entry, tiny_zoo):
    stated = entry.configuration["confidence"]
    file, parent = entry.metrics.evaluations
    found, raw = file.confidence, parent.confidence
    assert found is not None and raw is not None and found.at_threshold is not None
    assert (found.temperature, found.at_threshold.threshold) == (stated["temperature"], stated["threshold"])
    assert (raw.temperature, raw.at_threshold) == (1.0, None) and raw.ece == raw.ece_uncalibrated
    assert found.risk_coverage[0].confusion_matrix == file.confusion_matrix
    card = (entry.folder / "README.md").read_text()
    assert f"Temperature {stated['temperature']:.3f}" in card and "false per hour PAC" in card
    model = heartzoo.load_tflite("tiny", zoo=tiny_zoo)
    frames, rr = np.random.default_rng(0).normal(size=(5, 64)), np.zeros((5, 11))
    logits = model.predict(frames, rr).astype(float)
    shifted = RunningPrevalence(model.config).shifted(logits)
    assert not np.array_equal(shifted, logits)
    chances = np.exp(shifted / stated["temperature"])
    np.testing.assert_allclose(model.probabilities(frames, rr), chances / chances.sum(axis=1, keepdims=True))


def test_the_temperature_is_fitted_on_the_validation_patients_record_by_record(entry, tiny_zoo):
    data, validating = load_training_set(entry.config), entry.configuration["splits"]["validation_patients"]
    model, labels, logits = heartzoo.load_tflite("tiny", zoo=tiny_zoo), [], []
    for store, rows in zip(data.stores, data.rows, strict=True):
        for record, patient in store.people.items():
            if f"{store.provenance['database']}/{patient}" in validating:
                here = rows[store.records[rows] == record]
                pieces = list(input_chunks(store, here, entry.config.input))
                raw = [model.tflite.predict(piece["signal"].reshape(-1, 64), piece["rr"]) for piece in pieces]
                logits.append(RunningPrevalence(entry.config).shifted(np.concatenate(raw)))
                labels.append(store.labels(data.task, "A")[here])
    expected = fit_temperature(np.concatenate(logits), np.concatenate(labels))
    assert len(labels) > 1
    assert entry.configuration["confidence"]["temperature"] == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize(("metric", "best"), [("val_loss", 0), ("val_macro_f1", 1), ("val_mean_recall", 2)])
def test_the_seed_that_validation_prefers_is_shipped(entry, metric, best):
    figures = {"val_loss": (0.1, 0.2, 0.3), "val_macro_f1": (0.7, 0.9, 0.8), "val_mean_recall": (0.7, 0.8, 0.9)}
    seeds = [
        candidates.Candidate(seed, Path("none"), {name: values[seed] for name, values in figures.items()}, b"")
        for seed in range(3)
    ]
    watched = entry.config.training.early_stopping.model_copy(update={"metric": metric})
    training = entry.config.training.model_copy(update={"early_stopping": watched})
    assert _choose(entry.config.model_copy(update={"training": training}), seeds).seed == best
    of_nobody = entry.config.model_copy(update={"training": training.model_copy(update={"fold": None})})
    assert _choose(of_nobody, seeds).seed == 0


def test_every_opening_of_a_test_split_is_logged(cache, tiny_run, tmp_path, monkeypatch):
    # The synthetic test split stands in for a real one: no test opens DS2.
    monkeypatch.setattr("heartzoo.zoo.openings.OF_NOBODY", ())
    monkeypatch.setattr("heartzoo.evaluation.DISTURBANCES", (Disturbance(gain=-1.0),))
    run = shutil.copytree(tiny_run, tmp_path / "run", ignore=shutil.ignore_patterns("synthetic-test-*"))
    root = tmp_path / "zoo"
    changes = ["export.robustness=true", "export.end_to_end=true"]
    export(run, root=root, changes=changes)
    lines = [json.loads(line) for line in (root / "openings.jsonl").read_text().splitlines()]
    assert {line["split"].partition("-skip")[0] for line in lines} == {"synthetic-test"}
    assert {line.get("disturbance") for line in lines} == {None, "inverted lead, x -1"}
    assert any("end_to_end_se" in line["figures"] for line in lines)
    assert {seed for line in lines for seed in (0, 1) if f"seed {seed}" in line["model"]} == {0, 1}


def test_calibration_and_validation_are_of_the_patients_they_should_be(entry):
    configuration = entry.configuration
    rows = configuration["splits"]
    training, validating = set(rows["training_patients"]), set(rows["validation_patients"])
    calibrating = {f"synthetic/{name}" for name in configuration["calibration"]["synthetic"]}
    assert calibrating and calibrating <= training and not training & validating
    assert rows["training_leads"] == {"MLII": len(rows["train"]["synthetic-train"])}
    assert {name.partition("/")[2] for name in training | validating} <= set(rows["train"]["synthetic-train"])
    assert not set(rows["train"]["synthetic-train"]) & set(rows["test"]["synthetic-test"])
    assert sum(map(len, configuration["calibration"]["synthetic"].values())) == 60


def test_a_version_is_never_overwritten_and_the_next_is_chosen(run, tiny_zoo, tmp_path, monkeypatch):
    copy = shutil.copytree(tiny_zoo, tmp_path / "zoo")
    before = published(copy / "tiny" / "1.0.0")
    with pytest.raises(UserError, match=r"tiny@1.0.0 exists and is never overwritten"):
        export(run, "1.0.0", copy)
    with pytest.raises(UserError, match=r"is published already, as tiny@1\.0\.0; .*--version publishes it once more"):
        export(run, root=copy)
    monkeypatch.setattr(cheader, "MAX_MODEL_BYTES", 1000)  # as if the model were larger than the limit
    second, third = export(run, root=copy), export(run, root=copy, large_header=True)
    assert (second.version, third.version) == ("1.1.0", "1.2.0")
    assert "model.h" not in second.files and "model.h" in third.files
    assert published(copy / "tiny" / "1.0.0") == before
    # the same run gives the same network and figures
    for name in ("model.tflite", "model.keras"):
        assert second.files[name] == zoo.find("tiny@1.0.0", copy).files[name]
    assert second.metrics.evaluations == zoo.find("tiny@1.0.0", copy).metrics.evaluations
    assert zoo.find("tiny", copy).version == "1.2.0"


@pytest.mark.parametrize("version", ["", "1.0", "v1.0.0", "1.0.0-rc1", "01.0.0", "../1.0.0"])
def test_a_version_that_is_none_is_refused(version, run, tmp_path):
    with pytest.raises(UserError, match=r"is not a version like 1\.0\.0"):
        export(run, version, tmp_path / "zoo")
    assert not (tmp_path / "zoo").exists()


def test_without_validation_patients_the_first_seed_is_shipped_and_the_card_says_so(cache, tiny, tmp_path):
    run = train(load_config(tiny, ["training.fold=null", "seeds=[4, 2]"]), tmp_path / "run")
    entry = export(run, root=tmp_path / "zoo")
    assert entry.configuration["training"]["shipped_seed"] == 4
    assert entry.configuration["training"]["chosen_by"] is None
    assert entry.configuration["splits"]["validation_patients"] == []
    assert "Shipped: seed 4, the first one: everybody trained" in (entry.folder / "README.md").read_text()


@needs_tflm
def test_a_16x8_file_is_published_as_such(run, cache, tmp_path):
    entry = export(run, root=tmp_path / "zoo", changes=["export.activations=int16", "name=tiny-wide"])
    assert (entry.name, entry.config.export.activations) == ("tiny-wide", "int16")
    assert [e.precision for e in entry.metrics.evaluations if e.of_file] == ["int16x8"]
    assert {tensor["dtype"] for tensor in entry.configuration["tensors"]["inputs"]} == {"int16"}
    header = entry.path("model.h").read_text()
    assert "-32768, 32767" in header and "int16_t signal_int16[" in header and "int8_t " not in header
    assert "synthetic-test, 16x8, by class" in entry.path("README.md").read_text()
    record = open_record("synthetic", "syn24")
    assert set(heartzoo.load_tflite("tiny-wide", zoo=tmp_path / "zoo").label_beats(record)) <= {"NSR", "PAC", "PVC"}


@needs_tflm
def test_another_runtime_is_named_and_compared_with_tflite_micro(run, cache, tiny_zoo, tmp_path):
    with pytest.raises(UserError, match="a finished run keeps its settings, all but export, name"):
        export(run, root=tmp_path / "zoo", changes=["training.epochs=3"])
    entry = export(run, root=tmp_path / "zoo", changes=["export.runtime=reference", "export.calibration_method=mse"])
    assert entry.files["model.tflite"]["sha256"] != zoo.find("tiny", tiny_zoo).files["model.tflite"]["sha256"]
    assert {e.runtime for e in entry.metrics.evaluations if e.precision == "int8"} == {"reference"}
    agreement = entry.metrics.agreement
    assert agreement is not None and (agreement.runtime, agreement.examples) == ("reference", 60)
    assert agreement.same_class >= 58 and agreement.largest_difference <= 3
    assert "reference kernels, not by TFLite Micro" in entry.path("README.md").read_text()


def test_without_tflite_micro_nothing_says_that_it_ran(run, cache, tmp_path, monkeypatch):
    monkeypatch.setattr("heartzoo.interpreters.find_spec", lambda name: None)
    entry = export(run, root=tmp_path / "zoo")
    assert {e.runtime for e in entry.metrics.evaluations if e.precision == "int8"} == {"reference"}
    assert entry.metrics.agreement is None and entry.metrics.cost.arena_bytes is None
    (told,) = (step for step in entry.configuration["preprocessing"]["steps"] if step.startswith("Run the network"))
    assert "LiteRT's reference kernels" in told and "TFLite Micro" not in told
    assert "answers of LiteRT's reference kernels" in entry.path("model.h").read_text()
    assert "--runtime reference" in entry.path("README.md").read_text()
    assert verify(tmp_path / "zoo")[0].problems == ()


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ("export.firmware_hz=250.5", "a sampling rate of 250.5 Hz; expected 100 to 1000, a whole number"),
        ("export.firmware_hz=250", "are not all installed"),
    ],
)
def test_what_cannot_be_measured_is_told_before_a_test_split_is_opened(change, told, run, tmp_path, monkeypatch):
    monkeypatch.setattr("heartzoo.firmware.measurement.can_emulate", lambda: False)
    for kept in run.glob("seed-*/*-tflm-*.json"):
        kept.unlink()
    monkeypatch.setattr("heartzoo.export.evaluate_candidate", lambda *arguments: pytest.fail("opened"))
    with pytest.raises(UserError, match=told):
        export(run, root=tmp_path / "zoo", changes=[change])
    assert not (tmp_path / "zoo").exists()


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"data": {"train": ["random-train"], "test": ["random-test"]}, "export": {"end_to_end": True}}, "no whole"),
        (
            {
                "task": "rhythm-3", "model": {"architecture": "rhythm_cnn"}, "export": {"end_to_end": True},
                "data": {"train": ["rhythm-train"], "test": ["rhythm-test"]},
                "input": {"cut": "rhythm", "fs": 250, "frame": 2049},
            },
            "labels frames by rhythm",
        ),
        ({"data": {"train": ["csv-train"], "test": ["csv-test"]}, "export": {"robustness": True}}, "single beats"),
        (
            {
                "data": {"train": ["svdb-train"], "test": ["csv-test"]}, "training": {"fold": 0},
                "export": {"personalisation": True},
            },
            "no whole",
        ),
    ],
)  # fmt: skip
def test_a_split_that_an_export_cannot_measure_is_told_first(changes, told):
    base = {
        "name": "x", "task": "arrhythmia-5", "model": {"architecture": "cnn_187"},
        "input": {"cut": "r-peak", "fs": 125, "frame": 187},
    }  # fmt: skip
    with pytest.raises(UserError, match=told):
        check_measurable(parse_config({**base, **changes}, "x"))


def test_an_unfinished_run_is_refused(run, tmp_path):
    state = run / "seed-1" / "state.json"
    state.write_text(json.dumps({"history": json.loads(state.read_text())["history"][:1]}))
    with pytest.raises(UserError, match=r"seed 1 of .* has not been trained to its end; go on .*--resume"):
        export(run, root=tmp_path / "zoo")
    with pytest.raises(UserError, match=r"holds no run"):
        export(tmp_path, root=tmp_path / "zoo")
    assert not (tmp_path / "zoo").exists()


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"PK\x03\x04 half a file", r"seed-0.best\.keras is missing or cut short; remove .*seed-0 and train"),
        ("another byte", r"best\.keras cannot be loaded as a Keras model"),
        (None, r"seed-0.best\.keras is missing or cut short; remove .*seed-0 and train"),
    ],
)
def test_a_damaged_network_is_told(content, told, run, tmp_path):
    whole = (run / "seed-0" / "best.keras").read_bytes()
    (run / "seed-0" / "best.keras").unlink()
    if content == "another byte":
        middle = len(whole) // 2
        content = whole[:middle] + bytes([whole[middle] ^ 255]) + whole[middle + 1 :]
    if content:
        (run / "seed-0" / "best.keras").write_bytes(content)
    with pytest.raises(UserError, match=told):
        export(run, root=tmp_path / "zoo")


def test_a_killed_export_leaves_no_version_and_the_next_one_works(run, entry, tmp_path):
    for kept in run.glob("seed-*/*-tflm-*.json"):
        kept.unlink()
    root = tmp_path / "zoo"
    command = [sys.executable, "-m", "heartzoo", "export", run, "--zoo", root]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    end = time.monotonic() + 300
    while not list(run.glob("seed-*/*-tflm-*.json")):
        assert process.poll() is None and time.monotonic() < end
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert zoo.read_index(root) == [] and not list(root.glob("tiny/*"))
    found = export(run, root=root)
    assert found.metrics.evaluations == entry.metrics.evaluations


DIES = """\
import os, signal, sys
from pathlib import Path
from heartzoo.zoo import publishing
def dying(path, content, write=Path.write_bytes):
    write(path, content[: len(content) // 2] if path.name == "model.h" else content)
    if path.name == "model.h":
        os.kill(os.getpid(), signal.SIGKILL)
source, root = Path(sys.argv[1]), Path(sys.argv[2])
files = {path.name: path.read_bytes() for path in sorted(source.iterdir())}
Path.write_bytes = dying
publishing.publish(root, "tiny", "1.0.0", files)
"""


def test_a_kill_while_the_files_are_written_leaves_no_version(entry, tmp_path):
    root = tmp_path / "zoo"
    died = subprocess.run([sys.executable, "-c", DIES, entry.folder, root])
    assert died.returncode == -signal.SIGKILL
    assert zoo.read_index(root) == [] and not (root / "tiny" / "1.0.0").exists()
    assert list((root / "tiny").iterdir()), "this kill came too early to show anything"
    files = {path.name: path.read_bytes() for path in entry.folder.iterdir()}
    found = publishing.publish(root, "tiny", "2.0.0", files)
    assert published(found.folder) == files and [path.name for path in (root / "tiny").iterdir()] == ["2.0.0"]


def test_a_kill_before_the_index_is_written_leaves_a_version_that_the_next_export_lists(run, tmp_path, monkeypatch):
    def killed(*arguments):
        raise SystemExit

    with monkeypatch.context() as patch:
        patch.setattr(publishing, "write_index", killed)
        patch.setattr("shutil.rmtree", lambda *arguments, **settings: None)  # nobody tidies up after a kill
        with pytest.raises(SystemExit):
            export(run, root=tmp_path / "zoo")
    assert (tmp_path / "zoo/tiny/1.0.0/model.tflite").is_file() and zoo.read_index(tmp_path / "zoo") == []
    with pytest.raises(UserError, match=r"is published already, as tiny@1\.0\.0"):
        export(run, root=tmp_path / "zoo")
    assert [entry.label for entry in zoo.read_index(tmp_path / "zoo")] == ["tiny@1.0.0"]


def test_a_full_disk_leaves_nothing(entry, tiny_zoo, tmp_path, monkeypatch):
    root = shutil.copytree(tiny_zoo, tmp_path / "zoo")
    before = published(root)
    files = {path.name: path.read_bytes() for path in sorted(entry.folder.iterdir())}

    def full(path: Path, content: bytes, write=Path.write_bytes) -> int:
        if path.name == "model.keras":
            write(path, content[:100])
            raise OSError(errno.ENOSPC, "No space left on device")
        return write(path, content)

    monkeypatch.setattr(Path, "write_bytes", full)
    for name in ("tiny", "other"):
        with pytest.raises(UserError, match="the disk is full: cannot write"):
            publishing.publish(root, name, "1.1.0", files)
    assert published(root) == before and not (root / "other").exists()
