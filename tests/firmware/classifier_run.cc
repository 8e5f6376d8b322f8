// The golden recording in one call: what the calls return, how many beats got no label, whether a start forgets whose
// the state was, and whether every beat is of the last class.
#include <stdio.h>

#include "golden.h"
#include "heartzoo_classifier.h"

static heartzoo_state state;
static float millivolts[sizeof heartzoo_golden_counts / sizeof *heartzoo_golden_counts];
static int labels, of_last_class;

#ifdef RUN_PERSONAL
static heartzoo_personal personal;  // by which every beat is of the last class
#endif

int main() {
  const int first = heartzoo_classifier_start(), second = heartzoo_classifier_start();
  static const heartzoo_personal before = {};
  state.personal = &before;
  heartzoo_start(&state);
  const int forgets = state.personal == nullptr;
#ifdef RUN_PERSONAL
  personal.offset[HEARTZOO_CLASSES - 1] = 1.0f;  // all else is 0
  state.personal = &personal;
#endif
  size_t count = 0;
  for (const int16_t golden : heartzoo_golden_counts) {
    millivolts[count++] = static_cast<float>(golden) / HEARTZOO_GOLDEN_PER_MV;
  }
  const heartzoo_on_label on_label = [](const heartzoo_label *label, void *) {
    labels++;
    of_last_class += label->decision.label == HEARTZOO_CLASSES - 1;
  };
  const int classified = heartzoo_classify(&state, millivolts, count, on_label, nullptr);
  const int ended = heartzoo_classify_end(&state, on_label, nullptr);
  const int lost = HEARTZOO_GOLDEN_BEATS - labels;
  printf("%d %d %d %d %d %d %d", first, second, classified, ended, lost, forgets, labels > 0 && of_last_class == labels);
  return 0;
}
