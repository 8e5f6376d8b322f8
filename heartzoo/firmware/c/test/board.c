#include "board.h"

#include <stdint.h>
#include <stdlib.h>

#define SYST_CSR (*(volatile uint32_t *)0xE000E010u)
#define SYST_RVR (*(volatile uint32_t *)0xE000E014u)
#define SYST_CVR (*(volatile uint32_t *)0xE000E018u)
#define CPACR (*(volatile uint32_t *)0xE000ED88u)
#define COUNTED_TO_ZERO (1u << 16)
#define LONGEST 0x00FFFFFFu
#define PAINT 0xA5A5A5A5u

extern uint32_t stack_paint[], stack_top[], data_start[], data_end[], data_load[], bss_start[], bss_end[];
extern void (*const constructors[])(void), (*const constructors_end[])(void); /* C++'s, of static objects */
extern void initialise_monitor_handles(void);
extern int main(void);

static double instructions_per_tick;
static uint32_t begun;

void reset(void) {
  CPACR |= 0xFu << 20; /* the floating-point unit */
  __asm volatile("dsb\n isb");
  for (uint32_t *to = data_start, *from = data_load; to < data_end;) *to++ = *from++;
  for (uint32_t *to = bss_start; to < bss_end;) *to++ = 0u;
  for (void (*const *construct)(void) = constructors; construct < constructors_end; construct++) (*construct)();
  initialise_monitor_handles();
  exit(main());
}

void _fini(void) {} /* asked for by newlib */

static void fault(void) { abort(); }

__attribute__((section(".vectors"), used)) static const uintptr_t vectors[16] = {
    (uintptr_t)stack_top, (uintptr_t)reset, (uintptr_t)fault, (uintptr_t)fault,
    (uintptr_t)fault,     (uintptr_t)fault, (uintptr_t)fault,
};

static uint32_t ticks_since(uint32_t count) { return (count - SYST_CVR) & LONGEST; } /* it counts down */

/* How many instructions a tick lasts: by a loop of which the number of instructions is known. */
static double calibrate(void) {
  uint32_t turns = 1000000u;
  const uint32_t before = SYST_CVR;
  __asm volatile(".syntax unified\n1: subs %0, #1\n bne 1b" : "+r"(turns) : : "cc");
  return 2e6 / (double)ticks_since(before);
}

void board_start(void) {
  uint32_t *here;
  __asm volatile("mov %0, sp" : "=r"(here));
  for (uint32_t *word = stack_paint; word < here - 16; word++) *word = PAINT;
  SYST_RVR = LONGEST;
  SYST_CVR = 0u;
  SYST_CSR = 5u;
  instructions_per_tick = calibrate();
  (void)SYST_CSR; /* reading it forgets that it counted to zero */
  begun = SYST_CVR;
}

uint32_t board_ticks(void) {
  const uint32_t ticks = ticks_since(begun);
  if (SYST_CSR & COUNTED_TO_ZERO) abort();
  return ticks;
}

double board_instructions(uint32_t ticks) { return (double)ticks * instructions_per_tick; }

unsigned long board_stack_bytes(void) {
  const uint32_t *word = stack_paint;
  while (*word == PAINT) word++;
  return (unsigned long)((uintptr_t)stack_top - (uintptr_t)word);
}
