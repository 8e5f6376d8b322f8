"""Prepared stores: complete, found again, never half-written."""

from __future__ import annotations

import errno
import os
import re
import signal
import subprocess
import sys
import tracemalloc
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
import wfdb

from heartzoo.config import InputConfig
from heartzoo.config.disturbance import Disturbance
from heartzoo.data import preparation, synthetic
from heartzoo.data.beats import cut_beats
from heartzoo.data.databases import DATABASES, get_database
from heartzoo.data.preparation import prepare
from heartzoo.data.records import open_record
from heartzoo.data.store import Store
from heartzoo.errors import UserError
from heartzoo.files import sha256
from heartzoo.tasks import get_task

DATABASE = get_database("synthetic")
NAMES = ("syn00", "syn03", "syn07")
CONTRACT = InputConfig(fs=100.0, frame=64, highpass_hz=0.5, rr_features=["pre_median", "pre_post"])


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache of this test alone, with three records of 20 s; the folder of the records."""
    monkeypatch.setenv("HEARTZOO_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("HEARTZOO_MIRROR", raising=False)
    folder = tmp_path / "cache" / DATABASE.name / DATABASE.version
    synthetic.write(folder, NAMES, 20.0)
    return folder


def prepared(own: Path) -> list[str]:
    """What is in the folder of prepared stores, locks left out."""
    return sorted(path.name for path in (own.parents[1] / "prepared").glob("*") if not path.name.endswith(".lock"))


def small(**changes: object) -> Store:
    return prepare(DATABASE, NAMES, CONTRACT, **{"jobs": 1, **changes})  # type: ignore[arg-type]


def rename_lead(own: Path, name: str) -> None:
    path = own / f"{name}.hea"
    path.write_text(path.read_text().replace(" MLII", " V1"))


def test_every_beat_of_every_record_is_there(own: Path) -> None:
    store = small(margin=3)
    records = [open_record("synthetic", name) for name in NAMES]
    cut = [cut_beats(record, CONTRACT, 3) for record in records]
    assert len(store) == sum(len(record.samples) for record in records)
    assert store.margin == 3
    np.testing.assert_array_equal(store.frames(np.arange(len(store))), np.concatenate([c.frames for c in cut]))
    np.testing.assert_array_equal(store.features(np.arange(len(store))), np.concatenate([c.rr for c in cut]))
    np.testing.assert_array_equal(store.samples, np.concatenate([r.samples for r in records]))
    np.testing.assert_array_equal(store.symbols, np.concatenate([r.symbols for r in records]))
    assert store.records.tolist() == [r.name for r in records for _ in r.samples]
    assert store.patients.tolist() == store.records.tolist()
    assert set(store.fs) == {250.0}
    task = get_task("beat-3")
    np.testing.assert_array_equal(store.labels(task, "A"), task.labels(store.symbols, "A"))


def test_provenance_says_everything(own: Path) -> None:
    provenance = small(margin=2).provenance
    assert provenance["database"] == "synthetic"
    assert provenance["version"] == DATABASE.version
    assert provenance["requested"] == list(NAMES)
    assert provenance["leads"] == ["MLII"]
    assert provenance["margin"] == 2
    assert InputConfig(**provenance["input"]) == CONTRACT
    assert provenance["absent"] == []
    assert provenance["skipped"] == {}
    assert re.fullmatch(r"\d+\.\d+\.\d+.*", provenance["heartzoo"])
    for record, name in zip(provenance["records"], NAMES, strict=True):
        assert (record["name"], record["patient"], record["lead"]) == (name, name, "MLII")
        assert record["calibrated"] is True
        assert record["flat_frames"] == 0
        assert sum(record["beats"].values()) == len(open_record("synthetic", name).samples)
        assert record["sha256"] == {ext: sha256(own / f"{name}.{ext}") for ext in ("hea", "dat", "atr")}


def test_the_number_of_processes_changes_nothing(own: Path, tmp_path: Path) -> None:
    one, two = small(jobs=1, out=tmp_path / "one.h5"), small(jobs=2, out=tmp_path / "two.h5")
    np.testing.assert_array_equal(one.frames(np.arange(len(one))), two.frames(np.arange(len(two))))
    assert one.provenance == two.provenance


def test_the_same_store_is_found_again(own: Path) -> None:
    first = small()
    written = first.path.stat().st_mtime_ns
    assert small().path == first.path
    assert first.path.stat().st_mtime_ns == written
    assert prepared(own) == [first.path.name]


@pytest.mark.parametrize(
    "changes",
    [{"margin": 1}, {"missing_lead": "skip"}, {"leads": ["V5", "MLII"]}],
    ids=lambda changes: next(iter(changes)),
)
def test_another_request_is_another_store(own: Path, changes: dict[str, object]) -> None:
    assert small(**changes).path != small().path


def test_another_contract_or_list_is_another_store(own: Path) -> None:
    paths = {
        small().path,
        prepare(DATABASE, NAMES, CONTRACT.model_copy(update={"highpass_hz": None}), jobs=1).path,
        prepare(DATABASE, NAMES[:2], CONTRACT, jobs=1).path,
    }
    assert len(paths) == 3


def test_other_code_makes_another_store(own: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = small().path
    monkeypatch.setattr(preparation, "code", lambda: "other")
    assert small().path != first


def test_a_user_s_changed_file_makes_another_store(own: Path) -> None:
    mine = replace(DATABASE, source="user")
    first = prepare(mine, NAMES, CONTRACT, jobs=1)
    assert prepare(mine, NAMES, CONTRACT, jobs=1).path == first.path
    synthetic.write(own, NAMES, 25.0)
    assert len(prepare(mine, NAMES, CONTRACT, jobs=1).samples) > len(first.samples)


def test_a_user_s_signal_may_lie_in_files_of_other_names(own: Path) -> None:
    mine, header = replace(DATABASE, source="user"), own / "syn00.hea"
    expected = prepare(mine, ["syn00"], CONTRACT, jobs=1)
    header.write_text(header.read_text().replace("syn00.dat", "night_1.bin"))
    with pytest.raises(UserError, match=r"synthetic cannot be downloaded, and night_1\.bin is not in"):
        prepare(mine, ["syn00"], CONTRACT, jobs=1)
    signal = (own / "syn00.dat").rename(own / "night_1.bin")
    store = prepare(mine, ["syn00"], CONTRACT, jobs=1)
    np.testing.assert_array_equal(store.frames(np.arange(len(store))), expected.frames(np.arange(len(expected))))
    hashes = store.provenance["records"][0]["sha256"]
    assert hashes == {"hea": sha256(header), "night_1.bin": sha256(signal), "atr": sha256(own / "syn00.atr")}
    os.utime(signal, (1, 1))
    assert prepare(mine, ["syn00"], CONTRACT, jobs=1).path != store.path


def test_files_of_one_name_in_two_folders_are_told_apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(preparation, "folder", lambda database: tmp_path)
    mine = replace(DATABASE, source="user", extensions=("dat",))
    for size, name in enumerate(("p1/ecg", "p2/ecg"), start=1):
        (tmp_path / name).parent.mkdir()
        (tmp_path / f"{name}.dat").write_bytes(bytes(size))
    found = preparation.changeable(mine, ["p1/ecg", "p2/ecg"])
    assert {file: size for file, (size, _) in found.items()} == {"p1/ecg.dat": 1, "p2/ecg.dat": 2}


def test_a_record_named_twice_is_stored_once(own: Path) -> None:
    once, twice = (prepare(DATABASE, names, CONTRACT, jobs=1) for names in (NAMES[:1], NAMES[:1] * 2))
    assert twice.path == once.path and set(twice.records) == set(NAMES[:1])


def test_a_given_file_of_another_request_is_written_anew(own: Path, tmp_path: Path) -> None:
    out = tmp_path / "mine.h5"
    assert small(out=out, margin=4).margin == 4
    assert small(out=out, margin=0).margin == 0
    assert prepared(own) == []


def test_somebody_s_file_is_not_written_over(own: Path, tmp_path: Path) -> None:
    notes = tmp_path / "notes.txt"
    notes.write_text("mine")
    with pytest.raises(
        UserError, match=r"notes\.txt exists and was not written by heartzoo data prepare; name a new file"
    ):
        small(out=notes)
    assert notes.read_text() == "mine"


def test_without_rr_features(own: Path) -> None:
    store = prepare(DATABASE, NAMES, InputConfig(frame=32), jobs=1)
    assert store.features(np.arange(len(store))).shape == (len(store), 0)


def test_rows_are_read_in_any_order(own: Path) -> None:
    store = small()
    cut = [cut_beats(open_record("synthetic", name), CONTRACT) for name in NAMES]
    frames, features = (np.concatenate([getattr(c, name) for c in cut]) for name in ("frames", "rr"))
    rng = np.random.default_rng(0)
    for rows in (rng.integers(0, len(store), 200), np.array([len(store) - 1, 5, 5]), np.array([], np.int64)):
        np.testing.assert_array_equal(store.frames(rows), frames[rows])
        np.testing.assert_array_equal(store.features(rows), features[rows])


def test_a_training_s_examples_stay_on_disk(own: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = small()
    tracemalloc.start()
    again = Store(store.path)
    before = tracemalloc.get_traced_memory()[0]
    assert again.frames(np.array([0])).shape == (1, 64)
    kept = tracemalloc.get_traced_memory()[0] - before
    tracemalloc.stop()
    assert kept < store.frames(np.arange(len(store))).nbytes / 4


def test_flat_frames_are_counted(own: Path) -> None:
    (own / "syn03.dat").write_bytes(bytes((own / "syn03.dat").stat().st_size))
    facts = {record["name"]: record for record in small().provenance["records"]}
    assert facts["syn03"]["flat_frames"] == sum(facts["syn03"]["beats"].values())
    assert facts["syn00"]["flat_frames"] == 0


def test_uncalibrated_records_are_marked(own: Path) -> None:
    header = own / "syn07.hea"
    header.write_text(header.read_text().replace("200.0(0)/mV", "0"))
    assert [record["calibrated"] for record in small().provenance["records"]] == [True, True, False]


def test_a_beat_past_the_end_is_kept(own: Path) -> None:
    wfdb.wrann("syn00", "atr", np.array([100, 5000]), symbol=["N", "V"], fs=250, write_dir=str(own))
    store = small()
    assert store.samples[store.records == "syn00"].tolist() == [100, 5000]


# Records without the lead


def test_a_record_without_the_lead_is_an_error(own: Path) -> None:
    rename_lead(own, "syn03")
    with pytest.raises(UserError, match="record syn03: expected a lead among MLII, found V1"):
        small()
    assert prepared(own) == []


def test_a_record_without_the_lead_is_skipped_by_option(own: Path) -> None:
    rename_lead(own, "syn03")
    store = small(missing_lead="skip")
    assert set(store.records) == {"syn00", "syn07"}
    assert list(store.provenance["skipped"]) == ["syn03"]
    assert "expected a lead among MLII, found V1" in store.provenance["skipped"]["syn03"]


def test_a_copy_of_the_other_lead_holds_the_records_that_have_one(own: Path) -> None:
    both = wfdb.rdrecord(str(own / "syn00")).p_signal[:, [0, 0]] * [1.0, 2.0]
    wfdb.wrsamp("syn00", 250, ["mV", "mV"], ["MLII", "V5"], both, fmt=["16", "16"], write_dir=str(own))
    store = small(disturbance=Disturbance(other_lead=True))
    assert set(store.records) == {"syn00"} and set(store.provenance["skipped"]) == {"syn03", "syn07"}
    first = small()
    np.testing.assert_allclose(
        store.frames(np.arange(len(store))), 2 * first.frames(np.flatnonzero(first.records == "syn00")), atol=0.01
    )
    assert store.provenance["records"][0]["lead"] == "V5"


def test_a_copy_of_a_turned_lead_has_an_angle_of_its_own_in_every_record_and_draw(own: Path) -> None:
    for name in ("syn00", "syn03"):
        both = wfdb.rdrecord(str(own / name)).p_signal[:, [0, 0]] * [1.0, 0.0]
        wfdb.wrsamp(name, 250, ["mV", "mV"], ["MLII", "V5"], both, fmt=["16", "16"], write_dir=str(own))
    first = small()
    factors = []
    for draw in (0, 1):
        store = small(disturbance=Disturbance(turned_lead=True, draw=draw))
        assert set(store.records) == {"syn00", "syn03"} and set(store.provenance["skipped"]) == {"syn07"}
        for name in ("syn00", "syn03"):
            frames, plain = (s.frames(np.flatnonzero(s.records == name)) for s in (store, first))
            factor = float((frames * plain).sum() / (plain**2).sum())
            np.testing.assert_allclose(frames, factor * plain, atol=0.02)
            assert abs(factor) <= 1.01
            factors.append(round(factor, 2))
    assert len(set(factors)) == 4


def test_a_noisy_copy_holds_the_half_of_the_noise_asked_for(own: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    noise = {"first": np.sin(np.arange(5000.0)), "second": np.cos(np.arange(5000.0) / 7)}
    monkeypatch.setattr(preparation, "recorded_noise", lambda fs, half, names: noise[half][None])
    disturbance = Disturbance(noise="bw", snr_db=0.0)
    plain, first, second = small(), *(small(noise_half=half, disturbance=disturbance) for half in noise)
    assert [store.provenance["noise_half"] for store in (plain, first, second)] == [None, "first", "second"]
    frames = [store.frames(np.arange(len(plain))) for store in (plain, first, second)]
    assert all(np.abs(one - other).max() > 0.05 for one, other in combinations(frames, 2))


def test_noise_is_played_at_the_rate_of_the_record_and_another_rate_is_told(
    own: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def noise(fs: float, half: str, names: list[str]) -> np.ndarray:
        return np.sin(2 * np.pi * 5.0 * np.arange(60 * fs) / fs)[None]  # 5 Hz

    monkeypatch.setattr(preparation, "recorded_noise", noise)
    flat = 0.001 * np.arange(10_000)[:, None] % 0.01
    wfdb.wrsamp("syn03", 500, ["mV"], ["MLII"], flat, fmt=["16"], write_dir=str(own))  # the others have 250 Hz
    wfdb.wrann("syn03", "atr", np.array([3000, 6000]), symbol=["N"] * 2, fs=500, write_dir=str(own))
    loud = Disturbance(noise="bw", snr_db=-30.0)
    store = prepare(
        DATABASE, ["syn03"], InputConfig(fs=100.0, frame=200), jobs=1, noise_half="second", disturbance=loud
    )
    powers = np.abs(np.fft.rfft(store.frames(np.array([0]))[0]))
    assert powers.argmax() == 10  # in 2 s
    assert store.provenance["records"][0]["noise_offset"] < 60 * 500
    assert "declared as" not in capsys.readouterr().err  # copies are of recordings that were told of
    prepare(DATABASE, ["syn03"], InputConfig(fs=100.0, frame=200), jobs=1)
    assert "declared as 250 Hz, but these headers say otherwise and are believed: syn03 (500 Hz)" in " ".join(
        capsys.readouterr().err.split()
    )
    small(disturbance=Disturbance(from_fs=128.0))
    assert "declared as" not in capsys.readouterr().err


def test_skipping_every_record_is_an_error(own: Path) -> None:
    with pytest.raises(UserError, match="every record was skipped"):
        small(missing_lead="skip", leads=["V9"])
    assert prepared(own) == []


def test_recordings_too_short_for_one_frame_are_told(own: Path) -> None:
    contract = InputConfig(fs=100.0, frame=3000, cut="rhythm", highpass_hz=0.5)
    with pytest.raises(UserError, match=r"none of the 3 records .* the longest has 20 s, an example 30 s"):
        prepare(DATABASE, NAMES, contract, jobs=1)
    assert prepared(own) == []


@pytest.mark.parametrize("jobs", [1, 2])
def test_a_damaged_record_is_an_error_even_when_skipping(own: Path, jobs: int) -> None:
    (own / "syn07.dat").write_bytes(b"\0" * 100)
    with pytest.raises(UserError, match=r"record syn07: syn07.dat is truncated"):
        small(missing_lead="skip", jobs=jobs)
    assert prepared(own) == []


def test_a_record_with_another_hash_than_is_known_is_refused(own: Path) -> None:
    (own / "SHA256SUMS.txt").write_text(f"{sha256(own / 'syn00.dat')} syn00.dat\n{'0' * 64} syn07.dat\n")
    with pytest.raises(UserError, match=r"syn07.dat is damaged: expected SHA-256 000000000000…, found .*download"):
        small()
    assert prepared(own) == []
    (own / "SHA256SUMS.txt").write_text(f"{sha256(own / 'syn07.dat')} syn07.dat\n")
    assert len(small())


def test_who_is_the_same_person_is_asked_when_a_store_is_opened(own: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert set(small().patients) == set(NAMES)
    monkeypatch.setitem(DATABASES, "synthetic", replace(DATABASE, same_person={"syn03": "syn00"}))
    assert set(small().patients) == {"syn00", "syn07"}


def test_what_other_code_made_is_cleaned_away(own: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kept = small()
    with monkeypatch.context() as patched:
        patched.setattr(preparation, "code", lambda: "other")
        other = small()
    (own.parents[1] / "prepared" / "synthetic-damaged.h5").write_bytes(b"no store")
    left = own.parents[1] / "evaluations" / "killed" / "disturbed.h5"
    left.parent.mkdir(parents=True)
    left.write_bytes(other.path.read_bytes())
    killed = kept.path.with_name(f".part.1.2.{other.path.name}")
    killed.write_bytes(b"half")
    gone = preparation.clean()
    assert {path.name for path, _ in gone} == {killed.name, other.path.name, "synthetic-damaged.h5", "disturbed.h5"}
    with monkeypatch.context() as patched:
        patched.delitem(DATABASES, "synthetic")  # as a user's own database is unknown without his file
        assert preparation.clean() == []
    assert prepared(own) == [kept.path.name]


def test_a_store_that_is_being_written_is_not_cleaned_away(own: Path) -> None:
    store = small().path
    part = store.with_name(f".part.1.2.{store.name}")
    with ThreadPoolExecutor(1) as pool:
        with preparation.lock(store):
            part.write_bytes(store.read_bytes()[:100])  # half of it
            cleaning = pool.submit(preparation.clean)
            with pytest.raises(TimeoutError):
                cleaning.result(0.5)
            assert part.exists()
            part.unlink()  # whoever wrote it is done
        assert cleaning.result() == []
    assert prepared(own) == [store.name]


# Records that are not there


def test_only_what_is_present(own: Path) -> None:
    store = prepare(DATABASE, [*NAMES, "syn20"], CONTRACT, jobs=1, present_only=True)
    assert set(store.records) == set(NAMES)
    assert store.provenance["absent"] == ["syn20"]
    with pytest.raises(UserError, match="none of the 1 records of synthetic is in the cache"):
        prepare(DATABASE, ["syn20"], CONTRACT, present_only=True)


def test_unknown_record(own: Path) -> None:
    with pytest.raises(UserError, match="synthetic has no record 'syn99'"):
        prepare(DATABASE, ["syn99"], CONTRACT)


# Interruptions


def test_a_full_disk_leaves_nothing(own: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(preparation, "append", full)
    with pytest.raises(UserError, match="the disk is full"):
        small()
    assert prepared(own) == []


# A limit on the size of files makes HDF5 meet the failure itself: unguarded, it would crash the process.
FILL_UP = """
import errno, resource, signal
from heartzoo.config import InputConfig
from heartzoo.data import preparation
from heartzoo.data.databases import get_database
from heartzoo.errors import UserError
from heartzoo.files import Sink
class Full(Sink):
    def check(self):
        if self.error:
            self.error.errno = errno.ENOSPC
        super().check()
