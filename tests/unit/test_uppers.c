/* SPDX-License-Identifier: Apache-2.0 */
/* Upper bounds by item number against products in double. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka.h needs the four above */
#include <cmocka.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/rand.h"
#include "models/uppers.h"
#include "tests/support/alloc_fail.h"

#define BEHIND 12345.0f

struct world {
    uint32_t row_count, dim, item_count;
    float *floats;
    uint32_t *row_of_item;
    float *vector;
    float *upper; /* one more than there are items */
};

/* Rows of very different sizes, some of zeros or with one value that dwarfs the others; two of
 * three items have one, in any order. */
static struct world make_world(struct rand *rand, uint32_t item_count, uint32_t dim)
{
    struct world world = {
        .dim = dim,
        .item_count = item_count,
        .floats = calloc((size_t)item_count * dim, sizeof *world.floats),
        .row_of_item = malloc(item_count * sizeof *world.row_of_item),
        .vector = malloc(dim * sizeof *world.vector),
        .upper = malloc((item_count + (size_t)1) * sizeof *world.upper),
    };
    for (uint32_t item = 0; item < item_count; item++) {
        bool has_row = rand_below(rand, 3) > 0;
        world.row_of_item[item] = has_row ? world.row_count++ : SIEVE_NO_ROW;
    }
    for (uint32_t item = item_count - 1; item > 0; item--) {
        uint32_t other = (uint32_t)rand_below(rand, item + 1);
        uint32_t row = world.row_of_item[item];
        world.row_of_item[item] = world.row_of_item[other];
        world.row_of_item[other] = row;
    }
    for (uint32_t row = 0; row < world.row_count; row++) {
        double scale = pow(10.0, (double)rand_below(rand, 12) - 6.0);
        float *values = world.floats + (size_t)row * dim;
        for (uint32_t k = 0; k < dim && rand_below(rand, 9) > 0; k++)
            values[k] = (float)(rand_normal(rand) * scale);
        if (rand_below(rand, 5) == 0)
            values[rand_below(rand, dim)] = (float)(1e4 * scale);
    }
    return world;
}

static void end_world(struct world *world)
{
    free(world->floats);
    free(world->row_of_item);
    free(world->vector);
    free(world->upper);
}

static void make_vector(struct rand *rand, struct world *world)
{
    double scale = pow(10.0, (double)rand_below(rand, 30) - 24.0);
    for (uint32_t k = 0; k < world->dim; k++)
        world->vector[k] = rand_below(rand, 5) == 0 ? 0.0f : (float)(rand_normal(rand) * scale);
}

/* Each bound is above the product, and no farther than two roundings to a 127th of the largest. */
static void check_bounds(const struct world *world, float weight, float before)
{
    for (uint32_t item = 0; item < world->item_count; item++) {
        uint32_t row = world->row_of_item[item];
        double product = 0.0, length = 0.0, vector_length = 0.0;
        for (uint32_t k = 0; row != SIEVE_NO_ROW && k < world->dim; k++) {
            double value = (double)world->floats[(size_t)row * world->dim + k];
            product += value * (double)world->vector[k];
            length += value * value;
            vector_length += (double)world->vector[k] * (double)world->vector[k];
        }
        double expected = (double)before + (double)weight * product;
        double got = (double)world->upper[item];
        double rounding = 1e-6 * fabs(expected);
        double room =
            0.02 * sqrt((double)world->dim) * (double)weight * sqrt(length * vector_length);
        if (got < expected - (before != 0.0f ? rounding : 0.0) ||
            got > expected + room + rounding + 1e-34)
            fail_msg("item %u of %u, dim %u: product %g, bound %g", item, world->item_count,
                     world->dim, expected, got);
    }
    assert_true(world->upper[world->item_count] == BEHIND);
}

static void test_bounds_are_above_products_and_close(void **state)
{
    static const uint32_t shapes[][2] = {{1, 1},   {15, 3},   {16, 4},   {17, 5},  {70, 64},
                                         {33, 65}, {40, 512}, {300, 32}, {257, 64}};
    enum { ROUNDS = 30 };
    struct rand rand;
    (void)state;
    rand_init(&rand, 5);
    for (size_t s = 0; s < sizeof shapes / sizeof shapes[0]; s++) {
        struct world world = make_world(&rand, shapes[s][0], shapes[s][1]);
        struct uppers *uppers = NULL;
        struct err err = {0};
        assert_int_equal(uppers_create(world.floats, world.dim, world.row_of_item, world.item_count,
                                       &uppers, &err),
                         ERR_OK);
        assert_true(uppers_bytes(uppers) > (uint64_t)world.item_count * world.dim);
        for (int round = 0; round < ROUNDS; round++) {
            static const float weights[] = {1.0f, 0.5f, 0.0f, 3.0f};
            float weight = weights[round % 4];
            float before = round % 3 == 0 ? 2.5f : 0.0f;
            make_vector(&rand, &world);
            for (uint32_t item = 0; item < world.item_count; item++)
                world.upper[item] = before;
            world.upper[world.item_count] = BEHIND;
            uint64_t allocated = alloc_count();
            uppers_add(uppers, world.vector, world.dim, weight, world.upper);
            assert_int_equal(alloc_count(), allocated);
            check_bounds(&world, weight, before);
        }
        uppers_destroy(&uppers);
        assert_null(uppers);
        end_world(&world);
    }
}

static void test_a_lack_of_memory_is_told_and_leaves_nothing(void **state)
{
    struct rand rand;
    struct uppers *uppers = NULL;
    struct err err = {0};
    (void)state;
    rand_init(&rand, 6);
    struct world world = make_world(&rand, 50, 8);
    for (uint32_t n = 0; uppers == NULL; n++) {
        alloc_fail_after(n);
        enum err_code rc = uppers_create(world.floats, world.dim, world.row_of_item,
                                         world.item_count, &uppers, &err);
        assert_int_equal(rc, alloc_fail_off() ? ERR_NOMEM : ERR_OK);
        assert_int_equal(uppers == NULL, rc == ERR_NOMEM);
        if (rc == ERR_NOMEM)
            assert_non_null(strstr(err.text, "50 items of 8 factors"));
    }
    uppers_destroy(&uppers);
    end_world(&world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bounds_are_above_products_and_close),
        cmocka_unit_test(test_a_lack_of_memory_is_told_and_leaves_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
