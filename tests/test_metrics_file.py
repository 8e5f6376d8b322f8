"""``metrics.json``: what is written is read back, and a figure that does not follow from the matrices is refused."""

import copy
import json
from dataclasses import asdict

import numpy as np
import pytest

from heartzoo import files, metrics_file
from heartzoo.errors import UserError
from heartzoo.metrics import score
from heartzoo.metrics_file import Metrics
from heartzoo.metrics_file.costs import Cost
from heartzoo.metrics_file.results import Evaluation, PooledResult, SeedResult
from heartzoo.tasks import AAMI

CONDITION = {"precision": "int8", "runtime": "tflm", "dataset": "mitdb", "split": "ds2", "track": "strict"}


def evaluation(classes=AAMI, **changes):
    """An evaluation of random predictions on four records of three patients; a fifth record has no scored beat."""
    rng = np.random.default_rng(0)
    labels = rng.integers(0, len(classes), 200)
    predictions = np.where(rng.random(200) < 0.7, labels, rng.integers(0, len(classes), 200))
    records = np.array(["100", "103", "201", "202"])[rng.integers(0, 4, 200)]
    patients = np.where(records == "202", "201", records)
    where = {
        **CONDITION,
        "mapping": "A",
        "records": ["100", "102", "103", "201", "202"],
        "seed": 0,
        "file_sha256": "0f" * 32,
    }
    return Evaluation(**{**where, **asdict(score(labels, predictions, records, patients, classes)), **changes})


def example(classes=AAMI):
    cost = Cost(
        parameters=100,
        nonzero_parameters=90,
        macs=1000,
        tflite_bytes=5000,
        keras_bytes=9000,
        arena_bytes=4000,
        operators={"CONV_2D": 3, "SOFTMAX": 1},
    )
    seeds = [SeedResult.of("macro_f1", {0: 0.5, 1: 0.6, 2: 0.7}, **CONDITION)]
    return Metrics(
        schema_version=1,
        model="arr-5-res-sm",
        version="1.0.0",
        task="arrhythmia-5",
        classes=list(classes),
        evaluations=[evaluation(classes)],
        seeds=seeds,
        cost=cost,
    )


CONFIDENCE = {
    "temperature": 1.0,
    "ece": 0.1,
    "ece_uncalibrated": 0.1,
    "reliability": [
        {"low": 0.4, "high": 0.6, "n": 100, "confidence": 0.5, "accuracy": 0.6},
        {"low": 0.8, "high": 1.0, "n": 100, "confidence": 0.9, "accuracy": 0.8},
    ],
    "risk_coverage": [],
}


def confidence(right: int, **first):
    """That many of 200 decisions right; the first bin changed as given."""
    low, high = ({**entry} for entry in CONFIDENCE["reliability"])
    low["accuracy"] = (right - 80) / 100
    low |= first
    ece = (abs(low["confidence"] - low["accuracy"]) + 0.1) / 2
    return {**CONFIDENCE, "reliability": [low, high], "ece": ece}


def test_the_bins_of_reliability_hold_the_decisions_of_the_matrix():
    right = int(np.trace(evaluation().confusion_matrix))
    assert evaluation(confidence=confidence(right)).confidence.ece > 0
    for wrong, told in (
        (confidence(right + 1), f"reliability has {right + 1}.00 decisions right, the confusion matrix {right}"),
        (confidence(right, accuracy=(right - 80.5) / 100), "decisions right, the confusion matrix"),
        (confidence(right, confidence=0.7), "a mean confidence of 0.7 lies outside 0.4 to 0.6"),
        (confidence(right, high=0.9), "bins of reliability overlap"),
    ):
        with pytest.raises(ValueError, match=told):
            evaluation(confidence=wrong)


def pooled(**changes):
    whole = evaluation()
    shared = {name: value for name, value in whole.model_dump().items() if name in PooledResult.model_fields}
    by_record = {name: record.confusion_matrix for name, record in whole.by_record.items()}
    return PooledResult.model_validate(shared | {"by_record": by_record} | changes)


