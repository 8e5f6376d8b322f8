"""Figures and tables: what they show, that they are the same on every run, and that nothing global changes."""

import errno
import io
from dataclasses import asdict
from pathlib import Path
from xml.etree import ElementTree

import matplotlib as mpl
import matplotlib.image
import numpy as np
import pytest
from matplotlib.container import BarContainer, ErrorbarContainer
from matplotlib.text import Text
from rich.console import Console

from heartzoo import plots
from heartzoo.cards.tables import class_table
from heartzoo.confidence import Decisions, coverage_point, expected_calibration_error, reliability, risk_coverage
from heartzoo.errors import UserError
from heartzoo.metrics import pooled_figures, score
from heartzoo.metrics_file.results import DisturbedResult, Evaluation
from heartzoo.tables.terminal import percent, report_table
from heartzoo.tasks import AAMI
from heartzoo.zoo import find

CLASSES = ("NSR", "PAC|PVC", "a<b$c$")
LABELS = np.repeat([0, 0, 0, 1, 1], [90, 6, 4, 1, 3])
CALLED = np.repeat([0, 1, 2, 0, 1], [90, 6, 4, 1, 3])


def evaluation(classes=AAMI, track="strict", labels=None, predictions=None, **more):
    rng = np.random.default_rng(0)
    if labels is None:
        labels, predictions = rng.integers(0, len(classes), (2, 200))
    records = rng.integers(100, 105, len(labels))
    return Evaluation(
        precision="int8",
        runtime="tflm",
        dataset="mitdb",
        split="random-test" if track == "random" else "ds2",
        track=track,
        mapping="A",
        records=[str(record) for record in range(100, 105)],
        seed=0,
        file_sha256="0f" * 32,
        **asdict(score(labels, predictions, records, records, classes)),
        **more,
    )


def sure_evaluation(temperature=1.0, **more):
    """With the confidence part, a threshold too where more than the temperature is given."""
    logits = np.random.default_rng(1).normal(0, 2, (200, 5))
    labels = np.random.default_rng(2).integers(0, 5, 200)
    decisions = Decisions.of(logits, labels, temperature)
    bins = reliability(decisions)
    confidence = {
        "temperature": temperature,
        "ece": expected_calibration_error(bins),
        "ece_uncalibrated": expected_calibration_error(reliability(Decisions.of(logits, labels))),
        "reliability": bins,
        "risk_coverage": risk_coverage(decisions, AAMI),
        "at_threshold": coverage_point(decisions, 0.6, AAMI),
    }
    return evaluation(labels=labels, predictions=decisions.predictions, confidence=confidence | more)


def disturbed(whole, *changes):
    """Results of the same file on the same split, each with figures of its own."""
    where = whole.model_dump(include={"precision", "runtime", "dataset", "split", "track", "records", "file_sha256"})
    results = []
    for number, change in enumerate(changes, start=1):
        cm = np.eye(5, dtype=int) * 20 + number
        figures = pooled_figures(cm[None], ["all"], AAMI)
        figures = {name: value for name, value in figures.items() if not name.startswith("patient_")}
        results.append(DisturbedResult(disturbance=change, **where, **figures))
    return results


def words(figure):
    """Every text in a picture."""
    figure.draw_without_rendering()
    return [found.get_text() for found in figure.findobj(Text) if found.get_text() and found.get_visible()]


def texts(path):
    return ["".join(node.itertext()) for node in ElementTree.parse(path).iter("{http://www.w3.org/2000/svg}text")]


def test_the_matrix_shows_counts_and_row_percentages():
    drawn = plots.evaluation_pictures("m [$x$]", "beat-3", evaluation(CLASSES, labels=LABELS, predictions=CALLED))
    (axes,) = drawn["confusion"].axes
    cells = {tuple(map(int, text.get_position()[::-1])): text.get_text() for text in axes.texts}
    assert cells == {
        (0, 0): "90\n90.0 %", (0, 1): "6\n6.0 %", (0, 2): "4\n4.0 %",
        (1, 0): "1\n25.0 %", (1, 1): "3\n75.0 %", (1, 2): "0\n0.0 %",
        (2, 0): "0\n-", (2, 1): "0\n-", (2, 2): "0\n-",
    }  # fmt: skip
    assert [label.get_text() for label in axes.get_xticklabels()] == list(CLASSES)
    assert [label.get_text() for label in axes.get_yticklabels()] == [
        "NSR\nn = 100", "PAC|PVC\nn = 4", "a<b$c$\nn = 0"
    ]  # fmt: skip
    assert "m [$x$], int8 by tflm, mitdb ds2 (strict)" in " ".join(words(drawn["confusion"])).replace("\n", " ")


