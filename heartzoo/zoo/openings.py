"""The log of test-split openings: one JSON line for each, in a file that is committed with the zoo."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar

from heartzoo.data.splits import get_split
from heartzoo.files import cache_dir, lock, writable, writing
from heartzoo.metrics_file.results import DisturbedResult, EndToEndResult, Evaluation, PersonalisedResult, PooledResult

FILE = "openings.jsonl"
R = TypeVar("R", Evaluation, PooledResult, EndToEndResult)
OF_NOBODY = ("synthetic",)  # databases whose test splits may be opened at will


def log_openings(
    zoo: Path, model: str, evaluations: Sequence[Evaluation | PooledResult | EndToEndResult]
) -> Path | None:
    """Append a line for every evaluation on a test split of real recordings.

    Args:
        zoo: the zoo in use; where it cannot be written (an installed one may be read-only) the log lies in the cache
            folder.
        model: name and version.
        evaluations: what was seen.

    Returns:
        The log, or None where no test split was opened.
    """
    opened = [e for e in evaluations if get_split(e.split).test and e.dataset not in OF_NOBODY]
    if not opened:
        return None
    path = _log_of(zoo)
    lines = "".join(json.dumps(_line(model, evaluation)) + "\n" for evaluation in opened)
    with lock(path), writing(path), path.open("a") as log:
        if log.tell() and not path.read_bytes().endswith(b"\n"):  # somebody was killed in the middle of a line
            log.write("\n")
        log.write(lines)
    return path


def unlogged(zoo: Path, evaluations: Sequence[R]) -> list[R]:
    """Those evaluations whose file, condition and figures no line of a zoo's log has."""
    path, logged = _log_of(zoo), set()
    for line in path.read_text(errors="replace").splitlines() if path.is_file() else ():
        with suppress(ValueError, AttributeError):  # of a line that was cut nothing is known
            logged.add(_opening(json.loads(line)))
    return [evaluation for evaluation in evaluations if _opening(_line("", evaluation)) not in logged]


def _log_of(zoo: Path) -> Path:
    return (zoo if writable(zoo) else cache_dir()) / FILE


def _opening(line: Mapping[str, object]) -> str:
    """What a line tells but when, and by which name."""
    return json.dumps({key: value for key, value in line.items() if key not in ("date", "model")}, sort_keys=True)


def _line(model: str, evaluation: Evaluation | PooledResult | EndToEndResult) -> dict[str, object]:
    apart: dict[str, object] = {}
    if isinstance(evaluation, DisturbedResult):
        apart["disturbance"] = f"{evaluation.disturbance.kind}, {evaluation.disturbance.level}"
    if isinstance(evaluation, PersonalisedResult):
        apart["adapted"] = evaluation.adapted
    return {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "model": model,
        "file_sha256": evaluation.file_sha256,
        "precision": evaluation.precision,
        "runtime": evaluation.runtime,
        "split": evaluation.split,
        **apart,
        "records": len(evaluation.records),
        "figures": _figures(evaluation),
    }


def _figures(evaluation: Evaluation | PooledResult | EndToEndResult) -> dict[str, float]:
    if isinstance(evaluation, EndToEndResult):
        found = evaluation.detection
        classes = {name: (each.se, each.ppv) for name, each in evaluation.per_class.items()}
        values = {
            f"{name}_{key}": v for name, pair in classes.items() for key, v in zip(("se", "ppv"), pair, strict=True)
        }
        return {"end_to_end_se": found.se, "end_to_end_ppv": found.ppv, **values}
    names = ("n", "accuracy", "macro_f1", "macro_f1_nsv", "macro_f1_nsvf")
    return {name: value for name in names if (value := getattr(evaluation, name)) is not None}
