"""The command line: every mistake is one line on standard error and exit code 2; help comes without heavy imports."""

from __future__ import annotations

import csv
import errno
import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from shlex import quote
from subprocess import PIPE

import numpy as np
import pytest
import wfdb

import heartzoo
from heartzoo import __version__
from heartzoo.cli import main
from heartzoo.compression import quantization_report
from heartzoo.config.disturbance import Disturbance
from heartzoo.data import synthetic
from heartzoo.errors import UserError
from heartzoo.metrics_file.results import DisturbedResult
from heartzoo.zoo import downloads, find
from heartzoo.zoo.publishing import write_index

PUBLISHED = Path(__file__).parents[1] / "zoo"
Cli = Callable[..., tuple[int, str, str]]


@pytest.fixture
def cli(cache, monkeypatch, capsys, tmp_path) -> Cli:
    """Runs a command in this process, in an empty folder; gives exit code, standard output and standard error."""
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    monkeypatch.setenv("HEARTZOO_ZOO", str(tmp_path / "zoo"))
    monkeypatch.setenv("HEARTZOO_MIRROR", str(tmp_path / "no-mirror"))
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setattr("gc.collect", int)  # half a second each in a process that goes on

    def run(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["heartzoo", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            main()
        told = capsys.readouterr()
        code = ended.value.code
        return 0 if code is None else int(code), told.out, told.err

    return run


@pytest.fixture(scope="module")
def files(tiny, tiny_zoo, tmp_path_factory) -> dict[str, Path]:
    """Files that are not what a command takes, by name."""
    import keras
    import tensorflow as tf

    folder = tmp_path_factory.mktemp("files")
    text = tiny.read_text()

    def wrote(name: str, content: str | bytes) -> Path:
        path = folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    model = keras.Sequential([keras.Input((1, 64, 1), batch_size=1), keras.layers.Flatten(), keras.layers.Dense(3)])
    unfollowed = re.sub(r"prevalence: .*\n", "", text)
    return {
        "tiny": tiny,
        "zoo": tiny_zoo,
        "int8": tiny_zoo / "tiny" / "1.0.0" / "model.tflite",
        "keras": tiny_zoo / "tiny" / "1.0.0" / "model.keras",
        "folder": folder,
        "absent": folder / "absent",
        "text.tflite": wrote("text.tflite", "this is no model"),
        "empty.tflite": wrote("empty.tflite", b""),
        "cut.tflite": wrote("cut.tflite", (tiny_zoo / "tiny" / "1.0.0" / "model.tflite").read_bytes()[:5000]),
        "float.tflite": wrote("float.tflite", tf.lite.TFLiteConverter.from_keras_model(model).convert()),
        "text.keras": wrote("text.keras", "this is no model"),
        "folder.tflite": wrote("folder.tflite/x", "").parent,
        "begun-run": wrote("begun-run/config.yaml", text).parent,
        "wide": wrote("wide.yaml", text.replace("frame: 64", "frame: 128")),
        "without-rr": wrote("without-rr.yaml", re.sub(r"(rr|template)_features:\s+\[.*\]", r"\1_features: []", text)),
        "two-classes": wrote("two-classes.yaml", unfollowed.replace("beat-3", "beat-2")),
        "random": wrote(
            "random.yaml",
            unfollowed.replace("synthetic-train", "random-train").replace("synthetic-test", "random-test"),
        ),
        "list": wrote("list.yaml", "- a\n- b\n"),
        "tab": wrote("tab.yaml", "training:\n\tepochs: 1\n"),
        "deep": wrote("deep.yaml", "[" * 5000),
        "date": wrote("date.yaml", "name: 2020-02-31\n"),
        "odd-base": wrote("odd-base.yaml", "base: [1]\n"),
        "twice": wrote("twice.yaml", "seeds: [1]\nseeds: [2]\n"),
        "odd-key": wrote("odd.yaml", "? [a, b]\n: 1\n"),
        "others": wrote("others/README.md", "mine").parent,
        "broken": wrote("broken.yaml", "a: [b\n"),
        "binary": wrote("binary.yaml", bytes(range(128, 256))),
        "bad-beside": wrote("beside/model.tflite", b"x"),
        "configuration": wrote("beside/configuration.json", "[]"),
        "empty-run": wrote("empty-run/x", "").parent,
        "damaged-run": wrote("damaged-run/config.yaml", "name: [").parent,
        "signal.csv": wrote("signal.csv", "0.1\n0.2\n" * 500),
        "namesake.csv": wrote("other/signal.csv", "0.1\n0.2\n" * 500),
        "words.csv": wrote("words.csv", "0.1\n" * 500 + "loose\n"),
        "two.csv": wrote("two.csv", "0.1,0.2\n" * 500),
        "text.edf": wrote("text.edf", "this is no recording"),
        "newer-zoo": wrote("newer-zoo/index.json", '{"schema_version": 9, "models": []}').parent,
    }


# {name} stands for a file of the fixture above.
MISTAKES = {
    "no command": ("trian", "No such command 'trian'"),
    "no option": ("list --patern x", "No such option: --patern"),
    "no argument": ("evaluate", "Missing argument"),
    "unknown model": ("info tinny --zoo {zoo}", "unknown model 'tinny'; did you mean 'tiny'"),
    "unknown model to evaluate": ("evaluate tinny --zoo {zoo}", "unknown model 'tinny'; did you mean 'tiny'"),
    "firmware into a file": ("firmware tiny --zoo {zoo} --out {text.keras}", "is a file; name a folder with --out"),
    "classify a folder": ("classify {folder} --model tiny --zoo {zoo}", "is a folder; name a recording in it"),
    "no version after @": ("info tiny@ --zoo {zoo}", "'tiny@' names no version; write NAME, or NAME@VERSION"),
    "no name before @": ("info @1.0.0 --zoo {zoo}", "'@1.0.0' names no model"),
    "evaluation into a file": ("evaluate tiny --zoo {zoo} --out {text.keras}", "is a file; name a folder with --out"),
    "export into a file": ("export {begun-run} --zoo {text.keras}", "is a file; name a folder with --zoo"),
    "download of no model": ("download tinny --zoo {zoo}", "unknown model 'tinny'; did you mean 'tiny'"),
    "download of no file": ("download tiny --asset model.tfl --zoo {zoo}", "has no file 'model.tfl'; did you mean"),
    "download from nowhere": ("download tiny --zoo {absent}", "no zoo .*; name a URL or a folder"),
    "download from no zoo": ("download tiny --zoo {folder}", "index.json cannot be had .*; name a URL or a folder"),
    "download from another kind of URL": ("download tiny --zoo ftp://x/y", "cannot use 'ftp://x/y'"),
    "download from a newer zoo": ("download tiny --zoo {newer-zoo}", "has schema_version 9.*upgrade heartzoo"),
    "nothing fits": ("select --flash 1k --zoo {zoo}", "no model fits; allow more"),
    "no size": ("select --flash much --zoo {zoo}", "'much' is no size; give one like 32k"),
    "no sort": ("select --sort taste --zoo {zoo}", "cannot sort by 'taste'"),
    "no such task to select": ("select --task beat3 --zoo {zoo}", "unknown task 'beat3'; did you mean 'beat-3'"),
    "no such track": ("select --track strickt --zoo {zoo}", "unknown track 'strickt'; did you mean 'strict'"),
    "verify no model": ("zoo verify tinny --zoo {zoo}", "unknown model 'tinny'; did you mean 'tiny'"),
    "verify no zoo": ("zoo verify --zoo {absent}", "expected a folder with index.json; name such a folder"),
    "withdraw no version": ("zoo withdraw tiny --reason old --zoo {zoo}", "names no version"),
    "withdraw without a reason": ("zoo withdraw tiny@1.0.0 --zoo {zoo}", "Missing option '--reason'"),
    "publish to another kind of URL": ("publish ftp://x/zoo --zoo {zoo}", "cannot use 'ftp://x/zoo'"),
    "publish nothing": ("publish {folder}/served --zoo {absent}", "holds no model"),
    "unknown version": ("info tiny@9.0.0 --zoo {zoo}", "tiny has no version '9.0.0'"),
    "unknown dataset": ("evaluate tiny --zoo {zoo} --dataset mitbd", "unknown database 'mitbd'; did you mean 'mitdb'"),
    "dataset without test split": ("evaluate tiny --zoo {zoo} --dataset nstdb", "nstdb has no test split; name"),
    "unknown split": ("evaluate tiny --zoo {zoo} --split ds3", "unknown split 'ds3'; did you mean 'ds"),
    "split of another dataset": (
        "evaluate tiny --zoo {zoo} --dataset svdb --split ds2", "split ds2 belongs to mitdb, not to svdb",
    ),
    "unknown runtime": ("evaluate tiny --zoo {zoo} --runtime tflmm", "'tflmm' is not one of 'tflm', 'reference'"),
    "unknown format": ("evaluate tiny --zoo {zoo} --plots --format gif", "'gif' is not one of 'png', 'svg'"),
    "jobs out of range": ("evaluate tiny --zoo {zoo} --jobs 0", "Invalid value for '--jobs'"),
    "jobs no number": ("evaluate tiny --zoo {zoo} --jobs many", "Invalid value for '--jobs'"),
    "keras runtime for tflite": ("evaluate {int8} --runtime keras", "a .tflite file does not run in Keras"),
    "tflite runtime for keras": ("evaluate {keras} --runtime tflm", "runs in Keras only"),
    "missing model file": ("evaluate {absent}.tflite", "no model file"),
    "a folder for a model": ("evaluate {folder}", "no model file"),
    "a folder named like a model": ("evaluate {folder.tflite}", "no model file"),
    "a configuration of the zoo's": ("evaluate tiny --zoo {zoo} --config {text.keras}", "--config is for a file"),
    "nothing beside it": ("evaluate {text.tflite}", "has no configuration.json beside it; name its configuration"),
    "damaged beside it": ("evaluate {bad-beside}", "is not a configuration.json of heartzoo"),
    "not a tflite": ("evaluate {text.tflite} --config {tiny}", r"expected a \.tflite model, found 16 bytes"),
    "empty tflite": ("evaluate {empty.tflite} --config {tiny}", r"expected a \.tflite model, found 0 bytes"),
    "cut tflite": ("evaluate {cut.tflite} --config {tiny}", "tflite"),
    "float tflite": ("evaluate {float.tflite} --config {tiny}", "int8.*float32"),
    "not a keras file": ("evaluate {text.keras} --config {tiny}", "is cut short, or no .keras file"),
    "wrong frame": ("evaluate {int8} --config {wide}", "128.*64|64.*128"),
    "wrong frame in Keras": ("evaluate {keras} --config {wide}", "128.*64|64.*128"),
    "no rr wanted": ("evaluate {int8} --config {without-rr}", "expected.*found"),
    "wrong number of classes": ("evaluate {int8} --config {two-classes}", "expected.*found"),
    "random track on ds2": ("evaluate {int8} --config {random} --split ds2", "on random-train: it has seen people"),
    "random track on mitdb": ("evaluate {int8} --config {random} --dataset mitdb", "it has seen people of ds2"),
    "configuration absent": ("train {absent}.yaml", "no configuration file"),
    "configuration a folder": ("train {folder}", "cannot read .*: Is a directory"),
    "configuration in a file": ("train {tiny}/x.yaml", "cannot read .*: Not a directory"),
    "configuration a list": ("train {list}", "expected a mapping of keys, found list"),
    "configuration no YAML": ("train {broken}", "is not YAML"),
    "configuration no text": ("train {binary}", "is not YAML"),
    "configuration with a tab": ("train {tab}", r"'\\t' that cannot start any token, line 2\); mend the file"),
    "configuration nested too deeply": ("train {deep}", r"is not YAML \(nested too deeply\)"),
    "a date that is none": ("train {date}", "is not YAML .day is out of range for month"),
    "a date that is none, set": ("train {tiny} --set name=2020-02-31", "name=2020-02-31: the value is not YAML"),
    "a key set twice": ('train {tiny} --set training={"epochs":1,"epochs":2}', 'the value is not YAML'),
    "a base of another kind": ("train {odd-base}", r"base: expected the name of a file, found \[1\]"),
    "a seed too large": ("train {tiny} --set seeds=[4294967296]", "seeds.0: .*less than 4294967296"),
    "a value of many": ("train {tiny} --set name=[[[[1]]]]", r"name: .*string, found \[\[\[\.\.\.\]\]\]"),
    "unknown key": ("train {tiny} --set training.epoch=3", "unknown key training.epoch; did you mean 'epochs'"),
    "unknown section": ("train {tiny} --set trainig.epochs=3", "unknown key trainig; did you mean 'training'"),
    "wrong type": ("train {tiny} --set training.epochs=many", "training.epochs: .*integer, found 'many'"),
    "out of range": ("train {tiny} --set input.fs=10", "input.fs: .*greater than or equal to 50, found 10"),
    "not a number": ("train {tiny} --set training.learning_rate=.nan", "training.learning_rate: .*found nan"),
    "no value": ("train {tiny} --set training.epochs", "expected key=value"),
    "into a value": ("train {tiny} --set name.x=3", "name is a value, not a section"),
    "unknown task": ("train {tiny} --set task=beat-4", "unknown task 'beat-4'; did you mean 'beat-"),
    "unknown architecture": ("train {tiny} --set model.architecture=resnet1", "did you mean 'resnet'"),
    "unknown size": ("train {tiny} --set model.sizes.stems=3", "model.sizes.stems is not a size of resnet"),
    "sizes that do not fit": ("train {tiny} --set model.sizes.depths=[1]", "resnet cannot be built with"),
    "unknown feature": ("train {tiny} --set input.rr_features=[pre_postt]", "did you mean 'pre_post'"),
    "training on a test split": ("train {tiny} --set data.train=[ds2]", "data.train names the test split ds2"),
    "out is a file": ("train {tiny} --out {list}", "cannot write"),
    "no run": ("export {empty-run}", "holds no run; train one"),
    "absent run": ("export {absent}", "holds no run; train one"),
    "damaged run": ("export {damaged-run}", "is not YAML"),
    "absent run to compress": ("compress {absent} --set compression=[{quantize_aware:{}}]", "holds no run; train one"),
    "damaged run to compress": ("compress {damaged-run}", "is not YAML"),
    "absent run to measure": ("quantization {empty-run}", "holds no run; train one"),
    "cost of an unknown model": ("cost tinny --zoo {zoo}", "unknown model 'tinny'; did you mean 'tiny'"),
    "cost of no model": ("cost {text.tflite}", "expected a .tflite model, found 16 bytes"),
    "a zoo of a newer heartzoo": ("list --zoo {newer-zoo}", "schema_version 9, this heartzoo reads 2; upgrade"),
    "nothing to classify": ("classify", "expected recordings, or --live alone; name a WFDB record"),
    "live and a recording": ("classify {signal.csv} --live --fs 250 --model tiny --zoo {zoo}", "or --live alone"),
    "a file as folder": (
        "classify {signal.csv} --fs 250 --out {words.csv} --model tiny --zoo {zoo}", "words.csv is a file; name a",
    ),
    "no zoo at all": ("list --zoo {folder}", "expected a folder with index.json"),
    "live into a folder": ("classify --live --fs 250 --out a --model tiny --zoo {zoo}", "leave out --detect, --lead"),
    "over the recording": (
        "classify {signal.csv} --fs 250 --out {folder} --model tiny --zoo {zoo}", "over .*signal.csv, which is read",
    ),
    "a list for a key": ("train {odd-key}", "is not YAML .*; mend the file"),
    "a key twice": ("train {twice}", "seeds is there twice, again in line 2"),
    "over another's file": ("download tiny --zoo {zoo} --out {others}", "README.md is there and is no file of tiny"),
    "live without a rate": ("classify --live --model tiny --zoo {zoo}", "does not tell its sampling rate"),
    "unknown model to classify": ("classify {signal.csv} --model tinny --zoo {zoo}", "did you mean 'tiny'"),
    "no recording": ("classify {absent} --model tiny --zoo {zoo}", "absent: neither a WFDB header absent.hea"),
    "no edf": ("classify {text.edf} --model tiny --zoo {zoo}", "text.edf cannot be read"),
    "rate out of range": ("classify {signal.csv} --fs 50 --model tiny --zoo {zoo}", "of 100 to 1000 Hz, found 50"),
    "two columns": ("classify {two.csv} --fs 250 --model tiny --zoo {zoo}", "name one with --lead: 1, 2"),
    "words": ("classify {words.csv} --fs 250 --lead 1 --model tiny --zoo {zoo}", "expected a number in every line"),
    "two of one name": (
        "classify {signal.csv} {namesake.csv} --fs 250 --model tiny --zoo {zoo}", "two recordings are named",
    ),
    "twice": ("classify {signal.csv} {signal.csv} --fs 250 --model tiny --zoo {zoo}", "two recordings are named"),
    "no personal map": ("classify {signal.csv} --fs 250 --personal {absent}", "no personal map .*absent; make one"),
    "no map": ("classify {signal.csv} --fs 250 --personal {words.csv}", "words.csv is no personal map"),
    "nobody's labels": (
        "personalise {signal.csv} --fs 250 --out me.json --model tiny --zoo {zoo}", "no annotation file .*signal.atr",
    ),
    "labels of another kind": (
        "personalise {signal.csv} --fs 250 --annotations {words.csv} --out me.json --model tiny --zoo {zoo}",
        "expected WFDB annotations of the beats of signal",
    ),
    "no minutes": ("personalise {signal.csv} --minutes 0 --out me.json", "minutes above 0, 1440 at most, found 0"),
    "nothing to learn from": ("personalise {absent} --out me.json --model tiny --zoo {zoo}", "neither a WFDB header"),
    "unknown database": ("data info mitbd", "unknown database 'mitbd'; did you mean 'mitdb'"),
    "unknown record": ("data prepare synthetic --record syn99", "synthetic has no record 'syn99'"),
    "split of another database": ("data prepare mitdb --split svdb-train", "split svdb-train belongs to svdb"),
    "missing lead": ("data prepare synthetic --record syn00 --lead V9", "expected a lead among V9, found MLII"),
    "wrong word": ("data prepare synthetic --missing-lead ignore", "expected error or skip"),
    "no mirror": ("data download svdb --record 800", "the mirror has no folder"),
    "too many records": ("data prepare icentia11k-continuous-ecg", "name some with --record"),
}  # fmt: skip


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_told_in_one_line(mistake, cli, files, tmp_path):
    command, told = MISTAKES[mistake]
    command = re.sub(r"\{([\w.-]+)\}", lambda match: str(files[match[1]]), command)
    code, _, errors = cli(*command.split(" "))
    # but for a progress bar and a warning
    lines = [line for line in errors.splitlines() if "left -:--:--" not in line and "was not trained on" not in line]
    assert code == 2
    assert len(lines) == 1 and lines[0].startswith("heartzoo: "), errors
    assert re.search(told, lines[0]), lines[0]
    left = [path for path in (tmp_path / "here").rglob("*") if path.is_file() and not path.name.endswith(".lock")]
    assert not left, "something was written"


def test_a_damaged_run_is_told_when_it_is_resumed(cli, tiny, tiny_run, tmp_path):
    import shutil

    run = shutil.copytree(tiny_run, tmp_path / "run")
    (run / "seed-0" / "state.json").write_text("{")
    for command in (("train", tiny, "--out", run, "--resume"), ("export", run)):
        code, _, errors = cli(*command)
        assert code == 2 and errors.count("\n") == 1 and "state.json is damaged" in errors


def test_a_wrong_backend_is_told(tiny, tmp_path):
    import os

    command = [sys.executable, "-m", "heartzoo", "train", str(tiny), "--out", str(tmp_path / "run")]
    environment = {**os.environ, "KERAS_BACKEND": "jaxx"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.returncode == 2 and done.stderr.count("\n") == 1 and "KERAS_BACKEND" in done.stderr


def test_help_names_every_command_and_is_no_medical_device(cli):
    code, text, _ = cli("--help")
    assert code == 0 and "Not a medical device" in text
    commands = ("train", "compress", "export", "evaluate", "list", "info", "cost", "quantization", "firmware")
    for command in (*commands, "data"):
        assert re.search(rf"^  {command} +\w", text, re.MULTILINE), command
    code, text, _ = cli("data", "--help")
    for command in ("list", "download", "verify", "prepare", "info"):
        assert re.search(rf"^  {command} +\w", text, re.MULTILINE), command
    for command in commands:
        code, text, _ = cli(command, "--help")
        assert code == 0 and f"heartzoo {command}" in text
    code, _, errors = cli()
    assert code == 2 and "Usage: heartzoo" in errors


LOADED = """\
import sys
from heartzoo.cli import main
sys.argv = ["heartzoo", *sys.argv[1:]]
try:
    main()
except SystemExit as ended:
    print("LOADED", ended.code, *sorted({"tensorflow", "keras", "jax", "torch", "matplotlib"} & sys.modules.keys()))
"""


@pytest.mark.parametrize("command", ["--help", "list", "info tiny", "data list"])
def test_what_needs_no_network_loads_no_keras_and_what_does_not_draw_no_matplotlib(
    command, cache, tiny_zoo, monkeypatch
):
    monkeypatch.setenv("HEARTZOO_ZOO", str(tiny_zoo))
    run = subprocess.run([sys.executable, "-c", LOADED, *command.split()], capture_output=True, text=True)
    (line,) = (line for line in run.stdout.splitlines() if line.startswith("LOADED"))
    assert line.split() in (["LOADED", "0"], ["LOADED", "None"]), run.stdout + run.stderr


def test_list_and_info_show_the_published_figures(cli, tiny_zoo):
    code, text, errors = cli("list", "--zoo", tiny_zoo)
    assert (code, errors) == (0, "") and "tiny@1.0.0" in text and "beat-3" in text
    assert cli("list", "ti*", "--zoo", tiny_zoo)[1] == text
    code, text, errors = cli("list", "tony", "--zoo", tiny_zoo)
    assert (code, text) == (2, "") and "no model is named tony; did you mean 'tiny'" in errors
    code, text, errors = cli("info", "tiny", "--zoo", tiny_zoo)
    assert (code, errors) == (0, "") and "not a medical device" in text
    assert "Nothing here tells how it does on people." in text
    index = json.loads((tiny_zoo / "index.json").read_text())
    for fact in index["models"][0]["files"].values():
        assert fact["sha256"] in text.replace("\n", "")
    for command in (["list"], ["select", "--track", "synthetic"]):
        code, text, errors = cli(*command, "--json", "--zoo", tiny_zoo)
        assert (code, errors, json.loads(text)) == (0, "", index["models"])
    code, text, errors = cli("info", "tiny", "--json", "--zoo", tiny_zoo)
    assert (code, errors, json.loads(text)) == (0, "", heartzoo.info("tiny", tiny_zoo))


def test_a_model_is_selected_downloaded_verified_published_and_withdrawn(cli, tiny_zoo, tmp_path, monkeypatch):
    monkeypatch.setenv("HEARTZOO_CACHE", str(tmp_path / "cache"))
    code, text, errors = cli("select", "--task", "beat-3", "--track", "synthetic", "--flash", "32k", "--zoo", tiny_zoo)
    assert (code, errors) == (0, "") and text.endswith(f"next: heartzoo download tiny@1.0.0 --zoo {tiny_zoo}\n")
    code, text, errors = cli("select", "--arena", "1k", "--track", "synthetic", "--zoo", tiny_zoo)
    assert code == 2 and "does not fit: tiny@1.0.0" in text and "B of arena, 1,024 allowed" in text
    code, text, _ = cli("download", "tiny", "--asset", "model.h", "--zoo", tiny_zoo, "--out", tmp_path / "mine")
    assert code == 0 and text.startswith(str(tmp_path / "mine" / "model.h")) and len(text.splitlines()) == 1
    code, text, _ = cli("publish", tmp_path / "served", "--zoo", tiny_zoo)
    assert code == 0 and "published tiny@1.0.0" in text
    code, text, _ = cli("zoo", "verify", "tiny", "tiny@1.0.0", "--zoo", tmp_path / "served")
    assert code == 0 and "1 version: files, hashes, schemas and figures agree" in text
    code, text, _ = cli("zoo", "withdraw", "tiny@1.0.0", "--reason", "it is tiny", "--zoo", tmp_path / "served")
    assert code == 0 and "tiny@1.0.0 is withdrawn: it is tiny" in text
    code, text, _ = cli("list", "--zoo", tmp_path / "served")
    assert code == 0 and text.endswith("withdrawn: tiny@1.0.0: it is tiny\n")
    assert (
        cli("info", "tiny@1.0.0", "--zoo", tmp_path / "served")[2] == "heartzoo: tiny@1.0.0 is withdrawn: it is tiny\n"
    )
    (tmp_path / "served" / "tiny" / "1.0.0" / "model.h").write_text("no")
    code, text, errors = cli("zoo", "verify", "--zoo", tmp_path / "served")
    assert code == 2 and "model.h has 2 bytes" in text and "1 problem in" in errors


@pytest.mark.parametrize("arguments", [("a.csv", "--model", ""), ("a.csv", "--model=")])
def test_a_value_that_a_script_left_empty_is_not_taken_for_the_default(arguments, cli):
    code, _, errors = cli("classify", *arguments)
    assert code == 2 and "found nothing after --model; give it a value, or leave it out" in errors
    assert "found nothing" not in cli("classify", "a.csv", "--zoo=https://x/?key=YQ==")[2]


def test_a_folder_in_use_that_holds_no_model_is_told(cli, tmp_path, monkeypatch):
    monkeypatch.setenv("HEARTZOO_ZOO", str(tmp_path / "none"))
    code, _, errors = cli("info", "arr-5-rr-sm")
    assert code == 2 and f"{tmp_path / 'none'} holds no model; name a zoo with --zoo" in errors


def test_cost_names_the_file_that_is_no_model(cli, tmp_path):
    (tmp_path / "a.tflite").write_bytes(b"")
    code, _, errors = cli("cost", tmp_path / "a.tflite")
    assert code == 2 and f"{tmp_path / 'a.tflite'}: expected a .tflite model, found 0 bytes" in errors


def test_cost_sums_to_what_is_published(cli, tiny_zoo):
    code, text, errors = cli("cost", "tiny", "--zoo", tiny_zoo)
    published = json.loads((tiny_zoo / "tiny" / "1.0.0" / "metrics.json").read_text())["cost"]
    assert code == 0, errors
    assert f"{sum(published['operators'].values())} operators, {published['macs']:,} MACs" in text
    assert "(estimate)" in text and "CONV_2D" in text


def test_quantization_tells_tensors_and_ways_of_calibration(cli, tiny_run, monkeypatch):
    convert = quantization_report.to_tflite

    def without_16x8(model, calibration, method, activations):
        if activations == "int16":
            raise UserError("no such operator", "take another")
        return convert(model, calibration, method, activations)

    monkeypatch.setattr(quantization_report, "to_tflite", without_16x8)
    code, text, errors = cli("quantization", tiny_run, "--seed", 1)
    assert code == 0, errors
    assert all(name in text for name in ("logits", "signal", "dB", "float", "minmax", "percentile", "mse", "16x8"))
    assert text.splitlines()[-1] == "no 16x8 file: no such operator"
    code, _, errors = cli("quantization", tiny_run, "--seed", 7)
    assert code == 2 and "has no seed 7; take one of [0, 1]" in errors


def test_compress_leaves_the_run_and_says_what_comes_next(cli, tiny_run, tiny_zoo):
    before = {path: path.stat().st_mtime_ns for path in tiny_run.rglob("*.json")}
    sets = ("--set", "seeds=[0]", "--set", "compression=[{quantize_aware: {epochs: 1}}]")
    code, text, errors = cli("compress", tiny_run, *sets, "--set", "name=tiny-aware")
    assert code == 0 and text.splitlines()[-1] == "next: heartzoo export runs/tiny-aware --zoo my-zoo", errors
    assert Path("runs/tiny-aware/seed-0/step-1-quantize_aware/best.keras").is_file()
    for path in [tiny_run / "seed-0/model.keras", *(tiny_run / "seed-0").glob("synthetic-test-*.json")]:
        assert Path("runs/tiny-aware/seed-0", path.name).read_bytes() == path.read_bytes()  # not evaluated again
    assert {path: path.stat().st_mtime_ns for path in tiny_run.rglob("*.json")} == before
    code, _, errors = cli("compress", tiny_run, *sets, "--out", tiny_run)
    assert code == 2 and "would overwrite" in errors
    code, _, errors = cli("compress", tiny_run)
    assert code == 2 and "no compression steps" in errors


def test_data_list_and_info(cli):
    code, text, _ = cli("data", "list")
    assert code == 0 and all(name in text for name in ("mitdb", "svdb", "nstdb", "icentia11k", "synthetic"))
    code, text, _ = cli("data", "info", "synthetic")
    assert code == 0 and "32 records in" in text and "synthetic-test: 8 records, test" in text
    code, text, _ = cli("data", "verify", "synthetic")
    assert code == 0 and "0 missing" in text


def test_data_info_counts_the_records_beside_a_damaged_one(cli, tmp_path, monkeypatch):
    cache = shutil.copytree(os.environ["HEARTZOO_CACHE"], tmp_path / "cache")
    monkeypatch.setenv("HEARTZOO_CACHE", str(cache))
    (annotations,) = cache.rglob("syn05.atr")
    annotations.write_bytes(b"")
    code, text, _ = cli("data", "info", "synthetic")
    assert code == 0 and "not counted: record syn05: syn05.atr is empty" in text and "Beats in the cache" in text


def test_data_prepare_counts_the_classes_of_a_split(cli, tmp_path):
    demo = Path(__file__).parents[1] / "configs/demo.yaml"
    arguments = ("--split", "synthetic-test", "--config", demo, "--out", tmp_path / "x.h5")
    _, text, _ = cli("data", "prepare", "synthetic", *arguments)
    row = next(line for line in text.splitlines() if "synthetic-test" in line)
    counts = [int(cell.replace(",", "")) for cell in row.split("│")[2:-1]]
    (total,) = re.findall(r"([\d,]+) beats of 8 records", text)
    assert sum(counts) == int(total.replace(",", "")) and min(counts[:3]) > 0


def test_data_prepare_writes_a_store(cli, tmp_path):
    out = tmp_path / "store.h5"
    code, text, _ = cli("data", "prepare", "synthetic", "--record", "syn00", "--record", "syn01", "--out", out)
    assert code == 0 and "beats of 2 records" in text and out.is_file()
    assert cli("data", "prepare", "synthetic", "--split", "synthetic-test", "--out", tmp_path)[0] == 2  # a folder
    code, _, errors = cli("data", "prepare", "synthetic", "--split", "synthetic-test", "--record", "syn00")
    assert code == 2 and "name records in two ways; leave one of them out" in errors


def test_evaluate_writes_its_report_and_repeats_the_published_figures(cli, tiny_zoo):
    code, text, errors = cli("evaluate", "tiny", "--zoo", tiny_zoo, "--out", "reports")
    assert code == 0, errors
    assert "Confusion matrix" in text and "the published figures, exactly" in text
    assert "says nothing about patients" in text and "logged in" not in text
    assert "lead MLII (8 records); 265 annotated beats are not scored, no class holds them: / 230, F 35\n" in text
    assert sorted(path.suffix for path in Path("reports").iterdir()) == [".json", ".png", ".svg"]
    report = json.loads(next(Path("reports").glob("*.json")).read_text())
    published = json.loads((tiny_zoo / "tiny" / "1.0.0" / "metrics.json").read_text())
    assert report["evaluations"] == [published["evaluations"][0]]
    assert not (tiny_zoo / "openings.jsonl").exists()


def test_what_a_model_cannot_do_is_refused_before_a_test_split_is_opened(cli, tmp_path):
    zoo = shutil.copytree(PUBLISHED / "cnn1", tmp_path / "copy" / "cnn1").parent
    write_index(zoo)
    for option, told in (("--end-to-end", "labels frames by rhythm"), ("--personalised", "nothing about how to adapt")):
        code, _, errors = cli("evaluate", "cnn1", "--zoo", zoo, option)
        assert code == 2 and told in errors
    assert not (zoo / "openings.jsonl").exists() and not Path("reports").exists()


def test_evaluate_tells_where_other_records_than_published_are_scored(cli, tiny_zoo, monkeypatch):
    metrics = find("tiny", tiny_zoo).metrics
    fewer = [e.model_copy(update={"records": e.records[:-1]}) for e in metrics.evaluations]
    monkeypatch.setattr("heartzoo.zoo.Entry.metrics", metrics.model_copy(update={"evaluations": fewer}))
    monkeypatch.setattr("heartzoo.data.download.present", lambda database: database.records[:-1])
    code, text, errors = cli("evaluate", "tiny", "--zoo", tiny_zoo, "--jobs", 1, "--format", "svg", "--out", "reports")
    assert code == 0, errors
    assert "the published figures are of 7 of its 8 records; --as-published scores those" in text
    assert "of 8 records; the published figures are of 7, not the same" in text and "exactly" not in text


def test_evaluate_scores_the_very_records_of_the_published_figures(cli, tiny_zoo, monkeypatch):
    metrics = find("tiny", tiny_zoo).metrics
    fewer = [e.model_copy(update={"records": e.records[:-1]}) for e in metrics.evaluations]
    monkeypatch.setattr("heartzoo.zoo.Entry.metrics", metrics.model_copy(update={"evaluations": fewer}))
    evaluate = "evaluate", "tiny", "--zoo", tiny_zoo, "--jobs", 1, "--format", "svg", "--as-published"
    code, _, errors = cli(*evaluate)
    assert code == 0, errors
    (report,) = Path("reports").glob("*.json")
    assert [e["records"] for e in json.loads(report.read_text())["evaluations"]] == [fewer[0].records]
    code, _, errors = cli(*evaluate, "--split", "ds2")
    assert code == 2 and "tiny@1.0.0 has no published figures on ds2; take --split synthetic-test" in errors
    code, _, errors = cli(*evaluate, "--present-only")
    assert code == 2 and "takes other records than --present-only" in errors
    code, _, errors = cli("evaluate", tiny_zoo / "tiny" / "1.0.0" / "model.tflite", "--as-published")
    assert code == 2 and "--as-published is for a model of the zoo, found model.tflite" in errors


def test_compare_tells_two_models_apart_on_the_same_patients(cli):
    code, text, errors = cli("compare", "arr-5-rr-sm", "arr-5-res-sm", "--zoo", PUBLISHED)
    assert code == 0, errors
    row = next(line for line in text.splitlines() if "macro-F1 N/S/V " in line)
    assert text.count("macro-F1 N/S/V/F ") == 1
    one, other, difference, low, high = map(float, re.findall(r"[+-]?\d\.\d{3}", row))
    assert difference == pytest.approx(one - other, abs=0.0011) and low < difference < high
    assert text.count("trainings of its recipe") == 2
    _, text, _ = cli("compare", "arr-5-rr-sm", "arr-5-rr-sm", "--zoo", PUBLISHED)
    row = next(line for line in text.splitlines() if "macro-F1 N/S/V " in line)
    assert "+0.000 (+0.000 to +0.000)" in row


def test_compare_refuses_figures_of_other_files(cli, tiny_zoo, tmp_path):
    zoo = shutil.copytree(tiny_zoo, tmp_path / "zoo")
    first = find("tiny", zoo)
    configuration = dict(first.configuration)
    shutil.copytree(first.folder, zoo / "other" / first.version)
    for record, refused in (("syn00", False), ("syn24", True)):  # what trained may differ, what tested may not
        for name, digest in (("tiny", "0" * 64), ("other", "1" * 64)):
            folder = zoo / name / first.version
            told = configuration | {"name": name, "data_sha256": {"synthetic": {record: {"dat": digest}}}}
            (folder / "configuration.json").write_text(json.dumps(told))
            metrics = json.loads((folder / "metrics.json").read_text())
            (folder / "metrics.json").write_text(json.dumps(metrics | {"model": name}))
        (zoo / "index.json").unlink()
        write_index(zoo)
        code, _, errors = cli("compare", "tiny", "other", "--zoo", zoo)
        assert code == 2 * refused, errors
    assert "record syn24 of synthetic had other files for tiny than for other; export one" in errors


def test_compare_gives_no_interval_over_two_patients(cli, tiny_zoo, monkeypatch):
    metrics = find("tiny", tiny_zoo).metrics
    few = [e.model_copy(update={"by_record": dict(list(e.by_record.items())[:2])}) for e in metrics.evaluations]
    monkeypatch.setattr("heartzoo.zoo.Entry.metrics", metrics.model_copy(update={"evaluations": few}))
    code, text, errors = cli("compare", "tiny", "tiny", "--zoo", tiny_zoo)
    assert code == 0, errors
    assert "There is no interval: synthetic-test is 2 patients, which says nothing of others." in text
    assert "(+0.000 to" not in text and "+0.000" in text


@pytest.mark.parametrize(
    ("names", "told"),
    [
        (("arr-5-rr-sm", "beat-3-rr-sm"), "arr-5-rr-sm is of arrhythmia-5, beat-3-rr-sm of beat-3; compare one task"),
        (("arr-5-rr-sm", "cnn-187"), "cnn-187@1.0.0 on random-test: they share no split"),
        (
            ("arr-5-rr-sm", "arr-5-res-sm", "--split", "svdb-test"),
            "has no figures on svdb-test; take --split ds2",
        ),
        (("arr-5-rr-sm", "arr-5-rr-smm"), "unknown model 'arr-5-rr-smm'; did you mean 'arr-5-rr-sm'"),
    ],
)
def test_models_that_cannot_be_compared_are_told(cli, names, told):
    code, text, errors = cli("compare", *names, "--zoo", PUBLISHED)
    assert code == 2 and not text and told in errors


def test_evaluate_draws_every_picture_in_the_format_asked_for(cli, tiny_zoo):
    arguments = ("evaluate", "tiny", "--zoo", tiny_zoo, "--runtime", "reference", "--plots", "--format", "svg")
    pictures = []
    for folder in ("first", "second"):
        code, text, errors = cli(*arguments, "--out", folder)
        assert code == 0, errors
        pictures.append({path.name: path.read_bytes() for path in Path(folder).glob("*.svg")})
        assert {str(path) for path in Path(folder).iterdir()} == set(re.findall(r"wrote (\S+)", text))
    assert pictures[0] == pictures[1]  # the same bytes
    names = ("beats", "classes", "confusion", "reliability", "risk-coverage")  # no recordings were made worse
    assert sorted(name.partition("-reference-")[2] for name in pictures[0]) == [f"{name}.svg" for name in names]
    beats = next(content for name, content in pictures[0].items() if name.endswith("-beats.svg"))
    assert b"heartzoo's own synthetic recordings, records syn" in beats and b"Apache-2.0" in beats


@pytest.mark.parametrize("runtime", ["reference", "keras"])
def test_evaluate_runs_other_runtimes_and_loose_files(runtime, cli, tiny_zoo, tmp_path):
    file = "model.keras" if runtime == "keras" else "model.tflite"
    code, text, errors = cli("evaluate", tiny_zoo / "tiny" / "1.0.0" / file, "--runtime", runtime, "--jobs", 1)
    assert code == 0, errors
    assert f"by {runtime}" in text.replace("\n", " ")
    assert "exactly" not in text  # a file that is named by its path is compared with nothing


def test_evaluate_logs_the_opening_of_a_test_split(cli, tiny_zoo, tmp_path, monkeypatch):
    import shutil

    # The synthetic test split stands in for a real one: no test opens DS2.
    monkeypatch.setattr("heartzoo.zoo.openings.OF_NOBODY", ())
    copy = shutil.copytree(tiny_zoo, tmp_path / "zoo")
    for count in (1, 2):
        code, text, errors = cli("evaluate", "tiny@1.0.0", "--zoo", copy, "--jobs", 1)
        assert code == 0 and f"logged in {copy / 'openings.jsonl'}" in text.replace("\n", ""), errors
        lines = [json.loads(line) for line in (copy / "openings.jsonl").read_text().splitlines()]
        assert len(lines) == count and lines[-1]["model"] == "tiny@1.0.0"
        assert (lines[-1]["split"], lines[-1]["precision"]) == ("synthetic-test", "int8")


def test_what_was_evaluated_is_kept_if_a_later_part_fails(cli, tiny_zoo, monkeypatch):
    def fail(*_: object) -> None:
        raise UserError("no network", "try again")

    monkeypatch.setattr("heartzoo.evaluation.evaluate_disturbed", fail)
    code, _, errors = cli("evaluate", "tiny", "--zoo", tiny_zoo, "--jobs", 1, "--end-to-end", "--robustness")
    assert code == 2 and "no network" in errors
    report = json.loads(next(Path("reports").glob("*.json")).read_text())
    assert list(report) == ["model", "evaluations", "end_to_end"]


def test_evaluate_measures_robustness_and_logs_each_opening(cli, tiny_zoo, tmp_path, monkeypatch):
    import shutil

    few = Disturbance(gain=-1.0), Disturbance(jitter_ms=40.0)
    monkeypatch.setattr("heartzoo.evaluation.DISTURBANCES", few)
    monkeypatch.setattr("heartzoo.zoo.openings.OF_NOBODY", ())
    copy = shutil.copytree(tiny_zoo, tmp_path / "zoo")
    code, text, errors = cli("evaluate", "tiny", "--zoo", copy, "--jobs", 1, "--robustness", "--out", "reports")
    assert code == 0, errors
    assert "inverted lead" in text and "up to 40 ms" in text
    assert sorted(path.suffix for path in Path("reports").glob("*-robustness.*")) == [".png", ".svg"]
    report = json.loads(next(Path("reports").glob("*.json")).read_text())
    assert [row["disturbance"] for row in report["robustness"]] == [
        {"gain": -1.0, "draw": 0},
        {"jitter_ms": 40.0, "draw": 0},
    ]
    assert report["robustness"][0]["n"] == report["evaluations"][0]["n"]
    lines = [json.loads(line) for line in (copy / "openings.jsonl").read_text().splitlines()]
    assert [line.get("disturbance") for line in lines] == [None, "inverted lead, x -1", "R peaks jittered, up to 40 ms"]


def test_what_was_measured_of_the_robustness_is_kept_where_the_last_fails(cli, tiny_zoo, monkeypatch):
    ways = Disturbance(gain=-1.0), Disturbance(other_lead=True)  # of which the recordings have none
    monkeypatch.setattr("heartzoo.evaluation.disturbances", lambda split: ways)
    code, _, errors = cli("evaluate", "tiny", "--zoo", tiny_zoo, "--jobs", 1, "--robustness", "--out", "kept")
    assert code == 2 and "every record was skipped: record syn24: it has no lead beside MLII" in errors
    report = json.loads(next(Path("kept").glob("*.json")).read_text())
    assert [row["disturbance"] for row in report["robustness"]] == [{"gain": -1.0, "draw": 0}]


def test_classify_tells_of_two_beats_at_one_sample(cli, tiny_zoo, tmp_path):
    synthetic.write(tmp_path, ["syn03"], 20.0)
    beats = wfdb.rdann(str(tmp_path / "syn03"), "atr")
    samples = beats.sample.copy()
    samples[6] = samples[5]
    wfdb.wrann("syn03", "atr", samples, symbol=beats.symbol, fs=250, write_dir=str(tmp_path))
    code, _, errors = cli("classify", tmp_path / "syn03", "--model", "tiny", "--zoo", tiny_zoo)
    assert code == 0
    told = f"syn03: more than one beat at sample {samples[5]}, whose interval counts as 0.2 s"
    assert told in " ".join(errors.split())


def test_a_model_of_rhythms_has_every_picture_but_that_of_beats(cli, tmp_path):
    root = Path(__file__).parents[1]
    text = re.sub("rhythm-(train|test)", r"synthetic-\1", (root / "configs/cnn1.yaml").read_text())
    config = tmp_path / "rhythm.yaml"
    config.write_text(text.replace("drowned_share: 0.25", "drowned_share: 0.0"))  # nstdb is not here
    model = root / "zoo/cnn1/1.0.0/model.tflite"
    options = ("--config", config, "--runtime", "xnnpack", "--jobs", 1, "--plots", "--format", "svg", "--out", ".")
    code, _, errors = cli("evaluate", model, *options)
    assert code == 0, errors
    pictures = sorted(path.name.partition("-xnnpack-")[2] for path in Path().glob("*.svg"))
    assert pictures == ["classes.svg", "confusion.svg", "reliability.svg", "risk-coverage.svg"]


def test_pictures_take_the_published_robustness_where_none_is_measured(cli, tiny_zoo, monkeypatch):
    monkeypatch.setattr("heartzoo.evaluation.DISTURBANCES", (Disturbance(jitter_ms=40.0),))
    arguments = ("evaluate", "tiny", "--zoo", tiny_zoo, "--jobs", 1, "--format", "svg", "--out")
    assert cli(*arguments, "measured", "--robustness")[0] == 0
    report = json.loads(next(Path("measured").glob("*.json")).read_text())
    measured = [DisturbedResult(**row) for row in report["robustness"]]
    published = find("tiny", tiny_zoo).metrics.model_copy(update={"robustness": measured})
    monkeypatch.setattr("heartzoo.zoo.Entry.metrics", published)
    assert cli(*arguments, "plain")[0] == 0 and not list(Path("plain").glob("*-robustness.svg"))
    assert cli(*arguments, "all", "--plots")[0] == 0
    pictures = [next(Path(folder).glob("*-robustness.svg")).read_bytes() for folder in ("measured", "all")]
    assert pictures[0] == pictures[1]


def test_a_model_is_adapted_to_each_patient_where_its_export_says_how(cli, tiny_run, tiny_zoo, tmp_path, monkeypatch):
    import shutil

    for module in ("evaluation", "candidates"):  # synthetic recordings are short
        monkeypatch.setattr(f"heartzoo.{module}.FIRST_S", 60.0)
    code, _, errors = cli("evaluate", "tiny", "--zoo", tiny_zoo, "--jobs", 1, "--personalised")
    assert code == 2 and "export.personalisation=true" in errors
    run = shutil.copytree(tiny_run, tmp_path / "run")
    code, _, errors = cli("export", run, "--zoo", tmp_path / "zoo", "--set", "export.personalisation=true")
    assert code == 0, errors
    code, text, errors = cli(
        "evaluate", "tiny", "--zoo", tmp_path / "zoo", "--jobs", 1, "--personalised", "--out", "reports"
    )
    assert code == 0 and "with labels" in text, errors
    assert "personalisation, int8 by tflm: the published figures, exactly" in text
    report = json.loads(next(Path("reports").glob("*.json")).read_text())
    published = json.loads((tmp_path / "zoo" / "tiny" / "1.0.0" / "metrics.json").read_text())
    assert report["personalisation"] == published["personalisation"]
    assert [row["adapted"] for row in report["personalisation"]] == ["no", "without labels", "with labels"]
    assert len({row["n"] for row in report["personalisation"]}) == 1
    assert 0 < report["personalisation"][0]["n"] < report["evaluations"][0]["n"]
    card = (tmp_path / "zoo" / "tiny" / "1.0.0" / "README.md").read_text()
    assert "## Personalisation (synthetic-test)" in card


def test_train_and_export_say_what_comes_next(cli, tiny):
    few = [word for setting in ("epochs=1", "steps_per_epoch=4") for word in ("--set", f"training.{setting}")]
    code, text, errors = cli("train", tiny, *few, "--set", "seeds=[0]", "--out", "run")
    assert code == 0 and text.splitlines()[-1] == "next: heartzoo export run --zoo my-zoo", errors
    code, text, errors = cli("export", "run", "--zoo", "zoo", "--version", "0.1.0")
    assert code == 0 and text.splitlines()[-1] == "next: heartzoo evaluate tiny@0.1.0 --zoo zoo", errors
    for name in ("model.tflite", "model.h", "metrics.json"):
        assert f"zoo/tiny/0.1.0/{name}" in text


def test_classify_writes_four_files_a_recording(cli, tiny_zoo, cache, tmp_path):
    folder = cache / "synthetic" / "1"
    records = [folder / "syn24", folder / "syn25"]
    code, told, errors = cli("classify", *records, "--model", "tiny", "--zoo", tiny_zoo, "--out", "out", "--detect")
    assert code == 0
    assert "syn24: " in told and "beats (found; NSR " in told
    assert told.rstrip().endswith("For research and education; not a medical device.")
    assert "was not trained on" not in errors and "classify syn25" in errors
    written = sorted(path.name for path in (tmp_path / "here" / "out").iterdir())
    assert written == sorted(f"{name}.{end}" for name in ("syn24", "syn25") for end in ("hz", "csv", "html", "json"))
    summary = json.loads((tmp_path / "here" / "out" / "syn24.json").read_text())
    assert summary["model"] == "tiny@1.0.0" and summary["beats"] > 300 and not summary["annotated"]
    code, told, _ = cli("classify", records[0], "--model", "tiny", "--zoo", tiny_zoo)
    assert code == 0 and "beats (annotated; NSR " in told


def test_classify_goes_on_after_a_recording_that_it_cannot_read(cli, cache, files, tiny_zoo, tmp_path):
    for name in ("unsorted", "late"):
        for file in (cache / "synthetic" / "1").glob("syn24.*"):
            content = file.read_bytes()
            (tmp_path / file.with_stem(name).name).write_bytes(content.replace(b"syn24 ", f"{name} ".encode(), 1))
    (tmp_path / "syn24.dat").write_bytes((cache / "synthetic" / "1" / "syn24.dat").read_bytes())
    # N at 100, 700 and 400: wfdb writes no such file
    (tmp_path / "unsorted.atr").write_bytes(b"\x64\x04\x58\x06\x00\xec\xff\xff\xd4\xfe\x00\x04\0\0")
    wfdb.wrann("late", "atr", np.array([100, 75_000]), symbol=["N"] * 2, fs=250, write_dir=str(tmp_path))
    options = ("--model", "tiny", "--zoo", tiny_zoo, "--out", "out")
    code, told, errors = cli("classify", tmp_path / "absent", tmp_path / "unsorted", tmp_path / "late", *options)
    assert code == 2 and "late: 2 beats (annotated" in told
    for line in (
        "heartzoo: no recording .*absent: neither a WFDB header",
        "heartzoo: record unsorted: unsorted.atr is not in order of time, .* 400 follows one at 700",
        "heartzoo: 2 of 3 recordings are not classified; see what is said of each above",
    ):
        assert re.search(f"^{line}", errors, re.MULTILINE), errors
    written = sorted(path.name for path in (tmp_path / "here" / "out").iterdir())
    assert written == [f"late.{end}" for end in ("csv", "html", "hz", "json")]


def test_a_model_is_adapted_to_a_person_and_used_for_him(cli, cache, tiny_zoo, tmp_path):
    record, zoo = cache / "synthetic" / "1" / "syn24", ("--zoo", PUBLISHED)
    code, told, errors = cli("personalise", record, "--out", "me.json", "--minutes", 2, "--model", "beat-3-rr-sm", *zoo)
    assert code == 0, errors
    assert re.search(r"^syn24, the first 2 min: \d+ labelled beats \(NSR \d+", told)
    assert re.search(
        r"^beat-3-rr-sm@[\d.]+ agrees with \d+ of these labels, adapted with \d+; what", told, re.MULTILINE
    )
    assert "no beat labelled PVC: such beats may be found less often" in told and told.rstrip().endswith(
        "not a medical device."
    )
    assert json.loads((tmp_path / "here" / "me.json").read_text())["seconds"] == 120
    code, told, errors = cli("classify", record, "--personal", "me.json", *zoo)
    assert code == 0 and "beats (annotated; NSR " in told, errors
    folder = tmp_path / "here" / "classified"
    summary = json.loads((folder / "syn24.json").read_text())
    assert summary["personalised_by"] == "syn24" and summary["model"].startswith("beat-3-rr-sm@")
    assert "the person of syn24, by labelled beats" in (folder / "syn24.html").read_text()
    other = json.loads((tmp_path / "here" / "me.json").read_text()) | {"lead": "V5"}
    (tmp_path / "here" / "other.json").write_text(json.dumps(other))
    code, _, errors = cli("classify", record, "--personal", "other.json", *zoo)
    assert code == 0 and "syn24: the personal map is of lead V5, this is MLII" in errors
    # the labels that classify writes, put right by hand, teach as well as a record's own
    labels = folder / "syn24.hz"
    code, _, errors = cli("personalise", record, "--annotations", labels, "--out", labels, *zoo)
    assert code == 2 and "syn24.hz is there and is no personal map; name another file" in errors
    code, told, errors = cli("personalise", record, "--annotations", labels, "--out", "mine.json", *zoo)
    assert code == 0 and "wrote mine.json; next: heartzoo classify RECORD --personal mine.json --zoo" in told, errors
    code, told, _ = cli("personalise", record, "--out", "few.json", "--minutes", 0.5, "--model", "beat-3-rr-sm", *zoo)
    assert code == 0 and re.search(r"\d\d beats are few to learn from", told)
    code, told, errors = cli("classify", record, "--personal", "me.json", "--model", "tiny", "--zoo", tiny_zoo)
    assert code == 2 and re.search("expected beat-3-rr-sm@.*, which this .* was made of, found tiny@1.0.0", errors)
    code, told, errors = cli("personalise", record, "--out", "me.json", "--model", "tiny", "--zoo", tiny_zoo)
    assert code == 2 and "tiny@1.0.0 says nothing about how to adapt it; take one of the rr models" in errors


def test_classify_warns_of_another_lead(cli, files, tiny_zoo):
    code, _, errors = cli("classify", files["signal.csv"], "--fs", 250, "--model", "tiny", "--zoo", tiny_zoo)
    assert code == 0
    assert "signal: tiny was not trained on lead 1, but on MLII" in errors and "other lead" not in errors
    code, _, errors = cli("classify", files["signal.csv"], "--fs", 250, "--model", "arr-5-rr-sm", "--zoo", PUBLISHED)
    assert code == 0
    told = " ".join(errors.split())
    assert re.search(r"not trained on lead 1, but on MLII, .* \(and on copies of its recordings' other lead\)", told)
    code, _, errors = cli(
        "classify", files["signal.csv"], "--fs", 250, "--model", "arr-5-rr-lg@1.3.0", "--zoo", PUBLISHED
    )
    assert code == 0 and "of its recordings' other lead and leads between the two)" in " ".join(errors.split())


@pytest.mark.parametrize(
    ("names", "taken", "warned"), [("I,II,V5", "II", True), ("V1,mlii", "mlii", False), ("I,My ECG", "My ECG", True)]
)
def test_classify_takes_the_lead_that_is_nearest_to_the_training_s(cli, tiny_zoo, tmp_path, names, taken, warned):
    row = ",".join(f"0.{number}" for number in range(1 + names.count(",")))
    (tmp_path / "leads.csv").write_text(names + f"\n{row}" * 1000)
    code, _, errors = cli(
        "classify", tmp_path / "leads.csv", "--fs", 250, "--model", "tiny", "--zoo", tiny_zoo, "--out", tmp_path / "out"
    )
    assert code == 0, errors
    assert json.loads((tmp_path / "out/leads.json").read_text())["lead"] == taken
    assert (f"tiny was not trained on lead {taken}, but on MLII" in " ".join(errors.split())) == warned


def test_names_with_brackets_are_told_as_they_are(cli, files, tiny_zoo, tmp_path):
    odd = tmp_path / "rec[a].csv"
    odd.write_text("ECG [/mV]\n" + files["signal.csv"].read_text())
    code, told, errors = cli("classify", odd, "--fs", 250, "--model", "tiny", "--zoo", tiny_zoo)
    assert code == 0 and "rec[a]: tiny was not trained on lead ECG [/mV], but on MLII" in errors
    assert "classify rec[a], 5 min each" in errors and told.startswith("rec[a]: ")


def test_classify_tells_that_only_a_part_is_annotated(cli, tiny_zoo, tmp_path):
    synthetic.write(tmp_path, ["syn03"], 60.0)
    whole = ["classify", tmp_path / "syn03", "--model", "tiny", "--zoo", tiny_zoo]
    assert "is annotated for" not in cli(*whole)[2]
    beats = wfdb.rdann(str(tmp_path / "syn03"), "atr")
    early = beats.sample < 20 * 250
    symbols = [symbol for symbol, kept in zip(beats.symbol, early, strict=True) if kept]
    wfdb.wrann("syn03", "atr", beats.sample[early], symbol=symbols, fs=250, write_dir=str(tmp_path))
    code, _, errors = cli(*whole)
    assert code == 0
    told = " ".join(errors.split())
    assert re.search("syn03: no beat is annotated for 4[01] s from (19|20) s on, and none is looked for", told)
    assert "is annotated for" not in cli(*whole, "--detect")[2]


def test_classify_live_adapts_to_a_person(cli, tmp_path, monkeypatch):
    from heartzoo import classify, load_tflite, personalise
    from heartzoo.data import synthetic

    model, record = load_tflite("arr-5-rr-sm", zoo=PUBLISHED), synthetic.generate("syn24", 60.0)
    everything = np.full(len(record.symbols), ord("S"), np.uint8)  # so that the map shows
    personal = personalise(record.signal, record.fs, record.samples, everything, model)
    personal.save(tmp_path / "me.json")
    numbers = tmp_path / "numbers"
    numbers.write_text("\n".join(map(repr, record.signal.tolist())))
    with numbers.open() as stream:
        monkeypatch.setattr(sys, "stdin", stream)
        arguments = ("--personal", tmp_path / "me.json", "--zoo", PUBLISHED)
        code, told, errors = cli("classify", "--live", "--fs", 250, *arguments)
    assert code == 0, errors
    labels = [line.split(",")[3] for line in told.splitlines()[1:]]
    assert labels == [beat.label for beat in classify(record.signal, 250, model, personal=personal).beats]
    assert labels.count("S") > len(labels) / 2


def test_classify_live_prints_beats_as_they_come(cli, tiny_zoo, tmp_path, monkeypatch):
    from heartzoo import classify, load_tflite
    from heartzoo.classification.summary import across_lost_signal
    from heartzoo.data import synthetic

    record = synthetic.generate("syn24", 30.0)
    numbers = tmp_path / "numbers"
    numbers.write_text("\n".join(f"{1000 * value:.0f}" for value in record.signal))
    with numbers.open() as stream:
        monkeypatch.setattr(sys, "stdin", stream)
        arguments = ("--fs", 250, "--unit", "uV", "--model", "tiny", "--zoo", tiny_zoo)
        code, told, _ = cli("classify", "--live", *arguments)
    assert code == 0
    lines = told.splitlines()
    assert lines[0] == "sample,time_s,rr_s,class,confidence,abstained"
    assert abs(len(lines) - 1 - len(record.samples)) <= 2
    whole = numbers.read_text().split("\n")
    for start, end in ((2500, 4500), (6000, 6040)):
        whole[start:end] = [""] * (end - start)
        record.signal[start:end] = np.nan
    numbers.write_text("\n".join(whole), encoding="utf-8-sig")  # as programs of Windows write
    with numbers.open() as stream:
        monkeypatch.setattr(sys, "stdin", stream)
        code, told, _ = cli("classify", "--live", *arguments)
    beats = [(int(row[0]), row[2]) for row in csv.reader(told.splitlines()[1:])]
    found = classify(record.signal, 250, load_tflite("tiny", zoo=tiny_zoo))
    lost = [True, *across_lost_signal(found.beats, found.quality)]
    assert code == 0 and [not interval for _, interval in beats] == lost and 2 < sum(lost) < 6
    numbers.write_text("0.1\n0.2\nthree\n")
    with numbers.open() as stream:
        monkeypatch.setattr(sys, "stdin", stream)
        code, _, errors = cli("classify", "--live", "--fs", 250, "--model", "tiny", "--zoo", tiny_zoo)
    assert code == 2 and "standard input, line 3: expected one number, found 'three'" in errors


@pytest.mark.parametrize("ending", ["\n", "\r\n", "\r"])
def test_classify_live_tells_the_beats_before_a_line_that_is_no_number(ending, cli, tiny_zoo, tmp_path, monkeypatch):
    from heartzoo.data import synthetic

    lines = [*map(repr, synthetic.generate("syn24", 30.0).signal.tolist()), "three"]
    (tmp_path / "numbers").write_text(ending.join(lines) + ending, newline="")
    with (tmp_path / "numbers").open() as stream:
        monkeypatch.setattr(sys, "stdin", stream)
        code, told, errors = cli("classify", "--live", "--fs", 250, "--model", "tiny", "--zoo", tiny_zoo)
    assert code == 2 and f"line {len(lines)}: expected one number, found 'three'" in errors
    assert int(told.splitlines()[-1].split(",")[0]) > 27 * 250


@pytest.mark.parametrize(("content", "told"), [("", "holds no samples"), ("1" * 5000, "found 5,000 characters")])
def test_what_is_no_line_of_a_number_is_refused_live(content, told, cli, tiny_zoo, tmp_path, monkeypatch):
    (tmp_path / "numbers").write_text(content)
    with (tmp_path / "numbers").open() as stream:
        monkeypatch.setattr(sys, "stdin", stream)
        code, _, errors = cli("classify", "--live", "--fs", 250, "--model", "tiny", "--zoo", tiny_zoo)
    assert code == 2 and told in errors


def test_evaluate_end_to_end_stands_beside_annotated_r_peaks(cli, tiny_zoo, tmp_path):
    code, told, _ = cli("evaluate", "tiny", "--zoo", tiny_zoo, "--end-to-end", "--out", "reports")
    assert code == 0
    assert "End to end, synthetic-test: found within 150 ms" in told
    assert re.search(r"detection\W+\d+\.\d\d", told)
    report = next((tmp_path / "here" / "reports").glob("*.json"))
    assert json.loads(report.read_text())["end_to_end"][0]["detection"]["se"] > 0.95


def test_the_version_is_told(cli):
    code, told, _ = cli("--version")
    assert (code, told) == (0, f"heartzoo {__version__}\n")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interruption_is_told(tiny_zoo, number):
    command = [
        sys.executable,
        "-m",
        "heartzoo",
        "classify",
        "--live",
        "--fs",
        "250",
        "--model",
        "tiny",
        "--zoo",
        tiny_zoo,
    ]
    # Whoever runs the tests in the background has told them to ignore Ctrl-C.
    pipes = {"stdin": PIPE, "stdout": PIPE, "stderr": PIPE, "text": True}
    with subprocess.Popen(command, preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL), **pipes) as process:
        assert process.stdout.readline().startswith("sample,")
        process.send_signal(number)
        _, told = process.communicate(timeout=60)
    assert process.returncode == 128 + number and told.startswith("heartzoo: interrupted; ")


@pytest.mark.parametrize("closed", ["2>&-", ">&- 2>&-", "<&- >&- 2>&-"])
def test_closed_streams_do_not_matter(tiny_zoo, closed):
    command = f"{quote(sys.executable)} -m heartzoo zoo verify tiny --zoo {quote(str(tiny_zoo))} {closed}"
    done = subprocess.run(["sh", "-c", command], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("1 version: files, hashes") or ">&- 2" in closed


def test_a_locale_without_umlauts_does_not_matter(tiny_zoo, tmp_path):
    folder = shutil.copytree(tiny_zoo, tmp_path / "zoo")
    path = folder / "tiny/1.0.0/configuration.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"origin": "Größe, µV"}, ensure_ascii=False))
    write_index(folder)
    ascii_only = os.environ | {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    command = [sys.executable, "-m", "heartzoo", "info", "tiny", "--zoo", folder]
    done = subprocess.run(command, capture_output=True, text=True, env=ascii_only)
    assert done.returncode == 0 and "Gr??e, ?V" in done.stdout, done.stderr


def test_an_interruption_that_becomes_another_error_is_told(cli, monkeypatch):
    def interrupted(zoo):
        try:
            signal.raise_signal(signal.SIGINT)
        except KeyboardInterrupt:
            raise SystemError("a callback returned with an exception set") from None

    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    monkeypatch.setattr("heartzoo.zoo.entries", interrupted)
    try:
        code, _, told = cli("list")
    finally:
        signal.signal(signal.SIGINT, before)
    assert code == 130 and told.startswith("heartzoo: interrupted; ")


def test_an_error_of_the_system_without_a_file_is_one_line(cli, monkeypatch):
    def failing(zoo):
        raise OSError(errno.EFBIG, os.strerror(errno.EFBIG))

    monkeypatch.setattr("heartzoo.zoo.entries", failing)
    code, _, told = cli("list")
    assert code == 2 and told == "heartzoo: File too large\n"


def test_too_little_memory_is_one_line(cli, monkeypatch):
    monkeypatch.setattr("heartzoo.zoo.entries", lambda zoo: np.zeros(2**56))
    code, _, told = cli("list")
    assert code == 2 and told.startswith("heartzoo: out of memory (") and told.count("\n") == 1


def test_a_downloaded_model_is_verified_by_name(cli, tiny_zoo, tmp_path):
    (tmp_path / "zoo").mkdir()
    (tmp_path / "zoo/index.json").write_text('{"schema_version": 2, "models": []}')
    code, _, errors = cli("download", "tiny", "--zoo", tiny_zoo)
    assert code == 0, errors
    code, told, errors = cli("zoo", "verify", "tiny")
    assert code == 0 and told.startswith("1 version: files, hashes"), errors
    file = downloads() / "tiny/1.0.0/model.h"
    file.write_text("damaged")
    code, told, errors = cli("zoo", "verify", "tiny")
    assert code == 2 and "model.h has 7 bytes" in told and f"1 problem in {file.parents[2]}" in errors


def test_a_track_with_brackets_is_listed_as_it_is(cli, tiny_zoo, tmp_path):
    copy = shutil.copytree(tiny_zoo, tmp_path / "zoo")
    index = json.loads((copy / "index.json").read_text())
    index["models"][0]["track"] = "ours [/b]"
    (copy / "index.json").write_text(json.dumps(index))
    code, told, errors = cli("list", "--zoo", copy)
    assert code == 0 and "ours [/b]" in told, errors


@pytest.mark.parametrize(
    ("line", "offered"),
    [
        ("info t", ["tiny"]),
        ("evaluate t", ["tiny"]),
        ("classify x.csv --model ti", ["tiny"]),
        ("zoo verify tiny ti", ["tiny"]),
        ("download other", []),
    ],
)
@pytest.mark.parametrize("damaged", [False, True])
def test_a_shell_completes_the_names_of_models(
    cli, tiny_zoo, tmp_path, monkeypatch, line: str, offered: list[str], damaged: bool
) -> None:
    if damaged:
        (tmp_path / "index.json").write_text("{")
    monkeypatch.setenv("HEARTZOO_ZOO", str(tmp_path if damaged else tiny_zoo))
    monkeypatch.setenv("_HEARTZOO_COMPLETE", "complete_bash")
    monkeypatch.setenv("COMP_WORDS", f"heartzoo {line}")
    monkeypatch.setenv("COMP_CWORD", str(len(line.split())))
    code, out, err = cli()
    assert (code, out.split(), err) == (0, [] if damaged else offered, "")
