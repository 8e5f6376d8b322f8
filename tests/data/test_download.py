"""Downloads from a real HTTP server on this machine that misbehaves on demand, and from folders."""

from __future__ import annotations

import errno
import hashlib
import io
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import requests

import heartzoo
from heartzoo.data import download as downloads
from heartzoo.data import sources
from heartzoo.data.databases import DATABASES, ICENTIA, Database
from heartzoo.data.download import download, ensure, folder, present, verify
from heartzoo.errors import UserError

Server = Any  # of the fixture serve

REPOSITORY = Path(heartzoo.__file__).parents[1]
REAL = REPOSITORY.parent / "shared" / "data" / "physionet"


def tiny(name: str = "tinydb", records: tuple[str, ...] = ("100", "101", "102")) -> Database:
    return Database(
        name=name, version="1.0", title="", license="", citation="", fs=250, leads=("ECG",), records=records
    )


def content(name: str) -> bytes:
    return f"the file {name}. ".encode() * 500


def write_mirror(root: Path, database: Database, records: tuple[str, ...] = ()) -> Path:
    """A mirror with made-up files of a database; returns the folder that holds them."""
    files = [f"{r}.{e}" for r in records or database.records for e in database.extensions]
    target = root / database.name / database.version
    for name in files:
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        (target / name).write_bytes(content(name))
    lines = [f"{hashlib.sha256(content(name)).hexdigest()} {name}\n" for name in files]
    (target / "SHA256SUMS.txt").write_text("".join(lines))
    return target


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HEARTZOO_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("HEARTZOO_MIRROR", raising=False)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setattr(sources, "BACKOFF_S", 0.001)
    return tmp_path / "cache"


@pytest.fixture
def mirror(tmp_path: Path) -> Path:
    write_mirror(tmp_path / "mirror", tiny())
    return tmp_path / "mirror"


@pytest.fixture
def server(mirror: Path, serve: Callable[[Path], Server]) -> Server:
    return serve(mirror)


def start(server: Server) -> subprocess.Popen[bytes]:
    """Another process that downloads the tiny database."""
    program = (
        "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); "  # a background shell ignores it
        "from heartzoo.data.databases import Database; from heartzoo.data.download import download; "
        f"download({tiny()!r}, mirror={server.url!r})"
    )
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    return subprocess.Popen([sys.executable, "-c", program], env=environment, stderr=subprocess.DEVNULL)


def wait_for(condition: Callable[[], bool], timeout_s: float = 10) -> None:
    end = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


def names(database: Database) -> set[str]:
    return {f"{record}.{extension}" for record in database.records for extension in database.extensions}


def assert_only_good_files(database: Database) -> set[str]:
    """Every file under a final name is whole; returns their names."""
    found = {path.name for path in folder(database).iterdir() if not path.name.startswith(".")} - {"SHA256SUMS.txt"}
    for name in found:
        assert (folder(database) / name).read_bytes() == content(name)
    return found


def test_downloads_everything_and_then_nothing(server: Server, cache: Path) -> None:
    database = tiny()
    assert present(database) == ()
    assert download(database, mirror=server.url) == cache / "tinydb" / "1.0"
    assert assert_only_good_files(database) == names(database)
    assert present(database) == database.records
    before = server.hits.copy()
    download(database, mirror=server.url)
    assert server.hits == before


def test_what_a_mirror_cannot_give_is_the_mirror_s(mirror: Path, cache: Path) -> None:
    database = tiny()
    name = sorted(names(database))[0]
    (mirror / "tinydb/1.0" / name).unlink()
    (mirror / "tinydb/1.0" / name).mkdir()
    with pytest.raises(UserError, match=r"could not be fetched: .* \(cannot read .*mirror.*: Is a directory\)"):
        download(database, mirror=str(mirror))
    assert len(assert_only_good_files(database)) == len(names(database)) - 1


def test_fetches_only_what_is_missing_or_damaged(server: Server) -> None:
    database = tiny()
    download(database, ["100"], mirror=server.url)
    assert present(database) == ("100",)
    (folder(database) / "100.dat").write_bytes(b"x")
    download(database, ["100", "101", "100"], mirror=server.url)
    assert present(database) == ("100", "101")
    assert server.hits["100.hea"] == server.hits["101.hea"] == 1
    assert server.hits["100.dat"] == 2
    assert_only_good_files(database)