preparation.Sink = Full
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
most = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
for limit in (0, 1_000, 20_000, 100_000, 180_000):
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, most))
    try:
        preparation.prepare(get_database("synthetic"), ["syn00", "syn03", "syn07"], InputConfig(frame=512), jobs=1)
    except UserError as error:
        print(error)
"""


def test_a_disk_that_fills_up_while_hdf5_writes_leaves_nothing(own: Path) -> None:
    ended = subprocess.run([sys.executable, "-c", FILL_UP], capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    assert [line.startswith("the disk is full: cannot write ") for line in ended.stdout.splitlines()] == [True] * 5
    assert prepared(own) == []


@pytest.mark.parametrize("content", [b"", b"not a store", b"\x89HDF\r\n\x1a\n" + bytes(500)])
def test_a_damaged_store_is_written_anew(own: Path, content: bytes) -> None:
    store = small()
    size = len(store)
    store.path.write_bytes(content)
    with pytest.raises(UserError, match="is not a prepared store"):
        Store(store.path)
    assert len(small()) == size


def test_a_cut_store_is_written_anew(own: Path) -> None:
    path = small().path
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    again = small()
    assert again.frames(np.arange(len(again))).shape == (len(again), 64)


# What a process of its own does; it says when it has begun to write.
PREPARE = """
import signal, sys, time
signal.signal(signal.SIGINT, signal.default_int_handler)  # a background shell ignores it
from heartzoo.config import InputConfig
from heartzoo.data import preparation
from heartzoo.data.databases import get_database
append, delay = preparation.append, float(sys.argv[1])
def slowly(*arguments):
    append(*arguments)
    print("writing", flush=True)
    time.sleep(delay)
