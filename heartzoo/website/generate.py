"""Writes every generated page of the site."""

from __future__ import annotations

import shutil
from importlib.resources import files
from pathlib import Path

from heartzoo.files import write_bytes
from heartzoo.progress import track
from heartzoo.tasks import TASKS
from heartzoo.website.models_page import models_page
from heartzoo.website.reference import citations_page, commands_page
from heartzoo.website.task_page import card_page, task_page
from heartzoo.zoo import find, read_index
from heartzoo.zoo_index import newest

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
        pages[f"models/{task}.md"] = task_page(task, [entry for entry in models if entry.metrics.task == task])
    for entry in track(models, len(models), "pages"):
        versions = [other for other in listed if other.name == entry.name]
        pages[f"cards/{entry.name}.md"] = card_page(entry, versions)
    for name, text in pages.items():
        write_bytes(docs / name, text.encode())
    plotly = files("plotly") / "package_data" / "plotly.min.js"
    write_bytes(docs / "assets" / "plotly.min.js", plotly.read_bytes())
