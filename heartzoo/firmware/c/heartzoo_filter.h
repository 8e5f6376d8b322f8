/* Causal second-order sections, started in the steady state of the first sample. */
#ifndef HEARTZOO_FILTER_H
#define HEARTZOO_FILTER_H

#include "heartzoo_config.h"

/* In d = z - 1 instead of z: (out[0] d^2 + out[1] d + out[2]) / (d^2 + back[0] d + back[1]). The poles of a 0.5 Hz
 * high-pass lie so near z = 1 that float coefficients of powers of z would move them; those of powers of d do not. */
typedef struct {
  float out[3];
  float back[2];
  float rest; /* gain at 0 Hz */
} heartzoo_section;

typedef struct {
  float first; /* the section filters what its input is more than that; so the steady state is all zeros */
  float slow, fast;
} heartzoo_section_state;

void heartzoo_section_start(heartzoo_section_state *state, float first);
float heartzoo_section_next(heartzoo_section_state *state, const heartzoo_section *section, float sample);

#if HEARTZOO_SECTIONS
extern const heartzoo_section heartzoo_sections[HEARTZOO_SECTIONS];
#endif
#if HEARTZOO_DETECTS
extern const heartzoo_section heartzoo_band_sections[2];
#endif

#endif
