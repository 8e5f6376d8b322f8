"""A training that is killed or interrupted goes on as if nothing had happened; a run that must not go on is refused."""

from __future__ import annotations

import gc
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
import weakref
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace

import keras
import numpy as np
import pytest

from heartzoo import interruption, prevalence, recipes, training
from heartzoo.checkpoints import Plan, best_epoch, finished, load_epoch, load_model, plateaus, read_history, save_epoch
from heartzoo.compression.steps import check_steps
from heartzoo.config import Config
from heartzoo.config.file import load_config, parse_config
from heartzoo.config.training import EarlyStoppingConfig, PretrainedConfig, TrainingConfig
from heartzoo.data import splits
from heartzoo.data.databases import get_database
from heartzoo.data.same_recordings import file_hashes
from heartzoo.data.splits import get_split
from heartzoo.data.template import TEMPLATE_FEATURES
from heartzoo.data.training_set import TrainingSet, load_training_set
from heartzoo.errors import UserError
from heartzoo.export import export
from heartzoo.files import write_bytes, write_json
from heartzoo.runs import check_recordings, compress, refuse_copies_of_training, train
from heartzoo.training import Validation, build_model

EPOCHS = 6
LONG = [f"training.epochs={EPOCHS}", "training.steps_per_epoch=60", "seeds=[3]"]
NETWORK = {"architecture": "resnet"}
SHORT = ["training.epochs=1", "training.steps_per_epoch=4", "seeds=[0]"]


def settings(overrides: list[str]) -> list[str]:
    return [word for override in overrides for word in ("--set", override)]


def start_training(config: Path, out: Path, *arguments: str, first: str = "") -> subprocess.Popen[str]:
    """``heartzoo train``, in a process of its own. ``first``: Python that runs before."""
    program = (
        "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)\n"  # a background shell ignores it
        f"{first}\n"
        "from heartzoo.cli import main; main()"
    )
    command = [sys.executable, "-c", program, "train", str(config), *settings(LONG), "--out", str(out), *arguments]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def wait_for_epoch(process: subprocess.Popen[str], folder: Path, epoch: int) -> None:
    """Return as soon as an epoch has been finished, while the next ones are under way."""
    end = time.monotonic() + 300
    while len(read_history(folder)) < epoch:
        assert process.poll() is None and time.monotonic() < end, process.communicate()
        time.sleep(0.01)


def weights(folder: Path) -> list[np.ndarray]:
    return load_model(folder / "best.keras").get_weights()


def checkpoint(folder: Path) -> dict[str, np.ndarray]:
    """Every array of the last epoch's checkpoint, the optimizer's among them."""
    (path,) = folder.glob("last.*.npz")
    with np.load(path) as content:
        return dict(content)


def assert_same(one: Path, other: Path) -> None:
    """Two seeds' folders hold the same figures, the same best weights, the same last weights and optimizer."""
    assert json.loads((one / "state.json").read_text()) == json.loads((other / "state.json").read_text())
    pairs = list(zip(weights(one), weights(other), strict=True))
    assert pairs and all(np.array_equal(a, b) for a, b in pairs)
    mine, its = checkpoint(one), checkpoint(other)
    # Adam keeps two moments of every trained weight.
    assert mine.keys() == its.keys() and len(mine) > 2 * len(weights(one))
    assert all(np.array_equal(mine[name], its[name]) for name in mine)
    assert sorted(p.name for p in one.iterdir()) == sorted(p.name for p in other.iterdir())


@pytest.fixture(scope="module")
def undisturbed(tiny, synthetic_cache, tmp_path_factory) -> Path:
    """The seed's folder of a run that nobody disturbed."""
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setenv("HEARTZOO_CACHE", str(synthetic_cache))
        return train(load_config(tiny, LONG), tmp_path_factory.mktemp("undisturbed")) / "seed-3"


