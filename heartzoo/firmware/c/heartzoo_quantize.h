/* Values -> the network's integers. */
#ifndef HEARTZOO_QUANTIZE_H
#define HEARTZOO_QUANTIZE_H

#include <stdint.h>

#include "heartzoo_config.h"

/* Round halves to even, and clip. */
heartzoo_value heartzoo_quantize(float value, float scale, int zero_point);

#endif
