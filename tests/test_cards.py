"""Model cards say what the files say, and what they show runs as printed."""

from __future__ import annotations

import json
import re
import shutil
import subprocess

import numpy as np
import pytest
from huggingface_hub import ModelCard

from heartzoo import metrics_file, zoo
from heartzoo.cards import card
from heartzoo.cards.risks import risks
from heartzoo.cards.tables import TURNED_NOTE, alarm_table, end_to_end_table, robustness_rows
from heartzoo.errors import UserError
from heartzoo.metrics import macro_f1_nsv
from heartzoo.zoo import index as zoo_index
from heartzoo.zoo import publishing
from heartzoo.zoo.index import CARD, headline

PUBLISHED = zoo.entries()
KINDS = ["arr-5-rr-sm", "beat-3-res-sm", "res-187", "cnn1", "dualpath-resnet"]
SECTIONS = [
    "Overview", "Intended use", "Bias, risks and limitations", "Results", "Cost", "Use it", "Input contract", "Classes",
    "Data and splits", "How it was chosen", "Training", "Compression", "Repeat it", "Ethics", "Files",
    "Licence, data and citation",
]  # fmt: skip


def text(name: str) -> str:
    return zoo.find(name).path(CARD).read_text()


@pytest.mark.parametrize("label", [entry.label for entry in PUBLISHED])
def test_every_published_card_follows_from_its_files(label):
    entry = zoo.find(label)
    others = {name: facts for name, facts in entry.files.items() if name != CARD}
    withdrawn = zoo_index.withdrawn_others(PUBLISHED, entry.name, entry.version)
    found = card(entry.configuration, entry.metrics, others, entry.withdrawn, withdrawn)
    assert ("**Withdrawn**" in found) == (entry.withdrawn is not None)
    assert text(label) == found, "run `python -m heartzoo.cards`"


def test_a_card_counts_whom_a_pretrained_network_has_seen():
    entry = zoo.find("arr-5-rr-strict")
    splits = entry.configuration["splits"]
    svdb = zoo.find("arr-5-rr-sm").configuration["splits"]["train"]["svdb-train"]
    people = [f"svdb/{record}" for record in svdb]
    tuned = entry.configuration | {
        "splits": splits
        | {"pretrained": splits["train"], "train": {"svdb-train": svdb}}
        | {"training_patients": people[:30], "validation_patients": people[30:]}
    }
    found = card(tuned, entry.metrics, {}, None)
    assert "30 patients trained it further, after the 22 of the network that it began as, 10 validated it" in found
    assert "nobody is in two of them but the person of record 202" in found  # who is ds1's 201
    assert "mitdb" in ModelCard(found).data.tags


@pytest.mark.parametrize("name", KINDS)
def test_a_hub_reads_the_front_matter(name):
    data, metrics = ModelCard(text(name)).data, zoo.find(name).metrics
    assert data.library_name == "heartzoo" and data.license == "apache-2.0" and metrics.task in data.tags
    first = next(e for e in metrics.evaluations if e.of_file)
    stated = data.eval_results[0]
    assert (stated.dataset_type, stated.dataset_split) == (first.dataset, first.split)
    assert stated.metric_value == round(headline(first, metrics.task)[0], 4)


@pytest.mark.parametrize("name", KINDS)
def test_a_card_has_every_section_and_every_file(name):
    content = text(name)
    found = re.findall(r"^## (.*)$", content, re.M)
    assert [title for title in found if title in SECTIONS] == SECTIONS
    for file, facts in zoo.find(name).files.items():
        assert file == CARD or f"| {file} | {facts['bytes']:,} | `{facts['sha256']}` |" in content


@pytest.mark.parametrize("name", KINDS[:-1])
def test_the_python_snippet_runs(name, cache, capsys):
    (snippet,) = re.findall(r"```python\n(.*?)```", text(name), re.S)
    exec(snippet, {})
    labels = eval(capsys.readouterr().out)
    assert labels and set(labels) <= set(zoo.find(name).metrics.classes)


@pytest.mark.skipif(not shutil.which("gcc"), reason="needs gcc")
@pytest.mark.parametrize("name", KINDS[:-1])
def test_the_c_snippet_compiles_without_a_warning_and_finds_the_golden_vectors(name, tmp_path):
    (snippet,) = re.findall(r"```c\n(.*?)```", text(name), re.S)
    (tmp_path / "main.c").write_text(snippet)
    header = tmp_path / "model.h"
    header.write_bytes(zoo.find(name).path("model.h").read_bytes())
    flags = [
        "-std=c99",
        "-O1",
        "-Wall",
        "-Wextra",
        "-Wpedantic",
        "-Werror",
        "-Wno-unused-const-variable",
        "-Wno-unused-variable",
    ]
    subprocess.run(["gcc", *flags, "main.c", "-o", "main", "-lm"], cwd=tmp_path, check=True, capture_output=True)
    run = subprocess.run([str(tmp_path / "main")], capture_output=True, text=True, check=False)
    assert run.returncode == 0 and run.stdout.startswith("0 values")
    header.write_text(re.sub(r"(_SIGNAL_SCALE) (\S+)f", r"\1 1.1f * \2f", header.read_text()))
    subprocess.run(["gcc", *flags, "main.c", "-o", "main", "-lm"], cwd=tmp_path, check=True, capture_output=True)
    assert subprocess.run([str(tmp_path / "main")], capture_output=True, check=False).returncode == 1


