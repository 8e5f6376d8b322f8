"""configuration.json alone is enough for another implementation, and tells how long a decision takes."""

from __future__ import annotations

import dataclasses
import hashlib
import itertools
import json
import math
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
import scipy.signal
import wfdb

from heartzoo import contract, zoo
from heartzoo.config import InputConfig
from heartzoo.config.file import parse_config
from heartzoo.contract import delay, git_revision, preprocessing, retold
from heartzoo.contract.example import example
from heartzoo.contract.stream_example import stream_example
from heartzoo.data.batches import model_inputs
from heartzoo.data.beats import cut_beats
from heartzoo.data.records import open_record
from heartzoo.data.rr import FEATURES
from heartzoo.data.template import TEMPLATE_FEATURES
from heartzoo.data.training_set import TrainingSet
from heartzoo.flatbuffer import inspect
from heartzoo.prevalence import RunningPrevalence
from heartzoo.runtime import TfliteModel, default_runtime

needs_tflm = pytest.mark.skipif(default_runtime() != "tflm", reason="the tflite-micro wheel is not installed")


def test_records_that_were_skipped_are_not_among_those_that_trained() -> None:
    config = parse_config(
        {"name": "x", "task": "beat-3", "model": {"architecture": "resnet"},
         "data": {"train": ["synthetic-train"], "test": ["synthetic-test"], "missing_lead": "skip"}}, "x",
    )  # fmt: skip
    copies = [SimpleNamespace(provenance={"records": [{"name": name} for name in names]}) for names in ("ac", "abc")]
    data = cast(TrainingSet, SimpleNamespace(stores=copies))
    assert contract._trained_on(config, data) == {"synthetic-train": ["a", "c"]}


# Another implementation of the contract, from configuration.json alone -----------------------------------------------

Beat = dict[str, Any]


def history(beat: Beat, m: int) -> list[float]:
    return beat["known"][-m:]


SLOW = "log2(pre / 90 % quantile of H(128), linear interpolation)"
USUAL = (
    "log2(pre / u), u = mean of H(all) where that holds at most 512 intervals; each further interval p then makes it "
    "u + d / 512, d = p - u limited to -u / 10 ... u / 10"
)
FORMULAS: dict[str, Callable[[Beat], float]] = {
    "log2(pre / median of H(64))": lambda b: b["pre"] / np.median(history(b, 64)),
    "log2(post / median of H(64))": lambda b: b["post"] / np.median(history(b, 64)),
    "log2(pre / post)": lambda b: b["pre"] / b["post"],
    "log2(pre / mean of H(10))": lambda b: b["pre"] / np.mean(history(b, 10)),
    "log2(pre[k-1] / pre[k]), 0 for the first beat": lambda b: b["previous"] / b["pre"],
    "log2(pre / 70 % quantile of H(128), linear interpolation)": lambda b: b["pre"] / np.quantile(history(b, 128), 0.7),
    SLOW: lambda b: b["pre"] / np.quantile(history(b, 128), 0.9),
    SLOW.replace("pre", "post"): lambda b: b["post"] / np.quantile(history(b, 128), 0.9),
    "log2(pre / mean of H(all))": lambda b: b["pre"] / np.mean(b["known"]),
    "log2(post / mean of H(all))": lambda b: b["post"] / np.mean(b["known"]),
    USUAL: lambda b: b["pre"] / usual(b["known"]),
    USUAL.replace("pre", "post"): lambda b: b["post"] / usual(b["known"]),
    "share of the pairs of neighbouring intervals of H(64) whose longer one is less than 1.0502 times the shorter; 1 "
    "where H holds one interval": lambda b: steadiness(history(b, 64)),
    "points (r[j-1], r[j]) of neighbouring intervals r of H(64): share, of all pairs of two of these points, of those "
    "near each other: in both coordinates the larger value is less than 1.0602 times the smaller; 1 where H holds less "
    "than three intervals": lambda b: recurrence(history(b, 64)),
    "entropy, in bits, of the histogram of H(64) / median of H(64) over 31 bins, the first and the last open-ended, "
    "divided by 5; the edges between them are exp(.05 * (j - 14.5)), j = 0 ... 29": lambda b: (
        entropy(history(b, 64)) / 5
    ),
}


def usual(intervals: list[float]) -> float:
    u = float(np.mean(intervals[:512]))
    for p in intervals[512:]:
        u += float(np.clip(p - u, -u / 10, u / 10)) / 512
    return u


