"""Fixtures of every test: a cache that holds the synthetic recordings, and the real recordings where they are."""

from __future__ import annotations

import shutil
import socket
import sys
import threading
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from hypothesis import settings

from heartzoo.data import sources, synthetic
from heartzoo.data.databases import get_database

# No test times anything: an example may take as long as the machine needs.
settings.register_profile("heartzoo", deadline=None)
settings.load_profile("heartzoo")

# The files that take longest begin first: what begins last ends last, while the other workers have nothing to do.
LONGEST = (
    *("test_website.py", "test_export.py", "test_training.py", "test_experiments.py", "test_docs.py", "test_steps.py"),
    *("test_models.py", "test_cli.py", "test_prune_channels.py", "test_zoo.py", "test_pretrained.py"),
)
PHYSIONET = Path(__file__).parents[2] / "shared" / "data" / "physionet"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: LONGEST.index(item.path.name) if item.path.name in LONGEST else len(LONGEST))


@pytest.fixture(scope="session")
def synthetic_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache folder with the 32 synthetic recordings at full length. Prepared stores pile up in it: leave it whole."""
    folder = tmp_path_factory.mktemp("cache")
    database = get_database("synthetic")
    synthetic.write(folder / database.name / database.version, database.records)
    return folder


@pytest.fixture
def cache(synthetic_cache: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """``synthetic_cache`` as this process' cache (and its children's), without a mirror.

    What a test before this one left of an interrupted evaluation is gone.
    """
    shutil.rmtree(synthetic_cache / "evaluations", ignore_errors=True)
    monkeypatch.setenv("HEARTZOO_CACHE", str(synthetic_cache))
    monkeypatch.delenv("HEARTZOO_MIRROR", raising=False)
    return synthetic_cache


class Server(ThreadingHTTPServer):
    """Serves a folder. ``faults`` holds, for a file name, what to do wrong at the next requests, in order.

    ``resumes``: whether it goes on from the middle of a file if asked to.
    """

    def __init__(self, root: Path) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.root = root
        self.url = f"http://127.0.0.1:{self.server_port}"
        self.faults: dict[str, list[str]] = defaultdict(list)
        self.hits: Counter[str] = Counter()
        self.resumes, self.resumed = False, Counter[str]()
        self.stalled, self.released = threading.Event(), threading.Event()

    def handle_error(self, request: object, client_address: object) -> None:
        assert isinstance(sys.exc_info()[1], ConnectionError)  # a client that was killed


class Handler(BaseHTTPRequestHandler):
    server: Server
    protocol_version = "HTTP/1.1"

    def log_message(self, *args: object) -> None:
        pass

    def do_GET(self) -> None:
        path = self.server.root / self.path.lstrip("/")
        self.server.hits[path.name] += 1
        begun = int((self.headers["Range"] or "bytes=0-").removeprefix("bytes=").removesuffix("-"))
        faults = self.server.faults[path.name]
        fault = faults.pop(0) if faults else ""
        if fault.isdigit() or not path.is_file():
            self.answer(int(fault or 404), b"no")
        elif fault.startswith("to "):
            self.answer(302, b"", fault.removeprefix("to "))
        elif fault == "wrong":
            self.answer(200, path.read_bytes()[::-1])
        elif fault == "drop":
            self.close_connection = True
        elif fault == "endless":
            self.answer(200, path.read_bytes() * 50)
        elif self.server.resumes and begun:
            self.server.resumed[path.name] += 1
            self.answer(206, path.read_bytes()[begun:], fault=fault)
        else:
            self.answer(200, path.read_bytes(), fault=fault)

    def answer(self, status: int, body: bytes, location: str = "", fault: str = "") -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        if location:
            self.send_header("Location", location)
        self.end_headers()
        self.wfile.write(body[: len(body) // 2])
        if fault == "stall":
            self.server.stalled.set()
            self.server.released.wait(20)
        if fault == "cut":
            self.close_connection = True
        else:
            self.wfile.write(body[len(body) // 2 :])


@pytest.fixture
def serve(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[Path], Server]]:
    """Serve a folder on this machine until the test ends."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setattr(sources, "BACKOFF_S", 0.001)
    with ExitStack() as stack:

        def start(root: Path) -> Server:
            server = stack.enter_context(Server(root))
            thread = threading.Thread(target=server.serve_forever, args=(0.02,))
            thread.start()
            for end in (thread.join, server.shutdown, server.released.set):
                stack.callback(end)
            return server

        yield start


@pytest.fixture
def closed_port() -> str:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{listener.getsockname()[1]}"


@pytest.fixture(scope="session")
def physionet() -> Path:
    """Real recordings in PhysioNet's layout. Only for reading. Mark a test that asks for it with ``data``."""
    if not PHYSIONET.is_dir():
        pytest.skip(f"real recordings are not here: {PHYSIONET}")
    return PHYSIONET


@pytest.fixture
def physionet_cache(physionet: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache that fetches from ``physionet``."""
    monkeypatch.setenv("HEARTZOO_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("HEARTZOO_MIRROR", str(physionet))
    return tmp_path / "cache"


TINY = """\
name: tiny
summary: a network for tests
task: beat-3
data: {train: [synthetic-train], test: [synthetic-test]}
input:
  frame: 64
  highpass_hz: 0.5
  rr_features:
    [pre_median, post_median, pre_post, pre_mean10, previous_pre, pre_quantile70, pre_mean, post_mean, recurrence]
  template_features: [qrs_match, p_difference]
model:
  architecture: resnet
  sizes: {stem_filters: 4, filters: [6, 8], depths: [1, 1], rr_units: 4, head_units: 8}
training:
  epochs: 2
  steps_per_epoch: 20
  batch_size: 64
  learning_rate: 0.01
  augmentation: {amplitude: 0.1, shift_s: 0.02}
prevalence: {PAC: {usual: 0.2, assumed: 0.2}}
export: {calibration_examples: 60}
seeds: [0, 1]
"""


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The configuration file of a network that trains and exports in seconds."""
    path = tmp_path_factory.mktemp("tiny") / "tiny.yaml"
    path.write_text(TINY, encoding="utf-8")
    return path


@pytest.fixture(scope="session")
def tiny_run(tiny: Path, synthetic_cache: Path) -> Path:
    """The folder of its finished training, two seeds. Only for reading: copy it to export it."""
    from heartzoo.config.file import load_config
    from heartzoo.runs import train

    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setenv("HEARTZOO_CACHE", str(synthetic_cache))
        return train(load_config(tiny), tiny.parent / "run")


@pytest.fixture(scope="session")
def tiny_zoo(tiny_run: Path, synthetic_cache: Path) -> Path:
    """A zoo that holds its export, ``tiny@1.0.0``. Only for reading."""
    from heartzoo.export import export

    folder = tiny_run.parent / "zoo"
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setenv("HEARTZOO_CACHE", str(synthetic_cache))
        export(tiny_run, root=folder)
    return folder
