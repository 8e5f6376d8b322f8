"""What the guides show runs as printed."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from heartzoo.zoo import read_index
from heartzoo.zoo.index import newest

DOCS = Path(__file__).parents[1] / "docs"
PAGES = sorted(
    path
    for path in [*(DOCS / "guides").glob("*.md"), DOCS / "quickstart.md", DOCS / "classify.md"]
    if "```python" in path.read_text()
)


def blocks_of(page: Path, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", page.read_text(), re.S)


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.stem)
def test_the_python_of_a_guide_runs(page, cache, tmp_path):
    blocks = [block for block in blocks_of(page, "python") if "__main__" not in block]
    script = tmp_path / "guide.py"
    script.write_text("\n".join(blocks))
    done = subprocess.run([sys.executable, str(script)], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_the_yaml_of_the_architecture_guide_builds_its_network(tmp_path, monkeypatch):
    from heartzoo.config.file import load_config
    from heartzoo.models import registry
    from heartzoo.training import build_model

    page = DOCS / "guides" / "own-architecture.md"
    (block,), (python,) = blocks_of(page, "yaml"), blocks_of(page, "python")
    path = DOCS.parent / "configs" / "arr-5-res-sm.yaml"
    (tmp_path / "mine.yaml").write_text(block.replace("arr-5-res-sm.yaml", str(path)))
    monkeypatch.setattr(registry, "ARCHITECTURES", dict(registry.ARCHITECTURES))
    exec(python, {})
    network = build_model(load_config(tmp_path / "mine.yaml"))
    assert [layer.filters for layer in network.layers if hasattr(layer, "filters")] == [12, 24]


def test_the_guide_to_own_recordings_leads_to_a_model_of_them(tmp_path, monkeypatch):
    import wfdb

    from heartzoo.data import synthetic

    page = DOCS / "guides" / "own-data.md"
    (script,) = [block for block in blocks_of(page, "python") if "__main__" in block]
    own, tuned = blocks_of(page, "yaml")
    (tmp_path / "mine.py").write_text(script)
    (tmp_path / "mine.yaml").write_text(own.replace("epochs: 30", "epochs: 1, steps_per_epoch: 3"))
    configs = f"{DOCS.parent / 'configs'}/"
    tuned = re.sub(r" *- {noise: .*\n", "", tuned.replace("configs/", configs))  # nstdb is not at hand
    (tmp_path / "tuned.yaml").write_text(tuned.replace("epochs: 3", "epochs: 1\n  steps_per_epoch: 3"))
    monkeypatch.setenv("HEARTZOO_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("TF_CPP_MIN_LOG_LEVEL", "3")

    def run(command: str, code: int = 0) -> str:
        done = subprocess.run([sys.executable, *command.split()], cwd=tmp_path, capture_output=True, text=True)
        assert done.returncode == code, command + done.stdout + done.stderr
        return " ".join((done.stderr if code else done.stdout).split())

    folder = tmp_path / "cache/mine/1"
    assert str(folder) in run("mine.py data info mine").replace(" ", "")
    folder.mkdir(parents=True)
    for number, name in enumerate(("a1", "a2", "b1", "c1", "d1", "e1", "f1", "g1")):
        record = synthetic.generate(f"syn{number + 1:02d}", 150.0, 250)
        wfdb.wrsamp(
            name, 250, ["mV"], ["ECG"], record.signal[:, None], fmt=["16"], adc_gain=[200.0], baseline=[0],
            write_dir=str(folder),
        )  # fmt: skip
        wfdb.wrann(name, "atr", record.samples, list(map(chr, record.symbols)), fs=250, write_dir=str(folder))
    commands = re.findall(r"^python (mine.py .*)$", page.read_text(), re.M)
    assert [command.split()[1] for command in commands] == [
        "train",
        "export",
        "evaluate",
        "firmware",
        "publish",
        "evaluate",
        "train",
        "export",
        "evaluate",
    ]
    for command in commands:
        run(command)
    # Whoever gets the model has no mine.py.
    commands = (
        f"classify {folder / 'b1'} --model mine --zoo my-zoo",
        "info mine --zoo my-zoo",
        "zoo verify --zoo my-zoo",
        "firmware mine-tuned --zoo my-zoo --out other-firmware",
        "publish served mine --zoo my-zoo",
    )
    for command in commands:
        run(f"-m heartzoo {command}")
    assert "mine" in run("-m heartzoo list --zoo served")
    opened = (tmp_path / "apart/openings.jsonl").read_text().splitlines()
    assert len(opened) == 2 and all('"split": "mine-test"' in line for line in opened)
    tuned_card = (tmp_path / "my-zoo/mine-tuned/1.0.0/README.md").read_text()
    assert re.findall(r"model: [a-z0-9-]+@[0-9.]+", tuned)[0] in tuned_card
    assert "Weights: our consent form's terms" in tuned_card and "svdb" in tuned_card
    entry = tmp_path / "my-zoo/mine/1.0.0"
    configuration, metrics = (json.loads((entry / f"{name}.json").read_text()) for name in ("configuration", "metrics"))
    assert {evaluation["track"] for evaluation in metrics["evaluations"]} == {"mine"}
    assert "mine/a1" in configuration["splits"]["training_patients"] + configuration["splits"]["validation_patients"]
    assert "mine/a2" not in str(configuration["splits"]) and not configuration.get("example")
    card = (entry / "README.md").read_text()
    assert "trained on our own recordings" in card and "Weights: our consent form's terms." in card
    assert "Trained on recordings of 5 people" in card and "svdb" not in card
    # Recordings that change, or that are copies, are noticed.
    (folder / "f1.dat").write_bytes((folder / "f1.dat").read_bytes()[::-1])
    assert "other files now of record f1" in run("mine.py evaluate mine --zoo my-zoo")
    for ending in ("dat", "atr"):
        (folder / f"f1.{ending}").write_bytes((folder / f"a1.{ending}").read_bytes())
    copied = run("mine.py export runs/mine --zoo my-zoo --set name=copied", code=2)
    assert "record f1 of mine-test has the very signals of mine/a1, which trained" in copied
    assert copied == run("mine.py evaluate mine --zoo my-zoo", code=2)
    assert copied == run("mine.py train mine.yaml --out runs/copied", code=2)
    assert not (tmp_path / "runs/copied").exists()


def test_every_key_of_a_configuration_is_explained():
    told = set(re.findall(r"`(\w+)`", (DOCS / "configuration.md").read_text()))
    root = DOCS.parent / "zoo"
    for entry in newest(read_index(root)).values():
        content = json.loads((root / entry.name / entry.version / "configuration.json").read_text())
        assert not (content.keys() | content["preprocessing"].keys()) - told, entry.name
