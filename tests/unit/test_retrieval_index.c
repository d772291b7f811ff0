/* SPDX-License-Identifier: Apache-2.0 */
/* The best items by factors through an index: how many of the best it finds, over nothing much,
 * without memory, with a full arena and from many threads. */
#include <math.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/rand.h"
#include "models/model_internal.h"
#include "tests/support/alloc_fail.h"
#include "tests/support/catalogue.h"

static enum err_code add_index(struct catalogue *catalogue, double recall, struct err *err)
{
    struct factors *factors = &catalogue->factors;
    const struct factors_index_spec spec = {factors->item, factors->item_count, factors->dim,
                                            factors->user, factors->user_count, recall};
    enum err_code rc = factors_index_create(&spec, &factors->index, err);
    if (rc == ERR_OK)
        factors->sieve = factors->index->lists;
    return rc;
}

static double shared(const struct top_slot *all, const struct factors_found *found)
{
    uint32_t both = 0;
    for (uint32_t i = 0; i < found->top.count; i++) {
        for (uint32_t k = 0; k < found->top.count; k++)
            both += found->top.slot[i].key == all[k].key;
    }
    return found->top.count == 0 ? 1.0 : (double)both / found->top.count;
}

/* Whatever the filter: as many as there are, each once and with its exact score, and the share of
 * the best ones that was asked for. */
static void test_an_index_finds_what_was_measured(void **state)
{
    (void)state;
    enum { DIM = 24, ROUNDS = 120 };
    static struct top_slot all[ITEMS_MAX];
    static uint64_t bits[2 * ITEMS_MAX / 64 + 8];
    static const uint32_t shares[] = {65536, 32768, 6000, 600, 0};
    struct catalogue catalogue;
    struct arena arena = {0};
    struct err err = {0};
    struct factors_retrieval retrieval;
    catalogue_create(&catalogue, 9, ITEMS_MAX, DIM, 1);
    if (add_index(&catalogue, 0.95, &err) != ERR_OK)
        fail_msg("%s", err.text);
    catalogue_bind(&catalogue);
    factors_retrieval(&catalogue.factors, &retrieval);
    assert_false(retrieval.is_exact);
    assert_true(retrieval.recall >= 0.95);
    assert_true(retrieval.probes < retrieval.list_count);
    assert_int_equal(retrieval.recall_queries, USERS / 2);
    assert_int_equal(arena_init(&arena, ARENA_BYTES, NULL), ERR_OK);
    for (uint32_t s = 0; s < sizeof shares / sizeof shares[0]; s++) {
        double recall = 0.0;
        bool read_a_part = false;
        for (uint32_t round = 0; round < ROUNDS; round++) {
            struct factors_found found;
            struct factors_query query = {.user = catalogue.user + (round % USERS) * DIM, .n = 100};
            query.allowed = bits;
            query.allowed_count = catalogue_make_bits(
                &catalogue.rand, catalogue.model.row_of_item_count, shares[s], bits);
            arena_reset(&arena);
            assert_true(factors_top(&catalogue.model, &query, &arena, &found));
            uint32_t count = catalogue_sort_all(&catalogue, &query, all);
            assert_int_equal(found.top.count, count < query.n ? count : query.n);
            for (uint32_t i = 0; i < found.top.count; i++) {
                uint32_t item = found.top.slot[i].key;
                assert_true((bits[item / 64] >> (item % 64) & 1) != 0);
                assert_true(found.top.slot[i].score == factors_score(&catalogue.factors, query.user,
                                                                     catalogue.row_of_item[item]));
                assert_true(i == 0 ||
                            catalogue_best_first(&found.top.slot[i - 1], &found.top.slot[i]) < 0);
            }
            recall += shared(all, &found) / ROUNDS;
            read_a_part = read_a_part || !found.is_exact;
        }
        assert_true(recall >= 0.95);
        assert_true(s > 0 || read_a_part);
    }
    arena_deinit(&arena);
    catalogue_destroy(&catalogue);
}

/* What the users that chose would find is found by others, too, nearly always: with the fewest
 * lists that do for those who chose it would be half of the times. */
static void test_an_index_has_a_margin(void **state)
{
    (void)state;
    enum { CATALOGUES = 40, BELOW_MAX = 4 };
    uint32_t below = 0;
    for (uint64_t seed = 0; seed < CATALOGUES; seed++) {
        struct catalogue catalogue;
        catalogue_create(&catalogue, 100 + seed, 3000, 16, 1);
        assert_int_equal(add_index(&catalogue, 0.95, NULL), ERR_OK);
        below += catalogue.factors.index->recall < 0.95;
        assert_true(catalogue.factors.index->probes < catalogue.factors.index->lists->list_count);
        catalogue_destroy(&catalogue);
    }
    assert_in_range(below, 0, BELOW_MAX);
}

static void test_the_same_factors_give_the_same_index(void **state)
{
    (void)state;
    struct catalogue catalogue[2];
    for (int i = 0; i < 2; i++) {
        catalogue_create(&catalogue[i], 4, 2000, DIM_MAX, 1);
        assert_int_equal(add_index(&catalogue[i], 0.9, NULL), ERR_OK);
    }
    const struct factors_index *a = catalogue[0].factors.index;
    const struct factors_index *b = catalogue[1].factors.index;
    assert_int_equal(a->probes, b->probes);
    assert_int_equal(a->lists->list_count, b->lists->list_count);
    uint32_t groups = a->lists->first_group[a->lists->list_count];
    assert_memory_equal(a->lists->row, b->lists->row, groups * DOT_INT8_GROUP * sizeof(uint32_t));
    assert_true(factors_index_bytes(a) == factors_index_bytes(b));
    catalogue_destroy(&catalogue[0]);
    catalogue_destroy(&catalogue[1]);
}