@pytest.mark.parametrize("k", [2, 5])
def test_text_contrasts_with_its_cell(k):
    """The diagonal is dark and its text white, the rest pale with black text."""
    called = np.arange(10 * k) % k
    result = evaluation([f"c{i}" for i in range(k)], labels=called, predictions=called)
    (axes,) = plots.evaluation_pictures("m", "beat-3", result)["confusion"].axes
    for text in axes.texts:
        column, row = text.get_position()
        assert text.get_color() == ("white" if row == column else "black")


@pytest.mark.parametrize(("track", "name"), [("strict", "macro_f1_nsv"), ("random", "macro_f1")])
def test_bars_are_the_figures_of_each_class_and_the_headline_has_its_interval(track, name):
    # A percentile interval may lie beside its figure.
    result = evaluation(track=track).model_copy(update={f"{name}_ci95": (0.61, 0.83)})
    figure = plots.evaluation_pictures("m", "arrhythmia-5", result)["classes"]
    (axes,) = figure.axes
    bars = [container for container in axes.containers if isinstance(container, BarContainer)]
    assert len(bars) == 4
    for container, key in zip(bars, ("se", "ppv", "f1"), strict=False):
        expected = [100 * getattr(figures, key) for figures in result.per_class.values()]
        assert [bar.get_width() for bar in container] == pytest.approx(expected)
        assert {f"{value:.1f}" for value in expected} <= set(words(figure))
    low, high = getattr(result, f"{name}_ci95")
    assert bars[3][0].get_width() == pytest.approx(100 * getattr(result, name))
    (interval,) = (c.lines[2][0].get_segments()[0] for c in axes.containers if isinstance(c, ErrorbarContainer))
    assert interval[:, 0] == pytest.approx([100 * low, 100 * high])
    shown = " ".join(words(figure))
    assert f"{percent(getattr(result, name))} (95 % interval {percent(low)} to {percent(high)})" in shown
    assert ("N/S/V" in shown) == (track == "strict")
    assert ("optimistic" in shown) == (track == "random")


def test_confidence_is_drawn_point_by_point():
    result = sure_evaluation(temperature=1.7)
    drawn, confidence = plots.evaluation_pictures("m", "arrhythmia-5", result), result.confidence
    risk, gain = drawn["risk-coverage"].axes
    values = [(1 - point.accuracy, point.macro_f1_nsv) for point in confidence.risk_coverage]
    chosen = confidence.at_threshold
    for axes, expected, at in (
        (risk, [value for value, _ in values], 1 - chosen.accuracy),
        (gain, [value for _, value in values], chosen.macro_f1_nsv),
    ):
        curve, star = axes.lines
        assert curve.get_xdata() == pytest.approx([100 * point.coverage for point in confidence.risk_coverage])
        assert curve.get_ydata() == pytest.approx(100 * np.array(expected))
        assert (star.get_xdata()[0], star.get_ydata()[0]) == pytest.approx((100 * chosen.coverage, 100 * at))
    right, counts = drawn["reliability"].axes
    assert right.lines[1].get_xdata() == pytest.approx([100 * b.confidence for b in confidence.reliability])
    assert right.lines[1].get_ydata() == pytest.approx([100 * b.accuracy for b in confidence.reliability])
    assert [bar.get_height() for bar in counts.patches] == [b.n for b in confidence.reliability]
    shown = " ".join(words(drawn["reliability"])).replace("\n", " ")
    errors = percent(confidence.ece), percent(confidence.ece_uncalibrated)
    assert "error {} %, {} % without the temperature 1.700".format(*errors) in shown


