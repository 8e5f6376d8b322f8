"""What the input pipeline adds to a training step, against ``fit`` on arrays in memory, in one run.

Target: less than 10 % of the step's time. Runs on the synthetic recordings.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import keras
import numpy as np

from heartzoo.config.file import load_config
from heartzoo.data.training_set import load_training_set
from heartzoo.training import Batches, build_model

STEPS, EPOCHS, ROUNDS = 40, 3, 2


def epoch_seconds(model: keras.Model, **feed: Any) -> list[float]:
    """Seconds of each epoch but the first, in which ``fit`` sets up its feeding."""
    ends: list[float] = []
    note = keras.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: ends.append(time.perf_counter()))
    model.fit(**feed, epochs=EPOCHS, verbose=0, callbacks=[note])
    return np.diff(ends).tolist()


def main() -> None:
    """Time epochs of both, in turn, for a small and a larger network."""
    for name in ("arr-5-res-sm", "beat-3-eff-sm"):
        path = Path(__file__).parent.parent / "configs" / f"{name}.yaml"
        config = load_config(path, ["data.train=[synthetic-train]", "data.test=[synthetic-test]"])
        source = load_training_set(config).batches(seed=0)
        model = build_model(config)
        model.compile("adam", keras.losses.CategoricalCrossentropy(from_logits=True), jit_compile=False)
        drawn = [source.batch(0, step) for step in range(STEPS)]
        inputs = {key: np.concatenate([batch[key] for batch, _ in drawn]) for key in drawn[0][0]}
        labels = np.concatenate([label for _, label in drawn])
        size = config.training.batch_size
        arrays: list[float] = []
        pipeline: list[float] = []
        for _ in range(ROUNDS):
            arrays += epoch_seconds(model, x=inputs, y=labels, batch_size=size)
            pipeline += epoch_seconds(model, x=Batches(source, STEPS, epoch=0), shuffle=False)
        plain, fed = (1e3 * float(np.median(seconds)) / STEPS for seconds in (arrays, pipeline))
        print(f"{name}: {plain:.1f} ms a step on arrays, {fed:.1f} ms with the pipeline ({fed / plain - 1:+.1%})")


if __name__ == "__main__":
    main()