@pytest.mark.parametrize(
    "faults", [["cut"], ["drop"], ["503", "503"], ["429"], ["500", "cut", "drop", "503"]], ids=lambda f: "+".join(f)
)
def test_a_passing_fault_is_overcome(server: Server, faults: list[str]) -> None:
    server.faults["101.dat"] = list(faults)
    server.faults["SHA256SUMS.txt"] = list(faults)
    download(tiny(), mirror=server.url)
    assert server.hits["101.dat"] == len(faults) + 1
    assert assert_only_good_files(tiny()) == names(tiny())


@pytest.mark.parametrize(
    ("fault", "attempts", "reason"),
    [
        ("404", 1, "not found, HTTP 404 from http"),
        ("403", 1, "HTTP 403"),
        ("503", sources.ATTEMPTS, "HTTP 503"),
        ("cut", sources.ATTEMPTS, "the connection was cut"),
        ("drop", sources.ATTEMPTS, "the connection was cut"),
        ("wrong", 1, "rejected, expected SHA-256 "),
        ("to file:///etc/hostname", 1, "http"),
    ],
)
def test_a_lasting_fault_names_the_file_and_leaves_the_others(
    server: Server, fault: str, attempts: int, reason: str
) -> None:
    database = tiny()
    server.faults["101.dat"] = [fault] * 9
    with pytest.raises(UserError) as raised:
        download(database, mirror=server.url)
    assert raised.value.problem.startswith(f"1 of 9 files of tinydb could not be fetched: 101.dat ({reason}")
    assert raised.value.problem.endswith("incomplete records: 101")
    assert "run it again" in raised.value.remedy
    assert "\n" not in str(raised.value)
    assert server.hits["101.dat"] == attempts
    assert assert_only_good_files(database) == names(database) - {"101.dat"}
    server.faults.clear()
    download(database, mirror=server.url)
    assert present(database) == database.records


def test_a_wrong_hash_shows_both_hashes(server: Server) -> None:
    server.faults["101.dat"] = ["wrong"]
    found = hashlib.sha256(content("101.dat")[::-1]).hexdigest()
    expected = hashlib.sha256(content("101.dat")).hexdigest()
    with pytest.raises(UserError, match=f"expected SHA-256 {expected[:12]}…, found {found[:12]}…"):
        download(tiny(), mirror=server.url)


def test_many_failures_are_counted_not_listed(server: Server) -> None:
    for name in names(tiny()):
        server.faults[name] = ["404"]
    with pytest.raises(UserError, match=r"9 of 9 files.*and 6 more; incomplete records: 100, 101, 102"):
        download(tiny(), mirror=server.url)


def test_no_network_is_one_line_with_the_host(closed_port: str) -> None:
    with pytest.raises(UserError, match=f"cannot reach {closed_port.removeprefix('http://')}; .*HEARTZOO_MIRROR"):
        download(tiny(), mirror=closed_port)


def test_a_network_that_fails_midway_ends_the_download(server: Server, closed_port: str) -> None:
    server.faults["101.dat"] = [f"to {closed_port}"] * 9
    with pytest.raises(UserError, match=r"cannot reach .*running again resumes"):
        download(tiny(), mirror=server.url, workers=1)
    assert_only_good_files(tiny())


def test_a_silent_server_is_given_up(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sources, "TIMEOUT_S", (1.0, 0.1))
    monkeypatch.setattr(sources, "ATTEMPTS", 2)
    server.faults["101.dat"] = ["stall"] * 9
    with pytest.raises(UserError, match="cannot reach"):
        download(tiny(), mirror=server.url)
    assert "101.dat" not in assert_only_good_files(tiny())


def test_a_redirect_to_an_insecure_server_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    response = requests.Response()
    response.status_code, response.url, response.raw = 200, "http://example.org/100.dat", io.BytesIO(b"x")
    monkeypatch.setattr(requests.Session, "get", lambda *args, **kwargs: response)
    with requests.Session() as session, pytest.raises(sources.FileError, match="redirected to the insecure http"):
        sources._get(session, "https://example.org/100.dat", tmp_path / "100.dat", threading.Event())
    assert not (tmp_path / "100.dat").exists()


