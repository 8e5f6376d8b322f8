"""Training batches and sets: how they are drawn and changed, and whose beats they hold."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from heartzoo.config import Config
from heartzoo.config.file import parse_config
from heartzoo.config.training import SamplingConfig
from heartzoo.data import splits, training_set
from heartzoo.data.batches import draw_probabilities, input_chunks, model_inputs
from heartzoo.data.preparation import prepare
from heartzoo.data.splits import get_split
from heartzoo.data.training_set import TrainingSet, load_training_set
from heartzoo.errors import UserError


def config(**sections: dict[str, Any] | str) -> Config:
    tree: dict[str, Any] = {
        "name": "tiny",
        "task": "beat-3",
        "data": {"train": ["synthetic-train"], "test": ["synthetic-test"]},
        "input": {"frame": 64, "rr_features": ["pre_median", "pre_post"]},
        "model": {"architecture": "resnet"},
        "training": {"batch_size": 64, "augmentation": {"amplitude": 0.2, "shift_s": 0.05, "white_mv": 0.02}},
        "export": {"calibration_examples": 100},
    }
    return parse_config({**tree, **sections}, "test")


@pytest.fixture
def training(cache: Path) -> TrainingSet:
    return load_training_set(config(), jobs=1)


# How examples are drawn

LABELS = np.array([0, 0, 0, 0, 1, 1, 0, 2])
PATIENTS = np.array(["a", "a", "a", "a", "a", "b", "b", "b"])


def draw(by: str, shares: list[float] | None = None) -> np.ndarray:
    return draw_probabilities(LABELS, PATIENTS, 3, SamplingConfig(by=by, shares=shares))  # type: ignore[arg-type]


def of_class(probabilities: np.ndarray) -> list[float]:
    return np.bincount(LABELS, probabilities).tolist()


def test_by_example_every_beat_is_alike() -> None:
    np.testing.assert_allclose(draw("example"), 1 / 8)


def test_by_class_the_class_then_its_patient_then_his_beat() -> None:
    assert of_class(draw("class")) == pytest.approx([1 / 3] * 3)
    assert of_class(draw("class", [6, 3, 1])) == pytest.approx([0.6, 0.3, 0.1])
    # class 0: half from a's four beats, half from b's one
    assert draw("class").tolist() == pytest.approx([1 / 24] * 4 + [1 / 6, 1 / 6, 1 / 6, 1 / 3])


def test_by_class_example_the_class_then_any_of_its_beats() -> None:
    p = draw("class-example", [2, 1, 1])
    assert of_class(p) == pytest.approx([0.5, 0.25, 0.25])
    assert p.tolist() == pytest.approx([0.1] * 4 + [0.125] * 2 + [0.1, 0.25])


def test_by_patient_the_patient_then_his_class_then_its_beat() -> None:
    p = draw("patient")
    assert p[PATIENTS == "a"].sum() == pytest.approx(0.5)
    # a has two classes, b three
    assert p.tolist() == pytest.approx([1 / 16] * 4 + [1 / 4, 1 / 6, 1 / 6, 1 / 6])
    shared = draw("patient", [20, 40, 40])
    assert shared[:4].sum() / shared[:5].sum() == pytest.approx(1 / 3)
    assert shared[5:].tolist() == pytest.approx([0.2, 0.1, 0.2])


def test_beats_of_an_irregular_rhythm_come_more_often_and_take_nothing_from_other_classes() -> None:
    sampling = SamplingConfig(by="class", irregular=10.0)
    irregular = np.array([True, False, False, False, True, False, False, False])
    p = draw_probabilities(LABELS, PATIENTS, 3, sampling, irregular)
    before = draw("class")
    assert of_class(p) == pytest.approx([1 / 3] * 3)
    assert p[0] == pytest.approx(10 * p[1]) and p[6] / p[1] == pytest.approx(before[6] / before[1])
    assert p[LABELS > 0].tolist() == pytest.approx(before[LABELS > 0].tolist())


@settings(max_examples=60)
@given(
    by=st.sampled_from(["example", "class", "patient", "class-example"]),
    shares=st.one_of(st.none(), st.lists(st.floats(0.01, 100), min_size=4, max_size=4)),
    examples=st.lists(st.tuples(st.integers(0, 3), st.sampled_from("abcde")), min_size=1, max_size=60),
)
def test_probabilities_are_probabilities(by: Any, shares: Any, examples: list[tuple[int, str]]) -> None:
    labels, patients = (np.array(column) for column in zip(*examples, strict=True))
    p = draw_probabilities(labels, patients, 4, SamplingConfig(by=by, shares=None if by == "example" else shares))
    assert (p > 0).all()
    assert p.sum() == pytest.approx(1.0)


def test_evenness_goes_from_every_beat_alike_to_every_patient_alike() -> None:
    labels, patients = np.zeros(10, int), np.array(["a"] * 9 + ["b"])
    drawn = [
        draw_probabilities(labels, patients, 1, SamplingConfig(by="class", evenness=evenness))[9]
        for evenness in (0.0, 0.5, 1.0)
    ]
    np.testing.assert_allclose(drawn, [1 / 10, 1 / 4, 1 / 2])


# Whose beats a training set holds


def people(data: TrainingSet, part: np.ndarray) -> set[str]:
    return set(data.patients[part].tolist())


def test_training_validation_and_test_patients_are_disjoint(training: TrainingSet) -> None:
    train, validation = people(training, ~training.validation), people(training, training.validation)
    everybody = {f"synthetic/{record}" for record in get_split("synthetic-train").records}
    assert train
    assert validation
    assert not train & validation
    assert train | validation == everybody
    assert not everybody & {f"synthetic/{record}" for record in get_split("synthetic-test").records}


def test_copies_train_beside_their_recordings_but_nobody_who_validates(training: TrainingSet) -> None:
    copies = [{"jitter_ms": 20.0}, {"gain": -1.0}]
    data = load_training_set(config(training={"augmentation": {"shift_s": 0.05}, "copies": copies}), jobs=1)
    n = len(training.labels)
    assert np.array_equal(data.validation[:n], training.validation) and not data.validation[n:].any()
    assert np.array_equal(data.labels[:n], training.labels)
    once = training.labels[~training.validation]
    assert np.array_equal(data.labels[n:], np.concatenate([once, once]))
    assert not people(data, np.arange(len(data.labels)) >= n) & people(data, data.validation)
    rows = data.rows_of(~data.validation)
    recorded, jittered, inverted = (store.frames(part) for store, part in zip(data.stores, rows, strict=True))
    assert np.array_equal(inverted, -recorded) and not np.array_equal(jittered, recorded)
    assert not np.array_equal(data.stores[1].features(rows[1]), data.stores[0].features(rows[0]))
    assert not data.calibration()[n:].any()


def test_no_copy_is_made_of_a_split_whose_people_all_validate(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = get_split("synthetic-train")
    validate, train = (replace(whole, records=part) for part in (whole.records[:3], whole.records[3:]))
    monkeypatch.setitem(splits.SPLITS, "synthetic-few", replace(validate, name="synthetic-few"))
    monkeypatch.setitem(splits.SPLITS, "synthetic-train", train)
    monkeypatch.setitem(splits.TRAINED_ON, frozenset({"synthetic-few", "synthetic-train"}), "divided")
    monkeypatch.setitem(splits.TRACKS, "divided", "for this test")
    known = [f"synthetic/{record}" for record in validate.records]
    monkeypatch.setattr(training_set, "folds", lambda patients, labels, count: {1: np.isin(patients, known)})
    data = load_training_set(
        config(
            data={"train": ["synthetic-few", "synthetic-train"], "test": ["synthetic-test"]},
            training={"copies": [{"gain": -1.0}], "fold": 1},
        ),
        jobs=1,
    )
    first, second, copy = (set(store.records.tolist()) for store in data.stores)
    assert first == set(validate.records) and second == copy == set(train.records)


def test_an_irregular_rhythm_is_told_by_recurrence(cache: Path) -> None:
    features = {"frame": 64, "rr_features": ["pre_post", "recurrence"]}
    data = load_training_set(config(input=features, training={"sampling": {"irregular": 5.0}}), jobs=1)
    plain = load_training_set(config(input=features), jobs=1)
    training = ~data.validation
    gain = data.probabilities(training) / plain.probabilities(training)
    irregular = data.stores[0].features(data.rows_of(training)[0])[:, 1] < 0.15
    normal = data.labels[training] == 0
    assert gain[~normal] == pytest.approx(1.0) and 0 < irregular.sum() < len(irregular)
    assert gain[normal & irregular] == pytest.approx(5 * gain[normal & ~irregular][0])


def test_every_patient_validates_in_one_fold(cache: Path) -> None:
    parts = [load_training_set(config(training={"fold": fold, "folds": 4}), jobs=1) for fold in range(4)]
    np.testing.assert_array_equal(np.sum([data.validation for data in parts], axis=0), 1)


def test_calibration_beats_come_from_training_patients_of_every_class(training: TrainingSet) -> None:
    chosen = training.calibration()
    assert chosen.sum() == 100
    assert not (chosen & training.validation).any()
    counts = np.bincount(training.labels[chosen], minlength=3)
    assert counts.min() >= 20
    np.testing.assert_array_equal(chosen, training.calibration())
    other = config(export={"calibration_examples": 100, "calibration_seed": 1})
    assert (TrainingSet(**{**vars(training), "config": other}).calibration() != chosen).any()


def test_only_scored_beats_are_in(training: TrainingSet) -> None:
    store, rows = training.stores[0], training.rows[0]
    assert not np.isin(store.symbols[rows], np.frombuffer(b"F/fQ", np.uint8)).any()
    everything = store.labels(training.task, "A")
    assert len(rows) == (everything >= 0).sum()
    np.testing.assert_array_equal(everything[rows], training.labels)


def test_no_beat_of_the_test_part_trains(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    split = replace(get_split("synthetic-train"), part="train")
    monkeypatch.setitem(splits.SPLITS, split.name, split)
    data = load_training_set(config(), jobs=1)
    (store,), (rows,) = data.stores, data.rows
    scored = np.flatnonzero(store.labels(data.task, "A") >= 0)
    drawn = split.select(store.samples, store.fs, store.symbols)
    assert drawn[rows].all() and len(rows) == drawn[scored].sum() < len(scored)


def test_what_trains_is_disturbed_by_the_first_half_of_the_noise(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    halves = []

    def spied(*arguments: Any, **settings: Any) -> Any:
        halves.append((settings["disturbance"] is not None, settings["noise_half"]))
        return prepare(*arguments, **settings)

    monkeypatch.setattr(training_set, "prepare", spied)
    load_training_set(config(training={"copies": [{"gain": -1.0}]}), jobs=1)
    assert halves == [(False, "first"), (True, "first")]


def test_validation_inputs_are_the_frames_in_order(training: TrainingSet) -> None:
    inputs = training.inputs(training.validation)
    store, rows = training.stores[0], training.rows_of(training.validation)[0]
    frames = store.frames(rows)[:, store.margin : store.margin + 64]
    np.testing.assert_array_equal(
        inputs["signal"], model_inputs(frames, store.features(rows), training.config.input)["signal"]
    )
    np.testing.assert_array_equal(inputs["rr"], store.features(rows))
    assert inputs["signal"].shape == (training.validation.sum(), 1, 64, 1)


def test_pieces_of_any_size_hold_the_same(training: TrainingSet) -> None:
    store, rows = training.stores[0], training.rows[0][:50]
    whole = next(input_chunks(store, rows, training.config.input, 50))
    pieces = list(input_chunks(store, rows, training.config.input, 7))
    assert [len(piece["signal"]) for piece in pieces] == [7] * 7 + [1]
    np.testing.assert_array_equal(np.concatenate([piece["signal"] for piece in pieces]), whole["signal"])


def test_a_class_without_a_training_example_is_an_error(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def lonely(patients: np.ndarray, labels: np.ndarray, count: int) -> list[np.ndarray]:
        """Everybody with a ventricular beat validates."""
        return [np.isin(patients, patients[labels == 2])] * count

    monkeypatch.setattr(training_set, "folds", lonely)
    with pytest.raises(UserError, match="class PVC of beat-3 has no training example in synthetic-train") as raised:
        load_training_set(config(), jobs=1)
    assert "\n" not in str(raised.value)
    assert "training.fold" in raised.value.remedy


def test_a_class_that_nobody_validates_is_told(
    cache: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    load_training_set(config(), jobs=1)
    assert "validation example" not in "".join(capfd.readouterr())

    def lonely(patients: np.ndarray, labels: np.ndarray, count: int) -> list[np.ndarray]:
        """Nobody with a ventricular beat validates."""
        return [~np.isin(patients, patients[labels == 2])] * count

    monkeypatch.setattr(training_set, "folds", lonely)
    load_training_set(config(), jobs=1)
    told = " ".join("".join(capfd.readouterr()).split())
    assert "class PVC of beat-3 has no validation example in fold 0: what validation chooses is chosen without" in told


def test_more_folds_than_patients_is_an_error(cache: Path) -> None:
    with pytest.raises(UserError, match=r"training.folds = 30, .* 24 patients"):
        load_training_set(config(training={"folds": 30}), jobs=1)


# Batches


def test_a_batch_depends_on_seed_epoch_and_step_alone(training: TrainingSet) -> None:
    batches = training.batches(7)
    inputs, labels = batches.batch(2, 3)
    batches.batch(0, 0)
    again, labels_again = training.batches(7).batch(2, 3)
    for name in ("signal", "rr"):
        np.testing.assert_array_equal(inputs[name], again[name])
    np.testing.assert_array_equal(labels, labels_again)
    for seed, epoch, step in ((8, 2, 3), (7, 3, 3), (7, 2, 4)):
        assert (training.batches(seed).batch(epoch, step)[0]["signal"] != inputs["signal"]).any()


def test_the_seed_alone_draws_other_examples(training: TrainingSet) -> None:
    batches = training.batches(7)
    drawn = [replace(batches, seed=seed).batch(2, 3)[0]["rr"] for seed in (7, 7, 8)]
    assert np.array_equal(drawn[0], drawn[1]) and not np.array_equal(drawn[0], drawn[2])


def test_what_stands_beside_is_of_the_same_examples(training: TrainingSet) -> None:
    train = ~training.validation
    inputs, labels = training.batches(7, {"number": np.arange(train.sum())}).batch(0, 0)
    np.testing.assert_array_equal(training.labels[train][inputs["number"]], labels.argmax(axis=1))
    np.testing.assert_array_equal(training.inputs(train)["rr"][inputs["number"]], inputs["rr"])


def test_batches_have_the_network_s_shape(training: TrainingSet) -> None:
    inputs, labels = training.batches(0).batch(0, 0)
    assert inputs["signal"].shape == (64, 1, 64, 1)
    assert inputs["rr"].shape == (64, 2)
    assert labels.shape == (64, 3)
    assert {array.dtype for array in (*inputs.values(), labels)} == {np.dtype(np.float32)}
    np.testing.assert_array_equal(labels.sum(axis=1), 1)
    assert np.isfinite(inputs["signal"]).all()


def test_batches_follow_the_shares_and_leave_validation_patients_out(cache: Path) -> None:
    plain = config(training={"batch_size": 4000, "sampling": {"by": "class", "shares": [5, 3, 2]}})
    data = load_training_set(plain, jobs=1)
    inputs, labels = data.batches(0).batch(0, 0)
    np.testing.assert_allclose(labels.mean(axis=0), [0.5, 0.3, 0.2], atol=0.04)
    seen = {frame.tobytes() for frame in inputs["signal"]}
    mine = {frame.tobytes() for frame in data.inputs(~data.validation)["signal"]}
    validating = {frame.tobytes() for frame in data.inputs(data.validation)["signal"]}
    assert seen <= mine
    assert not seen & validating


def test_without_rr_features_there_is_one_input(cache: Path) -> None:
    data = load_training_set(config(input={"frame": 64}), jobs=1)
    assert set(data.batches(0).batch(0, 0)[0]) == {"signal"}


@pytest.mark.data
def test_training_noise_is_the_first_half_of_the_recordings(physionet_cache: Path) -> None:
    from heartzoo.data.databases import get_database
    from heartzoo.data.download import ensure
    from heartzoo.data.records import read_lead
    from heartzoo.data.signal import resample
    from heartzoo.data.training_set import _noise

    noisy = config(training={"augmentation": {"nstdb_snr_db": [0.0, 12.0]}})
    noise = _noise(noisy, seed=0).recorded
    folder = ensure(get_database("nstdb"), ["bw", "ma"])
    assert noise is not None
    assert len(noise) == 2
    for name, stretch in zip(("bw", "ma"), noise, strict=True):
        whole = resample(read_lead(folder / name, ("noise1",))[0], 360, 100)
        assert len(stretch) == len(whole) // 2 + len(whole) % 2
        np.testing.assert_allclose(stretch[:-100], whole[: len(stretch) - 100], atol=1e-6)
