"""A page for each task with a tab for each of its models, and a page for each model: its card."""

from __future__ import annotations

from pathlib import PurePosixPath
from textwrap import indent
from typing import Any

from heartzoo.cards.card import summary_of
from heartzoo.data.databases import get_database
from heartzoo.data.splits import TRACKS, get_split, is_part
from heartzoo.metrics_file.results import Evaluation
from heartzoo.tables.markdown import prose
from heartzoo.tables.models import PRECISIONS, manner, size, task_table
from heartzoo.tasks import TASKS
from heartzoo.website.markup import data_block, file_link, placeholder, table
from heartzoo.zoo import Entry
from heartzoo.zoo.index import IndexEntry, headline


def task_page(name: str, models: list[Entry], listed: list[IndexEntry]) -> str:
    """The page of a task.

    Args:
        name: the task's.
        models: its models, newest versions.
        listed: all versions of the zoo.
    """
    task = TASKS[name]
    best = sorted(models, key=_figure, reverse=True)
    parts = [
        "---\nhide: [toc]\n---",  # room for the table
        f"# {name}: {task.title}",
        f"Classes, by {'symbols of frames' if task.of_rhythm else 'WFDB symbols of beats (mapping A)'}:",
        table(
            ["class", "symbols"], [[c, f"`{' '.join(s)}`"] for c, s in zip(task.classes, task.symbols(), strict=True)]
        ),
        "The best first. Figures are of the int8 file by TFLite Micro unless said otherwise; [how they are "
        "measured](../evaluation.md).",
    ]
    # Apart, also because the theme shows no more than twenty tabs of a set.
    for title, random in (("On unseen patients", False), ("On the random split", True)):
        if group := [entry for entry in best if (entry.metrics.first.track == "random") == random]:
            tabs = [f'=== "{entry.name}"\n\n{indent(_tab(entry), "    ")}' for entry in group]
            parts += [f"## {title}", task_table(name, group, "../cards/{name}.md", listed), *tabs]
    parts += [data_block(f"matrices-{entry.name}", _matrices(entry)) for entry in best]
    return "\n\n".join(parts) + "\n"


def _figure(entry: Entry) -> float:
    return headline(entry.metrics.first, entry.metrics.task)[0]


def _tab(entry: Entry) -> str:
    metrics, configuration = entry.metrics, entry.configuration
    track = configuration["training"]["track"]
    first = entry.metrics.first
    databases = {split: get_database(get_split(split).database).title for split in entry.config.learnt_from}
    parts = [
        " ".join([*summary_of(configuration), f"Version {entry.version}; [its card](../cards/{entry.name}.md)."]),
        f"**Input.** {configuration['preprocessing']['fs']:g} Hz, one lead, {configuration['preprocessing']['frame']} "
        f"values a decision. **Trained on** {', '.join(f'{title} ({split})' for split, title in databases.items())}. "
        f"**Track:** {track} ({TRACKS[track]}).",
        "**Performance**",
        table(["split", "file", "accuracy", "macro-F1 (95 %)"], [_row(e, metrics.task) for e in metrics.evaluations]),
        table(
            [f"class, on {first.split}", "Se", "+P", "F1", TASKS[metrics.task].unit],
            [[c, f"{f.se:.3f}", f"{f.ppv:.3f}", f"{f.f1:.3f}", f"{f.support:,}"] for c, f in first.per_class.items()],
        ),
        placeholder("matrix", f"matrices-{entry.name}", f"confusion matrices of {entry.name}"),
        "**Cost**",
        table(
            ["parameters", "MACs", "flash", "arena", "operators"],
            [[
                f"{metrics.cost.parameters:,}", f"{metrics.cost.macs:,}", size(metrics.cost.tflite_bytes),
                size(metrics.cost.arena_bytes), str(sum(metrics.cost.operators.values())),
            ]],
        ),
        "**Downloads**",
        downloads(entry),
        f"```\nheartzoo download {entry.name}@{entry.version}\n```",
    ]  # fmt: skip
    return "\n\n".join(parts)


def _row(e: Evaluation, task: str) -> list[str]:
    figure, (low, high) = headline(e, task)
    over = TASKS[task].over(e.track)
    said = f"{PRECISIONS[e.precision]}{manner(e) if e.of_file and e.runtime != 'tflm' else ''}"
    return [e.split, said, f"{e.accuracy:.4f}", f"{figure:.3f} ({low:.3f}-{high:.3f}){over}"]


def downloads(entry: Entry) -> str:
    """The table of a version's files."""
    rows = [
        [file_link(entry, name), f"{facts['bytes']:,}", f"`{facts['sha256']}`"] for name, facts in entry.files.items()
    ]
    return table(["file", "bytes", "SHA-256"], rows)


def _matrices(entry: Entry) -> dict[str, Any]:
    """For the script that draws them: those of whole test splits, of the file and of its float parent."""
    return {
        "classes": entry.metrics.classes,
        "matrices": [
            {"split": e.split, "file": PRECISIONS[e.precision], "counts": e.confusion_matrix}
            for e in entry.metrics.evaluations
            if not is_part(e.split)
        ],
    }


def card_page(entry: Entry, versions: list[IndexEntry], pictures: list[str]) -> str:
    """A model's card as a page of the site, with its confusion matrices, files and versions.

    Args:
        entry: the newest version.
        versions: all that the index lists.
        pictures: addresses of pictures from the page.
    """
    text = entry.path("README.md").read_text(encoding="utf-8")
    body = text.split("---\n", 2)[2].strip()
    title, _, rest = body.partition("\n")
    rows = [
        [
            v.version,
            f"{v.headline.value:.3f} on {v.headline.split}",
            prose(v.withdrawn or "") or ("newest" if v.version == entry.version else ""),
        ]
        for v in reversed(versions)
    ]
    parts = [
        "---\nsearch:\n  boost: 2\nhide: [navigation]\n---",  # it is in no list there, and its tables are wide
        title,
        f"[All models of {entry.metrics.task}](../models/{entry.metrics.task}.md) · [model zoo](../models/index.md)",
        rest.strip(),
        "## Confusion matrices",
        placeholder("matrix", f"matrices-{entry.name}", f"confusion matrices of {entry.name}"),
        "## Pictures",
        *(f"![{PurePosixPath(address).stem}]({address})" for address in pictures),
        "## Downloads",
        downloads(entry),
        "## Versions",
        table(["version", "macro-F1", ""], rows),
        data_block(f"matrices-{entry.name}", _matrices(entry)),
    ]
    return "\n\n".join(parts) + "\n"
