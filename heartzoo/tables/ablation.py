"""What each compression step bought: a table for a model's card, and all of them for ``docs/compression.md``.

``python -m heartzoo.tables.ablation docs/compression.md`` brings the page up to date.
"""

from __future__ import annotations

import statistics
import sys
from collections.abc import Iterable
from pathlib import Path

from heartzoo.files import fill_page
from heartzoo.metrics_file import Metrics
from heartzoo.metrics_file.costs import AblationRow
from heartzoo.zoo import find, list_models, zoo_folder

SECTION = "ablation"


def ablation_table(metrics: Metrics) -> str:
    """The table of one compressed model, in Markdown: mean over seeds, and sample standard deviation if several."""
    first = metrics.ablation[0]
    lines = [
        f"| after | {first.metric} on {first.split}, float | int8 | parameters | not zero | MACs | .tflite B | gzip B "
        "| arena B | operators |",
        "| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    lines += [_line(row) for row in metrics.ablation]
    return "\n".join(lines)


def _line(row: AblationRow) -> str:
    arena = "-" if row.arena_bytes is None else f"{row.arena_bytes:,}"
    floats = "-" if row.float32 is None else _mean(row.float32.values())
    return (
        f"| {row.stage} | {floats} | {_mean(row.int8.values())} | {row.parameters:,} | {row.nonzero_parameters:,} | "
        f"{row.macs:,} | {row.tflite_bytes:,} | {row.gzip_bytes:,} | {arena} | {row.operators} |"
    )


def _mean(values: Iterable[float]) -> str:
    each = list(values)
    spread = f" ± {statistics.stdev(each):.4f} ({len(each)} seeds)" if len(each) > 1 else ""
    return f"{statistics.fmean(each):.4f}{spread}"


def every_ablation(zoo: Path) -> str:
    """The tables of the newest version of every compressed model, in Markdown."""
    parts = []
    for name in list_models(zoo=zoo):
        entry = find(name, zoo)
        if entry.metrics.ablation:
            parts.append(f"### {name} {entry.version}\n\n{ablation_table(entry.metrics)}")
    return "\n\n".join(parts) or "No compressed model is published yet."


if __name__ == "__main__":
    for page in sys.argv[1:]:
        fill_page(Path(page), SECTION, every_ablation(zoo_folder()))
