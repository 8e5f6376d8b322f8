"""A training recording with what the int8 file makes of it: values that another implementation is checked by."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import Any, Literal

import numpy as np

from heartzoo.config import Config
from heartzoo.data.batches import input_chunks
from heartzoo.data.databases import BUILT_IN_DATABASES, get_database
from heartzoo.data.download import split_records
from heartzoo.data.preparation import prepare
from heartzoo.data.splits import get_split
from heartzoo.data.store import Store
from heartzoo.prevalence import RunningPrevalence
from heartzoo.progress import track
from heartzoo.runtime import TfliteModel, default_runtime
from heartzoo.tasks import get_task

READ_RECORDS = 25
ABOUT = (
    "A training recording, by preprocessing.steps. inputs_sha256 is of the quantized inputs of all its scored beats "
    "(frames, made ones last) in order of time, of each beat one input after the other as tensors.inputs lists them, a "
    "byte a value (two, the lower first, for int16); outputs_sha256 likewise; called is how many of them are called "
    "what. Beats, by number among the scored: the first two, the last, and of each class the first annotated and the "
    "first called; sample, of a frame the first, is of the recording, class what the model calls it."
)


def example(config: Config, content: bytes) -> dict[str, Any] | None:
    """Quantized inputs and answers of some beats of the training recording that shows most of the task's classes.

    Args:
        config: of the model.
        content: the bytes of its .tflite file.

    Returns:
        What goes into ``configuration.json``; None where the recordings are the user's own, which nobody else has.

    Raises:
        UserError: the training recordings are neither here nor to be had, or the disk is full.
    """
    split = get_split(config.data.train[0])
    database = get_database(split.database)
    if database.source == "user" or database.name not in BUILT_IN_DATABASES:
        return None
    names = split_records(split)[:READ_RECORDS]
    margin = round(config.training.augmentation.shift_s * config.input.fs)
    store = prepare(
        database, names, config.input, config.data.leads, config.data.missing_lead, margin, noise_half="first"
    )
    labels = store.labels(get_task(config.task), config.data.mapping)
    record = max(names, key=lambda name: len(np.unique(labels[(store.records == name) & (labels >= 0)])))
    rows = np.flatnonzero((store.records == record) & (labels >= 0))
    return {
        "about": ABOUT,
        "database": database.name,
        "record": record,
        **_values(config, content, store, rows, labels),
    }


def contradictions(config: Config, content: bytes, name: str, beats: list[dict[str, Any]]) -> list[str]:
    """Beats of a published example that the file answers otherwise; none are looked for without TFLite Micro.

    Args:
        config: of the model.
        content: the bytes of the .tflite file.
        name: the example's key in ``configuration.json``.
        beats: its beats, see :meth:`Answers.beat`.
    """
    if (config.export.runtime or "tflm", default_runtime()) != ("tflm", "tflm"):
        return []
    model = TfliteModel(content)
    found = []
    for beat in beats:
        inputs = {role: np.array([values], model.facts.signal.dtype) for role, values in beat["inputs"].items()}
        if model.run_quantized(**inputs)[0].tolist() != beat["outputs"]:
            found.append(f"configuration.json gives other outputs of beat {beat['number']} of its {name} than the file")
    return found


class Answers:
    """What a .tflite file makes of the quantized inputs of one recording's beats, in order of time.

    Args:
        config: of the model.
        model: the file.
        chunks: float inputs by role, shape (n, ...).

    Attributes:
        outputs: the integers that it gives, shape (n, classes).
        called: index of the class that each beat is called, shape (n,).
    """

    def __init__(self, config: Config, model: TfliteModel, chunks: Iterable[dict[str, np.ndarray]]) -> None:
        self._classes = get_task(config.task).classes
        roles: list[Literal["signal", "rr"]] = ["signal", "rr"] if config.input.beat_features else ["signal"]
        quantized = [{role: model.quantize(role, chunk[role]) for role in roles} for chunk in chunks]
        self.outputs = np.concatenate(
            [model.run_quantized(**chunk) for chunk in track(quantized, len(quantized), "example")]
        )
        in_order = roles if model.facts.signal_index == 0 else roles[::-1]
        self._inputs = {role: np.concatenate([chunk[role] for chunk in quantized]) for role in roles}
        self._rows = np.concatenate([self._inputs[role].reshape(len(self.outputs), -1) for role in in_order], axis=1)
        tensor = model.facts.logits
        logits = (self.outputs.astype(np.float32) - tensor.zero_point) * np.float32(tensor.scale)
        self._shifted = RunningPrevalence(config).shifted(logits)
        self._follows_prevalence = bool(config.prevalence)
        self.called = self._shifted.argmax(axis=1)

    def whole(self) -> dict[str, Any]:
        """What is told of all beats together."""
        counts = np.bincount(self.called, minlength=len(self._classes)).tolist()
        return {
            "called": dict(zip(self._classes, counts, strict=True)),
            "inputs_sha256": _sha256(self._rows),
            "outputs_sha256": _sha256(self.outputs),
        }

    def beat(self, number: int) -> dict[str, Any]:
        """What is told of one beat, the number-th."""
        shifted = {"shifted_logits": self._shifted[number].round(6).tolist()} if self._follows_prevalence else {}
        return {
            "inputs": {role: values[number].ravel().tolist() for role, values in self._inputs.items()},
            "outputs": self.outputs[number].tolist(),
            **shifted,
            "class": self._classes[self.called[number]],
        }


def _values(config: Config, content: bytes, store: Store, rows: np.ndarray, labels: np.ndarray) -> dict[str, Any]:
    answers = Answers(config, TfliteModel(content, config.export.runtime), input_chunks(store, rows, config.input))
    firsts = [np.unique(of, return_index=True)[1] for of in (labels[rows], answers.called)]
    beats = [
        {
            "number": int(number),
            "sample": int(store.samples[rows[number]]),
            "symbol": chr(store.symbols[rows[number]]),
            **answers.beat(number),
        }
        for number in np.unique([0, min(1, len(rows) - 1), len(rows) - 1, *firsts[0], *firsts[1]])
    ]
    return {"scored": len(rows), **answers.whole(), "beats": beats}


def _sha256(values: np.ndarray) -> str:
    return hashlib.sha256(values.astype(values.dtype.newbyteorder("<")).tobytes()).hexdigest()
