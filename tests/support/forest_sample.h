/* SPDX-License-Identifier: Apache-2.0 */
/* forest_sample - forests of random trees with every kind of split, the same ones for a seed. */
#ifndef TESTS_SUPPORT_FOREST_SAMPLE_H
#define TESTS_SUPPORT_FOREST_SAMPLE_H

#include "models/forest.h"

#define FOREST_SAMPLE_LEAVES_MAX 600

struct forest_shape {
    uint32_t trees, leaves_least, leaves_most, features, outputs;
    uint32_t set_percent;
    bool is_linear;
};

/* The caller destroys it. */
struct forest *forest_sample(enum forest_family family, const struct forest_shape *shape,
                             uint64_t seed);

#endif
