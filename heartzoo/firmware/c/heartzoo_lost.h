/* Where the recording was lost: a tenth of a second or more of it were missing, so that a beat may be. */
#ifndef HEARTZOO_LOST_H
#define HEARTZOO_LOST_H

#include <stdint.h>

#include "heartzoo_config.h"

/* So many samples in a row. */
#define HEARTZOO_LOST_SAMPLES ((HEARTZOO_RECORDING_HZ + 9u) / 10u)

#if HEARTZOO_HISTORY
#define HEARTZOO_STRETCHES 8

typedef struct {
  /* Of each stretch since the latest beat that was given the sample at which it was long enough, and its last. If they
   * are more, the first two count as one. */
  uint32_t certain[HEARTZOO_STRETCHES], last[HEARTZOO_STRETCHES];
  uint8_t count;
} heartzoo_lost;

/* Take a sample, counted from 0, that is missing, and how many are in a row with it. */
void heartzoo_lost_push(heartzoo_lost *lost, uint32_t sample, uint32_t missing);

/* Whether signal was lost between two beats. */
int heartzoo_lost_between(const heartzoo_lost *lost, uint32_t before, uint32_t after);

/* No beat before that sample will be asked about any more. */
void heartzoo_lost_forget(heartzoo_lost *lost, uint32_t sample);
#endif

#endif
