"""What must hold for every text file of the repository."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SKIPPED = {".git", ".venv", "__pycache__", "runs", "demo", "reports", "site", "build", "dist"}
SKIPPED |= {".pytest_cache", ".mypy_cache", ".ruff_cache", ".hypothesis"}

# Written in pieces, so that this file does not name them itself.
FORBIDDEN = {
    "a path of one machine": re.compile(r"(?<![\w.~-])/(?:" + "|".join(["work", "root", "home", "Users"]) + r")/\w"),
    "a package index": re.compile(
        "|".join(["pypi" + r"\.org", "python" + r"hosted\.org", "--(?:extra-)?index" + "-url", "find" + "[-_]links"])
    ),
}


def files() -> list[Path]:
    """Every file that is tracked or could be; without git, every file outside the folders that git ignores."""
    if shutil.which("git") and (ROOT / ".git").exists():
        command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
        listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
        return [path for name in listed.split("\0") if name and (path := ROOT / name).is_file()]
    found = (path for path in ROOT.rglob("*") if not SKIPPED.intersection(path.relative_to(ROOT).parts))
    return [path for path in found if path.is_file()]


def lines(path: Path) -> list[str]:
    """The lines of a text file; none of a binary one."""
    content = path.read_bytes()
    return [] if b"\0" in content else content.decode("utf-8", errors="replace").splitlines()


@pytest.mark.parametrize("what", FORBIDDEN)
def test_no_file_names(what: str) -> None:
    found = [
        f"{path.relative_to(ROOT)}:{number}: {line.strip()[:100]}"
        for path in files()
        for number, line in enumerate(lines(path), 1)
        if FORBIDDEN[what].search(line)
    ]
    assert not found, f"names {what}: {found}"


def test_every_locked_package_is_pinned_with_hashes() -> None:
    lock = (ROOT / "requirements.lock").read_text(encoding="utf-8").replace("\\\n", " ")
    requirements = [line for line in lock.splitlines() if line and not line.startswith("#")]
    loose = [line[:60] for line in requirements if not re.match(r"[\w.-]+==\S+ .*--hash=sha256:[0-9a-f]{64}\b", line)]
    assert requirements and not loose, f"not pinned with hashes: {loose}"
