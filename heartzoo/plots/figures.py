"""Pictures of the figures of one evaluation, in percent. Plain data in, a figure out; :func:`save` writes it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.figure import Figure

from heartzoo.metrics import METRIC_NAMES
from heartzoo.metrics_file.confidence import Confidence, CoveragePoint
from heartzoo.metrics_file.results import DisturbedResult, Evaluation
from heartzoo.plots.style import BLUE, GREEN, GREY, ORANGE, SKY, SMALL, VERMILLION, condition, new_figure, styled
from heartzoo.tables.terminal import percent
from heartzoo.tasks import TASKS
from heartzoo.zoo.index import headline

if TYPE_CHECKING:
    from matplotlib.axes import Axes

WIDTH = 5.2  # inches: still readable when a phone shows it narrower
DARK_PERCENT = 70  # cells above it are dark enough for white text
FIGURES = {"se": ("Se", SKY), "ppv": ("+P", ORANGE), "f1": ("F1", BLUE)}
LINES = (("o", BLUE), ("s", VERMILLION), ("D", GREEN), ("^", ORANGE))


@styled
def confusion_matrix(model: str, evaluation: Evaluation) -> Figure:
    """Counts and row percentages (the diagonal's are the sensitivities).

    One hue from light to dark, so that it reads in grey and with any colour vision.

    Args:
        model: the model's name with its version; for the title, as below.
        evaluation: the result.
    """
    classes, cm = list(evaluation.per_class), np.array(evaluation.confusion_matrix)
    title = condition(model, evaluation)
    figure = new_figure(max(1.6 + 0.8 * len(classes), 4.0), 1.2 + 0.2 * len(title) + 0.6 * len(classes), *title)
    axes = figure.add_subplot()
    support = cm.sum(1, keepdims=True)
    shares = 100 * cm / np.maximum(support, 1)
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=100, aspect="auto")
    for row, column in np.ndindex(*cm.shape):
        share = f"{shares[row, column]:.1f} %" if support[row, 0] else "-"
        colour = "white" if shares[row, column] > DARK_PERCENT else "black"
        axes.text(column, row, f"{cm[row, column]:,}\n{share}", ha="center", va="center", color=colour)
    axes.set_xticks(range(len(classes)), classes, parse_math=False)
    axes.set_yticks(range(len(classes)), _counted(evaluation), parse_math=False)
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    axes.set_xlabel("predicted")
    axes.set_ylabel("true")
    return figure


@styled
def class_bars(model: str, evaluation: Evaluation, task: str) -> Figure:
    """Se, +P and F1 of each class, and the task's macro-F1 with its interval.

    Args:
        model: as in :func:`confusion_matrix`.
        evaluation: the result.
        task: the task's name.
    """
    title = condition(model, evaluation)
    rows = np.arange(len(evaluation.per_class))
    figure = new_figure(WIDTH, 1.3 + 0.2 * len(title) + 0.55 * len(rows), *title)
    axes = figure.add_subplot()
    for place, (name, (label, colour)) in enumerate(FIGURES.items()):
        values = [100 * getattr(figures, name) for figures in evaluation.per_class.values()]
        bars = axes.barh(rows + 0.27 * (place - 1), values, 0.25, color=colour, label=label)
        axes.bar_label(bars, fmt="%.1f", padding=2, fontsize=SMALL)
    last = len(rows)
    _headline_bar(axes, last, evaluation, task)
    name = METRIC_NAMES[TASKS[task].headline(evaluation.track)].replace(" ", "\n")
    axes.set_yticks([*rows, last], [*_counted(evaluation), name], parse_math=False)
    axes.set_ylim(last + 0.6, -0.6)
    axes.set_xlim(0, 108)  # room for the labels
    axes.set_xticks(range(0, 101, 20))
    axes.set_xlabel("%")
    figure.legend(*axes.get_legend_handles_labels(), loc="outside lower center", ncols=3, frameon=False)
    return figure


def _headline_bar(axes: Axes, place: int, evaluation: Evaluation, task: str) -> None:
    value, (low, high) = headline(evaluation, task)
    axes.barh(place, 100 * value, 0.3, color=GREY)
    text = f"{percent(value)} ({evaluation.few_patients or f'95 % interval {percent(low)} to {percent(high)}'})"
    if not evaluation.few_patients:
        # A percentile interval need not hold the value, so it is drawn around its own middle.
        axes.errorbar(50 * (low + high), place, xerr=50 * (high - low), color="black", capsize=3)
    axes.text(0.5, place + 0.35, text, va="center", fontsize=SMALL)


@styled
def risk_coverage(model: str, evaluation: Evaluation, confidence: Confidence, task: str) -> Figure:
    """What abstaining from the less sure decisions gains: share of errors, and the task's headline.

    Args:
        model: as in :func:`confusion_matrix`.
        evaluation: the result.
        confidence: its confidence.
        task: the task's name.
    """
    title = condition(model, evaluation)
    figure = new_figure(WIDTH, 4.2 + 0.2 * len(title), *title)
    risk, gain = figure.subplots(2, 1, sharex=True)
    name = TASKS[task].headline(evaluation.track)
    _over_coverage(risk, confidence, lambda point: 1 - point.accuracy)
    _over_coverage(gain, confidence, lambda point: getattr(point, name))
    risk.set_ylabel("risk (wrong), %")
    risk.set_ylim(bottom=0)
    if confidence.at_threshold:
        risk.legend()
    gain.set_ylabel(f"{METRIC_NAMES[name]}, %")
    gain.set_xlabel(f"coverage ({TASKS[task].unit} decided), %")
    return figure


def _over_coverage(axes: Axes, confidence: Confidence, figure: Callable[[CoveragePoint], float]) -> None:
    points = confidence.risk_coverage
    axes.plot([100 * p.coverage for p in points], [100 * figure(p) for p in points], marker="o", color=BLUE)
    if chosen := confidence.at_threshold:
        label = f"abstaining below {chosen.threshold:.3f}, chosen on validation patients"
        where = [100 * chosen.coverage], [100 * figure(chosen)]
        axes.plot(*where, marker="*", markersize=12, linestyle="none", color=VERMILLION, label=label)
    axes.grid(alpha=0.3)


@styled
def reliability(model: str, evaluation: Evaluation, confidence: Confidence, task: str) -> Figure:
    """Whether the model is as sure as it is right: accuracy against confidence, and how many decisions a bin holds.

    Args:
        model: as in :func:`confusion_matrix`.
        evaluation: the result.
        confidence: its confidence.
        task: the task's name.
    """
    errors = percent(confidence.ece), percent(confidence.ece_uncalibrated), confidence.temperature
    line = "expected calibration error {} %, {} % without the temperature {:.3f}".format(*errors)
    title = (*condition(model, evaluation), line)
    figure = new_figure(WIDTH, 4.6 + 0.2 * len(title), *title)
    right, counts = figure.subplots(2, 1, sharex=True, height_ratios=[3, 1])
    bins = confidence.reliability
    right.plot([0, 100], [0, 100], color="black", linestyle="--", linewidth=1, label="as sure as right")
    right.plot([100 * b.confidence for b in bins], [100 * b.accuracy for b in bins], marker="o", color=BLUE)
    widths = [100 * (b.high - b.low) for b in bins]
    counts.bar([100 * b.low for b in bins], [b.n for b in bins], widths, align="edge", color=GREY, edgecolor="white")
    right.set_ylabel("right, %")
    right.legend(loc="upper left")
    right.grid(alpha=0.3)
    counts.set_yscale("log")
    counts.set_ylim(bottom=0.7)
    counts.set_ylabel(TASKS[task].unit)
    counts.set_xlabel("confidence, %")
    return figure


@styled
def robustness_curves(model: str, evaluation: Evaluation, results: Sequence[DisturbedResult], task: str) -> Figure:
    """The task's headline against the noise's ratio and against the R peaks' jitter, as far as there are results.

    Args:
        model: as in :func:`confusion_matrix`.
        evaluation: the result on the recordings as they are; a dashed line.
        results: on disturbed recordings, with noise or jitter.
        task: the task's name.
    """
    strengths = {"snr_db": "signal-to-noise ratio, dB", "jitter_ms": "R peaks off by up to, ms"}
    kinds = {strength: [r for r in results if getattr(r.disturbance, strength) is not None] for strength in strengths}
    drawn = {strength: chosen for strength, chosen in kinds.items() if chosen}
    title, name = condition(model, evaluation), TASKS[task].headline(evaluation.track)
    figure = new_figure(WIDTH, 0.4 + 0.2 * len(title) + 2.4 * len(drawn), *title)
    panels = figure.subplots(len(drawn), 1, sharey=True, squeeze=False)[:, 0]
    for axes, (strength, chosen) in zip(panels, drawn.items(), strict=True):
        for (marker, colour), kind in zip(LINES, dict.fromkeys(r.disturbance.kind for r in chosen), strict=False):
            mine = [result for result in chosen if result.disturbance.kind == kind]
            levels = [getattr(result.disturbance, strength) for result in mine]
            axes.plot(levels, [100 * getattr(r, name) for r in mine], marker=marker, color=colour, label=kind)
        before = 100 * getattr(evaluation, name)
        axes.axhline(before, color="black", linestyle="--", linewidth=1, label="undisturbed")
        axes.grid(alpha=0.3)
        axes.legend()
        axes.set_xlabel(strengths[strength])
        axes.set_ylabel(f"{METRIC_NAMES[name]}, %")
        if strength == "snr_db":
            axes.invert_xaxis()  # worse to the right, as in the other
    return figure


def _counted(evaluation: Evaluation) -> list[str]:
    """The classes with the number of their examples."""
    return [f"{name}\nn = {figures.support:,}" for name, figures in evaluation.per_class.items()]
