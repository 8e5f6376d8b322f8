"""``index.json``: what a zoo holds, one entry a version. Its schema, and reading it from bytes that nobody vouches for.

``python -m heartzoo.zoo`` regenerates ``index.schema.json`` beside this module.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field, StrictInt, ValidationError, model_validator

from heartzoo import configuration_file
from heartzoo.errors import UserError
from heartzoo.files import sha256, write_json
from heartzoo.schema import Count, Fraction, StrictModel

if TYPE_CHECKING:
    from heartzoo.metrics_file import Metrics
    from heartzoo.metrics_file.results import Evaluation

SCHEMA_VERSION = 2
SCHEMA_PATH = Path(__file__).with_name("index.schema.json")
VERSION = re.compile(r"^(0|[1-9]\d{0,5})\.(0|[1-9]\d{0,5})\.(0|[1-9]\d{0,5})$")
CARD = "README.md"  # made from the other files, so it may be made anew
MOST_FILE_BYTES, MOST_INDEX_BYTES = 2**28, 2**24

Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{0,63}$")]
# A name, not a path: nothing in an index leads out of its entry's folder.
FileName = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$")]


class FileFacts(StrictModel):
    """Size in bytes and hex SHA-256 of a published file."""

    bytes: Annotated[StrictInt, Field(ge=0, le=MOST_FILE_BYTES)]
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


def facts(content: bytes) -> FileFacts:
    """Of a file with this content."""
    return FileFacts(bytes=len(content), sha256=hashlib.sha256(content).hexdigest())


class Headline(StrictModel):
    """The figure that ranks a model: of its ``.tflite`` file on its first test split, and its float parent's there.

    ``low`` and ``high`` are the 95 % bootstrap interval over patients.
    """

    metric: Literal["macro_f1", "macro_f1_nsv"]
    split: str
    precision: Literal["int8", "int16x8"]
    runtime: Literal["tflm", "reference", "xnnpack"]
    value: Fraction
    low: Fraction
    high: Fraction
    float32: Fraction


class Costs(StrictModel):
    """Parameters, multiply-accumulates an inference, and bytes of ``.tflite`` and TFLite Micro's arena."""

    parameters: Count
    macs: Count
    tflite_bytes: Count
    arena_bytes: Count | None


class IndexEntry(StrictModel):
    """One version of a model.

    ``train`` and ``test`` are splits, ``track`` says how they relate, ``data_licences`` are of what it was trained on;
    ``withdrawn`` is the reason why nobody should use the version any more.
    """

    name: Name
    version: Annotated[str, Field(pattern=VERSION.pattern)]
    task: str
    architecture: str
    summary: str
    track: str
    train: list[str]
    test: list[str]
    data_licences: list[str]
    headline: Headline
    cost: Costs
    withdrawn: str | None = None
    files: dict[FileName, FileFacts]

    @property
    def label(self) -> str:
        """``NAME@VERSION``."""
        return f"{self.name}@{self.version}"


class Index(StrictModel):
    """The whole file, entries sorted by name and version."""

    schema_version: Literal[2] = 2
    models: list[IndexEntry]

    @model_validator(mode="after")
    def _each_version_once(self) -> Index:
        labels = Counter(model.label for model in self.models)
        if twice := sorted(label for label, times in labels.items() if times > 1):
            raise ValueError(f"{', '.join(twice)} listed twice")
        return self


def parse(content: bytes, source: str) -> Index:
    """Read an index.

    Args:
        content: the bytes of ``index.json``.
        source: where they come from, for errors.

    Raises:
        UserError: it is no index, or one of a newer schema.
    """
    try:
        tree = json.loads(content)
        found = tree["schema_version"]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise UserError(f"{source} is not a zoo index", "restore it, or name another zoo") from error
    if isinstance(found, int) and found > SCHEMA_VERSION:
        raise UserError(
            f"{source} has schema_version {found}, this heartzoo reads {SCHEMA_VERSION}", "upgrade heartzoo"
        )
    try:
        return Index.model_validate(tree)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"]))
        raise UserError(
            f"{source} is not a zoo index: {place or 'it'}: {first['msg']}", "restore it, or name another zoo"
        ) from error


