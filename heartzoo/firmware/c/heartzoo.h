/* From ECG samples to what the network takes: resampled, filtered, R peaks found, features taken, quantized.
 *
 *   static heartzoo_state state;
 *   heartzoo_start(&state);
 *   for each sample in mV {
 *     heartzoo_push(&state, sample);
 *     while ((beat = heartzoo_next(&state))) {
 *       run the network on beat->signal (and beat->rr);
 *       heartzoo_decide(&state.prevalence, state.personal, its outputs)
 *     }
 *   }
 *   heartzoo_finish(&state);   only where a recording ends; then heartzoo_next() until it gives NULL
 *
 * No allocation, no global state: one heartzoo_state for each lead, used by one caller at a time. No pointer but
 * `personal` may be NULL.
 * Pushing costs little, asking for a beat now and then much: do both in a task, not in the interrupt that samples.
 * Positions are right up to sample 2^31 at the model's rate and 2^32 of the recording: finish and start anew before.
 * What differs from model to model is in heartzoo_config.h.
 *
 * NOT A MEDICAL DEVICE: for research and education only.
 */
#ifndef HEARTZOO_H
#define HEARTZOO_H

#include <stdint.h>

#if defined(__FAST_MATH__) || (defined(__FINITE_MATH_ONLY__) && __FINITE_MATH_ONLY__)
#error "compile without -ffast-math, -Ofast and -ffinite-math-only: a missing sample is NaN, which these do not know"
#endif

#ifdef __cplusplus
extern "C" {
#endif

#include "heartzoo_config.h"
#include "heartzoo_decision.h"
#include "heartzoo_detector.h"
#include "heartzoo_lost.h"
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
  uint32_t samples; /* taken so far */
  uint32_t missing; /* of those, in a row up to the latest */
  float level;      /* mV: the first that was known, where it is an offset or values before it were missing; or 0; moved
                       where signal was lost, so that no step is left */
  float latest;     /* sample, less that */
  uint8_t known, ended;
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
  heartzoo_lost lost;
  heartzoo_rr rr;
#endif
#if HEARTZOO_TEMPLATE
  heartzoo_template running;
#endif
  heartzoo_prevalence prevalence;
  const heartzoo_personal *personal; /* of who wears it, to be set after heartzoo_start(), which sets it to NULL */
  heartzoo_beat beat;
} heartzoo_state;

#if HEARTZOO_OF_BEATS && !HEARTZOO_DETECTS
/* A state without the detector is smaller: what was compiled for the other kind finds no such name and does not link.
   A binding that goes by symbols (ctypes, Rust without bindgen) calls it by the name it has here. */
#define heartzoo_start heartzoo_start_with_given_peaks
#endif
void heartzoo_start(heartzoo_state *state);

/* Take one sample of the recording, in mV; not after heartzoo_finish(). NaN, infinity or more than 1,000 V is taken as
 * the sample before it, at the start as the first that is known. After a tenth of a second or more of these the signal
 * goes on from that value, whatever the lead's offset is then (from where the recording began, if the value was more
 * than 300 mV from there), and the time between the beats on both sides is no interval.
 * Give NaN while a lead is off or the converter is at its rail: steps to the rail and back look like beats. */
void heartzoo_push(heartzoo_state *state, float millivolts);

#if HEARTZOO_OF_BEATS && !HEARTZOO_DETECTS
/* Add an R peak that another detector found, at a sample of the recording that was pushed. 0, or -1 where it is not
 * taken: it is not after the peak before it, its sample was not pushed yet or is so old that its signal is not kept any
 * more, or HEARTZOO_PENDING peaks wait already. Give each within HEARTZOO_LATEST_PEAK_MS. */
int heartzoo_add_peak(heartzoo_state *state, uint32_t sample);
#endif

/* The recording is over: what is left can be decided. */
void heartzoo_finish(heartzoo_state *state);

/* The next beat that can be decided, or NULL. It stays until the next call with this state. Ask after every sample until
 * it gives NULL: who asks too rarely loses beats. */
const heartzoo_beat *heartzoo_next(heartzoo_state *state);

#ifdef __cplusplus
}
#endif

#endif
