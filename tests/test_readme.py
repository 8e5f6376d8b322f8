"""What the README shows runs as printed."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

import heartzoo
from heartzoo import zoo
from heartzoo.firmware.costs_table import costs_table
from heartzoo.tables.models import models_tables

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()


def test_the_python_example_runs(cache):
    example = re.findall(r"```python\n(.*?)```", README, re.S)[0]
    done = subprocess.run([sys.executable, "-c", example], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "ds2" in done.stdout


def test_the_table_of_models_is_current():
    table = README.partition("<!-- models: begin -->")[2].partition("<!-- models: end -->")[0]
    assert table.strip() == models_tables(ROOT / "zoo").strip(), "run `python -m heartzoo.tables.models README.md`"


def test_every_model_of_which_a_version_was_withdrawn_is_marked():
    listed = zoo.read_index(ROOT / "zoo")
    withdrawn = {entry.name: f"{entry.name}@{entry.version} (" for entry in listed if entry.withdrawn}
    marked = set(re.findall(r"^\| \[([\w-]+)\]\(zoo/\S+ [\d.]+ †", README, re.M))
    assert withdrawn and marked == set(withdrawn)
    assert all(label in README for label in withdrawn.values())


def test_the_citation_names_this_version():
    assert yaml.safe_load((ROOT / "CITATION.cff").read_text())["version"] == heartzoo.__version__


@pytest.mark.parametrize("link", sorted(set(re.findall(r"\]\(([^)#]+)\)", README))))
def test_links_lead_somewhere(link):
    assert (ROOT / link).exists()


def test_the_table_of_the_firmware_page_is_that_of_the_zoo():
    text = (ROOT / "docs" / "firmware.md").read_text()
    table = text.partition("<!-- firmware costs: begin -->")[2].partition("<!-- firmware costs: end -->")[0]
    assert table.strip() == costs_table(ROOT / "zoo"), "run `python -m heartzoo.firmware.costs_table docs/firmware.md`"
