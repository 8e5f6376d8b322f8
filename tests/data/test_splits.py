"""The splits: who is in them, that nobody is on two sides, and every count of protocol.md that the files can show."""

from __future__ import annotations

import hashlib
from collections import Counter
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
import wfdb
from hypothesis import given, settings
from hypothesis import strategies as st

from heartzoo.data.databases import DATABASES, get_database
from heartzoo.data.records import Record, read_record
from heartzoo.data.splits import (
    PARTS,
    RANDOM_TESTS,
    SPLITS,
    TRACKS,
    Split,
    caveat,
    folds,
    get_split,
    random_folds,
    track,
)
from heartzoo.data.wfdb_files import MissingLead
from heartzoo.errors import UserError
from heartzoo.tasks import AAMI, get_task

MITDB, SVDB = get_database("mitdb"), get_database("svdb")
PACED = {"102", "104", "107", "217"}


def patients(split: str) -> set[str]:
    found = get_split(split)
    database = get_database(found.database)
    ids = found.patients or [database.patient(record) for record in found.records]
    return {f"{database.name}/{patient}" for patient in ids}


# Who is where


def test_ds1_and_ds2_hold_every_unpaced_record_once() -> None:
    ds1, ds2 = get_split("ds1").records, get_split("ds2").records
    assert len(ds1) == len(ds2) == 22
    assert not set(ds1) & set(ds2)
    assert set(ds1) | set(ds2) == set(MITDB.records) - PACED
    assert get_split("ds2-skip5").records == ds2
    assert set(ds2) - set(get_split("ds2-no202").records) == {"202"}
    assert len(MITDB.records) == 48


def test_ds1_and_ds2_are_those_of_de_chazal() -> None:
    assert " ".join(get_split("ds1").records) == (
        "101 106 108 109 112 114 115 116 118 119 122 124 201 203 205 207 208 209 215 220 223 230"
    )
    assert " ".join(get_split("ds2").records) == (
        "100 103 105 111 113 117 121 123 200 202 210 212 213 214 219 221 222 228 231 232 233 234"
    )


def test_only_one_person_is_on_both_sides_and_is_left_out_without_202() -> None:
    assert patients("ds1") & patients("ds2") == {"mitdb/201"}
    assert not patients("ds1") & patients("ds2-no202")


def test_svdb_is_divided_into_40_and_38() -> None:
    train, test = get_split("svdb-train").records, get_split("svdb-test").records
    assert (len(set(train)), len(set(test)), len(SVDB.records)) == (40, 38, 78)
    assert set(train) | set(test) == set(SVDB.records)
    assert not set(train) & set(test)


def test_the_rhythm_split_trains_on_ds1_and_202() -> None:
    assert get_split("rhythm-train").records == (*get_split("ds1").records, "202")


def test_published_draws_stay_what_they_were() -> None:
    symbols = np.frombuffer(b"NNNNNNNNVS" * 20, np.uint8)
    drawn = get_split("random-test").select(np.arange(200), 360.0, symbols)
    patients = " ".join(get_split("icentia-test").patients).encode()
    assert hashlib.sha256(drawn.tobytes()).hexdigest()[:16] == "d7c6c008f79a0610"
    assert hashlib.sha256(patients).hexdigest()[:16] == "a316c70f86bd9141"


def test_nobody_trains_and_tests_across_the_tracks() -> None:
    alike = {*RANDOM_TESTS, *RANDOM_TESTS.values()}  # the same people on both sides, and said so
    train = [name for name, split in SPLITS.items() if not split.test and name not in alike]
    test = [name for name, split in SPLITS.items() if split.test and name not in alike]
    assert set(train) == {"ds1", "svdb-train", "rhythm-train", "icentia-train", "synthetic-train"}
    for one in train:
        for other in test:
            assert patients(one) & patients(other) <= {"mitdb/201"}


def test_splits_name_themselves_and_records_of_their_database() -> None:
    for name, split in SPLITS.items():
        assert split.name == name
        assert set(split.records) <= set(DATABASES[split.database].records)
        assert len(set(split.records)) == len(split.records)
    assert {part for parts in PARTS.values() for part in parts} <= set(SPLITS)


