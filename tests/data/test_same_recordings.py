"""Copies of recordings that trained, and recordings whose files have changed."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from heartzoo.data import databases
from heartzoo.data.databases import Database, get_database
from heartzoo.data.download import folder
from heartzoo.data.same_recordings import changed, file_hashes, files_that_trained, refuse_copies
from heartzoo.data.splits import Split
from heartzoo.errors import UserError

TEST = Split("mine-test", "mine", ("f1", "g1"), test=True)


@pytest.fixture
def mine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Database:
    """A database of a user's own, whose files are of one line each."""
    entry = replace(get_database("synthetic"), name="mine", source="user", records=("a1", "f1", "g1"))
    monkeypatch.setitem(databases.DATABASES, "mine", entry)
    monkeypatch.setenv("HEARTZOO_CACHE", str(tmp_path))
    folder(entry).mkdir(parents=True)
    for record in entry.records:
        (folder(entry) / f"{record}.hea").write_text(f"{record} 1 250 9\n{record}.dat 16\n")
        (folder(entry) / f"{record}.dat").write_text(f"the signal of {record}")
        (folder(entry) / f"{record}.atr").write_text("the same beats")
    return entry


def test_a_copy_of_a_recording_that_trained_tests_nothing(mine: Database) -> None:
    trained = {"mine": file_hashes(mine, ["a1"])}
    refuse_copies(trained, TEST, TEST.records)  # the same annotations are no copy
    (folder(mine) / "g1.dat").write_text("the signal of a1")
    with pytest.raises(
        UserError, match="record g1 of mine-test has the very signals of mine/a1, which trained; leave one"
    ):
        refuse_copies(trained, TEST, TEST.records)
    refuse_copies(trained, replace(TEST, part="test"), TEST.records)
    refuse_copies({}, TEST, TEST.records)
    several = {"mine": {"a1": trained["mine"]["a1"] | {"side.dat": "0" * 64}}}
    refuse_copies(several, TEST, TEST.records)  # one channel alike among several is no copy


def test_a_copy_of_a_public_recording_is_known_without_that(mine: Database) -> None:
    hashes = file_hashes(get_database("mitdb"), ["100"])
    assert hashes["100"].keys() == {"hea", "dat", "atr"}  # pinned: nothing of mitdb is in this cache
    with pytest.raises(UserError, match="which trained"):
        refuse_copies({"mine": {"a1": {"dat": hashes["100"]["dat"]}}}, Split("ds2", "mitdb", ("100",)), ["100"])


def test_only_what_trained_counts_of_a_model_s_files() -> None:
    files = {"a1": {"dat": "1"}, "f1": {"dat": "2"}}
    configuration = {"splits": {"train": {"ds1": ["a1"]}, "test": {"ds2": ["f1"]}}, "data_sha256": {"mitdb": files}}
    assert files_that_trained(configuration) == {"mitdb": {"a1": {"dat": "1"}}}
    del configuration["data_sha256"]
    assert files_that_trained(configuration) == {}


def test_changed_files_are_found(mine: Database) -> None:
    stated = {"mine": file_hashes(mine, ["f1"])}
    assert changed(stated, mine, mine.records) == [] == changed({}, mine, mine.records)
    (folder(mine) / "f1.atr").write_text("other beats")
    assert changed(stated, mine, mine.records) == ["f1"]
    (folder(mine) / "f1.dat").unlink()
    assert changed(stated, mine, mine.records) == ["f1"]
