"""The README of a firmware folder."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

from heartzoo.contract import NOTICE
from heartzoo.data.detection import LOOK_AHEAD_S
from heartzoo.data.front_end import FrontEnd
from heartzoo.firmware.configuration import latest_peak_ms
from heartzoo.firmware.measurement import BoardRun, Sizes
from heartzoo.firmware.settings import Settings, taps
from heartzoo.interpreters import RUNTIMES, default_runtime

LARGE_FILTER_BYTES = 8192
PAGE = """\
# {name} {version} for a microcontroller

{notice}

Recordings of {hz} Hz, one lead, in mV; {what} {classes}.

## Costs

{costs}

## Delay

{delay}

## Use

```c
#include "heartzoo_classifier.h"

static heartzoo_state state;

static void on_label(const heartzoo_label *label, void *context) {{
  /* label->sample, heartzoo_class_names[label->decision.label], label->decision.confidence, label->decision.sure */
}}

if (heartzoo_classifier_start() != 0) halt();  /* too small an arena? */
heartzoo_start(&state);
for (;;) {{  /* as the samples come, any number at a time; in a task, not in the interrupt that samples */
  if (heartzoo_classify(&state, millivolts, count, on_label, NULL) != 0) report();  /* a {unit} has got no label */
}}
```

Without TFLite Micro, leave `heartzoo_classifier.cc` out: `heartzoo_push()` and `heartzoo_next()` of `heartzoo.h` give
the network's quantized inputs, `heartzoo_decide(&state.prevalence, state.personal, outputs)` makes a class and a
confidence of its outputs, once for each {unit}.

- `sure` is 0 where the confidence is below the model's threshold ({threshold}): who can abstain does so.
- A sample is 1 mV for 1.0f; NaN, where one is missing, is taken as the sample before it. Give NaN while a lead is off
  and while the converter is at its rail: {rail}.
- An offset of the electrodes is subtracted; the converter's rail is the limit.
- Positions are right for {days} days: before, call `heartzoo_finish()`, take the last {unit}s, call `heartzoo_start()`.
{hours}- Everything is in float; nothing allocates; one `heartzoo_state` for each lead. Call `heartzoo_next()` until it
  gives NULL after every sample, as `heartzoo_classify()` does.
{given}
## Build

