"""``docs/comparison.md``: every system beside its authors' figures, on their protocol and on unseen patients.

``python -m heartzoo.comparison docs/comparison.md`` writes it. Our figures come out of the zoo's ``metrics.json``; the
published ones are the table below.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

from heartzoo.files import write_bytes
from heartzoo.metrics_file import Evaluation, Metrics
from heartzoo.zoo import Entry, find, list_models, zoo_folder

RANDOM_TRACK = "random"


@dataclass(frozen=True)
class System:
    """A system that others published.

    Attributes:
        name: what it is called here; its zoo entries are ``name`` and, trained on DS1, ``name-ds1``.
        published: its authors' figures.
        protocol: what they measured them on.
    """

    name: str
    published: str
    protocol: str


_RANDOM = "random split of mitdb beats"
_ICENTIA_SPLIT = "Icentia11k, patients split 64/16/20"
SYSTEMS = (
    System("beat-2-eff-sm", "F1 97.7 %, low-confidence frames rejected", "Icentia11k, rebalanced validation set"),
    System("beat-3-eff-sm", "F1 92.0 %", "Icentia11k, rebalanced validation set"),
    System("cnn1", "accuracy .8856, macro-F1 .8144", _ICENTIA_SPLIT),
    System("cnn2", "-", _ICENTIA_SPLIT),
    System("cnn3", "accuracy .9205, macro-F1 .8795 (distilled, pruned, int8)", _ICENTIA_SPLIT),
    System("cnn4", "-", _ICENTIA_SPLIT),
    System("cnn5", "-", _ICENTIA_SPLIT),
    System("baseline-cnn", "macro recall .93, macro-F1 .80, accuracy .95", _RANDOM),
    System("enhanced-cnn", "mean recall .9062", _RANDOM),
    System("dualpath-resnet", "-", _RANDOM),
    System("cnn-187", "accuracy .9837, macro-F1 .918", _RANDOM),
    System("lstm-187", "accuracy .9840, macro-F1 .910", _RANDOM),
    System("nin-187", "accuracy .9885", _RANDOM),
)
HEAD = """# Comparison

The gap between the two columns of ours is what a random split hides: on a random split a network recognises people
whose beats it has learnt, on DS2 it meets people for the first time, as it will on a wearable.

Ours are int8 files run by TFLite Micro; intervals are 95 % bootstraps over patients. Five-class figures on DS2 are
macro-F1 over N, S and V ([why](evaluation.md)), on the random split over all five classes.

"""
COLUMNS = (
    "system", "published by its authors", "on", "ours, random split", "ours, unseen patients (DS2)", "parameters",
    "MACs", ".tflite B", "arena B", "operators",
)  # fmt: skip


def comparison(zoo: Path) -> str:
    """The page, in Markdown: the systems of which the zoo has an entry, then what it holds besides."""
    known = set(list_models(zoo=zoo))
    rows = []
    for system in SYSTEMS:
        entries = [find(name, zoo) for name in (system.name, f"{system.name}-ds1") if name in known]
        if entries:
            rows.append(_row(system, entries))
            known -= {entry.name for entry in entries}
    rows += [_row(System(name, "heartzoo's own", "-"), [find(name, zoo)]) for name in sorted(known)]
    lines = [COLUMNS, ("---",) * len(COLUMNS), *rows]
    return HEAD + "\n".join("| " + " | ".join(line) + " |" for line in lines) + "\n"


def _row(system: System, entries: list[Entry]) -> tuple[str, ...]:
    every = [entry.metrics for entry in entries]
    results = [_first(metrics) for metrics in every]
    random = next((e for e in results if e.track == RANDOM_TRACK), None)
    unseen = next((e for e in results if e.track != RANDOM_TRACK), None)
    cost = every[0].cost
    return (
        system.name, system.published, system.protocol,
        "-" if random is None else f"accuracy {random.accuracy:.4f}, macro-F1 {random.macro_f1:.3f}",
        "-" if unseen is None else _unseen(unseen),
        f"{cost.parameters:,}", f"{cost.macs:,}", f"{cost.tflite_bytes:,}",
        "-" if cost.arena_bytes is None else f"{cost.arena_bytes:,}", str(sum(cost.operators.values())),
    )  # fmt: skip


def _first(metrics: Metrics) -> Evaluation:
    """The int8 result on the first test split."""
    return next(e for e in metrics.evaluations if e.precision == "int8")


def _unseen(e: Evaluation) -> str:
    if e.macro_f1_nsv is not None and e.macro_f1_nsv_ci95 is not None:
        low, high = e.macro_f1_nsv_ci95
        return f"macro-F1 N/S/V {e.macro_f1_nsv:.3f} ({low:.3f}-{high:.3f}), {e.split}, {e.track}"
    low, high = e.macro_f1_ci95
    return f"macro-F1 {e.macro_f1:.3f} ({low:.3f}-{high:.3f}), {e.split}, {e.track}"


if __name__ == "__main__":
    for page in sys.argv[1:]:
        write_bytes(Path(page), comparison(zoo_folder()).encode())
