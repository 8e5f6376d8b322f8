"""The C++ file that runs the network with TFLite Micro, and its header for C."""

from __future__ import annotations

from heartzoo.cheader import resolver_name, symbol_of
from heartzoo.firmware.settings import Settings

HEADER = """\
/* From samples to labels: the preprocessing, then the network, run by TFLite Micro. Generated, not to edit. */
#ifndef HEARTZOO_CLASSIFIER_H
#define HEARTZOO_CLASSIFIER_H

#include <stddef.h>

#include "heartzoo.h"

#ifdef __cplusplus
extern "C" {{
#endif

/* Bytes of TFLite Micro's arena: the fewest that were enough on a 64-bit host; a 32-bit core takes 10 to 15 % less. */
#ifndef HEARTZOO_ARENA_BYTES
#define HEARTZOO_ARENA_BYTES {arena}
#endif

typedef struct {{
  uint32_t sample; /* of the R peak (of the frame's first sample) in the recording, counted from 0 */
  heartzoo_decision decision;
}} heartzoo_label;

typedef void (*heartzoo_on_label)(const heartzoo_label *label, void *context);

/* Make the network ready, before everything else. 0, or -1 where TFLite Micro refuses it. There is one network and one
 * arena, for all leads: one caller at a time. */
int heartzoo_classifier_start(void);

/* The network's output for one beat. 0, or -1 where TFLite Micro fails. */
int heartzoo_classifier_run(const heartzoo_beat *beat, heartzoo_value logits[HEARTZOO_CLASSES]);

/* Take samples of a recording, in mV, any number at a time; `on_label` is called for each beat that they decide.
 * 0, or -1 where TFLite Micro failed: all samples are taken nevertheless, a beat that it failed on gets no label. */
int heartzoo_classify(heartzoo_state *state, const float *millivolts, size_t count, heartzoo_on_label on_label,
                      void *context);

/* The recording is over: the beats that are left. */
int heartzoo_classify_end(heartzoo_state *state, heartzoo_on_label on_label, void *context);

#ifdef __cplusplus
}}
#endif

#endif
"""

SOURCE = """\
// {name} {version} in TFLite Micro. Generated, not to edit.
#include "heartzoo_classifier.h"

#include <string.h>

#include "model.h"
#include "tensorflow/lite/micro/micro_interpreter.h"
#include "tensorflow/lite/micro/micro_mutable_op_resolver.h"
#include "tensorflow/lite/schema/schema_generated.h"

namespace {{

alignas(16) uint8_t arena[HEARTZOO_ARENA_BYTES];
tflite::MicroInterpreter *interpreter = nullptr;

int give_labels(heartzoo_state *state, heartzoo_on_label on_label, void *context) {{
  int failed = 0;
  while (const heartzoo_beat *beat = heartzoo_next(state)) {{
    heartzoo_value logits[HEARTZOO_CLASSES];
    if (heartzoo_classifier_run(beat, logits) != 0) {{
      failed = -1;
      continue;
    }}
    const heartzoo_label label = {{beat->sample, heartzoo_decide(&state->prevalence, state->personal, logits)}};
    on_label(&label, context);
  }}
  return failed;
}}

}}  // namespace

int heartzoo_classifier_start(void) {{
  if (interpreter != nullptr) return 0;
  const tflite::Model *model = tflite::GetModel({symbol}_model);
  if (model->version() != TFLITE_SCHEMA_VERSION) return -1;
  static tflite::MicroMutableOpResolver<{operators}> resolver;
{registrations}
  static tflite::MicroInterpreter instance(model, resolver, arena, sizeof arena);
  if (instance.AllocateTensors() != kTfLiteOk) return -1;
  if (instance.input({signal_index})->bytes != sizeof(heartzoo_beat::signal)) return -1;  // model.h of another model
  interpreter = &instance;
  return 0;
}}

int heartzoo_classifier_run(const heartzoo_beat *beat, heartzoo_value logits[HEARTZOO_CLASSES]) {{
  if (interpreter == nullptr) return -1;
{reset}  memcpy(interpreter->input({signal_index})->data.raw, beat->signal, sizeof beat->signal);
{second}  if (interpreter->Invoke() != kTfLiteOk) return -1;
  memcpy(logits, interpreter->output(0)->data.raw, HEARTZOO_CLASSES * sizeof *logits);
  return 0;
}}

int heartzoo_classify(heartzoo_state *state, const float *millivolts, size_t count, heartzoo_on_label on_label,
                      void *context) {{
  int failed = 0;
  for (size_t i = 0; i < count; i++) {{
    heartzoo_push(state, millivolts[i]);
    if (give_labels(state, on_label, context) != 0) failed = -1;
  }}
  return failed;
}}

int heartzoo_classify_end(heartzoo_state *state, heartzoo_on_label on_label, void *context) {{
  heartzoo_finish(state);
  return give_labels(state, on_label, context);
}}
"""


def classifier_header(arena_bytes: int) -> str:
    """The text of ``heartzoo_classifier.h``."""
    return HEADER.format(arena=arena_bytes)


def classifier_source(settings: Settings) -> str:
    """The text of ``heartzoo_classifier.cc``, which registers exactly the operators of the network."""
    facts = settings.facts
    calls = [
        f"  if (resolver.Add{resolver_name(operator)}() != kTfLiteOk) return -1;"
        for operator in sorted(facts.operators)
    ]
    second = f"  memcpy(interpreter->input({1 - facts.signal_index})->data.raw, beat->rr, sizeof beat->rr);\n"
    reset = "  if (interpreter->Reset() != kTfLiteOk) return -1;  // a beat must not see the state of the one before\n"
    return SOURCE.format(
        name=settings.name,
        version=settings.version,
        symbol=symbol_of(settings.name),
        operators=len(calls),
        registrations="\n".join(calls),
        signal_index=facts.signal_index,
        second=second if settings.contract.beat_features else "",
        reset=reset if facts.keeps_state else "",
    )
