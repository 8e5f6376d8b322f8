"""Small pictures as inline SVG, for a report that is one file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

import numpy as np

WIDTH = 960
LEFT, RIGHT, TOP, BOTTOM = 52, 32, 20, 26
LARGEST_LINE = 1500  # points; more cannot be seen


@dataclass(frozen=True)
class Axes:
    """Where values lie on a picture.

    Attributes:
        x: first and last value of the horizontal axis.
        y: lowest and highest value of the vertical one.
        width: pixels.
        height: pixels.
    """

    x: tuple[float, float]
    y: tuple[float, float]
    width: int = WIDTH
    height: int = 200

    def across(self, value: float) -> float:
        """Horizontal pixel of a value."""
        return LEFT + (value - self.x[0]) / (self.x[1] - self.x[0]) * (self.width - LEFT - RIGHT)

    def down(self, value: float) -> float:
        """Vertical pixel of a value."""
        return TOP + (self.y[1] - value) / (self.y[1] - self.y[0]) * (self.height - TOP - BOTTOM)


def picture(axes: Axes, shapes: Sequence[str], x_label: str, y_label: str, x_ticks: Sequence[tuple[float, str]]) -> str:
    """A picture with axes."""
    bottom, right = axes.height - BOTTOM, axes.width - RIGHT
    parts = [f'<path class="axis" d="M{LEFT} {TOP}V{bottom}H{right}"/>']
    for value in ticks(*axes.y, 5):
        y = axes.down(value)
        parts.append(f'<path class="grid" d="M{LEFT} {y:.1f}H{right}"/>')
        parts.append(f'<text x="{LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{value:g}</text>')
    for value, text in x_ticks:
        parts.append(f'<text x="{axes.across(value):.1f}" y="{bottom + 16}" text-anchor="middle">{escape(text)}</text>')
    parts.append(f'<text x="{right}" y="{bottom - 5}" text-anchor="end" class="label">{escape(x_label)}</text>')
    parts.append(f'<text x="{LEFT - 6}" y="{TOP - 7}" class="label">{escape(y_label)}</text>')
    size = f'viewBox="0 0 {axes.width} {axes.height}" width="{axes.width}" height="{axes.height}"'
    return f'<svg {size} role="img" aria-label="{escape(y_label)}">{"".join([*parts, *shapes])}</svg>'


def ticks(low: float, high: float, count: int) -> list[float]:
    """About so many round values from ``low`` to ``high``."""
    rough = (high - low) / count
    size = 10.0 ** np.floor(np.log10(rough))
    step = float(size * next(times for times in (1, 2, 5, 10) if times * size >= rough))
    return [round(k * step, 6) for k in range(int(np.ceil(low / step)), int(np.floor(high / step)) + 1)]


def line(axes: Axes, x: np.ndarray, y: np.ndarray, kind: str) -> str:
    """A line; broken where y is NaN."""
    every = -(-len(x) // LARGEST_LINE)
    path, pen = [], "M"
    for a, b in zip(x[::every].tolist(), y[::every].tolist(), strict=True):
        if np.isnan(b):
            pen = "M"
            continue
        path.append(f"{pen}{axes.across(a):.1f} {axes.down(b):.1f}")
        pen = "L"
    return f'<path class="{kind}" d="{"".join(path)}"/>'


def ranges(axes: Axes, x: np.ndarray, y: np.ndarray, kind: str) -> str:
    """The values of y as points, or, where there are many at one place, the range they span."""
    pixels = np.round([axes.across(value) for value in x]).astype(int)
    parts = []
    for pixel in np.unique(pixels).tolist():
        here = y[pixels == pixel]
        top, low = axes.down(float(here.max())), axes.down(float(here.min()))
        parts.append(f"M{pixel} {top - 0.7:.1f}V{low + 0.7:.1f}")
    return f'<path class="{kind}" d="{"".join(parts)}"/>'


def bars(axes: Axes, edges: Sequence[float], values: Sequence[float], kind: str, base: Sequence[float]) -> str:
    """Bars from one edge to the next, each standing on its base."""
    parts = []
    for left, right, value, foot in zip(edges, edges[1:], values, base, strict=False):
        x, width = axes.across(left) + 1, max(axes.across(right) - axes.across(left) - 2, 0.5)
        y, height = axes.down(foot + value), axes.down(foot) - axes.down(foot + value)
        parts.append(f'<rect class="{kind}" x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}"/>')
    return "".join(parts)


def mark(axes: Axes, x: float, text: str, kind: str) -> str:
    """A word at the top of a place."""
    return f'<text class="{kind}" x="{axes.across(x):.1f}" y="{TOP + 8}" text-anchor="middle">{escape(text)}</text>'
