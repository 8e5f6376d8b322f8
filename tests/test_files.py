"""Atomic writes, locks and hashes keep their word when processes die, disks fill up and paths are wrong."""

from __future__ import annotations

import errno
import hashlib
import json
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heartzoo.errors import UserError
from heartzoo.files import (
    atomic_path,
    cache_dir,
    fill_page,
    json_bytes,
    lock,
    refuse_unwritable,
    sha256,
    write_bytes,
    write_json,
    write_together,
    writing,
)

HOLD = """\
import sys, time
from pathlib import Path
from heartzoo.files import lock
with lock(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(float(sys.argv[2]))
"""


@contextmanager
def holder(path: Path, seconds: float) -> Iterator[subprocess.Popen[str]]:
    """A process that holds the lock of ``path``."""
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, path, str(seconds)], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout and process.stdout.readline() == "held\n"
        yield process


def test_atomic_path_writes_at_once_and_makes_the_folder(tmp_path):
    path = tmp_path / "a" / "b.txt"
    with atomic_path(path) as temporary:
        temporary.write_text("new")
        assert not path.exists() and temporary.suffix == path.suffix and temporary.parent == path.parent
    assert path.read_text() == "new" and list(path.parent.iterdir()) == [path]


def test_a_place_that_cannot_be_written_is_refused_before_the_work(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    refuse_unwritable(tmp_path / "to" / "be" / "made", "--out")
    assert not (tmp_path / "to").exists()
    with pytest.raises(UserError, match="file is a file; name a folder with --out"):
        refuse_unwritable(tmp_path / "file" / "in it", "--out")
    monkeypatch.setattr("os.access", lambda path, mode: Path(path) != tmp_path)  # root may write everywhere
    with pytest.raises(UserError, match=f"{tmp_path} cannot be written; name another folder with --out"):
        refuse_unwritable(tmp_path / "to" / "be" / "made", "--out")


def test_threads_of_one_process_do_not_write_over_each_other(tmp_path):
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda number: write_bytes(tmp_path / "a", bytes([number]) * 100_000), range(64)))
    assert len(set((tmp_path / "a").read_bytes())) == 1 and [path.name for path in tmp_path.iterdir()] == ["a"]


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path):
    path = tmp_path / "b.txt"
    path.write_text("old")
    with pytest.raises(KeyboardInterrupt), atomic_path(path) as temporary:
        temporary.write_text("half")
        raise KeyboardInterrupt
    assert path.read_text() == "old" and list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), "the disk is full: cannot write"),
        (OSError(errno.EFBIG, "File too large"), "File too large; raise the limit of file sizes"),
        (OSError(errno.EIO, "Input/output error"), "Input/output error; raise .* or check the disk"),
        (OSError(errno.EDQUOT, "Disk quota exceeded"), "the disk is full: cannot write"),
        # as h5py reports it
        (OSError("Can't write data (errno = 28, error message = 'No space left on device')"), "the disk is full"),
        # as NumPy reports either
        (OSError("150000 requested and 28672 written"), "cannot write all of .*b.txt; free some space, or raise"),
        (OSError(errno.EROFS, "Read-only file system"), "cannot write .*Read-only file system"),
        (OSError(errno.EACCES, "Permission denied"), "cannot write .*Permission denied"),
    ],
)
def test_a_full_disk_or_read_only_folder_is_told_in_one_line(tmp_path, error, told):
    path = tmp_path / "b.txt"
    with pytest.raises(UserError, match=told), atomic_path(path) as temporary:
        temporary.write_text("half")
        raise error
    assert not list(tmp_path.iterdir())


def test_a_really_full_disk_is_told(tmp_path):
    if not Path("/dev/full").exists():
        pytest.skip("this system has no /dev/full")
    with pytest.raises(UserError, match="the disk is full"), writing(tmp_path):
        Path("/dev/full").write_text("x")


def test_of_files_that_belong_together_a_full_disk_changes_none(tmp_path, monkeypatch):
    files = [tmp_path / name for name in ("a", "b", "c")]
    placed, replace = [], Path.replace
    with monkeypatch.context() as patched:
        patched.setattr(Path, "replace", lambda path, target: placed.append(target) or replace(path, target))
        write_together(dict.fromkeys(files, b"old"))
    assert placed == files
    write = Path.write_bytes

    def full(path: Path, content: bytes) -> int:
        if path.name.endswith(".c"):
            raise OSError(errno.ENOSPC, "No space left on device")
        return write(path, content)

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(UserError, match=r"the disk is full: cannot write .*c; free"):
        write_together(dict.fromkeys(files, b"new"))
    assert [path.read_bytes() for path in files] == [b"old"] * 3 and sorted(tmp_path.iterdir()) == files


