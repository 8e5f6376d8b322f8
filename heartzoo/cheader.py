"""A model as one C header: the bytes, what TFLite Micro needs to run them, and golden vectors to test a port with."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from heartzoo.errors import UserError
from heartzoo.flatbuffer import ModelFacts, TensorFacts
from heartzoo.interpreters import RUNTIMES, default_runtime

MAX_MODEL_BYTES = 256 * 1024
LICENCE = "Apache-2.0"  # of heartzoo's code
# Operators whose name in MicroMutableOpResolver is not the schema's in camel case.
_RESOLVER_NAMES = {
    "BATCH_MATMUL": "BatchMatMul",
    "CUMSUM": "CumSum",
    "PADV2": "PadV2",
    "UNIDIRECTIONAL_SEQUENCE_LSTM": "UnidirectionalSequenceLSTM",
}


@dataclass(frozen=True)
class GoldenVectors:
    """Examples with the answers that a correct port gives, ``n`` of each.

    Attributes:
        raw_frames: float32 ``(n, samples)``, before normalisation, in mV; of a network on features alone these.
        rr: float32 ``(n, features)``, R-R features before quantization; None without R-R input.
        signal_quantized: int8 (int16) ``(n, samples)``, the frame normalised and quantized.
        rr_quantized: int8 (int16) ``(n, features)``; None without R-R input.
        logits_quantized: int8 (int16) ``(n, classes)``, the network's output.
    """

    raw_frames: np.ndarray
    rr: np.ndarray | None
    signal_quantized: np.ndarray
    rr_quantized: np.ndarray | None
    logits_quantized: np.ndarray


def c_header(
    name: str,
    version: str,
    content: bytes,
    classes: Sequence[str],
    facts: ModelFacts,
    arena_bytes: int | None,
    golden: GoldenVectors,
    max_model_bytes: int = MAX_MODEL_BYTES,
    weights_licence: str = LICENCE,
) -> str:
    """Write a model as a header for C99 and C++11 compilers.

    Args:
        name: the model's name, such as ``beat-3-eff-sm``; the header's names derive from it.
        version: the model's version.
        content: the bytes of the .tflite file.
        classes: class names in the order of the logits.
        facts: what :func:`heartzoo.flatbuffer.inspect` read from ``content``.
        arena_bytes: what :func:`heartzoo.interpreters.smallest_arena_bytes` measured; None where it could not.
        golden: test vectors.
        max_model_bytes: a larger model is refused.
        weights_licence: of the model's bytes.

    Returns:
        The header's text, ASCII.

    Raises:
        UserError: the model is larger than ``max_model_bytes``.
    """
    if len(content) > max_model_bytes:
        raise UserError(
            f"expected a model of at most {max_model_bytes:,} bytes for a C header, found {len(content):,}",
            "ask for a header of this size with --large-header",
        )
    symbol = symbol_of(name)
    macro = symbol.upper()
    parts = [
        _opening(name, version, macro, facts.logits.dtype, weights_licence),
        _constants(macro, classes, facts, arena_bytes, golden),
        _operators(macro, facts),
        _class_names(symbol, classes),
        _model_bytes(symbol, content),
        _golden_vectors(symbol, golden),
        f"#endif /* {macro}_H */",
    ]
    return "\n\n".join(parts) + "\n"


def symbol_of(name: str) -> str:
    """What the names in a model's header begin with."""
    return "heartzoo_" + re.sub(r"\W", "_", name, flags=re.ASCII)


def _opening(name: str, version: str, macro: str, dtype: str, weights_licence: str) -> str:
    licence = LICENCE
    if weights_licence != LICENCE:
        stated = weights_licence.encode("ascii", "replace").decode().replace("*/", "* /")
        licence = (
            f"{LICENCE} AND LicenseRef-weights\n * LicenseRef-weights, of the model's bytes: {' '.join(stated.split())}"
        )
    return f"""\
/* {name} {version}, an {dtype} ECG model for TensorFlow Lite for Microcontrollers, from heartzoo.
 *
 * NOT A MEDICAL DEVICE: for research and education only, not for diagnosis or treatment.
 *
 * SPDX-License-Identifier: {licence}
 * The notices of the data it was trained on are in the model's README.md, the preprocessing in its configuration.json.
 */
#ifndef {macro}_H
#define {macro}_H

#include <stdint.h>

#ifndef HEARTZOO_ALIGN16
#if defined(__cplusplus) && __cplusplus >= 201103L
#define HEARTZOO_ALIGN16 alignas(16)
#elif defined(__STDC_VERSION__) && __STDC_VERSION__ >= 201112L
#define HEARTZOO_ALIGN16 _Alignas(16)
#elif defined(__GNUC__)
#define HEARTZOO_ALIGN16 __attribute__((aligned(16)))
#elif defined(_MSC_VER)
#define HEARTZOO_ALIGN16 __declspec(align(16))
#else
#error "define HEARTZOO_ALIGN16 as this compiler's way of aligning an array to 16 bytes"
#endif
#endif

#define {macro}_VERSION "{version}\""""


