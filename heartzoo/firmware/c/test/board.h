/* QEMU's mps2-an386, a Cortex-M4F: what the golden test counts there. */
#ifndef BOARD_H
#define BOARD_H

#include <stdint.h>

/* Begin to count. */
void board_start(void);

/* The timer's ticks since then; beyond 16 million it aborts. */
uint32_t board_ticks(void);

/* How many instructions so many ticks are; right where QEMU runs with -icount shift=0. */
double board_instructions(uint32_t ticks);

/* The deepest that the stack has been since then. */
unsigned long board_stack_bytes(void);

#endif
