#include "heartzoo_resample.h"

#include <string.h>

uint32_t heartzoo_resampled_position(uint32_t sample) {
  return (uint32_t)((2u * (uint64_t)sample * HEARTZOO_UP + HEARTZOO_DOWN) / (2u * HEARTZOO_DOWN));
}

uint32_t heartzoo_recorded_position(uint32_t sample) {
  return (uint32_t)((2u * (uint64_t)sample * HEARTZOO_DOWN + HEARTZOO_UP) / (2u * HEARTZOO_UP));
}

#if HEARTZOO_RESAMPLES
#define BEFORE_START (HEARTZOO_REACH / HEARTZOO_UP)

void heartzoo_resampler_start(heartzoo_resampler *resampler) {
  memset(resampler, 0, sizeof *resampler);
  resampler->tap = HEARTZOO_REACH + (BEFORE_START + 1) * HEARTZOO_UP;
}

static void add(heartzoo_resampler *resampler, float sample) {
  int place = resampler->next;
  resampler->tap -= HEARTZOO_UP;
  for (int32_t tap = resampler->tap; tap <= 2 * HEARTZOO_REACH; tap += HEARTZOO_DOWN) {
    const int32_t away = tap < HEARTZOO_REACH ? HEARTZOO_REACH - tap : tap - HEARTZOO_REACH;
    resampler->sums[place] += heartzoo_taps[away] * sample;
    place = place + 1 == HEARTZOO_OUTPUTS ? 0 : place + 1;
  }
}

void heartzoo_resampler_push(heartzoo_resampler *resampler, float sample) {
  if (!resampler->begun) { /* before the first sample the signal was as it is there */
    for (int i = 0; i < BEFORE_START; i++) add(resampler, sample);
    resampler->begun = 1;
  }
  add(resampler, sample);
}

int heartzoo_resampler_take(heartzoo_resampler *resampler, float *output) {
  if (resampler->tap >= HEARTZOO_UP) return 0;
  *output = resampler->sums[resampler->next];
  resampler->sums[resampler->next] = 0.0f;
  resampler->next = (uint8_t)(resampler->next + 1 == HEARTZOO_OUTPUTS ? 0 : resampler->next + 1);
  resampler->tap += HEARTZOO_DOWN;
  return 1;
}
#endif
