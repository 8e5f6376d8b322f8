/* A beat beside the running template of the patient's own regular beats. */
#ifndef HEARTZOO_TEMPLATE_H
#define HEARTZOO_TEMPLATE_H

#include <stdint.h>

#include "heartzoo_config.h"

#if HEARTZOO_TEMPLATE
#define HEARTZOO_SHAPES 9
#define HEARTZOO_WINDOW (HEARTZOO_BEFORE + HEARTZOO_AFTER)
#define HEARTZOO_WIDE (HEARTZOO_WINDOW + 2 * HEARTZOO_SHIFT)

typedef struct {
  float mean[HEARTZOO_WINDOW];    /* the template, mV */
  float usual[HEARTZOO_SHAPES];   /* what the shape features of regular beats were on average */
  float spread[HEARTZOO_SHAPES];  /* and their variance */
  uint16_t regular_beats;         /* that it has learned from, at most the longest memory */
  uint8_t begun;
} heartzoo_template;

/* A beat and the template before it, for as long as its features are read. */
typedef struct {
  float wide[HEARTZOO_WIDE]; /* the signal around the beat, mV */
  const float *window;       /* the part of `wide` that fits the template best, WINDOW samples */
  float offset;              /* mean of the window less that of the template, mV */
  float qrs_size;            /* of the template, mV */
  float shapes[HEARTZOO_SHAPES];
} heartzoo_comparison;

void heartzoo_template_start(heartzoo_template *running);

/* Compare the beat in comparison->wide. */
void heartzoo_template_compare(heartzoo_template *running, heartzoo_comparison *comparison);

/* A feature of that beat, within -1 ... 1. */
float heartzoo_template_feature(const heartzoo_template *running, const heartzoo_comparison *comparison, int feature);

/* What is left of a sample of the beat without the template, in sizes of the template's QRS, within -1 ... 1. */
float heartzoo_template_difference(const heartzoo_template *running, const heartzoo_comparison *comparison, int sample);

/* Learn from that beat, a regular one. */
void heartzoo_template_learn(heartzoo_template *running, const heartzoo_comparison *comparison);
#endif

#endif