def test_names_of_the_tracks() -> None:
    assert track(["ds1"]) == "strict"
    assert track(["svdb-train", "ds1"]) == "extended"
    assert track(["svdb-train"]) == "svdb"
    assert track(["random-train"]) == "random"
    assert track(["icentia-train"]) == "icentia"
    assert track(["synthetic-train"]) == "synthetic"
    for wrong in ([], ["ds1", "icentia-train"], ["ds1", "random-train"], ["ds1", "synthetic-train"]):
        with pytest.raises(UserError, match="ds1 \\+ svdb-train"):
            track(wrong)


def test_unknown_split_names_the_nearest() -> None:
    with pytest.raises(UserError, match="did you mean 'svdb-train'"):
        get_split("svdb_train")


# Beats of a split


def test_the_learning_period_is_five_minutes_at_each_recording_s_own_rate() -> None:
    samples = np.array([0, 299 * 360, 300 * 360 - 1, 300 * 360, 300 * 128 - 1, 300 * 128])
    rates = np.array([360.0, 360.0, 360.0, 360.0, 128.0, 128.0])
    keep = get_split("ds2-skip5").select(samples, rates, np.full(6, ord("N")))
    assert keep.tolist() == [False, False, False, True, False, True]
    assert get_split("ds2").select(samples, rates, np.full(6, ord("N"))).all()


def test_the_random_split_is_stratified_and_disjoint() -> None:
    symbols = np.random.default_rng(3).choice(list(b"NAVF/"), 10_000, p=[0.8, 0.1, 0.06, 0.03, 0.01]).astype(np.uint8)
    samples = np.tile(np.arange(2_500), 4)  # four records
    last = samples == 2_499
    train, test = (get_split(f"random-{part}").select(samples, 360.0, symbols) for part in ("train", "test"))
    np.testing.assert_array_equal(train ^ test, ~last)
    for symbol in np.unique(symbols):
        assert test[symbols == symbol].sum() == round(0.2 * ((symbols == symbol) & ~last).sum())
    again = get_split("random-test").select(samples, 360.0, symbols)
    np.testing.assert_array_equal(test, again)


@settings(max_examples=25)
@given(labels=st.lists(st.integers(0, 3), min_size=10, max_size=200), count=st.integers(2, 6))
def test_random_folds_share_every_class_out_and_cover_everything_once(labels: list[int], count: int) -> None:
    masks = random_folds(np.array(labels), count)
    np.testing.assert_array_equal(np.sum(masks, axis=0), 1)
    for label in set(labels):
        counts = [int(mask[np.array(labels) == label].sum()) for mask in masks]
        assert max(counts) - min(counts) <= 1


@settings(max_examples=25)
@given(data=st.data())
def test_folds_keep_a_person_on_one_side_and_cover_everybody_once(data: st.DataObject) -> None:
    count = data.draw(st.integers(2, 5))
    people = data.draw(st.integers(count, 12))
    n = data.draw(st.integers(people * 3, 200))
    rng = np.random.default_rng(data.draw(st.integers(0, 1000)))
    who = np.concatenate([np.arange(people), rng.integers(0, people, n - people)])
    # every class at least as often as there are folds, or scikit-learn warns
    labels = np.concatenate([np.repeat([0, 1], 5), rng.integers(0, 2, n)])[:n] if n >= 10 else np.zeros(n, int)
    masks = folds(who.astype(str), labels, count)
    assert len(masks) == count
    np.testing.assert_array_equal(np.sum(masks, axis=0), 1)
    for one, other in combinations(masks, 2):
        assert not set(who[one]) & set(who[other])


def test_folds_share_the_classes() -> None:
    who = np.repeat(np.arange(20), 50).astype(str)
    labels = np.tile(np.repeat([0, 1], [40, 10]), 20)
    shares = [labels[mask].mean() for mask in folds(who, labels, 5)]
    np.testing.assert_allclose(shares, 0.2, atol=0.02)


def test_too_few_patients_for_the_folds() -> None:
    with pytest.raises(UserError, match=r"training.folds = 3, .* 2 patients"):
        folds(np.array(["a", "b"]), np.array([0, 1]), 3)


