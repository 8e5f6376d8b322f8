"""``heartzoo compare``: two models on the same patients, from what was published of them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from heartzoo.cli.zoo import ModelName
from heartzoo.errors import UserError

if TYPE_CHECKING:
    import numpy as np

    from heartzoo.metrics_file.results import Evaluation
    from heartzoo.zoo import Entry


def add_commands(app: typer.Typer) -> None:
    """Put the command of this module into the app."""
    app.command()(compare)


def compare(
    first: ModelName,
    second: ModelName,
    split: Annotated[str | None, typer.Option(help="test split; default the first that both have")] = None,
    zoo: Annotated[Path | None, typer.Option(help="the zoo's folder; default the zoo in use")] = None,
) -> None:
    """Two models on the same patients: how far the files' figures differ, and how sure that is. Needs no recordings."""
    from rich.table import Table

    from heartzoo.metrics import paired_difference
    from heartzoo.tables.terminal import show
    from heartzoo.tasks import TASKS
    from heartzoo.zoo import named

    entries = named(first, zoo), named(second, zoo)
    one, other = _results(entries, split)
    _refuse_unlike(entries, one, other)
    mine, its = one.patient_matrices, other.patient_matrices
    headline = TASKS[entries[0].metrics.task].headline(one.track)
    labels = [f"{entry.name}@{entry.version}" for entry in entries]
    title = f"{one.split}, {len(mine)} patient{'s' * (len(mine) > 1)}"
    table = Table("", *labels, "first less second (95 %)", title=title, title_justify="left")
    for name, figure in _figures(headline, list(one.per_class)).items():
        difference, low, high = paired_difference(mine, its, figure)
        values = (f"{float(figure(each.sum(0))):.3f}" for each in (mine, its))
        interval = f" ({low:+.3f} to {high:+.3f})" if not one.few_patients else ""
        table.add_row(name, *values, f"{difference:+.3f}{interval}")
    show(table)
    for label, entry in zip(labels, entries, strict=True):
        if seeds := entry.metrics.over_seeds(one.split, one.precision, headline):
            print(f"{label}: {seeds.mean:.3f} ± {seeds.spread:.3f} over {len(seeds.each)} trainings of its recipe")
    if one.few_patients:
        print(f"There is no interval: {one.split} is {one.few_patients}, which says nothing of others.")
        return
    print(
        "The interval is a bootstrap over patients, the same ones for both: of these two files, not of other trainings "
        "of their recipes."
    )


def _results(entries: tuple[Entry, Entry], split: str | None) -> tuple[Evaluation, Evaluation]:
    """What was published of both files on a split, by default the first that both have."""
    first, second = ({e.split: e for e in entry.metrics.evaluations if e.of_file} for entry in entries)
    labels = [f"{entry.name}@{entry.version}" for entry in entries]
    both = [name for name in first if name in second]
    if not both:
        tested = f"{labels[0]} was tested on {', '.join(first)}, {labels[1]} on {', '.join(second)}"
        raise UserError(f"{tested}: they share no split", "compare models that do")
    chosen = split or both[0]
    if chosen not in both:
        lacking = labels[chosen in first]
        raise UserError(f"{lacking} has no figures on {chosen}", f"take --split {' or --split '.join(both)}")
    return first[chosen], second[chosen]


def _figures(headline: str, classes: list[str]) -> dict[str, Callable[[np.ndarray], np.ndarray]]:
    """What is compared: the macro-F1 figures and the F1 of each class, of matrices of shape (..., k, k)."""
    from heartzoo.metrics import MACRO_F1S, METRIC_NAMES, class_scores

    def f1(number: int) -> Callable[[np.ndarray], np.ndarray]:
        return lambda matrices: class_scores(matrices).f1[..., number]

    names = ["macro_f1"] if headline == "macro_f1" else ["macro_f1_nsv", "macro_f1_nsvf"]
    return {METRIC_NAMES[name]: MACRO_F1S[name] for name in names} | {
        f"F1 {name}": f1(number) for number, name in enumerate(classes)
    }


def _refuse_unlike(entries: tuple[Entry, Entry], one: Evaluation, other: Evaluation) -> None:
    """Refuse results that are not of the same beats."""
    tasks = [entry.metrics.task for entry in entries]
    if tasks[0] != tasks[1]:
        raise UserError(f"{entries[0].name} is of {tasks[0]}, {entries[1].name} of {tasks[1]}", "compare one task")
    beats = [
        {name: [sum(row) for row in record.confusion_matrix] for name, record in result.by_record.items()}
        for result in (one, other)
    ]
    if beats[0] != beats[1]:
        raise UserError(f"the two were not scored on the same beats of {one.split}", "take other versions, or --split")
    files = [entry.configuration.get("data_sha256", {}).get(one.dataset, {}) for entry in entries]
    both = files[0].keys() & files[1].keys() & one.by_record.keys()
    if others := [record for record in both if files[0][record] != files[1][record]]:
        raise UserError(
            f"record {min(others)} of {one.dataset} had other files for {entries[0].name} than for {entries[1].name}",
            "export one of them anew",
        )
