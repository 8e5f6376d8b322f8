"""A training step with memory that is kept (:mod:`heartzoo.allocator`) and without, in processes of their own.

On batches of random numbers, for a committee with a convolutional member.
"""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import numpy as np

from heartzoo.allocator import keep_freed_memory

CONFIG = Path(__file__).parent.parent / "configs" / "arr-5-rr-strict.yaml"
STEPS, EPOCHS, ROUNDS = 20, 3, 2


def step_ms() -> float:
    """Milliseconds of a step, in the median of all epochs but the first."""
    import keras

    from heartzoo.config.file import load_config
    from heartzoo.training import build_model

    config = load_config(CONFIG)
    model = build_model(config)
    model.compile("adam", keras.losses.CategoricalCrossentropy(from_logits=True), jit_compile=False)
    rng = np.random.default_rng(0)
    size, classes = config.training.batch_size, model.output_shape[-1]
    x = {name: rng.normal(size=(size, *tensor.shape[1:])).astype(np.float32) for name, tensor in model.input.items()}
    y = np.eye(classes, dtype=np.float32)[rng.integers(0, classes, size)]

    class Feed(keras.utils.PyDataset):
        def __len__(self) -> int:
            return STEPS

        def __getitem__(self, step: int) -> tuple[dict[str, np.ndarray], np.ndarray]:
            return x, y

    ends: list[float] = []
    note = keras.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: ends.append(time.perf_counter()))
    model.fit(Feed(), epochs=EPOCHS, verbose=0, callbacks=[note])
    return 1e3 * float(np.median(np.diff(ends))) / STEPS


def main() -> None:
    """Time both in turn, each in a new process: what is set cannot be undone."""
    if sys.argv[1:]:
        if sys.argv[1] == "kept":
            keep_freed_memory()
        print(step_ms())
        return
    found: dict[str, list[float]] = {"kept": [], "given back": []}
    for _ in range(ROUNDS):
        for name, times in found.items():
            done = subprocess.run([sys.executable, __file__, name], capture_output=True, text=True, check=True)
            times.append(float(done.stdout.split()[-1]))
    kept, back = (min(times) for times in found.values())
    print(f"{CONFIG.stem}: {back:.0f} ms a step where memory is given back, {kept:.0f} ms where it is kept")


if __name__ == "__main__":
    main()
