"""The configuration: strict, every mistake told in one line with the nearest valid name, every key used."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import pytest
import yaml
from pydantic import BaseModel

from heartzoo.config import Config
from heartzoo.config.file import load_config, parse_config
from heartzoo.errors import UserError

ROOT = Path(__file__).parents[1]
CONFIGS = sorted((ROOT / "configs").glob("*.yaml"))
SMALLEST: dict[str, Any] = {"name": "tiny", "task": "beat-3", "model": {"architecture": "resnet"}}


def put(key: str, value: Any) -> dict[str, Any]:
    """The smallest configuration with one more key."""
    tree: dict[str, Any] = {name: dict(v) if isinstance(v, dict) else v for name, v in SMALLEST.items()}
    *parents, last = key.split(".")
    section = tree
    for parent in parents:
        section = section.setdefault(parent, {})
    section[last] = value
    return tree


def leaves(model: type[BaseModel], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Every key that is not a section, with its field."""
    for name, field in model.model_fields.items():
        inner = [t for t in (field.annotation, *get_args(field.annotation)) if isinstance(t, type)]
        sections = [t for t in inner if issubclass(t, BaseModel)]
        if sections:
            yield from leaves(sections[0], f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", field


def test_smallest_configuration_has_every_default() -> None:
    config = parse_config(SMALLEST, "test")
    assert (config.track, config.data.test, config.input.fs, config.input.frame) == ("strict", ["ds2"], 100.0, 512)
    assert parse_config(config.model_dump(mode="json"), "again") == config


# What is put where, and the words of the one line that follows.
MISTAKES = [
    ("trainin", {}, ("unknown key trainin", "did you mean 'training'")),
    ("training.epoch", 5, ("unknown key training.epoch", "did you mean 'epochs'")),
    ("training.augmentation.amplitud", 0.1, ("training.augmentation.amplitud", "did you mean 'amplitude'")),
    ("data.lead", ["MLII"], ("unknown key data.lead", "did you mean 'leads'")),
    ("training.epochs", "many", ("training.epochs", "valid integer", "'many'")),
    ("training.epochs", 2.5, ("training.epochs", "valid integer", "2.5")),
    ("training.epochs", [1], ("training.epochs", "valid integer")),
    ("training.epochs", None, ("training.epochs", "valid integer", "None")),
    ("training.epochs", 0, ("training.epochs", "greater than or equal to 1")),
    ("training.learning_rate", 0, ("training.learning_rate", "greater than 0")),
    ("training.learning_rate", float("nan"), ("training.learning_rate", "finite number")),
    ("training.learning_rate", float("inf"), ("training.learning_rate", "finite number")),
    ("training.augmentation.amplitude", 1.5, ("training.augmentation.amplitude", "less than 1")),
    ("training.augmentation.nstdb_snr_db", [6], ("training.augmentation.nstdb_snr_db",)),
    ("training.fold", 5, ("training.fold = 5", "5 folds")),
    ("training.fold", True, ("training.fold",)),
    ("training.loss", "mse", ("training.loss", "'cross-entropy'", "'mse'")),
    ("training.sampling.shares", [1, 2], ("training.sampling.shares", "2 numbers", "3 classes")),
    ("training.sampling.shares", [1, 0, 1], ("training.sampling.shares", "greater than 0")),
    ("training", 5, ("training",)),
    ("input.fs", 10, ("input.fs", "greater than or equal to 50")),
    ("input.frame", 0, ("input.frame",)),
    ("input.frame", 15, ("input.frame = 15: expected 16 samples or more",)),
    ("input.epsilon", 0, ("input.epsilon",)),
    ("input.rr_features", ["pre_medain"], ("'pre_medain'", "did you mean 'pre_median'")),
    ("input.template_features", ["qrs_mach"], ("unknown template feature 'qrs_mach'", "did you mean 'qrs_match'")),
    ("input.template_features", "qrs_match", ("input.template_features", "list")),
    ("input.cut", "difference", ("input.frame = ", "96 samples at 100 Hz", "set input.frame to 96")),
    (
        "input.drowned_share",
        0.25,
        ("input.drowned_share = 0.25 with cut: centred, where it does nothing", "cut: rhythm"),
    ),
    ("input.drowned_snr_db", [5.0, -5.0], ("input.drowned_snr_db = [5.0, -5.0] runs from high to low", "swap")),
    ("training.augmentation.nstdb_share", 0.9, ("nstdb_share = 0.9 without nstdb noise", "set nstdb_snr_db")),
    ("training.early_stopping", {"keep": "last", "patience": 3}, ("patience = 3 with keep: last", "take keep: best")),
    ("training.sampling", {"by": "example", "shares": [1, 2, 3]}, ("with by: example", "class or patient")),
    ("training.focal_gamma", 3.0, ("training.focal_gamma = 3.0 with loss: cross-entropy", "take loss: focal")),
    ("training.schedule.decay_factor", 0.5, ("with kind: cosine", "kind: exponential or step or plateau")),
    ("input.regular_beats", "late", ("input.regular_beats = late without a template", "template_features")),
    ("training.sampling", {"by": "patient", "evenness": 0.5}, ("evenness = 0.5 with by: patient", "by: class")),
    ("input.lowpass_hz", 60.0, ("input.lowpass_hz = 60 at", "take less than")),
    ("training.copies", [{"rhythm": "flutter"}], ("rhythm", "arrhythmia", "fibrillation", "premature")),
    ("training.copies", [{"other_lead": False}], ("other_lead", "True")),
    ("training.sampling.irregular", 10, ("recurrence", "input.rr_features")),
    ("training.copies", [{"jitter_ms": 20, "gain": 2}], ("jitter_ms", "gain")),
    ("training.copies", [{"jiter_ms": 20}], ("jiter_ms", "jitter_ms")),
    ("data.train", ["ds3"], ("unknown split 'ds3'", "ds1")),
    ("data.test", [], ("data.test", "at least 1")),
    ("data.train", ["ds2"], ("data.train names the test split ds2",)),
    ("data.train", ["ds1", "ds2-no202"], ("test split ds2-no202",)),
    ("data.train", ["ds1", "svdb-test"], ("test split svdb-test",)),
    ("data.train", ["random-test"], ("test split random-test",)),
    ("data.train", ["ds1", "random-train"], ("no track is trained on ds1 + random-train", "ds1 + svdb-train")),
    ("data.train", [], ("data.train", "at least 1 item")),
    ("data.train", "ds1", ("data.train", "list")),
    ("data.test", ["ds-2"], ("unknown split 'ds-2'", "did you mean 'ds2'")),
    ("data.mapping", "C", ("data.mapping", "'A' or 'B'")),
    ("training.copies", [{"gain": 2}, {"gain": -1}, {"gain": 2}], ("training.copies has an entry twice",)),
    ("training.copies", [{"gain": 1e30}], ("gain", "less than or equal to 1000")),
    ("training.augmentation.wander_mv", 1e39, ("training.augmentation.wander_mv", "less than or equal to")),
    ("training.augmentation.nstdb_snr_db", [-1e6, 6], ("nstdb_snr_db.0", "greater than or equal to -30")),
    ("training.epochs", 10**30, ("training.epochs", "less than or equal to")),
    ("training.batch_size", 10**12, ("training.batch_size", "less than or equal to 65536")),
    ("input.rr_features", ["pre_post", "pre_post"], ("input.rr_features has an entry twice: pre_post",)),
    ("input.template_features", ["p_match", "p_match"], ("input.template_features has an entry twice: p_match",)),
    ("compression", [{"distill": {"teachers": ["a", "a"]}}], ("distill.teachers has an entry twice: a",)),
    ("task", "beat-4", ("unknown task 'beat-4'", "beat-3")),
    ("task", 3, ("task", "string")),
    ("name", "Not A Name", ("name", "'Not A Name'")),
    ("name", "../up", ("name", "'../up'")),
    ("data.test", ["ds1"], ("data.test names the training split ds1",)),
    ("data.train", ["ds1", "ds1"], ("names a split twice",)),
    ("data.test", ["ds2", "svdb-test", "ds2"], ("data.test", "names a split twice")),
    ("data.test", ["ds2", "ds2-skip5"], ("data.test names ds2-skip5, which is part of ds2",)),
    ("data.leads", [], ("data.leads", "at least 1")),
    ("training.augmentation.nstdb_snr_db", [24, 6], ("from high to low",)),
    ("seeds", [], ("seeds", "at least 1")),
    ("seeds", [-1], ("seeds.0", "greater than or equal to 0")),
    ("seeds", [1, 1], ("names a seed twice",)),
    ("model.sizes", {"filters": {"a": 1}}, ("model.sizes.filters", "'a'")),
]


@pytest.mark.parametrize(("key", "value", "words"), MISTAKES, ids=[f"{key}={value}" for key, value, _ in MISTAKES])
def test_mistakes_get_one_clear_line(key: str, value: object, words: tuple[str, ...]) -> None:
    with pytest.raises(UserError) as raised:
        parse_config(put(key, value), "tiny.yaml")
    line = str(raised.value)
    assert "\n" not in line
    for word in words:
        assert word in line


def test_rows_of_features_are_not_turned_upside_down() -> None:
    published = ROOT / "configs" / "arr-5-rr-sm.yaml"
    with pytest.raises(UserError, match=r"inverted_share with input.cut features.*\{gain: -1\}"):
        load_config(published, ["training.augmentation.inverted_share=0.5"])


@pytest.mark.parametrize("change", ["shift_s=0.04", "stretch=0.18"])
def test_only_centred_beats_are_moved(change: str) -> None:
    with pytest.raises(UserError, match=rf"augmentation.{change.split('=')[0]} with input.cut features.*set it to 0"):
        load_config(ROOT / "configs" / "arr-5-rr-sm.yaml", [f"training.augmentation.{change}"])
    load_config(ROOT / "configs" / "arr-5-rr-lg.yaml", [f"training.augmentation.{change}"])


def test_noise_on_features_needs_features_beside_a_frame() -> None:
    with pytest.raises(UserError, match=r"augmentation.features, but .*take white_mv"):
        load_config(ROOT / "configs" / "arr-5-rr-sm.yaml", ["training.augmentation.features=0.1"])


@pytest.mark.parametrize(
    "changes",
    [{"training": {"fold": None}}, {"data": {"train": ["random-train"], "test": ["random-test"]}}],
    ids=["nobody validates", "nobody is unseen"],
)
def test_adapting_to_patients_is_chosen_on_patients(changes: dict[str, object]) -> None:
    with pytest.raises(UserError, match=r"export.personalisation needs validation patients"):
        parse_config({**SMALLEST, **changes, "export": {"personalisation": True}}, "tiny.yaml")


def test_copies_of_validating_beats_do_not_train() -> None:
    tree = {**SMALLEST, "data": {"train": ["random-train"], "test": ["random-test"]}}
    with pytest.raises(UserError, match=r"training.copies on the random split"):
        parse_config({**tree, "training": {"copies": [{"jitter_ms": 5}]}}, "tiny.yaml")


@pytest.mark.parametrize("key", ["name", "task", "model"])
def test_what_has_no_default_must_be_given(key: str) -> None:
    with pytest.raises(UserError, match=f"{key} is missing"):
        parse_config({name: value for name, value in SMALLEST.items() if name != key}, "tiny.yaml")


def test_unknown_architecture_or_size_names_the_nearest() -> None:
    from heartzoo import models

    with pytest.raises(UserError, match="did you mean 'resnet'"):
        models.build("resent", (1, 64, 1), 3)
    with pytest.raises(UserError, match=r"model.sizes.filter is not a size of resnet; did you mean 'filters'"):
        models.build("resnet", (1, 64, 1), 3, filter=[8])


def test_tracks() -> None:
    tracks = {
        ("ds1",): "strict",
        ("svdb-train", "ds1"): "extended",
        ("random-train",): "random",
        ("synthetic-train",): "synthetic",
    }
    for train, track in tracks.items():
        assert parse_config(put("data.train", list(train)), "test").track == track


def written(folder: Path, text: str) -> Path:
    path = folder / "tiny.yaml"
    path.write_text(text)
    return path


def test_overrides(tmp_path: Path) -> None:
    path = written(tmp_path, yaml.safe_dump(SMALLEST))
    overrides = (
        "training.epochs=3",
        "training.learning_rate=5e-4",
        "training.sampling.shares=[3, 1, 1]",
        "input.highpass_hz=0.5",
        "training.schedule={kind: constant}",
        "model.sizes.filters=[4, 8]",
        "data.leads=null",
    )
    config = load_config(path, overrides)
    assert config.training.epochs == 3
    assert config.training.learning_rate == 5e-4
    assert config.training.sampling.shares == [3, 1, 1]
    assert config.input.highpass_hz == 0.5
    assert config.training.schedule.kind == "constant"
    assert config.model.sizes == {"filters": [4, 8]}
    assert config.data.leads is None
    assert load_config(path, ["training.epochs=3", "training.epochs=4"]).training.epochs == 4
    assert load_config(path) == parse_config(SMALLEST, "test")


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ("training.epochs", "expected key=value"),
        ("=5", "expected key=value"),
        ("training.epoch=5", "did you mean 'epochs'"),
        ("training.epochs=x", "training.epochs"),
        ("training.epochs.more=1", "epochs"),
        ("name.first=1", "name is a value"),
        ("seeds=[1", "not YAML"),
        ("task=beat-33", "beat-3"),
    ],
)
def test_wrong_overrides_get_one_clear_line(tmp_path: Path, override: str, words: str) -> None:
    with pytest.raises(UserError) as raised:
        load_config(written(tmp_path, yaml.safe_dump(SMALLEST)), [override])
    assert words in str(raised.value)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("text", ["", "- a\n- b\n", "just a word", "a: [1\nb: 2", "\0", "a: b: c"])
