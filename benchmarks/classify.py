"""How long a recording of 24 hours at 250 Hz takes from its file to labels and report, and the memory at the peak.

Target: at most 5 minutes on 2 cores, with memory that the recording's length does not change. The recording is made of
synthetic ones.
"""

from __future__ import annotations

import resource
import tempfile
import time
from pathlib import Path

import numpy as np

from heartzoo.classification.files import write
from heartzoo.classification.recordings import classify_recording
from heartzoo.classification.stream import DEFAULT_MODEL
from heartzoo.data import synthetic
from heartzoo.data.recordings import open_recording
from heartzoo.zoo.published import load_tflite

HOURS, FS = 24, 250


def main() -> None:
    """Classify once and print time and memory."""
    pieces = [synthetic.generate(f"syn{number:02d}", 3600.0, FS).signal for number in range(6)]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "day.npy"
        np.save(path, np.tile(np.concatenate(pieces).astype(np.float32), HOURS // len(pieces)))
        model, start = load_tflite(DEFAULT_MODEL), time.perf_counter()
        found = classify_recording(open_recording(path, fs=FS), model)
        write(found, Path(folder))
        seconds = time.perf_counter() - start
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20  # KiB on Linux
    print(
        f"classify: {HOURS} h, {len(found.beats):,} beats by {found.model} in {seconds:.1f} s, at most {peak:.2f} GiB"
    )


if __name__ == "__main__":
    main()
