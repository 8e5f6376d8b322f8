#include "heartzoo_template.h"

#if HEARTZOO_TEMPLATE
#include <math.h>
#include <string.h>

#define EPSILON_MV 0.01f
#define EPSILON_STEP_MV 0.001f
#define MEMORY_BEATS 16
#define USUAL_BEATS 32

/* Samples from ... to ... of a window. */
typedef struct {
  int from, to;
} wave;

static const wave ALL = {0, HEARTZOO_WINDOW};
static const wave QRS = {HEARTZOO_QRS_FROM, HEARTZOO_QRS_TO};
static const wave P = {HEARTZOO_P_FROM, HEARTZOO_P_TO};
static const wave T_WAVE = {HEARTZOO_T_FROM, HEARTZOO_T_TO};
static const wave SLOPE = {HEARTZOO_SLOPE_FROM, HEARTZOO_SLOPE_TO};
static const wave LEVEL = {HEARTZOO_LEVEL_FROM, HEARTZOO_LEVEL_TO};
static const wave EARLY = {HEARTZOO_EARLY_FROM, HEARTZOO_EARLY_TO};
static const wave LATE = {HEARTZOO_LATE_FROM, HEARTZOO_LATE_TO};

static float limited(float value, float limit) { return fmaxf(-limit, fminf(limit, value)); }

static float mean(const float *x, wave part) {
  float sum = 0.0f;
  for (int i = part.from; i < part.to; i++) sum += x[i];
  return sum / (float)(part.to - part.from);
}

/* Of a part of two windows; a flat line correlates with nothing. */
static float correlation(const float *a, const float *b, wave part) {
  const float mean_a = mean(a, part), mean_b = mean(b, part);
  float ab = 0.0f, aa = 0.0f, bb = 0.0f;
  for (int i = part.from; i < part.to; i++) {
    const float da = a[i] - mean_a, db = b[i] - mean_b;
    ab += da * db;
    aa += da * da;
    bb += db * db;
  }
  return ab / sqrtf(aa * bb + EPSILON_MV * EPSILON_MV * EPSILON_MV * EPSILON_MV);
}

static float lowest(const float *x, wave part) {
  float low = x[part.from];
  for (int i = part.from + 1; i < part.to; i++) low = fminf(low, x[i]);
  return low;
}

static float highest(const float *x, wave part) {
  float high = x[part.from];
  for (int i = part.from + 1; i < part.to; i++) high = fmaxf(high, x[i]);
  return high;
}

/* From the lowest to the highest sample, mV. */
static float size(const float *x, wave part) { return highest(x, part) - lowest(x, part) + EPSILON_MV; }

/* Whether the QRS points up or down from the level before it. */
static float polarity(const float *x) {
  return (highest(x, QRS) + lowest(x, QRS) - 2.0f * mean(x, LEVEL)) / size(x, QRS);
}

/* How much of the area between the QRS and that level lies above it. */
static float area(const float *x) {
  const float level = mean(x, LEVEL);
  float sum = 0.0f, whole = 0.0f;
  for (int i = QRS.from; i < QRS.to; i++) {
    sum += x[i] - level;
    whole += fabsf(x[i] - level);
  }
  return sum / (whole + EPSILON_STEP_MV * (float)(QRS.to - QRS.from));
}

/* A part's distance from that level, in sizes of the QRS. */
static float above_level(const float *x, wave part) { return (mean(x, part) - mean(x, LEVEL)) / size(x, QRS); }

static float length(const float *x, wave part) {
  float sum = 0.0f;
  for (int i = part.from; i + 1 < part.to; i++) sum += fabsf(x[i + 1] - x[i]);
  return sum + EPSILON_MV;
}

static float energy(const float *x, int i) {
  const float step = x[i + 1] - x[i];
  return step * step + EPSILON_STEP_MV * EPSILON_STEP_MV;
}

/* How far the squared slope spreads in time around its centre, in samples. */
static float width(const float *x, wave part) {
  float sum = 0.0f, moment = 0.0f, square = 0.0f;
  for (int i = part.from; i + 1 < part.to; i++) {
    sum += energy(x, i);
    moment += energy(x, i) * (float)(i - part.from);
  }
  const float centre = moment / sum;
  for (int i = part.from; i + 1 < part.to; i++) {
    const float away = (float)(i - part.from) - centre;
    square += energy(x, i) * away * away;
  }
  return sqrtf(square / sum);
}

/* Root mean square of window less template, each less its mean, in sizes of the template's QRS. */
static float difference(const float *usual, const heartzoo_comparison *comparison, wave part) {
  float sum = 0.0f;
  for (int i = part.from; i < part.to; i++) {
    const float away = comparison->window[i] - usual[i] - comparison->offset;
    sum += away * away;
  }
  return sqrtf(sum / (float)(part.to - part.from)) / comparison->qrs_size;
}

void heartzoo_template_start(heartzoo_template *running) {
  memset(running, 0, sizeof *running);
  for (int i = 0; i < HEARTZOO_SHAPES; i++) running->spread[i] = 0.05f * 0.05f;
}

