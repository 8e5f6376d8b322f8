/* The recording's sampling rate -> the model's: a polyphase filter with a Kaiser window, edges continued. */
#ifndef HEARTZOO_RESAMPLE_H
#define HEARTZOO_RESAMPLE_H

#include <stdint.h>

#include "heartzoo_config.h"

#if HEARTZOO_RESAMPLES
/* A sample is added, times the tap that it meets there, to each of the outputs that it reaches: these sums are fewer
 * than the samples that one output is made of. */
typedef struct {
  float sums[HEARTZOO_OUTPUTS]; /* a ring of the outputs that are being made */
  uint8_t next;                 /* where in it the next one is */
  uint8_t begun;
  int32_t tap; /* which one the latest sample meets in the next output */
} heartzoo_resampler;

void heartzoo_resampler_start(heartzoo_resampler *resampler);

/* Take one sample; heartzoo_resampler_take() then gives the outputs that it completes: none, one or several. */
void heartzoo_resampler_push(heartzoo_resampler *resampler, float sample);

/* 1 and the next output, or 0 if that needs more samples. */
int heartzoo_resampler_take(heartzoo_resampler *resampler, float *output);
#endif

/* Where a sample of the recording lies after resampling: floor(sample * UP / DOWN + 1/2). */
uint32_t heartzoo_resampled_position(uint32_t sample);

/* Where a sample at the model's rate lies in the recording: floor(sample * DOWN / UP + 1/2). */
uint32_t heartzoo_recorded_position(uint32_t sample);

#endif
