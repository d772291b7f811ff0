/* SPDX-License-Identifier: Apache-2.0 */
/* energy - how many of the strongest of many floats hold a share of the sum of all squares, in one
 * pass and without keeping any: counts and sums by magnitude, in bins an eighth of a power of two
 * wide.  The last bin is taken whole, so the answer is a little high rather than low.
 *
 * Threads: one owner. */
#ifndef TOOLS_TRAIN_ENERGY_H
#define TOOLS_TRAIN_ENERGY_H

#include <stdint.h>
#include <string.h>

#define ENERGY_BINS 2048 /* exponent and three bits of the mantissa */

struct energy {
    uint64_t count[ENERGY_BINS];
    double sum[ENERGY_BINS];
};

/* magnitude: at least 0 and not NaN.  Zeroed before the first. */
static inline void energy_see(struct energy *energy, float magnitude)
{
    uint32_t bits;
    memcpy(&bits, &magnitude, sizeof bits);
    energy->count[bits >> 20]++;
    energy->sum[bits >> 20] += (double)magnitude * magnitude;
}

uint64_t energy_count(const struct energy *energy, double share); /* 0 < share <= 1 */

#endif
