/* R-R features: the rhythm around a beat. */
#ifndef HEARTZOO_RR_H
#define HEARTZOO_RR_H

#include <stdint.h>

#include "heartzoo_config.h"

#if HEARTZOO_HISTORY
/* Intervals are counted in fifths of a sample: so 0.2 s and 3 s, to which they are limited, are whole numbers, and
 * neither a comparison nor a sum is ever rounded. */
typedef struct {
  uint16_t recent[HEARTZOO_HISTORY]; /* a ring of the last intervals */
  uint16_t pre, previous;            /* the interval before the beat and the one before that */
  uint32_t count;                    /* intervals so far */
  uint64_t sum;                      /* of all intervals so far */
  float usual;                       /* their mean, as long as they are few; then it follows slowly */
  float median;                      /* of the last 64 */
  float longer, slow;                /* 70 % and 90 % quantiles of the last 128 */
  uint8_t skipped;                   /* whether signal was lost in the interval before the beat */
} heartzoo_rr;

void heartzoo_rr_start(heartzoo_rr *rr);

/* Samples of the recording from one beat to the next -> fifths, limited to 0.2 ... 3 s. */
uint16_t heartzoo_interval(uint32_t samples);

/* Take the interval before a beat. */
void heartzoo_rr_add(heartzoo_rr *rr, uint16_t pre);

/* What stands in for an interval across lost signal: the median of the last 64, of an even number the lower of the
 * middle two; 0.8 s where there is none. */
uint16_t heartzoo_rr_middle(const heartzoo_rr *rr);

/* The interval before a beat is one across lost signal. */
void heartzoo_rr_skip(heartzoo_rr *rr);

/* A feature of the latest beat, within -1 ... 1. `post` is the interval after it. */
float heartzoo_rr_feature(const heartzoo_rr *rr, int feature, uint16_t post);

#if HEARTZOO_TEMPLATE
/* Whether the template learns from the latest beat, going by its interval. */
int heartzoo_rr_regular(const heartzoo_rr *rr);
#endif
#endif

#endif
