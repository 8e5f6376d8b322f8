"""Golden vectors: a synthetic recording, and what a correct port finds and quantizes in it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from heartzoo.cheader import GoldenVectors, wrapped_array
from heartzoo.data.batches import model_inputs
from heartzoo.data.beats import Examples, cut_beats, cut_frames
from heartzoo.data.front_end import FrontEnd
from heartzoo.data.records import Record
from heartzoo.data.synthetic import generate
from heartzoo.firmware.settings import Settings
from heartzoo.runtime import TfliteModel

RECORD, DURATION_S = "syn24", 30.0
COUNTS_PER_MV = 200
HEADER_EXAMPLES = 10


@dataclass(frozen=True)
class Golden:
    """What the firmware is tested with; ``n`` beats (frames, where the model labels frames).

    Attributes:
        counts: int16, the recording in 1/200 mV.
        samples: positions in it, shape (n,).
        frames: float32 ``(n, frame)``, before normalisation.
        features: float32 ``(n, features)``, R-R features, then template features.
        signal: the network's first input, quantized, ``(n, frame)``.
        rr: its input ``rr``, ``(n, features)``; None where it has none.
        logits: its answers, ``(n, classes)``.
    """

    counts: np.ndarray
    samples: np.ndarray
    frames: np.ndarray
    features: np.ndarray
    signal: np.ndarray
    rr: np.ndarray | None
    logits: np.ndarray

    def header_vectors(self) -> GoldenVectors:
        """The first of them as ``model.h`` holds them: the network's inputs and outputs alone."""
        first = slice(HEADER_EXAMPLES)
        given = self.rr is not None
        return GoldenVectors(
            raw_frames=self.frames[first],
            rr=self.features[first] if given else None,
            signal_quantized=self.signal[first],
            rr_quantized=self.rr[first] if self.rr is not None else None,
            logits_quantized=self.logits[first],
        )


def golden(settings: Settings, model: TfliteModel) -> Golden:
    """Make golden vectors.

    Args:
        settings: what the firmware is made for.
        model: the network.
    """
    record = generate(RECORD, DURATION_S, settings.recording_hz)
    counts = np.rint(record.signal * COUNTS_PER_MV).astype(np.int16)
    signal = (counts / np.float32(COUNTS_PER_MV)).astype(np.float32)
    return expected(settings, model, replace(record, signal=signal.astype(np.float64)), counts)


def expected(settings: Settings, model: TfliteModel, record: Record, counts: np.ndarray) -> Golden:
    """What is found in a recording; its own beats count only where none are detected."""
    contract = settings.contract
    examples = _examples(settings, record)
    inputs = model_inputs(examples.frames, examples.rr, contract)
    signal = model.quantize("signal", inputs["signal"]).reshape(len(examples.frames), -1)
    rr = model.quantize("rr", inputs["rr"]) if "rr" in inputs else None
    return Golden(
        counts=counts,
        samples=examples.samples,
        frames=examples.frames,
        features=examples.rr,
        signal=signal,
        rr=rr,
        logits=model.run_quantized(signal, rr),
    )


def _examples(settings: Settings, record: Record) -> Examples:
    if settings.contract.cut == "rhythm":
        return cut_frames(record, settings.contract)
    return detected_beats(settings, record) if settings.detects else cut_beats(record, settings.contract)


def detected_beats(settings: Settings, record: Record) -> Examples:
    """The beats that the detector finds, as they are cut while the recording goes on."""
    front_end = FrontEnd(settings.contract, record.fs)
    return Examples.joined([front_end.push(record.signal), front_end.finish()])


def golden_header(vectors: Golden) -> str:
    """The text of ``golden.h``."""
    return "\n".join(
        [
            "/* A synthetic recording and what is to be found in it: generated, not to edit. */",
            "#ifndef GOLDEN_H",
            "#define GOLDEN_H",
            '#include "heartzoo.h"',
            f"#define HEARTZOO_GOLDEN_SAMPLES {len(vectors.counts)}",
            f"#define HEARTZOO_GOLDEN_PER_MV {COUNTS_PER_MV}.0f",
            f"#define HEARTZOO_GOLDEN_BEATS {len(vectors.samples)}",
            f"static const int16_t heartzoo_golden_counts[HEARTZOO_GOLDEN_SAMPLES] = {wrapped_array(vectors.counts)};",
            "typedef struct {",
            "  uint32_t sample;",
            "  heartzoo_value signal[HEARTZOO_FRAME];",
            *(["  heartzoo_value rr[HEARTZOO_FEATURES];"] if vectors.rr is not None else []),
            "  heartzoo_value logits[HEARTZOO_CLASSES]; /* the network's answer */",
            *(["  float features[HEARTZOO_FEATURES]; /* before quantization */"] if vectors.features.size else []),
            "} heartzoo_golden_beat;",
            "static const heartzoo_golden_beat heartzoo_golden_beats[HEARTZOO_GOLDEN_BEATS] = {",
            *_beats(vectors),
            "};",
            "#endif",
            "",
        ]
    )


def _beats(vectors: Golden) -> Iterator[str]:
    fields = [vectors.signal, vectors.rr, vectors.logits, vectors.features]
    present = [field for field in fields if field is not None and field.size]
    for number, sample in enumerate(vectors.samples.tolist()):
        yield f"{{{sample}, " + ",\n".join(wrapped_array(field[number]) for field in present) + "},"
