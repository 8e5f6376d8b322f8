/* QEMU's mps2-an386, a Cortex-M4F: what the golden test counts there. */
#ifndef BOARD_H
#define BOARD_H

/* Begin to count. */
void board_start(void);

/* Instructions since then; right where QEMU runs with -icount shift=0. Beyond about 670 million it aborts. */
double board_instructions(void);

/* The deepest that the stack has been since then. */
unsigned long board_stack_bytes(void);

#endif
