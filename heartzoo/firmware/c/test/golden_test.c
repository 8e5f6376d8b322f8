/* The golden recording through the preprocessing: exit code 0 where every value is as expected.
 *
 * A value may differ by one step where another compiler rounds otherwise; on an emulated board it also counts. */
#include <stdio.h>
#include <stdlib.h>

#include "golden.h"
#include "heartzoo.h"
#ifdef HEARTZOO_BOARD
#include "board.h"
#endif

#define ALLOWED_SHARE 1000 /* one value in so many */

static heartzoo_state state;
static unsigned beats, values, different;
static int largest, misplaced;

static void compare(const heartzoo_value *found, const heartzoo_value *expected, int count) {
  for (int i = 0; i < count; i++) {
    const int away = abs(found[i] - expected[i]);
    values++;
    different += away != 0;
    if (away > largest) largest = away;
  }
}

static void check(const heartzoo_beat *beat) {
  if (beats < HEARTZOO_GOLDEN_BEATS) {
    const heartzoo_golden_beat *expected = &heartzoo_golden_beats[beats];
    misplaced += beat->sample != expected->sample;
    compare(beat->signal, expected->signal, HEARTZOO_FRAME);
#if HEARTZOO_SECOND_INPUT
    compare(beat->rr, expected->rr, HEARTZOO_FEATURES);
#endif
  }
  beats++;
}

static void run(void) {
  const heartzoo_beat *beat;
  heartzoo_start(&state);
  for (unsigned i = 0; i < HEARTZOO_GOLDEN_SAMPLES; i++) {
    heartzoo_push(&state, (float)heartzoo_golden_counts[i] / HEARTZOO_GOLDEN_PER_MV);
    while ((beat = heartzoo_next(&state))) check(beat);
  }
  heartzoo_finish(&state);
  while ((beat = heartzoo_next(&state))) check(beat);
}

int main(void) {
#ifdef HEARTZOO_BOARD
  board_start();
  run();
  const unsigned long stack = board_stack_bytes();
  const double instructions = board_instructions();
  const double seconds = (double)HEARTZOO_GOLDEN_SAMPLES / HEARTZOO_RECORDING_HZ;
  printf("instructions per second of ECG %.0f\n", instructions / seconds);
  printf("stack bytes %lu\n", stack);
#else
  run();
#endif
  printf("state bytes %u\n", (unsigned)sizeof state);
  printf("%u of %u beats, %d misplaced, %u of %u values differ, by at most %d\n", beats, (unsigned)HEARTZOO_GOLDEN_BEATS,
         misplaced, different, values, largest);
  const int passed =
      beats == HEARTZOO_GOLDEN_BEATS && !misplaced && largest <= 1 && different * ALLOWED_SHARE <= values;
  puts(passed ? "passed" : "FAILED");
  return passed ? EXIT_SUCCESS : EXIT_FAILURE;
}
