#include "heartzoo_detector.h"

#if HEARTZOO_DETECTS
#include <math.h>
#include <string.h>

#include "heartzoo_resample.h"

#define LOWEST_MV 0.01f
#define STEP 0.125f

void heartzoo_detector_start(heartzoo_detector *detector) {
  memset(detector, 0, sizeof *detector);
  detector->learns = 1;
  detector->interval = HEARTZOO_FIRST_INTERVAL;
}

/* What a beat must be higher than (step 6). */
static float threshold(const heartzoo_detector *detector) {
  return fmaxf(LOWEST_MV, detector->noise + 0.35f * (detector->level - detector->noise));
}

/* Where a beat's R peak is, from its `at` on (step 4). */
static int r_peak(heartzoo_detector *detector, const heartzoo_candidate *beat) {
  const int positive = detector->sign >= 0.0f ? beat->up >= 0.75f * beat->down : 0.75f * beat->up > beat->down;
  detector->sign += STEP * ((positive ? 1.0f : -1.0f) - detector->sign);
  return positive ? beat->top : beat->bottom;
}

/* Step 7. The end of the signal, where there is one already, bounds what is a peak of it. */
static void accept(heartzoo_detector *detector, const heartzoo_candidate *beat, heartzoo_peaks *peaks, int32_t end) {
  const int32_t at = (int32_t)beat->at;
  const float since = (float)(at - detector->last);
  const float interval = fmaxf(HEARTZOO_SHORTEST_INTERVAL, fminf(HEARTZOO_LONGEST_INTERVAL, since));
  const int32_t peak = at + r_peak(detector, beat);
  const float step = detector->search_failed ? 0.5f : STEP;
  detector->level += step * (fminf(beat->height, 2.0f * detector->level) - detector->level);
  detector->slope += step * (fminf(beat->slope, 2.0f * detector->slope) - detector->slope);
  detector->interval += STEP * (interval - detector->interval);
  detector->last = at;
  detector->due = at + (int32_t)(1.5f * detector->interval);
  detector->has_missed = 0;
  detector->search_failed = 0;
  if (peak < end) {
    heartzoo_peaks_add(peaks, heartzoo_recorded_position(peak > HEARTZOO_LAG ? (uint32_t)(peak - HEARTZOO_LAG) : 0u));
  }
}

/* Step 8. */
static void search_back(heartzoo_detector *detector, int32_t until, heartzoo_peaks *peaks, int32_t end) {
  while (until > detector->due) {
    if (detector->has_missed && detector->missed.height > 0.65f * threshold(detector)) {
      accept(detector, &detector->missed, peaks, end);
    } else {
      detector->has_missed = 0;
      detector->search_failed = 1;
      detector->level = fmaxf(fmaxf(0.8f * detector->level, 2.0f * detector->noise), LOWEST_MV);
      detector->due += (int32_t)detector->interval;
    }
  }
}

/* Step 6. */
static void decide(heartzoo_detector *detector, const heartzoo_candidate *candidate, heartzoo_peaks *peaks,
                   int32_t end) {
  search_back(detector, (int32_t)candidate->at, peaks, end);
  const int early = (int32_t)candidate->at - detector->last < HEARTZOO_T_WAVE_AFTER;
  if (early && candidate->slope < 0.6f * detector->slope) return;
  if (candidate->height > threshold(detector)) {
    accept(detector, candidate, peaks, end);
    return;
  }
  detector->noise += STEP * (candidate->height - detector->noise);
  if (!early && (!detector->has_missed || candidate->height > detector->missed.height)) {
    detector->missed = *candidate;
    detector->has_missed = 1;
  }
}

/* Of each second's highest candidate, the one of median height, the higher of two. */
static const heartzoo_candidate *median_highest(const heartzoo_detector *detector) {
  const heartzoo_candidate *highest[HEARTZOO_LEARNING_S] = {0};
  int seconds = 0, last = -1;
  for (int i = 0; i < detector->candidates; i++) {
    const heartzoo_candidate *candidate = &detector->learning[i];
    const int second = (int)((float)(candidate->at - detector->learning[0].at) / HEARTZOO_HZ);
    if (second != last) seconds++;
    last = second;
    if (!highest[seconds - 1] || candidate->height > highest[seconds - 1]->height) highest[seconds - 1] = candidate;
  }
  for (int i = 0; i < seconds; i++) { /* in ascending order */
    for (int j = i; j > 0 && highest[j]->height < highest[j - 1]->height; j--) {
      const heartzoo_candidate *lower = highest[j];
      highest[j] = highest[j - 1];
      highest[j - 1] = lower;
    }
  }
  return highest[seconds / 2];
}

/* Step 5. */
static void learn(heartzoo_detector *detector, heartzoo_peaks *peaks, int32_t end) {
  detector->learns = 0;
  if (!detector->candidates) return;
  const heartzoo_candidate *usual = median_highest(detector);
  detector->level = usual->height;
  detector->slope = usual->slope;
  detector->noise = 0.1f * detector->level;
  detector->last = (int32_t)detector->learning[0].at - (int32_t)detector->interval;
  detector->due = detector->last + (int32_t)(1.5f * detector->interval);
  for (int i = 0; i < detector->candidates; i++) decide(detector, &detector->learning[i], peaks, end);
}

/* What is certain once no candidate before the sample `until` can come. */
static void wait(heartzoo_detector *detector, int32_t until, heartzoo_peaks *peaks, int32_t end) {
  if (detector->learns) {
    if (!detector->candidates) return;
    const int32_t since = until - (int32_t)detector->learning[0].at;
    if ((float)since < HEARTZOO_LEARNING_S * HEARTZOO_HZ) return;
    learn(detector, peaks, end);
  }
  search_back(detector, until, peaks, end);
}

