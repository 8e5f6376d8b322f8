#include "resample.h"

uint32_t heartzoo_resampled_position(uint32_t sample) {
  return (uint32_t)((2u * (uint64_t)sample * HEARTZOO_UP + HEARTZOO_DOWN) / (2u * HEARTZOO_DOWN));
}

#if HEARTZOO_RESAMPLES
void heartzoo_resampler_start(heartzoo_resampler *resampler) {
  resampler->newest = 0;
  resampler->begun = 0;
  resampler->ahead = HEARTZOO_REACH + HEARTZOO_UP;
}

void heartzoo_resampler_push(heartzoo_resampler *resampler, float sample) {
  if (!resampler->begun) { /* before the first sample the signal was as it is there */
    for (int i = 0; i < HEARTZOO_TAPS; i++) resampler->recent[i] = sample;
    resampler->begun = 1;
  }
  resampler->newest = (uint16_t)(resampler->newest + 1 == HEARTZOO_TAPS ? 0 : resampler->newest + 1);
  resampler->recent[resampler->newest] = sample;
  resampler->ahead -= HEARTZOO_UP;
}

int heartzoo_resampler_take(heartzoo_resampler *resampler, float *output) {
  if (resampler->ahead >= HEARTZOO_UP) return 0;
  const float *taps = heartzoo_taps[resampler->ahead];
  const int wrap = resampler->newest + 1;
  float sum = 0.0f;
  for (int i = 0; i < wrap; i++) sum += taps[i] * resampler->recent[resampler->newest - i];
  for (int i = wrap; i < HEARTZOO_TAPS; i++) sum += taps[i] * resampler->recent[HEARTZOO_TAPS + resampler->newest - i];
  resampler->ahead += HEARTZOO_DOWN;
  *output = sum;
  return 1;
}
#endif