def test_killed_download_leaves_no_bad_file_and_resumes(server: Server) -> None:
    server.faults["101.dat"] = ["stall"]
    with start(server) as process:
        assert server.stalled.wait(10)
        wait_for(lambda: any(folder(tiny()).glob(".part.*.101.dat")))
        process.kill()
    assert "101.dat" not in assert_only_good_files(tiny())
    assert list(folder(tiny()).glob(".part.*.101.dat"))
    before = {name for name in names(tiny()) if (folder(tiny()) / name).exists()}
    server.hits.clear()
    download(tiny(), mirror=server.url)
    assert present(tiny()) == tiny().records
    assert not before & set(server.hits)
    assert not list(folder(tiny()).glob(".part.*"))


@pytest.mark.skipif(sys.platform == "win32", reason="SIGINT cannot be sent to one process on Windows")
def test_interrupt_stops_at_once(server: Server) -> None:
    for name in names(tiny()):
        server.faults[name] = ["stall"]
    with start(server) as process:
        assert server.stalled.wait(10)
        process.send_signal(signal.SIGINT)
        assert process.wait(10) != 0  # the server answers after 20 s
    assert assert_only_good_files(tiny()) == set()


def test_two_processes_share_the_work(server: Server) -> None:
    with start(server) as first, start(server) as second:
        assert first.wait(20) == second.wait(20) == 0
    assert assert_only_good_files(tiny()) == names(tiny())
    assert all(server.hits[name] == 1 for name in names(tiny()))


@pytest.mark.parametrize("form", ["folder", "url"])
def test_a_folder_is_a_mirror(mirror: Path, form: str) -> None:
    download(tiny(), mirror=str(mirror) if form == "folder" else mirror.as_uri())
    assert assert_only_good_files(tiny()) == names(tiny())


