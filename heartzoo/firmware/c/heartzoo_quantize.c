#include "heartzoo_quantize.h"

#include <math.h>

heartzoo_value heartzoo_quantize(float value, float scale, int zero_point) {
  const float steps = rintf(value / scale) + (float)zero_point;
  return (heartzoo_value)fmaxf(HEARTZOO_LOWEST, fminf(HEARTZOO_HIGHEST, steps));
}
