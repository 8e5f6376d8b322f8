"""How every picture looks, and how it becomes a file."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Sequence
from functools import wraps
from pathlib import Path
from typing import Any, Literal, ParamSpec

import matplotlib.style
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from heartzoo.data.splits import caveat
from heartzoo.files import atomic_path
from heartzoo.metrics_file.results import Evaluation

Format = Literal["png", "svg"]
FORMATS: tuple[Format, ...] = ("png", "svg")
# Okabe and Ito's colours (2008), told apart with any colour vision.
SKY, ORANGE, BLUE, VERMILLION, GREEN = "#56b4e9", "#e69f00", "#0072b2", "#d55e00", "#009e73"
GREY = "#a6a6a6"
SMALL = 8  # points; nothing is smaller
# The user's own matplotlibrc has no say; the fixed salt and the missing date make the SVG the same on every run. The
# background is white and not transparent: on a dark page black text and dark lines need it.
STYLE: list[str | Path | dict[str, Any]] = [
    "default",
    {
        "svg.hashsalt": "heartzoo",
        "svg.fonttype": "none",
        "font.sans-serif": ["DejaVu Sans", "Verdana"],  # each text of an SVG repeats them
        "font.size": 9,
        "legend.fontsize": SMALL,
        "xtick.labelsize": SMALL,
        "ytick.labelsize": SMALL,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.axisbelow": True,
        "figure.constrained_layout.w_pad": 0.08,
        "figure.constrained_layout.h_pad": 0.08,
        "figure.facecolor": "white",
        "savefig.facecolor": "white",
        "path.simplify_threshold": 0.3,
    },
]
METADATA: dict[Format, dict[str, None]] = {"png": {"Software": None}, "svg": {"Date": None, "Creator": None}}

P = ParamSpec("P")


def styled(draw: Callable[P, Figure]) -> Callable[P, Figure]:
    """Make a function draw in heartzoo's style and leave matplotlib's settings as they were."""

    @wraps(draw)
    def inside(*args: P.args, **kwargs: P.kwargs) -> Figure:
        with matplotlib.style.context(STYLE):
            return draw(*args, **kwargs)

    return inside


def new_figure(width: float, height: float, *title: str) -> Figure:
    """An empty figure.

    Args:
        width: in inches.
        height: likewise.
        *title: its lines, taken literally; long ones are broken.
    """
    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    figure.suptitle("\n".join(broken(line, width) for line in title), fontsize="medium", parse_math=False)
    return figure


def broken(text: str, width: float) -> str:
    """Text in lines that fit into a width in inches, at 9 points."""
    return textwrap.fill(text, int(14 * width), break_long_words=False, break_on_hyphens=False)


def condition(model: str, evaluation: Evaluation) -> tuple[str, ...]:
    """The lines of a title that say what was evaluated on what, and what that is worth where it is not much."""
    e = evaluation
    line = f"{model}, {e.precision} by {e.runtime}, {e.dataset} {e.split} ({e.track})"
    said = caveat(e.track, e.split)
    return (line, said) if said else (line,)


def save(figure: Figure, path_stem: Path, formats: Sequence[Format] = FORMATS) -> list[Path]:
    """Write a picture, each file atomically and with the same bytes on every run.

    Args:
        figure: one of heartzoo's.
        path_stem: where to write, without a suffix.
        formats: ``"png"``, ``"svg"`` or both.

    Returns:
        The files, in the order of the formats.

    Raises:
        UserError: the disk is full or the folder cannot be written.
    """
    written = []
    with matplotlib.style.context(STYLE):
        for format_ in formats:
            # with_name and not with_suffix: a stem such as "model-1.0.0" has dots of its own.
            path = path_stem.with_name(f"{path_stem.name}.{format_}")
            with atomic_path(path) as temporary:
                figure.savefig(temporary, format=format_, dpi=150, metadata=METADATA[format_])
            written.append(path)
    return written