# The counts of protocol.md


@pytest.fixture(scope="module")
def mitdb(physionet: Path) -> dict[str, Record]:
    return {name: read_annotated(physionet, "mitdb", name) for name in MITDB.records}


def read_annotated(physionet: Path, database: str, name: str) -> Record:
    entry = get_database(database)
    return read_record(physionet / database / entry.version, entry, name)


def counts(records: dict[str, Record], split: Split, mapping: str, task: str = "arrhythmia-5") -> dict[str, int]:
    chosen = [records[name] for name in split.records]
    samples, symbols = (np.concatenate([getattr(r, key) for r in chosen]) for key in ("samples", "symbols"))
    fs = np.concatenate([np.full(len(r.samples), r.fs) for r in chosen])
    labels = get_task(task).labels(symbols, mapping)[split.select(samples, fs, symbols)]
    return {name: int((labels == index).sum()) for index, name in enumerate(get_task(task).classes)}


def table(*numbers: int) -> dict[str, int]:
    return dict(zip(AAMI, numbers, strict=True))


def share(records: dict[str, Record], split: str, aami: str, names: set[str]) -> int:
    """Per cent of a split's beats of a class that some records hold."""
    of_record = {
        name: int((get_task("arrhythmia-5").labels(records[name].symbols) == AAMI.index(aami)).sum())
        for name in get_split(split).records
    }
    return round(100 * sum(of_record[name] for name in names) / sum(of_record.values()))


@pytest.mark.data
def test_mitdb_counts(mitdb: dict[str, Record]) -> None:
    everything = Split("all", "mitdb", MITDB.records)
    assert sum(len(record.samples) for record in mitdb.values()) == 109_494
    assert counts(mitdb, everything, "A") == table(90_631, 2_781, 7_236, 803, 8_043)
    assert {(record.fs, len(record.signal)) for record in mitdb.values()} == {(360.0, 650_000)}
    assert all(record.calibrated for record in mitdb.values())


@pytest.mark.data
@pytest.mark.parametrize(
    ("split", "mapping", "expected"),
    [
        ("ds1", "A", table(45_866, 944, 3_788, 415, 8)),
        ("ds2", "A", table(44_259, 1_837, 3_221, 388, 7)),
        ("ds1", "B", table(45_834, 976, 3_788, 415, 8)),
        ("ds2", "B", table(44_046, 2_050, 3_221, 388, 7)),
        ("ds2-skip5", "A", table(36_926, 1_608, 2_686, 288, 7)),
    ],
)
def test_split_counts(mitdb: dict[str, Record], split: str, mapping: str, expected: dict[str, int]) -> None:
    assert counts(mitdb, get_split(split), mapping) == expected


@pytest.mark.data
def test_every_beat_of_the_splits_is_listed_and_every_one_is_scored(mitdb: dict[str, Record]) -> None:
    for split, total in (("ds1", 51_021), ("ds2", 49_712)):
        for mapping in "AB":
            assert sum(counts(mitdb, get_split(split), mapping).values()) == total
    for task in ("beat-2", "beat-3"):
        assert sum(counts(mitdb, get_split("ds2"), "A", task).values()) == 49_317


@pytest.mark.data
def test_mapping_b_moves_213_beats_of_ds2_of_which_212_are_in_222(mitdb: dict[str, Record]) -> None:
    task = get_task("arrhythmia-5")
    moved = {
        name: int((task.labels(mitdb[name].symbols, "A") != task.labels(mitdb[name].symbols, "B")).sum())
        for name in get_split("ds2").records
    }
    assert sum(moved.values()) == 213
    assert moved["222"] == 212


@pytest.mark.data
def test_where_the_beats_sit(mitdb: dict[str, Record]) -> None:
    assert share(mitdb, "ds2", "S", {"232"}) == 75
    assert share(mitdb, "ds2", "V", {"200", "233"}) == 51
    assert share(mitdb, "ds2", "F", {"213"}) == 93
    assert share(mitdb, "ds1", "F", {"208"}) == 90


