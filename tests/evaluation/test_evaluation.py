"""What an evaluation refuses, and that it goes on where it was interrupted."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest

from heartzoo import evaluation
from heartzoo.config.disturbance import Disturbance
from heartzoo.config.file import load_config, parse_config
from heartzoo.data.preparation import prepare
from heartzoo.data.splits import PARTS, SPLITS, Split, get_split
from heartzoo.errors import UserError
from heartzoo.evaluation import Subject, disturbances, evaluate
from heartzoo.export import check_measurable
from heartzoo.personalisation import Personalisation


def subject(train: str, test: str) -> Subject:
    tree = {
        "name": "x", "task": "arrhythmia-5", "model": {"architecture": "cnn_187"},
        "data": {"train": [train], "test": [test]}, "input": {"cut": "r-peak", "fs": 125, "frame": 187},
    }  # fmt: skip
    return Subject(parse_config(tree, "x"), "int8", "tflm", "0" * 64, 0, lambda chunks, total: iter([]))


@pytest.mark.parametrize(
    ("train", "test", "split"),
    [
        ("random-train", "random-test", "ds2"),
        ("random-train", "random-test", "ds2-no202"),
        ("random-train", "random-test", "csv-test"),
        ("csv-train", "csv-test", "random-test"),
        ("csv-train", "csv-test", "ds2"),
        ("ds1", "ds2", "random-test"),
        ("ds1", "ds2", "csv-test"),
        ("rhythm-train", "rhythm-test", "ds2"),
        ("rhythm-train", "rhythm-test", "random-test"),
    ],
)
def test_people_that_a_model_has_seen_do_not_test_it(train: str, test: str, split: str) -> None:
    with pytest.raises(UserError, match=f"trained on {train}: it has seen people of {split}; score it on {test}"):
        evaluate(subject(train, test), get_split(split))


@pytest.mark.parametrize("records", [("201",), ("202",), ("201", "202", "100"), ("101",)])
def test_a_split_of_ones_own_with_records_that_a_model_has_seen_does_not_test_it(records: tuple[str, ...]) -> None:
    with pytest.raises(UserError, match="trained on ds1: it has seen people of mine"):
        evaluate(subject("ds1", "ds2"), Split("mine", "mitdb", records, test=True))


def test_the_person_on_both_sides_of_the_protocol_is_let_pass_in_its_own_split_alone() -> None:
    config = subject("ds1", "ds2").config
    for name in ("ds2", "ds2-no202", "ds2-skip5"):
        evaluation.refuse_known_people(config, get_split(name))


def test_a_random_split_is_not_drawn_from_part_of_its_records(monkeypatch):
    monkeypatch.setattr(evaluation, "present", lambda database: database.records[:40])
    with pytest.raises(UserError, match="random-test is drawn from the beats of all its records, and 8 are not at"):
        evaluate(subject("random-train", "random-test"), get_split("random-test"), present_only=True)


@pytest.mark.data
@pytest.mark.parametrize("share", [0.0, 0.25])
def test_frames_that_were_drowned_are_no_false_alarms_of_a_recording(share, physionet_cache):
    tree = {
        "name": "x", "task": "rhythm-3", "model": {"architecture": "rhythm_cnn"},
        "data": {"train": ["synthetic-train"], "test": ["synthetic-test"]},
        "input": {"cut": "rhythm", "fs": 250.0, "frame": 2049, "drowned_share": share},
    }  # fmt: skip

    def fibrillation(chunks, total) -> Iterator[np.ndarray]:
        return (np.tile([0.0, 1.0, 0.0], (len(chunk["signal"]), 1)) for chunk in chunks)

    model = Subject(parse_config(tree, "x"), "int8", "tflm", "2" * 64, 0, fibrillation)
    (found,) = evaluate(model, get_split("synthetic-test"))
    alarms = found.false_alarms_per_hour
    assert alarms is None if share else 0 < alarms["AFIB|AFL"] <= 3600 / (2049 / 250)


def test_recordings_without_rhythms_do_not_test_a_model_of_rhythms(cache, monkeypatch):
    tree = {
        "name": "x", "task": "rhythm-3", "model": {"architecture": "rhythm_cnn"},
        "data": {"train": ["synthetic-train"], "test": ["synthetic-test"]},
        "input": {"cut": "rhythm", "fs": 250.0, "frame": 2049},
    }  # fmt: skip
    model = Subject(parse_config(tree, "x"), "int8", "tflm", "3" * 64, 0, lambda chunks, total: iter([]))
    monkeypatch.setattr("heartzoo.data.store.Store.labels", lambda store, *_: np.full(len(store), 2))  # all noise
    with pytest.raises(UserError, match="synthetic-test has no annotations of rhythm; score x on synthetic-test"):
        evaluate(model, get_split("synthetic-test"))


def test_an_interrupted_evaluation_asks_only_for_what_is_missing(tiny, cache, monkeypatch):
    monkeypatch.setattr(evaluation, "CHUNK", 50)
    asked = []

    def predict(chunks, total) -> Iterator[np.ndarray]:
        for number, chunk in enumerate(chunks):
            if len(asked) == stop:
                raise KeyboardInterrupt
            asked.append((number, total))
            yield chunk["signal"][:, 0, :3, 0]

    stop = -1
    model = Subject(load_config(tiny), "float32", "keras", "1" * 64, 0, predict)
    split = get_split("synthetic-test")
    whole = evaluate(model, split)
    total = len(asked)
    assert total > 6 and asked == [(number, total) for number in range(total)]

    asked, stop = [], 5
    with pytest.raises(KeyboardInterrupt):
        evaluate(model, split)
    stop = -1
    (folder,) = (cache / "evaluations").glob("[!.]*/*")
    (folder / "000005.npy").write_bytes((folder / "000003.npy").read_bytes())  # as a killed clean-up may leave it
    (folder / "000004.npy").unlink()
    other = evaluate(replace(model, file_sha256="2" * 64), split)
    assert len(asked) == 5 + total  # another file's outputs are not taken for this one's
    asked = []
    assert evaluate(model, split) == whole
    assert asked == [(number, total - 4) for number in range(total - 4)]
    assert [e.confusion_matrix for e in other] == [e.confusion_matrix for e in whole]
    asked = []
    evaluate(model, split)
    assert len(asked) == total  # what is finished is measured anew


def test_a_part_without_a_beat_of_the_records_at_hand_is_left_out(tiny, cache, monkeypatch):
    def predict(chunks, total) -> Iterator[np.ndarray]:
        for chunk in chunks:
            yield np.zeros((len(chunk["signal"]), 3), np.float32)

    parts = {
        "no24": Split("no24", "synthetic", ("syn25",), test=True),
        "skip1": Split("skip1", "synthetic", ("syn24", "syn25"), test=True, skip_s=60.0),
    }
    whole = Split("two", "synthetic", ("syn24", "syn25"), test=True)
    monkeypatch.setattr("heartzoo.data.splits.SPLITS", SPLITS | parts | {"two": whole})
    monkeypatch.setitem(PARTS, "two", ("no24", "skip1"))
    # as if record 25 were not at hand
    monkeypatch.setattr("heartzoo.data.preparation.present", lambda database: ["syn24"])
    model = Subject(load_config(tiny), "float32", "keras", "2" * 64, 0, predict)
    assert [result.split for result in evaluate(model, whole, present_only=True)] == ["two", "skip1"]


def test_disturbed_recordings_have_the_same_beats_and_leave_no_files(tiny, cache):
    def predict(chunks, total) -> Iterator[np.ndarray]:
        for chunk in chunks:
            yield chunk["signal"][:, 0, 30:33, 0]

    model = Subject(load_config(tiny), "float32", "keras", "1" * 64, 0, predict)
    split = get_split("synthetic-test")
    (plain,) = evaluate(model, split)
    same, louder, inverted, jittered = (
        evaluation.evaluate_disturbed(model, split, Disturbance(**change))
        for change in ({"gain": 1.0}, {"gain": 4.0}, {"gain": -1.0}, {"jitter_ms": 40.0})
    )
    assert same.confusion_matrix == plain.confusion_matrix and same.macro_f1 == plain.macro_f1
    assert louder.n == inverted.n == jittered.n == plain.n
    assert inverted.confusion_matrix != plain.confusion_matrix != jittered.confusion_matrix
    assert same.records == plain.records and same.noise_offsets is None
    assert not list((cache / "evaluations").glob("[!.]*"))


@pytest.mark.parametrize(("split", "two_leads"), [("ds2", True), ("svdb-test", True), ("synthetic-test", False)])
def test_other_and_turned_leads_are_tried_where_recordings_have_two(split: str, two_leads: bool) -> None:
    tried = disturbances(get_split(split))
    assert [Disturbance(**lead) in tried for lead in ({"other_lead": True}, {"turned_lead": True})] == [two_leads] * 2


def test_people_that_a_model_has_seen_do_not_test_its_robustness() -> None:
    with pytest.raises(UserError, match="it has seen people of ds2"):
        evaluation.evaluate_disturbed(subject("csv-train", "csv-test"), get_split("ds2"), Disturbance(gain=2.0))


def test_a_short_recording_leaves_nothing_to_score_after_adapting(tiny, cache) -> None:
    model = Subject(
        load_config(tiny), "float32", "keras", "1" * 64, 0, lambda chunks, total: (c["rr"][:, :3] for c in chunks)
    )
    with pytest.raises(UserError, match="no record of synthetic-test goes on after the 300 s"):
        evaluation.evaluate_personalised(model, get_split("synthetic-test"), Personalisation((0, 0, 0), 0.5, 1.0))
    with pytest.raises(UserError, match="no record of synthetic-test goes on after the 300 s"):
        check_measurable(load_config(tiny, ["export.personalisation=true"]))  # before anything is measured
    check_measurable(load_config(tiny))


@pytest.fixture
def guessing(tiny, cache) -> Subject:
    """Logits that are no two alike, right about as often as not."""

    def predict(chunks, total) -> Iterator[np.ndarray]:
        for chunk in chunks:
            yield chunk["signal"][:, 0, 30:33, 0]

    return Subject(load_config(tiny, ["prevalence={}"]), "float32", "keras", "3" * 64, 0, predict)


def test_what_tests_is_disturbed_by_the_second_half_of_the_noise(guessing, monkeypatch):
    halves = []

    def spied(*arguments, **settings):
        halves.append(settings["noise_half"])
        return prepare(*arguments, **settings)

    monkeypatch.setattr(evaluation, "prepare", spied)
    evaluate(guessing, get_split("synthetic-test"))
    evaluation.evaluate_disturbed(guessing, get_split("synthetic-test"), Disturbance(gain=2.0))
    assert halves == ["second", "second"]


def test_only_what_follows_the_first_minutes_scores_an_adapted_model(guessing, monkeypatch):
    monkeypatch.setattr(evaluation, "FIRST_S", 60.0)
    split, how = get_split("synthetic-test"), Personalisation((0, 0, 0), 0.5, 1.0)
    results = evaluation.evaluate_personalised(guessing, split, how)
    late = replace(split, skip_s=60.0)
    (rest,) = evaluate(guessing, late)
    assert 0 < rest.n < evaluate(guessing, split)[0].n
    assert [result.n for result in results] == [rest.n] * 3
    assert results[0].confusion_matrix == rest.confusion_matrix
    assert results[0].by_record == {name: record.confusion_matrix for name, record in rest.by_record.items()}
    # a split without those minutes still adapts by them
    assert [r.confusion_matrix for r in evaluation.evaluate_personalised(guessing, late, how)] == [
        r.confusion_matrix for r in results
    ]
    assert len({str(result.confusion_matrix) for result in results}) > 1


def test_a_split_without_the_first_minutes_follows_the_prevalence_from_them_on(guessing, monkeypatch):
    rules = parse_config({**guessing.config.model_dump(), "prevalence": {"PAC": {"usual": 0.5, "assumed": 0.05}}}, "x")
    following = replace(guessing, config=rules)
    whole = get_split("synthetic-test")
    late = replace(whole, name="late", skip_s=60.0)
    monkeypatch.setattr("heartzoo.data.splits.SPLITS", SPLITS | {"late": late})
    monkeypatch.setitem(PARTS, whole.name, ("late",))
    _, part = evaluate(following, whole)
    (direct,) = evaluate(following, late)
    assert direct == part
    anew = evaluate(replace(following, config=guessing.config), late)[0]
    assert anew.confusion_matrix != direct.confusion_matrix  # it is followed at all


def test_the_error_without_a_temperature_is_that_of_temperature_one(guessing):
    one, hot = (
        evaluate(replace(guessing, temperature=temperature), get_split("synthetic-test"))[0].confidence
        for temperature in (1.0, 3.0)
    )
    assert hot.ece_uncalibrated == one.ece_uncalibrated == one.ece != hot.ece


def test_false_alarms_are_counted_over_the_hours_that_are_scored(guessing):
    split = get_split("synthetic-test")
    (whole,), (rest,) = (evaluate(guessing, replace(split, skip_s=skip)) for skip in (0.0, 60.0))
    for name, record in whole.by_record.items():
        assert rest.by_record[name].hours == pytest.approx(record.hours - 60 / 3600)
