"""How to use a version: snippets that run as printed, in Python, on the command line, and in C."""

from __future__ import annotations

from typing import Any

import numpy as np

from heartzoo.cheader import symbol_of
from heartzoo.config.file import parse_config
from heartzoo.metrics_file import Metrics
from heartzoo.tasks import TASKS

PYTHON = """```python
import heartzoo as hz

model = hz.load_tflite("{label}")  # the int8 file, run by TFLite Micro
record = hz.open_record("synthetic", "syn24")  # or ("mitdb", "101"): fetched from PhysioNet at the first use
{labels}
print(labels[:10])
```"""
BEAT_LABELS = "labels = model.label_beats(record)  # of every annotated beat; it does the preprocessing"
FRAME_LABELS = "labels = model.label_frames(record)  # of one frame after the other; it does the preprocessing"
SHELL = """```
heartzoo download {label} --out src/   # or some of its files: --asset model.tflite
heartzoo zoo verify {label}
heartzoo evaluate {label}{runtime}
```"""
C = """`model.h` holds the model, its scales, what to register with TFLite Micro, and golden vectors. This C99 program
checks a port's normalisation and quantization against them, on a computer (`cc -std=c99 main.c -lm`) or on a board:

```c
#include <math.h>
#include <stdio.h>
#include "model.h"

int main(void) {{
  int wrong = 0;
  for (int k = 0; k < {macro}_GOLDEN_COUNT; ++k) {{
    const {golden_type} *golden = &{golden}[k];
{normalise}    for (int i = 0; i < {macro}_SAMPLES; ++i) {{
      float stored = nearbyintf({value} / {macro}_SIGNAL_SCALE) + (float){macro}_SIGNAL_ZERO_POINT;
      stored = fminf(fmaxf(stored, {low}.0f), {high}.0f);
      wrong += fabsf(stored - (float)golden->signal_{dtype}[i]) > 1.0f;
    }}
  }}
  printf("%d values of the input differ by more than 1; %u bytes of model, %d of arena\\n", wrong,
         (unsigned)sizeof {model}, {arena});
  return wrong != 0;
}}
```

{inputs} Register the operators that the header lists with a
`tflite::MicroMutableOpResolver`, give the interpreter that arena, copy the stored values into the input tensor, call
`Invoke()`; the class is the largest {largest}."""
STANDARDISE = """    float mean = 0.0f, squares = 0.0f;
    for (int i = 0; i < {macro}_SAMPLES; ++i) mean += golden->raw_frame[i] / {macro}_SAMPLES;
    for (int i = 0; i < {macro}_SAMPLES; ++i) squares += (golden->raw_frame[i] - mean) * (golden->raw_frame[i] - mean);
    const float divisor = sqrtf(squares / {macro}_SAMPLES) + {epsilon}f;
"""
OWN_INPUTS = "In firmware the network's inputs come from your own preprocessing."
MADE_INPUTS = (
    "`heartzoo firmware {label} --out firmware/` writes preprocessing and network in C99. With `model.h` alone the "
    "network's inputs come from your own preprocessing."
)
OWN_ZOO = "Name the zoo that holds it: `--zoo FOLDER`, `zoo=FOLDER` in Python, or `HEARTZOO_ZOO` in the environment."
NO_HEADER = "The model is too large for a C header; `xxd -i model.tflite` makes an array of it."


def usage(configuration: dict[str, Any], metrics: Metrics, files: dict[str, Any]) -> str:
    """The section's text.

    Args:
        configuration: the content of ``configuration.json``.
        metrics: the content of ``metrics.json``.
        files: the version's other files, by name.
    """
    label = f"{configuration['name']}@{configuration['version']}"
    labels = FRAME_LABELS if TASKS[metrics.task].of_rhythm else BEAT_LABELS
    runtime = f" --runtime {metrics.first.runtime}" if metrics.first.runtime != "tflm" else ""
    parts = [OWN_ZOO] * bool(configuration.get("own_data"))
    parts += [PYTHON.format(label=label, labels=labels), SHELL.format(label=label, runtime=runtime)]
    parts.append(_c(configuration, metrics) if "model.h" in files else NO_HEADER)
    return "\n\n".join(parts)


def _c(configuration: dict[str, Any], metrics: Metrics) -> str:
    symbol = symbol_of(configuration["name"])
    signal = next(tensor for tensor in configuration["tensors"]["inputs"] if tensor["role"] == "signal")
    config = parse_config(configuration["config"], "configuration.json")
    normalise, value = "", "golden->raw_frame[i]"
    if config.input.cut in ("centred", "rhythm"):
        normalise = STANDARDISE.format(macro=symbol.upper(), epsilon=config.input.epsilon)
        value = f"({value} - mean) / divisor"
    elif config.input.cut == "difference":
        value = f"fminf(fmaxf({value}, -1.0f), 1.0f)"
    ends = np.iinfo(signal["dtype"])
    label = f"{configuration['name']}@{configuration['version']}"
    return C.format(
        inputs=MADE_INPUTS.format(label=label) if config.input.cut != "r-peak" else OWN_INPUTS,
        macro=symbol.upper(),
        golden=f"{symbol}_golden",
        golden_type=f"{symbol}_golden_t",
        model=f"{symbol}_model",
        arena=f"{symbol.upper()}_ARENA_BYTES" if metrics.cost.arena_bytes else "0",
        dtype=signal["dtype"],
        low=ends.min,
        high=ends.max,
        normalise=normalise,
        value=value,
        largest="of the shifted logits (see the input contract), as `heartzoo firmware` has it"
        if config.prevalence
        else "output",
    )
