"""The README's table of models.

``python -m heartzoo.tables.models README.md`` brings it up to date.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from heartzoo.files import fill_page
from heartzoo.interpreters import RUNTIMES
from heartzoo.metrics_file.results import Evaluation
from heartzoo.zoo import find, read_index, zoo_folder
from heartzoo.zoo.index import Headline, newest

SECTION = "models"
PRECISIONS = {"int8": "int8", "int16x8": "16x8", "float32": "float"}


def manner(evaluation: Evaluation | Headline) -> str:
    """What is to be said beside a figure of a file that is not int8 or was not run by TFLite Micro; else nothing."""
    said = [] if evaluation.precision == "int8" else [PRECISIONS[evaluation.precision]]
    said += [] if evaluation.runtime == "tflm" else [f"by {RUNTIMES[evaluation.runtime]}"]
    return "".join(f", {words}" for words in said)


def models_table(zoo: Path) -> str:
    """The table of a zoo's newest versions, in Markdown."""
    lines = [
        "| model | task | track, test split | macro-F1 int8 (95 %) | over seeds | svdb-test | float | parameters "
        "| MACs | .tflite | arena |",
        "| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for name, entry in newest(read_index(zoo)).items():
        figure, cost = entry.headline, entry.cost
        over = " (N/S/V)" if figure.metric == "macro_f1_nsv" else ""
        metrics = find(entry.label, zoo).metrics
        seeds = metrics.over_seeds(figure.split, figure.precision, figure.metric)
        lines.append(
            f"| [{name}](zoo/{name}/{entry.version}/README.md) {entry.version} | {entry.task} | {entry.track}, "
            f"{figure.split} | {figure.value:.3f} ({figure.low:.3f}-{figure.high:.3f}){over}{manner(figure)} | "
            f"{f'{seeds.mean:.3f} ± {seeds.spread:.3f} ({len(seeds.each)})' if seeds else '-'} | "
            f"{_of_svdb(metrics.evaluations, figure)} | {figure.float32:.3f} | "
            f"{cost.parameters:,} | {cost.macs:,} | {cost.tflite_bytes:,} B | {size(cost.arena_bytes)} |"
        )
    return "\n".join(lines)


def _of_svdb(evaluations: Sequence[Evaluation], headline: Headline) -> str:
    """The same figure on svdb-test, another database's patients; nothing where it was not scored."""
    same = [
        e
        for e in evaluations
        if (e.split, e.precision, e.runtime) == ("svdb-test", headline.precision, headline.runtime)
    ]
    return f"{getattr(same[0], headline.metric):.3f}" if same else "-"


def size(count: int | None) -> str:
    """A number of bytes, in words where it was not measured."""
    return "not measured" if count is None else f"{count:,} B"


if __name__ == "__main__":
    for page in sys.argv[1:]:
        fill_page(Path(page), SECTION, models_table(zoo_folder()))
