"""An export says everything that another implementation needs, and is whole or not there at all."""

from __future__ import annotations

import errno
import hashlib
import itertools
import json
import math
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.signal
import wfdb

from heartzoo import cheader, metrics_file, publishing, zoo
from heartzoo.config.file import load_config, parse_config
from heartzoo.data.batches import model_inputs
from heartzoo.data.beats import cut_beats
from heartzoo.data.records import open_record
from heartzoo.errors import UserError
from heartzoo.export import describe, export
from heartzoo.runs import train
from heartzoo.runtime import TfliteModel, default_runtime

FILES = ["README.md", "configuration.json", "metrics.json", "model.h", "model.keras", "model.tflite"]
needs_tflm = pytest.mark.skipif(default_runtime() != "tflm", reason="the tflite-micro wheel is not installed")


# Another implementation of the contract, from configuration.json alone -----------------------------------------------

Beat = dict[str, Any]


def history(beat: Beat, m: int) -> list[float]:
    return beat["known"][-m:]


FORMULAS: dict[str, Callable[[Beat], float]] = {
    "log2(pre / median of H(64))": lambda b: b["pre"] / np.median(history(b, 64)),
    "log2(post / median of H(64))": lambda b: b["post"] / np.median(history(b, 64)),
    "log2(pre / post)": lambda b: b["pre"] / b["post"],
    "log2(pre / mean of H(10))": lambda b: b["pre"] / np.mean(history(b, 10)),
    "log2(pre[k-1] / pre[k]), 0 for the first beat": lambda b: b["previous"] / b["pre"],
    "log2(pre / 70 % quantile of H(128), linear interpolation)": lambda b: b["pre"] / np.quantile(history(b, 128), 0.7),
    "log2(pre / mean of all pre so far)": lambda b: b["pre"] / np.mean(b["known"]),
    "log2(post / mean of all pre so far)": lambda b: b["post"] / np.mean(b["known"]),
    "points (r[j-1], r[j]) of the successive intervals r of H(64): share of their pairs of which both coordinates "
    "differ by less than 6.02 %; 1 where H holds less than three intervals": lambda b: recurrence(history(b, 64)),
}


def recurrence(intervals: list[float]) -> float:
    points = list(itertools.pairwise(intervals))
    near = [
        all(max(pair) < 1.0602 * min(pair) for pair in zip(*both, strict=True))
        for both in itertools.combinations(points, 2)
    ]
    return float(np.mean(near)) if near else 1.0


def correlation(a: np.ndarray, b: np.ndarray) -> float:
    a, b = a - a.mean(), b - b.mean()
    return float((a * b).sum() / math.sqrt((a**2).sum() * (b**2).sum() + 0.01**4))


# QRS is [32:52] and P [10:33] of a window, as preprocessing.steps say.
SHAPES: dict[str, Callable[[np.ndarray, np.ndarray], float]] = {
    "correlation of b and T over QRS, sum((b - mean)(T - mean)) / sqrt(sum((b - mean)^2) * sum((T - mean)^2) + "
    "0.01^4)": lambda b, t: correlation(b[32:52], t[32:52]),
    "root mean square of b - T over P, divided by max T - min T + 0.01 over QRS": lambda b, t: (
        math.sqrt(np.mean((b - t)[10:33] ** 2)) / (np.ptp(t[32:52]) + 0.01)
    ),
}


def shape_rows(x: np.ndarray, positions: list[int], times: np.ndarray, formulas: list[str]) -> list[list[float]]:
    """Template features of every beat, from the sentences of preprocessing.steps."""
    x = x.astype(np.float64)
    rows, regular = [], 0
    template = x[np.clip(np.arange(positions[0] - 40, positions[0] + 56), 0, len(x) - 1)]
    for k, c in enumerate(positions):
        windows = [x[np.clip(np.arange(c + s - 40, c + s + 56), 0, len(x) - 1)] for s in range(-5, 6)]
        window = max(windows, key=lambda one: correlation(one[32:52], template[32:52]))
        b, t = window - window.mean(), template - template.mean()
        rows.append([min(max(SHAPES[formula](b, t), -1.0), 1.0) for formula in formulas])
        if k < 10 or abs(rr_row(times, k, ["log2(pre / median of H(64))"])[0]) < 0.15:
            regular += 1
            template = template + (window - template) / min(regular, 16)
    return rows


