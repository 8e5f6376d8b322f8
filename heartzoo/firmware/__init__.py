"""A published model as a folder of C99 that a firmware engineer drops into a project."""

from __future__ import annotations

import tempfile
from pathlib import Path

from heartzoo.cards.front_matter import weights_licence
from heartzoo.cheader import LICENCE, c_header
from heartzoo.contract import delay
from heartzoo.errors import UserError
from heartzoo.files import write_together
from heartzoo.firmware import measurement
from heartzoo.firmware.classifier import classifier_header, classifier_source
from heartzoo.firmware.golden import golden, golden_header
from heartzoo.firmware.measurement import TOOLCHAIN
from heartzoo.firmware.readme import Measured, readme
from heartzoo.firmware.settings import Settings
from heartzoo.firmware.sources import config_files, settings_of, sources
from heartzoo.interpreters import smallest_arena_bytes
from heartzoo.metrics_file.costs import CoreCost, Preprocessing
from heartzoo.zoo.published import PublishedModel, load_tflite

SPDX = f"/* SPDX-License-Identifier: {LICENCE} */\n".encode()

__all__ = ["preprocessing_cost", "require_emulator", "write_firmware"]

OURS = "heartzoo_config.h"  # a Makefile may be anybody's


def write_firmware(name: str, out: Path, recording_hz: float | None = None, zoo: Path | None = None) -> list[Path]:
    """Write the folder.

    Args:
        name: ``NAME`` or ``NAME@VERSION`` of the zoo.
        out: the folder, new or empty, or one written before.
        recording_hz: sampling rate of the recordings in Hz, 100 to 1000; default the model's own.
        zoo: the zoo's folder; default the zoo in use.

    Returns:
        The files written; the last is the README.

    Raises:
        UserError: no such model, TFLite Micro lacks an operator of it, its input is not made as the samples come, a
            sampling rate out of range, a folder that holds something else, or a cross-compiler or emulator that does
            not make what it should of the code.
    """
    model = load_tflite(name, zoo=zoo)
    settings = settings_of(model, recording_hz)
    _check_folder(out)
    arena = _arena_bytes(model)
    files = _files(settings, model, arena)
    page = readme(settings, delay(settings.contract), arena, len(_content(model)), _measured(files))
    files["README.md"] = page.encode()
    ours_first = sorted(files, key=lambda path: path != OURS)  # it tells, after an interruption, whose the folder is
    write_together({out / path: files[path] for path in ours_first})
    return [out / path for path in files]


def preprocessing_cost(name: str, recording_hz: float | None = None, zoo: Path | None = None) -> Preprocessing:
    """What a model's preprocessing costs, measured, as ``metrics.json`` states it.

    Args:
        name: as for :func:`write_firmware`.
        recording_hz: likewise.
        zoo: likewise.

    Raises:
        UserError: as :func:`write_firmware`; the cross-compiler or the emulator is not installed.
    """
    require_emulator()
    model = load_tflite(name, zoo=zoo)
    settings = settings_of(model, recording_hz)
    measured = _measured(_files(settings, model, _arena_bytes(model)))
    assert measured is not None  # of an emulator that is installed
    return Preprocessing(
        recording_hz=settings.recording_hz,
        ram_bytes=measured.state_bytes,
        cortex_m0plus=_core_cost(measured, "Cortex-M0+"),
        **_core_cost(measured, "Cortex-M4F").model_dump(),
    )


def _core_cost(measured: Measured, core: str) -> CoreCost:
    board = measured.boards[core]
    return CoreCost(
        instructions_per_second=board.instructions_per_second,
        flash_bytes=measured.sizes[core].flash,
        stack_bytes=board.stack_bytes,
    )


def require_emulator() -> None:
    """Refuse to measure without the cross-compiler and the emulator.

    Raises:
        UserError: they are not installed.
    """
    if not measurement.can_emulate():
        raise UserError(
            f"{measurement.COMPILER}, its C library and {measurement.EMULATOR} are not all installed",
            "install them: Debian has gcc-arm-none-eabi, libnewlib-arm-none-eabi and qemu-system-arm",
        )


def _content(model: PublishedModel) -> bytes:
    return model.entry.path("model.tflite").read_bytes()


def _arena_bytes(model: PublishedModel) -> int:
    """As measured here or, without TFLite Micro, what the model was published with and half as much again."""
    if (measured := smallest_arena_bytes(_content(model))) is not None:
        return measured
    found = model.entry.metrics.cost.arena_bytes
    if found is None:
        raise UserError(
            f"the arena of {model.entry.name} was not measured when it was published, and TFLite Micro is not "
            "installed here",
            "run this on Linux x86-64, where the tflite-micro package exists",
        )
    return found * 3 // 2


def _check_folder(out: Path) -> None:
    if not out.is_dir() or (out / OURS).is_file():
        return
    # A process that was killed, or met a full disk, leaves folders, and files of that name.
    if any(path.is_file() and not path.name.startswith(".part.") for path in out.rglob("*")):
        raise UserError(f"{out} holds something else", "name a new folder with --out")


def _files(settings: Settings, model: PublishedModel, arena: int) -> dict[str, bytes]:
    """All files but the README, by their path in the folder."""
    content, vectors = _content(model), golden(settings, model.tflite)
    header = c_header(
        settings.name,
        settings.version,
        content,
        settings.classes,
        settings.facts,
        arena,
        vectors.header_vectors(),
        len(content),
        weights_licence(model.entry.configuration),
    )
    texts = {
        "model.h": header,
        "heartzoo_classifier.h": classifier_header(arena),
        "heartzoo_classifier.cc": classifier_source(settings),
        "test/golden.h": golden_header(vectors),
    }
    files = sources() | config_files(settings) | {path: text.encode("ascii") for path, text in texts.items()}
    return {path: SPDX + content if _is_code(path, content) else content for path, content in files.items()}


def _is_code(path: str, content: bytes) -> bool:
    return path.endswith((".c", ".h", ".cc")) and b"SPDX-License-Identifier" not in content


def _measured(files: dict[str, bytes]) -> Measured | None:
    """What they cost, where the cross-compiler and the emulator are installed."""
    if not measurement.can_emulate():
        return None
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for path, content in files.items():
            (folder / path).parent.mkdir(exist_ok=True)
            (folder / path).write_bytes(content)
        boards = {core: measurement.run_on_board(folder, core) for core in measurement.CORES}
        for core, board in boards.items():
            if not board.passed:
                lines = board.output.strip().splitlines() or ["it printed nothing"]
                raise UserError(f"the golden test for a {core} failed on the emulated board: {lines[-1]}", TOOLCHAIN)
        return Measured({core: measurement.sizes(folder, core) for core in measurement.CORES}, boards)