def steadiness(intervals: list[float]) -> float:
    steady = [max(pair) < 1.0502 * min(pair) for pair in itertools.pairwise(intervals)]
    return float(np.mean(steady)) if steady else 1.0


def entropy(intervals: list[float]) -> float:
    edges = [math.exp(0.05 * (j - 14.5)) for j in range(30)]
    bins = [sum(ratio >= edge for edge in edges) for ratio in intervals / np.median(intervals)]
    shares = [bins.count(found) / len(bins) for found in set(bins)]
    return -sum(share * math.log2(share) for share in shares)


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


def width(slope: np.ndarray) -> float:
    e = [(after - before) ** 2 + 0.001**2 for before, after in itertools.pairwise(slope.tolist())]
    c = sum(weight * i for i, weight in enumerate(e)) / sum(e)
    return math.sqrt(sum(weight * (i - c) ** 2 for i, weight in enumerate(e)) / sum(e))


# QRS is [32:52], P [10:33], T-wave [52:91], slope [28:62], level [26:32], early [32:40] and late [46:56] of a window,
# as preprocessing.steps say.
def above_level(x: np.ndarray) -> np.ndarray:
    return x - x[26:32].mean()


OF_A_QRS: dict[str, Callable[[np.ndarray], float]] = {
    "(max q + min q) / (max q - min q + 0.01) over QRS": lambda x: (
        (max(above_level(x)[32:52]) + min(above_level(x)[32:52])) / (np.ptp(x[32:52]) + 0.01)
    ),
    "mean q / (mean |q| + 0.001) over QRS": lambda x: (
        above_level(x)[32:52].mean() / (abs(above_level(x)[32:52]).mean() + 0.001)
    ),
    "mean q over early, divided by max q - min q + 0.01 over QRS": lambda x: (
        above_level(x)[32:40].mean() / (np.ptp(x[32:52]) + 0.01)
    ),
    "2 (mean q over late), divided by max q - min q + 0.01 over QRS": lambda x: (
        2 * above_level(x)[46:56].mean() / (np.ptp(x[32:52]) + 0.01)
    ),
}
WAVES = {"QRS": slice(32, 52), "P": slice(10, 33), "T-wave": slice(52, 91)}


def of_a_wave(name: str, part: slice) -> dict[str, Callable[[np.ndarray, np.ndarray], float]]:
    def size(x: np.ndarray, part: slice = part) -> float:
        return float(max(x[part]) - min(x[part])) + 0.01

    qrs = WAVES["QRS"]
    return {
        f"correlation of b and T over {name}, sum((b - mean)(T - mean)) / sqrt(sum((b - mean)^2) * sum((T - mean)^2) + "
        "0.01^4)": lambda b, t: correlation(b[part], t[part]),
        f"log2((max b - min b + 0.01) / (max T - min T + 0.01)) over {name}": lambda b, t: math.log2(size(b) / size(t)),
        f"root mean square of b - T over {name}, divided by max T - min T + 0.01 over QRS": lambda b, t: (
            math.sqrt(np.mean((b - t)[part] ** 2)) / size(t, qrs)
        ),
        f"log2((max T - min T + 0.01 over {name}) / (max T - min T + 0.01 over QRS)) / 4": lambda b, t: (
            math.log2(size(t) / size(t, qrs)) / 4
        ),
    }


SHAPES: dict[str, Callable[[np.ndarray, np.ndarray], float]] = {
    **{formula: value for name, part in WAVES.items() for formula, value in of_a_wave(name, part).items()},
    "log2((sum|b[i+1] - b[i]| + 0.01) / (sum|T[i+1] - T[i]| + 0.01)), i and i+1 in QRS": lambda b, t: math.log2(
        (sum(abs(np.diff(b[32:52]))) + 0.01) / (sum(abs(np.diff(t[32:52]))) + 0.01)
    ),
    "log2(width of b / width of T); width = sqrt(sum(e (i - c)^2) / sum(e)), c = sum(e i) / sum(e), with "
    "e[i] = (b[i+1] - b[i])^2 + 0.001^2, i and i+1 in slope": lambda b, t: math.log2(width(b[28:62]) / width(t[28:62])),
    **{f"{formula}, x = b": lambda b, t, value=value: value(b) for formula, value in OF_A_QRS.items()},
    **{f"{formula}, x = T": lambda b, t, value=value: value(t) for formula, value in OF_A_QRS.items()},
}


