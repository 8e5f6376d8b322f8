"""A user's own data: mistakes in their description are told, and a model carries what others must know of them."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from heartzoo import configuration_file
from heartzoo.config.file import parse_config
from heartzoo.data import databases, splits
from heartzoo.data.databases import Database, get_database
from heartzoo.data.own import own_data
from heartzoo.data.splits import Split, get_split, track
from heartzoo.data.training_set import load_training_set
from heartzoo.errors import UserError

MINE = Database(
    name="mine",
    version="1",
    title="Our Recordings",
    license="ours",
    citation="none",
    fs=250,
    leads=("ECG",),
    records=("a1", "a2", "b1"),
    same_person={"a2": "a1"},
    source="user",
)


@pytest.fixture
def tables(monkeypatch: pytest.MonkeyPatch) -> None:
    """The tables as a test may change them."""
    for module, name in (
        (databases, "DATABASES"),
        (splits, "SPLITS"),
        (splits, "TRACKS"),
        (splits, "TRAINED_ON"),
    ):
        table: dict[Any, Any] = getattr(module, name)
        for key in ("mine", "mine-train", "mine-test", frozenset({"mine-train"})):
            monkeypatch.delitem(table, key, raising=False)
            monkeypatch.setitem(table, key, None)  # undone to what it was before, whatever a test puts there
            del table[key]


def enter() -> None:
    databases.DATABASES["mine"] = MINE
    splits.SPLITS["mine-train"] = Split("mine-train", "mine", ("a1", "a2"))
    splits.SPLITS["mine-test"] = Split("mine-test", "mine", ("b1",), test=True)
    splits.TRACKS["mine"] = "ours on ours"
    splits.TRAINED_ON[frozenset({"mine-train"})] = "mine"


def forget() -> None:
    databases.DATABASES.pop("mine")
    for name in ("mine-train", "mine-test"):
        splits.SPLITS.pop(name)
    splits.TRACKS.pop("mine")
    splits.TRAINED_ON.pop(frozenset({"mine-train"}))


def written(folder: Path, own: Any) -> Path:
    path = folder / "configuration.json"
    path.write_text(json.dumps({"own_data": own}))
    return path


def test_whoever_reads_a_configuration_knows_its_data(tables: None, tmp_path: Path) -> None:
    enter()
    path = written(tmp_path, own_data(["mine-train"], ["mine-test", "ds2"]))
    forget()
    with pytest.raises(UserError, match=r"unknown split 'mine-train'; .*one of your own is known to the file"):
        get_split("mine-train")
    configuration_file.read(path)
    assert get_database("mine") == MINE
    assert get_split("mine-train").people == {"mine/a1"} and get_split("mine-test").test
    assert track(["mine-train"]) == "mine" and splits.TRACKS["mine"] == "ours on ours"


def test_what_has_grown_since_stays(tables: None, tmp_path: Path) -> None:
    enter()
    path = written(tmp_path, own_data(["mine-train"], ["mine-test"]))
    databases.DATABASES["mine"] = replace(MINE, version="2", records=(*MINE.records, "c1"))
    splits.SPLITS["mine-train"] = Split("mine-train", "mine", ("a1", "a2", "c1"))
    configuration_file.read(path)
    assert get_database("mine").version == "2" and get_split("mine-train").people == {"mine/a1", "mine/c1"}
    assert own_data(["ds1", "svdb-train"], ["ds2"]) is None


@pytest.mark.parametrize("newest_first", [False, True])
def test_versions_of_a_model_whose_data_have_grown_are_read_in_any_order(
    newest_first: bool, tables: None, tmp_path: Path
) -> None:
    enter()
    told = [own_data(["mine-train"], ["mine-test"])]
    databases.DATABASES["mine"] = replace(MINE, version="2", records=(*MINE.records, "c1"))
    splits.SPLITS["mine-train"] = Split("mine-train", "mine", ("a1", "a2", "c1"))
    told.append(own_data(["mine-train"], ["mine-test"]))
    forget()
    for own in reversed(told) if newest_first else told:
        configuration_file.read(written(tmp_path, own))
    assert get_split("mine-train").people == {"mine/a1", "mine/c1"} and "c1" in get_database("mine").records


def test_what_a_user_entered_does_not_grow_by_a_model(tables: None, tmp_path: Path) -> None:
    enter()
    splits.SPLITS["mine-train"] = Split("mine-train", "mine", ("a1", "a2", "b1"))
    path = written(tmp_path, own_data(["mine-train"], ["mine-test"]))
    enter()
    with pytest.raises(UserError, match="its split 'mine-train' differs"):
        configuration_file.read(path)


@pytest.mark.parametrize(
    ("table", "name", "other"),
    [
        ("SPLITS", "mine-train", Split("mine-train", "mine", ("b1",))),
        ("SPLITS", "mine-train", Split("mine-train", "mitdb", ("101",))),
        ("SPLITS", "mine-test", Split("mine-test", "mine", ("b1",))),
        ("SPLITS", "mine-train", Split("mine-train", "mine", (), patients=("a1", "a2"))),
        ("SPLITS", "mine-train", Split("mine-train", "mine", ("a1", "a2"), part="train")),
        ("SPLITS", "mine-test", Split("mine-test", "mine", ("b1",), test=True, skip_s=300.0)),
        ("DATABASES", "mine", replace(MINE, license="theirs")),
        ("DATABASES", "mine", replace(MINE, title="Recordings of another hospital")),
        ("DATABASES", "mine", replace(MINE, fs=500)),
    ],
)
def test_somebody_else_s_data_of_the_same_name_are_refused(
    table: str, name: str, other: Any, tables: None, tmp_path: Path
) -> None:
    enter()
    path = written(tmp_path, own_data(["mine-train"], ["mine-test"]))
    {"SPLITS": splits.SPLITS, "DATABASES": databases.DATABASES}[table][name] = other
    with pytest.raises(UserError, match=f"its (split|database) '{name}' differs from the one of that name here"):
        configuration_file.read(path)
    assert {"SPLITS": splits.SPLITS, "DATABASES": databases.DATABASES}[table][name] == other


def test_a_split_of_other_patients_is_another_one(tables: None, tmp_path: Path) -> None:
    enter()
    splits.SPLITS["mine-train"] = Split("mine-train", "mine", (), patients=("a1", "a2"))
    path = written(tmp_path, own_data(["mine-train"], ["mine-test"]))
    for patients, refused in ((("a1", "a2", "a3"), False), (("a1", "b1"), True)):
        splits.SPLITS["mine-train"] = Split("mine-train", "mine", (), patients=patients)
        if refused:
            with pytest.raises(UserError, match="its split 'mine-train' differs"):
                configuration_file.read(path)
        else:
            configuration_file.read(path)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"name": "our data"}, "name 'our data'"),
        ({"records": ("a1", "a2", "b 1")}, "record 'b 1'"),
        ({"records": ("a1", "märz")}, "record 'märz'"),
    ],
)
def test_what_could_not_be_published_is_told_before_it_is_trained(
    change: dict[str, Any], told: str, tables: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    mine = replace(MINE, **change, same_person={})
    monkeypatch.setitem(databases.DATABASES, mine.name, mine)
    monkeypatch.setitem(splits.SPLITS, "mine-train", Split("mine-train", mine.name, ("a1",)))
    with pytest.raises(UserError, match=f"{told} is no part of a path"):
        splits.get_split("mine-train")


def test_a_sampling_rate_that_is_not_whole_is_carried_too(tables: None, tmp_path: Path) -> None:
    enter()
    databases.DATABASES["mine"] = replace(MINE, fs=204.8)
    path = written(tmp_path, own_data(["mine-train"], ["mine-test"]))
    forget()
    configuration_file.read(path)
    assert databases.DATABASES["mine"].fs == 204.8


def test_versions_of_one_model_may_call_its_track_by_two_names(tables: None, tmp_path: Path) -> None:
    enter()
    before = own_data(["mine-train"], ["mine-test"])
    forget()
    for name in ("mine", "ours"):
        configuration_file.read(written(tmp_path, before | {"track": name}))
    assert {"mine", "ours"} <= {*splits.TRACKS}


def test_nothing_of_a_refused_description_is_entered(tables: None, tmp_path: Path) -> None:
    enter()
    path = written(tmp_path, own_data(["mine-train"], ["mine-test"]))
    forget()
    splits.SPLITS["mine-test"] = Split("mine-test", "mitdb", ("101",))
    with pytest.raises(UserError, match="its split 'mine-test' differs"):
        configuration_file.read(path)
    assert "mine" not in databases.DATABASES and "mine-train" not in splits.SPLITS and "mine" not in splits.TRACKS


def test_a_track_of_known_splits_is_carried_too(tables: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    enter()
    key = frozenset({"ds1", "icentia-train"})
    with monkeypatch.context() as patched:
        patched.setitem(splits.TRAINED_ON, key, "mine")
        path = written(tmp_path, own_data(["ds1", "icentia-train"], ["ds2"]))
    with pytest.raises(UserError, match="no track is trained on ds1"):
        track(["ds1", "icentia-train"])
    configuration_file.read(path)
    assert track(["ds1", "icentia-train"]) == "mine"
    monkeypatch.setitem(splits.TRAINED_ON, key, "strict")
    with pytest.raises(UserError, match=r"track 'strict' is not of ds1 \+ icentia-train"):
        track(["ds1", "icentia-train"])
    monkeypatch.undo()
    splits.TRAINED_ON.pop(key, None)


@pytest.mark.parametrize("name", ["../../home", "/etc", "", ".."])
def test_no_database_leaves_the_cache(name: str, tables: None, tmp_path: Path) -> None:
    enter()
    own = own_data(["mine-train"], ["mine-test"])
    assert own is not None
    forget()
    for key in ("name", "version"):
        spoilt = own | {"databases": [own["databases"][0] | {key: name}]}
        with pytest.raises(UserError, match="own_data is not as heartzoo writes it"):
            configuration_file.read(written(tmp_path, spoilt))
    for spoilt in ({"extensions": ["hea", "/../../x"]}, {"records": ["../a"]}):
        with pytest.raises(UserError, match="own_data is not as heartzoo writes it"):
            configuration_file.read(written(tmp_path, own | {"databases": [own["databases"][0] | spoilt]}))
    with pytest.raises(UserError, match="own_data is not as heartzoo writes it"):
        configuration_file.read(written(tmp_path, {"databases": 3}))
    configuration_file.read(written(tmp_path, own | {"databases": [own["databases"][0] | {"source": "physionet"}]}))
    assert databases.DATABASES.pop("mine").source == "user"
    assert name not in databases.DATABASES


@pytest.mark.parametrize(
    ("split", "told"),
    [
        (Split("mine-train", "mime", ("a1",)), "unknown database 'mime'; did you mean 'mine'"),
        (Split("mine-train", "mine", ()), "split mine-train names no records"),
        (Split("mine-train", "mine", ("a1", "h1")), "split mine-train names record 'h1', which mine does not have; "),
        (Split("mine-train", "mine", ("a1", "b1", "a1")), "split mine-train names record 'a1' twice; name each once"),
        (Split("mine-train", "mine", "a1"), "expected a tuple of records, found the text 'a1'; write"),  # type: ignore[arg-type]
    ],
)
def test_a_mistake_in_a_split_is_told(split: Split, told: str, tables: None) -> None:
    enter()
    splits.SPLITS["mine-train"] = split
    with pytest.raises(UserError, match=told):
        get_split("mine-train")


def test_splits_that_share_a_record_are_not_trained_on_together(tables: None, monkeypatch: pytest.MonkeyPatch) -> None:
    enter()
    monkeypatch.setitem(splits.SPLITS, "mine-more", Split("mine-more", "mine", ("a1",)))
    monkeypatch.setitem(splits.TRAINED_ON, frozenset({"mine-train", "mine-more"}), "mine")
    data = {"train": ["mine-train", "mine-more"], "test": ["mine-test"]}
    tree = {"name": "x", "task": "beat-3", "data": data, "model": {"architecture": "resnet"}}
    with pytest.raises(UserError, match="would read record a1 twice; take splits that share none"):
        load_training_set(parse_config(tree, "x.yaml"))


def test_a_model_whose_split_named_a_record_twice_is_read_all_the_same(tables: None, tmp_path: Path) -> None:
    enter()
    own = own_data(["mine-train"], ["mine-test"])
    assert own is not None
    own["splits"][0]["records"] *= 2
    for table, name in ((databases.DATABASES, "mine"), (splits.SPLITS, "mine-train"), (splits.SPLITS, "mine-test")):
        table.pop(name)  # type: ignore[attr-defined]
    configuration_file.read(written(tmp_path, own))
    assert len({*get_split("mine-train").records}) == len(get_split("mine-train").records)


def test_a_track_that_nobody_describes_is_told(tables: None) -> None:
    enter()
    splits.TRAINED_ON[frozenset({"mine-train"})] = "mime"
    with pytest.raises(UserError, match="track 'mime' is not in TRACKS; enter there what a result on it is worth"):
        track(["mine-train"])


def test_records_of_one_person_are_followed_to_the_end() -> None:
    mine = replace(MINE, same_person={"b1": "a2", "a2": "a1"})
    assert {mine.patient(record) for record in mine.records} == {"a1"}
    assert replace(MINE, same_person={"a1": "anna", "a2": "anna"}).patient("a2") == "anna"
    assert replace(MINE, same_person={"a1": "a1", "a2": "a1"}).patient("a2") == "a1"


@pytest.mark.parametrize(
    ("same_person", "told"),
    [
        ({"a3": "a1"}, "mine: same_person names 'a3'; did you mean"),
        ({"b1": "a1", "a1": "a2", "a2": "a1"}, "a1 -> a2 -> a1"),
    ],
)
def test_a_person_that_cannot_be_told_is_refused(same_person: dict[str, str], told: str) -> None:
    with pytest.raises(UserError, match=told):
        replace(MINE, same_person=same_person)
