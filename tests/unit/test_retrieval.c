/* SPDX-License-Identifier: Apache-2.0 */
/* The best items by factors against computing and sorting all of them: over random catalogues,
 * filters and vectors of every size. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/rand.h"
#include "models/model_internal.h"
#include "tests/support/alloc_fail.h"
#include "tests/support/catalogue.h"

static bool is_odd_enough(const void *ctx, uint32_t item)
{
    return item * 2654435769u >> 16 < *(const uint32_t *)ctx;
}

static void make_vector(struct rand *rand, const struct catalogue *catalogue, float *ret_vector)
{
    uint32_t dim = catalogue->factors.dim;
    static const float scales[] = {1.0f, 1.0f, 1e-42f, 1e-30f, 1e-20f, 1e9f, 0.0f};
    float scale = scales[rand_below(rand, sizeof scales / sizeof scales[0])];
    uint64_t user = rand_below(rand, USERS);
    for (uint32_t k = 0; k < dim; k++)
        ret_vector[k] = catalogue->user[user * dim + k] * scale;
    if (rand_below(rand, 4) == 0)
        ret_vector[rand_below(rand, dim)] = 1e5f * scale;
    if (rand_below(rand, 4) == 0)
        memset(ret_vector, 0, dim / 2 * sizeof *ret_vector);
}

/* A query with none, one or both filters: from nothing over a few to everything. */
static void make_query(struct rand *rand, const struct catalogue *catalogue, const float *vector,
                       uint64_t *bits, const uint32_t *admitted, struct factors_query *ret_query)
{
    static const uint32_t shares[] = {0, 200, 2000, 32768, 65000, 65536};
    uint32_t places = catalogue->model.row_of_item_count > 0 ? catalogue->model.row_of_item_count
                                                             : catalogue->factors.item_count;
    static const uint32_t counts[] = {1, 2, 20, 100, 200, 999, ITEMS_MAX + 1};
    *ret_query = (struct factors_query){.user = vector, .n = counts[rand_below(rand, 7)]};
    if (rand_below(rand, 3) > 0) {
        ret_query->allowed = bits;
        ret_query->allowed_count = catalogue_make_bits(
            rand, (uint32_t)rand_below(rand, places + 100), shares[rand_below(rand, 6)], bits);
    }
    if (rand_below(rand, 3) == 0) {
        ret_query->admits = is_odd_enough;
        ret_query->ctx = admitted;
    }
}

static void assert_best(const struct catalogue *catalogue, const struct factors_query *query,
                        const struct factors_found *found)
{
    static struct top_slot all[ITEMS_MAX];
    uint32_t count = catalogue_sort_all(catalogue, query, all);
    uint32_t expected = query->n < count ? query->n : count;
    assert_int_equal(found->top.count, expected);
    for (uint32_t i = 0; i < expected; i++) {
        assert_int_equal(found->top.slot[i].key, all[i].key);
        assert_true(found->top.slot[i].score == all[i].score);
    }
    assert_true(found->is_exact);
    assert_true(query->n <= count ? found->unseen == all[query->n - 1].score
                                  : found->unseen == -INFINITY);
}

static void test_equals_computing_and_sorting_all(void **state)
{
    (void)state;
    /* Around the edges of groups, blocks and quads; tiny and huge rows. */
    static const struct {
        uint32_t items, dim;
        double scale;
    } shapes[] = {{1, 1, 1},        {15, 4, 1},       {16, 5, 1},    {17, 63, 1},
                  {255, 64, 1},     {257, 65, 1},     {3000, 32, 1}, {ITEMS_MAX, 8, 1},
                  {900, 70, 1e-38}, {900, 70, 1e-20}, {900, 33, 1e8}};
    struct arena arena = {0};
    static uint64_t bits[2 * ITEMS_MAX / 64 + 8];
    float vector[DIM_MAX];
    assert_int_equal(arena_init(&arena, ARENA_BYTES, NULL), ERR_OK);
    for (size_t s = 0; s < sizeof shapes / sizeof shapes[0]; s++) {
        struct catalogue catalogue;
        catalogue_create(&catalogue, s, shapes[s].items, shapes[s].dim, shapes[s].scale);
        catalogue_add_sieve(&catalogue);
        for (uint32_t round = 0; round < 60; round++) {
            struct factors_query query;
            struct factors_found found;
            uint32_t admitted = round * 1000;
            if (round == 30)
                catalogue_bind(&catalogue);
            make_vector(&catalogue.rand, &catalogue, vector);
            make_query(&catalogue.rand, &catalogue, vector, bits, &admitted, &query);
            arena_reset(&arena);
            uint64_t allocated = alloc_count();
            assert_true(factors_top(&catalogue.model, &query, &arena, &found));
            assert_true(alloc_count() == allocated);
            assert_best(&catalogue, &query, &found);
        }
        catalogue_destroy(&catalogue);
    }
    arena_deinit(&arena);
}

/* Equal items by the thousand: the notes run over again and again, and ties go by number. */
static void test_ties_go_to_the_smaller_number(void **state)
{
    (void)state;
    enum { DIM = 8, ITEMS = 5000, N = 37 };
    struct catalogue catalogue;
    struct arena arena = {0};
    struct factors_found found;
    catalogue_create(&catalogue, 3, ITEMS, DIM, 1);
    for (uint32_t i = 1; i < ITEMS; i++)
        memcpy(catalogue.item + (size_t)i * DIM, catalogue.item, DIM * sizeof(float));
    catalogue_add_sieve(&catalogue);
    catalogue_bind(&catalogue);
    assert_int_equal(arena_init(&arena, ARENA_BYTES, NULL), ERR_OK);
    struct factors_query query = {.user = catalogue.user, .n = N};
    assert_true(factors_top(&catalogue.model, &query, &arena, &found));
    assert_best(&catalogue, &query, &found);
    arena_deinit(&arena);
    catalogue_destroy(&catalogue);
}

int main(void)
{
    model_use_one_blas_thread();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_equals_computing_and_sorting_all),
        cmocka_unit_test(test_ties_go_to_the_smaller_number),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