def test_a_model_without_a_header_says_so():
    assert "```c\n" not in text("dualpath-resnet") and "too large for a C header" in text("dualpath-resnet")


def test_a_user_s_words_are_text_in_one_paragraph_and_none_are_no_sentence():
    entry = zoo.find("beat-3-res-xs")
    words = {"summary": "", "limits": "worse\n\non <b>these</b> & those", "origin": "<img src=x onerror=y>"}
    found = card(entry.configuration | words, entry.metrics, entry.files, "no | good\n# <i>at</i> all")
    assert "\n\n.\n" not in found and "<b>" not in found and "<img" not in found and "<i>" not in found
    assert "- worse on &lt;b&gt;these&lt;/b&gt; &amp; those" in found
    assert "**Withdrawn**: no | good # &lt;i&gt;at&lt;/i&gt; all\n" in found


def test_it_says_what_the_model_does_badly():
    part = text("arr-5-rr-sm").partition("## Bias, risks and limitations")[2].partition("## Results")[0]
    metrics = zoo.find("arr-5-rr-sm").metrics
    first = metrics.evaluations[0]
    for split in ("ds2", "svdb-test"):
        figures = next(e for e in metrics.evaluations if e.of_file and e.split == split).per_class
        failing = {name: c for name, c in figures.items() if c.support and c.f1 < 0.8}
        assert "S" in failing
        assert all(
            f"- {name}: of {c.support:,} on {split} it finds {c.se:.1%}; " in part for name, c in failing.items()
        )
    other = next(result for result in metrics.robustness if result.disturbance.other_lead)
    change = 100 * (other.macro_f1_nsv - first.macro_f1_nsv)
    assert f"On the other lead of ds2's recordings: {change:+.1f} points of macro-F1." in part
    assert "Trained on both leads, each by itself, of" in part
    turned = text("arr-5-rr-lg@1.3.0")
    assert "Trained on both leads and leads between them, each by itself, of" in turned and TURNED_NOTE in turned
    without = [r.confusion_matrix for name, r in first.by_record.items() if name != "232"]
    told = f"without record 232 of ds2, macro-F1 N/S/V is {macro_f1_nsv(np.sum(without, axis=0)):.3f} instead of"
    assert told in part
    withdrawn = [other.version for other in PUBLISHED if other.name == "arr-5-rr-sm" and other.withdrawn]
    assert withdrawn and re.findall(r"^- Version (\S+) scored", part, re.M) == withdrawn
    lowest = min(first.by_record, key=lambda name: first.by_record[name].macro_f1)
    assert lowest in part
    worst = min(metrics.robustness, key=lambda result: result.macro_f1_nsv)
    lost = 100 * (first.macro_f1_nsv - worst.macro_f1_nsv)
    told = f"{worst.disturbance.kind}, {worst.disturbance.level}: {lost:.1f} points of macro-F1."
    assert lost > 0 and f"What harms it most of the changes tried: {told}" in part


def test_a_change_has_an_interval_where_matrices_are_by_record():
    entry = zoo.find("arr-5-rr-lg")
    first, result = entry.metrics.first, entry.metrics.robustness[0]
    told = [
        robustness_rows([result.model_copy(update={"by_record": known})], first, entry.metrics.task)[0][3]
        for known in (result.by_record, None)
    ]
    assert told[0].startswith(f"{told[1]} (") and "(" not in told[1]


def test_an_interval_over_one_patient_is_none():
    entry = zoo.find("arr-5-res-sm")
    first = entry.metrics.first
    alone = first.model_copy(update={"by_record": {"232": first.by_record["232"]}})
    metrics = entry.metrics.model_copy(update={"evaluations": [alone]})
    told = card(entry.configuration, metrics, {})
    assert "(1 patient)" in told and f"{first.macro_f1_nsv:.4f} (1 patient)" in told and "(95 % 0" not in told
    assert "- ds2 is 1 patient: nothing measured there need hold of others." in told
    assert "1 patient" not in card(entry.configuration, entry.metrics, {})
    entry = zoo.find("arr-5-rr-sm")
    first = entry.metrics.first.model_copy(update={"by_record": {"232": entry.metrics.first.by_record["232"]}})
    for table in (alarm_table(first, "beats"), end_to_end_table(entry.metrics.end_to_end[0], first)):
        assert "(1 patient)" in table and not re.search(r"\(\d+\.\d+-\d", table)
    assert all(" (" not in row[3] for row in robustness_rows(entry.metrics.robustness, first, entry.metrics.task))


