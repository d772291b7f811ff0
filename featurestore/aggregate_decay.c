/* SPDX-License-Identifier: Apache-2.0 */
/* Powers of one half, two at a time: the vectors are those that every x86-64 and aarch64 has. */
#include "featurestore/aggregate.h"

typedef double double2 __attribute__((vector_size(16)));
typedef int64_t mask2 __attribute__((vector_size(16)));

#define BOTH(number) ((double2){number, number})

static inline double2 chosen(mask2 mask, double2 yes, double2 no)
{
    return (double2)((mask & (mask2)yes) | (~mask & (mask2)no));
}

static inline double2 decay(double2 halvings)
{
    const double2 shift = BOTH(0x1p52); /* with it, the last bits are those of a whole number */
    mask2 is_far = halvings > BOTH(1000.0);
    mask2 is_none = halvings == BOTH(0.0);
    halvings = chosen(is_far, BOTH(0.0), halvings);
    double2 whole = (halvings + shift) - shift;
    whole -= chosen(whole > halvings, BOTH(1.0), BOTH(0.0));
    /* 2^(1/2 - rest) / sqrt(2): the exponential series to the 8th power, in pairs (Estrin), so that
     * no step waits for all before it. */
    double2 x = (BOTH(0.5) - (halvings - whole)) * BOTH(0.69314718055994530942);
    double2 x2 = x * x, x4 = x2 * x2;
    double2 low = (BOTH(1.0) + x) + (BOTH(1.0 / 2) + x * BOTH(1.0 / 6)) * x2;
    double2 high =
        (BOTH(1.0 / 24) + x * BOTH(1.0 / 120)) + (BOTH(1.0 / 720) + x * BOTH(1.0 / 5040)) * x2;
    double2 sum = low + high * x4 + x4 * x4 * BOTH(1.0 / 40320);
    const mask2 one = (mask2)BOTH(1.0);
    double2 scale = (double2)(one - ((mask2)(whole + shift) << 52)); /* 2^-whole */
    double2 result = sum * BOTH(0.70710678118654752440) * scale;
    return chosen(is_far, BOTH(0.0), chosen(is_none, BOTH(1.0), result));
}

double aggregate_decay(double halvings)
{
    return decay(BOTH(halvings))[0];
}

void aggregate_decay_all(double *halvings, uint32_t count)
{
    for (uint32_t i = 0; i < count; i += 2) {
        double2 two;
        memcpy(&two, halvings + i, sizeof two);
        two = decay(two);
        memcpy(halvings + i, &two, sizeof two);
    }
}
