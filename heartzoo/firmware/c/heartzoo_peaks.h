/* R peaks that were found and whose beats were not given yet, in order of time. */
#ifndef HEARTZOO_PEAKS_H
#define HEARTZOO_PEAKS_H

#include <stdint.h>

#include "heartzoo_config.h"

#if HEARTZOO_OF_BEATS
typedef struct {
  uint32_t samples[HEARTZOO_PENDING]; /* of the recording; a ring */
  uint8_t first, count;
} heartzoo_peaks;

void heartzoo_peaks_add(heartzoo_peaks *peaks, uint32_t sample);
uint32_t heartzoo_peaks_at(const heartzoo_peaks *peaks, int place);
void heartzoo_peaks_drop(heartzoo_peaks *peaks);
#endif

#endif