def test_other_errors_pass(tmp_path):
    with pytest.raises(OSError, match="Too many open files"), writing(tmp_path):
        raise OSError(errno.EMFILE, "Too many open files")


@pytest.mark.parametrize("where", ["file/below", "folder"])
def test_a_path_that_cannot_be_a_file_is_told(tmp_path, where):
    (tmp_path / "file").write_text("a file, not a folder")
    (tmp_path / "folder").mkdir()
    with pytest.raises(UserError, match="cannot write"):
        write_bytes(tmp_path / where, b"x")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "folder"]


def test_json_refuses_what_is_not_json(tmp_path):
    write_json(tmp_path / "a.json", {"a": [1, 2.5, None]})
    assert json.loads((tmp_path / "a.json").read_text()) == {"a": [1, 2.5, None]}
    with pytest.raises(ValueError, match="JSON"):
        write_json(tmp_path / "b.json", float("nan"))
    assert [path.name for path in tmp_path.iterdir()] == ["a.json"]


numbers = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
texts = st.text() | st.sampled_from(["[\n  1,\n  2\n]", "[ 1 ]", '"[', "]"])
trees = st.recursive(numbers | texts, lambda each: st.lists(each) | st.dictionaries(texts, each))


@given(trees)
def test_json_reads_as_what_was_written(value):
    assert json.loads(json_bytes(value)) == value


def test_json_has_each_list_of_numbers_in_a_line():
    value = {"matrix": [[1, 2], [-0.5, 4e-30]], "names": ["a", "b"], "none": [], "known": [None, True]}
    assert json_bytes(value).decode().splitlines() == [
        "{",
        '  "matrix": [',
        "    [1, 2],",
        "    [-0.5, 4e-30]",
        "  ],",
        '  "names": [',
        '    "a",',
        '    "b"',
        "  ],",
        '  "none": [],',
        '  "known": [null, true]',
        "}",
    ]


def test_a_second_process_waits_for_the_lock(tmp_path):
    got = threading.Event()

    def wait() -> None:
        with lock(tmp_path / "thing"):
            got.set()

    with holder(tmp_path / "thing", 600) as process:
        waiting = threading.Thread(target=wait)
        waiting.start()
        assert not got.wait(0.5)
        process.kill()
        waiting.join()
    assert got.is_set()


@pytest.mark.skipif(not Path("/proc/self").is_dir(), reason="a folder of Linux in which nothing can be made")
def test_a_lock_that_cannot_be_made_is_told_instead_of_waited_for():
    with pytest.raises(FileNotFoundError), lock(Path("/proc/thing")):
        pass


def test_a_killed_owner_frees_the_lock(tmp_path):
    with holder(tmp_path / "thing", 600) as process:
        process.send_signal(signal.SIGKILL)
        process.wait()
        start = time.monotonic()
        with lock(tmp_path / "thing"):
            assert time.monotonic() - start < 60


def test_sha256_is_that_of_the_whole_file(tmp_path):
    content = bytes(range(256)) * 20_000
    (tmp_path / "a").write_bytes(content)
    assert sha256(tmp_path / "a") == hashlib.sha256(content).hexdigest()


def test_the_cache_folder_follows_the_environment(tmp_path, monkeypatch):
    monkeypatch.setenv("HEARTZOO_CACHE", str(tmp_path))
    assert cache_dir() == tmp_path
    monkeypatch.delenv("HEARTZOO_CACHE")
    assert cache_dir().name == "heartzoo"


def test_a_page_is_filled_between_its_marks(tmp_path):
    page = tmp_path / "page.md"
    page.write_text("before\n<!-- x: begin -->\nold\n<!-- x: end -->\nafter\n")
    fill_page(page, "x", "new")
    assert page.read_text() == "before\n<!-- x: begin -->\nnew\n<!-- x: end -->\nafter\n"
    with pytest.raises(UserError, match=r"has no lines <!-- y: begin -->"):
        fill_page(page, "y", "new")
