"""Putting versions into a zoo: each once and whole, never over another, and the index after them."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from heartzoo.errors import UserError
from heartzoo.files import lock, sha256, write_json, writing
from heartzoo.zoo import INDEX_SCHEMA_VERSION, VERSION, Entry, find, read_index, version_key


def check_free(zoo: Path, name: str, version: str) -> None:
    """Refuse a version that is not semantic or that exists already.

    Raises:
        UserError: either.
    """
    if not VERSION.match(version):
        raise UserError(f"{version!r} is not a version like 1.0.0", "name one with --version")
    listed = any((entry["name"], entry["version"]) == (name, version) for entry in read_index(zoo))
    if listed or (zoo / name / version).exists():
        raise UserError(f"{name}@{version} exists and is never overwritten", "name a new --version")


def next_version(zoo: Path, name: str) -> str:
    """1.0.0 for a new model, else the newest version with its minor number raised."""
    present = [path.name for path in (zoo / name).glob("*") if VERSION.match(path.name)]
    if not present:
        return "1.0.0"
    major, minor, _ = version_key(max(present, key=version_key))
    return f"{major}.{minor + 1}.0"


def publish(zoo: Path, name: str, version: str, files: dict[str, bytes]) -> Entry:
    """Put a new version into a zoo: all of its files at once, then the index.

    Args:
        zoo: the zoo's folder; made if absent.
        name: the model's name.
        version: a version that does not exist yet.
        files: file name -> content.

    Returns:
        The new entry.

    Raises:
        UserError: the version exists, or the disk is full; nothing is left behind then.
    """
    folder = zoo / name / version
    staging = zoo / name / f".part.{version}"
    with lock(zoo / "index.json"), writing(folder):
        check_free(zoo, name, version)
        known = read_index(zoo)
        for leftover in zoo.glob("*/.part.*"):  # of killed exports: nobody else publishes while the lock is ours
            shutil.rmtree(leftover, ignore_errors=True)
        try:
            staging.mkdir(parents=True)
            for file, content in files.items():
                (staging / file).write_bytes(content)
            staging.rename(folder)
            write_index(zoo, known)
        except BaseException:
            for remains in (staging, folder):
                shutil.rmtree(remains, ignore_errors=True)
            with suppress(OSError):
                folder.parent.rmdir()  # where it is empty
            raise
    return find(f"{name}@{version}", zoo)


def write_index(zoo: Path, known: Sequence[dict[str, Any]] = ()) -> None:
    """Write ``index.json`` from the entries on disk. It holds nothing that they do not.

    Args:
        zoo: the zoo's folder.
        known: entries whose hashes are kept as they are, so that files damaged since stay so.
    """
    kept = {(model["name"], model["version"]): model for model in known}
    models = []
    for path in sorted(zoo.glob("*/*/configuration.json")):
        if model := kept.get((path.parent.parent.name, path.parent.name)):
            models.append(model)
        elif VERSION.match(path.parent.name):
            task = json.loads(path.read_text())["task"]
            files = {
                file.name: {"bytes": file.stat().st_size, "sha256": sha256(file)}
                for file in sorted(path.parent.iterdir())
                if file.is_file() and not file.name.startswith(".")
            }
            models.append({"name": path.parent.parent.name, "version": path.parent.name, "task": task, "files": files})
    models.sort(key=lambda model: (model["name"], version_key(model["version"])))
    write_json(zoo / "index.json", {"schema_version": INDEX_SCHEMA_VERSION, "models": models})
