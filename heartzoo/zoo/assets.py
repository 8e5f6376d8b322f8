"""The files of a version, from the network's two and what is known of it."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from heartzoo import cards, cheader
from heartzoo.cards.front_matter import weights_licence
from heartzoo.config import Config
from heartzoo.data.batches import model_inputs
from heartzoo.data.databases import get_database
from heartzoo.data.download import ensure
from heartzoo.data.preparation import prepare
from heartzoo.files import json_bytes
from heartzoo.flatbuffer import inspect
from heartzoo.metrics_file import Metrics, to_bytes
from heartzoo.runtime import TfliteModel
from heartzoo.zoo import index as zoo_index

GOLDEN_RECORD = "syn24"
GOLDEN_COUNT = 10


def version_files(
    config: Config,
    configuration: dict[str, Any],
    metrics: Metrics,
    keras_file: bytes,
    tflite: bytes,
    most_header_bytes: int = cheader.MAX_MODEL_BYTES,
) -> dict[str, bytes]:
    """File name -> content.

    Args:
        config: the model's configuration.
        configuration: the content of ``configuration.json``.
        metrics: the content of ``metrics.json``.
        keras_file: the content of ``model.keras``.
        tflite: the content of ``model.tflite``.
        most_header_bytes: a larger ``.tflite`` gets no C header.
    """
    files = {
        "configuration.json": json_bytes(configuration),
        "metrics.json": to_bytes(metrics),
        "model.keras": keras_file,
        "model.tflite": tflite,
    }
    if len(tflite) <= most_header_bytes:
        facts, golden, arena = inspect(tflite), golden_vectors(config, tflite), metrics.cost.arena_bytes
        about = metrics.model, metrics.version, tflite, metrics.classes
        licence = weights_licence(configuration)
        header = cheader.c_header(*about, facts, arena, golden, most_header_bytes, licence)
        files["model.h"] = header.encode("ascii")
    listed = {name: zoo_index.facts(content).model_dump() for name, content in files.items()}
    return files | {zoo_index.CARD: cards.card(configuration, metrics, listed).encode()}


def golden_vectors(config: Config, content: bytes) -> cheader.GoldenVectors:
    """Beats of a synthetic recording with the answers of the int8 file, spread over the recording's symbols."""
    database = get_database("synthetic")
    ensure(database, [GOLDEN_RECORD])
    store = prepare(database, [GOLDEN_RECORD], config.input)
    # One beat of each symbol in turn, so that rare classes are among them.
    order = np.argsort([(store.symbols[:i] == symbol).sum() for i, symbol in enumerate(store.symbols)], kind="stable")
    rows = np.sort(order[:GOLDEN_COUNT])
    frames, rr = store.frames(rows), store.features(rows)
    inputs = model_inputs(frames, rr, config.input)
    model = TfliteModel(content)
    quantized = {role: model.quantize(role, value) for role, value in inputs.items()}  # type: ignore[arg-type]
    return cheader.GoldenVectors(
        raw_frames=frames,
        rr=inputs.get("rr"),
        signal_quantized=quantized["signal"].reshape(len(rows), math.prod(frames.shape[1:])),
        rr_quantized=quantized.get("rr"),
        logits_quantized=model.run_quantized(quantized["signal"], quantized.get("rr")),
    )
