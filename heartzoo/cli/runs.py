"""What makes a run, and what is made of it: ``train``, ``compress``, ``export``, ``quantization``, ``experiment``."""

from __future__ import annotations

from pathlib import Path
from shlex import quote
from typing import Annotated

import typer

from heartzoo.cli.backend import import_keras, in_zoo, program
from heartzoo.errors import UserError


def add_commands(app: typer.Typer) -> None:
    """Put the commands of this module into the app."""
    for command in (train, compress, export, quantization, experiment):
        app.command()(command)


def train(
    config: Annotated[Path, typer.Argument(help="a YAML file such as configs/arr-5-res-sm.yaml")],
    set_: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="override, e.g. training.epochs=5; repeatable"),
    ] = None,
    out: Annotated[Path | None, typer.Option(help="the run's folder; default runs/<name>")] = None,
    resume: Annotated[bool, typer.Option(help="go on with an interrupted run from its last finished epoch")] = False,
) -> None:
    """Train every seed of a configuration, with a checkpoint each epoch."""
    from heartzoo.config.file import load_config

    checked = load_config(config, set_ or [])
    import_keras()
    from heartzoo.runs import train as run

    folder = out or Path("runs") / checked.name
    _tell_new(folder, resume)
    run(checked, folder, resume)
    print(f"trained: {folder}\nnext: {program()} export {quote(str(folder))} --zoo my-zoo")


def _tell_new(folder: Path, resume: bool) -> None:
    if resume and not (folder / "config.yaml").is_file():
        print(f"{folder} holds no run to resume: it begins anew")


def compress(
    run: Annotated[Path, typer.Argument(help="the folder of a finished training")],
    config: Annotated[
        Path | None,
        typer.Option(help="a YAML file: the run's training, and compression steps; default the run's"),
    ] = None,
    set_: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="override, e.g. name=x or compression=[...]; repeatable"),
    ] = None,
    out: Annotated[Path | None, typer.Option(help="the new run's folder; default runs/<name>")] = None,
    resume: Annotated[bool, typer.Option(help="go on with an interrupted compression")] = False,
) -> None:
    """Distil, prune or train for int8 what a run has trained; the run stays as it is."""
    from heartzoo.config.file import load_config, run_config

    run_config(run)
    checked = load_config(config or run / "config.yaml", set_ or [])
    if not checked.compression:
        raise UserError("no compression steps", "name them in --config, or by --set compression=[{quantize_aware: {}}]")
    folder = out or Path("runs") / checked.name
    if folder.resolve() == run.resolve():
        raise UserError(f"the compressed run would overwrite {run}", "name another --out, or another name by --set")
    import_keras()
    from heartzoo.runs import compress as do

    _tell_new(folder, resume)
    do(run, checked, folder, resume)
    print(f"compressed: {folder}\nnext: {program()} export {quote(str(folder))} --zoo my-zoo")


def export(
    run: Annotated[Path, typer.Argument(help="the folder of a finished training")],
    version: Annotated[str | None, typer.Option(help="X.Y.Z; default 1.0.0, then the next minor version")] = None,
    zoo: Annotated[Path | None, typer.Option(help="the zoo's folder; default the zoo in use")] = None,
    large_header: Annotated[bool, typer.Option(help="write the C header also of a model above 256 KB")] = False,
    set_: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="override, e.g. export.calibration_method=mse or name=x"),
    ] = None,
) -> None:
    """Quantize a run to int8, evaluate it on its test splits and publish it in the zoo."""
    from heartzoo.config.file import run_config

    run_config(run)  # a folder without a run is told at once
    import_keras()
    from heartzoo.export import describe
    from heartzoo.export import export as publish
    from heartzoo.tables.terminal import report_table, show
    from heartzoo.tasks import TASKS

    entry = publish(run, version, zoo, large_header, set_ or [])
    first, task = entry.metrics.evaluations[0], TASKS[entry.metrics.task]
    show(report_table(f"{entry.name}@{entry.version}", first, task.unit))
    print("wrote")
    for line in describe(entry):
        print(f"  {line}")
    print(f"next: {program()} evaluate {entry.name}@{entry.version}{in_zoo(zoo)}")


def quantization(
    run: Annotated[Path, typer.Argument(help="the folder of a finished training")],
    seed: Annotated[int | None, typer.Option(help="its seed; default the first")] = None,
) -> None:
    """How much each tensor of a trained network loses by int8, worst first, and which calibration loses least."""
    from heartzoo.config.file import run_config
    from heartzoo.tables.terminal import show

    run_config(run)
    import_keras()
    from rich.table import Table

    from heartzoo.compression.quantization_report import report_of

    tensors, results = report_of(run, seed)
    table = Table("layer", "range", "SNR, its own rounding", "SNR, all rounding up to it")
    print("tensors of its float network in int8, ranges calibrated as export does without quantize_aware")
    for row in sorted(tensors, key=lambda row: row.snr_db):
        ends = f"{row.low:.3g} ... {row.high:.3g}"
        table.add_row(row.layer, ends, f"{row.own_snr_db:.1f} dB", f"{row.snr_db:.1f} dB")
    show(table)
    print("files, by export.calibration_method (16x8: export.activations=int16)")
    table = Table("file", "SNR of the logits", "headline figure, validation")
    for result in results:
        snr = "-" if result.snr_db is None else f"{result.snr_db:.1f} dB"
        table.add_row(result.way, snr, "-" if result.figure is None else f"{result.figure:.4f}")
    show(table)
    for result in results:
        if result.refusal:
            print(f"no {result.way} file: {result.refusal}")


def experiment(
    config: Annotated[Path, typer.Argument(help="a YAML file such as configs/experiments/beat-3-distillation.yaml")],
    runs: Annotated[Path, typer.Option(help="the folder of its runs")] = Path("runs"),
) -> None:
    """Compare variants of a training on folds of the training patients; run again, it goes on."""
    from heartzoo.config.experiment import load_experiment

    load_experiment(config)  # a mistake in it is told at once
    import_keras()
    from heartzoo.experiment_results import table
    from heartzoo.experiments import run_experiment

    result, path = run_experiment(config, runs)
    print(f"{table(result)}\nwrote {path}")
