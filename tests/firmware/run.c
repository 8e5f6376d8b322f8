/* For test_parity.py: a whole recording through the firmware in one call from Python. */
#include <string.h>

#include "heartzoo.h"

unsigned heartzoo_run(const float *samples, unsigned count, const uint32_t *peaks, unsigned peak_count, uint32_t *where,
                      heartzoo_value *signal, heartzoo_value *rr) {
  static heartzoo_state state;
  const heartzoo_beat *beat;
  unsigned found = 0, next_peak = 0;
  heartzoo_start(&state);
  for (unsigned i = 0; i <= count; i++) {
    if (i < count) heartzoo_push(&state, samples[i]);
    while (next_peak < peak_count && (i == count || peaks[next_peak] <= i)) {
#if HEARTZOO_OF_BEATS && !HEARTZOO_DETECTS
      heartzoo_add_peak(&state, peaks[next_peak]);
#endif
      next_peak++;
    }
    if (i == count) heartzoo_finish(&state);
    while ((beat = heartzoo_next(&state))) {
      where[found] = beat->sample;
      memcpy(signal + found * HEARTZOO_FRAME, beat->signal, sizeof beat->signal);
#if HEARTZOO_SECOND_INPUT
      memcpy(rr + found * HEARTZOO_FEATURES, beat->rr, sizeof beat->rr);
#else
      (void)rr;
#endif
      found++;
    }
  }
  return found;
}

void heartzoo_run_start(heartzoo_state *state) { heartzoo_start(state); } /* whose symbol depends on HEARTZOO_DETECTS */

unsigned heartzoo_state_bytes(void) { return sizeof(heartzoo_state); }