@pytest.mark.parametrize("how", ["kill -9", "Ctrl-C"])
def test_a_disturbed_run_resumes_to_the_same_weights(how, cache, tiny, undisturbed, tmp_path):
    process = start_training(tiny, tmp_path)
    wait_for_epoch(process, tmp_path / "seed-3", 2)
    process.send_signal(signal.SIGKILL if how == "kill -9" else signal.SIGINT)
    _, told = process.communicate(timeout=120)
    assert process.returncode == (-signal.SIGKILL if how == "kill -9" else 130)
    assert "Traceback" not in told
    assert 2 <= len(read_history(tmp_path / "seed-3")) < EPOCHS
    (tmp_path / "seed-3" / ".part.1.last.9.npz").write_text("what a kill during a write leaves")
    train(load_config(tiny, LONG), tmp_path, resume=True)
    assert_same(tmp_path / "seed-3", undisturbed)


SLOW = """
import gc, time
from pathlib import Path
from types import SimpleNamespace
from heartzoo.data.batches import TrainingBatches
batch = TrainingBatches.batch
def slow(self, epoch, step):
    if (epoch, step) == (1, 10):
        Path("{reached}").touch()
    end = time.monotonic() + 0.05
    while time.monotonic() < end:
        sum(range(1000))
    return batch(self, epoch, step)
TrainingBatches.batch = slow
gc.set_threshold(10**9)  # what is left lying about stays there to Python's end
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_training_ends_although_a_batch_is_being_made(number, cache, tiny, tmp_path):
    reached = tmp_path / "reached"
    process = start_training(
        tiny, tmp_path / "run", "--set", "training.steps_per_epoch=30", first=SLOW.format(reached=reached)
    )
    try:
        while not reached.exists():
            assert process.poll() is None, process.communicate()
            time.sleep(0.01)
        process.send_signal(number)
        _, told = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == 128 + number and "Traceback" not in told


def test_a_finished_run_is_left_as_it_is(cache, tiny, tiny_run, tmp_path):
    run = shutil.copytree(tiny_run, tmp_path / "run")
    before = {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}
    train(load_config(tiny), run, resume=True)
    assert {path: path.read_bytes() for path in run.rglob("*") if path.is_file()} == before


def test_an_existing_run_is_not_overwritten(cache, tiny, tiny_run):
    with pytest.raises(UserError, match="already holds a run; go on with it by --resume"):
        train(load_config(tiny), tiny_run)


def test_a_run_is_not_resumed_with_another_configuration(cache, tiny, tiny_run):
    with pytest.raises(UserError, match="holds a run of another configuration"):
        train(load_config(tiny, ["training.learning_rate=0.02"]), tiny_run, resume=True)


@pytest.mark.parametrize(
    ("file", "content", "told"),
    [
        ("state.json", b"{", "state.json is damaged"),
        ("state.json", b"[]", "state.json is damaged"),
        ("state.json", b'{"history": [3]}', "state.json is damaged"),
        ("last.2.npz", b"no archive", "last.2.npz is missing or damaged"),
        ("last.2.npz", b"", "last.2.npz is missing or damaged"),
        ("last.2.npz", None, "last.2.npz is missing or damaged"),
    ],
)
def test_a_damaged_run_is_told(file, content, told, cache, tiny, tiny_run, tmp_path):
    run = shutil.copytree(tiny_run, tmp_path / "run")
    longer = (run / "config.yaml").read_text().replace("epochs: 2", "epochs: 3", 1)
    (run / "config.yaml").write_text(longer)
    if content is None:
        (run / "seed-0" / file).unlink()
    else:
        (run / "seed-0" / file).write_bytes(content)
    with pytest.raises(UserError, match=told):
        train(load_config(run / "config.yaml"), run, resume=True)


@pytest.mark.parametrize("content", [b"PK", None])
def test_a_finished_run_whose_network_is_damaged_is_told(content, cache, tiny_run, tmp_path):
    run = shutil.copytree(tiny_run, tmp_path / "run")
    if content is None:
        (run / "seed-0" / "best.keras").unlink()
    else:
        (run / "seed-0" / "best.keras").write_bytes(content)
    config = load_config(run / "config.yaml")
    smaller = config.model_copy(update={"name": "smaller"})
    seed = run / "seed-0"
    told = re.escape(f"{seed / 'best.keras'} is missing or cut short; remove {seed} and train that seed anew")
    with pytest.raises(UserError, match=told):
        train(config, run, resume=True)
    with pytest.raises(UserError, match=told):
        compress(run, smaller, tmp_path / "smaller")
    assert not (tmp_path / "smaller").exists()
    shutil.rmtree(run / "seed-0")
    train(config, run, resume=True)
    assert (run / "seed-0" / "best.keras").is_file()


def test_a_copy_of_a_training_that_the_disk_does_not_hold_leaves_nothing(cache, tiny_run, tmp_path, monkeypatch):
    def full_behind_the_first_seed(path, content):
        if "seed-1" in path.parts:
            raise UserError("the disk is full")
        write_bytes(path, content)

    monkeypatch.setattr("heartzoo.runs.write_bytes", full_behind_the_first_seed)
    config = load_config(tiny_run / "config.yaml").model_copy(update={"name": "smaller"})
    with pytest.raises(UserError, match="the disk is full"):
        compress(tiny_run, config, tmp_path / "smaller")
    assert not (tmp_path / "smaller").exists()


@pytest.mark.parametrize(
    ("override", "told"),
    [
        ("model.sizes.depths=[1]", "resnet cannot be built with .*; mend model.sizes"),
        ("model.sizes.num_classes=3", "model.sizes.num_classes is not a size of resnet"),
        ("model.architecture=resnett", "unknown architecture 'resnett'; did you mean 'resnet'"),
        ("training.folds=40", "training.folds = 40, but the training data hold 24 patients"),
    ],
)
def test_a_mistake_leaves_no_run_behind(override, told, cache, tiny, tmp_path):
    with pytest.raises(UserError, match=told):
        train(load_config(tiny, [override]), tmp_path / "run")
    assert not (tmp_path / "run").exists()  # else the mended configuration would be refused as another one's


def test_a_class_without_examples_is_named(cache, tiny, monkeypatch, tmp_path):
    bare = splits.Split("synthetic-train", "synthetic", ("syn00", "syn01", "syn02", "syn03"))
    monkeypatch.setitem(splits.SPLITS, "synthetic-train", bare)
    config = load_config(tiny, ["task=arrhythmia-5", "prevalence={}", "training.folds=2"])
    with pytest.raises(UserError, match=r"class [NSVFQ, ]+ of arrhythmia-5 has no training example in synthetic-train"):
        train(config, tmp_path / "run")
    assert not (tmp_path / "run" / "config.yaml").exists()


def test_validation_patients_train_nothing(cache, tiny):
    data = load_training_set(load_config(tiny))
    training, validating = set(data.patients[~data.validation]), set(data.patients[data.validation])
    assert training and validating and not training & validating
    assert not data.calibration()[data.validation].any() and data.calibration().sum() == 60


def test_a_run_with_copies_notes_its_records_once_and_goes_on(cache, tiny, tmp_path):
    overrides = [*SHORT, "training.copies=[{jitter_ms: 10}]"]
    out = train(load_config(tiny, overrides), tmp_path / "run")
    assert list(json.loads((out / "examples.json").read_text())["records"]) == ["synthetic-train"]
    assert train(load_config(tiny, overrides), out, resume=True) == out


@pytest.mark.parametrize(
    ("part", "told"),
    [
        ("records", "examples of other records or people than are at hand; restore them"),
        ("files", "examples of other files than are at hand; restore them"),
        ("code", "examples that other code made than are at hand; train anew, or go on with the heartzoo"),
    ],
)
def test_a_run_of_other_examples_is_neither_gone_on_with_nor_published(part, told, cache, tiny, tiny_run, tmp_path):
    run = shutil.copytree(tiny_run, tmp_path / "run")
    noted = json.loads((run / "examples.json").read_text())
    write_json(run / "examples.json", noted | {part: {"synthetic-train": {}}})
    for go_on in (
        lambda: train(load_config(tiny), run, resume=True),
        lambda: compress(run, load_config(tiny, ["name=small", "seeds=[0]"]), tmp_path / "small"),
        lambda: export(run, root=tmp_path / "zoo"),
    ):
        with pytest.raises(UserError, match=told):
            go_on()
    assert not (tmp_path / "zoo").exists() and not (tmp_path / "small" / "config.yaml").exists()


def test_a_finished_run_is_held_against_its_recordings(cache, tiny, tiny_run, tmp_path):
    run, config = shutil.copytree(tiny_run, tmp_path / "run"), load_config(tiny_run / "config.yaml")
    check_recordings(run, config)
    noted = json.loads((run / "examples.json").read_text())
    people = noted["records"]["synthetic-train"]
    first, rest = next(iter(people)), dict(list(people.items())[1:])
    for changes, told in (
        ({"records": {"synthetic-train": rest}}, "on other records of synthetic-train, or people"),
        ({"records": {"synthetic-train": people | {first: "else"}}}, "on other records of synthetic-train, or people"),
        (
            {"records": {"synthetic-train": rest}, "left_out": {"synthetic-train": [first]}},
            "on other files of synthetic-train",
        ),
        ({"records": None}, "examples.json is damaged"),
    ):
        write_json(run / "examples.json", noted | changes)
        with pytest.raises(UserError, match=told):
            check_recordings(run, config)


def test_what_taught_the_network_that_a_training_begins_with_tests_nothing(tiny_run, monkeypatch):
    config = load_config(tiny_run / "config.yaml")
    data = SimpleNamespace(file_hashes={})
    refuse_copies_of_training(config, data)
    pretrained = PretrainedConfig(model="elder@1.0.0", train=["ds1"])
    tuned = config.model_copy(update={"training": config.training.model_copy(update={"pretrained": pretrained})})
    (record, files), *_ = file_hashes(get_database("synthetic"), get_split("synthetic-test").records).items()
    told = {"splits": {"train": {"ds1": ["101"]}}, "data_sha256": {"mitdb": {"101": files}}}
    monkeypatch.setattr("heartzoo.runs.named", lambda name: SimpleNamespace(configuration=told))
    with pytest.raises(UserError, match=f"record {record} of synthetic-test has the very signals of mitdb/101"):
        refuse_copies_of_training(tuned, data)


def test_a_run_whose_examples_are_no_table_is_damaged(cache, tiny, tiny_run, tmp_path):
    run = shutil.copytree(tiny_run, tmp_path / "run")
    (run / "examples.json").write_text("[]")
    with pytest.raises(UserError, match=r"examples.json is damaged; restore it, or train anew"):
        train(load_config(tiny), run, resume=True)


def test_a_training_lets_go_of_its_data(cache, tiny, tmp_path, monkeypatch):
    made = []
    batches = TrainingSet.batches

    def watched(*arguments):
        found = batches(*arguments)
        made.append(weakref.ref(found))
        return found

    monkeypatch.setattr(TrainingSet, "batches", watched)
    train(load_config(tiny, SHORT), tmp_path / "run")
    gc.collect()
    assert len(made) == 1 and made[0]() is None


def test_a_network_on_features_alone_trains_on_other_rhythms(cache, tiny, tmp_path):
    names = list(TEMPLATE_FEATURES)[:15]
    own = ["input.cut=features", "input.frame=16", "input.rr_features=[pre_median]", f"input.template_features={names}"]
    own += ["model.architecture=mlp", "model.sizes={units: [8]}", "training.augmentation={white_mv: 0.1}"]
    own += ["training.copies=[{rhythm: premature}, {rhythm: fibrillation, draw: 1}]"]
    out = train(load_config(tiny, [*SHORT, *own]), tmp_path / "run")
    assert load_model(out / "seed-0" / "best.keras").input_shape == (None, 1, 16, 1)


def test_a_swallowed_interruption_ends_the_training_at_the_next_step(cache, tiny, tmp_path, monkeypatch):
    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(interruption, "_received", [signal.SIGTERM])
        train(load_config(tiny, SHORT), tmp_path / "run")
    assert not (tmp_path / "run" / "seed-0" / "best.keras").exists()
    train(load_config(tiny, SHORT), tmp_path / "run", resume=True)
    assert (tmp_path / "run" / "seed-0" / "best.keras").exists()


@pytest.mark.parametrize("loss", ["weighted", "focal", "generalised"])
def test_other_losses_train(loss, cache, tiny, tmp_path):
    overrides = [*SHORT, f"training.loss={loss}", "training.sampling={by: patient, shares: [5, 1, 1]}"]
    train(load_config(tiny, overrides), tmp_path)
    (figures,) = read_history(tmp_path / "seed-0")
    assert 0 < figures["loss"] < 100 and set(figures) == {
        "loss",
        "val_loss",
        "val_accuracy",
        "val_mean_recall",
        "val_macro_f1",
    }


def test_the_generalised_loss_lies_between_cross_entropy_and_the_absolute_error():
    labels, logits = np.eye(3)[[0, 1, 2]], np.array([[3.0, 0, 0], [0, 1, 0], [0, 9.0, -9.0]])
    likelihood = (np.exp(logits) / np.exp(logits).sum(1, keepdims=True))[np.arange(3), [0, 1, 2]]

    def of(q: float) -> float:
        return float(recipes.loss(TrainingConfig(loss="generalised", generalised_q=q), np.ones(3) / 3)(labels, logits))

    assert of(1.0) == pytest.approx((1 - np.maximum(likelihood, 1e-6)).mean(), rel=1e-5)
    assert of(0.3) == pytest.approx(((1 - np.maximum(likelihood, 1e-6) ** 0.3) / 0.3).mean(), rel=1e-5)
    assert of(1e-3) == pytest.approx(-np.log(np.maximum(likelihood, 1e-6)).mean(), rel=1e-2)


def test_offsets_make_logits_larger_by_as_much():
    labels, offsets = np.eye(3)[[0, 1, 2]], [0.0, -0.5, 2.0]
    logits = np.array([[3.0, 0, 0], [0, 1, 0], [0, 9.0, -9.0]], np.float32)
    for name in ("cross-entropy", "weighted", "focal", "generalised"):
        without, given = TrainingConfig(loss=name), TrainingConfig(loss=name, logit_offsets=offsets)
        shares = np.array([0.5, 0.3, 0.2])
        expected = recipes.loss(without, shares)(labels, logits)
        found = recipes.loss(given, shares)(labels, logits + np.float32(offsets))
        assert float(found) == pytest.approx(float(expected), rel=1e-5)


def test_a_class_with_an_offset_is_called_more_often(cache, tiny, tmp_path):
    calls = []
    for offsets in ("null", "[0, 0, 4]"):
        recipe = ["training.learning_rate=0.05", "training.steps_per_epoch=20", f"training.logit_offsets={offsets}"]
        out = train(load_config(tiny, [*SHORT, *recipe]), tmp_path / offsets)
        data = load_training_set(load_config(tiny, SHORT))
        logits = load_model(out / "seed-0" / "best.keras").predict(data.inputs(data.validation), verbose=0)
        calls.append(int((logits.argmax(axis=1) == 2).sum()))
    assert calls[1] > calls[0]


def test_a_loss_that_is_not_finite_ends_the_training_in_one_line(cache, tiny, tmp_path):
    with pytest.raises(UserError, match=r"the loss is not finite in epoch 1; lower training.learning_rate"):
        train(load_config(tiny, [*SHORT, "training.learning_rate=1.0e+38"]), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def history(metric: str, values: list[float]) -> list[dict[str, float]]:
    return [{metric: value} for value in values]


@pytest.mark.parametrize(
    ("metric", "values", "best"),
    [
        ("val_loss", [3, 1, 2, 1], 1),  # of equal epochs the first
        ("val_macro_f1", [0.3, 0.1, 0.5, 0.5], 2),
        ("val_accuracy", [0.9], 0),
    ],
)
def test_the_best_epoch_is_the_first_of_the_best(metric, values, best):
    training = TrainingConfig(early_stopping=EarlyStoppingConfig(metric=metric))
    assert best_epoch(history(metric, values), Plan(Path(), training)) == best


def test_a_value_is_better_only_by_more_than_the_least_difference():
    training = TrainingConfig(early_stopping=EarlyStoppingConfig(metric="val_loss", min_delta=0.1, patience=2))
    assert best_epoch(history("val_loss", [1.0, 0.95, 0.85, 0.8]), Plan(Path(), training)) == 2
    assert finished(history("val_loss", [1.0, 0.95, 0.91]), Plan(Path(), training))


def test_a_plateau_schedule_decays_after_epochs_without_a_better_one():
    rule = {"kind": "plateau", "decay_epochs": 2, "decay_factor": 0.5}
    training = TrainingConfig.model_validate({"schedule": rule, "early_stopping": {"metric": "val_macro_f1"}})
    flat_from = {1: 0, 2: 0, 3: 1, 4: 1, 5: 2, 6: 2, 7: 3}
    for epochs, decays in flat_from.items():
        assert plateaus(history("val_macro_f1", [0.5] * epochs), training) == decays
    assert plateaus(history("val_macro_f1", [0.5, 0.4, 0.6, 0.5, 0.7, 0.1]), training) == 0
    assert plateaus(history("val_macro_f1", [0.5, 0.4, 0.6, 0.5, 0.5, 0.7, 0.1]), training) == 1
    assert plateaus(history("loss", [3, 2, 2, 2, 1]), training.model_copy(update={"fold": None})) == 1


@pytest.mark.parametrize(
    ("rule", "rates"),
    [
        ({"kind": "constant"}, [1, 1, 1]),
        ({"kind": "exponential", "decay_factor": 0.25, "decay_epochs": 2}, [1, 0.5, 0.25]),
        ({"kind": "step", "decay_factor": 0.25, "decay_epochs": 2}, [1, 1, 0.25]),
        ({"kind": "cosine", "final_fraction": 0.2}, [1, 0.6, 0.2]),
        (
            {"kind": "cosine-restarts", "first_restart_epochs": 1, "period_factor": 1, "peak_factor": 0.5},
            [1, 0.5, 0.25],
        ),
    ],
)
@pytest.mark.parametrize("name", ["adam", "adamw"])
def test_a_schedule_says_the_rate_of_each_step(rule, rates, name):
    training = TrainingConfig(epochs=2, steps_per_epoch=50, learning_rate=0.01, schedule=rule, optimizer=name)
    optimizer = recipes.optimizer(training)
    optimizer.build([keras.Variable(np.zeros(1))])
    found = []
    for step in (0, 50, 100):
        optimizer.iterations.assign(step)
        found.append(float(optimizer.learning_rate) / 0.01)
    assert found == pytest.approx(rates, abs=1e-6)
    assert type(optimizer).__name__.lower() == name


def test_an_epoch_that_does_not_count_leaves_the_best_network_of_before(cache, tiny, tmp_path, monkeypatch):
    # Enough steps for the second epoch to be better than the first.
    config, seed = load_config(tiny, [*SHORT, "training.epochs=3", "training.steps_per_epoch=12"]), tmp_path / "seed-0"
    kept = []

    def killed(path, content):
        if len(content["history"]) == 2:
            raise KeyboardInterrupt
        write_json(path, content)
        kept.append((seed / "best.keras").read_bytes())

    def stopped(*_):
        raise KeyboardInterrupt

    for where, how in (("heartzoo.checkpoints.write_json", killed), ("heartzoo.training.save_epoch", stopped)):
        with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
            patched.setattr(where, how)
            train(config, tmp_path, resume=bool(kept))
        assert len(read_history(seed)) == 1
        assert ((seed / "best.keras").read_bytes() == kept[0]) == (how is stopped)
    train(config, tmp_path, resume=True)
    assert len(read_history(seed)) == 3 and not list(seed.glob("before.*"))


def test_a_plateau_s_rate_is_that_of_the_history_after_a_resume_too(cache, tiny, tmp_path, monkeypatch):
    def stopping(network, optimizer, history, plan):
        save_epoch(network, optimizer, history, plan)
        if len(history) == 2:
            raise KeyboardInterrupt

    flat = ["training.schedule={kind: plateau, decay_epochs: 1, decay_factor: 0.5}", "seeds=[0]"]
    flat += ["training.early_stopping={metric: val_macro_f1, min_delta: 1.0, patience: 9}", "training.epochs=3"]
    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(training, "save_epoch", stopping)
        train(load_config(tiny, flat), tmp_path / "resumed")
    assert len(read_history(tmp_path / "resumed" / "seed-0")) == 2
    for name in ("whole", "resumed"):
        seed = train(load_config(tiny, flat), tmp_path / name, resume=name == "resumed") / "seed-0"
        rates = [array for array in checkpoint(seed).values() if array.shape == () and array.dtype == np.float32]
        # two flat epochs came before the third
        assert any(rate == pytest.approx(0.01 * 0.5**1) for rate in rates)


def test_no_two_layers_steps_or_epochs_drop_the_same(cache, tiny, tmp_path, monkeypatch):
    seen = []
    begin = training.StageKeeper.on_epoch_begin

    def noted(self, epoch, logs=None):
        begin(self, epoch, logs)
        for layer in self.network.layers:
            if (generator := getattr(layer, "seed_generator", None)) is not None:
                state = np.array(generator.state)
                seen.extend((int(state[0]), (int(state[1]) + step) % 2**32) for step in range(4))  # Keras counts up

    monkeypatch.setattr(training.StageKeeper, "on_epoch_begin", noted)
    own = ["training.epochs=3", "model={architecture: mlp, sizes: {units: [8], members: 3}}", "input.rr_features=[]"]
    train(load_config(tiny, [*SHORT, *own, "input.template_features=[]"]), tmp_path)
    assert len(seen) == 3 * 4 * 4  # epochs, steps, layers: a dropout for each member, and who falls silent
    assert len(set(seen)) == len(seen)


def test_the_members_of_a_committee_are_not_trained_as_one(tiny):
    own = ["model.architecture=mlp", "model.sizes={units: [8], members: 3}", "compression=[{quantize_aware: {}}]"]
    own += ["input.rr_features=[]", "input.template_features=[]"]
    with pytest.raises(UserError, match="quantize_aware would train the members of tiny as one"):
        check_steps(load_config(tiny, own))


def test_people_who_test_do_not_train(cache, tiny, tmp_path):
    config = load_config(tiny, ["data.train=[ds1]", "data.test=[random-test]"])
    with pytest.raises(UserError, match="has seen people of random-test; score it on a split of other people"):
        train(config, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_weights_decay_with_adamw_alone():
    with pytest.raises(UserError, match=r"weight_decay = 0.1 with optimizer: adam,.*take optimizer: adamw"):
        parse_config({"name": "x", "task": "beat-3", "model": NETWORK, "training": {"weight_decay": 0.1}}, "x")


def test_training_ends_with_its_epochs_or_its_patience():
    rule = EarlyStoppingConfig(metric="val_loss", patience=2)
    training = TrainingConfig(epochs=5, early_stopping=rule)
    assert not finished([], training)
    assert not finished(history("val_loss", [2, 1, 1.5]), Plan(Path(), training))
    assert finished(history("val_loss", [2, 1, 1.5, 1.4]), Plan(Path(), training))
    assert finished(history("val_loss", [5, 4, 3, 2, 1]), Plan(Path(), training))


def test_the_last_epoch_is_kept_where_the_recipe_wants_it():
    rule = EarlyStoppingConfig(metric="val_loss", keep="last")
    plan = Plan(Path(), TrainingConfig(epochs=rule.patience + 3, early_stopping=rule))
    worse = list(range(rule.patience + 3))
    assert best_epoch(history("val_loss", worse[:-1]), plan) == len(worse) - 2
    assert not finished(history("val_loss", worse[:-1]), plan) and finished(history("val_loss", worse), plan)


def test_a_committee_s_file_needs_nothing_but_keras(cache, tiny, tmp_path):
    own = ["seeds=[0]", "training.epochs=2", "input.rr_features=[]", "input.template_features=[]"]
    own += ["model.architecture=mlp", "model.sizes={units: [8], members: 3}", "training.loss=generalised"]
    config = load_config(tiny, own)
    seed = train(config, tmp_path) / "seed-0"
    kept = load_model(seed / "best.keras")
    assert {type(layer).__module__.partition(".")[0] for layer in kept.layers} == {"keras"}
    network = build_model(config)
    network.set_weights(kept.get_weights())
    frames = np.random.default_rng(0).normal(size=(9, *network.inputs[0].shape[1:])).astype(np.float32)
    np.testing.assert_allclose(kept.predict_on_batch({"signal": frames}), network.predict_on_batch({"signal": frames}))


def test_without_validation_everybody_trains_and_the_last_epoch_is_kept(cache, tiny, tmp_path):
    config = load_config(tiny, ["training.fold=null", "training.early_stopping.patience=1", "seeds=[0]"])
    data = load_training_set(config)
    assert not data.validation.any()
    seed = train(config, tmp_path) / "seed-0"
    history = read_history(seed)
    assert [set(figures) for figures in history] == [{"loss"}] * config.training.epochs
    assert (
        finished(history, Plan(Path(), config.training))
        and best_epoch(history, Plan(Path(), config.training)) == len(history) - 1
    )
    last = list(checkpoint(seed).values())[: len(weights(seed))]
    assert all(np.array_equal(kept, value) for kept, value in zip(weights(seed), last, strict=True))


def test_validation_figures_follow_from_the_logits(cache, tiny):
    config: Config = load_config(tiny, ["prevalence={}"])
    data = load_training_set(config)
    validation = Validation(data)
    perfect = 50.0 * np.eye(3)[validation.labels]
    figures = validation.score(perfect)
    assert figures["val_loss"] < 1e-9 and figures["val_accuracy"] == figures["val_macro_f1"] == 1
    # all alike: the loss is that of chance, the accuracy the share of the first class
    figures = validation.score(np.zeros((len(validation.labels), 3)))
    assert figures["val_loss"] == pytest.approx(np.log(3))
    assert figures["val_accuracy"] == pytest.approx((validation.labels == 0).mean())


def test_validation_weighs_its_loss_as_training_draws_and_calls_as_a_device_does(cache, tiny):
    logits = None
    for override in ("prevalence={}", "prevalence={PAC: {usual: 0.2, assumed: 0.6}}"):
        data = load_training_set(load_config(tiny, [override]))
        validation = Validation(data)
        labels, drawn = validation.labels, data.probabilities(data.validation)
        if logits is None:
            logits = np.random.default_rng(0).normal(size=(len(labels), 3))
        losses = np.log(np.exp(logits).sum(axis=1)) - logits[np.arange(len(labels)), labels]
        called = prevalence.shifted(data.config, logits, data.recordings(data.validation)).argmax(axis=1)
        figures = validation.score(logits)
        assert figures["val_loss"] == pytest.approx(drawn @ losses) != pytest.approx(losses.mean())
        assert figures["val_accuracy"] == pytest.approx((called == labels).mean())
        assert (called == logits.argmax(axis=1)).all() == (override == "prevalence={}")


def test_a_best_network_that_counts_stays_the_best(tmp_path):
    network = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    optimizer, plan = keras.optimizers.SGD(), Plan(tmp_path, TrainingConfig(epochs=9))
    optimizer.build(network.trainable_variables)
    save_epoch(network, optimizer, history("val_loss", [2, 1]), plan)
    best = (tmp_path / "best.keras").read_bytes()
    (tmp_path / "before.2.keras").write_bytes(b"what a kill leaves after the second epoch counts")
    load_epoch(network, optimizer, tmp_path, 2)
    assert (tmp_path / "best.keras").read_bytes() == best


JAX = """\
import sys
from pathlib import Path
from types import SimpleNamespace
from heartzoo.config.file import load_config
from heartzoo.checkpoints import read_history
from heartzoo.runs import train
run = train(load_config(Path(sys.argv[1]), sys.argv[3:]), Path(sys.argv[2]))
import keras
assert keras.backend.backend() == "jax", keras.backend.backend()
assert "tensorflow" not in sys.modules
print(len(read_history(run / "seed-0")))
"""


def test_it_trains_on_jax_without_tensorflow(cache, tiny, tmp_path):
    if find_spec("jax") is None:
        pytest.skip("jax is not installed")
    command = [sys.executable, "-c", JAX, tiny, tmp_path / "run", *SHORT]
    environment = {**os.environ, "KERAS_BACKEND": "jax"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.returncode == 0 and done.stdout.strip() == "1", done.stderr
    assert load_model(tmp_path / "run" / "seed-0" / "best.keras").count_params() > 0  # and TensorFlow reads its file
