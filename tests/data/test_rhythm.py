"""Frames that are labelled by rhythm."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from heartzoo.config import InputConfig
from heartzoo.config.file import parse_config
from heartzoo.data.databases import get_database
from heartzoo.data.noise import recorded_noise
from heartzoo.data.preparation import prepare
from heartzoo.data.records import Record, read_lead
from heartzoo.data.rhythm import cut_rhythm_frames, drown, frame_symbols
from heartzoo.data.splits import get_split
from heartzoo.errors import UserError
from heartzoo.tasks import get_task

FS = 100.0
BEATS = np.arange(50, 4000, 80)
RECORD = Record(
    database="mitdb", name="x", patient="x", lead="MLII", fs=FS,
    signal=np.sin(np.arange(4000) / 7), calibrated=True,
    samples=BEATS, symbols=np.full(len(BEATS), ord("N"), np.uint8),
    rhythms=((100, "(N"), (1000, "(AFIB"), (2000, "(AFL"), (2500, "(B"), (3000, "(N")), comments=(),
)  # fmt: skip
CONTRACT = InputConfig(cut="rhythm", fs=FS, frame=250)


def symbols(record: Record) -> str:
    return cut_rhythm_frames(record, CONTRACT)[1].tobytes().decode()


def test_a_frame_has_the_rhythm_that_holds_throughout() -> None:
    frames, found, first = cut_rhythm_frames(RECORD, CONTRACT)
    assert first.tolist() == list(range(0, 4000, 250))
    np.testing.assert_allclose(frames.ravel(), RECORD.signal, atol=1e-6)
    # before every mark; N; AFIB from 1000; AFL from 2000; bigeminy; N again
    assert found.tobytes().decode() == "?nnn" + "ffff" + "ff" + "??" + "nnnn"


def test_a_mark_inside_a_frame_makes_it_another_even_between_alike() -> None:
    marks = ((0, "(N"), (1010, "(AFIB"), (1100, "(N"))
    assert symbols(replace(RECORD, rhythms=marks)) == "nnnn" + "?" + "n" * 11
    # flutter after fibrillation: the same class, but not the same rhythm throughout
    assert symbols(replace(RECORD, rhythms=((0, "(AFIB"), (1010, "(AFL"))))[4] == "?"


def test_a_rhythm_that_is_closed_ends_there() -> None:
    assert symbols(replace(RECORD, rhythms=((0, "(N"), (600, ")"), (2000, "(N"))))[:9] == "nn??????n"


def test_unclassified_beats_outside_every_rhythm_are_noise() -> None:
    beats = np.where((BEATS >= 1000) & (BEATS < 1750), ord("Q"), ord("N")).astype(np.uint8)
    closed = ((0, "(N"), (900, ")"), (2000, "(N"))
    assert symbols(replace(RECORD, symbols=beats, rhythms=closed))[:8] == "nnn?~~~?"
    assert "~" not in symbols(replace(RECORD, symbols=beats))  # inside a rhythm they are beats of it
    assert set(symbols(replace(RECORD, rhythms=()))) == {"?"}


def test_drowned_frames_are_there_once_more_with_the_ratio_asked_for() -> None:
    contract = InputConfig(cut="rhythm", fs=FS, frame=250, drowned_share=0.5, drowned_snr_db=(-12.0, -6.0))
    noise = np.random.default_rng(0).normal(3, 1, (2, 5000)).astype(np.float32)
    plain, plain_symbols, plain_first = cut_rhythm_frames(RECORD, contract)
    frames, found, first = cut_rhythm_frames(RECORD, contract, noise)
    np.testing.assert_array_equal(frames[:16], plain)
    np.testing.assert_array_equal(found[:16], plain_symbols)
    assert found[16:].tobytes() == b"~" * 8
    rows = np.searchsorted(plain_first, first[16:])
    assert len(set(rows.tolist())) == 8
    added = frames[16:] - plain[rows]
    snr = 20 * np.log10(plain[rows].std(axis=1) / added.std(axis=1))
    assert (snr > -12.01).all() and (snr < -5.99).all()
    np.testing.assert_array_equal(cut_rhythm_frames(RECORD, contract, noise)[0], frames)


def test_drowning_a_flat_frame_or_in_silence_stays_finite() -> None:
    rng = np.random.default_rng(0)
    assert np.isfinite(drown(np.zeros((3, 50), np.float32), np.zeros((1, 80), np.float32), (-12, -6), rng)).all()


def test_tasks_and_cuts_fit_each_other() -> None:
    tree = {"name": "x", "task": "rhythm-3", "model": {"architecture": "rhythm_cnn"}}
    with pytest.raises(UserError, match=r"task rhythm-3 with input.cut centred; rhythm tasks take cut: rhythm"):
        parse_config(tree, "x")
    with pytest.raises(UserError, match=r"task beat-3 with input.cut rhythm"):
        parse_config({**tree, "task": "beat-3", "input": {"cut": "rhythm"}}, "x")
    with pytest.raises(UserError, match=r"rr_features with input.cut rhythm"):
        parse_config({**tree, "input": {"cut": "rhythm", "rr_features": ["pre_post"]}}, "x")


@pytest.mark.data
def test_mitdb_s_people_with_fibrillation_or_flutter_are_on_both_sides(physionet_cache: Path) -> None:
    contract = InputConfig(cut="rhythm", fs=250.0, frame=2049, drowned_share=0.25)
    database, task = get_database("mitdb"), get_task("rhythm-3")
    with_fibrillation = set()
    for name, half in (("rhythm-train", "first"), ("rhythm-test", "second")):
        split = get_split(name)
        store = prepare(database, split.records, contract, noise_half=half)  # type: ignore[arg-type]
        labels = store.labels(task, "A")
        assert set(labels.tolist()) == {-1, 0, 1, 2}
        assert (labels == 2).sum() == len(split.records) * round(0.25 * 220)
        with_fibrillation |= set(store.records[labels == 1].tolist())
    assert with_fibrillation <= {"201", "202", "203", "210", "219", "221", "222"}
    assert not get_split("rhythm-train").people & get_split("rhythm-test").people


@pytest.mark.data
def test_noise_for_training_and_testing_is_disjoint(physionet_cache: Path) -> None:
    database = get_database("nstdb")
    first, second = (recorded_noise(360.0, half) for half in ("first", "second"))
    for number, name in enumerate(("bw", "ma")):
        whole, *_ = read_lead(physionet_cache / "nstdb" / database.version / name, database.leads)
        assert len(whole) == 650_000
        assert np.array_equal(first[number], whole[:325_000].astype(np.float32))
        assert np.array_equal(second[number], whole[325_000:].astype(np.float32))


def test_symbols_of_no_frames() -> None:
    nothing = np.empty(0, np.int64)
    assert frame_symbols(RECORD, nothing, nothing).shape == (0,)
