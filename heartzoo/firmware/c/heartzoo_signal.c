#include "heartzoo_signal.h"

void heartzoo_signal_add(heartzoo_signal *signal, float sample) {
  signal->recent[signal->count % HEARTZOO_SIGNAL] = sample;
  signal->count++;
}

float heartzoo_signal_at(const heartzoo_signal *signal, int32_t position) {
  const int32_t last = (int32_t)signal->count - 1;
  const int32_t oldest = last < HEARTZOO_SIGNAL ? 0 : last + 1 - HEARTZOO_SIGNAL;
  const int32_t there = position < oldest ? oldest : position > last ? last : position;
  return signal->recent[(uint32_t)there % HEARTZOO_SIGNAL];
}

void heartzoo_signal_cut(const heartzoo_signal *signal, int32_t start, int length, float *window) {
  for (int i = 0; i < length; i++) window[i] = heartzoo_signal_at(signal, start + i);
}
