"""Download, publication, verification, and withdrawal of models, from honest servers and from others."""

from __future__ import annotations

import hashlib
import io
import json
import re
import shutil
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import heartzoo
from heartzoo import metrics_file, zoo
from heartzoo.cli import zoo_keeping
from heartzoo.data import sources
from heartzoo.errors import UserError
from heartzoo.files import write_bytes
from heartzoo.interpreters import default_runtime
from heartzoo.zoo import index as zoo_index
from heartzoo.zoo import publishing
from heartzoo.zoo.download import download, index_of
from heartzoo.zoo.verification import check_keras, recompute, verify

ROOT = Path(__file__).parents[2]
FILES = ["README.md", "configuration.json", "metrics.json", "model.h", "model.keras", "model.tflite"]


@pytest.fixture(autouse=True)
def empty(tmp_path, monkeypatch) -> Path:
    """No model in the cache, and none installed."""
    monkeypatch.setenv("HEARTZOO_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("HEARTZOO_ZOO", str(tmp_path / "installed"))
    return tmp_path / "cache"


@pytest.fixture
def copy(tiny_zoo, tmp_path) -> Path:
    """A copy of the tiny zoo that a test may damage."""
    return shutil.copytree(tiny_zoo, tmp_path / "zoo")


@pytest.fixture
def server(copy, serve) -> Any:
    return serve(copy)


def change_index(zoo_: Path, change: Callable[[dict[str, Any]], Any]) -> None:
    tree = json.loads((zoo_ / "index.json").read_text())
    change(tree["models"][0])
    (zoo_ / "index.json").write_text(json.dumps(tree))


def hashes(folder: Path) -> dict[str, str]:
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.iterdir()}


def listed(zoo_: Path) -> dict[str, str]:
    return {name: facts.sha256 for name, facts in zoo.read_index(zoo_)[0].files.items()}


# Download


def test_a_model_comes_whole_from_a_server_once_and_loads_by_name(server, copy, empty):
    folder = heartzoo.download("tiny", zoo=server.url)
    assert hashes(folder) == listed(copy) and folder == empty / "zoo" / "tiny" / "1.0.0"
    assert heartzoo.load_tflite("tiny").classes == ("NSR", "PAC", "PVC") and heartzoo.list_models() == ["tiny"]
    before = dict(server.hits)
    heartzoo.download("tiny@1.0.0", zoo=server.url)
    assert {name: server.hits[name] - hits for name, hits in before.items()} == {
        name: int(name == "index.json") for name in before
    }


def test_only_what_is_asked_for_is_fetched_and_put_where_it_is_wanted(server, copy, tmp_path):
    folder = download("tiny", ["model.tflite", "model.tflite"], tmp_path / "mine", server.url)
    assert hashes(folder) == {"model.tflite": listed(copy)["model.tflite"]} and folder == tmp_path / "mine"
    assert sum(server.hits.values()) == 2


def test_what_is_another_file_is_not_replaced_by_a_download(copy, tmp_path):
    folder = download("tiny", "model.h", tmp_path / "mine", copy)
    assert hashes(folder) == hashes(download("tiny", "model.h", folder, copy)) == {"model.h": listed(copy)["model.h"]}
    card = download("tiny", "README.md", folder, copy) / "README.md"
    card.write_text(card.read_text() + "of another day")
    assert "another day" not in (download("tiny", "README.md", folder, copy) / "README.md").read_text()
    card.unlink()
    (folder / "model.h").write_text("int x;")
    with pytest.raises(UserError, match=r"model\.h is there and is no file of tiny; name another folder"):
        download("tiny", out=folder, zoo=copy)
    assert [path.read_text() for path in folder.iterdir()] == ["int x;"]


@pytest.mark.parametrize("of", ["folder", "HEARTZOO_ZOO"])
def test_a_folder_is_a_source_too(of, copy, tmp_path, monkeypatch):
    if of == "HEARTZOO_ZOO":
        monkeypatch.setenv("HEARTZOO_ZOO", str(copy))
    folder = download("tiny", out=tmp_path / "mine", zoo=None if of == "HEARTZOO_ZOO" else copy)
    assert hashes(folder) == listed(copy)