def rr_row(times: np.ndarray, k: int, formulas: list[str]) -> list[float]:
    """R-R features of beat k, from the sentences of preprocessing.steps."""
    limited = [min(max(float(gap), 0.2), 3.0) for gap in np.diff(times)]
    pre = [limited[0], *limited]
    post = [*limited, limited[-1]]
    beat = {
        "pre": pre[k], "post": post[k], "previous": pre[max(k - 1, 0)], "known": pre[1 : max(k, 1) + 1],
    }  # fmt: skip
    values = [FORMULAS[formula](beat) for formula in formulas]
    logs = [math.log2(v) if f.startswith("log2") else v for v, f in zip(values, formulas, strict=True)]
    return [min(max(value, -1.0), 1.0) for value in logs]


def prepared(path: Path, database: str, configuration: dict[str, Any]) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """Frames (n, frame) and features (n, features), both float32, and the symbols of every beat of a record."""
    rule = configuration["preprocessing"]
    header = wfdb.rdheader(str(path))
    lead = next(lead for lead in rule["leads"][database] if lead in header.sig_name)
    x = wfdb.rdrecord(str(path), channel_names=[lead]).p_signal[:, 0]
    common = math.gcd(int(rule["fs"]), int(header.fs))
    x = scipy.signal.resample_poly(x, int(rule["fs"]) // common, int(header.fs) // common, padtype="edge")
    sos = scipy.signal.butter(2, rule["highpass_hz"], "highpass", fs=rule["fs"], output="sos")
    x = scipy.signal.sosfilt(sos, x, zi=scipy.signal.sosfilt_zi(sos) * x[0])[0].astype(np.float32)
    annotation = wfdb.rdann(str(path), "atr")
    beats = [
        (s, symbol)
        for s, symbol in zip(annotation.sample, annotation.symbol, strict=True)
        if symbol in rule["beat_symbols"]
    ]
    times = np.array([s for s, _ in beats]) / header.fs
    formulas = [feature["formula"] for feature in rule["rr_features"]]
    positions = [math.floor(s * rule["fs"] / header.fs + 0.5) for s, _ in beats]
    shapes = shape_rows(x, positions, times, [feature["formula"] for feature in rule["template_features"]])
    frames, rr = [], []
    for k, c in enumerate(positions):
        indices = np.clip(np.arange(c - rule["beat_index"], c - rule["beat_index"] + rule["frame"]), 0, len(x) - 1)
        frames.append(normalised(x[indices], rule["epsilon_mv"]))
        rr.append(rr_row(times, k, formulas) + shapes[k])
    return np.array(frames), np.array(rr, np.float32), [symbol for _, symbol in beats]


def normalised(frame: np.ndarray, epsilon: float) -> np.ndarray:
    frame64 = frame.astype(np.float64)
    return ((frame64 - frame64.mean()) / (frame64.std() + epsilon)).astype(np.float32)


def quantized(values: np.ndarray, tensor: dict[str, Any]) -> np.ndarray:
    steps = np.rint(values.astype(np.float32) / np.float32(tensor["scale"])) + tensor["zero_point"]
    return np.clip(steps, -128, 127).astype(np.int8)


def plain_answers(content: bytes, tensors: dict[str, Any], inputs: dict[str, np.ndarray]) -> np.ndarray:
    """Logits of TFLite Micro's own interpreter for int8 inputs by role."""
    from tflite_micro import runtime

    interpreter = runtime.Interpreter.from_bytes(content)
    answers = []
    for row in range(len(inputs["signal"])):
        for index, tensor in enumerate(tensors["inputs"]):
            interpreter.set_input(inputs[tensor["role"]][row].reshape(tensor["shape"]), index)
        interpreter.invoke()
        answers.append(interpreter.get_output(0)[0].copy())
    return np.array(answers)


# ---------------------------------------------------------------------------------------------------------------------


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
    assert [str(entry.folder / name) in line for name, line in zip(entry.files, describe(entry), strict=True)]


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
    assert card.startswith("# tiny 1.0.0") and "**Not a medical device.**" in card and "Apache-2.0" in card
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


def test_calibration_and_validation_are_of_the_patients_they_should_be(entry):
    configuration = entry.configuration
    rows = configuration["splits"]
    training, validating = set(rows["training_patients"]), set(rows["validation_patients"])
    calibrating = {f"synthetic/{name}" for name in configuration["calibration"]["synthetic"]}
    assert calibrating and calibrating <= training and not training & validating
    assert {name.partition("/")[2] for name in training | validating} <= set(rows["train"]["synthetic-train"])
    assert not set(rows["train"]["synthetic-train"]) & set(rows["test"]["synthetic-test"])
    assert sum(map(len, configuration["calibration"]["synthetic"].values())) == 60


def test_the_configuration_alone_gives_the_same_int8_inputs(entry, cache):
    configuration = json.loads((entry.folder / "configuration.json").read_text())
    frames, rr, symbols = prepared(cache / "synthetic" / "1" / "syn25", "synthetic", configuration)
    config = parse_config(configuration["config"], "x")
    examples = cut_beats(open_record("synthetic", "syn25"), config.input)
    ours = model_inputs(examples.frames, examples.rr, config.input)
    model = TfliteModel((entry.folder / "model.tflite").read_bytes())
    assert [ord(symbol) for symbol in symbols] == examples.symbols.tolist() and len(symbols) > 100
    by_role = {tensor["role"]: tensor for tensor in configuration["tensors"]["inputs"]}
    assert set(by_role) == {"signal", "rr"}
    mine = quantized(frames, by_role["signal"])
    assert np.array_equal(mine, model.quantize("signal", ours["signal"]).reshape(mine.shape))
    assert np.array_equal(quantized(rr, by_role["rr"]), model.quantize("rr", ours["rr"]))


@needs_tflm
def test_the_configuration_alone_gives_the_published_confusion_matrix(entry, cache):
    configuration = json.loads((entry.folder / "configuration.json").read_text())
    tensors, classes = configuration["tensors"], configuration["classes"]
    by_role = {tensor["role"]: tensor for tensor in tensors["inputs"]}
    content = (entry.folder / "model.tflite").read_bytes()
    matrix = np.zeros((len(classes), len(classes)), int)
    for record in configuration["splits"]["test"]["synthetic-test"]:
        frames, rr, symbols = prepared(cache / "synthetic" / "1" / record, "synthetic", configuration)
        truth = [next((i for i, c in enumerate(classes) if s in configuration["class_map"][c]), -1) for s in symbols]
        scored = np.array(truth) >= 0
        inputs = {
            "signal": quantized(frames, by_role["signal"])[scored], "rr": quantized(rr, by_role["rr"])[scored],
        }  # fmt: skip
        predicted = plain_answers(content, tensors, inputs).argmax(axis=1)
        np.add.at(matrix, (np.array(truth)[scored], predicted), 1)
    first = json.loads((entry.folder / "metrics.json").read_text())["evaluations"][0]
    assert (first["precision"], first["runtime"]) == ("int8", "tflm")
    assert matrix.tolist() == first["confusion_matrix"]


PROGRAM = """\
#include <stdio.h>
#include "model.h"
#define SHOW(array, format) \\
  for (unsigned i = 0; i < sizeof(array) / sizeof(*array); i++) printf(format " ", array[i]); printf("\\n");
int main(void) {
  for (int g = 0; g < HEARTZOO_TINY_GOLDEN_COUNT; g++) {
    const heartzoo_tiny_golden_t *v = &heartzoo_tiny_golden[g];
    SHOW(v->raw_frame, "%.9g") SHOW(v->rr, "%.9g") SHOW(v->signal_int8, "%d") SHOW(v->rr_int8, "%d")
    SHOW(v->logits_int8, "%d")
  }
  return heartzoo_tiny_model[0] != 0x1c && sizeof heartzoo_tiny_model != HEARTZOO_TINY_MODEL_BYTES;
}
"""


@needs_tflm
def test_the_golden_vectors_of_the_header_agree(entry, tmp_path):
    if shutil.which("gcc") is None:
        pytest.skip("gcc is not installed")
    command = ["gcc", "-std=c99", "-I", entry.folder, "-o", tmp_path / "program", "-x", "c", "-"]
    subprocess.run(command, input=PROGRAM, text=True, check=True)
    printed = subprocess.run([tmp_path / "program"], text=True, capture_output=True, check=True).stdout.splitlines()
    vectors = [np.array([[float(word) for word in line.split()] for line in printed[part::5]]) for part in range(5)]
    raw, rr, signal_int8, rr_int8, logits = vectors
    assert len(raw) == 10 and raw.shape[1] == 64 and rr.shape[1] == 11
    configuration = entry.configuration
    tensors = configuration["tensors"]
    by_role = {tensor["role"]: tensor for tensor in tensors["inputs"]}
    epsilon = configuration["preprocessing"]["epsilon_mv"]
    frames = np.array([normalised(frame.astype(np.float32), epsilon) for frame in raw])
    assert np.array_equal(quantized(frames, by_role["signal"]), signal_int8)
    assert np.array_equal(quantized(rr, by_role["rr"]), rr_int8)
    inputs = {"signal": signal_int8.astype(np.int8), "rr": rr_int8.astype(np.int8)}
    assert np.array_equal(plain_answers((entry.folder / "model.tflite").read_bytes(), tensors, inputs), logits)


def test_a_version_is_never_overwritten_and_the_next_is_chosen(run, tiny_zoo, tmp_path, monkeypatch):
    copy = shutil.copytree(tiny_zoo, tmp_path / "zoo")
    before = published(copy / "tiny" / "1.0.0")
    with pytest.raises(UserError, match=r"tiny@1.0.0 exists and is never overwritten"):
        export(run, "1.0.0", copy)
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


@pytest.mark.parametrize("version", ["1.0", "v1.0.0", "1.0.0-rc1", "01.0.0", "../1.0.0", ""])
def test_a_version_that_is_none_is_refused(version, run, tmp_path):
    if version:
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
    assert set(zoo.load_tflite("tiny-wide", zoo=tmp_path / "zoo").label_beats(record)) <= {"NSR", "PAC", "PVC"}


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


def test_an_unfinished_run_is_refused(run, tmp_path):
    state = run / "seed-1" / "state.json"
    state.write_text(json.dumps({"history": json.loads(state.read_text())["history"][:1]}))
    with pytest.raises(UserError, match=r"seed 1 of .* has not been trained to its end; go on .*--resume"):
        export(run, root=tmp_path / "zoo")
    with pytest.raises(UserError, match=r"holds no run"):
        export(tmp_path, root=tmp_path / "zoo")
    assert not (tmp_path / "zoo").exists()


@pytest.mark.parametrize("content", [b"PK\x03\x04 half a file", None])
def test_a_damaged_network_is_told(content, run, tmp_path):
    (run / "seed-0" / "best.keras").unlink()
    if content:
        (run / "seed-0" / "best.keras").write_bytes(content)
    with pytest.raises(UserError, match=r"best.keras (cannot be loaded as a Keras model)?|no model file"):
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
    assert zoo.list_models(zoo=root) == [] and not list(root.glob("tiny/*"))
    found = export(run, root=root)
    assert found.metrics.evaluations == entry.metrics.evaluations


DIES = """\
import os, signal, sys
from pathlib import Path
from heartzoo import publishing
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
    assert zoo.list_models(zoo=root) == [] and not (root / "tiny" / "1.0.0").exists()
    assert list((root / "tiny").iterdir()), "this kill came too early to show anything"
    files = {path.name: path.read_bytes() for path in entry.folder.iterdir()}
    found = publishing.publish(root, "tiny", "2.0.0", files)
    assert published(found.folder) == files and [path.name for path in (root / "tiny").iterdir()] == ["2.0.0"]


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
