/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/shop/sampler.h"

#include "base/err.h"

void sampler_sum(uint64_t *weights, uint32_t count)
{
    ASSERT(count > 0);
    for (uint32_t i = 1; i < count; i++)
        weights[i] += weights[i - 1];
    ASSERT(weights[count - 1] > 0);
}

uint32_t sampler_draw(const uint64_t *sums, uint32_t count, struct rand *rand)
{
    uint64_t drawn = rand_below(rand, sums[count - 1]);
    uint32_t low = 0;
    uint32_t high = count - 1; /* the first sum above `drawn` is in low..high */
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (sums[middle] > drawn)
            high = middle;
        else
            low = middle + 1;
    }
    return low;
}
