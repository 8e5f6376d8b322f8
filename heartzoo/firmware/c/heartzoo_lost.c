#include "heartzoo_lost.h"

#if HEARTZOO_HISTORY
static void drop_first(heartzoo_lost *lost, int over) {
  for (int i = over; i < lost->count; i++) {
    lost->certain[i - over] = lost->certain[i];
    lost->last[i - over] = lost->last[i];
  }
  lost->count = (uint8_t)(lost->count - over);
}

void heartzoo_lost_push(heartzoo_lost *lost, uint32_t sample, uint32_t missing) {
  if (missing < HEARTZOO_LOST_SAMPLES) return;
  if (missing == HEARTZOO_LOST_SAMPLES || !lost->count) {
    if (lost->count == HEARTZOO_STRETCHES) {
      lost->certain[1] = lost->certain[0];
      drop_first(lost, 1);
    }
    lost->certain[lost->count++] = sample;
  }
  lost->last[lost->count - 1] = sample;
}

int heartzoo_lost_between(const heartzoo_lost *lost, uint32_t before, uint32_t after) {
  for (int i = 0; i < lost->count; i++) {
    if (lost->last[i] > before) return lost->certain[i] < after;
  }
  return 0;
}

void heartzoo_lost_forget(heartzoo_lost *lost, uint32_t sample) {
  int over = 0;
  while (over < lost->count && lost->last[over] <= sample) over++;
  drop_first(lost, over);
}
#endif
