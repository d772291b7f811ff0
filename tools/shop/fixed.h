/* SPDX-License-Identifier: Apache-2.0 */
/* fixed - powers of two in whole numbers, so that a shop is the same on every machine, whatever its
 * compiler and its libm do with floats.
 *
 * Logarithms count sixteenths: 16 doubles, -16 halves.  Weights have 16 bits behind the point.
 * Threads: no state. */
#ifndef TOOLS_SHOP_FIXED_H
#define TOOLS_SHOP_FIXED_H

#include <stdint.h>

#define FIXED_OCTAVE  16
#define FIXED_ONE     65536
#define FIXED_LOG_MAX (14 * FIXED_OCTAVE) /* beyond +- this a logarithm is cut */

/* 2^(log/16), at least 1 (in 65536ths). */
uint64_t fixed_exp2(int32_t log);

/* 16 log2(value), rounded down; value >= 1. */
int32_t fixed_log2(uint32_t value);

#endif