def test_files_that_are_no_configuration_get_one_clear_line(tmp_path: Path, text: str) -> None:
    with pytest.raises(UserError, match=r"tiny\.yaml") as raised:
        load_config(written(tmp_path, text))
    assert "\n" not in str(raised.value)


def test_absent_files_and_folders_get_one_clear_line(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no configuration file"):
        load_config(tmp_path / "absent.yaml")
    with pytest.raises(UserError, match="cannot read"):
        load_config(tmp_path)
    (tmp_path / "binary.yaml").write_bytes(bytes(range(128, 256)))
    with pytest.raises(UserError, match="not YAML"):
        load_config(tmp_path / "binary.yaml")


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_the_configurations_load_under_their_own_names(path: Path) -> None:
    config = load_config(path)
    assert config.name == path.stem
    assert config.summary
    assert config.origin


def test_there_are_configurations() -> None:
    assert {path.stem for path in CONFIGS} >= {"arr-5-res-sm", "beat-2-eff-sm", "beat-3-eff-sm", "demo"}


@pytest.mark.parametrize("key", [key for key, _ in leaves(Config)])
def test_every_key_is_described_and_read(key: str, attributes: set[str]) -> None:
    assert dict(leaves(Config))[key].description
    assert key.rsplit(".", 1)[-1] in attributes


@pytest.fixture(scope="module")
def attributes() -> set[str]:
    """Names of all attributes that the package reads, the configuration's own module left out."""
    sources = [path for path in (ROOT / "heartzoo").rglob("*.py") if path.name != "config.py"]
    return {
        node.attr
        for path in sources
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Attribute)
    }