Compile all `.c` files (C99, no dependency but `<math.h>`, `<stdint.h>`, `<string.h>`) and `heartzoo_classifier.cc`
(C++17, with TFLite Micro's folder in the include path; it registers {operators}).
`-ffast-math` does not compile: it knows no NaN.

`test/classifier_test.cc`, built with all that, takes the golden recording from samples to labels. Run it once on your
board: older versions of TFLite Micro know one scale for all channels of a fully connected layer, where this file has
one for each, and answer wrongly without a word. The answers expected are those of {runtime}.

```
make test      # the golden recording through the preprocessing, on this computer
make size      # flash on a Cortex-M4F and M0+, with arm-none-eabi-gcc
make board     # the golden recording on an emulated board, for both, with qemu-system-arm; counts instructions
make classifier TFLITE_MICRO_FLAGS=... TFLITE_MICRO_LIBRARY=...   # the same, through the network too: see the Makefile
```

## Files

| file | what |
| --- | --- |
| `heartzoo.h`, `heartzoo.c` | samples in, the network's inputs out: the header to include, from C or C++ |
| `heartzoo_resample`, `_filter`, `_signal`, `_detector`, `_peaks`, `_rr`, `_lost`, `_template`, `_quantize` | parts |
| `heartzoo_decision` | the network's outputs in, a class and how sure it is out |
| `heartzoo_config.h`, `heartzoo_config.c` | sizes, coefficients, taps, scales of this model at this sampling rate |
| `heartzoo_classifier.h`, `heartzoo_classifier.cc` | the network in TFLite Micro: from samples to labels |
| `model.h` | the network as an array, and golden vectors of it alone |
| `test/` | the golden recording, the test, and what the emulated board needs |

To generate it anew: `heartzoo firmware {name}@{version} --fs {hz} --out DIR`.
"""

RAIL_BEATS = """\
the steps there and back look like large beats, and what is learned of the
  patient from them makes labels wrong for minutes"""

HOURS = """\
- Intervals are compared with the mean of all since `heartzoo_start()`: after an hour or more at another heart rate,
  call it anew. Models with the features `pre_usual` and `post_usual` instead need not.
"""


@dataclass(frozen=True)
class Measured:
    """What was measured of a folder, by core: sizes, and the run on the emulated board."""

    sizes: dict[str, Sizes]
    boards: dict[str, BoardRun]

    @property
    def state_bytes(self) -> int:
        """Of ``heartzoo_state``, on any 32-bit core."""
        return max(board.state_bytes for board in self.boards.values())


def readme(settings: Settings, delay: dict[str, Any], arena: int, model_bytes: int, measured: Measured | None) -> str:
    """The text of ``README.md``.

    Args:
        settings: what the folder is made for.
        delay: of the contract.
        arena: bytes of TFLite Micro's arena.
        model_bytes: size of the ``.tflite``.
        measured: None where the tools to measure are not installed.
    """
    of_beats = settings.contract.cut != "rhythm"
    given = (
        "- To take R peaks of another detector, compile everything with `-DHEARTZOO_DETECTS=0` and call\n"
        f"  `heartzoo_add_peak()` within {latest_peak_ms(settings) / 1000:.1f} s of each. "
        "`make clean test CFLAGS=-DHEARTZOO_DETECTS=0` gives the\n  golden recording's.\n"
        if settings.detects
        else ""
    )
    return PAGE.format(
        name=settings.name,
        version=settings.version,
        notice=NOTICE,
        hz=settings.recording_hz,
        what="beats are labelled" if of_beats else "frames are labelled",
        unit="beat" if of_beats else "frame",
        rail=RAIL_BEATS if of_beats else "the steps there and back look like large beats",
        classes=", ".join(settings.classes),
        costs=_costs(settings, arena, model_bytes, measured),
        delay=_delay(settings, delay),
        threshold=f"{settings.threshold:.3f}" if settings.threshold else "it has none, so always 1",
        given=given,
        days=int(min(2**31 / settings.contract.fs, 2**32 / settings.recording_hz) // 86_400),
        hours=HOURS if {"pre_mean", "post_mean"} & {*settings.contract.rr_features} else "",
        operators=", ".join(sorted(settings.facts.operators)),
        runtime=_runtime(),
    )


def _runtime() -> str:
    name = default_runtime()
    return f"tflite-micro {version('tflite-micro')}" if name == "tflm" else RUNTIMES[name]


def _costs(settings: Settings, arena: int, model_bytes: int, measured: Measured | None) -> str:
    rows = ["| | bytes |", "| --- | --- |"]
    filter_bytes = 0 if settings.ratio == 1 else 4 * len(taps(settings.ratio))
    if measured is not None:
        rows += [
            f"| flash, preprocessing, {core} (`-O2`, without the C library) | {size.flash:,} |"
            for core, size in measured.sizes.items()
        ]
        rows += [
            f"| RAM, preprocessing (`heartzoo_state`) | {measured.state_bytes:,} |",
            *(f"| stack, preprocessing, {core} | {board.stack_bytes:,} |" for core, board in measured.boards.items()),
        ]
    if filter_bytes:
        part = ", of which" if measured is not None else ", preprocessing:"
        rows.append(f"| flash{part} the resampler's filter for {settings.recording_hz} Hz | {filter_bytes:,} |")
    rows += [f"| flash, network | {model_bytes:,} |", f"| RAM, TFLite Micro's arena (64-bit host) | {arena:,} |"]
    if measured is None:
        what = "Flash and RAM of the preprocessing were not measured, for want of the tools: `make size`, `make board`."
    else:
        what = "Instructions of the preprocessing in the golden recording, on an emulated board: " + "; ".join(
            f"{board.instructions_per_second:,} on a {core} for a second of ECG, at most {board.push_instructions:,} "
            f"for a call of `heartzoo_push()` and {board.next_instructions:,} for one of `heartzoo_next()`"
            for core, board in measured.boards.items()
        )
        what += ". Let as many samples queue as come while such a call and the network run."
    if filter_bytes > LARGE_FILTER_BYTES:
        what += (
            f" The resampler's filter is large because {settings.recording_hz} and {settings.contract.fs:g} Hz have no "
            "small ratio; a rate that has one needs far less."
        )
    return "\n".join([*rows, "", what])


def _delay(settings: Settings, delay: dict[str, Any]) -> str:
    count, rule = delay["following_beats"], delay["rule"].removeprefix("the later of the two; ")
    beats = f", or {count} following beat{'s' * (count != 1)}, whichever is later" if count else ""
    lines = [f"{delay['seconds']:.2f} s after the R peak{beats}; {rule}."]
    if settings.contract.cut == "rhythm":
        lines = [f"{delay['seconds']:.2f} s {delay['rule']}."]
    if settings.detects:
        latest = FrontEnd(settings.contract, settings.recording_hz).longest_delay_s
        lines.append(
            f"An R peak itself is certain about 0.3 s after it, at the latest {LOOK_AHEAD_S:g} s; with all that, a "
            f"label comes at most {latest:.1f} s after its R peak."
        )
    return " ".join(lines)
