"""A user's own data: mistakes in their description are told, and a model carries what others must know of them."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from heartzoo import configuration_file
from heartzoo.data import databases, splits
from heartzoo.data.databases import Database, get_database
from heartzoo.data.own import own_data
from heartzoo.data.splits import Split, get_split, track
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
    for table, keys in (
        (databases.DATABASES, ["mine"]),
        (splits.SPLITS, ["mine-train", "mine-test"]),
        (splits.TRACKS, ["mine"]),
        (splits.TRAINED_ON, [frozenset({"mine-train"})]),
    ):
        for key in keys:
            del table[key]  # type: ignore[attr-defined]


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


def test_what_is_known_already_stays(tables: None, tmp_path: Path) -> None:
    enter()
    path = written(tmp_path, own_data(["mine-train"], ["mine-test"]))
    databases.DATABASES["mine"] = replace(MINE, version="2")
    configuration_file.read(path)
    assert get_database("mine").version == "2"
    assert own_data(["ds1", "svdb-train"], ["ds2"]) is None


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
    with pytest.raises(UserError, match="own_data is not as heartzoo writes it"):
        configuration_file.read(written(tmp_path, {"databases": 3}))
    assert "mine" not in databases.DATABASES and name not in databases.DATABASES


@pytest.mark.parametrize(
    ("split", "told"),
    [
        (Split("mine-train", "mime", ("a1",)), "unknown database 'mime'; did you mean 'mine'"),
        (Split("mine-train", "mine", ("a1", "h1")), "split mine-train names record 'h1', which mine does not have; "),
        (Split("mine-train", "mine", "a1"), "expected a tuple of records, found the text 'a1'; write"),  # type: ignore[arg-type]
    ],
)
def test_a_mistake_in_a_split_is_told(split: Split, told: str, tables: None) -> None:
    enter()
    splits.SPLITS["mine-train"] = split
    with pytest.raises(UserError, match=told):
        get_split("mine-train")


def test_a_track_that_nobody_describes_is_told(tables: None) -> None:
    enter()
    splits.TRAINED_ON[frozenset({"mine-train"})] = "mime"
    with pytest.raises(UserError, match="track 'mime' is not in TRACKS; enter there what a result on it is worth"):
        track(["mine-train"])
