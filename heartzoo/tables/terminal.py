"""Tables of an evaluation for the terminal. Fractions are shown in percent with one decimal."""

from __future__ import annotations

from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from heartzoo.cards.tables import absent_classes
from heartzoo.data.splits import caveat
from heartzoo.metrics import METRIC_NAMES
from heartzoo.metrics_file.figures import ClassFigures
from heartzoo.metrics_file.results import EndToEndResult, Evaluation


def report_table(model: str, evaluation: Evaluation, unit: str) -> Group:
    """What ``heartzoo evaluate`` prints of one evaluation.

    Args:
        model: the model's name, with its version if it has one.
        evaluation: the result.
        unit: what it counts, beats or frames.

    Returns:
        A header line, the figures of each class, the macro-F1s, and the confusion matrix.
    """
    lines = [Text(_header(model, evaluation), style="bold")]
    if said := caveat(evaluation.track, evaluation.split):  # so that nobody takes it for an inter-patient result
        lines.append(Text(said, style="yellow"))
    tables: list[RenderableType] = [_class_table(evaluation, unit), _summary_table(evaluation)]
    if absent := absent_classes(evaluation, unit):
        tables.append(Text(absent))
    return Group(*lines, *tables, _matrix_table(evaluation))


def _header(model: str, evaluation: Evaluation) -> str:
    e = evaluation
    where = f"{e.dataset} {e.split} ({len(e.records)} records, mapping {e.mapping}), n = {e.n:,}"
    return f"{model}  {e.precision} by {e.runtime}, {e.track} track, on {where}"


def _table(title: str, *columns: str) -> Table:
    """A table whose first column is text and whose others are numbers."""
    table = Table(title=title, title_justify="left")
    for index, column in enumerate(columns):
        table.add_column(Text(column), justify="right" if index else "left")
    return table


def _class_table(evaluation: Evaluation, unit: str) -> Table:
    table = _table("By class", "class", "Se %", "+P %", "F1 %", unit)
    for name, figures in evaluation.per_class.items():
        table.add_row(Text(name), *_shares(figures), f"{figures.support:,}")
    return table


def _shares(figures: ClassFigures) -> list[str]:
    """Se, +P and F1 in percent; none of a class without a true beat, where 0.0 would read as a failure."""
    return [percent(value) if figures.support else "-" for value in (figures.se, figures.ppv, figures.f1)]


def _summary_table(evaluation: Evaluation) -> Table:
    e = evaluation
    table = _table("Over classes", "figure", "%", "95 % interval", "less one patient, at worst", "mean over patients")
    titles = METRIC_NAMES | {"macro_f1": f"macro-F1, {len(e.per_class)} classes"}
    for name in sorted(titles, key=lambda name: name == "macro_f1"):
        if getattr(e, name) is None:
            continue
        bounds = e.few_patients or " to ".join(percent(bound) for bound in getattr(e, f"{name}_ci95"))
        patients = getattr(e, f"patient_{name}", None)
        means = "" if patients is None else percent(patients)
        table.add_row(titles[name], percent(getattr(e, name)), bounds, _without_one(e, name), means)
    table.add_row("accuracy", percent(e.accuracy), "", "", "")
    return table


def _without_one(evaluation: Evaluation, metric: str) -> str:
    found = evaluation.least_without_one(metric)
    return f"{percent(found[0])} without {found[1]}" if found else ""


def _matrix_table(evaluation: Evaluation) -> Table:
    table = _table("Confusion matrix", "true \\ predicted", *evaluation.per_class)
    for name, row in zip(evaluation.per_class, evaluation.confusion_matrix, strict=True):
        table.add_row(Text(name), *(f"{count:,}" for count in row))
    return table


def end_to_end_table(result: EndToEndResult, annotated: Evaluation) -> Table:
    """What ``heartzoo evaluate --end-to-end`` prints: figures with found beats beside those at annotated R peaks."""
    title = f"End to end, {result.split}: found within {1000 * result.window_s:g} ms"
    table = _table(title, "", "Se %", "+P %", "F1 %", "at annotated R peaks: Se %", "+P %", "F1 %")
    found = result.detection
    table.add_row("detection", f"{100 * found.se:.2f}", f"{100 * found.ppv:.2f}", "", "", "", "")
    for name, figures in result.per_class.items():
        table.add_row(Text(name), *_shares(figures), *_shares(annotated.per_class[name]))
    return table


def show(shown: RenderableType) -> None:
    """Print to standard output, as wide as it takes up to 160 columns: a figure or a name cut off helps nobody."""
    console = Console(markup=False)  # a name from a file may hold brackets
    wanted = console.measure(shown, options=console.options.update(width=160)).maximum
    Console(width=max(console.width, wanted), markup=False).print(shown)


def percent(fraction: float) -> str:
    """A fraction in percent with one decimal.

    >>> percent(0.8766)
    '87.7'
    """
    return f"{100 * fraction:.1f}"
