/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/train/strongest.h"

#define PASSES 3

void strongest_begin(struct strongest *strongest, uint64_t count)
{
    *strongest = (struct strongest){.wanted = count};
}

/* The highest bin with which the count is reached; those above it are all taken. */
static uint32_t reach(struct strongest *strongest)
{
    uint32_t at = strongest->pass == 1 ? STRONGEST_BINS - 1 : 1023;
    while (at > 0 && strongest->bin[at] <= strongest->wanted) {
        strongest->wanted -= strongest->bin[at];
        at--;
    }
    return at;
}

bool strongest_again(struct strongest *strongest)
{
    if (strongest->pass > 0) {
        uint32_t width = strongest->pass == 1 ? 0 : 10;
        strongest->prefix = strongest->prefix << width | reach(strongest);
        memset(strongest->bin, 0, sizeof strongest->bin);
    }
    if (strongest->pass == PASSES) {
        memcpy(&strongest->threshold, &strongest->prefix, sizeof strongest->threshold);
        return false;
    }
    strongest->pass++;
    strongest->shift = 10 * (PASSES - strongest->pass);
    return true;
}
