"""``heartzoo download``, ``select``, ``publish``, and ``zoo``: getting and keeping models."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from heartzoo.cli.backend import import_keras, in_zoo, program
from heartzoo.cli.completion import model_names
from heartzoo.cli.zoo import AsJson, ModelName, ZooPlace, print_entries, served_or_here, show_models
from heartzoo.errors import UserError

app = typer.Typer(help="Check, remeasure and withdraw versions of a zoo.", no_args_is_help=True)
ZooFolder = Annotated[Path | None, typer.Option(help="the zoo's folder; default the zoo in use")]
NEAREST_MISSES = 3
UNITS = {"flash": "B of .tflite", "arena": "B of arena", "macs": "MACs"}


def add_commands(main: typer.Typer) -> None:
    """Put the commands of this module into the app."""
    for command in (download, select, publish):
        main.command()(command)
    main.add_typer(app, name="zoo")


def download(
    name: ModelName,
    asset: Annotated[list[str] | None, typer.Option(help="a file, e.g. model.tflite; repeat it; default all")] = None,
    out: Annotated[Path | None, typer.Option(help="folder for the files; default one in the cache")] = None,
    zoo: Annotated[
        str | None, typer.Option(metavar="URL|FOLDER", help="where from; default HEARTZOO_ZOO, else the installed zoo")
    ] = None,
) -> None:
    """Get a model's files, checked against the index's hashes; run again, it fetches what is missing."""
    from heartzoo.zoo.download import download as get

    folder = get(name, asset, out, zoo)
    for path in sorted(folder.iterdir()):
        if path.is_file() and not path.name.startswith(".") and (not asset or path.name in asset):
            print(f"{path}  {path.stat().st_size:,} B")


def select(
    task: Annotated[str | None, typer.Option(help="beat-2, beat-3, arrhythmia-5 or rhythm-3; default any")] = None,
    flash: Annotated[str | None, typer.Option(help="most bytes of .tflite, e.g. 32k (k = 1024)")] = None,
    arena: Annotated[str | None, typer.Option(help="most bytes of TFLite Micro's arena, e.g. 16k")] = None,
    macs: Annotated[str | None, typer.Option(help="most multiply-accumulates an inference, e.g. 500k")] = None,
    track: Annotated[
        str | None, typer.Option(help="strict, extended, svdb, icentia, random or synthetic; default all but random")
    ] = None,
    sort: Annotated[str, typer.Option(help="macro_f1, flash, arena, macs or parameters")] = "macro_f1",
    zoo: ZooPlace = None,
    as_json: AsJson = False,
) -> None:
    """The models that a device can hold, best first, and what the nearest others exceed."""
    from heartzoo.data.splits import TRACKS
    from heartzoo.errors import look_up
    from heartzoo.sizes import parse_size
    from heartzoo.tasks import get_task
    from heartzoo.zoo.selection import Limits
    from heartzoo.zoo.selection import select as choose

    if task:
        get_task(task)
    listed = served_or_here(zoo)
    if track:
        look_up(dict.fromkeys([*TRACKS, *(entry.track for entry in listed)]), track, "track")
    limits = Limits(
        parse_size(flash) if flash else None,
        parse_size(arena) if arena else None,
        parse_size(macs, of_bytes=False) if macs else None,
    )
    fits, misses = choose(listed, limits, task, track, sort)
    if fits and as_json:
        return print_entries(fits)
    if fits:
        show_models(fits)
        print("Flash is the model's alone: the interpreter, its kernels and your own code come on top.")
        print(
            "Arena is TFLite Micro's on a 64-bit host; of a version before heartzoo measured what making a model ready"
        )
        print("takes, it may be some hundred bytes short.")
    several = len({entry.task for entry in fits}) > 1
    if several:
        print("Figures of different tasks do not compare: choose one with --task.")
    for miss in misses[:NEAREST_MISSES]:
        over = ", ".join(
            f"{'an unmeasured number of' if need is None else f'{need:,}'} {UNITS[name]}, {most:,} allowed"
            for name, (need, most) in miss.exceeded.items()
        )
        print(f"does not fit: {miss.entry.label} ({miss.entry.headline.value:.3f}) needs {over}")
    if not fits:
        raise UserError("no model fits", "allow more, or see heartzoo list")
    if not several:
        print(f"next: {program()} download {fits[0].label}{in_zoo(zoo)}")


def publish(
    target: Annotated[str, typer.Argument(help="a folder that a host will serve, or the URL of a zoo that is served")],
    names: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[NAME[@VERSION]]...",
            help="NAME is all its versions; default all models",
            autocompletion=model_names,
        ),
    ] = None,
    zoo: ZooFolder = None,
    out: Annotated[Path, typer.Option(help="for a URL: folder for what is to be copied there")] = Path("upload"),
) -> None:
    """Put models, verified, into a folder to be served; what is there is never overwritten."""
    from heartzoo.zoo import entries
    from heartzoo.zoo.download import index_of
    from heartzoo.zoo.publishing import publish_to

    remote = "://" in target
    folder = out if remote else Path(target)
    changed = publish_to(folder, names or (), zoo, index_of(target).models if remote else ())
    withdrawn = {entry.label for entry in entries(folder) if entry.withdrawn is not None}
    for label in changed:
        print(f"published {label}" + ", withdrawn" * (label in withdrawn))
    if remote:
        print(f"{len(changed)} new or changed in {folder}: copy its content over that of {target}, index.json last")
    else:
        how = "heartzoo download NAME --zoo URL"
        print(f"{len(changed)} new or changed in {folder}; who has its address takes them with {how}")


@app.command()
def verify(
    names: Annotated[
        list[str] | None,
        typer.Argument(metavar="[NAME[@VERSION]]...", help="default all", autocompletion=model_names),
    ] = None,
    recompute: Annotated[
        bool, typer.Option(help="also evaluate each .tflite file anew, and compare: needs the recordings")
    ] = False,
    zoo: ZooFolder = None,
) -> None:
    """Check files, hashes, schemas, and that figures follow from their confusion matrices."""
    from heartzoo.zoo import entries, verification, zoo_folder

    entries(zoo)  # says what is wrong with the folder
    if names:
        places = [_place(name, zoo) for name in dict.fromkeys(names)]
        found_at = ((place, found) for place, label in places for found in verification.verify(place, [label]))
        checked = list({(place, found.label): (place, found) for place, found in found_at}.values())
    else:
        source = zoo or zoo_folder()
        checked = [(source, found) for found in verification.verify(source)]
        if not checked:
            raise UserError(f"{source} holds no model", "name a zoo's folder with --zoo")
    problems = [problem for _, found in checked for problem in found.problems]
    absent, checked = [each for _, each in checked if not each.here], [pair for pair in checked if pair[1].here]
    if recompute and not problems:
        for place, found in checked:
            problems += verification.recompute(place, found.label).problems
    for problem in problems:
        print(problem)
    where = ", ".join(dict.fromkeys(str(place) for place, _ in checked))
    if problems:
        raise UserError(f"{_count(problems, 'problem')} in {where}", "restore the files, or publish a new version")
    again = ", and their figures come out again" if recompute else ""
    print(f"{_count(checked, 'version')}: files, hashes, schemas and figures agree{again}")
    if absent:
        print(f"{_count(absent, 'version')} more in the index, without files here: heartzoo download NAME@VERSION")


def _place(name: str, zoo: Path | None) -> tuple[Path, str]:
    """The zoo that holds a model's files, or the cache's where they were downloaded into that, and its label."""
    from heartzoo.zoo import downloads, find

    entry = find(name, zoo)
    below = Path(entry.name) / entry.version
    own = entry.folder.parents[1]
    downloaded = zoo is None and not entry.folder.is_dir() and (downloads() / below).is_dir()
    return downloads() if downloaded else own, f"{entry.name}@{entry.version}"


def _count(things: Sequence[object], word: str) -> str:
    return f"{len(things):,} {word}{'' if len(things) == 1 else 's'}"


@app.command()
def remeasure(
    name: ModelName,
    version: Annotated[str | None, typer.Option(help="X.Y.Z; default its own with the last number raised")] = None,
    robustness: Annotated[bool, typer.Option("--robustness", help="also measure it on disturbed recordings")] = False,
    texts: Annotated[
        Path | None, typer.Option(help="a configuration whose summary, origin and limits replace the version's")
    ] = None,
    zoo: ZooFolder = None,
) -> None:
    """Publish a model's very files under a new version with what its own lacks: found beats, arena, example."""
    import_keras()
    from heartzoo.export import describe
    from heartzoo.zoo.remeasurement import remeasure as measure

    entry = measure(name, version, zoo, robustness, texts)
    print(f"wrote {entry.name}@{entry.version}")
    for line in describe(entry):
        print(f"  {line}")


@app.command()
def withdraw(
    name: Annotated[
        str, typer.Argument(metavar="NAME@VERSION", help="a version of the zoo", autocompletion=model_names)
    ],
    reason: Annotated[str, typer.Option(help="why nobody should use it any more")],
    zoo: ZooFolder = None,
) -> None:
    """Mark a version as withdrawn: it stays listed, with the reason, and nobody gets it unasked."""
    from heartzoo.zoo import publishing, zoo_folder

    entry = publishing.withdraw(zoo or zoo_folder(), name, reason)
    print(f"{entry.name}@{entry.version} is withdrawn: {entry.withdrawn}")
