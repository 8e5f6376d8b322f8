"""``docs/comparison.md``: every system beside its authors' figures, on their protocol and on unseen patients.

``python -m heartzoo.tables.comparison docs/comparison.md`` writes it. Our figures come out of the zoo's
``metrics.json``; the published ones are the tables below.
"""

from __future__ import annotations

import statistics
import sys
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from heartzoo.files import write_bytes
from heartzoo.metrics import macro_f1_nsv
from heartzoo.metrics_file import Metrics
from heartzoo.metrics_file.results import Evaluation
from heartzoo.tables.models import manner
from heartzoo.zoo import Entry, find, list_models, zoo_folder

RANDOM_TRACK = "random"


@dataclass(frozen=True)
class System:
    """A system that others published.

    Attributes:
        name: what it is called here; its zoo entries are ``name`` and, trained on DS1, ``name-ds1``.
        published: its authors' figures.
        protocol: what they measured them on.
        source: whose it is, and what was not published.
        file: bytes, arena bytes and operators of its authors' int8 file, where they measured them.
        macro_f1: theirs, where they published one (heartKIT says F1).
    """

    name: str
    published: str
    protocol: str
    source: str
    file: tuple[int, int, int] | None = None
    macro_f1: float | None = None


@dataclass(frozen=True)
class Peer:
    """A published result whose network nobody can rebuild: ``flash`` in bytes; what was not published is None."""

    name: str
    macro_f1: float
    note: str
    flash: int | None = None
    parameters: int | None = None


_RANDOM = "random split of mitdb beats"
_HEARTKIT = "heartKIT (github.com/AmbiqAI/heartkit), its EfficientNetV2 beat models"
_REBALANCED = "Icentia11k, rebalanced validation set"
_COMPRESSED = "a study that distils, prunes and quantizes CNNs for Icentia11k"
_PATIENTS = "Icentia11k, patients split 64/16/20"
_PYTORCH = "a PyTorch study of five AAMI classes"
_KERAS = "a Keras study of a CNN and an LSTM"
SYSTEMS = (
    System("beat-2-eff-sm", "F1 97.7 %, low-confidence frames rejected", _REBALANCED, _HEARTKIT, macro_f1=0.977),
    System("beat-3-eff-sm", "F1 92.0 %", _REBALANCED, _HEARTKIT, macro_f1=0.92),
    System("beat-3-eff-sm-extended", "-", "-", f"{_HEARTKIT}; the training data are ours"),
    System("cnn1", "accuracy .8856, macro-F1 .8144", _PATIENTS, _COMPRESSED, (58_976, 34_944, 130), macro_f1=0.8144),
    System("cnn2", "-", _PATIENTS, _COMPRESSED, (88_184, 45_872, 205)),
    System(
        "cnn3",
        "accuracy .9205, macro-F1 .8795 (distilled, pruned, int8)",
        _PATIENTS,
        _COMPRESSED,
        (83_504, 42_512, 182),
        macro_f1=0.8795,
    ),
    System("cnn4", "-", _PATIENTS, _COMPRESSED, (104_488, 47_776, 216)),
    System("cnn5", "-", _PATIENTS, _COMPRESSED, (161_120, 63_136, 216)),
    System("cnn-teacher", "-", _PATIENTS, _COMPRESSED),
    System("baseline-cnn", "mean recall .93, macro-F1 .80, accuracy .95", _RANDOM, _PYTORCH, macro_f1=0.8),
    System("enhanced-cnn", "mean recall .9062 (validation)", _RANDOM, _PYTORCH),
    System("dualpath-resnet", "-", _RANDOM, _PYTORCH),
    System("cnn-187-v1", "-", _RANDOM, f"{_KERAS}: its first CNN"),
    System("cnn-187", "accuracy .9837, macro-F1 .918", _RANDOM, f"{_KERAS}: the best CNN of its sweep", macro_f1=0.918),
    System("lstm-187", "accuracy .9840, macro-F1 .910", _RANDOM, _KERAS, macro_f1=0.91),
    System(
        "nin-187",
        "accuracy .9885",
        _RANDOM,
        "a model card of a network in network; NIN-style, widths and depth are ours",
    ),
    System("res-187", "-", "-", "heartzoo's own, for the random split"),
)
PEERS = (
    Peer(
        "a matched-filter CNN for the edge, 2023", 0.9217, "N/S/V, DS1 to DS2; abstract only, no code", flash=15 * 1024
    ),
    Peer("a network for PSoC 6, 2026", 0.64, "N/S/V/F, DS1 to DS2", flash=5_200, parameters=1_300),
)
HEAD = """# Comparison

{gap}

On a random split a network meets people whose beats it has learnt; on DS2 it meets people for the first time, as it
will on a wearable. A random split cannot show that gap. Intervals of figures on the random split are of beats
of known people, and say nothing of new ones. Over all five classes it looks wider still: the random split
holds the paced beats of four people, which make class Q an easy one, and DS2 has hardly any of class Q.

Ours are int8 files run by TFLite Micro, unless said otherwise. Every figure is in
`zoo/<model>/<version>/metrics.json` of the models named in the second column, and `heartzoo evaluate <model>` measures
it again. Intervals are 95 % bootstraps over patients, of the one network that is published. Five-class figures on DS2
are macro-F1 over N, S and V ([why](evaluation.md)), then over all five classes; on the random split over all five, then
over N, S and V. The networks are in `heartzoo/models`, the recipes in `configs/<model>.yaml`.

"""
COLUMNS = (
    "system",
    "our models",
    "published by its authors",
    "on",
    "ours, random split",
    "ours, unseen patients",
    "parameters",
    "MACs",
    ".tflite B",
    "arena B",
    "operators",
)
FILES_HEAD = """
## The same network in a smaller file

Bytes of the int8 file, bytes of arena (TFLite Micro on a 64-bit host) and operators: its authors' export and ours. The
network and its parameters are the same.

"""
FILE_COLUMNS = ("system", "their file", "our file", "their arena", "our arena", "their operators", "our operators")
SOURCES_HEAD = """
## Where the systems come from

Of systems without an author's name a description is all that we had, and it gave none: their published figures are as
it reports them, and cannot be looked up from here.

"""


