"""How many normal beats beside lost signal are called ectopic, and how many beats are found that are none?

    python benchmarks/lost_signal.py

Takes a model to the first ten minutes of some of mitdb's training recordings, with a gap every half minute, after
each of which the lead has another offset, and without gaps; no test split is opened. Of the beats that are annotated
normal, it prints how many of the last before a gap and of the first after it are called S or V, how many of these
without the gap, and how many beats are found within 2 s of a gap's end that are not found without it.
"""

from __future__ import annotations

import numpy as np
from rich.table import Table

import heartzoo as hz
from heartzoo.progress import console
from heartzoo.zoo.published import PublishedModel

MODEL, RECORDS, SECONDS = "arr-5-rr-sm", ("101", "112", "115", "122", "205", "223", "230"), 600
EVERY_S, GAPS_S, NEAR_S, AFTER_S = 30, (0.5, 2.0, 5.0, 20.0), 0.1, 2.0
OFFSET_MV = 20.0  # standard deviation
NORMAL = np.frombuffer(b"NLRej", np.uint8)


def main() -> None:
    """Print the table."""
    model = hz.load_tflite(MODEL)
    table = Table(
        "gap, s", "gaps", "before: S or V", "without", "after: S or V", "without", "found besides", title=MODEL
    )
    for gap in GAPS_S:
        counts = np.sum([_count(model, record, gap) for record in RECORDS], axis=0)
        table.add_row(f"{gap:g}", *map(str, counts))
    console.print(table)


def _count(model: PublishedModel, name: str, gap_s: float) -> list[int]:
    record = hz.open_record("mitdb", name)
    fs, signal = record.fs, record.signal[: round(SECONDS * record.fs)].copy()
    whole = hz.classify(signal, fs, model).beats
    rng = np.random.default_rng(int(name))
    starts = np.arange(2 * EVERY_S, SECONDS - EVERY_S, EVERY_S) * fs + rng.integers(0, fs, SECONDS // EVERY_S - 3)
    gaps = [(int(start), int(start + gap_s * fs)) for start in starts]
    for start, end in gaps:
        signal[start:end] = np.nan
        signal[end:] += rng.normal(0, OFFSET_MV)
    broken = hz.classify(signal, fs, model).beats
    normal = record.samples[np.isin(record.symbols, NORMAL)]
    known, found = ({beat.sample: beat.label for beat in beats} for beats in (whole, broken))
    places, samples = np.array(sorted(known)), np.array(sorted(found))
    counts, near = [0, 0, 0, 0, 0], NEAR_S * fs
    for start, end in gaps:
        outside = samples[(samples < start) | (samples >= end)]
        here = int(np.searchsorted(outside, start))
        for column, number in ((0, here - 1), (2, here)):
            sample = int(outside[number])
            same = int(places[np.abs(places - sample).argmin()])
            if np.abs(normal - sample).min() < near and abs(same - sample) < near:
                counts[column] += found[sample] in ("S", "V")
                counts[column + 1] += known[same] in ("S", "V")
        after = samples[(samples >= end) & (samples < end + AFTER_S * fs)]
        counts[4] += sum(np.abs(places - sample).min() >= near for sample in after.tolist())
    return [len(gaps), *counts]


if __name__ == "__main__":
    main()