def limited(value: float) -> float:
    return min(max(float(value), -1.0), 1.0)


def shape_rows(
    x: np.ndarray, positions: list[int], beats: list[Beat], features: list[dict[str, str]], steps: str
) -> tuple[list[list[float]], np.ndarray]:
    """Template features and differences of every beat, from the sentences of preprocessing.steps."""
    x = x.astype(np.float64)
    rows, left, regular = [], [], 0
    formulas = {feature["name"]: feature["formula"] for feature in features}
    unusual = {
        name: formula.split(", f = ")[1]
        for name, formula in formulas.items()
        if formula.startswith(("m, f = ", "(f - m) / (4 (sqrt(v) + 0.03)), f = "))
    }
    usual: dict[str, tuple[float, float]] = {}
    template = x[np.clip(np.arange(positions[0] - 40, positions[0] + 56), 0, len(x) - 1)]
    for k, c in enumerate(positions):
        windows = [x[np.clip(np.arange(c + s - 40, c + s + 56), 0, len(x) - 1)] for s in range(-5, 6)]
        window = max(windows, key=lambda one: correlation(one[32:52], template[32:52]))
        b, t = window - window.mean(), template - template.mean()
        now = {name: limited(SHAPES[formula](b, t)) for name, formula in formulas.items() if formula in SHAPES}
        for name, f in unusual.items():
            m, v = usual.setdefault(name, (now[f], 0.05**2))
            now[name] = limited(m if formulas[name].startswith("m,") else (now[f] - m) / (4 * (math.sqrt(v) + 0.03)))
        rows.append([now[name] for name in formulas])
        left.append((b - t) / (np.ptp(t[32:52]) + 0.01))
        near, slow = rr_row(beats[k], ["log2(pre / median of H(64))", SLOW])
        late = slow > -0.25 if f"Regular is a beat with {SLOW} > -0.25" in steps else abs(near) < 0.15
        if k < 10 or (late and not beats[k]["after_loss"]):
            regular += 1
            template = template + (window - template) / min(regular, 16)
            a = 1 / min(regular, 32)
            for name, f in unusual.items():
                m, v = usual[name]
                d = min(max(now[f] - m, -0.5), 0.5)
                usual[name] = (m + a * d, (1 - a) * (v + a * d * d) if regular > 1 else v)
    return rows, np.array(left).astype(np.float32)


