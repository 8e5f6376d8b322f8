"""What of the zoo goes into the wheel: the index, and the files of each small model's newest version.

Run by hatchling as a build hook. The others are listed in the index, and downloaded when they are wanted.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

MOST_TFLITE_BYTES = 100 * 1024
PLACE = "heartzoo/published"


def files(zoo: Path) -> list[str]:
    """Their paths in the zoo.

    Args:
        zoo: the zoo's folder.
    """
    newest: dict[str, dict[str, Any]] = {}
    for entry in json.loads((zoo / "index.json").read_text())["models"]:
        order = tuple(map(int, entry["version"].split(".")))
        known = newest.get(entry["name"])
        if entry["withdrawn"] is None and (known is None or order > tuple(map(int, known["version"].split(".")))):
            newest[entry["name"]] = entry
    small = [entry for entry in newest.values() if entry["cost"]["tflite_bytes"] <= MOST_TFLITE_BYTES]
    return ["index.json", *(f"{entry['name']}/{entry['version']}/{file}" for entry in small for file in entry["files"])]


class ZooHook(BuildHookInterface):
    """Puts them there."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Called by hatchling before it builds; an editable installation uses the checkout's zoo."""
        if version != "editable":
            zoo = Path(self.root) / "zoo"
            build_data["force_include"] |= {str(zoo / file): f"{PLACE}/{file}" for file in files(zoo)}
