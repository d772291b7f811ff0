/* SPDX-License-Identifier: Apache-2.0 */
/* The kernels give the same bits, counts are those of adding up tile by tile, and a plan that is
 * kept from column to column changes nothing.  Blocks end where their states do. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka.h needs the four above */
#include <cmocka.h>

#include <math.h>
#include <stdlib.h>

#include "base/rand.h"
#include "featurestore/aggregate.h"

enum { NOW_S = 1700000000, ROWS_MAX = AGGREGATE_COLUMN_MAX, COUNTS = 12, ROUNDS = 400 };

/* ---- powers of one half ---------------------------------------------------------------------- */

static double draw_halvings(struct rand *rng)
{
    static const double edges[] = {0.0,    -0.0,   0.5,    1.0,           999.0,
                                   1000.0, 1000.5, 1023.0, 0x1p-1074,     1e-300,
                                   0x1p51, 1e300,  1022.0, 1.0 - 0x1p-53, 52.999999999999999};
    switch (rand_below(rng, 4)) {
    case 0: return edges[rand_below(rng, sizeof edges / sizeof edges[0])];
    case 1: return rand_unit(rng) * 1100.0;
    case 2: return rand_unit(rng) * 0x1p-20;
    default: return rand_unit(rng) * 40.0;
    }
}

static void test_kernels_decay_alike(void **state)
{
    (void)state;
    struct rand rng;
    rand_init(&rng, 21);
    for (uint32_t round = 0; round < 20000; round++) {
        double plain[ROWS_MAX], fast[ROWS_MAX], alone[ROWS_MAX];
        uint32_t count = 1 + (uint32_t)rand_below(&rng, ROWS_MAX);
        for (uint32_t i = 0; i < ROWS_MAX; i++) {
            plain[i] = fast[i] = i < count ? draw_halvings(&rng) : 0.0;
            alone[i] = aggregate_decay(plain[i]);
        }
        aggregate_plain.decay(plain, count);
        aggregate_kernel()->decay(fast, count);
        assert_memory_equal(plain, fast, count * sizeof *plain);
        assert_memory_equal(plain, alone, count * sizeof *plain);
    }
}

/* ---- counts ---------------------------------------------------------------------------------- */

struct block {
    uint8_t *state[ROWS_MAX]; /* as long as it must be */
    uint32_t bytes;
};

static struct definition count_of(uint32_t tile_s, uint32_t tile_count)
{
    bool is_all_time = tile_count == 1;
    struct definition definition = {.kind = FEATURE_KIND_count,
                                    .tile_s = is_all_time ? UINT32_MAX : tile_s,
                                    .tile_count = tile_count};
    definition.tile_reciprocal = is_all_time ? 0 : UINT64_MAX / tile_s + 1;
    definition.count_reciprocal = is_all_time ? 0 : UINT64_MAX / tile_count + 1;
    definition.offset = 4;
    return definition;
}

/* The newest event is of the window, of before, of after now, or there is none. */
static uint32_t draw_last_s(struct rand *rng, const struct definition *definition)
{
    uint64_t window_s = (uint64_t)definition->tile_s * definition->tile_count;
    switch (rand_below(rng, 8)) {
    case 0: return 0;
    case 1: return 1 + (uint32_t)rand_below(rng, NOW_S);
    case 2: return NOW_S + (uint32_t)rand_below(rng, 100000);
    case 3: return UINT32_MAX - (uint32_t)rand_below(rng, 3);
    default: return NOW_S - (uint32_t)rand_below(rng, window_s < NOW_S ? window_s : NOW_S);
    }
}

static void make_blocks(struct rand *rng, const struct definition *definition, struct block *block)
{
    block->bytes = definition->offset + AGGREGATE_TILES_AT + definition->tile_count * 4;
    for (uint32_t r = 0; r < ROWS_MAX; r++) {
        uint32_t last_s = draw_last_s(rng, definition);
        block->state[r] = calloc(1, block->bytes);
        assert_non_null(block->state[r]);
        memcpy(block->state[r] + definition->offset, &last_s, sizeof last_s);
        for (uint32_t t = 0; t < definition->tile_count && last_s != 0; t++) {
            uint32_t tile = rand_below(rng, 3) == 0 ? UINT32_MAX - (uint32_t)rand_below(rng, 2)
                                                    : (uint32_t)rand_below(rng, 9);
            memcpy(block->state[r] + definition->offset + AGGREGATE_TILES_AT + t * 4, &tile,
                   sizeof tile);
        }
    }
}