@pytest.mark.data
def test_leads_are_found_by_name(mitdb: dict[str, Record], physionet: Path) -> None:
    assert {name for name, record in mitdb.items() if record.lead != "MLII"} == {"102", "104"}
    assert {mitdb[name].lead for name in ("102", "104")} == {"V5"}
    header = wfdb.rdheader(str(physionet / "mitdb" / MITDB.version / "114"))
    assert header.sig_name == ["V5", "MLII"]
    assert mitdb["114"].lead == "MLII"
    with pytest.raises(MissingLead):
        read_record(physionet / "mitdb" / MITDB.version, MITDB, "102", ("MLII",))


@pytest.mark.data
def test_random_split_counts_of_the_literature(mitdb: dict[str, Record]) -> None:
    """The published data set has one row for each beat but the last of a record, 80 % of each class for training."""
    select = {part: random_part(mitdb, part) for part in ("train", "test")}
    labels = np.concatenate([get_task("arrhythmia-5").labels(record.symbols) for record in mitdb.values()])
    found = {part: np.bincount(labels[keep], minlength=5) for part, keep in select.items()}
    assert (found["train"] + found["test"]).tolist() == [90_589, 2_779, 7_236, 803, 8_039]
    # the published data set: 72,471 / 2,223 / 5,788 / 641 / 6,431 and 18,118 / 556 / 1,448 / 162 / 1,608; ours is drawn
    # by symbol, not by class
    assert found["train"].tolist() == [72_472, 2_223, 5_789, 642, 6_431]
    assert found["test"].tolist() == [18_117, 556, 1_447, 161, 1_608]
    assert not (select["train"] & select["test"]).any()


def random_part(records: dict[str, Record], part: str) -> np.ndarray:
    samples = np.concatenate([record.samples for record in records.values()])
    symbols = np.concatenate([record.symbols for record in records.values()])
    return get_split(f"random-{part}").select(samples, 360.0, symbols)


@pytest.fixture(scope="module")
def svdb(physionet: Path) -> dict[str, Record]:
    here = [name for name in SVDB.records if (physionet / "svdb" / SVDB.version / f"{name}.hea").is_file()]
    return {name: read_annotated(physionet, "svdb", name) for name in here}


@pytest.mark.data
def test_svdb_facts(svdb: dict[str, Record]) -> None:
    assert len(svdb) == 58
    assert sum(not record.calibrated for record in svdb.values()) == 27
    assert {(record.fs, len(record.signal), record.lead) for record in svdb.values()} == {(128.0, 230_400, "ECG1")}
    assert set(get_split("svdb-train").records) <= set(svdb)
    assert len(set(get_split("svdb-test").records) & set(svdb)) == 18


@pytest.mark.data
def test_svdb_holds_one_symbol_that_mapping_a_does_not_list(svdb: dict[str, Record]) -> None:
    task = get_task("arrhythmia-5")
    unlisted = Counter(
        chr(symbol) for record in svdb.values() for symbol in record.symbols[task.labels(record.symbols, "A") < 0]
    )
    assert unlisted == {"B": 1}


@pytest.mark.data
def test_svdb_is_stratified_by_its_supraventricular_beats(svdb: dict[str, Record]) -> None:
    def median_s(split: str) -> float:
        names = [name for name in get_split(split).records if name in svdb]
        return float(np.median([np.isin(svdb[name].symbols, list(b"AaJS")).sum() for name in names]))

    assert 0.4 < median_s("svdb-train") / median_s("svdb-test") < 2.5


@pytest.mark.data
def test_noise_recordings(physionet: Path) -> None:
    entry = get_database("nstdb")
    for name in ("bw", "ma"):
        header = wfdb.rdheader(str(physionet / "nstdb" / entry.version / name))
        assert (header.fs, header.sig_len, header.sig_name[0]) == (360, 650_000, "noise1")


def test_a_random_split_s_model_is_told_apart_from_its_score_on_people_that_it_has_not_seen():
    assert caveat("random", "random-test") == caveat("random", "csv-test") == TRACKS["random"]
    assert caveat("random", "svdb-test") is None and caveat("extended", "ds2") is None
    assert caveat("synthetic", "synthetic-test") == TRACKS["synthetic"]