preparation.append = slowly
contract = InputConfig(fs=100.0, frame=64, highpass_hz=0.5, rr_features=["pre_median", "pre_post"])
print(len(preparation.prepare(get_database("synthetic"), ["syn00", "syn03", "syn07"], contract, jobs=1)))
"""


def start(delay: float) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", PREPARE, str(delay)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_two_processes_at_once_end_with_one_good_store(own: Path) -> None:
    first = start(0.3)
    assert first.stdout is not None
    assert first.stdout.readline() == "writing\n"
    both = [first, start(0.3)]
    ended = [process.communicate(timeout=120) for process in both]
    assert [process.returncode for process in both] == [0, 0], ended
    assert [out.count("writing") for out, _ in ended] == [2, 0]  # after the first; the other waited and found it
    store = small()
    assert {int(out.split()[-1]) for out, _ in ended} == {len(store)}
    assert prepared(own) == [store.path.name]


@pytest.mark.parametrize("kill", [signal.SIGKILL, signal.SIGINT])
def test_a_killed_process_leaves_no_store(own: Path, kill: signal.Signals) -> None:
    process = start(60.0)
    assert process.stdout is not None
    assert process.stdout.readline() == "writing\n"
    os.kill(process.pid, kill)
    process.communicate(timeout=60)
    assert process.returncode != 0
    left = prepared(own)
    assert not [name for name in left if not name.startswith(".part.")]
    if kill == signal.SIGINT:
        assert left == []
    store = small()  # the lock went with the process
    assert prepared(own) == [store.path.name]