@dataclass(frozen=True)
class Row:
    """A system and what the zoo holds of it: the entry on its authors' protocol first, if there are two."""

    system: System
    entries: list[Entry]

    @property
    def random(self) -> Evaluation | None:
        """The int8 result on the random split."""
        return next((m.first for m in self.metrics if m.first.track == RANDOM_TRACK), None)

    @property
    def unseen(self) -> Evaluation | None:
        """The int8 result on patients that the model never saw."""
        return next((m.first for m in self.metrics if m.first.track != RANDOM_TRACK), None)

    @property
    def metrics(self) -> list[Metrics]:
        """The metrics of its entries."""
        return [entry.metrics for entry in self.entries]


def comparison(zoo: Path) -> str:
    """The page, in Markdown: the systems of which the zoo has an entry, then what it holds besides."""
    rows = _rows(zoo)
    parts = [
        HEAD.format(gap=_gap(rows)),
        _table(COLUMNS, [_figures(row) for row in rows]),
        FILES_HEAD,
        _table(FILE_COLUMNS, [_file(row) for row in rows if row.system.file]),
        SOURCES_HEAD,
        "".join(f"- {row.system.name}: {row.system.source}.\n" for row in rows),
    ]
    return "".join(parts)


def _rows(zoo: Path) -> list[Row]:
    known = set(list_models(zoo=zoo))
    rows = []
    for system in SYSTEMS:
        names = [name for name in (system.name, f"{system.name}-ds1") if name in known]
        if names:
            rows.append(Row(system, [find(name, zoo) for name in names]))
            known -= set(names)
    return rows + [Row(System(name, "-", "-", "heartzoo's own"), [find(name, zoo)]) for name in sorted(known)]


