/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/forest_probe.h"

#include "base/rand.h"

enum { PROBE_ROWS = 40 };

static double awkward(const struct forest *forest, struct rand *rand, uint32_t feature)
{
    static const double values[] = {NAN,      0.0,       -0.0,       1e-36,       -1e-36, -1.0,
                                    -0.5,     0.5,       1.0,        2.0,         31.0,   32.0,
                                    65535.0,  65536.0,   1e9,        3e9,         1e300,  -1e300,
                                    INFINITY, -INFINITY, 16777216.0, 4294967296.0};
    uint64_t choice = rand_u64(rand);
    if (forest->node_count == 0 || choice % 3 == 0)
        return values[(choice >> 8) % (sizeof values / sizeof *values)];
    /* A threshold, preferably one of this feature. */
    uint32_t at = (uint32_t)((choice >> 8) % forest->node_count);
    for (uint32_t tries = 0; tries < 16 && forest->node[at].feature != feature; tries++)
        at = (at + 1) % forest->node_count;
    double threshold = forest->node[at].threshold;
    switch (choice >> 40 & 3) {
    case 0: return (double)nextafterf((float)threshold, -INFINITY);
    case 1: return nextafter(threshold, INFINITY);
    default: return threshold;
    }
}

void forest_probe(const struct forest *forest)
{
    static double row[FOREST_FEATURES_MAX];
    static double margin[FOREST_OUTPUTS_MAX];
    struct rand rand;
    rand_init(&rand, 7);
    for (uint32_t r = 0; r < PROBE_ROWS; r++) {
        for (uint32_t f = 0; f < forest->feature_count; f++)
            row[f] = awkward(forest, &rand, f);
        forest_margins(forest, row, margin);
        forest_transform(forest, margin);
    }
}