def test_the_records_of_a_pooled_result_add_up_to_it():
    whole, result = evaluation(), pooled()
    np.testing.assert_array_equal(result.by_patient(whole.patients), whole.patient_matrices)
    with pytest.raises(ValueError, match="no matrices by record"):
        pooled(by_record=None).by_patient(whole.patients)
    first, *others = result.by_record
    with pytest.raises(ValueError, match="do not add up"):
        pooled(by_record={name: result.by_record[name] for name in others})
    with pytest.raises(ValueError, match="not among the records"):
        pooled(by_record={**result.by_record, "999": result.by_record[first]})


@pytest.fixture
def written(tmp_path):
    path = tmp_path / "metrics.json"
    files.write_bytes(path, metrics_file.to_bytes(example()))
    return path


@pytest.mark.parametrize("classes", [AAMI, ("NSR", "PAC", "PVC")])
def test_round_trip(tmp_path, classes):
    path = tmp_path / "metrics.json"
    files.write_bytes(path, metrics_file.to_bytes(example(classes)))
    assert metrics_file.read(path) == example(classes)
    content = path.read_bytes()
    files.write_bytes(path, metrics_file.to_bytes(metrics_file.read(path)))
    assert path.read_bytes() == content
    assert list(tmp_path.iterdir()) == [path]


def test_keys_are_those_of_the_issue(written):
    content = json.loads(written.read_text())
    result = content["evaluations"][0]
    assert list(content) == [
        "schema_version",
        "model",
        "version",
        "task",
        "classes",
        "evaluations",
        "seeds",
        "without_prevalence",
        "robustness",
        "personalisation",
        "end_to_end",
        "ablation",
        "cost",
    ]
    assert content["schema_version"] == 1
    assert set(result) == set(CONDITION) | {
        *("mapping", "records", "seed", "bootstrap_seed", "file_sha256", "n", "accuracy", "macro_f1", "macro_f1_ci95"),
        *("patient_macro_f1", "macro_f1_nsv", "macro_f1_nsv_ci95", "patient_macro_f1_nsv", "macro_f1_nsvf"),
        *("macro_f1_nsvf_ci95", "per_class", "confusion_matrix", "by_record"),
    }
    assert list(result["per_class"]["N"]) == ["se", "ppv", "f1", "support"]
    assert set(result["by_record"]["202"]) == {
        *("patient", "n", "accuracy", "macro_f1", "per_class", "confusion_matrix")
    }


def test_figures_that_a_task_does_not_have_are_left_out(tmp_path):
    files.write_bytes(tmp_path / "m.json", metrics_file.to_bytes(example(("NSR", "PVC"))))
    assert "macro_f1_nsv" not in json.loads((tmp_path / "m.json").read_text())["evaluations"][0]


def test_seeds_give_mean_and_sample_standard_deviation():
    result = SeedResult.of("macro_f1", {3: 0.5, 4: 0.7}, **CONDITION)
    assert (result.mean, result.spread) == (pytest.approx(0.6), pytest.approx(0.2 / 2**0.5))


def test_schema_file_is_current():
    assert metrics_file.SCHEMA_PATH.read_bytes() == metrics_file.schema_bytes(), "run python -m heartzoo.metrics_file"


def put(content, path, value):
    """Set a value deep in the file; the path is dotted, numbers are list positions."""
    *parents, last = [int(part) if part.isdigit() and part != "100" else part for part in path.split(".")]
    for part in parents:
        content = content[part]
    content[last] = value


