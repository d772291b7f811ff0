/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/forest_probe.h"

#include <stdlib.h>
#include <string.h>

#include "base/rand.h"
#include "models/forest_fast.h"

enum { PROBE_ROWS = FOREST_FAST_ROWS + 8 };

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

static void check(const struct forest *forest, const struct forest_fast *fast, const double *rows,
                  uint32_t row_count, void *scratch)
{
    static double margin[FOREST_OUTPUTS_MAX];
    static double got[2][FOREST_OUTPUTS_MAX * FOREST_FAST_ROWS];
    forest_fast_margins(fast, rows, row_count, scratch, got[0]);
    forest_fast_margins_portable(fast, rows, row_count, scratch, got[1]);
    for (uint32_t r = 0; r < row_count; r++) {
        forest_margins(forest, rows + (size_t)r * forest->feature_count, margin);
        for (uint32_t k = 0; k < forest->output_count; k++) {
            /* Bit by bit, but for the kind of a NaN. */
            for (int path = 0; path < 2; path++) {
                double other = got[path][k * FOREST_FAST_ROWS + r];
                ASSERT(memcmp(&margin[k], &other, sizeof other) == 0 ||
                       (isnan(margin[k]) && isnan(other)));
            }
        }
        forest_transform(forest, margin);
    }
}

/* Few columns differ between the rows: most splits are above or below all of them. */
static void make_alike(const struct forest *forest, double *rows, uint32_t every)
{
    uint32_t count = forest->feature_count;
    for (uint32_t i = count; i < PROBE_ROWS * count; i++) {
        if (i % count % every != 0)
            rows[i] = rows[i % count];
    }
}

static void check_rows(const struct forest *forest, const struct forest_fast *fast,
                       const double *rows, void *scratch)
{
    check(forest, fast, rows, FOREST_FAST_ROWS, scratch);
    check(forest, fast, rows + (size_t)FOREST_FAST_ROWS * forest->feature_count,
          PROBE_ROWS - FOREST_FAST_ROWS, scratch);
    check(forest, fast, rows, FOREST_FAST_ROWS - 5, scratch);
    static const uint32_t few[] = {1, 3, 5, 11, 12}; /* some of them go one by one */
    for (size_t i = 0; i < sizeof few / sizeof *few; i++)
        check(forest, fast, rows, few[i], scratch);
}

void forest_probe(const struct forest *forest)
{
    struct forest_fast *fast = NULL;
    struct rand rand;
    double *rows = calloc((size_t)PROBE_ROWS * forest->feature_count, sizeof *rows);
    ASSERT(rows != NULL);
    rand_init(&rand, 7);
    for (uint32_t i = 0; i < PROBE_ROWS * forest->feature_count; i++)
        rows[i] = awkward(forest, &rand, i % forest->feature_count);
    if (forest->linear_weight != NULL) {
        static double margin[FOREST_OUTPUTS_MAX];
        forest_margins(forest, rows, margin);
        forest_transform(forest, margin);
    } else if (forest_fast_create(forest, FOREST_ALL_OUTPUTS, &fast, NULL) == ERR_OK) {
        void *scratch = aligned_alloc(64, forest_fast_scratch_bytes(fast) + 64);
        ASSERT(scratch != NULL);
        check_rows(forest, fast, rows, scratch);
        make_alike(forest, rows, 3);
        check_rows(forest, fast, rows, scratch);
        make_alike(forest, rows, 50);
        check_rows(forest, fast, rows, scratch);
        free(scratch);
    }
    forest_fast_destroy(&fast);
    free(rows);
}
