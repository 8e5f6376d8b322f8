"""The zoo: entries on disk, their versions, and the index. Needs neither Keras nor TensorFlow to list or look up."""

from __future__ import annotations

import json
import os
import re
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path
from typing import TYPE_CHECKING, Any

from heartzoo.errors import UserError, nearest
from heartzoo.files import sha256

if TYPE_CHECKING:
    import keras
    import numpy as np

    from heartzoo.config import Config
    from heartzoo.config.export import Runtime
    from heartzoo.data.beats import Examples
    from heartzoo.data.records import Record
    from heartzoo.metrics_file import Metrics
    from heartzoo.runtime import TfliteModel

INDEX_SCHEMA_VERSION = 1
VERSION = re.compile(r"^(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)$")


def zoo_folder() -> Path:
    """The zoo in use: ``HEARTZOO_ZOO``, else the one installed with the package, else the checkout's ``zoo/``."""
    if chosen := os.environ.get("HEARTZOO_ZOO"):
        return Path(chosen)
    package = Path(__file__).parent
    installed = package / "published"
    return installed if installed.is_dir() else package.parent / "zoo"


@dataclass(frozen=True)
class Entry:
    """One version of a model in a zoo.

    Attributes:
        name: the model's name.
        version: semantic version.
        folder: where its files lie.
        files: file name -> ``{"bytes": size, "sha256": hash}``.
    """

    name: str
    version: str
    folder: Path
    files: dict[str, dict[str, Any]]

    def path(self, file: str) -> Path:
        """The path of one of its files, checked against the index.

        Raises:
            UserError: the entry has no such file, or the file is not the one that was published.
        """
        if file not in self.files:
            raise UserError(f"{self.name}@{self.version} has no file {file!r}", nearest(file, self.files))
        path = self.folder / file
        if not path.is_file() or sha256(path) != self.files[file]["sha256"]:
            raise UserError(f"{path} is missing or is not the file that was published", "restore it")
        return path

    @property
    def configuration(self) -> dict[str, Any]:
        """The content of ``configuration.json``."""
        content: dict[str, Any] = json.loads(self.path("configuration.json").read_text())
        return content

    @property
    def config(self) -> Config:
        """The configuration it was trained with."""
        from heartzoo.config.file import parse_config

        return parse_config(self.configuration["config"], str(self.folder / "configuration.json"))

    @property
    def metrics(self) -> Metrics:
        """The content of ``metrics.json``."""
        from heartzoo import metrics_file

        return metrics_file.read(self.path("metrics.json"))


def list_models(pattern: str = "*", zoo: Path | None = None) -> list[str]:
    """Names of the models of a zoo that match a shell pattern, sorted.

    Args:
        pattern: such as ``"beat-*"``.
        zoo: the zoo's folder; default :func:`zoo_folder`.
    """
    return sorted({model["name"] for model in read_index(zoo or zoo_folder()) if fnmatch(model["name"], pattern)})


def find(name: str, zoo: Path | None = None) -> Entry:
    """Look up ``NAME`` (its newest version) or ``NAME@VERSION``.

    Raises:
        UserError: no such model or version; the nearest is named.
    """
    folder = zoo or zoo_folder()
    model, _, version = name.partition("@")
    entries = read_index(folder)
    versions = {entry["version"]: entry for entry in entries if entry["name"] == model}
    if not versions:
        raise UserError(f"unknown model {model!r}", nearest(model, {entry["name"] for entry in entries}))
    version = version or max(versions, key=version_key)
    if version not in versions:
        raise UserError(f"{model} has no version {version!r}", nearest(version, versions))
    return Entry(model, version, folder / model / version, versions[version]["files"])


def info(name: str, zoo: Path | None = None) -> dict[str, Any]:
    """What a zoo knows of a model: configuration, metrics and files.

    Args:
        name: ``NAME`` or ``NAME@VERSION``.
        zoo: the zoo's folder; default :func:`zoo_folder`.

    Returns:
        ``name``, ``version``, ``folder``, ``files``, ``configuration`` and ``metrics``, as in the entry's files.

    Raises:
        UserError: no such model or version, or a file of it is damaged.
    """
    entry = find(name, zoo)
    return {
        "name": entry.name,
        "version": entry.version,
        "folder": str(entry.folder),
        "files": entry.files,
        "configuration": entry.configuration,
        "metrics": json.loads(entry.path("metrics.json").read_text()),
    }


def load(name: str, zoo: Path | None = None) -> keras.Model:
    """Load a model's float network, in safe mode, for inference or retraining.

    Args:
        name: ``NAME`` or ``NAME@VERSION``.
        zoo: the zoo's folder; default :func:`zoo_folder`.

    Returns:
        A Keras model from ``{"signal": (n, 1, frame, 1)[, "rr": (n, features)]}`` to logits ``(n, classes)``.

    Raises:
        UserError: no such model, or its file is damaged.
    """
    from heartzoo.checkpoints import load_model

    return load_model(find(name, zoo).path("model.keras"))