def _constants(
    macro: str, classes: Sequence[str], facts: ModelFacts, arena_bytes: int | None, golden: GoldenVectors
) -> str:
    ends = np.iinfo(facts.signal.dtype)
    lines = [
        f"/* stored = clip(round(value / SCALE) + ZERO_POINT, {ends.min}, {ends.max}); "
        "value = (stored - ZERO_POINT) * SCALE */"
    ]
    lines += [f"#define {macro}_SAMPLES {facts.signal.shape[2]}"]
    lines += _quantization(f"{macro}_SIGNAL", facts.signal, facts.signal_index)
    if facts.rr is not None:
        lines += [f"#define {macro}_RR_FEATURES {facts.rr.shape[1]}"]
        lines += _quantization(f"{macro}_RR", facts.rr, 1 - facts.signal_index)
    lines += [f"#define {macro}_CLASSES {len(classes)}"]
    lines += _quantization(f"{macro}_LOGITS", facts.logits, 0)
    if arena_bytes is None:
        lines += ["/* The arena was not measured: the tflite-micro package was not installed at export. */"]
    else:
        lines += ["/* In less it is not made ready, on a 64-bit host; a 32-bit core takes 10 to 15 % less. */"]
        lines += [f"#define {macro}_ARENA_BYTES {arena_bytes}"]
    lines += [f"#define {macro}_GOLDEN_COUNT {len(golden.raw_frames)}"]
    return "\n".join(lines)


def _quantization(prefix: str, tensor: TensorFacts, index: int) -> list[str]:
    return [
        f"#define {prefix}_INDEX {index}",
        f"#define {prefix}_SCALE {float_literal(tensor.scale)}",
        f"#define {prefix}_ZERO_POINT ({tensor.zero_point})",
    ]


def _operators(macro: str, facts: ModelFacts) -> str:
    kinds = sorted(facts.operators)
    stateful = " * Call interpreter.Reset() before each frame: an LSTM goes on from the state it was left in."
    calls = [f" *   resolver.Add{resolver_name(kind)}();  // {facts.operators[kind]} times" for kind in kinds]
    return "\n".join(
        [
            f"#define {macro}_OPERATORS {len(kinds)}",
            "/* The operators to register:",
            f" *   tflite::MicroMutableOpResolver<{macro}_OPERATORS> resolver;",
            *calls,
            *([stateful] if facts.keeps_state else []),
            " */",
        ]
    )


def resolver_name(operator: str) -> str:
    """TFLite Micro's name for an operator, as in ``resolver.AddConv2D()``."""
    words = (word if word[0].isdigit() else word.capitalize() for word in operator.split("_"))
    return _RESOLVER_NAMES.get(operator) or "".join(words)


def _class_names(symbol: str, classes: Sequence[str]) -> str:
    names = ", ".join(json.dumps(name) for name in classes)  # JSON's escapes are C's
    return f"static const char *const {symbol}_classes[{symbol.upper()}_CLASSES] = {{{names}}};"


def _model_bytes(symbol: str, content: bytes) -> str:
    rows = [content[i : i + 20] for i in range(0, len(content), 20)]
    return "\n".join(
        [
            f"HEARTZOO_ALIGN16 static const unsigned char {symbol}_model[] = {{",
            *("0x" + row.hex(",").replace(",", ",0x") + "," for row in rows),
            "};",
            f"#define {symbol.upper()}_MODEL_BYTES {len(content)}",
        ]
    )


def _golden_vectors(symbol: str, golden: GoldenVectors) -> str:
    macro, dtype = symbol.upper(), golden.logits_quantized.dtype
    fields = [
        (f"float raw_frame[{macro}_SAMPLES]; /* mV before normalisation, or the features */", golden.raw_frames),
        (f"float rr[{macro}_RR_FEATURES];", golden.rr),
        (
            f"{dtype}_t signal_{dtype}[{macro}_SAMPLES]; /* after normalisation and quantization */",
            golden.signal_quantized,
        ),
        (f"{dtype}_t rr_{dtype}[{macro}_RR_FEATURES];", golden.rr_quantized),
        (f"{dtype}_t logits_{dtype}[{macro}_CLASSES];", golden.logits_quantized),
    ]
    present = [(field, values) for field, values in fields if values is not None]
    rows = (
        "{" + ",\n".join(wrapped_array(values[row]) for _, values in present) + "},"
        for row in range(len(golden.raw_frames))
    )
    return "\n".join(
        [
            f"/* Synthetic ECG and the answers of {RUNTIMES[default_runtime()]}:",
            f"   signal_{dtype} (and rr_{dtype}) must give logits_{dtype}. */",
            "typedef struct {",
            *(f"  {field}" for field, _ in present),
            f"}} {symbol}_golden_t;",
            f"static const {symbol}_golden_t {symbol}_golden[{macro}_GOLDEN_COUNT] = {{",
            *rows,
            "};",
        ]
    )


def wrapped_array(values: np.ndarray) -> str:
    """A C initialiser of a one-dimensional array."""
    is_float = np.issubdtype(values.dtype, np.floating)
    return "{" + ",".join(_wrapped([float_literal(v) if is_float else str(v) for v in values.tolist()])) + "}"


def _wrapped(words: list[str]) -> Iterable[str]:
    return (word if index % 12 else "\n" + word for index, word in enumerate(words))


def float_literal(value: float) -> str:
    """A C float literal that reads back as the same float32."""
    text = f"{value:.9g}"
    return (text if set(text) & set(".e") else text + ".0") + "f"
