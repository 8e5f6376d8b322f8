"""A published model as a folder of C99 that a firmware engineer drops into a project."""

from __future__ import annotations

from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path

from heartzoo.cheader import c_header
from heartzoo.contract import delay
from heartzoo.errors import UserError
from heartzoo.files import write_bytes
from heartzoo.firmware import measurement
from heartzoo.firmware.golden import Golden, golden, golden_header
from heartzoo.firmware.classifier import classifier_header, classifier_source
from heartzoo.firmware.readme import Measured, readme
from heartzoo.firmware.settings import Settings, check, config_header, config_source
from heartzoo.interpreters import smallest_arena_bytes
from heartzoo.zoo import PublishedModel, load_tflite

__all__ = ["write_firmware"]


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
            sampling rate out of range, or a folder that holds something else.
    """
    model = load_tflite(name, zoo=zoo)
    settings = settings_of(model, recording_hz)
    arena = _arena_bytes(model)
    _check_folder(out)
    vectors = golden(settings, model.tflite)
    files = _sources() | _generated(settings, model, vectors, arena)
    for path, content in files.items():
        write_bytes(out / path, content)
    page = readme(settings, delay(settings.contract), arena, len(_content(model)), _measure(out))
    write_bytes(out / "README.md", page.encode())
    return [out / path for path in (*files, "README.md")]


def settings_of(model: PublishedModel, recording_hz: float | None = None, detects: bool | None = None) -> Settings:
    """What the firmware of a model is made for.

    Args:
        model: a published model.
        recording_hz: sampling rate of the recordings in Hz; default the model's own.
        detects: whether R peaks are found, not given; default where the model labels beats.
    """
    contract = model.config.input
    hz = check(contract, model.entry.name, recording_hz)
    confidence = model.entry.configuration.get("confidence") or {"temperature": 1.0, "threshold": None}
    return Settings(
        name=model.entry.name,
        version=model.entry.version,
        contract=contract,
        facts=model.tflite.facts,
        classes=model.classes,
        temperature=confidence["temperature"],
        threshold=confidence["threshold"] or 0.0,
        recording_hz=hz,
        detects=contract.cut != "rhythm" if detects is None else detects,
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
    if out.is_dir() and any(out.iterdir()) and not (out / "heartzoo_config.h").is_file():
        raise UserError(f"{out} holds something else", "name a new folder with --out")


def _sources() -> dict[str, bytes]:
    """The hand-written files, by their path in the folder."""
    return dict(_files(resources.files("heartzoo.firmware").joinpath("c"), ""))


def _files(folder: Traversable, prefix: str) -> list[tuple[str, bytes]]:
    found: list[tuple[str, bytes]] = []
    for item in sorted(folder.iterdir(), key=lambda item: item.name):
        path = f"{prefix}{item.name}"
        found += _files(item, f"{path}/") if item.is_dir() else [(path, item.read_bytes())]
    return found


def _generated(settings: Settings, model: PublishedModel, vectors: Golden, arena: int) -> dict[str, bytes]:
    content = _content(model)
    header = c_header(
        settings.name,
        settings.version,
        content,
        settings.classes,
        settings.facts,
        arena,
        vectors.header_vectors(),
        len(content),
    )
    texts = {
        "heartzoo_config.h": config_header(settings),
        "heartzoo_config.c": config_source(settings),
        "model.h": header,
        "heartzoo_classifier.h": classifier_header(arena),
        "heartzoo_classifier.cc": classifier_source(settings),
        "test/golden.h": golden_header(vectors),
    }
    return {path: text.encode("ascii") for path, text in texts.items()}


def _measure(out: Path) -> Measured | None:
    """What the folder costs, where the cross-compiler and the emulator are installed."""
    if not measurement.can_emulate():
        return None
    return Measured({core: measurement.sizes(out, core) for core in measurement.CORES}, measurement.run_on_board(out))
