"""Writes every generated page of the site."""

from __future__ import annotations

import shutil
from importlib.resources import files
from pathlib import Path

from heartzoo.files import write_bytes
from heartzoo.plots import pictures, save
from heartzoo.progress import track
from heartzoo.tasks import TASKS
from heartzoo.website.models_page import models_page
from heartzoo.website.reference import citations_page, commands_page
from heartzoo.website.task_page import card_page, task_page
from heartzoo.zoo import Entry, find, read_index
from heartzoo.zoo.index import newest

GENERATED = ("models", "cards")  # folders that hold nothing else


def generate(docs: Path, zoo: Path) -> None:
    """Write the table of models, a page for each task and each model, the commands, the citations, and Plotly's script.

    Args:
        docs: mkdocs' folder of pages.
        zoo: the zoo's folder.

    Raises:
        UserError: the index or a file of a version is damaged.
    """
    for name in GENERATED:
        shutil.rmtree(docs / name, ignore_errors=True)
    listed = read_index(zoo)
    models = [find(entry.label, zoo) for entry in newest(listed).values()]
    pages = {"models/index.md": models_page(models), "cli.md": commands_page(), "citations.md": citations_page()}
    for task in TASKS:
        pages[f"models/{task}.md"] = task_page(task, [entry for entry in models if entry.metrics.task == task], listed)
    for entry in track(models, len(models), "pages"):
        versions = [other for other in listed if other.name == entry.name]
        pages[f"cards/{entry.name}.md"] = card_page(entry, versions, _draw(entry, docs / "cards" / "pictures"))
    for name, text in pages.items():
        write_bytes(docs / name, text.encode())
    plotly = files("plotly") / "package_data" / "plotly.min.js"
    write_bytes(docs / "assets" / "plotly.min.js", plotly.read_bytes())


def _draw(entry: Entry, folder: Path) -> list[str]:
    """Draw what a model's metrics give, but for the confusion matrices, which a script draws; their addresses.

    Example beats need the recordings: they are ``assets/beats/NAME-VERSION.svg``, where an evaluation has drawn them.
    """
    drawn = {name: figure for name, figure in pictures(entry.metrics).items() if not name.endswith("confusion")}
    made = [path for name, figure in drawn.items() for path in save(figure, folder / f"{entry.name}-{name}", ["svg"])]
    beats = folder.parents[1] / "assets" / "beats" / f"{entry.name}-{entry.version}.svg"
    return [f"pictures/{path.name}" for path in made] + [f"../assets/beats/{beats.name}"] * beats.is_file()
