#include "heartzoo.h"

#include <math.h>
#include <stddef.h>
#include <string.h>

void heartzoo_start(heartzoo_state *state) {
  memset(state, 0, sizeof *state);
#if HEARTZOO_RESAMPLES
  heartzoo_resampler_start(&state->resampler);
#endif
#if HEARTZOO_DETECTS
  heartzoo_detector_start(&state->detector);
#endif
#if HEARTZOO_HISTORY
  heartzoo_rr_start(&state->rr);
#endif
#if HEARTZOO_TEMPLATE
  heartzoo_template_start(&state->running);
#endif
  heartzoo_prevalence_start(&state->prevalence);
  state->personal = NULL;
}

/* A sample at the model's rate. */
static void take(heartzoo_state *state, float sample) {
#if HEARTZOO_SECTIONS
  for (int i = 0; i < HEARTZOO_SECTIONS; i++) {
    if (state->signal.count == 0) heartzoo_section_start(&state->sections[i], sample);
    sample = heartzoo_section_next(&state->sections[i], &heartzoo_sections[i], sample);
  }
#endif
  heartzoo_signal_add(&state->signal, sample);
#if HEARTZOO_DETECTS
  heartzoo_detector_push(&state->detector, &state->signal, &state->peaks);
#endif
}

/* A sample of the recording, less its level. */
static void push(heartzoo_state *state, float sample) {
  state->samples++;
  state->latest = sample;
#if HEARTZOO_RESAMPLES
  heartzoo_resampler_push(&state->resampler, sample);
  while (heartzoo_resampler_take(&state->resampler, &sample)) take(state, sample);
#else
  take(state, sample);
#endif
}

void heartzoo_push(heartzoo_state *state, float millivolts) {
  if (!(fabsf(millivolts) <= HEARTZOO_MOST_MV)) { /* or NaN */
    state->missing++;
#if HEARTZOO_HISTORY
    heartzoo_lost_push(&state->lost, state->samples, state->missing);
#endif
    push(state, state->latest);
    return;
  }
  if (state->known) {
    if (state->missing >= HEARTZOO_LOST_SAMPLES) {
      /* What was at a rail before is not to pile up. */
      state->level = millivolts - (fabsf(state->latest) <= HEARTZOO_MOST_HELD_MV ? state->latest : 0.0f);
    }
  } else if (state->samples || fabsf(millivolts) > HEARTZOO_OFFSET_MV) {
    state->level = millivolts;
  }
  state->known = 1;
  state->missing = 0;
  push(state, millivolts - state->level);
}

void heartzoo_finish(heartzoo_state *state) {
#if HEARTZOO_RESAMPLES
  /* After its end the signal stays as it was there. */
  const uint64_t steps = (uint64_t)state->samples * HEARTZOO_UP;
  const uint32_t outputs = (uint32_t)((steps + HEARTZOO_DOWN - 1) / HEARTZOO_DOWN);
  while (state->signal.count < outputs) {
    float sample;
    heartzoo_resampler_push(&state->resampler, state->latest);
    while (state->signal.count < outputs && heartzoo_resampler_take(&state->resampler, &sample)) take(state, sample);
  }
#endif
#if HEARTZOO_DETECTS
  heartzoo_detector_finish(&state->detector, &state->signal, &state->peaks);
#endif
  state->ended = 1;
}

#if HEARTZOO_Z_SCORE
/* The frame from a position on: less its mean, by its standard deviation. */
static void standardise(heartzoo_state *state, int32_t start) {
  float sum = 0.0f, square = 0.0f;
  for (int i = 0; i < HEARTZOO_FRAME; i++) sum += heartzoo_signal_at(&state->signal, start + i);
  const float mean = sum / HEARTZOO_FRAME;
  for (int i = 0; i < HEARTZOO_FRAME; i++) {
    const float away = heartzoo_signal_at(&state->signal, start + i) - mean;
    square += away * away;
  }
  const float deviation = sqrtf(square / HEARTZOO_FRAME) + HEARTZOO_EPSILON_MV;
  for (int i = 0; i < HEARTZOO_FRAME; i++) {
    const float value = (heartzoo_signal_at(&state->signal, start + i) - mean) / deviation;
    state->beat.signal[i] = heartzoo_quantize(value, HEARTZOO_SIGNAL_SCALE, HEARTZOO_SIGNAL_ZERO_POINT);
  }
}
#endif

