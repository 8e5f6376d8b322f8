"""A training recording with what the int8 file makes of it: values that another implementation is checked by."""

from __future__ import annotations

import hashlib
from typing import Any, Literal

import numpy as np

from heartzoo.config import Config
from heartzoo.data.batches import input_chunks
from heartzoo.data.databases import BUILT_IN_DATABASES, get_database
from heartzoo.data.download import split_records
from heartzoo.data.splits import get_split
from heartzoo.data.store import Store, prepare
from heartzoo.prevalence import RunningPrevalence
from heartzoo.progress import track
from heartzoo.runtime import TfliteModel, default_runtime
from heartzoo.tasks import get_task

READ_RECORDS = 25
ABOUT = (
    "A training recording, by preprocessing.steps. inputs_sha256 is of the quantized inputs of all its scored beats "
    "(frames) in order of time, of each beat one input after the other as tensors.inputs lists them, a byte a value "
    "(two, the lower first, for int16); outputs_sha256 likewise; called is how many of them are called what. Beats, by "
    "number among the scored: the first two, the last, and of each class the first annotated and the first called; "
    "sample is of the recording, class what the model calls it."
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


def contradictions(config: Config, content: bytes, given: dict[str, Any]) -> list[str]:
    """Beats of a published example that the file answers otherwise; none are looked for without TFLite Micro.

    Args:
        config: of the model.
        content: the bytes of the .tflite file.
        given: ``example`` of its ``configuration.json``.
    """
    if (config.export.runtime or "tflm", default_runtime()) != ("tflm", "tflm"):
        return []
    model = TfliteModel(content)
    found = []
    for beat in given["beats"]:
        inputs = {role: np.array([values], model.facts.signal.dtype) for role, values in beat["inputs"].items()}
        if model.run_quantized(**inputs)[0].tolist() != beat["outputs"]:
            found.append(f"configuration.json gives other outputs of its example's beat {beat['number']} than the file")
    return found


def _values(config: Config, content: bytes, store: Store, rows: np.ndarray, labels: np.ndarray) -> dict[str, Any]:
    model, classes = TfliteModel(content, config.export.runtime), get_task(config.task).classes
    roles: list[Literal["signal", "rr"]] = ["signal", "rr"] if config.input.beat_features else ["signal"]
    chunks = [
        {role: model.quantize(role, chunk[role]) for role in roles} for chunk in input_chunks(store, rows, config.input)
    ]
    outputs = np.concatenate([model.run_quantized(**chunk) for chunk in track(chunks, len(chunks), "example")])
    inputs = {role: np.concatenate([chunk[role] for chunk in chunks]) for role in roles}
    tensor = model.facts.logits
    logits = (outputs.astype(np.float32) - tensor.zero_point) * np.float32(tensor.scale)
    shifted = RunningPrevalence(config).shifted(logits)
    called = shifted.argmax(axis=1)
    firsts = [np.unique(of, return_index=True)[1] for of in (labels[rows], called)]
    beats = [
        {
            "number": int(number),
            "sample": int(store.samples[rows[number]]),
            "symbol": chr(store.symbols[rows[number]]),
            "inputs": {role: values[number].ravel().tolist() for role, values in inputs.items()},
            "outputs": outputs[number].tolist(),
            **({"shifted_logits": shifted[number].round(6).tolist()} if config.prevalence else {}),
            "class": classes[called[number]],
        }
        for number in np.unique([0, min(1, len(rows) - 1), len(rows) - 1, *firsts[0], *firsts[1]])
    ]
    in_order = roles if model.facts.signal_index == 0 else roles[::-1]
    return {
        "scored": len(rows),
        "called": dict(zip(classes, np.bincount(called, minlength=len(classes)).tolist(), strict=True)),
        "inputs_sha256": _sha256(np.concatenate([inputs[role].reshape(len(rows), -1) for role in in_order], axis=1)),
        "outputs_sha256": _sha256(outputs),
        "beats": beats,
    }


def _sha256(values: np.ndarray) -> str:
    return hashlib.sha256(values.astype(values.dtype.newbyteorder("<")).tobytes()).hexdigest()