def test_curves_show_every_noise_and_the_jitter():
    whole = evaluation()
    noise = [{"noise": noise, "snr_db": snr} for noise in ("bw", "ma") for snr in (24, 6, -6)]
    results = disturbed(whole, *noise, {"jitter_ms": 10}, {"jitter_ms": 40}, {"gain": 2.0})
    figure = plots.evaluation_pictures("m", "arrhythmia-5", whole, results)["robustness"]
    against_noise, against_jitter = figure.axes
    assert against_noise.xaxis_inverted() and not against_jitter.xaxis_inverted()
    expected = {
        "baseline wander (bw)": results[:3],
        "muscle noise (ma)": results[3:6],
        "R peaks jittered": results[6:8],
    }
    for axes, kinds in ((against_noise, list(expected)[:2]), (against_jitter, list(expected)[2:])):
        lines = {line.get_label(): line for line in axes.lines}
        assert list(lines) == [*kinds, "undisturbed"]
        assert lines["undisturbed"].get_ydata() == pytest.approx([100 * whole.macro_f1_nsv] * 2)
        for kind in kinds:
            strengths = [r.disturbance.snr_db or r.disturbance.jitter_ms for r in expected[kind]]
            assert lines[kind].get_xdata() == pytest.approx(strengths)
            assert lines[kind].get_ydata() == pytest.approx([100 * r.macro_f1_nsv for r in expected[kind]])
            assert lines[kind].get_marker() != "None"


def test_what_is_absent_is_left_out():
    whole = evaluation()
    drawn = plots.evaluation_pictures("m", "arrhythmia-5", whole)
    assert set(drawn) == {"confusion", "classes"}
    others = [
        *disturbed(whole, {"gain": 2.0}, {"from_fs": 128.0}),
        *disturbed(whole.model_copy(update={"file_sha256": "1" * 64}), {"jitter_ms": 10}),
        *disturbed(whole.model_copy(update={"split": "svdb-test"}), {"jitter_ms": 10}),
        *disturbed(whole.model_copy(update={"runtime": "xnnpack"}), {"jitter_ms": 10}),
    ]
    assert set(plots.evaluation_pictures("m", "arrhythmia-5", whole, others)) == {"confusion", "classes"}
    assert len(plots.evaluation_pictures("m", "arrhythmia-5", whole, disturbed(whole, {"jitter_ms": 9}))) == 3
    sure = sure_evaluation(at_threshold=None)
    curve, *others = plots.evaluation_pictures("m", "arrhythmia-5", sure)["risk-coverage"].axes[0].lines
    assert len(curve.get_xdata()) == 11 and not others
    sure = sure_evaluation(risk_coverage=[], at_threshold=None)
    assert set(plots.evaluation_pictures("m", "arrhythmia-5", sure)) == {"confusion", "classes", "reliability"}


@pytest.mark.parametrize("name", ["arr-5-rr-sm", "beat-3-eff-sm", "cnn-187", "cnn2-distilled"])
def test_a_published_model_is_drawn_without_its_recordings(name):
    metrics = find(name, Path(__file__).parents[1] / "zoo").metrics
    drawn = plots.pictures(metrics)
    first = metrics.evaluations[0]
    assert {f"{first.split}-confusion", f"{first.split}-classes"} <= set(drawn)
    assert not [name for name in drawn if "no202" in name or "skip5" in name]
    assert (f"{first.split}-robustness" in drawn) == bool(metrics.robustness)
    assert (f"{first.split}-reliability" in drawn) == bool(first.confidence)


def test_drawing_is_deterministic_and_leaves_matplotlib_alone(tmp_path):
    whole = sure_evaluation()
    curves = disturbed(whole, {"noise": "bw", "snr_db": 6})

    def drawn(folder):
        pictures = plots.evaluation_pictures("m", "arrhythmia-5", whole, curves)
        return [path.read_bytes() for name, figure in pictures.items() for path in plots.save(figure, folder / name)]

    before = dict(mpl.rcParams)
    first = drawn(tmp_path / "a")
    with mpl.rc_context({"font.size": 30, "image.cmap": "jet", "axes.facecolor": "red"}):
        second = drawn(tmp_path / "b")
    assert len(first) == 10 and first == second
    assert dict(mpl.rcParams) == before
    assert max(map(len, first[1::2])) < 50_000  # each SVG


