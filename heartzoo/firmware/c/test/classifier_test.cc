// The golden recording from samples to labels, with TFLite Micro: exit code 0 where every answer is as expected.
#include <stdio.h>
#include <string.h>

#include "golden.h"
#include "heartzoo_classifier.h"

static heartzoo_state state;
static heartzoo_prevalence prevalence; // by the answers expected
static unsigned labels, mislabelled;

static void on_label(const heartzoo_label *label, void *) {
  if (labels < HEARTZOO_GOLDEN_BEATS) {
    const heartzoo_golden_beat *expected = &heartzoo_golden_beats[labels];
    const heartzoo_decision decision = heartzoo_decide(&prevalence, nullptr, expected->logits);
    mislabelled += label->sample != expected->sample || label->decision.label != decision.label;
  }
  labels++;
}

// The network alone: the same inputs must give the same outputs, bit for bit.
static unsigned different_answers() {
  static heartzoo_beat beat;
  unsigned different = 0;
  for (const heartzoo_golden_beat &expected : heartzoo_golden_beats) {
    heartzoo_value logits[HEARTZOO_CLASSES];
    memcpy(beat.signal, expected.signal, sizeof beat.signal);
#if HEARTZOO_SECOND_INPUT
    memcpy(beat.rr, expected.rr, sizeof beat.rr);
#endif
    different += heartzoo_classifier_run(&beat, logits) != 0 || memcmp(logits, expected.logits, sizeof logits) != 0;
  }
  return different;
}

int main() {
  if (heartzoo_classifier_start() != 0) {
    puts("TFLite Micro refuses the network: see what it printed; a larger HEARTZOO_ARENA_BYTES may help");
    return 1;
  }
  const unsigned different = different_answers();
  heartzoo_start(&state);
  heartzoo_prevalence_start(&prevalence);
  for (const int16_t count : heartzoo_golden_counts) {
    const float millivolts = static_cast<float>(count) / HEARTZOO_GOLDEN_PER_MV;
    if (heartzoo_classify(&state, &millivolts, 1, on_label, nullptr) != 0) return 1;
  }
  if (heartzoo_classify_end(&state, on_label, nullptr) != 0) return 1;
  printf("%u of %d labels, %u of them wrong, %u answers of the network other than expected\n", labels,
         HEARTZOO_GOLDEN_BEATS, mislabelled, different);
  const bool passed = labels == HEARTZOO_GOLDEN_BEATS && mislabelled == 0 && different == 0;
  puts(passed ? "passed" : "FAILED");
  return passed ? 0 : 1;
}
