"""The synthetic database: deterministic, readable, physiological, whole or absent on disk."""

from __future__ import annotations

from collections import Counter
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
import wfdb

from heartzoo.data import synthetic
from heartzoo.data.databases import get_database
from heartzoo.data.records import Record, read_record
from heartzoo.data.splits import get_split
from heartzoo.errors import UserError
from heartzoo.tasks import AAMI, get_task

DATABASE = get_database("synthetic")


@pytest.fixture(scope="module")
def records() -> dict[str, Record]:
    return {name: synthetic.generate(name) for name in DATABASE.records}


def aami(record: Record) -> np.ndarray:
    return np.array(AAMI)[get_task("arrhythmia-5").labels(record.symbols)]


def fibrillating(record: Record) -> np.ndarray:
    starts, labels = zip(*record.rhythms, strict=True)
    return np.array(labels)[np.searchsorted(starts, record.samples, side="right") - 1] == "(AFIB"


def around(record: Record, symbol: str) -> tuple[np.ndarray, np.ndarray]:
    """Intervals before and after the isolated beats of a symbol in sinus rhythm, over the record's usual interval."""
    interval = np.diff(record.samples) / record.fs
    beat = np.flatnonzero(record.symbols == ord(symbol))
    beat = beat[(beat > 2) & (beat < len(interval) - 2)]
    ectopic = np.isin(record.symbols, np.frombuffer(b"AVF", np.uint8)) | fibrillating(record)
    beat = beat[~(ectopic[beat - 2] | ectopic[beat - 1] | ectopic[beat + 1])]
    usual = interval[beat - 2]
    return interval[beat - 1] / usual, interval[beat] / usual


def test_same_name_same_record() -> None:
    first, again = synthetic.generate("syn05", 30.0), synthetic.generate("syn05", 30.0)
    np.testing.assert_array_equal(first.signal, again.signal)
    np.testing.assert_array_equal(first.samples, again.samples)
    assert (first.rhythms, first.comments) == (again.rhythms, again.comments)


def test_sampling_rate_changes_only_the_sampling() -> None:
    at_250, at_360 = synthetic.generate("syn02", 30.0, 250.0), synthetic.generate("syn02", 30.0, 360.0)
    np.testing.assert_array_equal(at_250.symbols, at_360.symbols)
    np.testing.assert_allclose(at_250.samples / 250, at_360.samples / 360, atol=0.005)


def test_patients_differ(records: dict[str, Record]) -> None:
    def mean_beat(record: Record) -> np.ndarray:
        positions = record.samples[5:50, None] + np.arange(-60, 90)
        beats = record.signal[positions]
        return np.median(beats - beats.mean(axis=1, keepdims=True), axis=0)

    shapes = {name: mean_beat(record) for name, record in records.items()}
    assert all(np.abs(shapes[a] - shapes[b]).max() > 0.05 for a, b in combinations(shapes, 2))
    rates = {round(60 * len(record.samples) / 300) for record in records.values()}
    assert len(rates) >= 16
    assert min(rates) >= 45
    assert max(rates) <= 115


def test_signal_is_sane(records: dict[str, Record]) -> None:
    for record in records.values():
        assert record.signal.shape == (75_000,)
        assert np.isfinite(record.signal).all()
        assert np.abs(record.signal).max() < 5.0
        assert 0.05 < record.signal.std() < 1.0
        assert (np.diff(record.samples) > 0).all()
        assert 0 <= record.samples[0] < record.samples[-1] < len(record.signal)


@pytest.mark.parametrize("split", ["synthetic-train", "synthetic-test"])
def test_splits_hold_every_class(records: dict[str, Record], split: str) -> None:
    counts = [Counter(aami(records[name])) for name in get_split(split).records]
    assert set(sum(counts, Counter())) == set(AAMI)
    for ectopic in "SV":
        assert sum(count[ectopic] >= 5 for count in counts) >= 4
    assert all(count["N"] for count in counts)


def test_whole_database_size(records: dict[str, Record]) -> None:
    total = sum((Counter(aami(record)) for record in records.values()), Counter())
    assert 11_000 < total.total() < 14_000
    assert all(0 <= np.isin(aami(record), ["S", "V", "F"]).mean() <= 0.25 for record in records.values())


def test_supraventricular_beats_are_premature_and_reset_the_sinus_node(records: dict[str, Record]) -> None:
    before, after = np.concatenate([around(record, "A") for record in records.values()], axis=1)
    assert len(before) > 100
    assert np.median(before) < 0.85
    assert 0.9 < np.median(after) < 1.15
    assert np.median(before + after) < 1.9


