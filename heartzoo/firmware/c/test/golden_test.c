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
#define ROUNDS 6           /* after which the history of intervals is full, and so the work at its most */

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

static void push(unsigned i) {
  heartzoo_push(&state, (float)heartzoo_golden_counts[i] / HEARTZOO_GOLDEN_PER_MV);
#if HEARTZOO_OF_BEATS && !HEARTZOO_DETECTS
  static unsigned peak;
  if (i == 0) peak = 0;
  if (peak < HEARTZOO_GOLDEN_BEATS && heartzoo_golden_beats[peak].sample == i) {
    heartzoo_add_peak(&state, state.samples - 1);
    peak++;
  }
#endif
}

static void push_all(void) {
  const heartzoo_beat *beat;
  for (unsigned i = 0; i < HEARTZOO_GOLDEN_SAMPLES; i++) {
    push(i);
    while ((beat = heartzoo_next(&state))) check(beat);
  }
}

static void run(void) {
  const heartzoo_beat *beat;
  heartzoo_start(&state);
  push_all();
  heartzoo_finish(&state);
  while ((beat = heartzoo_next(&state))) check(beat);
}

#ifdef HEARTZOO_BOARD
static uint32_t larger(uint32_t one, uint32_t other) { return one > other ? one : other; }

/* The most instructions of a single call. */
static void measure_calls(void) {
  uint32_t pushing = 0, asking = 0;
  board_start();
  for (unsigned i = 0; i < HEARTZOO_GOLDEN_SAMPLES; i++) {
    const heartzoo_beat *beat;
    uint32_t before = board_ticks();
    push(i);
    pushing = larger(pushing, board_ticks() - before);
    do {
      before = board_ticks();
      beat = heartzoo_next(&state);
      asking = larger(asking, board_ticks() - before);
    } while (beat);
  }
  printf("instructions of heartzoo_push at most %.0f\n", board_instructions(pushing));
  printf("instructions of heartzoo_next at most %.0f\n", board_instructions(asking));
}

/* The same again and again, then counting. */
static void measure(void) {
  const double seconds = (double)HEARTZOO_GOLDEN_SAMPLES / HEARTZOO_RECORDING_HZ;
  heartzoo_start(&state);
  for (int round = 1; round < ROUNDS; round++) push_all();
  board_start();
  push_all();
  const double instructions = board_instructions(board_ticks());
  const unsigned long stack = board_stack_bytes();
  printf("instructions per second of ECG %.0f\n", instructions / seconds);
  printf("stack bytes %lu\n", stack);
}
#endif

int main(void) {
  run();
  printf("state bytes %u\n", (unsigned)sizeof state);
  printf("%u of %u beats, %d misplaced, %u of %u values differ, by at most %d\n", beats, (unsigned)HEARTZOO_GOLDEN_BEATS,
         misplaced, different, values, largest);
  const int passed =
      beats == HEARTZOO_GOLDEN_BEATS && !misplaced && largest <= 1 && different * ALLOWED_SHARE <= values;
#ifdef HEARTZOO_BOARD
  measure();
  measure_calls(); /* as full as the history is now */
#endif
  puts(passed ? "passed" : "FAILED");
  return passed ? EXIT_SUCCESS : EXIT_FAILURE;
}
