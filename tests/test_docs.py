"""What the guides show runs as printed."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[1] / "docs"
PAGES = sorted(
    path
    for path in [*(DOCS / "guides").glob("*.md"), DOCS / "quickstart.md", DOCS / "classify.md"]
    if "```python" in path.read_text()
)


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.stem)
def test_the_python_of_a_guide_runs(page, cache, tmp_path):
    blocks = re.findall(r"```python\n(.*?)```", page.read_text(), re.S)
    script = tmp_path / "guide.py"
    script.write_text("\n".join(blocks))
    done = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_the_yaml_of_the_architecture_guide_is_a_configuration(tmp_path):
    from heartzoo.config.file import load_config

    (block,) = re.findall(r"```yaml\n(.*?)```", (DOCS / "guides" / "own-architecture.md").read_text(), re.S)
    path = DOCS.parent / "configs" / "arr-5-res-sm.yaml"
    (tmp_path / "mine.yaml").write_text(block.replace("arr-5-res-sm.yaml", str(path)))
    assert load_config(tmp_path / "mine.yaml").model.sizes["filters"] == 12
