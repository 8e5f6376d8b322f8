// The golden recording in one call: what the calls return, and how many beats got a label.
#include <stdio.h>

#include "golden.h"
#include "heartzoo_classifier.h"

static heartzoo_state state;
static float millivolts[sizeof heartzoo_golden_counts / sizeof *heartzoo_golden_counts];
static int labels;

int main() {
  const int first = heartzoo_classifier_start(), second = heartzoo_classifier_start();
  heartzoo_start(&state);
  size_t count = 0;
  for (const int16_t golden : heartzoo_golden_counts) {
    millivolts[count++] = static_cast<float>(golden) / HEARTZOO_GOLDEN_PER_MV;
  }
  const heartzoo_on_label on_label = [](const heartzoo_label *, void *) { labels++; };
  const int classified = heartzoo_classify(&state, millivolts, count, on_label, nullptr);
  const int ended = heartzoo_classify_end(&state, on_label, nullptr);
  printf("%d %d %d %d %d", first, second, classified, ended, HEARTZOO_GOLDEN_BEATS - labels);
  return 0;
}
