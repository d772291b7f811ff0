/* SPDX-License-Identifier: Apache-2.0 */
/* strongest - which magnitude the strongest `count` of many floats exceed, in three passes over
 * them and without keeping any: a radix selection on the bits of the float, 11 + 10 + 10 bits,
 * which order non-negative floats as their values do.
 *
 *     strongest_begin(&s, count);
 *     while (strongest_again(&s))
 *         for each value: strongest_see(&s, magnitude);        the same values in each pass
 *     s.threshold
 *
 * At most `count` of the values are above the threshold; equal ones that would exceed it are not.
 * Threads: one owner. */
#ifndef TOOLS_TRAIN_STRONGEST_H
#define TOOLS_TRAIN_STRONGEST_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#define STRONGEST_BINS 2048

struct strongest {
    float threshold; /* valid after the last pass */
    uint64_t wanted; /* still to be found at or below the prefix */
    uint32_t pass;   /* 0 before the first */
    uint32_t prefix; /* the leading bits found so far */
    uint32_t shift;  /* bits below those of this pass */
    uint64_t bin[STRONGEST_BINS];
};

void strongest_begin(struct strongest *strongest, uint64_t count);
bool strongest_again(struct strongest *strongest);

/* magnitude: at least 0 and not NaN. */
static inline void strongest_see(struct strongest *strongest, float magnitude)
{
    uint32_t bits;
    memcpy(&bits, &magnitude, sizeof bits);
    if (strongest->pass == 1)
        strongest->bin[bits >> strongest->shift]++;
    else if (bits >> (strongest->shift + 10) == strongest->prefix)
        strongest->bin[bits >> strongest->shift & 1023]++;
}

#endif
