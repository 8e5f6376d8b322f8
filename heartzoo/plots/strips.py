"""Strips of recordings: beats of each class, and what the model called them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from heartzoo.data.databases import Database
from heartzoo.evaluation.example_beats import REACH_S, ExampleBeat
from heartzoo.metrics_file.results import Evaluation
from heartzoo.plots.style import BLUE, SMALL, VERMILLION, broken, condition, new_figure, styled
from heartzoo.tables.terminal import percent

if TYPE_CHECKING:
    from matplotlib.axes import Axes

WIDTH = 6.8  # inches
BEAT_S = 0.15  # shaded before and after the R peak


@styled
def beat_strips(model: str, evaluation: Evaluation, beats: Sequence[ExampleBeat], database: Database) -> Figure:
    """Draw beats of each class: called right on the left, called wrong on the right.

    Args:
        model: the model's name with its version; for the title.
        evaluation: the result on the same split.
        beats: drawn by :func:`heartzoo.evaluation.example_beats.example_beats`; one or more.
        database: where they are from; named with its licence, as the licence asks.
    """
    classes = list(evaluation.per_class)
    shown = [  # for each strip in a column: the class and its place among those of the class
        (label, place)
        for label in range(len(classes))
        for place in range(max(len(_column(beats, label, right)) for right in (True, False)))
    ]
    title = (*condition(model, evaluation), "Beats drawn by chance. Left: called right. Right: called wrong.")
    figure = new_figure(WIDTH, 0.7 + 0.2 * len(title) + 0.85 * len(shown), *title)
    panels = figure.subplots(len(shown), 2, sharex=True, squeeze=False)
    for row, (label, place) in zip(panels, shown, strict=True):
        for axes, right in zip(row, (True, False), strict=True):
            axes.tick_params(bottom=False)
            column = _column(beats, label, right)
            if place < len(column):
                _strip(axes, column[place], classes)
            else:
                said = f"no {classes[label]} called {'right' if right else 'wrong'}"
                _nothing(axes, "" if place else said)
    for axes in panels[-1]:
        axes.tick_params(bottom=True)
        axes.set_xlabel("s from the R peak", fontsize=SMALL)
    figure.supylabel("mV", fontsize=SMALL)
    figure.supxlabel(broken(attribution(beats, database), WIDTH), fontsize=SMALL)
    return figure


def attribution(beats: Sequence[ExampleBeat], database: Database) -> str:
    """Where beats are from and under which licence."""
    names = sorted({beat.record for beat in beats})
    return f"{database.title}, record{'s' * (len(names) > 1)} {', '.join(names)} ({database.license})"


def _column(beats: Sequence[ExampleBeat], label: int, right: bool) -> list[ExampleBeat]:
    return [beat for beat in beats if beat.label == label and beat.right == right]


def _strip(axes: Axes, beat: ExampleBeat, classes: Sequence[str]) -> None:
    axes.axvspan(-BEAT_S, BEAT_S, color="0.9")
    axes.plot(beat.times, beat.signal, color=BLUE if beat.right else VERMILLION, linewidth=0.9)
    axes.set_xlim(-REACH_S, REACH_S)
    axes.yaxis.set_major_locator(MaxNLocator(2, steps=[1, 2, 5, 10]))
    said = f"{classes[beat.label]} called {classes[beat.prediction]}, {percent(beat.confidence)} % sure"
    axes.set_title(said, loc="left", fontsize=SMALL, pad=2, parse_math=False)
    minutes, seconds = divmod(int(beat.position_s), 60)
    where = f"{beat.record} {beat.lead} {minutes}:{seconds:02}"
    axes.set_title(where, loc="right", fontsize=SMALL, pad=2, color="0.35", parse_math=False)


def _nothing(axes: Axes, said: str) -> None:
    axes.spines[:].set_visible(False)
    axes.tick_params(left=False, labelleft=False)
    axes.text(0.5, 0.5, said, transform=axes.transAxes, ha="center", va="center", color="0.35")
