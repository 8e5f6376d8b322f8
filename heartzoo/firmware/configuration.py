"""What the C sources are configured with: sizes, coefficients and taps, as ``heartzoo_config.h`` and ``.c``."""

from __future__ import annotations

import math

import numpy as np

from heartzoo.cheader import float_literal, wrapped_array
from heartzoo.contract import delay
from heartzoo.data import detection, template
from heartzoo.data.detection import BAND_HZ, LEARNING_S, LOOK_AHEAD_S, REFRACTORY_S
from heartzoo.data.quality import MOST_HELD_MV, MOST_MV, OFFSET_MV
from heartzoo.data.rr import ENTROPY_EDGES, FEATURES
from heartzoo.data.signal import RESAMPLING_REACH
from heartzoo.errors import UserError
from heartzoo.firmware.settings import Settings, section, sections, taps
from heartzoo.flatbuffer import TensorFacts
from heartzoo.prevalence import MEMORY_BEATS

MOST_PENDING = 255  # heartzoo_peaks.h counts in a byte
SLACK = 4  # samples that may come before a beat is asked for
LONG_HISTORY = ("pre_quantile70", "pre_slow", "post_slow")
SHAPES = list(template.TEMPLATE_FEATURES)[:9]


def config_header(settings: Settings) -> str:
    """The text of ``heartzoo_config.h``."""
    lines = [
        f"/* {settings.name} {settings.version}, recordings of {settings.recording_hz} Hz: generated, not to edit. */",
        "#ifndef HEARTZOO_CONFIG_H",
        "#define HEARTZOO_CONFIG_H",
        "",
        "#include <stdint.h>",
        "",
        *_definitions(_macros(settings)),
        "",
        f"typedef {settings.facts.signal.dtype}_t heartzoo_value; /* of the network's inputs and outputs */",
        "",
        *_declarations(settings),
        "",
        "#endif",
    ]
    return "\n".join(lines) + "\n"


def _definitions(macros: dict[str, object]) -> list[str]:
    """A line for each; one that the compiler's command line gives stays as it is given there."""
    lines = []
    for name, value in macros.items():
        line = f"#define {name} {value}"
        lines += [f"#ifndef {name}", line, "#endif"] if name == "HEARTZOO_DETECTS" else [line]
    return lines