TAMPERED = [
    ("evaluations.0.accuracy", 0.9, "accuracy is 0.9"),
    ("evaluations.0.n", 201, "n is 201"),
    ("evaluations.0.macro_f1", 0.9, "macro_f1 is 0.9"),
    ("evaluations.0.patient_macro_f1", 0.9, "patient_macro_f1 is 0.9"),
    ("evaluations.0.macro_f1_nsv", 0.9, "macro_f1_nsv is 0.9"),
    ("evaluations.0.macro_f1_nsv", None, "macro_f1_nsv is None"),
    ("evaluations.0.macro_f1_nsv_ci95", None, "macro_f1_nsv_ci95 belong together"),
    ("evaluations.0.macro_f1_ci95", [0.9, 0.1], "macro_f1_ci95 runs from 0.9 down to 0.1"),
    ("evaluations.0.macro_f1_ci95", [0.1], "macro_f1_ci95"),
    ("evaluations.0.per_class.V.se", 0.123, "per_class.V.se is 0.123"),
    ("evaluations.0.per_class.V.support", 7, "per_class.V.support is 7"),
    ("evaluations.0.per_class", {}, "evaluations.0.per_class"),
    ("evaluations.0.confusion_matrix.0.0", 0, "confusion_matrix is"),
    ("evaluations.0.confusion_matrix.0.0", 2**70, "evaluations.0.confusion_matrix.0.0"),
    ("evaluations.0.confusion_matrix.0", [1, 2], "confusion_matrix is not 5 x 5"),
    ("evaluations.0.confusion_matrix", [], "confusion_matrix is not 5 x 5"),
    ("evaluations.0.by_record.100.n", 1, "evaluations.0.by_record.100: n is 1"),
    ("evaluations.0.by_record.100.patient", "103", "patient_macro_f1"),
    ("evaluations.0.by_record.100.confusion_matrix.0.0", 999, "evaluations.0.by_record.100"),
    ("evaluations.0.by_record", {}, "evaluations.0.by_record"),
    ("evaluations.0.records", ["100"], "not among the records"),
    ("evaluations.0.track", "loose", "evaluations.0.track"),
    ("evaluations.0.file_sha256", "abc", "evaluations.0.file_sha256"),
    ("evaluations.0.seed", "1", "evaluations.0.seed"),
    ("evaluations.0.accuracy", True, "evaluations.0.accuracy"),
    ("evaluations.0.accuracy", float("nan"), "evaluations.0.accuracy"),
    ("evaluations.0.accuracy", float("inf"), "evaluations.0.accuracy"),
    ("evaluations.0.surprise", 1, "evaluations.0.surprise"),
    ("seeds.0.mean", 0.61, "seeds.0: mean is 0.61"),
    ("seeds.0.spread", 0.0, "seeds.0: spread is 0.0"),
    ("seeds.0.each", {"1": 0.5}, "seeds.0.each"),
    ("classes", ["N", "V", "S", "F", "Q"], "evaluations.0.per_class does not name"),
    ("cost.macs", -1, "cost.macs"),
    ("cost.macs", 1.5, "cost.macs"),
    ("version", "1.0", "version"),
    ("schema_version", 0, "schema_version"),
    ("schema_version", True, "schema_version"),
]


@pytest.mark.parametrize(("field", "value", "message"), TAMPERED, ids=[f"{f}={v}" for f, v, _ in TAMPERED])
def test_a_tampered_file_is_refused_in_one_line(written, field, value, message):
    content = json.loads(written.read_text())
    put(content, field, value)
    written.write_text(json.dumps(content))
    with pytest.raises(UserError) as caught:
        metrics_file.read(written)
    assert message in str(caught.value)
    assert str(written) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_five_class_figures_have_no_place_in_other_tasks():
    with pytest.raises(ValueError, match=r"macro_f1_nsv is 0\.5"):
        evaluation(("NSR", "PVC"), macro_f1_nsv=0.5, macro_f1_nsv_ci95=(0.4, 0.6))


def test_rounding_below_the_tolerance_passes(written):
    content = json.loads(written.read_text())
    content["evaluations"][0]["accuracy"] += 1e-12
    written.write_text(json.dumps(content))
    metrics_file.read(written)


def test_a_newer_schema_has_its_own_line(written):
    content = {**json.loads(written.read_text()), "schema_version": 2, "novelty": 1}
    written.write_text(json.dumps(content))
    with pytest.raises(UserError, match=r"has schema_version 2, this heartzoo reads 1; upgrade heartzoo"):
        metrics_file.read(written)


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"null", b"\xff\xfe", b'{"schema_version": 1}'])
def test_what_is_not_a_metrics_file(tmp_path, content):
    path = tmp_path / "metrics.json"
    path.write_bytes(content)
    with pytest.raises(UserError, match=r"metrics\.json"):
        metrics_file.read(path)


def test_a_missing_file(tmp_path):
    with pytest.raises(UserError, match=r"cannot read .*metrics\.json: No such file"):
        metrics_file.read(tmp_path / "metrics.json")


def test_the_models_are_frozen():
    before = copy.deepcopy(example())
    with pytest.raises(ValueError, match="frozen"):
        before.evaluations[0].n = 3
