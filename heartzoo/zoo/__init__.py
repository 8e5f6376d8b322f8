"""The zoo: entries on disk, their versions, and the index. Needs neither Keras nor TensorFlow to list or look up."""

from __future__ import annotations

import json
import os
import sys
from dataclasses import dataclass
from fnmatch import fnmatch
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from heartzoo import configuration_file
from heartzoo.errors import UserError, nearest
from heartzoo.files import cache_dir, sha256
from heartzoo.zoo.index import IndexEntry, newest, parse, version_key

if TYPE_CHECKING:
    from heartzoo.config import Config
    from heartzoo.metrics_file import Metrics
    from heartzoo.personalisation import Personalisation


def zoo_folder() -> Path:
    """The zoo in use: the folder ``HEARTZOO_ZOO``, else the one installed with the package, else the checkout's.

    A URL there is for :func:`heartzoo.download` alone.
    """
    chosen = os.environ.get("HEARTZOO_ZOO", "")
    if chosen and "://" not in chosen:
        return Path(chosen)
    package = Path(__file__).parents[1]
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
        withdrawn: why nobody should use it any more; None where all is well.
    """

    name: str
    version: str
    folder: Path
    files: dict[str, dict[str, Any]]
    withdrawn: str | None = None

    def path(self, file: str) -> Path:
        """The path of one of its files, in the zoo or as downloaded into the cache, checked against the index.

        Raises:
            UserError: the entry has no such file, or the file is not the one that was published.
        """
        if file not in self.files:
            raise UserError(f"{self.name}@{self.version} has no file {file!r}", nearest(file, self.files))
        for path in (self.folder / file, downloads() / self.name / self.version / file):
            if path.is_file() and sha256(path) == self.files[file]["sha256"]:
                return path
        raise UserError(
            f"{self.folder / file} is missing or is not the file that was published",
            f"restore it, or fetch it: heartzoo download {self.name}@{self.version} --zoo URL",
        )

    @cached_property
    def configuration(self) -> dict[str, Any]:
        """The content of ``configuration.json``."""
        return configuration_file.read(self.path("configuration.json"))

    @cached_property
    def config(self) -> Config:
        """The configuration it was trained with."""
        from heartzoo.config.file import parse_config

        return parse_config(self.configuration["config"], str(self.folder / "configuration.json"))

    @cached_property
    def metrics(self) -> Metrics:
        """The content of ``metrics.json``."""
        from heartzoo import metrics_file

        _ = self.configuration  # may tell of a track that heartzoo does not know
        return metrics_file.read(self.path("metrics.json"))

    @property
    def personalisation(self) -> Personalisation:
        """How its logits are adapted to a patient.

        Raises:
            UserError: it was exported without that.
        """
        from heartzoo.personalisation import Personalisation

        stated = self.configuration.get("personalisation")
        if not stated:
            raise UserError(
                f"{self.name}@{self.version} says nothing about how to adapt it",
                "take one of the rr models, or export yours with --set export.personalisation=true",
            )
        return Personalisation(**stated)


def list_models(pattern: str = "*", zoo: Path | str | None = None) -> list[str]:
    """Names of the models of a zoo that match a shell pattern and are not withdrawn, sorted.

    Args:
        pattern: such as ``"beat-*"``.
        zoo: the zoo's folder; default :func:`zoo_folder`, and what was downloaded beside it.
    """
    return [name for name in newest(entries(zoo)) if fnmatch(name, pattern)]


def entries(zoo: Path | str | None = None) -> list[IndexEntry]:
    """Every version of a zoo.

    Args:
        zoo: the zoo's folder; default :func:`zoo_folder`, and what was downloaded beside it.

    Raises:
        UserError: the folder is none of a zoo, or its index is damaged or of a newer schema.
    """
    zoo = Path(zoo) if zoo else None
    if zoo and not (zoo / "index.json").is_file():
        scheme, slash, place = str(zoo).partition(":/")  # Path has made one slash of two
        raise UserError(
            f"no zoo {scheme}://{place}: expected a folder with index.json, found a URL" if slash
            else f"no zoo {zoo}: expected a folder with index.json",
            "see what is there with heartzoo list --zoo URL, get it with heartzoo download NAME --zoo URL; then its "
            "name is known" if slash else "name such a folder, or leave --zoo out",
        )  # fmt: skip
    listed = read_index(zoo or zoo_folder())
    labels = {entry.label for entry in listed}
    return listed + ([] if zoo else [entry for entry in read_index(downloads()) if entry.label not in labels])


def find(name: str, zoo: Path | str | None = None) -> Entry:
    """Look up ``NAME`` (its newest version that is not withdrawn) or ``NAME@VERSION``.

    Args:
        name: the model, perhaps with its version.
        zoo: the zoo's folder; default :func:`zoo_folder`, and what was downloaded beside it.

    Raises:
        UserError: no such model or version; the nearest is named. All versions are withdrawn.
    """
    folder = Path(zoo) if zoo else zoo_folder()
    if not (listed := entries(zoo)):
        raise UserError(f"{folder} holds no model", "name a zoo with --zoo, or in HEARTZOO_ZOO")
    found = choose(name, listed)
    if found not in read_index(folder):
        folder = downloads()
    files = {file: facts.model_dump() for file, facts in found.files.items()}
    return Entry(found.name, found.version, folder / found.name / found.version, files, found.withdrawn)


def named(name: str, zoo: Path | str | None = None) -> Entry:
    """As :func:`find`, for what a user named: of a withdrawn version it says so on standard error."""
    entry = find(name, zoo)
    if entry.withdrawn is not None:
        print(f"heartzoo: {entry.name}@{entry.version} is withdrawn: {entry.withdrawn}", file=sys.stderr)
    return entry


def choose(name: str, listed: list[IndexEntry]) -> IndexEntry:
    """The entry that ``NAME`` or ``NAME@VERSION`` means; see :func:`find`."""
    if not isinstance(name, str):
        raise UserError(f"expected the name of a model, found {type(name).__name__}", "heartzoo list names them")
    model, at, version = name.partition("@")
    versions = {entry.version: entry for entry in listed if entry.name == model}
    if not model or (at and not version):
        raise UserError(f"{name!r} names no {'version' if model else 'model'}", "write NAME, or NAME@VERSION")
    if not versions:
        known = nearest(model, {entry.name for entry in listed})
        raise UserError(f"unknown model {model!r}", f"{known}; --zoo or HEARTZOO_ZOO names another zoo")
    if at:
        if version not in versions:
            standing = [entry.version for entry in versions.values() if entry.withdrawn is None]
            raise UserError(f"{model} has no version {version!r}", nearest(version, standing))
        return versions[version]
    usable = newest(versions.values())
    if not usable:
        last = versions[max(versions, key=version_key)]
        raise UserError(
            f"every version of {model} is withdrawn, {last.version} because: {last.withdrawn}",
            f"take another model, or name the version: {last.label}",
        )
    return usable[model]


def downloads() -> Path:
    """The folder of the cache that holds downloaded models, ``NAME/VERSION/FILE``."""
    return cache_dir() / "zoo"


def info(name: str, zoo: Path | str | None = None) -> dict[str, Any]:
    """What a zoo knows of a model: configuration, metrics and files.

    Args:
        name: ``NAME`` or ``NAME@VERSION``.
        zoo: the zoo's folder; default :func:`zoo_folder`.

    Returns:
        ``name``, ``version``, ``folder``, ``files``, ``withdrawn`` (why, or None), and ``configuration`` and
        ``metrics`` as in the entry's files.

    Raises:
        UserError: no such model or version, or a file of it is damaged.
    """
    entry = named(name, zoo)
    return {
        "name": entry.name,
        "version": entry.version,
        "folder": str(entry.folder),
        "files": entry.files,
        "withdrawn": entry.withdrawn,
        "configuration": entry.configuration,
        "metrics": json.loads(entry.path("metrics.json").read_text(encoding="utf-8")),
    }


def read_index(zoo: Path) -> list[IndexEntry]:
    """The entries of a zoo's ``index.json``; none where there is no zoo.

    Raises:
        UserError: the index is damaged or of a newer schema.
    """
    path = zoo / "index.json"
    return parse(path.read_bytes(), str(path)).models if path.is_file() else []