def _macros(settings: Settings) -> dict[str, object]:
    contract, ratio = settings.contract, settings.ratio
    up, down = ratio.numerator, ratio.denominator
    half = RESAMPLING_REACH * max(up, down)
    rr, of_template = contract.rr_features, contract.template_features
    found: dict[str, object] = {
        "HEARTZOO_MODEL": f'"{settings.name}"',
        "HEARTZOO_VERSION": f'"{settings.version}"',
        "HEARTZOO_RECORDING_HZ": f"{settings.recording_hz}u",
        "HEARTZOO_MOST_MV": float_literal(MOST_MV),
        "HEARTZOO_OFFSET_MV": float_literal(OFFSET_MV),
        "HEARTZOO_MOST_HELD_MV": float_literal(MOST_HELD_MV),
        "HEARTZOO_HZ": float_literal(contract.fs),
        "HEARTZOO_RESAMPLES": int(ratio != 1),
        "HEARTZOO_UP": up,
        "HEARTZOO_DOWN": down,
    }
    if ratio != 1:
        found |= {"HEARTZOO_REACH": half, "HEARTZOO_OUTPUTS": 2 * half // down + 1}
    found |= {
        "HEARTZOO_SECTIONS": len(sections(contract)),
        "HEARTZOO_OF_BEATS": int(contract.cut != "rhythm"),
        "HEARTZOO_Z_SCORE": int(contract.cut in ("centred", "rhythm")),
        "HEARTZOO_DIFFERENCE": int(contract.cut == "difference"),
        "HEARTZOO_EPSILON_MV": float_literal(contract.epsilon),
        "HEARTZOO_FRAME": contract.frame,
        "HEARTZOO_RR_FEATURES": len(rr),
        "HEARTZOO_TEMPLATE_FEATURES": len(of_template),
        "HEARTZOO_FEATURES": len(contract.features),
        "HEARTZOO_SECOND_INPUT": int(bool(contract.beat_features)),
        "HEARTZOO_FOLLOWING_BEATS": delay(contract)["following_beats"],
        "HEARTZOO_HISTORY": _history(settings),
        "HEARTZOO_NEEDED_BEFORE": _needed(settings)[0],
        "HEARTZOO_NEEDED_AFTER": _needed(settings)[1],
        "HEARTZOO_SIGNAL": _signal_samples(settings),
        "HEARTZOO_PENDING": _pending(settings),
        "HEARTZOO_LATEST_PEAK_MS": latest_peak_ms(settings),
    }
    found |= {f"HEARTZOO_{name.upper()}": number for number, name in enumerate(FEATURES)}
    found |= _detector_macros(settings)
    found |= _template_macros(settings)
    found |= _tensor_macros(settings)
    return found


def _pending(settings: Settings) -> int:
    """How many R peaks may wait for what follows them.

    Raises:
        UserError: more than the C sources can count.
    """
    after_s = _needed(settings)[1] / settings.contract.fs
    pending = math.ceil((LEARNING_S + after_s) / REFRACTORY_S) + 3
    if pending > MOST_PENDING:
        raise UserError(f"{settings.name} waits for {after_s:g} s after an R peak", "take a model of shorter frames")
    return pending


def _history(settings: Settings) -> int:
    """How many intervals are kept: those of the longest H of the features, none where nothing needs one."""
    contract = settings.contract
    late = settings.contract.takes_template and contract.regular_beats == "late"
    if late or any(name in LONG_HISTORY for name in contract.rr_features):
        return 128
    return 64 if contract.rr_features or settings.contract.takes_template else 0


def _needed(settings: Settings) -> tuple[int, int]:
    """Samples before a beat and from it on that its input is cut from."""
    contract = settings.contract
    needed = [(0, 0)]
    if contract.cut == "centred":
        needed.append((contract.frame // 2, contract.frame - contract.frame // 2))
    if settings.contract.takes_template:
        needed.append(template.reach(contract.fs))
    before, after = zip(*needed, strict=True)
    return max(before), max(after)


def _signal_samples(settings: Settings) -> int:
    """How many samples are kept: a recording's end brings several at once."""
    up, down = settings.ratio.numerator, settings.ratio.denominator
    at_once = RESAMPLING_REACH * max(up, down) // down + SLACK
    if settings.contract.cut == "rhythm":
        return settings.contract.frame + at_once
    before, after = _needed(settings)
    late = math.ceil(LOOK_AHEAD_S * settings.contract.fs) if settings.detects else 0
    return before + max(after, late) + at_once


def latest_peak_ms(settings: Settings) -> int:
    """How long after an R peak it may still be given: as long as the signal before it is kept."""
    kept = _signal_samples(settings) - _needed(settings)[0] - SLACK
    return math.floor(1000 * kept / settings.contract.fs)


def _detector_macros(settings: Settings) -> dict[str, object]:
    if not settings.detects:
        return {"HEARTZOO_DETECTS": 0}
    fs = settings.contract.fs
    lengths = {
        "HEIGHT": detection.HEIGHT_S,
        "SLOPE": detection.SLOPE_S,
        "REFRACTORY": REFRACTORY_S,
        "T_WAVE_AFTER": detection.T_WAVE_S,
        "PEAK_BEFORE": detection.PEAK_BEFORE_S,
        "PEAK_AFTER": detection.PEAK_AFTER_S,
        "PAST_END": detection.END_S,
    }
    found = {name: detection.whole_samples(seconds, fs) for name, seconds in lengths.items()}
    intervals = {
        "FIRST_INTERVAL": detection.FIRST_INTERVAL_S,
        "SHORTEST_INTERVAL": detection.SHORTEST_S,
        "LONGEST_INTERVAL": detection.LONGEST_S,
    }
    return {
        "HEARTZOO_DETECTS": 1,
        **{f"HEARTZOO_{name}": length for name, length in found.items()},
        **{
            f"HEARTZOO_{name}": float_literal(detection.whole_samples(seconds, fs))
            for name, seconds in intervals.items()
        },
        "HEARTZOO_BAND": max(found["SLOPE"] + 3, found["HEIGHT"]),
        "HEARTZOO_LEARNING_S": LEARNING_S,
        "HEARTZOO_LEARNING": math.ceil(LEARNING_S * fs / found["REFRACTORY"]),
        "HEARTZOO_LAG": detection.lag_samples(settings.contract),
    }


def _template_macros(settings: Settings) -> dict[str, object]:
    if not settings.contract.takes_template:
        return {"HEARTZOO_TEMPLATE": 0}
    contract = settings.contract
    parts = {name.removesuffix("-wave").upper(): template.wave(name, contract.fs) for name in template.WAVES_S}
    samples = {"BEFORE": template.BEFORE_S, "AFTER": template.AFTER_S, "SHIFT": template.SHIFT_S}
    numbers = {name: number for number, name in enumerate(SHAPES)}
    others = [name for name in template.TEMPLATE_FEATURES if name not in SHAPES and not name.endswith("_unusual")]
    numbers |= {"unusual": len(SHAPES)} | {name: 2 * len(SHAPES) + place for place, name in enumerate(others)}
    return {
        "HEARTZOO_TEMPLATE": 1,
        **{f"HEARTZOO_{name}": round(seconds * contract.fs) for name, seconds in samples.items()},
        **{f"HEARTZOO_{name}_FROM": part.start for name, part in parts.items()},
        **{f"HEARTZOO_{name}_TO": part.stop for name, part in parts.items()},
        "HEARTZOO_FIRST_BEATS": template.FIRST_BEATS,
        "HEARTZOO_REGULAR_LATE": int(contract.regular_beats == "late"),
        "HEARTZOO_REGULAR_OCTAVES": float_literal(template.REGULAR_OCTAVES),
        "HEARTZOO_LATE_OCTAVES": f"({float_literal(template.LATE_OCTAVES)})",
        **{f"HEARTZOO_{name.upper()}": number for name, number in numbers.items()},
    }


def _tensor_macros(settings: Settings) -> dict[str, object]:
    facts = settings.facts
    ends = np.iinfo(facts.signal.dtype)
    tensors: dict[str, TensorFacts | None] = {"SIGNAL": facts.signal, "RR": facts.rr, "LOGITS": facts.logits}
    found: dict[str, object] = {
        "HEARTZOO_LOWEST": f"({float_literal(float(ends.min))})",
        "HEARTZOO_HIGHEST": float_literal(float(ends.max)),
    }
    for name, tensor in tensors.items():
        if tensor is not None:
            found |= {f"HEARTZOO_{name}_SCALE": float_literal(tensor.scale)}
            found |= {f"HEARTZOO_{name}_ZERO_POINT": f"({tensor.zero_point})"}
    return found | {
        "HEARTZOO_CLASSES": len(settings.classes),
        "HEARTZOO_TEMPERATURE": float_literal(settings.temperature),
        "HEARTZOO_THRESHOLD": float_literal(settings.threshold),
        "HEARTZOO_FOLLOWS": int(bool(settings.prevalence)),
        **({"HEARTZOO_MEMORY_BEATS": float_literal(MEMORY_BEATS)} if settings.prevalence else {}),
    }


def _declarations(settings: Settings) -> list[str]:
    declared = []
    if settings.ratio != 1:
        declared.append("extern const float heartzoo_taps[HEARTZOO_REACH + 1];")
    if settings.contract.rr_features:
        declared.append("extern const uint8_t heartzoo_rr_order[HEARTZOO_RR_FEATURES];")
    if settings.contract.template_features:
        declared.append("extern const uint8_t heartzoo_template_order[HEARTZOO_TEMPLATE_FEATURES];")
    if settings.prevalence:
        declared.append("extern const float heartzoo_usual[HEARTZOO_CLASSES], heartzoo_assumed[HEARTZOO_CLASSES];")
        declared.append("extern const uint8_t heartzoo_followed[HEARTZOO_CLASSES];")
    if _history(settings):
        declared.append(f"extern const float heartzoo_entropy_edges[{len(ENTROPY_EDGES)}];")
    return declared


def config_source(settings: Settings) -> str:
    """The text of ``heartzoo_config.c``."""
    contract = settings.contract
    parts = ['#include "heartzoo_config.h"', '#include "heartzoo_decision.h"', '#include "heartzoo_filter.h"', ""]
    if settings.ratio != 1:
        values = wrapped_array(taps(settings.ratio).astype(np.float32))
        parts.append(f"const float heartzoo_taps[HEARTZOO_REACH + 1] = {values};")
    if len(sections(contract)):
        rows = ",\n".join(_section_literal(row) for row in sections(contract).tolist())
        parts.append(f"const heartzoo_section heartzoo_sections[HEARTZOO_SECTIONS] = {{\n{rows}}};")
    if settings.detects:
        band = [section(contract.fs, BAND_HZ[0], "highpass"), section(contract.fs, BAND_HZ[1], "lowpass")]
        rows = ",\n".join(map(_section_literal, band))
        parts.append(f"const heartzoo_section heartzoo_band_sections[2] = {{\n{rows}}};")
    if contract.rr_features:
        names = ", ".join(f"HEARTZOO_{name.upper()}" for name in contract.rr_features)
        parts.append(f"const uint8_t heartzoo_rr_order[HEARTZOO_RR_FEATURES] = {{{names}}};")
    if contract.template_features:
        names = ", ".join(_template_number(name) for name in contract.template_features)
        parts.append(f"const uint8_t heartzoo_template_order[HEARTZOO_TEMPLATE_FEATURES] = {{{names}}};")
    parts += _prevalence(settings)
    if _history(settings):
        edges = wrapped_array(ENTROPY_EDGES.astype(np.float32))
        parts.append(f"const float heartzoo_entropy_edges[{len(ENTROPY_EDGES)}] = {edges};")
    names = ", ".join(f'"{name}"' for name in settings.classes)
    parts.append(f"const char *const heartzoo_class_names[HEARTZOO_CLASSES] = {{{names}}};")
    return "\n".join(parts) + "\n"


def _prevalence(settings: Settings) -> list[str]:
    """Usual and assumed prevalence of each class, 0 where its logit follows none, and the class whose it follows."""
    if not settings.prevalence:
        return []
    usual, assumed = np.zeros((2, len(settings.classes)), np.float32)
    followed = np.arange(len(settings.classes))
    for name, rule in settings.prevalence.items():
        column = settings.classes.index(name)
        usual[column], assumed[column] = rule.usual, rule.assumed
        followed[column] = settings.classes.index(rule.of or name)
    return [
        f"const float heartzoo_usual[HEARTZOO_CLASSES] = {wrapped_array(usual)};",
        f"const float heartzoo_assumed[HEARTZOO_CLASSES] = {wrapped_array(assumed)};",
        f"const uint8_t heartzoo_followed[HEARTZOO_CLASSES] = {wrapped_array(followed)};",
    ]


def _section_literal(row: list[float]) -> str:
    *filters, rest = (float_literal(value) for value in row)
    return f"{{{{{', '.join(filters[:3])}}}, {{{', '.join(filters[3:])}}}, {rest}}}"


def _template_number(name: str) -> str:
    if name.endswith("_unusual"):
        return f"HEARTZOO_UNUSUAL + HEARTZOO_{name.removesuffix('_unusual').upper()}"
    return f"HEARTZOO_{name.upper()}"