/* Nothing to tell apart: zeros, one row, rows that are all the same. */
static void test_an_index_over_nothing_much(void **state)
{
    (void)state;
    static const uint32_t counts[] = {1, 2, 40, 500};
    struct arena arena = {0};
    assert_int_equal(arena_init(&arena, ARENA_BYTES, NULL), ERR_OK);
    for (uint32_t i = 0; i < 8; i++) {
        struct catalogue catalogue;
        struct factors_found found;
        uint32_t count = counts[i / 2];
        catalogue_create(&catalogue, i, count, 6, 1);
        for (size_t k = 0; k < (size_t)count * 6; k++)
            catalogue.item[k] = i % 2 == 0 ? 0.0f : 0.25f;
        assert_int_equal(add_index(&catalogue, 1.0, NULL), ERR_OK);
        arena_reset(&arena);
        struct factors_query query = {.user = catalogue.user, .n = 10};
        assert_true(factors_top(&catalogue.model, &query, &arena, &found));
        assert_int_equal(found.top.count, count < 10 ? count : 10);
        catalogue_destroy(&catalogue);
    }
    arena_deinit(&arena);
}

static void test_survives_each_failed_allocation(void **state)
{
    (void)state;
    bool failed = true;
    uint32_t n = 0;
    struct catalogue catalogue;
    catalogue_create(&catalogue, 1, 300, 8, 1);
    for (; failed; n++) {
        struct err err = {0};
        alloc_fail_after(n);
        enum err_code rc = add_index(&catalogue, 0.9, &err);
        failed = alloc_fail_off();
        assert_int_equal(rc, failed ? ERR_NOMEM : ERR_OK);
        assert_true(failed == (catalogue.factors.index == NULL));
        assert_true(failed == (err.text[0] != '\0'));
    }
    assert_true(n > 20);
    catalogue_destroy(&catalogue);
}

/* Every arena that is too small is said to be, and is left as it was. */
static void test_a_full_arena_is_said_to_be(void **state)
{
    (void)state;
    enum { N = 50 };
    for (uint32_t indexed = 0; indexed < 2; indexed++) {
        struct catalogue catalogue;
        uint32_t answers = 0;
        catalogue_create(&catalogue, 1, 3000, 8, 1);
        if (indexed)
            assert_int_equal(add_index(&catalogue, 0.9, NULL), ERR_OK);
        else
            catalogue_add_sieve(&catalogue);
        for (size_t bytes = 0; bytes <= FACTORS_TOP_BYTES(N); bytes += 512) {
            struct arena arena = {0};
            struct factors_found found;
            struct factors_query query = {.user = catalogue.user, .n = N};
            assert_int_equal(arena_init(&arena, bytes + 1, NULL), ERR_OK);
            bool ok = factors_top(&catalogue.model, &query, &arena, &found);
            assert_int_equal(arena_mark(&arena), ok ? N * sizeof(struct top_slot) : 0);
            assert_true(ok || answers == 0);
            answers += ok;
            arena_deinit(&arena);
        }
        assert_true(answers > 0);
        catalogue_destroy(&catalogue);
    }
}

struct caller {
    const struct catalogue *catalogue;
    uint64_t digest;
};

static void *call_many(void *arg)
{
    struct caller *caller = arg;
    struct arena arena = {0};
    if (arena_init(&arena, ARENA_BYTES, NULL) != ERR_OK)
        abort();
    for (uint32_t u = 0; u < USERS; u++) {
        struct factors_found found;
        struct factors_query query = {
            .user = caller->catalogue->user + u * caller->catalogue->factors.dim, .n = 30};
        arena_reset(&arena);
        if (!factors_top(&caller->catalogue->model, &query, &arena, &found))
            abort();
        for (uint32_t i = 0; i < found.top.count; i++)
            caller->digest = caller->digest * 31 + found.top.slot[i].key;
    }
    arena_deinit(&arena);
    return NULL;
}

static void test_many_threads_get_the_same(void **state)
{
    (void)state;
    enum { THREADS = 4 };
    struct catalogue catalogue;
    struct caller caller[THREADS] = {{0}};
    pthread_t thread[THREADS];
    catalogue_create(&catalogue, 2, 3000, 16, 1);
    assert_int_equal(add_index(&catalogue, 0.9, NULL), ERR_OK);
    for (int i = 0; i < THREADS; i++) {
        caller[i].catalogue = &catalogue;
        assert_int_equal(pthread_create(&thread[i], NULL, call_many, &caller[i]), 0);
    }
    for (int i = 0; i < THREADS; i++) {
        pthread_join(thread[i], NULL);
        assert_true(caller[i].digest == caller[0].digest);
    }
    catalogue_destroy(&catalogue);
}

int main(void)
{
    model_use_one_blas_thread();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_an_index_finds_what_was_measured),
        cmocka_unit_test(test_an_index_has_a_margin),
        cmocka_unit_test(test_the_same_factors_give_the_same_index),
        cmocka_unit_test(test_an_index_over_nothing_much),
        cmocka_unit_test(test_survives_each_failed_allocation),
        cmocka_unit_test(test_a_full_arena_is_said_to_be),
        cmocka_unit_test(test_many_threads_get_the_same),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
