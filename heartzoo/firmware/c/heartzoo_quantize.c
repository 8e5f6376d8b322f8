#include "heartzoo_quantize.h"

#include <math.h>

heartzoo_value heartzoo_quantize(float value, float scale, int zero_point) {
  const float steps = rintf(value / scale) + (float)zero_point;
  return (heartzoo_value)fmaxf(HEARTZOO_LOWEST, fminf(HEARTZOO_HIGHEST, steps));
}

heartzoo_decision heartzoo_decide(const heartzoo_value logits[HEARTZOO_CLASSES]) {
  heartzoo_decision decision = {0, 0.0f, 0};
  float sum = 0.0f;
  for (int i = 1; i < HEARTZOO_CLASSES; i++) {
    if (logits[i] > logits[decision.label]) decision.label = i;
  }
  for (int i = 0; i < HEARTZOO_CLASSES; i++) {
    sum += expf((float)(logits[i] - logits[decision.label]) * (HEARTZOO_LOGITS_SCALE / HEARTZOO_TEMPERATURE));
  }
  decision.confidence = 1.0f / sum;
  decision.sure = decision.confidence >= HEARTZOO_THRESHOLD;
  return decision;
}
