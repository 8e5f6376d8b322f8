"""What is installed by pip: the package, the index, and the small models, which load without a network."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from heartzoo import zoo
from heartzoo.zoo.index import newest

ROOT = Path(__file__).parents[1]
MOST_WHEEL_BYTES = 2**24
SCRIPT = """
import heartzoo as hz
assert "site-packages" in hz.__file__, hz.__file__
model = hz.load_tflite("beat-3-rr-sm")
print(model.label_beats(hz.open_record("synthetic", "syn24"))[:3])
print(hz.list_models("dualpath-*"))
hz.load_tflite("dualpath-resnet")
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Path:
    from hatchling.builders.wheel import WheelBuilder

    (built,) = WheelBuilder(str(ROOT)).build(directory=str(tmp_path_factory.mktemp("wheel")), versions=["standard"])
    return Path(built)


def test_the_wheel_holds_the_index_and_the_newest_small_models_whole(wheel):
    with zipfile.ZipFile(wheel) as archive:
        held = {name.partition("published/")[2] for name in archive.namelist() if "/published/" in name}
    small = [e for e in newest(zoo.entries(ROOT / "zoo")).values() if e.cost.tflite_bytes <= 100 * 1024]
    assert small
    assert held == {"index.json"} | {f"{e.name}/{e.version}/{file}" for e in small for file in e.files}
    assert wheel.stat().st_size < MOST_WHEEL_BYTES


def test_a_small_model_works_as_installed_and_a_large_one_is_to_be_downloaded(wheel, tmp_path):
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path / "site-packages")
    environment = {k: v for k, v in os.environ.items() if k != "HEARTZOO_ZOO"}
    environment |= {"PYTHONPATH": str(tmp_path / "site-packages"), "HEARTZOO_CACHE": str(tmp_path / "cache")}
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    assert done.stdout.splitlines()[1] == "['dualpath-resnet', 'dualpath-resnet-ds1']"
    assert "heartzoo download dualpath-resnet@1.0.0 --zoo URL" in done.stderr.splitlines()[-1]