def test_ventricular_beats_are_premature_with_a_compensatory_pause(records: dict[str, Record]) -> None:
    before, after = np.concatenate([around(record, "V") for record in records.values()], axis=1)
    assert len(before) > 100
    assert np.median(before) < 0.8
    assert np.median(after) > 1.2
    assert np.median(before + after) == pytest.approx(2.0, abs=0.05)


def test_ventricular_beats_are_wide(records: dict[str, Record]) -> None:
    def steepness(record: Record, symbol: str) -> float:
        """Steepest step from sample to sample of a median beat, over its height."""
        positions = record.samples[2:-2][record.symbols[2:-2] == ord(symbol), None] + np.arange(-25, 26)
        beat = np.median(record.signal[positions], axis=0)
        return float(np.abs(np.diff(beat)).max() / np.ptp(beat))

    narrow = [record for record in records.values() if {ord("N"), ord("V")} <= set(record.symbols)]
    assert len(narrow) >= 16
    assert np.mean([steepness(r, "V") < 0.75 * steepness(r, "N") for r in narrow]) > 0.9


def test_atrial_fibrillation_is_irregular(records: dict[str, Record]) -> None:
    fibrillation = [record for record in records.values() if fibrillating(record).any()]
    assert len(fibrillation) == 4
    for record in fibrillation:
        inside = fibrillating(record)
        interval = np.diff(record.samples)
        variation = [
            interval[chosen].std() / interval[chosen].mean()
            for chosen in (inside[:-1] & inside[1:], ~(inside[:-1] | inside[1:]))
        ]
        assert variation[0] > 0.15
        assert variation[0] > 1.3 * variation[1]
        assert not (record.symbols[inside] == ord("A")).any()


def test_written_records_read_back(tmp_path: Path, records: dict[str, Record]) -> None:
    synthetic.write(tmp_path, ["syn05", "syn30"])
    for name in ("syn05", "syn30"):
        read, made = read_record(tmp_path, DATABASE, name), records[name]
        np.testing.assert_allclose(read.signal, made.signal, atol=0.5 / 200 + 1e-9)
        np.testing.assert_array_equal(read.samples, made.samples)
        np.testing.assert_array_equal(read.symbols, made.symbols)
        assert (read.rhythms, read.comments, read.lead, read.fs) == (made.rhythms, made.comments, "MLII", 250.0)
        age, sex = wfdb.rdheader(str(tmp_path / name)).comments[0].split()
        assert 20 <= int(age) <= 90
        assert sex in "MF"


def test_written_again_only_where_needed(tmp_path: Path) -> None:
    def touched() -> dict[str, int]:
        return {path.name: path.stat().st_mtime_ns for path in tmp_path.glob("syn*")}

    synthetic.write(tmp_path, ["syn00", "syn01"], 10.0)
    before = touched()
    synthetic.write(tmp_path, ["syn00", "syn01"], 10.0)
    assert touched() == before
    (tmp_path / "syn00.atr").unlink()
    synthetic.write(tmp_path, ["syn00", "syn01"], 10.0)
    assert touched()["syn00.atr"] != before["syn00.atr"]
    assert touched()["syn01.hea"] == before["syn01.hea"]
    synthetic.write(tmp_path, ["syn01"], 12.0)
    assert wfdb.rdheader(str(tmp_path / "syn01")).sig_len == 3000


@pytest.mark.parametrize("moves", [0, 1, 2])
def test_killed_while_writing_leaves_no_record(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, moves: int) -> None:
    synthetic.write(tmp_path, ["syn00"], 10.0)
    replace, left = Path.replace, [moves]

    def killed(self: Path, target: Path) -> Path:
        if not left[0]:
            raise KeyboardInterrupt
        left[0] -= 1
        return replace(self, target)

    monkeypatch.setattr(Path, "replace", killed)
    with pytest.raises(KeyboardInterrupt):
        synthetic.write(tmp_path, ["syn00", "syn01"], 12.0)
    assert not list(tmp_path.glob("*.hea"))
    monkeypatch.undo()
    synthetic.write(tmp_path, ["syn00", "syn01"], 12.0)
    assert sorted(path.name for path in tmp_path.iterdir() if not path.name.startswith(".")) == sorted(
        f"{name}.{extension}" for name in ("syn00", "syn01") for extension in ("hea", "dat", "atr")
    )
    assert len(read_record(tmp_path, DATABASE, "syn00").signal) == 3000


def test_mistakes_are_told(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="syn00"):
        synthetic.generate("100")
    with pytest.raises(UserError, match="found 5 s"):
        synthetic.write(tmp_path, ["syn00"], 5.0)
    with pytest.raises(UserError, match="50 Hz"):
        synthetic.generate("syn00", fs=50.0)