@pytest.mark.parametrize("fault", ["503", "429", "drop", "cut"])
def test_a_passing_fault_is_overcome(fault, server, copy):
    server.faults["model.tflite"] = [fault, fault]
    assert hashes(download("tiny", zoo=server.url)) == listed(copy)


def test_a_cut_download_goes_on_where_it_ended(server, copy, empty):
    server.resumes = True
    server.faults["model.keras"] = ["cut"]
    assert hashes(download("tiny", zoo=server.url)) == listed(copy)
    assert server.resumed["model.keras"] == 1
    partial = empty / "zoo" / ".partial" / listed(copy)["model.h"]
    shutil.rmtree(empty / "zoo" / "tiny")
    content = (copy / "tiny/1.0.0/model.h").read_bytes()
    partial.write_bytes(content[: len(content) // 3])
    download("tiny", ["model.h"], zoo=server.url)
    assert server.resumed["model.h"] == 1 and not partial.exists()


def test_attempts_that_get_on_do_not_count(server, copy):
    server.resumes = True
    server.faults["model.keras"] = ["cut"] * (sources.ATTEMPTS + 3)
    assert hashes(download("tiny", zoo=server.url)) == listed(copy)


def test_what_a_source_lacks_is_told_without_a_call_to_run_it_again(server, copy, empty):
    server.faults["model.h"] = ["404"]
    with pytest.raises(UserError, match=r"model\.h cannot be had \(not found, HTTP 404 .*; name another source with"):
        download("tiny", ["model.h"], zoo=server.url)
    server.faults["model.h"] = ["to model.h"] * 40
    with pytest.raises(UserError, match=r"model\.h cannot be had \(redirected in a loop: .*; name another source"):
        download("tiny", ["model.h"], zoo=server.url)


def test_a_killed_download_leaves_nothing_under_a_files_name_and_resumes(server, copy, empty):
    server.resumes = True
    server.faults["model.keras"] = ["stall"]
    command = [sys.executable, "-m", "heartzoo", "download", "tiny", "--zoo", server.url]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    assert server.stalled.wait(30)
    while not any(path.stat().st_size for path in empty.glob("zoo/.partial/*")):
        time.sleep(0.01)
    process.kill()
    process.wait()
    server.released.set()
    folder = empty / "zoo" / "tiny" / "1.0.0"
    assert "model.keras" not in hashes(folder) and hashes(folder).items() <= listed(copy).items()
    assert hashes(download("tiny", zoo=server.url)) == listed(copy)
    assert server.resumed["model.keras"] == 1


def test_without_a_network_what_is_in_the_cache_is_used(server, closed_port, copy, tmp_path, capsys):
    url = server.url
    download("tiny", zoo=url)
    server.shutdown()
    server.server_close()
    folder = download("tiny", out=tmp_path / "again", zoo=url)
    assert hashes(folder) == listed(copy) and "its index of the last time is used" in capsys.readouterr().err
    (tmp_path / "cache/zoo/tiny/1.0.0/model.tflite").write_bytes(b"damaged")
    with pytest.raises(UserError, match=r"cannot reach .*; check the connection, or name another zoo"):
        download("tiny", ["model.tflite"], zoo=url)
    with pytest.raises(UserError, match=r"cannot reach .*; check the connection, or name another zoo"):
        download("tiny", zoo=closed_port)


def test_a_damaged_file_in_the_cache_is_fetched_again(server, copy):
    folder = download("tiny", zoo=server.url)
    (folder / "model.tflite").write_bytes(b"damaged")
    with pytest.raises(UserError, match="is not the file that was published"):
        zoo.find("tiny").path("model.tflite")
    assert hashes(download("tiny", zoo=server.url)) == listed(copy)


@pytest.mark.parametrize(
    ("name", "assets", "told"),
    [
        ("tinny", None, "unknown model 'tinny'; did you mean 'tiny'"),
        ("tiny@1.0.1", None, "tiny has no version '1.0.1'; did you mean '1.0.0'"),
        ("tiny", ["model.tflit"], "tiny@1.0.0 has no file 'model.tflit'; did you mean 'model.tflite'"),
        ("tiny", ["../../../index.json"], "has no file"),
    ],
)
def test_what_does_not_exist_names_the_nearest(name, assets, told, server, empty):
    with pytest.raises(UserError, match=told):
        download(name, assets, zoo=server.url)
    assert not (empty / "zoo" / "tiny").exists()


@pytest.mark.parametrize(
    ("faults", "told"),
    [
        (["wrong"], "model.tflite is not the file that the index names"),
        (["endless"], r"more than the [\d,]+ bytes expected"),
        (["404"], "model.tflite cannot be had .*HTTP 404"),
        (["to http://127.0.0.1:9/model.tflite"], "cannot reach"),
        (["to ftp://127.0.0.1/model.tflite"], "cannot be had"),
        (["to file:///etc/passwd"], "cannot be had"),
    ],
)
def test_a_server_that_lies_is_found_out(faults, told, server, empty):
    server.faults["model.tflite"] = faults * 9
    with pytest.raises(UserError, match=told):
        download("tiny", ["model.tflite"], zoo=server.url)
    assert not (empty / "zoo" / "tiny" / "1.0.0" / "model.tflite").exists()
    left = [path for path in (empty / "zoo").rglob("*") if path.is_file() and path.suffix != ".lock"]
    assert [path.name.partition("-")[0] for path in left] == ["index"]


HOSTILE: dict[str, tuple[Callable[[dict[str, Any]], Any], str]] = {
    "a file outside": (lambda m: m["files"].update({"../../x": m["files"]["model.h"]}), "is not a zoo index"),
    "an absolute file": (lambda m: m["files"].update({"/tmp/x": m["files"]["model.h"]}), "is not a zoo index"),
    "a hidden file": (lambda m: m["files"].update({".bashrc": m["files"]["model.h"]}), "is not a zoo index"),
    "a name outside": (lambda m: m.update(name="../tiny"), "is not a zoo index"),
    "a version outside": (lambda m: m.update(version="../1.0.0"), "is not a zoo index"),
    "a huge file": (lambda m: m["files"]["model.h"].update(bytes=2**40), "is not a zoo index"),
    "no hash": (lambda m: m["files"]["model.h"].pop("sha256"), "is not a zoo index"),
    "another hash": (lambda m: m["files"]["model.h"].update(sha256="0" * 64), "is not the file that the index names"),
    "another size": (lambda m: m["files"]["model.h"].update(bytes=10), "more than the 10 bytes expected"),
}


@pytest.mark.parametrize("case", HOSTILE)
def test_a_hostile_index_is_refused(case, server, copy, tmp_path):
    change, told = HOSTILE[case]
    change_index(copy, change)
    with pytest.raises(UserError, match=told):
        download("tiny", out=tmp_path / "a" / "b" / "mine", zoo=server.url)
    mine = tmp_path / "a"
    assert not mine.exists() or {path.name for path in mine.rglob("*") if path.is_file()} <= set(FILES) - {"model.h"}


def keras_file(layer: str) -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        archive.writestr("config.json", json.dumps({"config": {"layers": [{"class_name": layer}]}}))
    return content.getvalue()


@pytest.mark.parametrize("layer", ["Lambda", "__lambda__"])
def test_a_keras_file_that_holds_code_is_refused(layer, server, copy, empty):
    content = keras_file(layer)
    (copy / "tiny/1.0.0/model.keras").write_bytes(content)
    facts = {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
    change_index(copy, lambda model: model["files"].update({"model.keras": facts}))
    with pytest.raises(UserError, match=r"tiny@1.0.0: model.keras: it holds code"):
        download("tiny", ["model.keras"], zoo=server.url)
    assert not list((empty / "zoo").rglob("model.keras"))


def test_a_keras_file_without_code_passes_and_what_is_none_does_not(tmp_path):
    (tmp_path / "good.keras").write_bytes(keras_file("Dense"))
    check_keras(tmp_path / "good.keras")
    (tmp_path / "bad.keras").write_bytes(b"text")
    with pytest.raises(UserError, match="it is no Keras file"):
        check_keras(tmp_path / "bad.keras")
    with zipfile.ZipFile(tmp_path / "deep.keras", "w") as archive:
        archive.writestr("config.json", "[" * 100_000)
    with pytest.raises(UserError, match="it is no Keras file"):
        check_keras(tmp_path / "deep.keras")


# Withdrawal


def test_a_withdrawn_version_stays_listed_and_nobody_gets_it_unasked(copy, server, capsys):
    files = {path.name: path.read_bytes() for path in (copy / "tiny/1.0.0").iterdir()}
    publishing.publish(copy, "tiny", "1.1.0", files)
    assert zoo.find("tiny", copy).version == "1.1.0"
    publishing.withdraw(copy, "tiny@1.1.0", "trained on its own test patients")
    assert [model.label for model in zoo.read_index(copy)] == ["tiny@1.0.0", "tiny@1.1.0"]
    assert zoo.find("tiny", copy).version == "1.0.0" == download("tiny", zoo=server.url).name
    download("tiny@1.1.0", ["model.h"], zoo=server.url)
    assert "tiny@1.1.0 is withdrawn: trained on its own test patients" in capsys.readouterr().err
    assert zoo.named("tiny@1.1.0", copy).version == "1.1.0"
    assert capsys.readouterr().err == "heartzoo: tiny@1.1.0 is withdrawn: trained on its own test patients\n"
    publishing.publish(copy, "tiny", "1.2.0", files)
    assert zoo.find("tiny@1.1.0", copy).withdrawn == "trained on its own test patients"
    card = (copy / "tiny/1.1.0/README.md").read_text()
    assert "\n\n**Withdrawn**: trained on its own test patients\n\n" in card
    for version, told in (("1.0.0", True), ("1.1.0", False), ("1.2.0", True)):  # what stands was chosen knowing it
        said = "was withdrawn: trained on its own test patients. Which versions stand was decided"
        assert (said in (copy / "tiny" / version / "README.md").read_text()) == told
    assert problems(copy, "tiny@1.0.0") == ""  # its new card has the hash that the index says
    (copy / "tiny/1.2.0/metrics.json").write_text("damaged")  # a reason to withdraw, so nothing in its way
    for version in ("1.0.0", "1.2.0"):
        publishing.withdraw(copy, f"tiny@{version}", "old")
    assert problems(copy, "tiny@1.0.0") == ""  # its new card has the hash that the index says
    with pytest.raises(UserError, match=r"every version of tiny is withdrawn, 1.2.0 because: old"):
        zoo.find("tiny", copy)
    assert zoo.list_models(zoo=copy) == []


def test_a_withdrawal_reaches_what_was_downloaded_before(copy, server, empty):
    shutil.copytree(copy / "tiny/1.0.0", copy / "other/1.0.0")
    for file in ("configuration.json", "metrics.json"):
        path = copy / "other/1.0.0" / file
        path.write_text(path.read_text().replace('"tiny"', '"other"'))
    publishing.list_unlisted(copy)
    download("tiny", "model.h", zoo=server.url)
    publishing.withdraw(copy, "tiny@1.0.0", "old")
    assert heartzoo.list_models() == ["tiny"]  # nobody has asked the server again
    download("other", "model.h", zoo=server.url)
    assert heartzoo.list_models() == ["other"] and zoo.find("tiny@1.0.0").withdrawn == "old"


@pytest.mark.parametrize(
    ("name", "reason", "told"),
    [
        ("tiny", "old", "names no version"),
        ("tiny@", "old", "'tiny@' names no version"),
        ("tiny@2.0.0", "old", "has no version"),
        ("tiny@1.0.0", " ", "its reason"),
        ("tiny@1.0.0", "d\udce9faut", "no text in UTF-8"),
    ],
)
def test_a_withdrawal_needs_a_version_and_a_reason(name, reason, told, copy):
    with pytest.raises(UserError, match=told):
        publishing.withdraw(copy, name, reason)


# Verification


def problems(zoo_: Path, *names: str) -> str:
    return "\n".join(problem for found in verify(zoo_, names) for problem in found.problems)


def test_a_whole_zoo_verifies(tiny_zoo):
    assert problems(tiny_zoo) == "" == problems(tiny_zoo, "tiny")


def test_an_evaluation_gives_the_published_figures_again(synthetic_cache, tiny_zoo, copy, monkeypatch):
    monkeypatch.setenv("HEARTZOO_CACHE", str(synthetic_cache))
    assert recompute(tiny_zoo, "tiny").problems == ()
    other = zoo.find("tiny", copy).metrics.evaluations[0]
    moved = [row[::-1] for row in other.confusion_matrix]
    monkeypatch.setattr(
        "heartzoo.evaluation.evaluate", lambda *_: [other.model_copy(update={"confusion_matrix": moved})]
    )
    assert "other decisions" in recompute(copy, "tiny").problems[0]
    with pytest.raises(UserError, match=r"^1 problem in "):
        zoo_keeping.verify(["tiny"], recompute=True, zoo=copy)


def test_an_evaluation_anew_is_of_the_records_that_were_published(copy, monkeypatch):
    stated = zoo.find("tiny", copy).metrics.first
    fewer = stated.model_copy(update={"records": stated.records[1:]})
    monkeypatch.setattr(
        "heartzoo.zoo.Entry.metrics", zoo.find("tiny", copy).metrics.model_copy(update={"evaluations": [fewer]})
    )
    asked = []
    monkeypatch.setattr("heartzoo.evaluation.evaluate", lambda _, split: [asked.append(split), fewer][1:])
    assert recompute(copy, "tiny").problems == ()
    assert [list(split.records) for split in asked] == [stated.records[1:]]


def test_an_evaluation_anew_is_an_opening_of_its_test_split(copy, monkeypatch):
    results, logged = [zoo.find("tiny", copy).metrics.evaluations[0]], []
    monkeypatch.setattr("heartzoo.evaluation.evaluate", lambda *_: results)
    monkeypatch.setattr("heartzoo.zoo.openings.log_openings", lambda *arguments: logged.append(arguments))
    recompute(copy, "tiny")
    assert logged == [(copy, "tiny@1.0.0", results)]


def rewrite(copy: Path, file: str, change: Callable[[dict[str, Any]], Any]) -> None:
    """Change a published file and what the index says of it."""
    path = copy / "tiny/1.0.0" / file
    tree = json.loads(path.read_text())
    change(tree)
    content = json.dumps(tree).encode()
    path.write_bytes(content)
    facts = {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
    change_index(copy, lambda model: model["files"].update({file: facts}))


DAMAGES: dict[str, tuple[Callable[[Path], Any], str]] = {
    "a missing file": (lambda z: (z / "tiny/1.0.0/model.h").unlink(), "model.h is missing"),
    "a longer file": (lambda z: (z / "tiny/1.0.0/model.h").write_bytes(b"x" * 10), "model.h has 10 bytes"),
    "another byte": (
        lambda z: (z / "tiny/1.0.0/model.h").write_bytes((z / "tiny/1.0.0/model.h").read_bytes().swapcase()),
        "model.h has another SHA-256 than the index says",
    ),
    "a file too many": (lambda z: (z / "tiny/1.0.0/notes").write_bytes(b""), "notes is not in the index"),
    "a version too many": (lambda z: shutil.copytree(z / "tiny/1.0.0", z / "tiny/9.0.0"), "9.0.0: not in the index"),
    "another figure": (
        lambda z: change_index(z, lambda m: m["headline"].update(value=0.99)), "the index says headline = .*0.99",
    ),
    "another cost": (lambda z: change_index(z, lambda m: m["cost"].update(macs=1)), "the index says cost"),
    "a card that says nothing of a withdrawal": (
        lambda z: change_index(z, lambda m: m.update(withdrawn="wrong")), "do not agree whether it is withdrawn",
    ),
    "another licence": (
        lambda z: change_index(z, lambda m: m.update(data_licences=["none"])), "the index says data_licences",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", DAMAGES)
def test_what_is_wrong_is_named(case, copy):
    damage, told = DAMAGES[case]
    damage(copy)
    found = problems(copy)
    assert len(found.splitlines()) == 1 and re.search(told, found), found


def stage(tree: dict[str, Any]) -> dict[str, Any]:
    """A row of the ablation whose figure nobody measured."""
    costs = {name: tree["cost"][name] for name in ("parameters", "nonzero_parameters", "macs", "tflite_bytes")}
    figures = {"stage": "train", "split": "synthetic-test", "metric": "macro_f1", "int8": {"0": 0.991, "1": 0.991}}
    return {**figures, **costs, "gzip_bytes": 1, "operators": 1}


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda tree: tree["evaluations"][0].update(accuracy=0.5), "accuracy is 0.5, but the figures it derives from"),
        (
            lambda tree: tree["evaluations"][1].update(macro_f1_ci95=[0.98, 0.99]),
            "macro_f1_ci95 on synthetic-test (float32) is 0.9800 to 0.9900, the bootstrap over its patients gives 0.",
        ),
        (lambda tree: tree["evaluations"][0].update(file_sha256="0" * 64), "are of another model.tflite"),
        (
            lambda tree: tree["without_prevalence"][0].update(file_sha256="0" * 64),
            "(int8, without prevalence) are of another model.tflite",
        ),
        (
            lambda tree: tree["seeds"][0].update(each={"0": 0.992, "1": 0.994}, mean=0.993, spread=0.002 / 2**0.5),
            "among the seeds",
        ),
        (lambda tree: tree.update(ablation=[stage(tree)]), "macro_f1 after the last stage is 0.991, 0."),
        (lambda tree: tree.update(version="7.0.0"), "metrics.json is of tiny@7.0.0"),
        (lambda tree: tree.pop("cost"), "cost"),
    ],
)
def test_figures_that_do_not_follow_are_named(change, told, copy):
    rewrite(copy, "metrics.json", change)
    assert told in problems(copy)


@pytest.mark.skipif(default_runtime() != "tflm", reason="the tflite-micro wheel is not installed")
def test_an_example_that_the_file_answers_otherwise_is_named(copy):
    rewrite(copy, "configuration.json", lambda tree: tree["example"]["beats"][1]["outputs"].reverse())
    assert "other outputs of beat 1 of its example than the file" in problems(copy)


# Publication into a folder to be served


def test_a_published_folder_serves_the_same_models(copy, tiny_zoo, tmp_path, serve):
    target = tmp_path / "served"
    assert publishing.publish_to(target, zoo=copy) == ["tiny@1.0.0"]
    assert publishing.publish_to(target, ["tiny"], copy) == []
    assert problems(target) == ""
    assert hashes(download("tiny", out=tmp_path / "mine", zoo=serve(target).url)) == listed(copy)
    publishing.withdraw(copy, "tiny@1.0.0", "old")
    assert publishing.publish_to(target, zoo=copy) == ["tiny@1.0.0"]
    assert publishing.publish_to(target, zoo=copy) == []
    assert zoo.find("tiny@1.0.0", target).withdrawn == "old"
    publishing.publish_to(target, zoo=tiny_zoo)  # where nobody knows of the withdrawal
    assert zoo.find("tiny@1.0.0", target).withdrawn == "old"
    assert "**Withdrawn**: old" in (target / "tiny/1.0.0/README.md").read_text()
    assert problems(target) == ""


def test_an_interrupted_first_publication_can_be_made_again(copy, tmp_path, monkeypatch):
    target = tmp_path / "served"

    def interrupted(path, content):
        if path.name == "metrics.json":
            raise KeyboardInterrupt
        write_bytes(path, content)

    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(publishing, "write_bytes", interrupted)
        publishing.publish_to(target, zoo=copy)
    assert publishing.publish_to(target, ["tiny", "tiny"], copy) == ["tiny@1.0.0"]
    assert problems(target) == ""


def test_versions_that_are_listed_without_files_stay_listed(copy, tmp_path):
    """As in an installed package, which has the small models' newest versions alone."""
    shutil.copytree(copy / "tiny/1.0.0", copy / "tiny/1.1.0")
    for file in ("configuration.json", "metrics.json"):
        path = copy / "tiny/1.1.0" / file
        path.write_text(path.read_text().replace('"version": "1.0.0"', '"version": "1.1.0"'))
    publishing.write_index(copy, zoo.read_index(copy))
    shutil.rmtree(copy / "tiny/1.0.0")
    assert [(found.label, found.here) for found in verify(copy)] == [("tiny@1.0.0", False), ("tiny@1.1.0", True)]
    assert problems(copy, "tiny@1.0.0")
    files = {path.name: path.read_bytes() for path in (copy / "tiny/1.1.0").iterdir()}
    publishing.publish(copy, "mine", "1.0.0", files)
    assert [entry.label for entry in zoo.read_index(copy)] == ["mine@1.0.0", "tiny@1.0.0", "tiny@1.1.0"]
    shutil.rmtree(copy / "mine")
    assert publishing.publish_to(tmp_path / "served", zoo=copy) == ["tiny@1.1.0"]
    shutil.rmtree(copy / "tiny")
    assert publishing.next_version(copy, "tiny") == "1.2.0"


def test_what_does_not_verify_or_is_there_with_other_files_is_not_published(copy, tmp_path):
    target = tmp_path / "served"
    publishing.publish_to(target, zoo=copy)
    before = (target / "index.json").read_bytes()
    content = (copy / "tiny/1.0.0/model.h").read_bytes() + b"more"
    (copy / "tiny/1.0.0/model.h").write_bytes(content)
    with pytest.raises(UserError, match=r"tiny@1.0.0: model.h has "):
        publishing.publish_to(target, zoo=copy)
    facts = {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
    change_index(copy, lambda model: model["files"].update({"model.h": facts}))
    with pytest.raises(UserError, match="with other files, and a version is never overwritten"):
        publishing.publish_to(target, zoo=copy)
    with pytest.raises(UserError, match="unknown model 'x'"):
        publishing.publish_to(target, ["x"], copy)
    assert (target / "index.json").read_bytes() == before


def test_a_served_zoo_gets_what_is_new_and_an_index_of_all(copy, server, tmp_path):
    shutil.copytree(copy / "tiny/1.0.0", copy / "tiny/1.2.0")
    for file in ("configuration.json", "metrics.json"):
        path = copy / "tiny/1.2.0" / file
        path.write_text(path.read_text().replace('"version": "1.0.0"', '"version": "1.2.0"'))
    served = index_of(server.url).models
    publishing.write_index(copy)
    upload = tmp_path / "upload"
    assert publishing.publish_to(upload, zoo=copy, served=served) == ["tiny@1.2.0"]
    assert [path.name for path in (upload / "tiny").iterdir()] == ["1.2.0"]
    assert zoo.read_index(upload) == zoo.read_index(copy) and len(zoo.read_index(upload)) == 2
    # The host copied it, and withdrew one.
    served = [entry.model_copy(update={"withdrawn": "old"}) for entry in zoo.read_index(upload)]
    publishing.publish_to(upload, zoo=copy, served=served)
    assert [entry.withdrawn for entry in zoo.read_index(upload)] == ["old", "old"]
    with pytest.raises(UserError, match=r"lists tiny@1.0.0, whose files are neither there nor served; name another"):
        publishing.publish_to(upload, zoo=copy)  # for another host, which has none of them
    with pytest.raises(UserError, match=r"nowhere/index.json cannot be had .* check the address"):
        index_of(f"{server.url}/nowhere")


# The index


def test_the_schema_beside_the_module_is_that_of_the_index():
    assert json.loads(zoo_index.SCHEMA_PATH.read_text()) == zoo_index.schema()


def test_the_published_zoo_verifies():
    assert problems(ROOT / "zoo") == ""


def test_a_version_listed_twice_is_refused(tiny_zoo):
    tree = json.loads((tiny_zoo / "index.json").read_text())
    tree["models"] *= 2
    with pytest.raises(UserError, match=r"tiny@1.0.0 listed twice"):
        zoo_index.parse(json.dumps(tree).encode(), "it")


def test_metrics_are_read_for_the_index_as_they_are(tiny_zoo):
    (entry,) = zoo.read_index(tiny_zoo)
    first = metrics_file.read(tiny_zoo / "tiny/1.0.0/metrics.json").evaluations[0]
    assert (entry.headline.value, entry.headline.split) == (first.macro_f1, first.split)
    assert (entry.headline.low, entry.headline.high) == first.macro_f1_ci95
