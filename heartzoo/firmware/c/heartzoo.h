/* From ECG samples to what the network takes: resampled, filtered, R peaks found, features taken, quantized.
 *
 *   static heartzoo_state state;
 *   heartzoo_start(&state);
 *   for each sample in mV {
 *     heartzoo_push(&state, sample);
 *     while ((beat = heartzoo_next(&state))) {
 *       run the network on beat->signal (and beat->rr), then heartzoo_decide(&state.prevalence, its outputs)
 *     }
 *   }
 *   heartzoo_finish(&state);   only where a recording ends; then heartzoo_next() until it gives NULL
 *
 * No allocation, no global state. What differs from model to model is in heartzoo_config.h.
 *
 * NOT A MEDICAL DEVICE: for research and education only.
 */
#ifndef HEARTZOO_H
#define HEARTZOO_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#include "heartzoo_config.h"
#include "heartzoo_decision.h"
#include "heartzoo_detector.h"
#include "heartzoo_peaks.h"
#include "heartzoo_quantize.h"
#include "heartzoo_resample.h"
#include "heartzoo_rr.h"
#include "heartzoo_signal.h"
#include "heartzoo_template.h"

/* The network's inputs for one beat (or for one frame, where a model labels frames). */
typedef struct {
  uint32_t sample; /* of the R peak (of the frame's first sample) in the recording, counted from 0 */
  heartzoo_value signal[HEARTZOO_FRAME];
#if HEARTZOO_SECOND_INPUT
  heartzoo_value rr[HEARTZOO_FEATURES];
#endif
} heartzoo_beat;

typedef struct {
  uint32_t missing; /* samples before the first that was known */
  uint32_t samples; /* taken so far */
  float latest;     /* of them, mV */
  uint8_t ended;
#if HEARTZOO_RESAMPLES
  heartzoo_resampler resampler;
#endif
#if HEARTZOO_SECTIONS
  heartzoo_section_state sections[HEARTZOO_SECTIONS];
#endif
  heartzoo_signal signal;
#if HEARTZOO_OF_BEATS
#if HEARTZOO_DETECTS
  heartzoo_detector detector;
#endif
  heartzoo_peaks peaks;
  uint8_t cut;     /* whether the first of them is in `beat`, but for what the following beat tells */
  uint32_t given;  /* beats before the first of them */
  uint32_t before; /* where the latest of those was */
#else
  uint32_t given; /* frames */
#endif
#if HEARTZOO_HISTORY
  heartzoo_rr rr;
#endif
#if HEARTZOO_TEMPLATE
  heartzoo_template running;
#endif
  heartzoo_prevalence prevalence;
  heartzoo_beat beat;
} heartzoo_state;

void heartzoo_start(heartzoo_state *state);

/* Take one sample of the recording, in mV. NaN, infinity or 1,000 V and more is taken as the sample before it.
 * Give NaN while a lead is off or the converter is at its rail: steps to the rail and back look like beats. */
void heartzoo_push(heartzoo_state *state, float millivolts);

#if HEARTZOO_OF_BEATS && !HEARTZOO_DETECTS
/* Add an R peak that another detector found, at a sample of the recording, after all peaks before it. */
void heartzoo_add_peak(heartzoo_state *state, uint32_t sample);
#endif

/* The recording is over: what is left can be decided. */
void heartzoo_finish(heartzoo_state *state);

/* The next beat that can be decided, or NULL. It stays until the next call with this state. */
const heartzoo_beat *heartzoo_next(heartzoo_state *state);

#ifdef __cplusplus
}
#endif

#endif