def test_files_are_white_and_have_the_names_asked_for(tmp_path):
    figure = plots.evaluation_pictures("m", "beat-3", evaluation(CLASSES, labels=LABELS, predictions=CALLED))[
        "confusion"
    ]
    png, svg = plots.save(figure, tmp_path / "out" / "beat-3-1.0.0")
    assert (png.name, svg.name) == ("beat-3-1.0.0.png", "beat-3-1.0.0.svg")
    assert sorted(path.name for path in png.parent.iterdir()) == [png.name, svg.name]
    assert png.read_bytes().startswith(b"\x89PNG")
    pixels = matplotlib.image.imread(png)
    assert (pixels[[0, 0, -1, -1], [0, -1, 0, -1]] == 1).all()  # opaque white: it is read on dark pages too
    assert {"PAC|PVC", "a<b$c$", "n = 100", "predicted"} <= set(texts(svg))
    assert plots.save(figure, tmp_path / "x", ["svg"]) == [tmp_path / "x.svg"]


def test_no_text_is_below_eight_points():
    whole = sure_evaluation()
    drawn = plots.evaluation_pictures("m", "arrhythmia-5", whole, disturbed(whole, {"jitter_ms": 10}))
    for figure in drawn.values():
        figure.draw_without_rendering()
        assert min(found.get_fontsize() for found in figure.findobj(Text) if found.get_text()) >= 8


def test_a_picture_that_cannot_be_written_leaves_nothing(tmp_path, monkeypatch):
    figure = plots.evaluation_pictures("m", "arrhythmia-5", evaluation())["confusion"]

    def full(path, **options):
        Path(path).write_bytes(b"<svg")
        raise OSError(errno.ENOSPC, "full")

    monkeypatch.setattr(figure, "savefig", full)
    with pytest.raises(UserError, match=r"the disk is full: cannot write .*x\.svg"):
        plots.save(figure, tmp_path / "x", ["svg"])
    assert not list(tmp_path.iterdir())


def printed(result):
    console = Console(file=io.StringIO(), width=120)
    console.print(report_table("arr-5-res-sm@1.0.0", result, "beats"))
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


def test_a_class_without_a_beat_has_no_figures_and_few_patients_are_told():
    labels, calls = np.array([0, 0, 1, 1, 0, 2]), np.array([0, 0, 1, 0, 2, 2])
    for records, told in ((["100"] * 6, "1 patient"), (["100"] * 3 + ["103"] * 3, "2 patients")):
        named = np.array(records)
        scores = asdict(score(labels, calls, named, named, AAMI))
        result = Evaluation(**{**evaluation().model_dump(), **scores, "records": sorted(set(records))})
        shown, on_a_card = printed(result), class_table(result, "beats")
        assert shown.count(told) == 3
        row = next(line for line in shown.splitlines() if line.split()[1:2] == ["F"])
        assert row.split()[1::2] == ["F", "-", "-", "-", "0"]
        assert "| F | - | - | - | 0 |" in on_a_card and "F, Q have no beat here" in on_a_card
    assert "no beat here" not in class_table(evaluation(), "beats")
    assert "F, Q have no beat here: each counts as 0 in every macro-F1 over it" in shown.replace("\n", " ")
    assert "patients)" not in printed(evaluation()) and "no beat here" not in printed(evaluation())


def test_class_names_are_not_markup_and_other_tasks_have_no_nsv_rows():
    shown = printed(evaluation(("[bold]", "PAC|PVC")))
    assert "[bold]" in shown
    assert "N/S/V" not in shown


def test_optimistic_and_synthetic_results_say_so():
    assert "random split, optimistic" in printed(evaluation(track="random"))
    assert "says nothing about patients" in printed(evaluation(track="synthetic"))
    assert "optimistic" not in printed(evaluation())