#if HEARTZOO_OF_BEATS
#if HEARTZOO_HISTORY || !HEARTZOO_DETECTS
/* No further R peak can come before this sample of the recording. */
static uint32_t settled(const heartzoo_state *state) {
#if HEARTZOO_DETECTS
  return heartzoo_detector_settled(&state->detector, &state->signal);
#else
  const uint32_t count = state->signal.count;
  return count > HEARTZOO_SIGNAL ? heartzoo_recorded_position(count - HEARTZOO_SIGNAL + HEARTZOO_NEEDED_BEFORE) : 0;
#endif
}
#endif

#if !HEARTZOO_DETECTS
int heartzoo_add_peak(heartzoo_state *state, uint32_t sample) {
  const int pending = state->peaks.count;
  const uint32_t before = pending ? heartzoo_peaks_at(&state->peaks, pending - 1) : state->before;
  if ((pending || state->given) && sample <= before) return -1;
  if (sample >= state->samples || sample < settled(state) || pending == HEARTZOO_PENDING) return -1;
  heartzoo_peaks_add(&state->peaks, sample);
  return 0;
}
#endif

/* Where a beat that was not given yet has its R peak; no rounding puts it past the recording's end. */
static uint32_t peak(const heartzoo_state *state, int place) {
  const uint32_t sample = heartzoo_peaks_at(&state->peaks, place);
  return HEARTZOO_DETECTS && sample >= state->samples ? state->samples - 1 : sample;
}

#if HEARTZOO_FEATURES
/* Put the feature of that number into the input that takes features. */
static void put_feature(heartzoo_state *state, int number, float value) {
#if HEARTZOO_SECOND_INPUT
  state->beat.rr[number] = heartzoo_quantize(value, HEARTZOO_RR_SCALE, HEARTZOO_RR_ZERO_POINT);
#else
  state->beat.signal[number] = heartzoo_quantize(value, HEARTZOO_SIGNAL_SCALE, HEARTZOO_SIGNAL_ZERO_POINT);
#endif
}
#endif

#if HEARTZOO_TEMPLATE
static void compare(heartzoo_state *state, int32_t position) {
  heartzoo_comparison comparison;
  const int32_t start = position - HEARTZOO_BEFORE - HEARTZOO_SHIFT;
  heartzoo_signal_cut(&state->signal, start, HEARTZOO_WIDE, comparison.wide);
  heartzoo_template_compare(&state->running, &comparison);
#if HEARTZOO_TEMPLATE_FEATURES
  for (int i = 0; i < HEARTZOO_TEMPLATE_FEATURES; i++) {
    const float value = heartzoo_template_feature(&state->running, &comparison, heartzoo_template_order[i]);
    put_feature(state, HEARTZOO_RR_FEATURES + i, value);
  }
#endif
#if HEARTZOO_DIFFERENCE
  for (int i = 0; i < HEARTZOO_FRAME; i++) {
    const float value = heartzoo_template_difference(&state->running, &comparison, i);
    state->beat.signal[i] = heartzoo_quantize(value, HEARTZOO_SIGNAL_SCALE, HEARTZOO_SIGNAL_ZERO_POINT);
  }
#endif
  if (state->given < HEARTZOO_FIRST_BEATS || heartzoo_rr_regular(&state->rr)) {
    heartzoo_template_learn(&state->running, &comparison);
  }
}
#endif

#if HEARTZOO_HISTORY
#define LONGEST_INTERVAL (3u * HEARTZOO_RECORDING_HZ) /* all longer ones count as such */

