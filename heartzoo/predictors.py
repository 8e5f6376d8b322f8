"""Predict functions for the evaluation: a ``.tflite`` file, or its float parent in Keras."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np

from heartzoo.config import Config
from heartzoo.config.export import Runtime
from heartzoo.data.batches import Inputs
from heartzoo.errors import UserError
from heartzoo.evaluation import Subject
from heartzoo.files import sha256
from heartzoo.flatbuffer import inspect, require_integer, require_shapes
from heartzoo.progress import track
from heartzoo.runtime import default_runtime, predict_chunks
from heartzoo.tasks import get_task


def tflite_subject(
    config: Config, content: bytes, seed: int | None, runtime: Runtime | None = None, jobs: int | None = None
) -> Subject:
    """An int8 or 16x8 file as the subject of an evaluation.

    Args:
        config: its configuration.
        content: the file's bytes.
        seed: seed of its training; None where it is not known.
        runtime: ``"tflm"``, ``"reference"`` or ``"xnnpack"``; default TFLite Micro where it is installed.
        jobs: processes; default one a core.

    Raises:
        UserError: the bytes are no integer model, or one for another input or number of classes.
    """
    chosen = runtime or default_runtime()
    facts = inspect(content)
    precision = require_integer(facts)
    require_shapes(facts, config.input.frame, len(config.input.beat_features), len(get_task(config.task).classes))

    def predict(chunks: Iterable[Inputs], total: int) -> Iterator[np.ndarray]:
        pairs = ((chunk["signal"], chunk.get("rr")) for chunk in chunks)
        return predict_chunks(content, pairs, total, chosen, jobs, f"{config.name} {precision}, {chosen}")

    return Subject(config, precision, chosen, hashlib.sha256(content).hexdigest(), seed, predict)


def keras_subject(config: Config, path: Path, seed: int | None) -> Subject:
    """A ``.keras`` file as the subject of an evaluation.

    Raises:
        UserError: the file cannot be loaded, or is a model for another input or number of classes.
    """
    from heartzoo.checkpoints import load_model

    model = load_model(path)
    expected = (None, 1, config.input.frame, 1), (None, len(get_task(config.task).classes))
    shapes = {tensor.name: tuple(tensor.shape) for tensor in model.inputs}
    if shapes.get("signal") != expected[0] or tuple(model.output_shape) != expected[1]:
        raise UserError(
            f"{path} has inputs {shapes} and output {model.output_shape}, "
            f"{config.name} needs signal {expected[0]} and output {expected[1]}",
            "give the model that belongs to the configuration",
        )

    def predict(chunks: Iterable[Inputs], total: int) -> Iterator[np.ndarray]:
        for chunk in track(chunks, total, f"{config.name} float32, keras"):
            yield np.asarray(model.predict_on_batch(chunk))

    return Subject(config, "float32", "keras", sha256(path), seed, predict)
