"""``heartzoo data``: list, download, verify, prepare, info."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from heartzoo.errors import UserError

if TYPE_CHECKING:
    from rich.table import Table

    from heartzoo.config import Config
    from heartzoo.data.splits import Split
    from heartzoo.data.store import Store

app = typer.Typer(help="Recordings: list, download, verify, prepare, info.", no_args_is_help=True)

DatabaseName = Annotated[str, typer.Argument(metavar="DATABASE", help="a name from `heartzoo data list`")]
RecordNames = Annotated[list[str] | None, typer.Option("--record", help="a record; repeat for more; default all")]


@app.command("list")
def list_databases() -> None:
    """The databases heartzoo knows, and how much of each is in the cache."""
    from rich.table import Table

    from heartzoo.data.databases import DATABASES
    from heartzoo.data.download import present
    from heartzoo.tables.terminal import show

    table = Table("database", "version", "fs (Hz)", "leads", "records", "in cache", "licence")
    for database in DATABASES.values():
        records = str(len(database.records)) if database.records else "by name"
        table.add_row(
            database.name, database.version, f"{database.fs:g}", ", ".join(database.leads), records,
            str(len(present(database))), database.license,
        )  # fmt: skip
    show(table)


@app.command()
def download(
    name: DatabaseName,
    record: RecordNames = None,
    mirror: Annotated[
        str | None, typer.Option(help="URL or folder with PhysioNet's layout; default HEARTZOO_MIRROR, else PhysioNet")
    ] = None,
    workers: Annotated[int, typer.Option(min=1, max=16, help="files at a time")] = 4,
) -> None:
    """Fetch recordings into the cache, checking every file's SHA-256; run again to go on."""
    from heartzoo.data.databases import get_database
    from heartzoo.data.download import download as fetch

    folder = fetch(get_database(name), record, mirror, workers)
    print(f"{name} is in {folder}")


@app.command()
def verify(name: DatabaseName, record: RecordNames = None) -> None:
    """Check the hashes of the recordings in the cache; of generated ones only that they are there."""
    from heartzoo.data.databases import get_database
    from heartzoo.data.download import verify as check

    database = get_database(name)
    found = check(database, record)
    unlisted = () if database.source == "user" else found.unlisted  # of whose files no hash is known, ever
    for word, files in (("damaged", found.damaged), ("missing", found.missing), ("no hash known", unlisted)):
        for file in files:
            print(f"{word}: {file}")
    print(
        f"{len(found.ok)} files ok, {len(found.damaged)} damaged, {len(found.missing)} missing, "
        f"{len(found.unlisted)} without a known hash"
    )
    if found.damaged or found.missing:
        raise typer.Exit(1)


@app.command()
def prepare(
    name: DatabaseName,
    split: Annotated[list[str] | None, typer.Option(help="a split; repeat for more; default all records")] = None,
    record: RecordNames = None,
    config: Annotated[
        Path | None,
        typer.Option(help="configuration that sets contract, task and beat mapping; default 5.12 s at 100 Hz"),
    ] = None,
    missing_lead: Annotated[str, typer.Option(help="error or skip a record without the lead")] = "error",
    lead: Annotated[list[str] | None, typer.Option(help="leads by preference; default the database's")] = None,
    present_only: Annotated[bool, typer.Option(help="take the records in the cache, download nothing")] = False,
    jobs: Annotated[int, typer.Option(min=1, max=64, help="processes")] = 2,
    out: Annotated[Path | None, typer.Option(help="HDF5 file to write; default in the cache")] = None,
) -> None:
    """Cut recordings into examples (HDF5): frames, R-R features, symbols, positions, patients."""
    from heartzoo.config import InputConfig
    from heartzoo.config.file import load_config
    from heartzoo.data.databases import get_database
    from heartzoo.data.download import split_records
    from heartzoo.data.preparation import prepare as cut
    from heartzoo.tables.terminal import show

    if missing_lead not in ("error", "skip"):
        raise UserError(f"--missing-lead {missing_lead}: expected error or skip", "take one of them")
    settings = load_config(config) if config else None
    contract = settings.input if settings else InputConfig()
    database = get_database(name)
    if split and record:
        raise UserError("--split and --record name records in two ways", "leave one of them out")
    splits = _splits(name, split or [])
    names = record or list(dict.fromkeys(r for s in splits for r in split_records(s))) or database.records
    if not names:
        raise UserError(f"{name} has too many records to list", "name some with --record")
    store = cut(
        database,
        names,
        contract,
        lead,
        missing_lead,
        present_only=present_only,
        jobs=jobs,
        out=out,
        noise_half=_noise_half(splits),
    )
    for skipped, reason in store.provenance["skipped"].items():
        print(f"skipped {skipped}: {reason}")
    flat = sum(fact["flat_frames"] for fact in store.provenance["records"])
    if settings and splits:
        show(_classes_table(settings, store, splits))
    unit = "frames" if contract.cut == "rhythm" else "beats"
    print(f"{len(store):,} {unit} of {len(store.provenance['records'])} records ({flat} flat frames): {store.path}")


