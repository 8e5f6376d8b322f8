"""``heartzoo list``, ``info``, ``cost``: what the models of a zoo are and cost."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from heartzoo.errors import UserError

if TYPE_CHECKING:
    pass

ModelName = Annotated[str, typer.Argument(metavar="NAME[@VERSION]", help="a model of the zoo")]


def add_commands(app: typer.Typer) -> None:
    """Put the commands of this module into the app."""
    for command in (info, cost):
        app.command()(command)
    app.command("list")(list_models)


def list_models(
    pattern: Annotated[str, typer.Argument(help="shell pattern, e.g. 'beat-*'")] = "*",
    zoo: Annotated[Path | None, typer.Option(help="the zoo's folder; default the zoo in use")] = None,
) -> None:
    """The models of the zoo with their files' figures and costs."""
    from rich.table import Table

    from heartzoo.cards import manner
    from heartzoo.tables import show
    from heartzoo.zoo import find
    from heartzoo.zoo import list_models as names
    from heartzoo.zoo_index import headline

    table = Table("model", "task", "track, split", "macro-F1 int8 (95 %)", "parameters", "MACs", ".tflite B", "arena B")
    for name in names(pattern, zoo):
        entry = find(name, zoo)
        metrics = entry.metrics
        first = next(e for e in metrics.evaluations if e.of_file)
        figure, (low, high) = headline(first, metrics.task)
        cost = metrics.cost
        table.add_row(
            f"{name}@{entry.version}", metrics.task, f"{first.track}, {first.split}",
            f"{figure:.3f} ({low:.3f}-{high:.3f}){manner(first)}",
            f"{cost.parameters:,}", f"{cost.macs:,}", f"{cost.tflite_bytes:,}", f"{cost.arena_bytes or 0:,}",
        )  # fmt: skip
    show(table)


def info(
    name: ModelName,
    zoo: Annotated[Path | None, typer.Option(help="the zoo's folder; default the zoo in use")] = None,
) -> None:
    """What a model is, takes and costs, and how it does on unseen patients."""
    from heartzoo.tables import report_table, show
    from heartzoo.zoo import find

    entry = find(name, zoo)
    configuration, metrics = entry.configuration, entry.metrics
    print(
        f"{entry.name}@{entry.version}: {configuration['summary']}\n"
        f"{configuration['origin']}\n{configuration['notice']}"
    )
    print(f"task {metrics.task}: {', '.join(metrics.classes)}")
    for number, step in enumerate(configuration["preprocessing"]["steps"], start=1):
        print(f"{number}. {step}")
    for tensor in configuration["tensors"]["inputs"] + configuration["tensors"]["outputs"]:
        print(
            f"{tensor['role']}: {tensor['dtype']} {tensor['shape']}, "
            f"scale {tensor['scale']}, zero point {tensor['zero_point']}"
        )
    show(report_table(f"{entry.name}@{entry.version}", metrics.evaluations[0]))
    cost = metrics.cost
    print(
        f"{cost.parameters:,} parameters, {cost.macs:,} MACs, "
        f"{cost.tflite_bytes:,} B of .tflite, arena {cost.arena_bytes} B"
    )
    for file, fact in entry.files.items():
        print(f"{entry.folder / file}  {fact['bytes']:,} B  sha256 {fact['sha256']}")


def cost(
    target: Annotated[str, typer.Argument(metavar="NAME[@VERSION]|PATH", help="a model of the zoo, or a .tflite file")],
    zoo: Annotated[Path | None, typer.Option(help="the zoo's folder; default the zoo in use")] = None,
) -> None:
    """What each operator of a file costs: multiply-accumulates, weights, memory; instructions are an estimate."""
    from rich.table import Table

    from heartzoo.cost import operator_costs
    from heartzoo.runtime import arena_bytes
    from heartzoo.tables import show
    from heartzoo.zoo import find

    path = Path(target) if target.endswith(".tflite") or "/" in target else find(target, zoo).path("model.tflite")
    if not path.is_file():
        raise UserError(f"no model file {path}", "name a .tflite file, or a model of the zoo")
    content = path.read_bytes()
    rows = operator_costs(content)
    table = Table("operator", "output", "MACs", "weights B", "activations B", "M4 instructions (estimate)")
    for row in rows:
        estimate = "-" if row.instructions is None else f"{row.instructions:,}"
        shape = " x ".join(map(str, row.output))
        table.add_row(row.name, shape, f"{row.macs:,}", f"{row.weight_bytes:,}", f"{row.live_bytes:,}", estimate)
    show(table)
    arena, instructions = arena_bytes(content), sum(row.instructions or 0 for row in rows)
    print(
        f"{len(rows)} operators, {sum(row.macs for row in rows):,} MACs, {len(content):,} B of .tflite, "
        f"arena {'not measured' if arena is None else f'{arena:,} B'}, "
        f"most activations at once {max((row.live_bytes for row in rows), default=0):,} B, "
        f"instructions on a Cortex-M4 (estimate): {f'at least {instructions:,}' if instructions else 'not estimated'}"
    )
