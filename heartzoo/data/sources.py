"""Where files come from: a web server or a folder, one file at a time, with retries."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING, Protocol
from urllib.parse import quote, urlsplit
from urllib.request import url2pathname

from heartzoo.errors import UserError

if TYPE_CHECKING:
    import requests

ATTEMPTS = 5
BACKOFF_S = 0.5  # before the second attempt; doubles each time
TIMEOUT_S = (10.0, 30.0)  # to connect; without a byte


class Fetch(Protocol):
    """Gets one file: its name below the source's base, where to write it, and the most bytes that it may have.

    What a cut attempt has left at that place is completed, where the server can.
    """

    def __call__(self, name: str, path: Path, most_bytes: int | None = None) -> None:
        """Get it, or raise as :func:`open_source` says."""


class Unreachable(UserError):
    """No file can be had from a source now."""


class FileError(Exception):
    """One file cannot be had from its source, and why; others may still be."""


class Absent(FileError):
    """The source has no such file, or does not give it away."""


@contextmanager
def open_source(base: str, workers: int, stop: Event) -> Iterator[Fetch]:
    """Yield the function that fetches a file; several threads may call it at once.

    It raises :class:`FileError` where this file cannot be had, and :class:`UserError` where none can.

    Args:
        base: URL (``http``, ``https``, ``file``) or path of the folder that holds the files.
        workers: number of threads that fetch.
        stop: when set, fetches over HTTP end early with a :class:`FileError`.

    Raises:
        UserError: ``base`` is another kind of URL, or a folder that does not exist.
    """
    try:
        scheme = urlsplit(base).scheme if "://" in base else ""
    except ValueError as error:
        raise UserError(f"{base!r} is no URL ({error})", "name an http(s) URL or a folder") from error
    if scheme in ("http", "https"):
        import requests

        with requests.Session() as session:
            session.mount(f"{scheme}://", requests.adapters.HTTPAdapter(pool_maxsize=workers))
            session.headers["Accept-Encoding"] = "identity"
            yield partial(_fetch_http, session, base, stop)
    elif scheme in ("", "file"):
        root = Path(url2pathname(urlsplit(base).path) if scheme else base)
        if not root.is_dir():
            raise UserError(
                f"the mirror has no folder {root}",
                "name one with PhysioNet's layout <mirror>/<database>/<version>/<file>",
            )
        yield partial(_fetch_copy, root)
    else:
        raise UserError(f"cannot use {base!r} as a mirror", "name an http(s) URL or a folder")


def _fetch_copy(root: Path, name: str, path: Path, most_bytes: int | None = None) -> None:
    try:
        source = (root / name).open("rb")
    except FileNotFoundError as error:
        raise Absent(f"not found: {root / name}") from error
    except OSError as error:
        raise FileError(f"cannot read {root / name}: {error.strerror}") from error
    with source, path.open("wb") as target:
        if most_bytes is not None and os.fstat(source.fileno()).st_size > most_bytes:
            raise FileError(f"more than the {most_bytes:,} bytes expected: {root / name}")
        shutil.copyfileobj(source, target, 1 << 20)


def _fetch_http(
    session: requests.Session, base: str, stop: Event, name: str, path: Path, most_bytes: int | None = None
) -> None:
    """Fetch one file over HTTP, trying again after faults that may pass; an attempt that got on does not count."""
    import requests

    url = f"{base}/{quote(name)}"
    failed = 0
    while True:
        if stop.is_set():
            raise FileError("stopped")
        begun = _size(path)
        try:
            _get(session, url, path, stop, most_bytes)
            return
        except requests.RequestException as error:
            failed = 1 if _size(path) > begun else failed + 1
            if failed == ATTEMPTS or not _may_pass(error):
                raise _explained(error, url) from error
        if stop.wait(BACKOFF_S * 2 ** (failed - 1)):
            raise FileError("stopped")


def _size(path: Path) -> int:
    return path.stat().st_size if path.is_file() else 0


def _get(session: requests.Session, url: str, path: Path, stop: Event, most_bytes: int | None = None) -> None:
    begun = _size(path)
    headers = {"Range": f"bytes={begun}-"} if begun else {}
    with session.get(url, stream=True, timeout=TIMEOUT_S, headers=headers) as response:
        if response.status_code == 416:  # nothing is left to get, or the file is another now
            path.unlink()
            return _get(session, url, path, stop, most_bytes)
        response.raise_for_status()
        if url.startswith("https:") and not response.url.startswith("https:"):
            raise FileError(f"redirected to the insecure {response.url}")
        with path.open("ab" if response.status_code == 206 else "wb") as file:
            for piece in _pieces(response):
                if stop.is_set():
                    raise FileError("stopped")
                file.write(piece)
                if most_bytes is not None and file.tell() > most_bytes:
                    raise FileError(f"more than the {most_bytes:,} bytes expected: {url}")


def _pieces(response: requests.Response) -> Iterator[bytes]:
    """The content as it comes: unlike ``iter_content``, which loses what came of the piece in which it is cut."""
    import requests
    import urllib3

    try:
        while piece := response.raw.read1(1 << 14, decode_content=True):
            yield piece
    except urllib3.exceptions.DecodeError as error:
        raise requests.exceptions.ContentDecodingError(error) from error
    except urllib3.exceptions.ProtocolError as error:
        raise requests.exceptions.ChunkedEncodingError(error) from error
    except urllib3.exceptions.ReadTimeoutError as error:
        raise requests.exceptions.ConnectionError(error) from error
    except urllib3.exceptions.SSLError as error:
        raise requests.exceptions.SSLError(error) from error


def _may_pass(error: requests.RequestException) -> bool:
    """Whether another attempt makes sense: a server that is busy, a connection that failed."""
    import requests

    if error.response is not None:
        return error.response.status_code == 429 or error.response.status_code >= 500
    passing = requests.ConnectionError, requests.Timeout, requests.exceptions.ChunkedEncodingError
    return isinstance(error, passing)


def _explained(error: requests.RequestException, url: str) -> FileError | UserError:
    """What a failed request means: this file cannot be had, or (a UserError) no file can."""
    import requests
    import urllib3

    if isinstance(error, requests.TooManyRedirects):
        return Absent(f"redirected in a loop: {url}")
    if isinstance(error, requests.exceptions.ContentDecodingError):
        return FileError(f"what came is not compressed as it says: {url}")
    if error.response is not None:
        status = error.response.status_code
        kind = Absent if 400 <= status < 500 and status != 429 else FileError
        return kind(f"{'not found, ' if status == 404 else ''}HTTP {status} from {url}")
    if not _may_pass(error):
        return FileError(f"{url}: {error}")
    if error.args and isinstance(error.args[0], urllib3.exceptions.ProtocolError):
        return FileError(f"the connection was cut: {url}")
    tls = isinstance(error, requests.exceptions.SSLError)
    return Unreachable(
        f"cannot reach {urlsplit(url).netloc}{', its certificate is not trusted' if tls else ''}",
        "check the connection, or name another source with --mirror or HEARTZOO_MIRROR; running again resumes",
    )
