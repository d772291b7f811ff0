/* SPDX-License-Identifier: Apache-2.0 */
/* bench_trees - microseconds for rows through a model of XGBoost or LightGBM.
 *
 * usage: bench_trees MODEL ROWS FEATURES ROWS_FILE SECONDS
 * ROWS_FILE holds float64 rows.  Prints "fast US portable US plain US one US": for all rows, and
 * for one row at a time, the best of many rounds.  bench_trees.py runs it beside the libraries. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/file.h"
#include "models/forest_fast.h"
#include "models/forest_file.h"

struct bench {
    struct forest *forest;
    struct forest_fast *fast;
    double *rows;
    uint32_t row_count;
    void *scratch;
    double margin[FOREST_OUTPUTS_MAX * FOREST_FAST_ROWS];
    volatile double sink;
};

static void run_fast(struct bench *b)
{
    for (uint32_t row = 0; row < b->row_count; row += FOREST_FAST_ROWS) {
        uint32_t count = b->row_count - row;
        forest_fast_margins(b->fast, b->rows + (size_t)row * b->forest->feature_count,
                            count < FOREST_FAST_ROWS ? count : FOREST_FAST_ROWS, b->scratch,
                            b->margin);
        b->sink = b->margin[0];
    }
}

static void run_portable(struct bench *b)
{
    for (uint32_t row = 0; row < b->row_count; row += FOREST_FAST_ROWS) {
        uint32_t count = b->row_count - row;
        forest_fast_margins_portable(b->fast, b->rows + (size_t)row * b->forest->feature_count,
                                     count < FOREST_FAST_ROWS ? count : FOREST_FAST_ROWS,
                                     b->scratch, b->margin);
        b->sink = b->margin[0];
    }
}

static void run_plain(struct bench *b)
{
    for (uint32_t row = 0; row < b->row_count; row++) {
        forest_margins(b->forest, b->rows + (size_t)row * b->forest->feature_count, b->margin);
        b->sink = b->margin[0];
    }
}

static void run_one(struct bench *b)
{
    for (uint32_t row = 0; row < b->row_count; row++) {
        forest_fast_margins(b->fast, b->rows + (size_t)row * b->forest->feature_count, 1,
                            b->scratch, b->margin);
        b->sink = b->margin[0];
    }
}

static double best_us(struct bench *b, void (*run)(struct bench *), double seconds)
{
    uint64_t begin = clock_now_ns(clock_system());
    uint64_t best = UINT64_MAX;
    do {
        uint64_t before = clock_now_ns(clock_system());
        run(b);
        uint64_t took = clock_now_ns(clock_system()) - before;
        best = took < best ? took : best;
    } while ((double)(clock_now_ns(clock_system()) - begin) < seconds * 1e9);
    return (double)best / 1e3;
}

static enum err_code load(struct bench *b, char **argv, struct err *err)
{
    uint8_t *bytes = NULL;
    size_t len = 0;
    enum err_code rc = file_read(argv[1], (size_t)1 << 32, &bytes, &len, err);
    if (rc == ERR_OK)
        rc = forest_read(argv[1], bytes, len, FOREST_AVERAGE_UNKNOWN, &b->forest, err);
    free(bytes);
    if (rc == ERR_OK)
        rc = forest_fast_create(b->forest, FOREST_ALL_OUTPUTS, &b->fast, err);
    if (rc == ERR_OK)
        rc = file_read(argv[4], (size_t)1 << 32, &bytes, &len, err);
    if (rc != ERR_OK)
        return rc;
    b->rows = (double *)(void *)bytes;
    b->row_count = (uint32_t)strtoul(argv[2], NULL, 10);
    if (b->forest->feature_count != strtoul(argv[3], NULL, 10) ||
        len != sizeof(double) * b->row_count * b->forest->feature_count)
        return err_set(err, ERR_BAD_INPUT, "the rows do not fit the model");
    b->scratch = aligned_alloc(64, forest_fast_scratch_bytes(b->fast));
    return b->scratch == NULL ? err_set(err, ERR_NOMEM, "out of memory") : ERR_OK;
}

int main(int argc, char **argv)
{
    static struct bench bench;
    struct err err = {0};
    if (argc != 6) {
        fprintf(stderr, "usage: bench_trees MODEL ROWS FEATURES ROWS_FILE SECONDS\n");
        return 2;
    }
    if (load(&bench, argv, &err) != ERR_OK) {
        fprintf(stderr, "bench_trees: %s\n", err.text);
        return 1;
    }
    double seconds = strtod(argv[5], NULL);
    printf("fast %.3f portable %.3f plain %.3f one %.3f\n", best_us(&bench, run_fast, seconds),
           best_us(&bench, run_portable, seconds), best_us(&bench, run_plain, seconds),
           best_us(&bench, run_one, seconds) / bench.row_count);
    forest_fast_destroy(&bench.fast);
    forest_destroy(&bench.forest);
    free(bench.rows);
    free(bench.scratch);
    return 0;
}
