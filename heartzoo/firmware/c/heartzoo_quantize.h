/* Values -> the network's integers, and its integers -> a class and how sure it is. */
#ifndef HEARTZOO_QUANTIZE_H
#define HEARTZOO_QUANTIZE_H

#include <stdint.h>

#include "heartzoo_config.h"

/* Round halves to even, and clip. */
heartzoo_value heartzoo_quantize(float value, float scale, int zero_point);

/* A decision. Who can abstain does so where `sure` is 0. */
typedef struct {
  int label;        /* index into heartzoo_class_names */
  float confidence; /* probability of that class */
  int sure;         /* whether that reaches the model's threshold; 1 where it has none */
} heartzoo_decision;

heartzoo_decision heartzoo_decide(const heartzoo_value logits[HEARTZOO_CLASSES]);

extern const char *const heartzoo_class_names[HEARTZOO_CLASSES];

#endif
