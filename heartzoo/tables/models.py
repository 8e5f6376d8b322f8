"""The tables of models, of the README and the site.

``python -m heartzoo.tables.models README.md`` brings it up to date.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from heartzoo.files import fill_page
from heartzoo.interpreters import RUNTIMES
from heartzoo.metrics import FIVE_CLASS_ROWS, METRIC_NAMES
from heartzoo.metrics_file.results import Evaluation
from heartzoo.tables.markdown import cell
from heartzoo.tasks import TASKS
from heartzoo.zoo import Entry, find, read_index, zoo_folder
from heartzoo.zoo.index import Headline, IndexEntry, headline, newest, withdrawn_others

SECTION = "models"
PRECISIONS = {"int8": "int8", "int16x8": "16x8", "float32": "float"}


def manner(evaluation: Evaluation | Headline) -> str:
    """What is to be said beside a figure of a file that is not int8 or was not run by TFLite Micro; else nothing."""
    said = [] if evaluation.precision == "int8" else [PRECISIONS[evaluation.precision]]
    said += [] if evaluation.runtime == "tflm" else [f"by {RUNTIMES[evaluation.runtime]}"]
    return "".join(f", {words}" for words in said)


def least_without_one(e: Evaluation, task: str) -> str:
    """The headline without the one patient whom it owes most to, and the record; nothing of a random split."""
    found = e.least_without_one(TASKS[task].headline(e.track))
    return f"{found[0]:.3f} without {found[1]}" if found else ""


def models_tables(zoo: Path) -> str:
    """The newest versions of a zoo in Markdown: a table for each task on unseen patients, then the random split."""
    listed = read_index(zoo)
    models = [find(entry.label, zoo) for entry in newest(listed).values()]
    of_patients = [entry for entry in models if entry.metrics.first.track != "random"]
    random = [entry for entry in models if entry.metrics.first.track == "random"]
    groups = [(f"`{name}`: {task.title}", name, _of_task(of_patients, name)) for name, task in TASKS.items()]
    groups += [("The random split, optimistic", name, _of_task(random, name)) for name in TASKS]
    return "\n\n".join(
        f"### {title}\n\n{task_table(name, group, 'zoo/{name}/{version}/README.md', listed)}"
        for title, name, group in groups
        if group
    )


def _of_task(models: Sequence[Entry], name: str) -> list[Entry]:
    return [entry for entry in models if entry.metrics.task == name]


def task_table(task: str, models: Sequence[Entry], link: str, listed: Sequence[IndexEntry]) -> str:
    """Models of one task on one kind of track, the best first, in Markdown.

    Args:
        task: the task's name.
        models: the models.
        link: address of a model's card, with ``{name}`` and ``{version}`` for it.
        listed: all versions; a withdrawn newer one earns a model a mark and a footnote.
    """
    rows = [(headline(entry.metrics.first, task)[0], _row(task, entry, link, listed)) for entry in models]
    best_first = [row for _, row in sorted(rows, key=lambda row: -row[0])]
    names = dict.fromkeys(name for row in best_first for name in row)  # models may be tested on several splits
    shown = [name for name in names if any(row.get(name, "-") not in ("", "-") for row in best_first)]
    lines = [shown, ["---"] * len(shown), *([row.get(name, "-") for name in shown] for row in best_first)]
    table = "\n".join("| " + " | ".join(line) + " |" for line in lines)
    return "\n\n".join([table, *_footnote(models, listed)])


def _row(task: str, entry: Entry, link: str, listed: Sequence[IndexEntry]) -> dict[str, str]:
    metrics, cost, first = entry.metrics, entry.metrics.cost, entry.metrics.first
    name = TASKS[task].headline(first.track)
    figure, (low, high) = headline(first, task)
    seeds = metrics.over_seeds(first.split, first.precision, name)
    mark = " †" if withdrawn_others(listed, entry.name, entry.version) else ""
    scored = FIVE_CLASS_ROWS["nsv"] if name == "macro_f1_nsv" else len(first.per_class)
    classes = list(first.per_class.items())[1:scored]
    elsewhere = [e for e in metrics.evaluations if e.of_file and e.dataset != first.dataset]
    return {
        "model": f"[{entry.name}]({link.format(name=entry.name, version=entry.version)}) {entry.version}{mark}",
        "trained on": " + ".join(entry.config.learnt_from),
        f"{METRIC_NAMES[name]} on {first.split} (95 %)": f"{figure:.3f} ({low:.3f}-{high:.3f}){manner(first)}",
        "less one patient, at worst": least_without_one(first, task),
        "seeds": f"{seeds.mean:.3f} ± {seeds.spread:.3f} ({len(seeds.each)})" if seeds else "-",
        "mean over patients": "" if first.track == "random" else f"{getattr(first, f'patient_{name}'):.3f}",
        **{f"F1 {cell(each)}": f"{figures.f1:.3f}" for each, figures in classes},
        "N/S/V/F": f"{first.macro_f1_nsvf:.3f}" if name == "macro_f1_nsv" else "",
        **{e.split: f"{headline(e, task)[0]:.3f}" for e in elsewhere},
        "MACs": f"{cost.macs:,}",
        "flash, B": f"{cost.tflite_bytes:,}",
        "arena, B": "not measured" if cost.arena_bytes is None else f"{cost.arena_bytes:,}",
    }


def _footnote(models: Sequence[Entry], listed: Sequence[IndexEntry]) -> list[str]:
    others = [other for entry in models for other in withdrawn_others(listed, entry.name, entry.version)]
    said = "; ".join(f"{o.label} ({o.headline.value:.3f} on {o.headline.split})" for o in others)
    return [
        f"† A version was withdrawn after it had been scored: {said}. Which versions stand was decided with such "
        "figures known, so that those above may be optimistic; the cards have the reasons."
    ] * bool(others)


def size(count: int | None) -> str:
    """A number of bytes, in words where it was not measured."""
    return "not measured" if count is None else f"{count:,} B"


if __name__ == "__main__":
    for page in sys.argv[1:]:
        fill_page(Path(page), SECTION, models_tables(zoo_folder()))
