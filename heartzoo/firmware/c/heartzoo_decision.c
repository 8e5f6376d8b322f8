#include "heartzoo_decision.h"

#include <math.h>
#include <string.h>

static int largest(const float values[HEARTZOO_CLASSES]) {
  int found = 0;
  for (int i = 1; i < HEARTZOO_CLASSES; i++) {
    if (values[i] > values[found]) found = i;
  }
  return found;
}

/* The probability of a class by logits. */
static float probability(const float logits[HEARTZOO_CLASSES], int label, float temperature) {
  float sum = 0.0f;
  for (int i = 0; i < HEARTZOO_CLASSES; i++) sum += expf((logits[i] - logits[label]) / temperature);
  return 1.0f / sum;
}

#if HEARTZOO_FOLLOWS
static int follows(int label) { return heartzoo_assumed[label] > 0.0f; }

/* Shift the logits by the prevalence so far; then the beat counts in it, as the usual prevalence has it seen. */
static void follow(heartzoo_prevalence *prevalence, float logits[HEARTZOO_CLASSES]) {
  float usual[HEARTZOO_CLASSES];
  memcpy(usual, logits, sizeof usual);
  for (int i = 0; i < HEARTZOO_CLASSES; i++) {
    if (follows(i)) usual[i] += logf(heartzoo_usual[i] / heartzoo_assumed[i]);
  }
  for (int i = 0; i < HEARTZOO_CLASSES; i++) {
    if (!follows(i)) continue;
    logits[i] += logf(prevalence->of[i] / heartzoo_assumed[i]);
    prevalence->of[i] += (probability(usual, heartzoo_followed[i], 1.0f) - prevalence->of[i]) / HEARTZOO_MEMORY_BEATS;
  }
}
#endif

static void adapt(const heartzoo_personal *personal, float logits[HEARTZOO_CLASSES]) {
  float found[HEARTZOO_CLASSES];
  memcpy(found, personal->offset, sizeof found);
  for (int i = 0; i < HEARTZOO_CLASSES; i++) {
    for (int j = 0; j < HEARTZOO_CLASSES; j++) found[j] += logits[i] * personal->matrix[i][j];
  }
  memcpy(logits, found, sizeof found);
}

void heartzoo_prevalence_start(heartzoo_prevalence *prevalence) {
#if HEARTZOO_FOLLOWS
  memcpy(prevalence->of, heartzoo_usual, sizeof prevalence->of);
#else
  memset(prevalence, 0, sizeof *prevalence);
#endif
}

heartzoo_decision heartzoo_decide(heartzoo_prevalence *prevalence, const heartzoo_personal *personal,
                                  const heartzoo_value values[HEARTZOO_CLASSES]) {
  heartzoo_decision decision;
  float logits[HEARTZOO_CLASSES];
  for (int i = 0; i < HEARTZOO_CLASSES; i++) {
    logits[i] = (float)(values[i] - HEARTZOO_LOGITS_ZERO_POINT) * HEARTZOO_LOGITS_SCALE;
  }
#if HEARTZOO_FOLLOWS
  follow(prevalence, logits);
#else
  (void)prevalence;
#endif
  if (personal) adapt(personal, logits);
  decision.label = largest(logits);
  decision.confidence = probability(logits, decision.label, HEARTZOO_TEMPERATURE);
  decision.sure = decision.confidence >= HEARTZOO_THRESHOLD;
  return decision;
}
