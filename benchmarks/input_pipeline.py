"""What the input pipeline adds to a training step, against ``fit`` on arrays in memory, in one run.

Target: less than 10 % of the step's time. Runs on the synthetic recordings.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import keras
import numpy as np

from heartzoo.config import load_config
from heartzoo.data.training_set import load_training_set
from heartzoo.training import Batches, build_model

STEPS, EPOCHS, ROUNDS = 60, 3, 3


class EpochTimes(keras.callbacks.Callback):
    """Seconds of each epoch, feeding included."""

    def __init__(self) -> None:
        super().__init__()
        self.seconds: list[float] = []

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        """The first epoch starts where the training does."""
        self.start = time.perf_counter()

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """An epoch ends where the next one starts."""
        now = time.perf_counter()
        self.seconds.append(now - self.start)
        self.start = now


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
        model.fit(inputs, labels, batch_size=size, verbose=0)  # compiles
        times = {"arrays": EpochTimes(), "pipeline": EpochTimes()}
        for _ in range(ROUNDS):
            model.fit(inputs, labels, batch_size=size, epochs=EPOCHS, verbose=0, callbacks=[times["arrays"]])
            batches = Batches(source, STEPS, epoch=0)
            model.fit(batches, epochs=EPOCHS, shuffle=False, verbose=0, callbacks=[times["pipeline"]])
        arrays, pipeline = (1e3 * float(np.median(times[key].seconds)) / STEPS for key in ("arrays", "pipeline"))
        print(
            f"{name}: {arrays:.1f} ms a step on arrays, "
            f"{pipeline:.1f} ms with the pipeline ({pipeline / arrays - 1:+.1%}; medians of {EPOCHS * ROUNDS} epochs)"
        )


if __name__ == "__main__":
    main()
