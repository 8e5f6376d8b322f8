"""A published model's very files under a new version, with figures and words that heartzoo lacked when it appeared."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

from heartzoo import zoo
from heartzoo.candidates import (
    Candidate,
    measure_end_to_end,
    measure_personalisation,
    measure_robustness,
    measure_without_prevalence,
)
from heartzoo.config import Config
from heartzoo.config.file import load_config
from heartzoo.contract import git_revision, retold
from heartzoo.data.databases import get_database
from heartzoo.data.download import present
from heartzoo.data.splits import get_split
from heartzoo.errors import UserError
from heartzoo.files import cache_dir
from heartzoo.firmware import preprocessing_cost
from heartzoo.interpreters import smallest_arena_bytes
from heartzoo.metrics_file import Metrics
from heartzoo.metrics_file.costs import Preprocessing
from heartzoo.metrics_file.results import PooledResult
from heartzoo.tasks import get_task
from heartzoo.zoo import publishing, verification
from heartzoo.zoo.assets import version_files
from heartzoo.zoo.index import version_key

TEXTS = ("summary", "origin", "limits")  # what a configuration tells that trains nothing


def remeasure(
    name: str,
    version: str | None = None,
    root: Path | None = None,
    robustness: bool = False,
    texts: Path | None = None,
) -> zoo.Entry:
    """Publish a version's ``model.tflite`` and ``model.keras`` once more, with newer figures beside the published ones.

    First the published figures on the first test split must come out again. New are those with found beats, where the
    test splits are of whole recordings; the arena; the cost of the preprocessing, if the version states one; if asked
    for, the robustness; and the matrices of each record, where robustness, personalisation and what following a
    prevalence changes were published without: their figures, too, must come out again. ``configuration.json`` tells
    the preprocessing in today's words, with its example. An interrupted call begins again and reuses what it had
    measured.

    Args:
        name: ``NAME`` or ``NAME@VERSION``.
        version: semantic version; default that one with its patch number raised.
        root: the zoo's folder; default the zoo in use.
        robustness: also measure the file on disturbed recordings.
        texts: a configuration whose summary, origin and limits replace the version's, which told something wrong.

    Returns:
        The new entry.

    Raises:
        UserError: no such model, a damaged configuration or another model's, the version exists, the published figures
            do not come out again, data are missing, or nothing new was found.
    """
    root = root or zoo.zoo_folder()
    entry = zoo.find(name, root)
    version = version or _next_patch(entry.version)
    publishing.check_free(root, entry.name, version)
    told = load_config(texts) if texts else entry.config
    if told.name != entry.config.name:
        raise UserError(f"{texts} is the configuration of {told.name}, not of {entry.config.name}", "name another")
    config = _config(entry, robustness, told)
    _require_published_records(entry, config)
    if problems := verification.recompute(root, f"{entry.name}@{entry.version}").problems:
        raise UserError(problems[0], "see heartzoo zoo verify: nothing is published with figures that do not hold")
    work = cache_dir() / "remeasured" / f"{entry.name}-{entry.version}"
    metrics = _measured(entry, config, work, root, version)
    files = _files(entry, config, version, metrics)
    if publishing.says_the_same(files, entry):
        shutil.rmtree(work, ignore_errors=True)
        raise UserError(f"{entry.name}@{entry.version} lacks nothing", "its figures came out again; nothing to publish")
    new = publishing.publish(root, entry.name, version, files)
    shutil.rmtree(work, ignore_errors=True)
    return new


def _require_published_records(entry: zoo.Entry, config: Config) -> None:
    """What is measured now stands beside what was published, so it has to be of the same records."""
    if not config.export.present_only:
        return
    for published in (e for e in entry.metrics.evaluations if e.of_file and e.split in config.data.test):
        here = {*present(get_database(published.dataset))} & {*get_split(published.split).records}
        if others := sorted(here - {*published.records}):
            raise UserError(
                f"{entry.name}@{entry.version} was scored on {len(published.records)} records of {published.split}; "
                f"{len(others)} more are at hand, such as {others[0]}",
                "measure it with a cache that holds those alone: HEARTZOO_CACHE names one",
            )


def _next_patch(version: str) -> str:
    major, minor, patch = version_key(version)
    return f"{major}.{minor}.{patch + 1}"


def _config(entry: zoo.Entry, robustness: bool, told: Config) -> Config:
    """The entry's configuration with another's texts and with what is measured now among its export settings."""
    export = entry.config.export
    changes = {
        "end_to_end": entry.config.track != "random" and not get_task(entry.config.task).of_rhythm,
        "robustness": export.robustness or robustness,
    }
    texts = {name: getattr(told, name) for name in TEXTS}
    return entry.config.model_copy(update={"export": export.model_copy(update=changes), **texts})


def _measured(entry: zoo.Entry, config: Config, work: Path, root: Path, version: str) -> Metrics:
    published, content, cost = entry.metrics, entry.path("model.tflite").read_bytes(), entry.metrics.cost
    seed = entry.configuration["training"]["shipped_seed"]
    how = entry.personalisation if published.personalisation else None
    candidate = Candidate(seed, entry.path("model.keras"), {}, content, personalisation=how)
    asked = config, candidate, work, root, f"{entry.name}@{version}"
    found: dict[str, Sequence[PooledResult]] = {
        "without_prevalence": _whole(published.without_prevalence) or measure_without_prevalence(*asked),
        "robustness": measure_robustness(*asked, published.robustness),
        "personalisation": _whole(published.personalisation) or measure_personalisation(*asked),
    }
    for part, results in found.items():
        _refuse_others(part, results, getattr(published, part))
    return published.model_copy(
        update={
            "version": version,
            **found,
            "end_to_end": measure_end_to_end(*asked),
            "cost": cost.model_copy(
                update={"arena_bytes": smallest_arena_bytes(content), "preprocessing": _preprocessing(entry, root)}
            ),
        }
    )


def _whole(results: Sequence[PooledResult]) -> Sequence[PooledResult]:
    """The results, if all of them have the matrices of their records."""
    return results if all(result.by_record for result in results) else []


def _refuse_others(part: str, found: Sequence[PooledResult], published: Sequence[PooledResult]) -> None:
    """Refuse results that are not those published, but for the matrices by record."""

    def told(results: Sequence[PooledResult]) -> dict[str, list[list[int]]]:
        figures = set(PooledResult.model_fields)
        return {
            result.model_dump_json(exclude=figures - {"split"}, exclude_none=True): result.confusion_matrix
            for result in results
        }

    now = told(found)
    for of, matrix in told(published).items():
        if now.get(of, matrix) != matrix:
            raise UserError(
                f"{part} came out with other decisions than published: {of}",
                "nothing is published with figures that do not hold",
            )


def _preprocessing(entry: zoo.Entry, root: Path) -> Preprocessing | None:
    hz = entry.config.export.firmware_hz
    return preprocessing_cost(f"{entry.name}@{entry.version}", hz, root) if hz else None


def _files(entry: zoo.Entry, config: Config, version: str, metrics: Metrics) -> dict[str, bytes]:
    tflite = entry.path("model.tflite").read_bytes()
    configuration = retold(entry.configuration, config, tflite) | {
        "version": version,
        "remeasured": {"version": entry.version, "git_revision": git_revision()},
        "config": config.model_dump(mode="json"),
        **{name: getattr(config, name) for name in TEXTS},
    }
    most_header_bytes = len(tflite) if "model.h" in entry.files else 0
    keras_file = entry.path("model.keras").read_bytes()
    return version_files(config, configuration, metrics, keras_file, tflite, most_header_bytes)