static void free_blocks(struct block *block)
{
    for (uint32_t r = 0; r < ROWS_MAX; r++)
        free(block->state[r]);
}

/* Each place holds the newest tile that has it, up to that of the newest event. */
static double naive(const struct definition *definition, const uint8_t *block)
{
    const uint8_t *state = block + definition->offset;
    uint32_t last_s = aggregate_u32(state, 0);
    uint64_t sum = 0;
    if (last_s == 0)
        return (double)NAN;
    int64_t now = NOW_S / definition->tile_s, last = last_s / definition->tile_s;
    for (int64_t tile = now; tile > now - (int64_t)definition->tile_count && tile >= 0; tile--) {
        if (tile <= last)
            sum += aggregate_u32(state, AGGREGATE_TILES_AT +
                                            (uint32_t)(tile % definition->tile_count) * 4);
    }
    return (double)sum;
}

static void compare(const struct definition *definition, const struct block *block, uint32_t count,
                    struct aggregate_when *kept)
{
    const uint8_t *const *rows = (const uint8_t *const *)block->state;
    struct aggregate_when when;
    struct aggregate_column column, plain, fast;
    aggregate_when_init(&when, NOW_S);
    aggregate_read_column(definition, rows, count, &when, &column);
    for (uint32_t i = 0; i < count; i++) {
        double expected = naive(definition, rows[i]);
        assert_memory_equal(&column.number[i], &expected, sizeof expected);
        assert_int_equal(column.as_of_s[i], aggregate_u32(rows[i] + definition->offset, 0));
    }
    aggregate_read_column(definition, rows, count, kept, &fast);
    assert_memory_equal(fast.number, column.number, count * sizeof *fast.number);
    const struct aggregate_rows of = {rows, count, definition->offset};
    aggregate_plain.count(&when.plan[0], &of, &plain);
    aggregate_kernel()->count(&when.plan[0], &of, &fast);
    assert_memory_equal(fast.number, plain.number, count * sizeof *fast.number);
    assert_memory_equal(fast.as_of_s, plain.as_of_s, count * sizeof *fast.as_of_s);
}

static void test_kernels_count_alike(void **state)
{
    (void)state;
    struct rand rng;
    rand_init(&rng, 22);
    for (uint32_t tiles = 1; tiles <= DEFINITION_TILES_MAX; tiles++) {
        struct definition definition = count_of(3600, tiles);
        struct aggregate_when kept;
        struct block block;
        aggregate_when_init(&kept, NOW_S);
        make_blocks(&rng, &definition, &block);
        for (uint32_t count = 1; count <= ROWS_MAX; count++)
            compare(&definition, &block, count, &kept);
        free_blocks(&block);
    }
}

/* More windows than plans are kept, in any order. */
static void test_plans_that_are_kept_change_nothing(void **state)
{
    (void)state;
    struct rand rng;
    struct definition definition[COUNTS];
    struct block block[COUNTS];
    struct aggregate_when kept;
    rand_init(&rng, 23);
    aggregate_when_init(&kept, NOW_S);
    for (uint32_t i = 0; i < COUNTS; i++) {
        definition[i] = count_of(i % 2 == 0 ? 60 : 86400, 1 + i / 2 * 11);
        make_blocks(&rng, &definition[i], &block[i]);
    }
    for (uint32_t round = 0; round < ROUNDS; round++) {
        uint32_t at = (uint32_t)rand_below(&rng, COUNTS);
        compare(&definition[at], &block[at], 1 + (uint32_t)rand_below(&rng, ROWS_MAX), &kept);
    }
    for (uint32_t i = 0; i < COUNTS; i++)
        free_blocks(&block[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_kernels_decay_alike),
        cmocka_unit_test(test_kernels_count_alike),
        cmocka_unit_test(test_plans_that_are_kept_change_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