/* Step 4: of the samples around the candidate, less their mean, the largest and the smallest. */
static void find_peaks(heartzoo_candidate *candidate, const heartzoo_signal *signal) {
  const int32_t at = (int32_t)candidate->at;
  float sum = 0.0f, high = -INFINITY, low = INFINITY;
  for (int i = -HEARTZOO_PEAK_BEFORE; i <= HEARTZOO_PEAK_AFTER; i++) {
    const float sample = heartzoo_signal_at(signal, at + i);
    sum += sample;
    if (sample > high) candidate->top = (int16_t)i;
    if (sample < low) candidate->bottom = (int16_t)i;
    high = fmaxf(high, sample);
    low = fminf(low, sample);
  }
  const float mean = sum / (float)(HEARTZOO_PEAK_BEFORE + HEARTZOO_PEAK_AFTER + 1);
  candidate->up = high - mean;
  candidate->down = mean - low;
}

static void confirm(heartzoo_detector *detector, const heartzoo_signal *signal, heartzoo_peaks *peaks, int32_t end) {
  detector->waits = 0;
  find_peaks(&detector->waiting, signal);
  wait(detector, (int32_t)detector->waiting.at, peaks, end);
  if (!detector->learns) {
    decide(detector, &detector->waiting, peaks, end);
  } else if (detector->candidates < HEARTZOO_LEARNING) {
    detector->learning[detector->candidates++] = detector->waiting;
  }
}

/* Band-passed sample of a time, which must be one of the latest. */
static float band_at(const heartzoo_detector *detector, uint32_t at) { return detector->band[at % HEARTZOO_BAND]; }

/* The largest steepness of the samples before a candidate and its own. */
static float slope(const heartzoo_detector *detector, uint32_t at) {
  float steepest = 0.0f;
  for (uint32_t i = at < HEARTZOO_SLOPE ? 1u : at - HEARTZOO_SLOPE; i <= at; i++) {
    if (i) steepest = fmaxf(steepest, fabsf(band_at(detector, i) - band_at(detector, i - 1)));
  }
  return steepest;
}

/* Step 3: the sample before the latest was a candidate. */
static void consider(heartzoo_detector *detector, uint32_t at, const heartzoo_signal *signal, heartzoo_peaks *peaks,
                     int32_t end) {
  const float height = sqrtf(detector->power[0]);
  if (detector->waits && at - detector->waiting.at < HEARTZOO_REFRACTORY) {
    if (height <= detector->waiting.height) return;
  } else if (detector->waits) {
    confirm(detector, signal, peaks, end);
  }
  detector->waiting.at = at;
  detector->waiting.height = height;
  detector->waiting.slope = slope(detector, at);
  detector->waits = 1;
}

/* Steps 1 and 2: mean square of the latest band-passed samples. */
static float power(heartzoo_detector *detector, uint32_t now, float sample) {
  float sum = 0.0f;
  for (int i = 0; i < 2; i++) {
    if (now == 0) heartzoo_section_start(&detector->sections[i], sample);
    sample = heartzoo_section_next(&detector->sections[i], &heartzoo_band_sections[i], sample);
  }
  detector->band[now % HEARTZOO_BAND] = sample;
  for (uint32_t i = now < HEARTZOO_HEIGHT ? 0u : now - HEARTZOO_HEIGHT + 1u; i <= now; i++) {
    sum += band_at(detector, i) * band_at(detector, i);
  }
  return sum / (float)HEARTZOO_HEIGHT;
}

static void take(heartzoo_detector *detector, uint32_t now, float sample, const heartzoo_signal *signal,
                 heartzoo_peaks *peaks, int32_t end) {
  const float latest = power(detector, now, sample);
  const float middle = detector->power[0];
  if (detector->power[1] < middle && middle >= latest && middle > LOWEST_MV * LOWEST_MV) {
    consider(detector, now - 1, signal, peaks, end);
  }
  detector->power[1] = middle;
  detector->power[0] = latest;
  const int32_t certain = (int32_t)now + 1 - HEARTZOO_REFRACTORY;
  if (detector->waits && (int32_t)detector->waiting.at < certain) confirm(detector, signal, peaks, end);
  wait(detector, certain, peaks, end);
}

void heartzoo_detector_push(heartzoo_detector *detector, const heartzoo_signal *signal, heartzoo_peaks *peaks) {
  const uint32_t now = signal->count - 1;
  take(detector, now, heartzoo_signal_at(signal, (int32_t)now), signal, peaks, INT32_MAX);
}

uint32_t heartzoo_detector_settled(const heartzoo_detector *detector, const heartzoo_signal *signal) {
  uint32_t earliest = signal->count ? signal->count - 1 : 0;
  if (detector->waits && detector->waiting.at < earliest) earliest = detector->waiting.at;
  if (detector->learns) {
    if (detector->candidates && detector->learning[0].at < earliest) earliest = detector->learning[0].at;
  } else if (detector->has_missed && detector->missed.at < earliest) {
    earliest = detector->missed.at;
  }
  const uint32_t late = HEARTZOO_PEAK_BEFORE + HEARTZOO_LAG;
  return heartzoo_recorded_position(earliest > late ? earliest - late : 0);
}

void heartzoo_detector_finish(heartzoo_detector *detector, const heartzoo_signal *signal, heartzoo_peaks *peaks) {
  const int32_t end = (int32_t)signal->count;
  if (!end) return;
  const float last = heartzoo_signal_at(signal, end - 1);
  for (uint32_t i = 0; i < HEARTZOO_PAST_END; i++) {
    take(detector, signal->count + i, last, signal, peaks, end);
  }
  if (detector->learns) learn(detector, peaks, end);
}
#endif
