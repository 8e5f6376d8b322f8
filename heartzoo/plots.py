"""Figures of an evaluation, drawn without a display and without matplotlib's global state."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import matplotlib.style
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from heartzoo.files import atomic_path

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from heartzoo.metrics_file import DisturbedResult

# The user's own matplotlibrc has no say; the fixed salt and the missing date make the SVG the same on every run.
STYLE: list[str | Path | dict[str, Any]] = ["default", {"svg.hashsalt": "heartzoo", "svg.fonttype": "none"}]
METADATA = {"png": {"Software": None}, "svg": {"Date": None}}
DARK_PERCENT = 55  # cells above it are dark enough for white text


def confusion_matrix(cm: np.ndarray, classes: Sequence[str], title: str, path_stem: Path) -> list[Path]:
    """Draw a confusion matrix with counts and row percentages (the diagonal's are the sensitivities).

    One hue from light to dark, so that it reads in grey and with any colour vision.

    Args:
        cm: counts, shape (k, k), rows are the truth.
        classes: k class names.
        title: the title; taken literally.
        path_stem: where to write, without a suffix.

    Returns:
        The two files, PNG and SVG, each written atomically.

    Raises:
        UserError: the disk is full or the folder cannot be written.
    """
    with matplotlib.style.context(STYLE):
        figure = Figure(figsize=(2.6 + 1.1 * len(classes), 1.9 + 0.9 * len(classes)), layout="constrained")
        FigureCanvasAgg(figure)
        _draw_matrix(figure.add_subplot(), np.asarray(cm), classes, title)
        return [_save(figure, path_stem, format_) for format_ in METADATA]


def robustness_curves(
    results: Sequence[DisturbedResult], before: float, headline: str, title: str, path_stem: Path
) -> list[Path]:
    """Draw a figure against the noise's ratio and against the R peaks' jitter.

    Args:
        results: on disturbed recordings.
        before: the figure on the recordings as they are; a dashed line.
        headline: the figure's name, an attribute of the results.
        title: the title; taken literally.
        path_stem: where to write, without a suffix.

    Returns:
        The two files, PNG and SVG, each written atomically.

    Raises:
        UserError: the disk is full or the folder cannot be written.
    """
    with matplotlib.style.context(STYLE):
        figure = Figure(figsize=(9, 4), layout="constrained")
        FigureCanvasAgg(figure)
        noise, jitter = figure.subplots(1, 2, sharey=True)
        for strength, axes in (("snr_db", noise), ("jitter_ms", jitter)):
            chosen = [result for result in results if getattr(result.disturbance, strength) is not None]
            for marker, kind in zip("osD^", dict.fromkeys(r.disturbance.kind for r in chosen), strict=False):
                mine = [result for result in chosen if result.disturbance.kind == kind]
                levels = [getattr(result.disturbance, strength) for result in mine]
                axes.plot(levels, [getattr(result, headline) for result in mine], marker=marker, label=kind)
            axes.axhline(before, color="black", linestyle="--", linewidth=1, label="undisturbed")
            axes.grid(alpha=0.3)
            axes.legend()
        noise.invert_xaxis()  # worse to the right, as in the other
        noise.set_xlabel("signal-to-noise ratio, dB")
        jitter.set_xlabel("R peaks off by up to, ms")
        noise.set_ylabel(headline)
        figure.suptitle(title, fontsize="medium", parse_math=False)
        return [_save(figure, path_stem, format_) for format_ in METADATA]


def _draw_matrix(axes: Axes, cm: np.ndarray, classes: Sequence[str], title: str) -> None:
    support = cm.sum(1, keepdims=True)
    percent = 100 * cm / np.maximum(support, 1)
    axes.imshow(percent, cmap="Blues", vmin=0, vmax=100, aspect="auto")
    for row, column in np.ndindex(*cm.shape):
        share = f"{percent[row, column]:.1f} %" if support[row, 0] else "-"
        colour = "white" if percent[row, column] > DARK_PERCENT else "black"
        axes.text(column, row, f"{cm[row, column]:,}\n{share}", ha="center", va="center", color=colour)
    ticks = range(len(classes))
    axes.set_xticks(ticks, classes, parse_math=False)
    rows = [f"{name}\nn = {n:,}" for name, n in zip(classes, support[:, 0], strict=True)]
    axes.set_yticks(ticks, rows, parse_math=False)
    axes.set_xlabel("predicted")
    axes.set_ylabel("true")
    axes.set_title(title, fontsize="medium", wrap=True, parse_math=False)


def _save(figure: Figure, path_stem: Path, format_: str) -> Path:
    # with_name and not with_suffix: a stem such as "model-1.0.0" has dots of its own.
    path = path_stem.with_name(f"{path_stem.name}.{format_}")
    with atomic_path(path) as temporary:
        figure.savefig(temporary, format=format_, dpi=150, metadata=METADATA[format_])
    return path
