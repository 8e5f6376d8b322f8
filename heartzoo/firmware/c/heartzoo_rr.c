#include "heartzoo_rr.h"

#if HEARTZOO_HISTORY
#include <math.h>
#include <string.h>

#define CONTEXT 64
#define ENTROPY_BINS 31

void heartzoo_rr_start(heartzoo_rr *rr) { memset(rr, 0, sizeof *rr); }

uint16_t heartzoo_interval(uint32_t samples) {
  if (samples >= 3u * HEARTZOO_RECORDING_HZ) return 15u * HEARTZOO_RECORDING_HZ;
  const uint32_t fifths = 5u * samples;
  return (uint16_t)(fifths < HEARTZOO_RECORDING_HZ ? HEARTZOO_RECORDING_HZ : fifths);
}

/* How many of the last `most` intervals there are. */
static int known(const heartzoo_rr *rr, int most) { return rr->count < (uint32_t)most ? (int)rr->count : most; }

/* The latest interval for age 0, the one before for age 1 ... */
static uint16_t aged(const heartzoo_rr *rr, int age) {
  return rr->recent[(rr->count - 1u - (uint32_t)age) % HEARTZOO_HISTORY];
}

static void put_in_order(uint16_t *ordered, int count, uint16_t value) {
  while (count > 0 && ordered[count - 1] > value) {
    ordered[count] = ordered[count - 1];
    count--;
  }
  ordered[count] = value;
}

static void take_out(uint16_t *ordered, int count, uint16_t value) {
  int place = 0;
  while (ordered[place] != value) place++;
  memmove(ordered + place, ordered + place + 1, (size_t)(count - place - 1) * sizeof *ordered);
}

/* Keep `ordered` the last `most` intervals when `pre` joins them. */
static void follow(const heartzoo_rr *rr, uint16_t *ordered, int most, uint16_t pre) {
  int count = known(rr, most);
  if (count == most) take_out(ordered, count--, aged(rr, most - 1));
  put_in_order(ordered, count, pre);
}

void heartzoo_rr_add(heartzoo_rr *rr, uint16_t pre) {
  follow(rr, rr->ordered, HEARTZOO_HISTORY, pre);
#if HEARTZOO_HISTORY > 64
  follow(rr, rr->ordered64, 64, pre);
#endif
  rr->previous = rr->count ? rr->pre : pre;
  rr->pre = pre;
  rr->recent[rr->count % HEARTZOO_HISTORY] = pre;
  rr->count++;
  rr->sum += pre;
}

/* The quantile `tenths` / 10, linearly interpolated, in fifths of a sample. */
static float quantile(const uint16_t *ordered, int count, int tenths) {
  const int low = tenths * (count - 1) / 10, rest = tenths * (count - 1) % 10;
  const int high = low + 1 < count ? low + 1 : count - 1;
  return (float)(10 * ordered[low] + rest * (ordered[high] - ordered[low])) / 10.0f;
}

static float median64(const heartzoo_rr *rr) {
#if HEARTZOO_HISTORY > 64
  return quantile(rr->ordered64, known(rr, 64), 5);
#else
  return quantile(rr->ordered, known(rr, 64), 5);
#endif
}

static float quantile128(const heartzoo_rr *rr, int tenths) {
  return quantile(rr->ordered, known(rr, HEARTZOO_HISTORY), tenths);
}

static float mean10(const heartzoo_rr *rr) {
  const int count = known(rr, 10);
  uint32_t sum = 0;
  for (int age = 0; age < count; age++) sum += aged(rr, age);
  return (float)sum / (float)count;
}

static float mean_so_far(const heartzoo_rr *rr) { return (float)rr->sum / (float)rr->count; }

/* Whether the longer is less than times / 5000 of the shorter. */
static int alike(uint16_t one, uint16_t other, uint32_t times) {
  const uint32_t longer = one > other ? one : other, shorter = one > other ? other : one;
  return 5000u * longer < times * shorter;
}

#define STEADY 5251u /* 1.0502 */
#define NEAR 5301u   /* 1.0602 */

static float steadiness(const heartzoo_rr *rr) {
  const int changes = known(rr, CONTEXT) - 1;
  int steady = 0;
  for (int age = 0; age < changes; age++) steady += alike(aged(rr, age), aged(rr, age + 1), STEADY);
  return changes ? (float)steady / (float)changes : 1.0f;
}

/* Points are pairs of successive intervals; two of them `lag` apart are near if both coordinates are. */
static float recurrence(const heartzoo_rr *rr) {
  const int intervals = known(rr, CONTEXT), points = intervals - 1;
  int pairs = 0;
  for (int lag = 1; lag < points; lag++) {
    int before = alike(aged(rr, 0), aged(rr, lag), NEAR);
    for (int age = 1; age + lag < intervals; age++) {
      const int now = alike(aged(rr, age), aged(rr, age + lag), NEAR);
      pairs += before & now;
      before = now;
    }
  }
  return points > 1 ? (float)pairs / (float)(points * (points - 1) / 2) : 1.0f;
}

static float entropy(const heartzoo_rr *rr) {
  const int count = known(rr, CONTEXT);
  const float middle = median64(rr);
  uint8_t counts[ENTROPY_BINS] = {0};
  for (int age = 0; age < count; age++) {
    const float ratio = (float)aged(rr, age) / middle;
    int bin = 0;
    while (bin < ENTROPY_BINS - 1 && heartzoo_entropy_edges[bin] <= ratio) bin++;
    counts[bin]++;
  }
  float bits = 0.0f;
  for (int bin = 0; bin < ENTROPY_BINS; bin++) {
    const float share = (float)counts[bin] / (float)count;
    if (counts[bin]) bits -= share * log2f(share);
  }
  return bits / 5.0f;
}

static float value(const heartzoo_rr *rr, int feature, uint16_t post) {
  const float before = (float)rr->pre, after = (float)post;
  switch (feature) {
    case HEARTZOO_PRE_MEDIAN: return log2f(before / median64(rr));
    case HEARTZOO_POST_MEDIAN: return log2f(after / median64(rr));
    case HEARTZOO_PRE_POST: return log2f(before / after);
    case HEARTZOO_PRE_MEAN10: return log2f(before / mean10(rr));
    case HEARTZOO_PREVIOUS_PRE: return log2f((float)rr->previous / before);
    case HEARTZOO_PRE_QUANTILE70: return log2f(before / quantile128(rr, 7));
    case HEARTZOO_PRE_MEAN: return log2f(before / mean_so_far(rr));
    case HEARTZOO_POST_MEAN: return log2f(after / mean_so_far(rr));
    case HEARTZOO_PRE_SLOW: return log2f(before / quantile128(rr, 9));
    case HEARTZOO_POST_SLOW: return log2f(after / quantile128(rr, 9));
    case HEARTZOO_STEADINESS: return steadiness(rr);
    case HEARTZOO_RECURRENCE: return recurrence(rr);
    default: return entropy(rr);
  }
}

float heartzoo_rr_feature(const heartzoo_rr *rr, int feature, uint16_t post) {
  return fmaxf(-1.0f, fminf(1.0f, value(rr, feature, post)));
}

#if HEARTZOO_TEMPLATE
int heartzoo_rr_regular(const heartzoo_rr *rr) {
#if HEARTZOO_REGULAR_LATE
  return log2f((float)rr->pre / quantile128(rr, 9)) > HEARTZOO_LATE_OCTAVES;
#else
  return fabsf(log2f((float)rr->pre / median64(rr))) < HEARTZOO_REGULAR_OCTAVES;
#endif
}
#endif
#endif
