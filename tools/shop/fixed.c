/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/shop/fixed.h"

#include "base/err.h"

uint64_t fixed_exp2(int32_t log)
{
    /* 65536 * 2^(k/16) */
    static const uint32_t steps[FIXED_OCTAVE] = {65536,  68438,  71468,  74632, 77936,  81386,
                                                 84990,  88752,  92682,  96785, 101070, 105545,
                                                 110218, 115098, 120194, 125515};
    if (log > FIXED_LOG_MAX)
        log = FIXED_LOG_MAX;
    if (log < -FIXED_LOG_MAX)
        log = -FIXED_LOG_MAX;
    uint32_t from_bottom = (uint32_t)(log + FIXED_LOG_MAX);
    uint64_t step = (uint64_t)steps[from_bottom % FIXED_OCTAVE] << (from_bottom / FIXED_OCTAVE);
    return step >> (FIXED_LOG_MAX / FIXED_OCTAVE);
}

int32_t fixed_log2(uint32_t value)
{
    ASSERT(value >= 1);
    int32_t octaves = 31 - __builtin_clz(value);
    uint64_t mantissa = (uint64_t)value << (31 - octaves); /* 1..2 with 31 bits behind the point */
    int32_t log = octaves;
    for (int bit = 0; bit < 4; bit++) { /* squaring doubles the logarithm: one bit a step */
        mantissa = mantissa * mantissa >> 31;
        log *= 2;
        if (mantissa >> 32 != 0) {
            mantissa >>= 1;
            log++;
        }
    }
    return log;
}