def test_the_environment_names_the_mirror(mirror: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HEARTZOO_MIRROR", str(mirror))
    ensure(tiny(), ["100"])
    assert present(tiny()) == ("100",)


def test_mirror_mistakes(tmp_path: Path, mirror: Path) -> None:
    with pytest.raises(UserError, match=r"the mirror has no folder .*absent.*; name one with PhysioNet's layout"):
        download(tiny(), mirror=str(tmp_path / "absent"))
    with pytest.raises(UserError, match="cannot use 'ftp://"):
        download(tiny(), mirror="ftp://example.org")
    with pytest.raises(UserError, match=r"'http://\[::1.*' is no URL .*; name an http"):
        download(tiny(), mirror="http://[::1")
    (mirror / "tinydb/1.0/SHA256SUMS.txt").unlink()
    with pytest.raises(UserError, match="the source has no list of hashes: not found"):
        download(tiny(), mirror=str(mirror))


def test_a_partial_mirror_gives_what_it_has(mirror: Path) -> None:
    write_mirror(mirror, tiny(), records=("100", "101"))
    (mirror / "tinydb/1.0/101.atr").unlink()
    expected = r"4 of 9 files .*101.atr \(not found: .*102.atr \(not listed in the source's SHA256SUMS.txt\)"
    with pytest.raises(UserError, match=expected):
        download(tiny(), mirror=str(mirror))
    assert present(tiny()) == ("100",)


def test_unknown_record_names_the_nearest() -> None:
    for call in (download, ensure, verify):
        with pytest.raises(UserError, match="tinydb has no record '110'; did you mean"):
            call(tiny(), ["110"])


@pytest.mark.parametrize("record", ["../evil", "/etc/passwd", "a/../../evil", "..", "", "a//b", "C:/x", r"..\x", ".a"])
def test_hostile_record_names_are_refused(mirror: Path, record: str) -> None:
    with pytest.raises(UserError, match="is not a record name"):
        download(tiny(records=()), [record], mirror=str(mirror))


def test_hostile_lines_of_the_hash_list_are_ignored(tmp_path: Path, mirror: Path) -> None:
    evil = mirror / "tinydb" / "evil.dat"
    evil.write_bytes(b"evil")
    with (mirror / "tinydb/1.0/SHA256SUMS.txt").open("a") as file:
        file.write(f"{hashlib.sha256(b'evil').hexdigest()} ../evil.dat\nnonsense\n\nzz 100.dat\n")
    download(tiny(), mirror=str(mirror))
    assert present(tiny()) == tiny().records
    assert not list((tmp_path / "cache").rglob("evil*"))
    assert "evil" not in (folder(tiny()) / "SHA256SUMS.txt").read_text()


def test_records_in_subfolders(mirror: Path) -> None:
    database, segment = tiny(ICENTIA, records=()), "p00/p00000/p00000_s00"
    write_mirror(mirror, database, records=(segment, "p00/p00000/p00000_s01"))
    with pytest.raises(UserError, match="too large to download whole; name records, such as p00/"):
        download(database, mirror=str(mirror))
    download(database, [segment], mirror=str(mirror))
    assert present(database) == (segment,)
    (folder(database) / "p00" / ".part.1.x.dat").write_bytes(b"")
    assert len(verify(database).ok) == 3
    assert "s01" not in (folder(database) / "SHA256SUMS.txt").read_text()


def test_hashes_of_earlier_downloads_are_kept(mirror: Path) -> None:
    download(tiny(), ["100"], mirror=str(mirror))
    download(tiny(), ["101"], mirror=str(mirror))
    result = verify(tiny())
    assert (len(result.ok), len(result.missing), result.damaged, result.unlisted) == (6, 3, (), ())


def test_verify_tells_the_states_apart(mirror: Path) -> None:
    download(tiny(), ["100", "101"], mirror=str(mirror))
    (folder(tiny()) / "100.dat").write_bytes(b"x")
    shutil.copy(mirror / "tinydb/1.0/102.hea", folder(tiny()))
    result = verify(tiny())
    assert result.damaged == ("100.dat",)
    assert result.missing == ("102.dat", "102.atr")
    assert result.unlisted == ("102.hea",)
    assert len(result.ok) == 5
    assert len(verify(tiny(), ["101"]).ok) == 3


def test_ensure_reads_no_hashes_and_needs_no_network(mirror: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    download(tiny(), mirror=str(mirror))
    monkeypatch.setattr(downloads, "sha256", None)
    shutil.rmtree(mirror)
    assert ensure(tiny(), ["100"]) == folder(tiny())


def test_a_full_disk_is_one_line(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*args: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    download(tiny(), ["100"], mirror=server.url)
    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(UserError, match="the disk is full"):
        download(tiny(), mirror=server.url)
    assert assert_only_good_files(tiny()) == {"100.hea", "100.dat", "100.atr"}


def test_pinned_hashes_win_over_the_source(mirror: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pinned = {name: hashlib.sha256(content(name)).hexdigest() for name in names(tiny())}
    monkeypatch.setattr(downloads, "_pinned_hashes", lambda database: pinned)
    tampered = mirror / "tinydb/1.0/100.dat"
    tampered.write_bytes(b"tampered")
    (mirror / "tinydb/1.0/SHA256SUMS.txt").write_text(f"{hashlib.sha256(b'tampered').hexdigest()} 100.dat\n")
    with pytest.raises(UserError, match=r"1 of 9 .*100.dat \(rejected"):
        download(tiny(), mirror=str(mirror))
    assert len(verify(tiny()).ok) == 8


def test_mitdb_is_pinned_whole() -> None:
    assert set(downloads._pinned_hashes(DATABASES["mitdb"]) or ()) == names(DATABASES["mitdb"])
    assert len(names(DATABASES["mitdb"])) == 48 * 3


def test_synthetic_records_are_generated(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []

    def write(folder: Path, records: list[str]) -> None:
        calls.append(list(records))
        for name in (f"{record}.{extension}" for record in records for extension in ("hea", "dat", "atr")):
            (folder / name).parent.mkdir(exist_ok=True)
            (folder / name).write_bytes(b"")

    module = ModuleType("heartzoo.data.synthetic")
    module.write = write  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, module.__name__, module)
    database = DATABASES["synthetic"]
    ensure(database, ["syn00"])
    ensure(database, ["syn00"])
    download(database, ["syn00", "syn01"])
    assert calls == [["syn00"], ["syn00", "syn01"]]
    assert len(verify(database, ["syn00", "syn01", "syn02"]).ok) == 6
    assert present(database) == ("syn00", "syn01")


@pytest.mark.data
@pytest.mark.skipif(not REAL.is_dir(), reason="needs the recordings in ../shared/data/physionet")
def test_real_mitdb_records_match_their_pinned_hashes() -> None:
    database = DATABASES["mitdb"]
    download(database, ["100", "234"], mirror=str(REAL))
    assert present(database) == ("100", "234")
    assert len(verify(database, ["100", "234"]).ok) == 6


@pytest.mark.data
@pytest.mark.skipif(not REAL.is_dir(), reason="needs the recordings in ../shared/data/physionet")
def test_real_noise_records_have_no_annotations() -> None:
    database = DATABASES["nstdb"]
    download(database, ["bw"], mirror=str(REAL))
    assert verify(database, ["bw"]).ok == ("bw.hea", "bw.dat")
