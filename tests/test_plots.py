"""Figures and tables: what they show, that they are the same on every run, and that nothing global changes."""

import io
from dataclasses import asdict
from xml.etree import ElementTree

import matplotlib as mpl
import numpy as np
import pytest
from rich.console import Console

from heartzoo import plots
from heartzoo.metrics import pooled_figures, score
from heartzoo.metrics_file import DisturbedResult, Evaluation
from heartzoo.tables import report_table
from heartzoo.tasks import AAMI

CM = np.array([[12345, 5, 0], [1, 3, 0], [0, 0, 0]])
CLASSES = ("NSR", "PAC|PVC", "a<b$c$")


def texts(path):
    return ["".join(node.itertext()) for node in ElementTree.parse(path).iter("{http://www.w3.org/2000/svg}text")]


def test_files_show_counts_and_row_percentages(tmp_path):
    png, svg = plots.confusion_matrix(CM, CLASSES, "beat-3 1.0.0, mitdb ds2 [$x$]", tmp_path / "out" / "beat-3-1.0.0")
    assert (png.name, svg.name) == ("beat-3-1.0.0.png", "beat-3-1.0.0.svg")
    assert png.read_bytes().startswith(b"\x89PNG")
    shown = " ".join(texts(svg))
    for expected in ("12,345", "75.0 %", "n = 12,350", "PAC|PVC", "a<b$c$", "ds2 [$x$]", "predicted", "true"):
        assert expected in shown
    assert sorted(path.name for path in png.parent.iterdir()) == [png.name, svg.name]


def test_drawing_is_deterministic_and_leaves_matplotlib_alone(tmp_path):
    before = dict(mpl.rcParams)
    first = [path.read_bytes() for path in plots.confusion_matrix(CM, CLASSES, "t", tmp_path / "a")]
    with mpl.rc_context({"font.size": 30, "image.cmap": "jet"}):
        second = [path.read_bytes() for path in plots.confusion_matrix(CM, CLASSES, "t", tmp_path / "b")]
    assert first == second
    assert dict(mpl.rcParams) == before


def test_curves_show_every_noise_and_the_jitter(tmp_path):
    changes = [{"noise": noise, "snr_db": snr} for noise in ("bw", "ma") for snr in (24, 6, -6)]
    changes += [{"jitter_ms": 10}, {"jitter_ms": 40}, {"gain": 2.0}]
    figures = pooled_figures(np.eye(3, dtype=int)[None] * 5, ["all"], ("NSR", "PAC", "PVC"))
    del figures["patient_macro_f1"]
    where = {"precision": "int8", "runtime": "tflm", "dataset": "mitdb", "split": "ds2", "track": "strict"}
    results = [
        DisturbedResult(disturbance=change, records=["100"], file_sha256="0" * 64, **where, **figures)
        for change in changes
    ]
    png, svg = plots.robustness_curves(results, 0.9, "macro_f1", "t [$x$]", tmp_path / "curves")
    assert png.read_bytes().startswith(b"\x89PNG")
    shown = texts(svg)
    for expected in ("baseline wander (bw)", "muscle noise (ma)", "R peaks jittered", "macro_f1", "t [$x$]"):
        assert expected in shown
    assert "amplitude" not in shown and shown.count("undisturbed") == 2


@pytest.mark.parametrize("k", [2, 5])
def test_text_contrasts_with_its_cell(tmp_path, k):
    """The diagonal is dark and its text white, the rest pale with black text."""
    _, svg = plots.confusion_matrix(100 * np.eye(k, dtype=int), [f"c{i}" for i in range(k)], "t", tmp_path / "m")
    assert svg.read_text().count("fill: #ffffff") >= k


def evaluation(classes=AAMI, track="strict"):
    rng = np.random.default_rng(0)
    labels, predictions = rng.integers(0, len(classes), (2, 200))
    records = rng.integers(100, 105, 200)
    return Evaluation(
        precision="int8",
        runtime="tflm",
        dataset="mitdb",
        split="ds2",
        track=track,
        mapping="A",
        records=[str(record) for record in range(100, 105)],
        seed=0,
        file_sha256="0f" * 32,
        **asdict(score(labels, predictions, records, records, classes)),
    )


def printed(result):
    console = Console(file=io.StringIO(), width=120)
    console.print(report_table("arr-5-res-sm@1.0.0", result))
    return console.file.getvalue()


def test_table_of_a_five_class_result():
    result = evaluation()
    shown = printed(result)
    assert "arr-5-res-sm@1.0.0  int8 by tflm, strict track, on mitdb ds2 (5 records, mapping A), n = 200" in shown
    low, high = result.macro_f1_nsv_ci95
    row = next(line for line in shown.splitlines() if "N/S/V " in line)
    for value in (result.macro_f1_nsv, low, high, result.patient_macro_f1_nsv):
        assert f"{100 * value:.1f}" in row
    for name, figures in result.per_class.items():
        row = next(line for line in shown.splitlines() if line.split()[1:2] == [name])
        assert f"{100 * figures.se:.1f}" in row
        assert str(figures.support) in row


def test_class_names_are_not_markup_and_other_tasks_have_no_nsv_rows():
    shown = printed(evaluation(("[bold]", "PAC|PVC")))
    assert "[bold]" in shown
    assert "N/S/V" not in shown


def test_optimistic_and_synthetic_results_say_so():
    assert "random split, optimistic" in printed(evaluation(track="random"))
    assert "says nothing about patients" in printed(evaluation(track="synthetic"))
    assert "optimistic" not in printed(evaluation())
