/* The recording's sampling rate -> the model's: a polyphase filter with a Kaiser window, edges continued. */
#ifndef HEARTZOO_RESAMPLE_H
#define HEARTZOO_RESAMPLE_H

#include <stdint.h>

#include "heartzoo_config.h"

#if HEARTZOO_RESAMPLES
typedef struct {
  float recent[HEARTZOO_TAPS]; /* a ring of the latest samples */
  uint16_t newest;             /* where in it the latest one is */
  uint8_t begun;
  int32_t ahead; /* how far the next output's last tap lies beyond the latest sample, in steps of 1 / UP sample */
} heartzoo_resampler;

void heartzoo_resampler_start(heartzoo_resampler *resampler);

/* Take one sample; heartzoo_resampler_take() then gives the outputs that it completes: none, one or several. */
void heartzoo_resampler_push(heartzoo_resampler *resampler, float sample);

/* 1 and the next output, or 0 if that needs more samples. */
int heartzoo_resampler_take(heartzoo_resampler *resampler, float *output);
#endif

/* Where a sample of the recording lies after resampling: floor(sample * UP / DOWN + 1/2). */
uint32_t heartzoo_resampled_position(uint32_t sample);

#endif
