#include "heartzoo_rr.h"

#if HEARTZOO_HISTORY
#include <math.h>
#include <string.h>

#define CONTEXT 64
#define ENTROPY_BINS 31
#define USUAL_BEATS 512
#define USUAL_STEP 0.1f

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

static int at_most(const heartzoo_rr *rr, int count, uint32_t limit) {
  int found = 0;
  for (int age = 0; age < count; age++) found += aged(rr, age) <= limit;
  return found;
}

/* Of the last `count` intervals the one of that rank, 0 for the shortest. Bisection takes no memory, sorting would. */
static uint16_t ranked(const heartzoo_rr *rr, int count, int rank) {
  uint32_t low = HEARTZOO_RECORDING_HZ, high = 15u * HEARTZOO_RECORDING_HZ;
  while (low < high) {
    const uint32_t middle = (low + high) / 2u;
    if (at_most(rr, count, middle) > rank) {
      high = middle;
    } else {
      low = middle + 1u;
    }
  }
  return (uint16_t)low;
}

/* The next longer one, of which there is one at least. */
static uint16_t above(const heartzoo_rr *rr, int count, uint16_t interval) {
  uint16_t shortest = UINT16_MAX;
  for (int age = 0; age < count; age++) {
    if (aged(rr, age) > interval && aged(rr, age) < shortest) shortest = aged(rr, age);
  }
  return shortest;
}

/* The quantile `tenths` / 10 of the last `most`, linearly interpolated, in fifths of a sample. */
static float quantile(const heartzoo_rr *rr, int most, int tenths) {
  const int count = known(rr, most);
  const int rank = tenths * (count - 1) / 10, rest = tenths * (count - 1) % 10;
  const uint16_t low = ranked(rr, count, rank);
  const int alone = rest && at_most(rr, count, low) == rank + 1;
  const uint16_t high = alone ? above(rr, count, low) : low;
  return (float)(10 * low + rest * (high - low)) / 10.0f;
}

void heartzoo_rr_add(heartzoo_rr *rr, uint16_t pre) {
  rr->previous = rr->count ? rr->pre : pre;
  rr->pre = pre;
  rr->skipped = 0;
  rr->recent[rr->count % HEARTZOO_HISTORY] = pre;
  rr->count++;
  rr->sum += pre;
  if (rr->count <= USUAL_BEATS) {
    rr->usual = (float)rr->sum / (float)rr->count;
  } else {
    const float most = USUAL_STEP * rr->usual;
    rr->usual += fmaxf(-most, fminf(most, (float)pre - rr->usual)) / USUAL_BEATS;
  }
  rr->median = quantile(rr, CONTEXT, 5);
#if HEARTZOO_HISTORY > CONTEXT
  rr->longer = quantile(rr, HEARTZOO_HISTORY, 7);
  rr->slow = quantile(rr, HEARTZOO_HISTORY, 9);
#endif
}

uint16_t heartzoo_rr_middle(const heartzoo_rr *rr) {
  const int count = known(rr, CONTEXT);
  return count ? ranked(rr, count, (count - 1) / 2) : (uint16_t)(4u * HEARTZOO_RECORDING_HZ);
}

void heartzoo_rr_skip(heartzoo_rr *rr) {
  rr->previous = rr->pre;
  rr->pre = heartzoo_rr_middle(rr);
  rr->skipped = 1;
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
  uint8_t counts[ENTROPY_BINS] = {0};
  for (int age = 0; age < count; age++) {
    const float ratio = (float)aged(rr, age) / rr->median;
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
    case HEARTZOO_PRE_MEDIAN: return log2f(before / rr->median);
    case HEARTZOO_POST_MEDIAN: return log2f(after / rr->median);
    case HEARTZOO_PRE_POST: return log2f(before / after);
    case HEARTZOO_PRE_MEAN10: return log2f(before / mean10(rr));
    case HEARTZOO_PREVIOUS_PRE: return log2f((float)rr->previous / before);
    case HEARTZOO_PRE_MEAN: return log2f(before / mean_so_far(rr));
    case HEARTZOO_POST_MEAN: return log2f(after / mean_so_far(rr));
    case HEARTZOO_PRE_USUAL: return log2f(before / rr->usual);
    case HEARTZOO_POST_USUAL: return log2f(after / rr->usual);
#if HEARTZOO_HISTORY > CONTEXT
    case HEARTZOO_PRE_QUANTILE70: return log2f(before / rr->longer);
    case HEARTZOO_PRE_SLOW: return log2f(before / rr->slow);
    case HEARTZOO_POST_SLOW: return log2f(after / rr->slow);
#endif
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
  if (rr->skipped) return 0;
#if HEARTZOO_REGULAR_LATE
  return log2f((float)rr->pre / rr->slow) > HEARTZOO_LATE_OCTAVES;
#else
  return fabsf(log2f((float)rr->pre / rr->median)) < HEARTZOO_REGULAR_OCTAVES;
#endif
}
#endif
#endif
