"""A classification to look at: one HTML file that loads nothing."""

from __future__ import annotations

from html import escape
from typing import Any

import numpy as np

from heartzoo.classification.drawing import WIDTH, Axes, bars, line, mark, picture, ranges
from heartzoo.classification.gallery import MEAN_AFTER_S, MEAN_BEFORE_S, Strip
from heartzoo.classification.recordings import Classification
from heartzoo.classification.summary import ectopic_classes, intervals
from heartzoo.contract import NOTICE

# Width of a bar in s, for recordings longer than that many of them.
BAR_S, FEWEST_BARS = (3600.0, 300.0, 60.0, 10.0), 3
STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; color: #222; }
svg { max-width: 100%; height: auto; font-size: 11px; } svg text { fill: #555; } svg .label { font-weight: bold; }
.axis { stroke: #888; fill: none; } .grid { stroke: #ddd; fill: none; }
.signal { stroke: #222; fill: none; stroke-width: 1.2; } .rr { stroke: #36c; fill: none; stroke-width: 1.4; }
.kind0 { fill: #36c; } .kind1 { fill: #c33; } svg .here { fill: #c33; font-weight: bold; }
table { border-collapse: collapse; } td, th { text-align: left; padding: .15rem 1.2rem .15rem 0; vertical-align: top; }
.notice { border-left: 4px solid #c33; padding: .3rem .8rem; background: #fbeeee; font-weight: bold; }
"""


def report(classification: Classification) -> str:
    """The content of the HTML file."""
    c = classification
    title = f"{escape(c.name)}: beats by {escape(c.model)}"
    sections = [
        f"<h1>{title}</h1><p class='notice'>{escape(NOTICE)}</p>",
        _table(_facts(c)),
        "<h2>R-R intervals</h2>" + _tachogram(c),
        "<h2>Ectopic beats over time</h2>" + _burden(c),
        "<h2>The surest ectopic beats</h2>" + ("".join(map(_strip, c.gallery.strips)) or "<p>None.</p>"),
        "<h2>Mean beats</h2>" + _means(c),
    ]
    head = f"<meta charset='utf-8'><title>{title}</title><style>{STYLE}</style>"
    return f"<!doctype html>\n<html lang='en'><head>{head}</head><body>{''.join(sections)}</body></html>\n"


def _table(rows: list[tuple[str, str]]) -> str:
    cells = "".join(f"<tr><th>{escape(name)}</th><td>{escape(value)}</td></tr>" for name, value in rows)
    return f"<table>{cells}</table>"


def _facts(c: Classification) -> list[tuple[str, str]]:
    """Rows of the summary."""
    s = c.summary
    peaks = "the recording's annotations" if c.annotated else "found by heartzoo"
    rows = [
        ("recording", f"{clock(c.seconds)}, {c.fs:g} Hz" + (f", lead {c.lead}" if c.lead else "")),
        ("R peaks", peaks),
        ("beats", f"{s['beats']:,}: " + ", ".join(f"{name} {count:,}" for name, count in s["classes"].items())),
        ("better not relied on", f"{s['abstained']:,} beats below the model's confidence threshold"),
    ]
    if c.personalised_by:
        rows.insert(1, ("adapted to", f"the person of {c.personalised_by}, by labelled beats"))
    if s["ectopic_burden"] is not None:
        apart = f", without {s['beside_lost_signal']:,} beats beside lost signal" if s["beside_lost_signal"] else ""
        rows.append(("ectopic burden", f"{s['ectopic_burden']:.2%}{apart}"))
    for name, found in s["ectopic"].items():
        rows.append((f"{name} beats", ", ".join(f"{what.replace('_', ' ')} {n:,}" for what, n in found.items())))
    if rate := s["heart_rate"]:
        rows.append(
            ("heart rate", f"{rate['lowest']:.0f} to {rate['highest']:.0f} per minute, mean {rate['mean']:.0f}")
        )
        rows.append(("longest R-R", f"{s['longest_rr_s']:.2f} s at {clock(s['longest_rr_at_s'])}"))
    rows.append(("poor signal", _poor(s, c.missing)))
    return rows


def _poor(summary: dict[str, Any], missing: int) -> str:
    marks = [f"{mark} {clock(seconds)}" for mark, seconds in sorted(summary["poor_signal_s"].items())]
    return ", ".join(marks + ([f"{missing:,} samples missing"] if missing else [])) or "none"


def clock(seconds: float) -> str:
    """Hours, minutes and seconds."""
    whole = round(seconds)
    return f"{whole // 3600}:{whole // 60 % 60:02d}:{whole % 60:02d}"


def _hours(c: Classification) -> tuple[list[float], list[tuple[float, str]]]:
    """Edges of the bars in s, and what stands below some of them."""
    width = next((width for width in BAR_S if c.seconds >= FEWEST_BARS * width), BAR_S[-1])
    edges = np.minimum(np.arange(0.0, c.seconds + width, width), c.seconds).tolist()
    every = -(-len(edges) // 12)
    return edges, [(edge, clock(edge)) for edge in edges[::every] if edge < c.seconds or edge % width == 0]


def _tachogram(c: Classification) -> str:
    ends, lengths = intervals(c.beats, c.quality)
    if not len(lengths):
        return "<p>Fewer than two beats.</p>"
    axes = Axes((0.0, c.seconds), (0.0, min(max(float(lengths.max()), 1.0), 4.0) * 1.05))
    return picture(axes, [ranges(axes, ends, np.minimum(lengths, axes.y[1]), "rr")], "time", "R-R, s", _hours(c)[1])


def _burden(c: Classification) -> str:
    edges, labels = _hours(c)
    times = np.array([beat.time_s for beat in c.beats])
    every = np.maximum(np.histogram(times, edges)[0], 1)
    shares = []
    for name in ectopic_classes(c.task):
        here = times[[beat.label == name for beat in c.beats]]
        shares.append(100 * np.histogram(here, edges)[0] / every)
    highest = max(float(np.sum(shares, axis=0).max()), 1.0)
    axes = Axes((0.0, c.seconds), (0.0, 1.1 * highest))
    base, shapes = np.zeros(len(every)), []
    for number, share in enumerate(shares):
        shapes.append(bars(axes, edges, share.tolist(), f"kind{number}", base.tolist()))
        base = base + share
    words = zip(("blue", "red"), ectopic_classes(c.task), strict=False)
    legend = ", ".join(f"{escape(name)} {colour}" for colour, name in words)
    return picture(axes, shapes, "time", "% of the beats", labels) + f"<p>{legend}</p>"


def _strip(strip: Strip) -> str:
    times = strip.start_s + np.arange(len(strip.signal)) / strip.fs
    known = strip.signal[np.isfinite(strip.signal)]
    low, high = (float(known.min()), float(known.max())) if len(known) else (-1.0, 1.0)
    axes = Axes((float(times[0]), float(times[-1]) + 1e-3), (low - 0.1, high + 0.4 * max(high - low, 0.2)), WIDTH, 150)
    shapes = [line(axes, times, strip.signal, "signal")]
    for beat in strip.beats:
        shapes.append(mark(axes, beat.time_s, beat.label, "here" if beat == strip.beat else "beat"))
    beat = strip.beat
    text = f"{beat.label} at {clock(beat.time_s)}, confidence {beat.confidence:.0%}"
    labels = [(float(t), clock(float(t))) for t in range(int(np.ceil(axes.x[0])), int(axes.x[1]) + 1)]
    return f"<h3>{escape(text)}</h3>" + picture(axes, shapes, "", "mV", labels)


def _means(c: Classification) -> str:
    pictures = []
    for name, mean in c.gallery.means.items():
        times = np.linspace(-MEAN_BEFORE_S, MEAN_AFTER_S, len(mean))
        room = max(0.1 * float(np.ptp(mean)), 0.05)
        axes = Axes((-MEAN_BEFORE_S, MEAN_AFTER_S), (float(mean.min()) - room, float(mean.max()) + room), 300, 180)
        labels = [(value, f"{value:g}") for value in (-0.2, 0.0, 0.2, 0.4)]
        count = c.summary["classes"][name]
        pictures.append(picture(axes, [line(axes, times, mean, "signal")], "s", f"{name}, {count:,} beats, mV", labels))
    return "".join(pictures) or "<p>No beats.</p>"
