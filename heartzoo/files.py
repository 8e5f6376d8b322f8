"""Atomic writes, locks, hashes, and the cache folder."""

from __future__ import annotations

import errno
import hashlib
import io
import json
import os
import re
import threading
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import filelock
import platformdirs

from heartzoo.errors import UserError


def cache_dir() -> Path:
    """The folder for downloaded records and prepared examples: ``HEARTZOO_CACHE``, else the platform's."""
    return Path(os.environ.get("HEARTZOO_CACHE") or platformdirs.user_cache_dir("heartzoo"))


_NUMBERS = re.compile(r'\[\n([^\[\]{}"]*)\]')  # a list of nothing but numbers; no string has a line break in JSON
_NOT_WRITABLE = (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EISDIR, errno.EEXIST, errno.ENAMETOOLONG)


@contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside ``path``; rename it over ``path`` on success, remove it on failure.

    A process that is killed leaves at most the temporary file, never a half-written ``path``.

    Raises:
        UserError: the disk is full, or ``path`` is a folder or cannot be written.
    """
    # The ending is kept: some writers choose the format by it.
    temporary = path.with_name(f".part.{os.getpid()}.{threading.get_ident()}.{path.name}")
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            yield temporary
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turn a full disk, a path that cannot be written and a missing permission into a :class:`UserError`."""
    try:
        yield
    except OSError as error:
        # h5py reports a full disk as an OSError without an errno of its own but with the text in the message.
        if error.errno in (errno.ENOSPC, errno.EDQUOT) or "No space left" in str(error):
            raise UserError(f"the disk is full: cannot write {path}", "free some space and run it again") from error
        if error.errno in _NOT_WRITABLE:
            raise UserError(f"cannot write {path}: {error.strerror}", "choose another folder") from error
        if error.errno in (errno.EFBIG, errno.EIO):  # under a limit of file sizes h5py reports the latter
            remedy = "raise the limit of file sizes (ulimit -f), or check the disk"
            raise UserError(f"cannot write {path}: {error.strerror}", remedy) from error
        if error.errno is None and "written" in str(error):  # NumPy: so many items requested and so many written
            remedy = "free some space, or raise the limit of file sizes (ulimit -f)"
            raise UserError(f"cannot write all of {path}", remedy) from error
        raise


def refuse_unwritable(folder: Path, option: str) -> None:
    """Refuse what cannot be a folder to write into, before work whose result would be lost.

    Args:
        folder: the place; it need not be there yet.
        option: what names it on the command line.

    Raises:
        UserError: it is a file, or lies in one, or nothing may be written there.
    """
    place = _existing(folder)
    if not place.is_dir():
        raise UserError(f"{place} is a file", f"name a folder with {option}")
    if not writable(folder):
        raise UserError(f"{place} cannot be written", f"name another folder with {option}")


def writable(folder: Path) -> bool:
    """Whether files can be made in a folder, or in the one in which it would have to be made."""
    place = _existing(folder)
    return place.is_dir() and os.access(place, os.W_OK)


def _existing(path: Path) -> Path:
    return next(place for place in (path, *path.absolute().parents) if place.exists())


def write_bytes(path: Path, content: bytes) -> None:
    """Write a file atomically."""
    with atomic_path(path) as temporary:
        temporary.write_bytes(content)


def write_together(contents: Mapping[Path, bytes]) -> None:
    """Write files that belong together: none takes its place before all are written, so a full disk changes nothing.

    They take their places in the order given.

    Raises:
        UserError: as :func:`atomic_path`.
    """
    with ExitStack() as stack:
        for path, content in reversed(list(contents.items())):  # whose context is entered last ends first
            stack.enter_context(atomic_path(path)).write_bytes(content)


def read_json(path: Path) -> Any:
    """What :func:`write_json` wrote.

    Raises:
        UserError: the file is missing or damaged.
    """
    try:
        return json.loads(path.read_bytes())
    except FileNotFoundError as error:
        raise UserError(f"{path} is missing", "restore it") from error
    except ValueError as error:
        raise UserError(f"{path} is damaged", "restore it, or remove it") from error


def json_bytes(value: Any) -> bytes:
    """A value as indented JSON, each list of numbers in a line of its own.

    Raises:
        ValueError: it has a NaN, which is not JSON.
    """
    text = json.dumps(value, indent=2, allow_nan=False)
    return (_NUMBERS.sub(lambda found: f"[{' '.join(found[1].split())}]", text) + "\n").encode()


def write_json(path: Path, value: Any) -> None:
    """Write what :func:`json_bytes` makes of a value, atomically."""
    write_bytes(path, json_bytes(value))


class Sink(io.FileIO):
    """A new file for HDF5 to write to, which keeps its first failure to itself until :meth:`check`.

    HDF5 that is told of a full disk crashes the process when the file is closed, so it is not told.

    Args:
        path: the file; it is emptied.
    """

    def __init__(self, path: Path) -> None:
        super().__init__(path, "w+")
        self.error: OSError | None = None

    def write(self, data: Any) -> int:
        """Write all of ``data``, or nothing more once a write has failed."""
        left = memoryview(data).cast("B")
        size = len(left)
        while left and self.error is None:
            try:
                left = left[super().write(left) :]
            except OSError as error:
                self.error = error
        return size

    def truncate(self, size: int | None = None) -> int:
        """Set the length, unless a write has failed."""
        try:
            return self.tell() if self.error else super().truncate(size)
        except OSError as error:
            self.error = error
            return self.tell()

    def check(self) -> None:
        """Raise what an earlier write met."""
        if self.error is not None:
            raise self.error


@contextmanager
def lock(path: Path) -> Iterator[None]:
    """Hold the lock ``.<name>.lock`` beside ``path``; a second process waits. A killed owner frees it."""
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        lock_file = path.with_name(f".{path.name}.lock")
        lock_file.touch()  # where that fails as in /proc, filelock would wait for ever
        held = filelock.FileLock(lock_file)
        held.acquire()
    try:
        yield
    finally:
        held.release()


def sha256(path: Path) -> str:
    """Hex SHA-256 of a file, read in blocks."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def fill_page(path: Path, section: str, text: str) -> None:
    """Replace what stands in a page between ``<!-- section: begin -->`` and ``<!-- section: end -->``.

    Raises:
        UserError: the page has no such lines.
    """
    begin, end = f"<!-- {section}: begin -->", f"<!-- {section}: end -->"
    before, found, rest = path.read_text(encoding="utf-8").partition(begin)
    _, closed, after = rest.partition(end)
    if not found or not closed:
        raise UserError(f"{path} has no lines {begin} and {end}", "put them where the text belongs")
    write_bytes(path, f"{before}{begin}\n{text}\n{end}{after}".encode())
