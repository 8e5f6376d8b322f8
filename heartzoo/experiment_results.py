"""What experiments found: their files, and the tables of ``docs/experiments.md``.

``python -m heartzoo.experiment_results docs/experiments.md`` brings the page up to date.
"""

from __future__ import annotations

import statistics
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
from pydantic import ValidationError

from heartzoo.config.disturbance import Disturbance
from heartzoo.config.experiment import load_experiment
from heartzoo.errors import UserError
from heartzoo.files import fill_page
from heartzoo.metrics import MACRO_F1S, pooled_figures, without_each
from heartzoo.metrics_file.costs import Cost
from heartzoo.schema import StrictModel
from heartzoo.tables.markdown import cell

SECTION = "experiments"
FOLDER = Path("configs/experiments")


Patients = dict[str, list[list[int]]]


class SeedResult(StrictModel):
    """One seed of a variant on the validation patients of one fold.

    Attributes:
        fold: the fold.
        seed: the seed.
        patients: ``database/patient`` -> confusion matrix, rows true, columns predicted.
        disturbed: the same of the trial's disturbances.
    """

    fold: int | str
    seed: int
    patients: Patients
    disturbed: list[Patients] = []


class TrialResult(StrictModel):
    """The seeds of a variant on one fold.

    Attributes:
        cost: of the first seed's int8 file.
        disturbances: changes of the validation patients' recordings.
        seeds: each seed.
        code: hash of the code that made the examples; None in results of before it was noted.
        teachers: SHA-256 of the networks that taught it; None in results of before they were noted.
    """

    cost: Cost
    code: str | None = None
    teachers: list[str] | None = None
    disturbances: list[Disturbance] = []
    seeds: list[SeedResult]


class VariantResult(StrictModel):
    """What became of a variant.

    Attributes:
        name: its name.
        what: what it is.
        changes: what it changes in its configuration.
        folds: each fold.
    """

    name: str
    what: str
    changes: list[str]
    folds: list[TrialResult]


class ExperimentResult(StrictModel):
    """The result of an experiment; ``schema_version`` changes when its fields do.

    Attributes:
        name: the experiment.
        question: what was to be found out.
        task: its task.
        classes: the task's.
        headline: the figure of ``metrics.json`` that stands for a model.
        reference: the variant that the others are compared with.
        disturbances: changes of the validation patients' recordings.
        variants: all of them.
    """

    schema_version: Literal[1] = 1
    name: str
    question: str
    task: str
    classes: list[str]
    headline: str
    reference: str
    disturbances: list[Disturbance] = []
    variants: list[VariantResult]


def read(path: Path) -> ExperimentResult:
    """Read an experiment's result.

    Raises:
        UserError: the file is no result.
    """
    try:
        return ExperimentResult.model_validate_json(path.read_bytes())
    except ValidationError as error:
        raise UserError(f"{path} is no result of an experiment", "run `heartzoo experiment` again") from error


def table(result: ExperimentResult) -> str:
    """An experiment's table, in Markdown: figures over all folds' patients, mean and standard deviation over seeds.

    What a disturbance does is told as the headline's change by it; where it is another rhythm, which makes other
    classes of the beats, as the sensitivity of the first class in it. Trials of examples that different code made, and
    variants that were not validated on the reference's beats, are told below it.
    """
    seeds = {variant.name: _by_seed(result, variant) for variant in result.variants}
    columns = [result.headline, *(f"F1 {cell(name)}" for name in result.classes), "mean over patients"]
    columns += [_heading(each, result.classes[0]) for each in result.disturbances]
    plain = 2 + len(result.classes)
    lines = [
        f"| variant | what | {result.headline} | against {result.reference} | the same less any one patient | "
        + " | ".join(columns[1:])
        + " | parameters | MACs | .tflite B | arena B |",
        "| --- " * (len(columns) + 8) + "|",
    ]
    reference, unlike = _means(seeds[result.reference])[0], _unlike(result)
    for variant in result.variants:
        figures = seeds[variant.name]
        means = _means(figures)
        cost = variant.folds[0].cost
        spread = f" ± {statistics.stdev(row[0] for row in figures):.4f}" if len(figures) > 1 else ""
        compared = variant.name != result.reference and variant.name not in unlike
        arena = "-" if cost.arena_bytes is None else f"{cost.arena_bytes:,}"
        cells = [
            variant.name,
            cell(variant.what),
            f"{means[0]:.4f}{spread}",
            f"{means[0] - reference:+.4f}" if compared else "-",
            _less_any_one(result, variant) if compared else "-",
            *(f"{mean:.3f}" for mean in means[1:plain]),
            *(
                f"{mean:.3f}" if disturbance.rhythm else f"{mean - means[0]:+.3f}"
                for disturbance, mean in zip(result.disturbances, means[plain:], strict=True)
            ),
            f"{cost.parameters:,}",
            f"{cost.macs:,}",
            f"{cost.tflite_bytes:,}",
            arena,
        ]
        lines.append("| " + " | ".join(cells) + " |")
    codes = {fold.code for variant in result.variants for fold in variant.folds} - {None}
    if len(codes) > 1:
        lines += ["", "Not all of these trials are of examples that the same code made: their rows may not compare."]
    if unlike:
        told = f"{', '.join(unlike)}: validated on other people, or other beats, than {result.reference}; not compared."
        lines += ["", told]
    return "\n".join(lines)


