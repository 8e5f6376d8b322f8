"""``heartzoo list``, ``info``, ``cost``: what the models of a zoo are and cost."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from fnmatch import fnmatch
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from heartzoo.cli.completion import model_names
from heartzoo.errors import UserError, nearest

if TYPE_CHECKING:
    from heartzoo.zoo.index import IndexEntry

ModelName = Annotated[
    str, typer.Argument(metavar="NAME[@VERSION]", help="a model of the zoo", autocompletion=model_names)
]
ZooPlace = Annotated[
    str | None, typer.Option(metavar="URL|FOLDER", help="a zoo that is served, or one's folder; default the zoo in use")
]

AsJson = Annotated[bool, typer.Option("--json", help="print JSON, for programs")]


def add_commands(app: typer.Typer) -> None:
    """Put the commands of this module into the app."""
    for command in (info, cost):
        app.command()(command)
    app.command("list")(list_models)


def list_models(
    pattern: Annotated[str, typer.Argument(help="shell pattern, e.g. 'beat-*'")] = "*",
    zoo: ZooPlace = None,
    as_json: AsJson = False,
) -> None:
    """The models of the zoo with their files' figures and costs."""
    from heartzoo.zoo import zoo_folder
    from heartzoo.zoo.index import newest

    known = served_or_here(zoo)
    if not known:
        raise UserError(f"{zoo or zoo_folder()} holds no model", "name a zoo with --zoo, or in HEARTZOO_ZOO")
    listed = [entry for entry in known if fnmatch(entry.name, pattern)]
    if not listed:
        raise UserError(f"no model is named {pattern}", nearest(pattern, {entry.name for entry in known}))
    if as_json:
        return print_entries(newest(listed).values())
    show_models(newest(listed).values())
    for entry in listed:
        if entry.withdrawn is not None:
            print(f"withdrawn: {entry.label}: {entry.withdrawn}")


def served_or_here(zoo: str | None) -> Sequence[IndexEntry]:
    """Every version of a zoo that is served at a URL, lies in a folder, or is in use."""
    from heartzoo.zoo import entries
    from heartzoo.zoo.download import index_of

    return index_of(zoo).models if zoo and "://" in zoo else entries(zoo)


def print_entries(entries: Iterable[IndexEntry]) -> None:
    """Print versions as ``index.json`` has them: a JSON array, its order theirs."""
    print(json.dumps([entry.model_dump(mode="json") for entry in entries], indent=2))


def show_models(entries: Iterable[IndexEntry]) -> None:
    """Print a table of versions with their headline figures and costs."""
    from rich.table import Table

    from heartzoo.tables.models import manner
    from heartzoo.tables.terminal import show

    table = Table("model", "task", "track, split", "macro-F1 int8 (95 %)", "parameters", "MACs", ".tflite B", "arena B")
    for entry in entries:
        figure, cost = entry.headline, entry.cost
        interval = (
            f" ({figure.low:.3f}-{figure.high:.3f})" if figure.low < figure.high else ""
        )  # of one patient a point
        over = " N/S/V" if figure.metric == "macro_f1_nsv" else ""
        table.add_row(
            entry.label, entry.task, f"{entry.track}, {figure.split}",
            f"{figure.value:.3f}{interval}{over}{manner(figure)}",
            f"{cost.parameters:,}", f"{cost.macs:,}", f"{cost.tflite_bytes:,}",
            "-" if cost.arena_bytes is None else f"{cost.arena_bytes:,}",
        )  # fmt: skip
    show(table)


def info(
    name: ModelName,
    zoo: Annotated[Path | None, typer.Option(help="the zoo's folder; default the zoo in use")] = None,
    as_json: AsJson = False,
) -> None:
    """What a model is, takes and costs, and how it does on unseen patients."""
    from heartzoo.cards.risks import risks
    from heartzoo.tables.terminal import report_table, show
    from heartzoo.tasks import TASKS
    from heartzoo.zoo import entries, named
    from heartzoo.zoo import info as known
    from heartzoo.zoo.index import withdrawn_others

    if as_json:
        return print(json.dumps(known(name, zoo), indent=2))
    entry = named(name, zoo)
    configuration, metrics = entry.configuration, entry.metrics
    print(f"{entry.name}@{entry.version}: {configuration['summary']}\n{configuration['notice']}")
    print(f"task {metrics.task}: {', '.join(metrics.classes)}\n")
    show(report_table(f"{entry.name}@{entry.version}", metrics.evaluations[0], TASKS[metrics.task].unit))
    cost, arena = metrics.cost, metrics.cost.arena_bytes
    others = withdrawn_others(entries(zoo), entry.name, entry.version)
    print(
        f"{cost.parameters:,} parameters, {cost.macs:,} MACs, "
        f"{cost.tflite_bytes:,} B of .tflite, arena {'not measured' if arena is None else f'{arena:,} B'}\n\n"
        f"What it does badly, and what is not known:\n{risks(configuration, metrics, others)}\n\n"
        "From a recording to a class:"
    )
    for number, step in enumerate(configuration["preprocessing"]["steps"], start=1):
        print(f"{number}. {step}")
    for tensor in configuration["tensors"]["inputs"] + configuration["tensors"]["outputs"]:
        print(
            f"{tensor['role']}: {tensor['dtype']} {tensor['shape']}, "
            f"scale {tensor['scale']}, zero point {tensor['zero_point']}"
        )
    print(f"\nWhere it comes from: {configuration['origin']}\n")
    for file, fact in entry.files.items():
        print(f"{entry.folder / file}  {fact['bytes']:,} B  sha256 {fact['sha256']}")


def cost(
    target: Annotated[
        str,
        typer.Argument(
            metavar="NAME[@VERSION]|PATH", help="a model of the zoo, or a .tflite file", autocompletion=model_names
        ),
    ],
    zoo: Annotated[Path | None, typer.Option(help="the zoo's folder; default the zoo in use")] = None,
) -> None:
    """What each operator of a file costs: multiply-accumulates, weights, memory; instructions are an estimate."""
    from rich.table import Table

    from heartzoo.cost import operator_costs
    from heartzoo.interpreters import smallest_arena_bytes
    from heartzoo.tables.terminal import show
    from heartzoo.zoo import named

    named_file = target.endswith(".tflite") or Path(target).is_file() or "/" in target
    path = Path(target) if named_file else named(target, zoo).path("model.tflite")
    if not path.is_file():
        raise UserError(f"no model file {path}", "name a .tflite file, or a model of the zoo")
    content = path.read_bytes()
    try:
        rows = operator_costs(content)
    except UserError as error:
        raise UserError(f"{path}: {error.problem}", error.remedy) from error
    table = Table("operator", "output", "MACs", "weights B", "activations B", "M4 instructions (estimate)")
    for row in rows:
        estimate = "-" if row.instructions is None else f"{row.instructions:,}"
        shape = " x ".join(map(str, row.output))
        table.add_row(row.name, shape, f"{row.macs:,}", f"{row.weight_bytes:,}", f"{row.live_bytes:,}", estimate)
    show(table)
    arena, instructions = smallest_arena_bytes(content), sum(row.instructions or 0 for row in rows)
    print(
        f"{len(rows)} operators, {sum(row.macs for row in rows):,} MACs, {len(content):,} B of .tflite, "
        f"arena {'not measured' if arena is None else f'{arena:,} B'}, "
        f"most activations at once {max((row.live_bytes for row in rows), default=0):,} B, "
        f"instructions on a Cortex-M4 (estimate): {f'at least {instructions:,}' if instructions else 'not estimated'}"
    )