@app.command()
def clean() -> None:
    """Remove prepared examples that another version of heartzoo made; they are prepared anew where needed."""
    from heartzoo.data.preparation import clean as remove

    gone = remove()
    print(f"removed {len(gone)} files, {sum(size for _, size in gone) / 2**20:,.0f} MiB")


def _splits(database: str, names: list[str]) -> list[Split]:
    from heartzoo.data.splits import get_split

    splits = [get_split(name) for name in names]
    for split in splits:
        if split.database != database:
            raise UserError(f"split {split.name} belongs to {split.database}, not to {database}", "name another split")
    return splits


def _noise_half(splits: list[Split]) -> Literal["first", "second"] | None:
    """Noise of training or of test splits; none for both together."""
    tests = {split.test for split in splits}
    if len(tests) != 1:
        return None
    return "second" if tests.pop() else "first"


def _classes_table(config: Config, store: Store, splits: list[Split]) -> Table:
    """Examples of each class by split; for the random split, those of the data set that it rebuilds beside them."""
    import numpy as np
    from rich.table import Table

    from heartzoo.data.download import split_records
    from heartzoo.data.heartbeat_csv import COUNTS
    from heartzoo.tasks import AAMI, get_task

    task = get_task(config.task)
    labels = store.labels(task, config.data.mapping)
    table = Table("split", *task.classes, "not scored", title=f"{task.unit.capitalize()} by class")
    for split in splits:
        mine = np.isin(store.records, split_records(split))
        mine &= split.select(store.samples, store.fs, store.symbols)
        counts = np.bincount(labels[mine] + 1, minlength=len(task.classes) + 1)
        table.add_row(split.name, *(f"{count:,}" for count in [*counts[1:], counts[0]]))
        if split.name in COUNTS and task.classes == AAMI:
            table.add_row("the CSV of Kachuee 2018", *(f"{count:,}" for count in COUNTS[split.name]), "-")
    return table


@app.command()
def info(name: DatabaseName) -> None:
    """Licence, citation, records and beats of a database."""
    from heartzoo.data.databases import get_database
    from heartzoo.data.download import folder, present
    from heartzoo.data.splits import SPLITS
    from heartzoo.tables.terminal import show

    database = get_database(name)
    here = present(database)
    print(f"{database.title} ({database.name} {database.version})")
    print(f"licence: {database.license}\ncite: {database.citation}")
    print(f"{database.fs:g} Hz; leads by preference: {', '.join(database.leads)}")
    for split in SPLITS.values():
        if split.database == name:
            size = f"{len(split.patients):,} patients" if split.patients else f"{len(split.records)} records"
            print(f"split {split.name}: {size}{', test' if split.test else ''}")
    print(f"{len(here)} records in {folder(database)}")
    if here and database.annotated:
        show(_beats_table(name, here))


def _beats_table(name: str, records: tuple[str, ...]) -> Table:
    """Beats by AAMI class under both mappings."""
    import numpy as np
    from rich.table import Table

    from heartzoo.data.annotations import beat_symbols
    from heartzoo.data.databases import get_database
    from heartzoo.tasks import AAMI, MAPPINGS, get_task

    found = []
    for record in records:
        try:
            found.append(beat_symbols(get_database(name), [record]))
        except UserError as error:
            print(f"not counted: {error.problem}")
    symbols = np.concatenate(found) if found else np.zeros(0, np.uint8)
    table = Table("mapping", *AAMI, "not listed", title="Beats in the cache")
    for mapping in MAPPINGS:
        labels = get_task("arrhythmia-5").labels(symbols, mapping)
        counts = [int((labels == index).sum()) for index in [*range(len(AAMI)), -1]]
        table.add_row(mapping, *(f"{count:,}" for count in counts))
    return table