@dataclass(frozen=True)
class PublishedModel:
    """An int8 model with its preprocessing contract.

    Attributes:
        entry: its entry in the zoo.
        config: its configuration.
        classes: class names in the order of the logits.
        tflite: the network.
    """

    entry: Entry
    config: Config
    classes: tuple[str, ...]
    tflite: TfliteModel

    def predict(self, frames: np.ndarray, rr: np.ndarray | None = None) -> np.ndarray:
        """Classify frames.

        Args:
            frames: shape (n, frame), in mV at the model's sampling rate, the beat at ``frame // 2``; they are
                normalised here. A model whose configuration says ``cut: r-peak`` takes frames scaled to 0-1, one that
                says ``cut: difference`` what :func:`heartzoo.data.template.differences` gives, and one that says
                ``cut: features`` the features themselves.
            rr: R-R features, then template features, shape (n, features), for a model that takes them.

        Returns:
            float32 logits, shape (n, classes).

        Raises:
            UserError: a wrong shape, NaN values, or features missing or not taken.
        """
        from heartzoo.data.signal import normalise

        return self.tflite.predict(normalise(frames, self.config.input), rr)

    def probabilities(self, frames: np.ndarray, rr: np.ndarray | None = None) -> np.ndarray:
        """Probability of each class, ``softmax(logits / temperature)``, with the configuration's temperature.

        Args:
            frames: as in :meth:`predict`.
            rr: likewise.

        Returns:
            float64, shape (n, classes). The largest is the confidence; below the threshold under ``confidence`` of the
            configuration the model had better abstain.

        Raises:
            UserError: as :meth:`predict`.
        """
        from heartzoo.confidence import probabilities

        confidence = self.entry.configuration.get("confidence", {"temperature": 1.0})  # older versions have none
        return probabilities(self.predict(frames, rr), confidence["temperature"])

    def label_beats(self, record: Record) -> list[str]:
        """Class of every annotated beat of a record, cut and normalised as the model's contract says.

        Raises:
            UserError: the model labels frames by rhythm; see :meth:`label_frames`.
        """
        if self.config.input.cut == "rhythm":
            raise UserError(f"{self.entry.name} labels frames by rhythm, not beats", "call label_frames")
        from heartzoo.data.beats import cut_beats

        return self._labels(cut_beats(record, self.config.input))

    def label_frames(self, record: Record) -> list[str]:
        """Class of every frame of a record, one after the other, by a model that labels frames by rhythm.

        Raises:
            UserError: the model labels beats.
        """
        from heartzoo.data.beats import cut_frames

        if self.config.input.cut != "rhythm":
            raise UserError(f"{self.entry.name} labels beats, not frames", "call label_beats")
        return self._labels(cut_frames(record, self.config.input))

    def _labels(self, examples: Examples) -> list[str]:
        logits = self.predict(examples.frames, examples.rr if self.config.input.beat_features else None)
        return [self.classes[index] for index in logits.argmax(axis=1)]


def load_tflite(name: str, runtime: Runtime | None = None, zoo: Path | None = None) -> PublishedModel:
    """Load a model's int8 file.

    Args:
        name: ``NAME`` or ``NAME@VERSION``.
        runtime: ``"tflm"``, ``"reference"`` or ``"xnnpack"``; default TFLite Micro where it is installed.
        zoo: the zoo's folder; default :func:`zoo_folder`.

    Raises:
        UserError: no such model, its file is damaged, or the runtime is not installed.
    """
    from heartzoo.runtime import TfliteModel
    from heartzoo.tasks import get_task

    entry = find(name, zoo)
    config = entry.config
    tflite = TfliteModel(entry.path("model.tflite").read_bytes(), runtime)
    return PublishedModel(entry, config, get_task(config.task).classes, tflite)


def read_index(zoo: Path) -> list[dict[str, Any]]:
    """The entries of a zoo's ``index.json``; none where there is no zoo.

    Raises:
        UserError: the index is damaged or of a newer schema.
    """
    path = zoo / "index.json"
    if not path.is_file():
        return []
    try:
        index = json.loads(path.read_text())
        if (found := index["schema_version"]) != INDEX_SCHEMA_VERSION:
            raise UserError(
                f"{path} has schema_version {found}, this heartzoo reads {INDEX_SCHEMA_VERSION}", "upgrade heartzoo"
            )
        models: list[dict[str, Any]] = list(index["models"])
        for model in models:
            version_key(model["version"]), model["name"], model["task"], model["files"].items()
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise UserError(f"{path} is not a zoo index", "restore it") from error
    return models


def version_key(version: str) -> tuple[int, ...]:
    """Sorts versions: 1.10.0 after 1.9.0."""
    return tuple(int(part) for part in version.split("."))
