#include "heartzoo_peaks.h"

#if HEARTZOO_OF_BEATS
void heartzoo_peaks_add(heartzoo_peaks *peaks, uint32_t sample) {
  if (peaks->count == HEARTZOO_PENDING) return; /* only where peaks follow each other faster than hearts beat */
  peaks->samples[(peaks->first + peaks->count) % HEARTZOO_PENDING] = sample;
  peaks->count++;
}

uint32_t heartzoo_peaks_at(const heartzoo_peaks *peaks, int place) {
  return peaks->samples[(peaks->first + place) % HEARTZOO_PENDING];
}

void heartzoo_peaks_drop(heartzoo_peaks *peaks) {
  peaks->first = (uint8_t)((peaks->first + 1) % HEARTZOO_PENDING);
  peaks->count--;
}
#endif