def test_a_base_is_changed_section_by_section(tmp_path):
    (tmp_path / "first.yaml").write_text(
        "name: first\ntask: beat-3\nmodel: {architecture: resnet, sizes: {kernel: 3, filters: [8, 8]}}\n"
        "training: {epochs: 3, augmentation: {amplitude: 0.1}}\nseeds: [0, 1]\n"
    )
    (tmp_path / "second.yaml").write_text(
        "base: first.yaml\nname: second\nmodel: {sizes: {filters: [4]}}\ntraining: {augmentation: {shift_s: 0.1}}\n"
    )
    config = load_config(tmp_path / "second.yaml", ["training.epochs=7"])
    assert (config.name, config.task, config.seeds, config.training.epochs) == ("second", "beat-3", [0, 1], 7)
    assert config.model.sizes == {"kernel": 3, "filters": [4]}
    assert (config.training.augmentation.amplitude, config.training.augmentation.shift_s) == (0.1, 0.1)


def test_sizes_are_not_those_of_a_base_s_other_architecture(tmp_path):
    (tmp_path / "first.yaml").write_text(
        "name: first\ntask: beat-3\nsummary: s\nmodel: {architecture: resnet, sizes: {kernel: 3}, widths: {stem: 2}}\n"
    )
    (tmp_path / "second.yaml").write_text("base: first.yaml\nname: second\nmodel: {architecture: baseline_cnn}\n")
    other = load_config(tmp_path / "second.yaml")
    model = other.model
    assert (model.architecture, model.sizes, model.widths, other.summary) == ("baseline_cnn", {}, {}, "")
    same = load_config(tmp_path / "first.yaml").model
    (tmp_path / "second.yaml").write_text("base: first.yaml\nname: second\nmodel: {architecture: resnet}\n")
    assert load_config(tmp_path / "second.yaml").model == same


@pytest.mark.parametrize(
    ("base", "told"), [("none.yaml", r"no configuration file .*none.yaml"), ("it.yaml", "base = it.yaml leads back")]
)
def test_a_base_that_cannot_be_is_told(base, told, tmp_path):
    (tmp_path / "it.yaml").write_text(f"base: {base}\nname: it\n")
    with pytest.raises(UserError, match=told):
        load_config(tmp_path / "it.yaml")


@pytest.mark.parametrize(("there", "back"), [("two.yaml", "one.yaml"), ("../{}/two.yaml", "../{}/one.yaml")])
def test_bases_in_a_ring_are_told(tmp_path, there, back):
    (tmp_path / "one.yaml").write_text(f"base: {there.format(tmp_path.name)}\n")
    (tmp_path / "two.yaml").write_text(f"base: {back.format(tmp_path.name)}\n")
    with pytest.raises(UserError, match="leads back to itself"):
        load_config(tmp_path / "one.yaml")
