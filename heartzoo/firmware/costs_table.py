"""The firmware page's table of what the preprocessing of published models costs.

``python -m heartzoo.firmware.costs_table docs/firmware.md`` brings it up to date.
"""

from __future__ import annotations

import sys
from pathlib import Path

from heartzoo import metrics_file
from heartzoo.files import fill_page
from heartzoo.tables.models import size
from heartzoo.zoo import read_index, zoo_folder
from heartzoo.zoo.index import newest

SECTION = "firmware costs"


def costs_table(zoo: Path) -> str:
    """The table of a zoo's newest versions that state it, in Markdown."""
    lines = [
        "| model | recordings | instructions for a second of ECG, M4F | M0+ | state | stack, M4F | flash, M4F | M0+ | "
        "network | arena |",
        "| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for name, entry in newest(read_index(zoo)).items():
        cost = metrics_file.read(zoo / name / entry.version / "metrics.json").cost
        if stated := cost.preprocessing:
            small = stated.cortex_m0plus
            lines.append(
                f"| `{name}` {entry.version} | {stated.recording_hz} Hz | {stated.instructions_per_second:,} | "
                f"{f'{small.instructions_per_second:,}' if small else '-'} | {stated.ram_bytes:,} B | "
                f"{stated.stack_bytes:,} B | {stated.flash_bytes:,} B | "
                f"{size(small.flash_bytes if small else None)} | {cost.tflite_bytes:,} B | {size(cost.arena_bytes)} |"
            )
    return "\n".join(lines)


if __name__ == "__main__":
    for page in sys.argv[1:]:
        fill_page(Path(page), SECTION, costs_table(zoo_folder()))
