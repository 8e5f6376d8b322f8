/* The latest samples at the model's rate, found by their position in the recording. */
#ifndef HEARTZOO_SIGNAL_H
#define HEARTZOO_SIGNAL_H

#include <stdint.h>

#include "heartzoo_config.h"

typedef struct {
  float recent[HEARTZOO_SIGNAL];
  uint32_t count; /* samples so far */
} heartzoo_signal;

void heartzoo_signal_add(heartzoo_signal *signal, float sample);

/* Copy `length` samples from position `start` on; outside the recording its first or last sample is repeated. */
void heartzoo_signal_cut(const heartzoo_signal *signal, int32_t start, int length, float *window);

/* The sample at a position, in mV, likewise. */
float heartzoo_signal_at(const heartzoo_signal *signal, int32_t position);

#endif
