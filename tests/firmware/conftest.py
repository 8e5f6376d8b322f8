"""Firmware folders, and their C sources as a library."""

from __future__ import annotations

import ctypes
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import pytest

from heartzoo.config import InputConfig
from heartzoo.firmware import write_firmware
from heartzoo.firmware.settings import Settings
from heartzoo.firmware.sources import config_files, settings_of, sources
from heartzoo.flatbuffer import ModelFacts, TensorFacts
from heartzoo.runtime import TfliteModel
from heartzoo.zoo.published import load_tflite

HERE = Path(__file__).parent


@dataclass(frozen=True)
class Built:
    """The C sources of a model, compiled for this computer."""

    settings: Settings
    model: TfliteModel
    library: ctypes.CDLL

    def run(self, signal: np.ndarray, peaks: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """A whole recording: positions of the beats, and their quantized inputs."""
        x, given = np.ascontiguousarray(signal, np.float32), np.ascontiguousarray(peaks, np.uint32)
        contract, dtype = self.settings.contract, self.settings.facts.signal.dtype
        most = len(x) // 20 + len(given) + 50
        where = np.zeros(most, np.uint32)
        inputs = np.zeros((most, contract.frame), dtype), np.zeros((most, max(len(contract.beat_features), 1)), dtype)
        arrays = [array.ctypes.data_as(ctypes.c_void_p) for array in (where, *inputs)]
        pieces = x.ctypes.data_as(ctypes.c_void_p), len(x), given.ctypes.data_as(ctypes.c_void_p), len(given)
        found = self.library.heartzoo_run(*pieces, *arrays)
        return where[:found].astype(np.int64), inputs[0][:found].astype(int), inputs[1][:found].astype(int)


@pytest.fixture(scope="session")
def build(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Built]:
    """Compile the C sources of a published model for a sampling rate."""
    if shutil.which("gcc") is None:
        pytest.skip("gcc is not installed")

    @lru_cache
    def built(name: str, recording_hz: int, detects: bool = True) -> Built:
        model = load_tflite(name)
        settings = settings_of(model, recording_hz, None if detects else False)
        return Built(settings, model.tflite, compiled(settings, tmp_path_factory.mktemp("library")))

    return built


def compiled(settings: Settings, folder: Path) -> ctypes.CDLL:
    """The C sources as a library."""
    for path, content in (sources() | config_files(settings)).items():
        if "/" not in path:
            (folder / path).write_bytes(content)
    files = [*map(str, folder.glob("*.c")), str(HERE / "run.c")]
    command = ["gcc", "-std=c99", "-O1", "-Wall", "-Wextra", "-Wpedantic", "-Wconversion", "-Werror", "-shared"]
    output = folder / "firmware.so"
    subprocess.run([*command, "-fPIC", "-I", str(folder), *files, "-lm", "-o", str(output)], check=True)
    return ctypes.CDLL(str(output))


@pytest.fixture(scope="session")
def compile_sources() -> Callable[[Settings, Path], ctypes.CDLL]:
    """:func:`compiled`, for tests with settings of their own."""
    if shutil.which("gcc") is None:
        pytest.skip("gcc is not installed")
    return compiled


class Untrained(TfliteModel):
    """A network that only quantizes: its inputs are those of ``facts``, its logits are 0."""

    def __init__(self, facts: ModelFacts) -> None:
        self.facts = facts

    def run_quantized(self, signal: np.ndarray, rr: np.ndarray | None = None) -> np.ndarray:
        return np.zeros((len(signal), 2), self.facts.logits.dtype)


@pytest.fixture
def build_contract(tmp_path: Path) -> Callable[[InputConfig, int, str], Built]:
    """Compile the C sources for a contract that no published model has."""
    if shutil.which("gcc") is None:
        pytest.skip("gcc is not installed")

    def built(contract: InputConfig, recording_hz: int, dtype: str) -> Built:
        scale = {"int8": 1 / 40, "int16": 1 / 8000}[dtype]
        inputs = [TensorFacts((1, 1, contract.frame, 1), dtype, scale, 0)]
        if contract.beat_features:
            inputs.append(TensorFacts((1, len(contract.beat_features)), dtype, scale, 3))
        facts = ModelFacts(tuple(inputs), (TensorFacts((1, 2), dtype, 1.0, 0),), {}, 0, 0, 0, 0)
        detects = contract.cut != "rhythm"
        settings = Settings("untrained", "1.0.0", contract, facts, ("N", "V"), 1.0, 0.0, {}, recording_hz, detects)
        return Built(settings, Untrained(facts), compiled(settings, tmp_path))

    return built


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str, float | None], Path]:
    """The firmware folder of a published model. Only for reading."""

    @lru_cache
    def written(name: str, recording_hz: float | None = None) -> Path:
        out = tmp_path_factory.mktemp("firmware") / name
        write_firmware(name, out, recording_hz)
        return out

    return written
