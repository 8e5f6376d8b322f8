"""What the input pipeline adds to a training step, against ``fit`` on arrays in memory, in one run.

Target: less than 10 % of the step's time. Runs on the synthetic recordings.
"""

from __future__ import annotations

import time
from pathlib import Path

import keras
import numpy as np

from heartzoo.config import load_config
from heartzoo.data.training_set import load_training_set
from heartzoo.training import Batches, build_model

STEPS, ROUNDS = 60, 3


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
        times: dict[str, list[float]] = {"arrays": [], "pipeline": []}
        for turn in range(ROUNDS):
            start = time.perf_counter()
            model.fit(inputs, labels, batch_size=size, verbose=0)
            times["arrays"].append(time.perf_counter() - start)
            start = time.perf_counter()
            model.fit(Batches(source, STEPS, turn), shuffle=False, verbose=0)
            times["pipeline"].append(time.perf_counter() - start)
        arrays, pipeline = (1e3 * min(times[key]) / STEPS for key in ("arrays", "pipeline"))
        print(
            f"{name}: {arrays:.1f} ms a step on arrays, "
            f"{pipeline:.1f} ms with the pipeline ({pipeline / arrays - 1:+.1%})"
        )


if __name__ == "__main__":
    main()