def test_a_change_is_of_the_records_that_allowed_it():
    """Records of one lead have no other: what was measured on the rest is held against the rest."""
    entry = zoo.find("arr-5-rr-lg")
    first, result = entry.metrics.first, next(r for r in entry.metrics.robustness if r.disturbance.other_lead)
    names = [name for name in result.records if name != "232"]
    matrices = {name: result.by_record[name] for name in names}
    figure = macro_f1_nsv(np.sum(list(matrices.values()), axis=0))
    before = macro_f1_nsv(np.sum([first.by_record[name].confusion_matrix for name in names], axis=0))
    update = {"records": names, "by_record": matrices, "macro_f1_nsv": figure}
    fewer = result.model_copy(update=update)
    (row,) = robustness_rows([fewer], first, entry.metrics.task)
    assert row[1].endswith(" (21 of 22 records)") and row[2] == f"{figure:.4f}"
    assert row[3].startswith(f"{100 * (figure - before):+.1f} (") and abs(figure - first.macro_f1_nsv) > 0.05
    told = risks(entry.configuration, entry.metrics.model_copy(update={"robustness": [fewer]}), [])
    assert f"On the other lead of ds2's recordings: {100 * (figure - before):+.1f} points" in told


def test_a_single_patient_is_not_called_decisive():
    entry = zoo.find("arr-5-res-sm")
    first = entry.metrics.first
    alone = first.model_copy(update={"by_record": {"232": first.by_record["232"]}})
    told = risks(entry.configuration, entry.metrics.model_copy(update={"evaluations": [alone]}), [])
    assert "One patient decides" not in told
    assert "One patient decides" in risks(entry.configuration, entry.metrics, [])


def test_cards_are_made_anew_and_only_they_change(tiny_zoo, tmp_path):
    copy = tmp_path / "zoo"
    shutil.copytree(tiny_zoo, copy)
    (entry,) = zoo.entries(copy)
    folder = copy / entry.name / entry.version
    (folder / CARD).write_text("an old card")
    zoo_index.write(copy, [zoo_index.entry_on_disk(folder)])
    target = tmp_path / "served"
    publishing.publish_to(target, zoo=copy)
    before = {file.name: file.read_bytes() for file in folder.iterdir()}
    assert publishing.rewrite_cards(copy) == [entry.label] and publishing.rewrite_cards(copy) == []
    after = {file.name: file.read_bytes() for file in folder.iterdir()}
    assert [name for name in before if before[name] != after[name]] == [CARD] and zoo.entries(copy) == [entry]
    publishing.publish_to(target, zoo=copy)  # a version published already gets the new card
    assert (target / entry.name / entry.version / CARD).read_bytes() == after[CARD]
    assert zoo.entries(target) == [entry]


def test_metrics_that_lack_a_field_give_one_line_and_leave_the_card(tiny_zoo, tmp_path):
    copy = tmp_path / "zoo"
    shutil.copytree(tiny_zoo, copy)
    (entry,) = zoo.entries(copy)
    folder = copy / entry.name / entry.version
    metrics = json.loads((folder / "metrics.json").read_text())
    del metrics["cost"]["macs"]
    (folder / "metrics.json").write_text(json.dumps(metrics))
    card_before = (folder / CARD).read_bytes()
    with pytest.raises(UserError, match=r"cost\.macs: Field required"):
        metrics_file.read(folder / "metrics.json")
    with pytest.raises(UserError, match=r"metrics\.json"):
        publishing.rewrite_cards(copy)
    assert (folder / CARD).read_bytes() == card_before


def test_a_person_on_both_sides_is_named():
    assert "nobody is in two of them but the person of record 202" in text("arr-5-rr-sm")
    assert "nobody is in two of them." in text("cnn1") and "the same people are in all of them" in text("res-187")


def test_a_model_of_the_random_split_is_not_offered_for_wearables():
    use = text("res-187").partition("## Intended use")[2].partition("## ")[0]
    assert "comparison with the literature alone" in use and "unseen patients" not in use


def test_the_card_tells_how_much_of_each_class_the_threshold_keeps():
    first = zoo.find("arr-5-rr-sm").metrics.first
    point = first.confidence.at_threshold
    kept, whole = (sum(figures.confusion_matrix[1]) for figures in (point, first))
    rows = [line for line in text("arr-5-rr-sm").splitlines() if f"| {point.threshold:.4f} (chosen" in line]
    columns = ["below", "coverage", "risk", "macro_f1_nsv", *first.per_class]
    cells = dict(zip(columns, rows[0].strip("| ").split(" | "), strict=True))
    assert cells["S"] == f"{kept / whole:.3f}" and float(cells["S"]) < float(cells["N"])