/* Whether signal was lost from one beat to the next, in the time that counts. */
static int is_lost(const heartzoo_state *state, uint32_t before, uint32_t after) {
  const uint32_t late = before + LONGEST_INTERVAL;
  return heartzoo_lost_between(&state->lost, before, after < late ? after : late);
}
#endif

/* What the beat's own part of the signal tells, once that is complete. */
static int cut(heartzoo_state *state) {
  if (!state->peaks.count) return 0;
  const uint32_t sample = peak(state, 0);
  const uint32_t position = heartzoo_resampled_position(sample);
  if (!state->ended && state->signal.count < position + HEARTZOO_NEEDED_AFTER) return 0;
  state->beat.sample = sample;
#if HEARTZOO_HISTORY
  /* The first beat has no interval before it: the one after it stands in, and is known when that beat is given. */
  if (state->given > 1 && is_lost(state, state->before, sample)) {
    heartzoo_rr_skip(&state->rr);
  } else if (state->given > 1) {
    heartzoo_rr_add(&state->rr, heartzoo_interval(sample - state->before));
  }
#endif
#if HEARTZOO_Z_SCORE
  standardise(state, (int32_t)position - HEARTZOO_FRAME / 2);
#endif
#if HEARTZOO_TEMPLATE
  compare(state, (int32_t)position);
#endif
  return 1;
}

#if HEARTZOO_HISTORY
/* Whether the interval after the beat is known. */
static int is_followed(const heartzoo_state *state) {
  return state->peaks.count > 1 || state->ended || settled(state) >= state->beat.sample + LONGEST_INTERVAL;
}

/* That interval; where the recording ends before another beat, the one before it. */
static uint16_t interval_after(const heartzoo_state *state) {
  const uint32_t sample = state->beat.sample;
#if HEARTZOO_DETECTS
  const int is_open = state->ended;
#else
  const int is_open = state->samples - sample < LONGEST_INTERVAL; /* given R peaks are known up to the latest sample */
#endif
  if (state->peaks.count == 1 && is_open) {
    return state->given ? state->rr.pre : 4u * HEARTZOO_RECORDING_HZ; /* 0.8 s for a lone beat */
  }
  const uint32_t after = state->peaks.count > 1 ? peak(state, 1) - sample : LONGEST_INTERVAL;
  return is_lost(state, sample, sample + after) ? heartzoo_rr_middle(&state->rr) : heartzoo_interval(after);
}
#endif

const heartzoo_beat *heartzoo_next(heartzoo_state *state) {
  if (!state->cut) state->cut = (uint8_t)cut(state);
  if (!state->cut) return NULL;
#if HEARTZOO_HISTORY
  const int waits = HEARTZOO_FOLLOWING_BEATS || state->given == 0;
  if (waits && !is_followed(state)) return NULL;
  const uint16_t post = interval_after(state);
  if (state->given == 0) heartzoo_rr_add(&state->rr, post);
#if HEARTZOO_RR_FEATURES
  for (int i = 0; i < HEARTZOO_RR_FEATURES; i++) {
    put_feature(state, i, heartzoo_rr_feature(&state->rr, heartzoo_rr_order[i], post));
  }
#endif
#endif
  state->before = state->beat.sample;
  heartzoo_peaks_drop(&state->peaks);
#if HEARTZOO_HISTORY
  heartzoo_lost_forget(&state->lost, state->before);
#endif
  state->given++;
  state->cut = 0;
  return &state->beat;
}
#else
const heartzoo_beat *heartzoo_next(heartzoo_state *state) {
  const uint32_t start = state->given * HEARTZOO_FRAME;
  if (state->signal.count < start + HEARTZOO_FRAME) return NULL;
  standardise(state, (int32_t)start);
  state->beat.sample = (uint32_t)((uint64_t)start * HEARTZOO_DOWN / HEARTZOO_UP);
  state->given++;
  return &state->beat;
}
#endif