def headline(evaluation: Evaluation, task: str) -> tuple[float, tuple[float, float]]:
    """The task's headline figure of an evaluation and its 95 % interval."""
    from heartzoo.tasks import TASKS

    name = TASKS[task].headline(evaluation.track)
    return getattr(evaluation, name), getattr(evaluation, f"{name}_ci95")


def describe(configuration: dict[str, Any], metrics: Metrics, files: dict[str, dict[str, Any]]) -> IndexEntry:
    """The entry of a version, from its own files.

    Args:
        configuration: the content of ``configuration.json``.
        metrics: the content of ``metrics.json``.
        files: file name -> ``{"bytes": size, "sha256": hash}``.
    """
    from heartzoo.data.databases import get_database
    from heartzoo.data.splits import get_split
    from heartzoo.tasks import TASKS

    first = metrics.first
    parent = next(e for e in metrics.evaluations if not e.of_file and e.split == first.split)
    value, (low, high) = headline(first, metrics.task)
    learnt_from = configuration_file.learnt_from(configuration)
    return IndexEntry.model_validate(
        {
            "name": configuration["name"],
            "version": configuration["version"],
            "task": metrics.task,
            "architecture": configuration["config"]["model"]["architecture"],
            "summary": configuration["summary"],
            "track": first.track,
            "train": learnt_from,
            "test": configuration["config"]["data"]["test"],
            "data_licences": sorted({get_database(get_split(name).database).license for name in learnt_from}),
            "headline": {
                "metric": TASKS[metrics.task].headline(first.track),
                "split": first.split,
                "precision": first.precision,
                "runtime": first.runtime,
                "value": value,
                "low": low,
                "high": high,
                "float32": headline(parent, metrics.task)[0],
            },
            "cost": {name: getattr(metrics.cost, name) for name in Costs.model_fields},
            "files": files,
        }
    )


def entry_on_disk(folder: Path) -> IndexEntry:
    """The entry of a version as its files say.

    Raises:
        UserError: ``metrics.json`` is absent or contradicts itself.
    """
    from heartzoo.metrics_file import read

    configuration = configuration_file.read(folder / "configuration.json")  # tells databases that metrics.json names
    return entry_of(folder, configuration, read(folder / "metrics.json"))


def entry_of(folder: Path, configuration: dict[str, Any], metrics: Metrics) -> IndexEntry:
    """The entry of a version as its files say, of which these two were read."""
    files = {
        file.name: {"bytes": file.stat().st_size, "sha256": sha256(file)}
        for file in sorted(folder.iterdir())
        if file.is_file() and not file.name.startswith(".")
    }
    return describe(configuration | {"name": folder.parent.name, "version": folder.name}, metrics, files)


def write(folder: Path, entries: Iterable[IndexEntry]) -> None:
    """Write a folder's ``index.json``, sorted."""
    in_order = sorted(entries, key=lambda entry: (entry.name, version_key(entry.version)))
    write_json(folder / "index.json", Index(models=in_order).model_dump(mode="json"))


def newest(entries: Iterable[IndexEntry]) -> dict[str, IndexEntry]:
    """Of each model the newest version that is not withdrawn, by name; models that have none are left out."""
    usable = (entry for entry in entries if entry.withdrawn is None)
    in_order = sorted(usable, key=lambda entry: (entry.name, version_key(entry.version)))
    return {entry.name: entry for entry in in_order}


def withdrawn_others(entries: Iterable[IndexEntry], name: str, version: str) -> list[IndexEntry]:
    """Versions of a model that were withdrawn, but for this one: which others stand was chosen with their figures."""
    return [entry for entry in entries if entry.name == name and entry.withdrawn and entry.version != version]


def version_key(version: str) -> tuple[int, ...]:
    """Sorts versions: 1.10.0 after 1.9.0."""
    return tuple(int(part) for part in version.split("."))


def schema() -> dict[str, Any]:
    """The JSON schema of the file."""
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **Index.model_json_schema()}
