"""The page of all models: a table to sort and filter, and a chart of accuracy against cost."""

from __future__ import annotations

from html import escape
from typing import Any

from heartzoo.data.splits import get_split
from heartzoo.tables.comparison import PEERS, SYSTEMS
from heartzoo.tables.models import least_without_one, manner
from heartzoo.tasks import TASKS
from heartzoo.website.markup import data_block, placeholder
from heartzoo.zoo import Entry
from heartzoo.zoo.index import headline

HEAD = """---
hide: [navigation, toc]
---

# Model zoo

Every figure was measured on the int8 file that you download, by TFLite Micro unless said otherwise. *Unseen patients*:
the first test split, on people the model never saw, with a 95 % interval by bootstrap over them, and the figure without
the one patient whom it owes most to; five-class models over N, S and V. *Random split*: the same people in training and
test, for comparison with the literature only. Arena: on a 64-bit host; a 32-bit core needs 10 to 15 % less. On the
command line: `heartzoo select --task beat-3 --flash 32k`.
"""
NUMBER, TEXT = "number", "text"
COLUMNS = (
    ("model", TEXT), ("task", TEXT), ("macro-F1, unseen patients", NUMBER), ("flash, B", NUMBER), ("arena, B", NUMBER),
    ("MACs", NUMBER), ("parameters", NUMBER), ("macro-F1, random split", NUMBER), ("trained on", TEXT),
    ("architecture", TEXT), ("fs, Hz", NUMBER), ("frame", NUMBER), ("classes", NUMBER),
)  # fmt: skip
FILTERS = """<form class="hz-filters" id="model-filters" onsubmit="return false">
<label>Name <input type="search" name="text" placeholder="any"></label>
<label>Task <select name="task"><option value="">any</option>{tasks}</select></label>
<label>Track <select name="track"><option value="">any</option>{tracks}</select></label>
<label>Flash up to <input type="number" name="flash" min="0" placeholder="any"> KiB</label>
<label>Arena up to <input type="number" name="arena" min="0" placeholder="any"> KiB</label>
<output name="count"></output>
</form>"""


def models_page(models: list[Entry]) -> str:
    """The page.

    Args:
        models: the newest versions.
    """
    parts = [
        HEAD,
        FILTERS.format(
            tasks=_options([entry.metrics.task for entry in models]),
            tracks=_options([entry.metrics.first.track for entry in models]),
        ),
        _table(models),
        "## Accuracy against cost",
        "Filled: models of the zoo, by task, with their intervals. Hollow: what others published of their systems, by "
        "their own protocol; where they published no file, the cost is that of the same network here. A point further "
        "up and to the left is better; compare points of the same task and protocol only.",
        placeholder("costs", "costs", "macro-F1 against cost of every model"),
        data_block("costs", {"models": [_point(entry) for entry in models], "published": _published(models)}),
    ]
    return "\n\n".join(parts) + "\n"


def _options(values: list[str]) -> str:
    return "".join(f"<option>{escape(value)}</option>" for value in sorted(set(values)))


def _table(models: list[Entry]) -> str:
    heads = "".join(
        f'<th scope="col" data-kind="{kind}"><button type="button">{escape(name)}</button></th>'
        for name, kind in COLUMNS
    )
    by_task = sorted(  # figures of other tasks or tracks are not to be compared
        models, key=lambda e: (e.metrics.task, e.metrics.first.track == "random", -_figure(e)[0])
    )
    rows = "\n".join(_row(entry) for entry in by_task)
    return (
        f'<div class="hz-scroll" tabindex="0"><table class="hz-models" id="models">\n<thead><tr>{heads}</tr></thead>\n'
        f"<tbody>\n{rows}\n</tbody></table></div>"
    )


def _row(entry: Entry) -> str:
    metrics, preprocessing = entry.metrics, entry.configuration["preprocessing"]
    first, cost = entry.metrics.first, metrics.cost
    databases = sorted({get_split(split).database for split in entry.config.learnt_from})
    figures = _figure(entry)
    random, track = first.track == "random", escape(first.track)
    none = ("", "-")
    cells: list[tuple[Any, str]] = [
        (entry.name, f'<a href="{metrics.task}.html#{entry.name}">{entry.name}</a>'),
        (metrics.task, f"{metrics.task}<small>{track}</small>"),
        none if random else figures,
        *(none if count is None else (count, f"{count:,}") for count in _costs(entry).values()),
        figures if random else none,
        (databases[0], f"{', '.join(databases)} ({track})"),
        (entry.config.model.architecture, entry.config.model.architecture),
        (preprocessing["fs"], f"{preprocessing['fs']:g}"),
        (preprocessing["frame"], f"{preprocessing['frame']:,}"),
        (len(metrics.classes), str(len(metrics.classes))),
    ]
    content = "".join(f'<td data-value="{escape(str(value))}">{text}</td>' for value, text in cells)
    return (
        f'<tr data-name="{entry.name}" data-task="{metrics.task}" data-track="{track}" '
        f'data-flash="{cost.tflite_bytes}" data-arena="{cost.arena_bytes or ""}">{content}</tr>'
    )


def _figure(entry: Entry) -> tuple[float, str]:
    first = entry.metrics.first
    figure, (low, high) = headline(first, entry.metrics.task)
    lines = [f"{low:.3f}-{high:.3f}, {first.split}", manner(first).strip(", ")]
    lines.append(least_without_one(first, entry.metrics.task))
    return figure, f"{figure:.3f}" + "".join(f"<small>{line}</small>" for line in lines if line)


def _costs(entry: Entry) -> dict[str, int | None]:
    cost = entry.metrics.cost
    return {
        "flash": cost.tflite_bytes, "arena": cost.arena_bytes, "macs": cost.macs, "parameters": cost.parameters,
    }  # fmt: skip


def _point(entry: Entry) -> dict[str, Any]:
    first = entry.metrics.first
    figure, (low, high) = headline(first, entry.metrics.task)
    over = TASKS[entry.metrics.task].over(first.track)
    group = f"{entry.metrics.task}{', random split' if first.track == 'random' else ''}"
    return {
        "name": f"{entry.name}@{entry.version}", "group": group, "value": figure, "low": low, "high": high,
        "note": f"macro-F1{over} on {first.split}{manner(first)}", **_costs(entry),
    }  # fmt: skip


def _published(models: list[Entry]) -> list[dict[str, Any]]:
    by_name = {entry.name: entry for entry in models}
    points: list[dict[str, Any]] = []
    for system in SYSTEMS:
        if system.macro_f1 is None or system.name not in by_name:
            continue
        costs = _costs(by_name[system.name])
        flash, arena = system.file[:2] if system.file else (costs["flash"], costs["arena"])
        note = f"{system.published}, on {system.protocol}"
        points.append(
            {"name": system.name, "value": system.macro_f1, "note": note, **costs, "flash": flash, "arena": arena}
        )
    return points + [
        {
            "name": peer.name,
            "value": peer.macro_f1,
            "note": peer.note,
            "flash": peer.flash,
            "parameters": peer.parameters,
        }
        for peer in PEERS
    ]
