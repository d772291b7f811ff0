/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/train/energy.h"

uint64_t energy_count(const struct energy *energy, double share)
{
    double total = 0.0, held = 0.0;
    uint64_t count = 0;
    for (uint32_t bin = 0; bin < ENERGY_BINS; bin++)
        total += energy->sum[bin];
    for (uint32_t bin = ENERGY_BINS; bin > 0 && held < share * total; bin--) {
        held += energy->sum[bin - 1];
        count += energy->count[bin - 1];
    }
    return count;
}