static const float *best_window(const heartzoo_template *running, const float *wide) {
  const float *best = wide;
  float best_match = correlation(wide, running->mean, QRS);
  for (int shift = 1; shift <= 2 * HEARTZOO_SHIFT; shift++) {
    const float found = correlation(wide + shift, running->mean, QRS);
    if (found > best_match) {
      best_match = found;
      best = wide + shift;
    }
  }
  return best;
}

/* The shape features, in the order of their numbers, limited. */
static void compare_shapes(const float *usual, heartzoo_comparison *comparison) {
  const float *window = comparison->window;
  float *shapes = comparison->shapes;
  shapes[HEARTZOO_QRS_MATCH] = correlation(window, usual, QRS);
  shapes[HEARTZOO_P_MATCH] = correlation(window, usual, P);
  shapes[HEARTZOO_T_MATCH] = correlation(window, usual, T_WAVE);
  shapes[HEARTZOO_QRS_SIZE] = log2f(size(window, QRS) / comparison->qrs_size);
  shapes[HEARTZOO_P_SIZE] = log2f(size(window, P) / size(usual, P));
  shapes[HEARTZOO_QRS_LENGTH] = log2f(length(window, QRS) / length(usual, QRS));
  shapes[HEARTZOO_QRS_DIFFERENCE] = difference(usual, comparison, QRS);
  shapes[HEARTZOO_P_DIFFERENCE] = difference(usual, comparison, P);
  shapes[HEARTZOO_T_DIFFERENCE] = difference(usual, comparison, T_WAVE);
  for (int i = 0; i < HEARTZOO_SHAPES; i++) shapes[i] = limited(shapes[i], 1.0f);
}

void heartzoo_template_compare(heartzoo_template *running, heartzoo_comparison *comparison) {
  if (!running->begun) memcpy(running->mean, comparison->wide + HEARTZOO_SHIFT, sizeof running->mean);
  comparison->window = best_window(running, comparison->wide);
  comparison->offset = mean(comparison->window, ALL) - mean(running->mean, ALL);
  comparison->qrs_size = size(running->mean, QRS);
  compare_shapes(running->mean, comparison);
  if (!running->begun) memcpy(running->usual, comparison->shapes, sizeof running->usual);
  running->begun = 1;
}

static float value(const heartzoo_template *running, const heartzoo_comparison *comparison, int feature) {
  if (feature < HEARTZOO_UNUSUAL) return comparison->shapes[feature];
  if (feature < HEARTZOO_UNUSUAL + HEARTZOO_SHAPES) {
    const int shape = feature - HEARTZOO_UNUSUAL;
    const float away = comparison->shapes[shape] - running->usual[shape];
    return away / (4.0f * (sqrtf(running->spread[shape]) + 0.03f));
  }
  switch (feature) {
    case HEARTZOO_P_MATCH_USUAL: return running->usual[HEARTZOO_P_MATCH];
    case HEARTZOO_TEMPLATE_P: return log2f(size(running->mean, P) / comparison->qrs_size) / 4.0f;
    case HEARTZOO_TEMPLATE_T: return log2f(size(running->mean, T_WAVE) / comparison->qrs_size) / 4.0f;
    case HEARTZOO_QRS_POLARITY: return polarity(comparison->window);
    case HEARTZOO_QRS_AREA: return area(comparison->window);
    case HEARTZOO_QRS_EARLY: return above_level(comparison->window, EARLY);
    case HEARTZOO_QRS_LATE: return 2.0f * above_level(comparison->window, LATE);
    case HEARTZOO_TEMPLATE_POLARITY: return polarity(running->mean);
    case HEARTZOO_TEMPLATE_AREA: return area(running->mean);
    case HEARTZOO_TEMPLATE_EARLY: return above_level(running->mean, EARLY);
    case HEARTZOO_TEMPLATE_LATE: return 2.0f * above_level(running->mean, LATE);
    default: return log2f(width(comparison->window, SLOPE) / width(running->mean, SLOPE));
  }
}

float heartzoo_template_feature(const heartzoo_template *running, const heartzoo_comparison *comparison, int feature) {
  return limited(value(running, comparison, feature), 1.0f);
}

float heartzoo_template_difference(const heartzoo_template *running, const heartzoo_comparison *comparison, int sample) {
  const float away = comparison->window[sample] - running->mean[sample] - comparison->offset;
  return limited(away / comparison->qrs_size, 1.0f);
}

void heartzoo_template_learn(heartzoo_template *running, const heartzoo_comparison *comparison) {
  if (running->regular_beats < USUAL_BEATS) running->regular_beats++;
  const float memory = running->regular_beats < MEMORY_BEATS ? (float)running->regular_beats : (float)MEMORY_BEATS;
  const float weight = 1.0f / (float)running->regular_beats;
  for (int i = 0; i < HEARTZOO_WINDOW; i++) {
    running->mean[i] += (comparison->window[i] - running->mean[i]) / memory;
  }
  for (int i = 0; i < HEARTZOO_SHAPES; i++) {
    const float step = limited(comparison->shapes[i] - running->usual[i], 0.5f);
    running->usual[i] += weight * step;
    if (running->regular_beats > 1) {
      running->spread[i] = (1.0f - weight) * (running->spread[i] + weight * step * step);
    }
  }
}
#endif
