/* The network's integers -> a class and how sure it is. */
#ifndef HEARTZOO_DECISION_H
#define HEARTZOO_DECISION_H

#include "heartzoo_config.h"

/* The prevalence in the recording so far that each class's logit follows, where the model follows any. */
typedef struct {
  float of[HEARTZOO_CLASSES];
} heartzoo_prevalence;

/* What adapts the model to one person, as `heartzoo personalise` writes it: logits @ matrix + offset. */
typedef struct {
  float matrix[HEARTZOO_CLASSES][HEARTZOO_CLASSES];
  float offset[HEARTZOO_CLASSES];
} heartzoo_personal;

/* A decision. Who can abstain does so where `sure` is 0. */
typedef struct {
  int label;        /* index into heartzoo_class_names */
  float confidence; /* probability of that class */
  int sure;         /* whether that reaches the model's threshold; 1 where it has none */
} heartzoo_decision;

void heartzoo_prevalence_start(heartzoo_prevalence *prevalence);

/* The decision on a beat, once for each, in order of time; `personal` is NULL for nobody's. */
heartzoo_decision heartzoo_decide(heartzoo_prevalence *prevalence, const heartzoo_personal *personal,
                                  const heartzoo_value logits[HEARTZOO_CLASSES]);

extern const char *const heartzoo_class_names[HEARTZOO_CLASSES];

#endif