def _table(head: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    return "".join("| " + " | ".join(line) + " |\n" for line in (head, ("---",) * len(head), *rows))


def _gap(rows: list[Row]) -> str:
    """How much is lost from the random split to unseen patients, over the systems that stand on both.

    Also on the beats of the random split that are of the unseen patients' recordings: people that test both.
    """
    both = [
        (row.random.macro_f1_nsv, _of_records(row.random, row.unseen.by_record), row.unseen.macro_f1_nsv)
        for row in rows
        if row.random and row.unseen and row.random.macro_f1_nsv is not None and row.unseen.macro_f1_nsv is not None
    ]
    if not both:
        return "No system stands on both protocols yet."
    random, same_people, unseen = (
        f"{statistics.fmean(side):.3f} (systems: {min(side):.3f} to {max(side):.3f})"
        for side in zip(*both, strict=True)
    )
    return (
        f"Of the {len(both)} systems that were trained on both protocols the mean macro-F1 over N, S and V is {random} "
        f"on the random split, {same_people} on those of its test beats that are of DS2's recordings, and {unseen} on "
        "DS2 after training on DS1 alone, on people they have never seen. Most were trained once for each, and the "
        "training sets differ in size as well as in people."
    )


def _of_records(e: Evaluation, records: Collection[str]) -> float:
    """Macro-F1 over N, S and V of the beats of some records."""
    matrices = [record.confusion_matrix for name, record in e.by_record.items() if name in records]
    return float(macro_f1_nsv(np.array(matrices).sum(0)))


def _figures(row: Row) -> tuple[str, ...]:
    cost = row.metrics[0].cost
    return (
        row.system.name,
        ", ".join(f"{entry.name}@{entry.version}" for entry in row.entries),
        row.system.published,
        row.system.protocol,
        "-" if row.random is None else _on_random_split(row.random),
        "-" if row.unseen is None else _on_unseen_patients(row.unseen),
        f"{cost.parameters:,}",
        f"{cost.macs:,}",
        f"{cost.tflite_bytes:,}",
        "-" if cost.arena_bytes is None else f"{cost.arena_bytes:,}",
        str(sum(cost.operators.values())),
    )


def _file(row: Row) -> tuple[str, ...]:
    cost = row.metrics[0].cost
    ours = cost.tflite_bytes, cost.arena_bytes, sum(cost.operators.values())
    pairs = zip(row.system.file or (), ours, strict=True)
    return (row.system.name, *("-" if count is None else f"{count:,}" for pair in pairs for count in pair))


def _on_random_split(e: Evaluation) -> str:
    recall = statistics.fmean(figures.se for figures in e.per_class.values())
    nsv = "" if e.macro_f1_nsv is None else f", N/S/V {e.macro_f1_nsv:.3f}"
    return f"accuracy {e.accuracy:.4f}, mean recall {recall:.3f}, macro-F1 {e.macro_f1:.3f}{nsv}{manner(e)}"


def _on_unseen_patients(e: Evaluation) -> str:
    if e.macro_f1_nsv is not None and e.macro_f1_nsv_ci95 is not None:
        low, high = e.macro_f1_nsv_ci95
        figures = f"macro-F1 N/S/V {e.macro_f1_nsv:.3f} ({low:.3f}-{high:.3f}), all {e.macro_f1:.3f}"
    else:
        low, high = e.macro_f1_ci95
        figures = f"macro-F1 {e.macro_f1:.3f} ({low:.3f}-{high:.3f})"
    return f"{figures}; {e.split}, {e.track}{manner(e)}"


if __name__ == "__main__":
    for page in sys.argv[1:]:
        write_bytes(Path(page), comparison(zoo_folder()).encode())
