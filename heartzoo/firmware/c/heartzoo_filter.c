#include "heartzoo_filter.h"

void heartzoo_section_start(heartzoo_section_state *state, float first) {
  state->first = first;
  state->slow = 0.0f;
  state->fast = 0.0f;
}

float heartzoo_section_next(heartzoo_section_state *state, const heartzoo_section *section, float sample) {
  const float drive = sample - state->first - section->back[0] * state->fast - section->back[1] * state->slow;
  const float out = section->out[0] * drive + section->out[1] * state->fast + section->out[2] * state->slow;
  state->slow += state->fast;
  state->fast += drive;
  return out + section->rest * state->first;
}
