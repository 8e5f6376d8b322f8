/* R peaks of the signal at the model's rate, as it comes. The steps are numbered as in heartzoo/data/detection.py. */
#ifndef HEARTZOO_DETECTOR_H
#define HEARTZOO_DETECTOR_H

#include <stdint.h>

#include "heartzoo_filter.h"
#include "heartzoo_config.h"
#include "heartzoo_peaks.h"
#include "heartzoo_signal.h"

#if HEARTZOO_DETECTS
/* A possible beat. */
typedef struct {
  uint32_t at;         /* sample at which its energy is highest */
  float height, slope; /* mV, mV a sample */
  float up, down;      /* sizes of the positive and the negative peak, mV */
  int16_t top, bottom; /* where they are, from `at` on */
} heartzoo_candidate;

typedef struct {
  /* steps 1 to 4 */
  heartzoo_section_state sections[2];
  float band[HEARTZOO_BAND]; /* a ring of band-passed samples */
  float power[2];            /* mean square before the latest sample, and before that */
  heartzoo_candidate waiting;
  uint8_t waits;
  /* steps 5 to 8 */
  heartzoo_candidate learning[HEARTZOO_LEARNING];
  heartzoo_candidate missed;
  uint8_t learns;     /* whether it still does */
  uint8_t candidates; /* in `learning` */
  uint8_t has_missed;
  uint8_t search_failed; /* since the last beat */
  float level, noise, interval, slope, sign;
  int32_t last, due;
} heartzoo_detector;

void heartzoo_detector_start(heartzoo_detector *detector);

/* Take the latest sample of the signal; the R peaks that it makes certain join `peaks`. */
void heartzoo_detector_push(heartzoo_detector *detector, const heartzoo_signal *signal, heartzoo_peaks *peaks);

/* No further R peak lies before this sample of the recording. */
uint32_t heartzoo_detector_settled(const heartzoo_detector *detector, const heartzoo_signal *signal);

/* Those that are left when the signal has ended. */
void heartzoo_detector_finish(heartzoo_detector *detector, const heartzoo_signal *signal, heartzoo_peaks *peaks);
#endif

#endif