def beats_of(samples: list[int], fs: float, length: int | None, lost: list[tuple[int, int]]) -> list[Beat]:
    """Intervals of every beat: of a whole recording, or with its length of a stream."""
    enough = math.ceil(0.1 * fs)
    lost = [(a, b) for a, b in lost if b - a + 1 >= enough]

    def interval(s1: int, s2: float) -> float | None:
        unknown = any(b > s1 and a + enough - 1 < s2 and a + enough - 1 - s1 < 3.0 * fs for a, b in lost)
        return None if unknown else min(max((s2 - s1) / fs, 0.2), 3.0)

    gaps = [interval(*pair) for pair in itertools.pairwise(samples)]
    gaps[0] = 0.8 if gaps[0] is None else gaps[0]
    final = interval(samples[-1], samples[-1] + 3.0 * fs)
    ends = length is not None and length - samples[-1] >= 3.0 * fs
    beats: list[Beat] = []
    for k in range(len(samples)):
        known = [gap for gap in gaps[: max(k, 1)] if gap is not None]
        usual = sorted(known[-64:])[(len(known[-64:]) - 1) // 2]
        pre = gaps[max(k - 1, 0)]
        post = gaps[k] if k < len(gaps) else final if ends else pre
        after_loss = pre is None
        pre, post = (usual if value is None else value for value in (pre, post))
        previous = beats[-1]["pre"] if beats else pre
        beats.append({"pre": pre, "post": post, "previous": previous, "known": known, "after_loss": after_loss})
    return beats


def rr_row(beat: Beat, formulas: list[str]) -> list[float]:
    """R-R features of a beat, from the sentences of preprocessing.steps."""
    values = [FORMULAS[formula](beat) for formula in formulas]
    logs = [math.log2(v) if f.startswith("log2") else v for v, f in zip(values, formulas, strict=True)]
    return [limited(value) for value in logs]


def prepared(path: Path, database: str, configuration: dict[str, Any]) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """Frames (n, frame) and features (n, features), both float32, and the symbols of every beat of a record."""
    rule = configuration["preprocessing"]
    x, fs = read(path, database, rule)
    annotation = wfdb.rdann(str(path), "atr")
    marks = zip(annotation.sample.tolist(), annotation.symbol, strict=True)
    samples, symbols = zip(*(mark for mark in marks if mark[1] in rule["beat_symbols"]), strict=True)
    return *rows_of(x, fs, list(samples), beats_of(list(samples), fs, None, []), rule), list(symbols)


def read(path: Path, database: str, rule: dict[str, Any]) -> tuple[np.ndarray, float]:
    header = wfdb.rdheader(str(path))
    lead = next(lead for lead in rule["leads"][database] if lead in header.sig_name)
    return wfdb.rdrecord(str(path), channel_names=[lead]).p_signal[:, 0], header.fs


def rows_of(
    x: np.ndarray, fs: float, samples: list[int], beats: list[Beat], rule: dict[str, Any]
) -> tuple[np.ndarray, np.ndarray]:
    """Frames and features of beats of a signal in mV without missing samples."""
    common = math.gcd(int(rule["fs"]), int(fs))
    x = scipy.signal.resample_poly(x, int(rule["fs"]) // common, int(fs) // common, padtype="edge")
    for kind in ("highpass", "lowpass"):
        if cutoff := rule[f"{kind}_hz"]:
            sos = scipy.signal.butter(2, cutoff, kind, fs=rule["fs"], output="sos")
            x = scipy.signal.sosfilt(sos, x, zi=scipy.signal.sosfilt_zi(sos) * x[0])[0]
    x = x.astype(np.float32)
    formulas = [feature["formula"] for feature in rule["rr_features"]]
    positions = [math.floor(s * rule["fs"] / fs + 0.5) for s in samples]
    shapes, left = shape_rows(x, positions, beats, rule["template_features"], " ".join(rule["steps"]))
    frames, rr = [], []
    for k, c in enumerate(positions):
        rr.append(rr_row(beats[k], formulas) + shapes[k])
        if rule["cut"] == "difference":
            frames.append(np.clip(left[k], -1.0, 1.0))
        elif rule["cut"] == "centred":
            first = c - rule["beat_index"]
            indices = np.clip(np.arange(first, first + rule["frame"]), 0, len(x) - 1)
            frames.append(normalised(x[indices], rule["epsilon_mv"]))
    return np.array(frames), np.array(rr, np.float32)


def filled(x: np.ndarray, fs: float) -> tuple[np.ndarray, list[tuple[int, int]]]:
    """A stream's signal without its offset, what is missing filled in; and the first and last sample of each gap."""
    missing = np.isnan(x).tolist()
    runs = [(key, list(run)) for key, run in itertools.groupby(range(len(x)), lambda i: missing[i])]
    gaps = [(run[0], run[-1]) for absent, run in runs if absent]
    first = x[missing.index(False)]
    rest = first if missing[0] or abs(first) > 5.0 else 0.0
    y, value, moved = x.copy(), first, 0.0
    for absent, run in runs:
        if absent:
            y[run] = value
            lost = run[0] > 0 and len(run) >= math.ceil(0.1 * fs)
        else:
            if run[0] > 0 and lost:
                moved = (value if abs(value - rest) <= 300.0 else rest) - x[run[0]]
            y[run] = x[run] + moved
            value = y[run[-1]]
    return y - (first if abs(first) > 5.0 else 0.0), gaps


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


def shifted(outputs: np.ndarray, configuration: dict[str, Any]) -> np.ndarray:
    """Shifted logits of a record's scored beats, from the sentence on prevalence; logits as they are without one."""
    (tensor,) = configuration["tensors"]["outputs"]
    sentence = "".join(text for text in configuration["preprocessing"]["steps"] if text.startswith("Prevalence of "))
    if not sentence:
        return (outputs.astype(float) - tensor["zero_point"]) * tensor["scale"]
    rules = re.findall(r"(\S+) \(usual ([0-9.]+), assumed ([0-9.]+)\)", sentence)
    # Before December 2026 it said which class another follows at its end.
    followed = dict(re.findall(r"r of (\w+) = r \+ \(p of (\w+) - r\)", sentence)) or dict(
        re.findall(r"for (\S+) p is the probability of (\w+)", sentence)
    )
    memory = float(re.findall(r" - r\) / (\d+)", sentence)[0])
    r = {name: float(usual) for name, usual, _ in rules}
    rows = []
    for output in outputs:
        z = [(value - tensor["zero_point"]) * tensor["scale"] for value in output.tolist()]
        moved, usual_z = list(z), list(z)
        for name, usual, assumed in rules:
            column = configuration["classes"].index(name)
            moved[column] += math.log(r[name] / float(assumed))
            usual_z[column] += math.log(float(usual) / float(assumed))
        powers = [math.exp(value) for value in usual_z]
        for name in r:
            chance = powers[configuration["classes"].index(followed.get(name, name))] / sum(powers)
            r[name] += (chance - r[name]) / memory
        rows.append(moved)
    return np.array(rows)


def test_a_class_that_follows_another_is_told_in_the_sentence_on_prevalence(entry):
    config = parse_config(
        {
            "name": "x",
            "task": "arrhythmia-5",
            "model": {"architecture": "mlp"},
            "input": {"frame": 64},
            "prevalence": {"S": {}, "F": {"of": "V", "usual": 0.03, "assumed": 0.005}},
        },
        "x",
    )
    configuration = {
        "classes": ["N", "S", "V", "F", "Q"],
        "tensors": {"outputs": [{"zero_point": 3, "scale": 0.05}]},
        "preprocessing": preprocessing(config, inspect(entry_bytes(entry))),
    }
    outputs = np.random.default_rng(0).integers(-128, 128, (60, 5))
    logits = (outputs - 3) * 0.05
    np.testing.assert_allclose(shifted(outputs, configuration), RunningPrevalence(config).shifted(logits), atol=1e-9)


@pytest.fixture
def entry(cache, tiny_zoo) -> zoo.Entry:
    return zoo.find("tiny@1.0.0", tiny_zoo)


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


@pytest.mark.parametrize("regular_beats", ["median", "late"])
def test_the_configuration_alone_gives_the_same_differences(regular_beats, entry, cache):
    template_features = ["p_match", "qrs_match", "qrs_match_unusual", "p_match_usual", "template_p", "qrs_width"]
    template_features += [
        f"{of}_{shape}" for of in ("qrs", "template") for shape in ("polarity", "area", "early", "late")
    ]
    changes = {
        "cut": "difference",
        "frame": 96,
        "regular_beats": regular_beats,
        "rr_features": ["pre_post"],
        "template_features": template_features,
    }
    configuration = json.loads((entry.folder / "configuration.json").read_text())
    tree = configuration["config"]
    config = parse_config({**tree, "input": {**tree["input"], **changes}, "training": {}}, "x")
    facts = inspect((entry.folder / "model.tflite").read_bytes())
    written = json.loads(json.dumps({"preprocessing": preprocessing(config, facts)}))
    frames, rr, _ = prepared(cache / "synthetic" / "1" / "syn25", "synthetic", written)
    examples = cut_beats(open_record("synthetic", "syn25"), config.input)
    ours = model_inputs(examples.frames, examples.rr, config.input)
    np.testing.assert_allclose(frames, ours["signal"][:, 0, :, 0], atol=2e-6)
    np.testing.assert_allclose(rr, ours["rr"], atol=2e-6)
    assert 0.5 < np.abs(frames).max() < 1.0
    limited = model_inputs(3 * examples.frames, examples.rr, config.input)["signal"]
    assert np.array_equal(limited[:, 0, :, 0], np.clip(3 * examples.frames, -1.0, 1.0))


def test_the_configuration_alone_gives_features_as_the_only_input(entry, cache):
    rr, shapes = list(FEATURES), list(TEMPLATE_FEATURES)
    count = len(rr) + len(shapes)
    tree = entry.configuration["config"]
    changes = {"cut": "features", "frame": count, "lowpass_hz": 25.0, "rr_features": rr, "template_features": shapes}
    config = parse_config({**tree, "input": {**tree["input"], **changes}, "training": {}}, "x")
    written = json.loads(json.dumps({"preprocessing": preprocessing(config, inspect(entry_bytes(entry)))}))
    text = " ".join(written["preprocessing"]["steps"])
    assert f"Frame: the beat's {count} features as they are, the R-R features, then the template features" in text
    _, rows, _ = prepared(cache / "synthetic" / "1" / "syn25", "synthetic", written)
    examples = cut_beats(open_record("synthetic", "syn25"), config.input)
    ours = model_inputs(examples.frames, examples.rr, config.input)
    assert set(ours) == {"signal"}
    np.testing.assert_allclose(rows, ours["signal"][:, 0, :, 0], atol=2e-6)


def entry_bytes(entry: zoo.Entry) -> bytes:
    return (entry.folder / "model.tflite").read_bytes()


@needs_tflm
def test_the_configuration_alone_gives_the_values_of_its_example(entry, cache):
    configuration = json.loads((entry.folder / "configuration.json").read_text())
    tensors, classes, given = configuration["tensors"], configuration["classes"], configuration["example"]
    assert given["record"] in configuration["splits"]["train"]["synthetic-train"]
    path = cache / given["database"] / "1" / given["record"]
    frames, rr, symbols = prepared(path, given["database"], configuration)
    scored = np.isin(symbols, list("".join(configuration["class_map"].values())))
    floats = {"signal": frames[scored], "rr": rr[scored]}
    inputs = {tensor["role"]: quantized(floats[tensor["role"]], tensor) for tensor in tensors["inputs"]}
    rows = np.concatenate(list(inputs.values()), axis=1)
    assert (len(rows), hashlib.sha256(rows.tobytes()).hexdigest()) == (given["scored"], given["inputs_sha256"])
    outputs = plain_answers(entry_bytes(entry), tensors, inputs)
    logits = shifted(outputs, configuration)
    truth = [symbol for symbol, one in zip(symbols, scored, strict=True) if one]
    marks = wfdb.rdann(str(path), "atr")
    samples = marks.sample[np.isin(marks.symbol, list("".join(configuration["class_map"].values())))]
    assert hashlib.sha256(outputs.tobytes()).hexdigest() == given["outputs_sha256"]
    called = [classes[index] for index in logits.argmax(axis=1)]
    assert {name: called.count(name) for name in classes} == given["called"]
    for beat in given["beats"]:
        number = beat["number"]
        assert beat["inputs"] == {role: values[number].tolist() for role, values in inputs.items()}
        assert beat["outputs"] == outputs[number].tolist()
        np.testing.assert_allclose(beat["shifted_logits"], logits[number], atol=1e-5)
        assert beat["class"] == called[number]
        assert (beat["symbol"], beat["sample"]) == (truth[number], samples[number])
    assert {beat["number"] for beat in given["beats"]} >= {0, 1, len(rows) - 1}
    assert {beat["class"] for beat in given["beats"]} == set(called)
    assert all(any(beat["symbol"] in of for beat in given["beats"]) for of in configuration["class_map"].values())


def test_a_published_contract_is_told_anew_and_the_rest_kept(entry):
    published = entry.configuration
    old = {name: value for name, value in published.items() if name != "example"}
    old["preprocessing"] = {"steps": ["in other words"]}
    assert retold(old, entry.config, entry_bytes(entry)) == published
    assert list(retold(old, entry.config, entry_bytes(entry))) == list(published)


@needs_tflm
def test_the_configuration_alone_gives_the_values_of_its_stream_example(entry, cache):
    configuration = json.loads((entry.folder / "configuration.json").read_text())
    check_stream_example(configuration, entry_bytes(entry), cache / "synthetic" / "1")


def test_a_recording_without_beats_where_it_would_be_lost_gives_no_stream_example(entry, cache, monkeypatch):
    record, given = open_record("synthetic", "syn25"), entry.configuration["example"]
    early = dataclasses.replace(record, samples=record.samples[:5], symbols=record.symbols[:5])
    module = sys.modules[stream_example.__module__]  # the package's attribute of that name is the function
    monkeypatch.setattr(module, "open_record", lambda *_: early)
    assert stream_example(entry.config, entry_bytes(entry), given) is None


def check_stream_example(configuration: dict[str, Any], content: bytes, folder: Path) -> None:
    rule, tensors, given = (configuration[name] for name in ("preprocessing", "tensors", "stream_example"))
    x, fs = read(folder / given["record"], given["database"], rule)
    x = x[: given["length"]].copy()
    for start, mv in given["add_mv"]:
        x[start:] += mv
    for first, last in given["missing"]:
        x[first : last + 1] = np.nan
    signal, gaps = filled(x, fs)
    beats = beats_of(given["beats"], fs, len(x), gaps)
    assert sum(beat["after_loss"] for beat in beats) >= 2 and gaps == [tuple(gap) for gap in given["missing"]]
    frames, rr = rows_of(signal, fs, given["beats"], beats, rule)
    floats = {"signal": rr if rule["cut"] == "features" else frames, "rr": rr}
    inputs = {tensor["role"]: quantized(floats[tensor["role"]], tensor) for tensor in tensors["inputs"]}
    rows = np.concatenate(list(inputs.values()), axis=1)
    outputs = plain_answers(content, tensors, inputs)
    logits = shifted(outputs, configuration)
    called = [configuration["classes"][index] for index in logits.argmax(axis=1)]
    for beat in given["shown"]:
        number = beat["number"]
        assert beat["inputs"] == {role: values[number].tolist() for role, values in inputs.items()}
        assert (beat["outputs"], beat["class"]) == (outputs[number].tolist(), called[number])
        np.testing.assert_allclose(beat.get("shifted_logits", logits[number]), logits[number], atol=1e-5)
    assert called == given["classes"]
    assert {name: called.count(name) for name in configuration["classes"]} == given["called"]
    assert hashlib.sha256(rows.tobytes()).hexdigest() == given["inputs_sha256"]
    assert hashlib.sha256(outputs.tobytes()).hexdigest() == given["outputs_sha256"]


@pytest.mark.data
@needs_tflm
@pytest.mark.parametrize("name", ["arr-5-rr-lg", "arr-5-rr-sm", "beat-2-rr-sm"])
def test_the_examples_of_a_published_model_are_of_the_real_recording(name, physionet_cache):
    published = zoo.find(name)
    content, given = published.path("model.tflite").read_bytes(), published.configuration["example"]
    assert (given["database"], len(given["beats"]) > 3) == ("mitdb", True)
    assert example(published.config, content) == given
    streamed = stream_example(published.config, content, given)
    assert streamed == published.configuration["stream_example"]
    check_stream_example(published.configuration, content, physionet_cache / "mitdb" / "1.0.0")


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
        logits = shifted(plain_answers(content, tensors, inputs), configuration)
        predicted = logits.argmax(axis=1)
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


SIXTEEN = {"rr_features": ["post_median"], "template_features": list(TEMPLATE_FEATURES)[:15]}


@pytest.mark.parametrize(
    ("contract", "seconds", "beats"),
    [
        ({"frame": 64}, (32 + 10) / 100, 0),
        ({"frame": 64, "rr_features": ["pre_median"]}, (32 + 10) / 100, 0),
        ({"frame": 64, "rr_features": ["post_median"]}, (32 + 10) / 100, 1),
        ({"frame": 64, "template_features": ["qrs_match"]}, (61 + 10) / 100, 0),
        ({"frame": 256, "template_features": ["qrs_match"]}, (128 + 10) / 100, 0),
        ({"frame": 96, "cut": "difference"}, (61 + 10) / 100, 0),
        ({"frame": 16, "cut": "features", **SIXTEEN}, (61 + 10) / 100, 1),
    ],
)
def test_a_decision_waits_for_whatever_comes_last(contract, seconds, beats):
    found = delay(InputConfig(**{"fs": 100.0, **contract}))
    assert (found["seconds"], found["following_beats"]) == (seconds, beats)
    assert ("template" in found["rule"]) == (seconds == (61 + 10) / 100)


def test_a_changed_checkout_is_told_and_a_changed_zoo_is_not(tmp_path, monkeypatch):
    def git(*arguments: str) -> str:
        person = ["-c", "user.name=x", "-c", "user.email=x@example.org"]
        command = ["git", *person, *arguments]
        return subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True).stdout.strip()

    monkeypatch.setattr("heartzoo.contract.ROOT", tmp_path)
    assert git_revision() is None
    (tmp_path / "zoo").mkdir()
    for name in ("pyproject.toml", "zoo/index.json"):
        (tmp_path / name).write_text("one")
    git("init")
    git("add", ".")
    git("commit", "--no-gpg-sign", "-m", "first")
    revision = git("rev-parse", "HEAD")
    (tmp_path / "zoo/index.json").write_text("another")
    assert git_revision() == revision
    (tmp_path / "pyproject.toml").write_text("another")
    assert git_revision() == f"{revision}-dirty"
