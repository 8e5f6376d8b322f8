"""The files of a firmware folder that do not depend on the network's weights: hand-written C, and its configuration."""

from __future__ import annotations

from importlib import resources
from importlib.resources.abc import Traversable

from heartzoo.firmware.configuration import config_header, config_source
from heartzoo.firmware.settings import Settings, check
from heartzoo.zoo.published import PublishedModel


def settings_of(model: PublishedModel, recording_hz: float | None = None, detects: bool | None = None) -> Settings:
    """What the firmware of a model is made for.

    Args:
        model: a published model.
        recording_hz: sampling rate of the recordings in Hz; default the model's own.
        detects: whether R peaks are found, not given; default where the model labels beats.

    Raises:
        UserError: a sampling rate out of range, or a model whose input is not made as the samples come.
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
        prevalence=model.config.prevalence,
        recording_hz=hz,
        detects=contract.cut != "rhythm" if detects is None else detects,
    )


def sources() -> dict[str, bytes]:
    """The hand-written files, by their path in the folder."""
    return dict(_files(resources.files("heartzoo.firmware").joinpath("c"), ""))


def _files(folder: Traversable, prefix: str) -> list[tuple[str, bytes]]:
    found: list[tuple[str, bytes]] = []
    for item in sorted(folder.iterdir(), key=lambda item: item.name):
        path = f"{prefix}{item.name}"
        found += _files(item, f"{path}/") if item.is_dir() else [(path, item.read_bytes())]
    return found


def config_files(settings: Settings) -> dict[str, bytes]:
    """What configures them."""
    return {
        "heartzoo_config.h": config_header(settings).encode("ascii"),
        "heartzoo_config.c": config_source(settings).encode("ascii"),
    }