def _unlike(result: ExperimentResult) -> list[str]:
    """Variants that were not validated on the reference's beats, or not by its classes."""
    beats = {
        variant.name: [
            (
                fold.seeds[0].fold,
                {name: [sum(row) for row in matrix] for name, matrix in fold.seeds[0].patients.items()},
            )
            for fold in variant.folds
        ]
        for variant in result.variants
    }
    return [name for name, found in beats.items() if found != beats[result.reference]]


def _less_any_one(result: ExperimentResult, variant: VariantResult) -> str:
    """From where to where a variant's gain over the reference goes as each patient in turn is left out.

    A gain that one patient's absence takes away is that patient's.
    """
    reference = next(each for each in result.variants if each.name == result.reference)
    figures, before = _without_each(result, variant), _without_each(result, reference)
    gains = [figures[patient] - before[patient] for patient in figures.keys() & before.keys()]
    return f"{min(gains):+.4f} to {max(gains):+.4f}" if len(gains) > 1 else "-"


def _without_each(result: ExperimentResult, variant: VariantResult) -> dict[str, float]:
    """The headline without each patient, mean over seeds."""
    found: dict[str, list[float]] = {}
    every = [each for fold in variant.folds for each in fold.seeds]
    for seed in {each.seed for each in every}:
        people = {name: matrix for each in every if each.seed == seed for name, matrix in each.patients.items()}
        figures = without_each(np.array(list(people.values())), MACRO_F1S[result.headline])
        for name, figure in zip(people, figures.tolist(), strict=True):
            found.setdefault(name, []).append(figure)
    return {name: statistics.fmean(values) for name, values in found.items()}


def _heading(disturbance: Disturbance, first_class: str) -> str:
    """Of a disturbance's column; no two disturbances have the same but for their draws."""
    change = f"{disturbance.kind}, {disturbance.level}"
    if not disturbance.rhythm:
        return change
    alone = disturbance.kind == "other rhythm"
    return f"Se {first_class} in made {disturbance.rhythm}" + ("" if alone else f" ({change})")


def _means(rows: list[list[float]]) -> list[float]:
    return [statistics.fmean(column) for column in zip(*rows, strict=True)]


def _by_seed(result: ExperimentResult, variant: VariantResult) -> list[list[float]]:
    """Of each seed the headline, each class's F1, the mean over patients, and what stands for each disturbance.

    Of all folds' patients together.
    """

    def pooled(found: Iterable[Patients]) -> dict[str, Any]:
        patients, matrices = zip(*(pair for each in found for pair in each.items()), strict=True)
        return pooled_figures(np.array(matrices), patients, result.classes)

    rows = []
    every = [each for fold in variant.folds for each in fold.seeds]
    for seed in sorted({each.seed for each in every}):
        folds = [each for each in every if each.seed == seed]
        figures = pooled(each.patients for each in folds)
        by_class = [figures["per_class"][name]["f1"] for name in result.classes]
        disturbed = []
        for number, disturbance in enumerate(result.disturbances):
            worse = pooled(each.disturbed[number] for each in folds)
            disturbed.append(
                worse["per_class"][result.classes[0]]["se"] if disturbance.rhythm else worse[result.headline]
            )
        rows.append([figures[result.headline], *by_class, figures[f"patient_{result.headline}"], *disturbed])
    return rows


def overview(results: Sequence[ExperimentResult]) -> str:
    """A line for each experiment, in Markdown: what its best variant changes against the reference."""
    lines = [
        "| experiment | what was asked | best of the others | macro-F1 | F1 S, PAC | F1 V, PVC | .tflite B |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    for result in results:
        means = {variant.name: _means(_by_seed(result, variant)) for variant in result.variants}
        size = {variant.name: variant.folds[0].cost.tflite_bytes for variant in result.variants}
        others = [name for name in means if name not in (result.reference, *_unlike(result))]
        best = max(others, key=lambda name: means[name][0], default=result.reference)
        against = np.subtract(means[best], means[result.reference])
        cells = [
            f"[{result.name}](#{result.name})",
            cell(result.question),
            f"{best}, of {len(others)}" if others else "-",
            f"{against[0]:+.4f}",
            *(f"{against[1 + number]:+.3f}" if number < len(result.classes) else "-" for number in (1, 2)),
            f"{size[best] - size[result.reference]:+,}",
        ]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def every_table(folder: Path = FOLDER) -> str:
    """An overview, and of every experiment its question, its table and how that is to be read, in Markdown."""
    results = [read(path) for path in sorted(folder.glob("*.json"))]
    if not results:
        return "No experiment has a result yet."
    parts = [overview(results)]
    for result in results:
        trials = [seed for fold in result.variants[0].folds for seed in fold.seeds]
        people = {name for trial in trials for name in trial.patients}
        folds, seeds = {trial.fold for trial in trials}, {trial.seed for trial in trials}
        what = "database" if all(isinstance(fold, str) for fold in folds) else "fold"
        parts.append(
            f"### {result.name}\n\n{result.question} {result.task}; {len(people)} validation patients of "
            f"{len(folds)} {what}{'s' if len(folds) > 1 else ''}, {len(seeds)} seed{'s' if len(seeds) > 1 else ''}.\n\n"
            + table(result)
        )
        if found := load_experiment(folder / f"{result.name}.yaml").found:
            parts.append(found.strip())
    return "\n\n".join(parts)


if __name__ == "__main__":
    for page in sys.argv[1:]:
        fill_page(Path(page), SECTION, every_table())
