#include "template.h"

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

/* From the lowest to the highest sample, mV. */
static float size(const float *x, wave part) {
  float low = x[part.from], high = x[part.from];
  for (int i = part.from + 1; i < part.to; i++) {
    low = fminf(low, x[i]);
    high = fmaxf(high, x[i]);
  }
  return high - low + EPSILON_MV;
}

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
static float difference(const float *template, const heartzoo_comparison *comparison, wave part) {
  float sum = 0.0f;
  for (int i = part.from; i < part.to; i++) {
    const float away = comparison->window[i] - template[i] - comparison->offset;
    sum += away * away;
  }
  return sqrtf(sum / (float)(part.to - part.from)) / comparison->qrs_size;
}

void heartzoo_template_start(heartzoo_template *template) {
  memset(template, 0, sizeof *template);
  for (int i = 0; i < HEARTZOO_SHAPES; i++) template->spread[i] = 0.05f * 0.05f;
}

static const float *best_window(const heartzoo_template *template, const float *wide) {
  const float *best = wide;
  float highest = correlation(wide, template->mean, QRS);
  for (int shift = 1; shift <= 2 * HEARTZOO_SHIFT; shift++) {
    const float found = correlation(wide + shift, template->mean, QRS);
    if (found > highest) {
      highest = found;
      best = wide + shift;
    }
  }
  return best;
}

/* The shape features, in the order of their numbers, limited. */
static void compare_shapes(const float *template, heartzoo_comparison *comparison) {
  const float *window = comparison->window;
  float *shapes = comparison->shapes;
  shapes[HEARTZOO_QRS_MATCH] = correlation(window, template, QRS);
  shapes[HEARTZOO_P_MATCH] = correlation(window, template, P);
  shapes[HEARTZOO_T_MATCH] = correlation(window, template, T_WAVE);
  shapes[HEARTZOO_QRS_SIZE] = log2f(size(window, QRS) / comparison->qrs_size);
  shapes[HEARTZOO_P_SIZE] = log2f(size(window, P) / size(template, P));
  shapes[HEARTZOO_QRS_LENGTH] = log2f(length(window, QRS) / length(template, QRS));
  shapes[HEARTZOO_QRS_DIFFERENCE] = difference(template, comparison, QRS);
  shapes[HEARTZOO_P_DIFFERENCE] = difference(template, comparison, P);
  shapes[HEARTZOO_T_DIFFERENCE] = difference(template, comparison, T_WAVE);
  for (int i = 0; i < HEARTZOO_SHAPES; i++) shapes[i] = limited(shapes[i], 1.0f);
}

void heartzoo_template_compare(heartzoo_template *template, heartzoo_comparison *comparison) {
  if (!template->begun) memcpy(template->mean, comparison->wide + HEARTZOO_SHIFT, sizeof template->mean);
  comparison->window = best_window(template, comparison->wide);
  comparison->offset = mean(comparison->window, ALL) - mean(template->mean, ALL);
  comparison->qrs_size = size(template->mean, QRS);
  compare_shapes(template->mean, comparison);
  if (!template->begun) memcpy(template->usual, comparison->shapes, sizeof template->usual);
  template->begun = 1;
}

static float value(const heartzoo_template *template, const heartzoo_comparison *comparison, int feature) {
  if (feature < HEARTZOO_UNUSUAL) return comparison->shapes[feature];
  if (feature < HEARTZOO_UNUSUAL + HEARTZOO_SHAPES) {
    const int shape = feature - HEARTZOO_UNUSUAL;
    const float away = comparison->shapes[shape] - template->usual[shape];
    return away / (4.0f * (sqrtf(template->spread[shape]) + 0.03f));
  }
  switch (feature) {
    case HEARTZOO_P_MATCH_USUAL: return template->usual[HEARTZOO_P_MATCH];
    case HEARTZOO_TEMPLATE_P: return log2f(size(template->mean, P) / comparison->qrs_size) / 4.0f;
    case HEARTZOO_TEMPLATE_T: return log2f(size(template->mean, T_WAVE) / comparison->qrs_size) / 4.0f;
    default: return log2f(width(comparison->window, SLOPE) / width(template->mean, SLOPE));
  }
}

float heartzoo_template_feature(const heartzoo_template *template, const heartzoo_comparison *comparison, int feature) {
  return limited(value(template, comparison, feature), 1.0f);
}

float heartzoo_template_difference(const heartzoo_template *template, const heartzoo_comparison *comparison, int sample) {
  const float away = comparison->window[sample] - template->mean[sample] - comparison->offset;
  return limited(away / comparison->qrs_size, 1.0f);
}

void heartzoo_template_learn(heartzoo_template *template, const heartzoo_comparison *comparison) {
  if (template->regular_beats < USUAL_BEATS) template->regular_beats++;
  const float memory = template->regular_beats < MEMORY_BEATS ? (float)template->regular_beats : (float)MEMORY_BEATS;
  const float weight = 1.0f / (float)template->regular_beats;
  for (int i = 0; i < HEARTZOO_WINDOW; i++) {
    template->mean[i] += (comparison->window[i] - template->mean[i]) / memory;
  }
  for (int i = 0; i < HEARTZOO_SHAPES; i++) {
    const float step = limited(comparison->shapes[i] - template->usual[i], 0.5f);
    template->usual[i] += weight * step;
    if (template->regular_beats > 1) {
      template->spread[i] = (1.0f - weight) * (template->spread[i] + weight * step * step);
    }
  }
}
#endif
