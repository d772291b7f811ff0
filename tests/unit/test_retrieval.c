/* SPDX-License-Identifier: Apache-2.0 */
/* The best items by factors against computing and sorting all of them: over random catalogues,
 * filters and vectors of every size. */
#include <math.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/rand.h"
#include "models/model_internal.h"
#include "tests/support/alloc_fail.h"

enum { DIM_MAX = 70, ITEMS_MAX = 6000, USERS = 64, ARENA_BYTES = 1 << 20 };

/* A model as model_load and model_bind leave it, but for what no query reads. */
struct catalogue {
    struct model model;
    struct factors factors;
    float *item, *user; /* of `factors` */
    uint32_t *item_of_row, *row_of_item;
    struct rand rand;
};

/* Items around a few tastes, some of them alike, some of them zeros, some long. */
static void fill(struct catalogue *catalogue, uint32_t item_count, uint32_t dim, double scale)
{
    static float taste[32][DIM_MAX];
    struct rand *rand = &catalogue->rand;
    for (uint32_t t = 0; t < 32; t++) {
        for (uint32_t k = 0; k < dim; k++)
            taste[t][k] = (float)rand_normal(rand);
    }
    for (uint32_t i = 0; i < item_count; i++) {
        float *row = catalogue->item + (size_t)i * dim;
        const float *own = taste[rand_below(rand, 32)];
        double length = exp(0.5 * rand_normal(rand)) * scale;
        for (uint32_t k = 0; k < dim; k++)
            row[k] = (float)(((double)own[k] + 0.5 * rand_normal(rand)) * length);
        if (rand_below(rand, 50) == 0)
            memset(row, 0, dim * sizeof *row);
        else if (i > 0 && rand_below(rand, 20) == 0)
            memcpy(row, row - dim, dim * sizeof *row);
    }
    for (uint32_t u = 0; u < USERS; u++) {
        const float *own = taste[rand_below(rand, 32)];
        for (uint32_t k = 0; k < dim; k++)
            catalogue->user[u * dim + k] = own[k] + 0.3f * (float)rand_normal(rand);
    }
}

static void make_model(struct catalogue *catalogue, uint32_t item_count, uint32_t dim)
{
    catalogue->factors = (struct factors){.item_count = item_count,
                                          .user_count = USERS,
                                          .dim = dim,
                                          .item = catalogue->item,
                                          .user = catalogue->user};
    catalogue->model = (struct model){.kind = MODEL_factors, .as.factors = &catalogue->factors};
}

static void make_catalogue(struct catalogue *catalogue, uint64_t seed, uint32_t item_count,
                           uint32_t dim, double scale)
{
    *catalogue = (struct catalogue){.item = malloc((size_t)item_count * dim * sizeof(float)),
                                    .user = malloc((size_t)USERS * dim * sizeof(float))};
    rand_init(&catalogue->rand, seed);
    fill(catalogue, item_count, dim, scale);
    make_model(catalogue, item_count, dim);
}

static void add_sieve(struct catalogue *catalogue)
{
    struct factors *factors = &catalogue->factors;
    struct err err = {0};
    if (sieve_create(factors->item, factors->item_count, factors->dim, NULL, 1, &factors->sieve,
                     &err) != ERR_OK)
        fail_msg("%s", err.text);
}

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

/* Item numbers in another order than rows, with gaps. */
static void bind(struct catalogue *catalogue)
{
    uint32_t count = catalogue->factors.item_count;
    uint32_t places = count + count / 3 + 1;
    catalogue->item_of_row = malloc(count * sizeof(uint32_t));
    catalogue->row_of_item = malloc(places * sizeof(uint32_t));
    memset(catalogue->row_of_item, 0xff, places * sizeof(uint32_t));
    for (uint32_t row = 0; row < count; row++) {
        uint32_t item = (uint32_t)rand_below(&catalogue->rand, places);
        while (catalogue->row_of_item[item] != MODEL_NO_ROW)
            item = (item + 1) % places;
        catalogue->row_of_item[item] = row;
        catalogue->item_of_row[row] = item;
    }
    catalogue->model.item_of_row = catalogue->item_of_row;
    catalogue->model.row_of_item = catalogue->row_of_item;
    catalogue->model.row_of_item_count = places;
}

static void end_catalogue(struct catalogue *catalogue)
{
    if (catalogue->factors.index == NULL)
        sieve_destroy(&catalogue->factors.sieve);
    factors_index_destroy(&catalogue->factors.index);
    free(catalogue->item);
    free(catalogue->user);
    free(catalogue->item_of_row);
    free(catalogue->row_of_item);
}

static bool is_odd_enough(const void *ctx, uint32_t item)
{
    return item * 2654435769u >> 16 < *(const uint32_t *)ctx;
}

static int best_first(const void *left, const void *right)
{
    const struct top_slot *a = left, *b = right;
    if (a->score != b->score)
        return a->score > b->score ? -1 : 1;
    return a->key < b->key ? -1 : a->key > b->key;
}

/* All items that pass, best first. */
static uint32_t naive(const struct catalogue *catalogue, const struct factors_query *query,
                      struct top_slot *ret_slot)
{
    uint32_t count = 0;
    for (uint32_t row = 0; row < catalogue->factors.item_count; row++) {
        uint32_t item = catalogue->item_of_row == NULL ? row : catalogue->item_of_row[row];
        bool allowed =
            query->allowed == NULL ||
            (item < query->allowed_count && (query->allowed[item / 64] >> (item % 64) & 1) != 0);
        if (allowed && (query->admits == NULL || query->admits(query->ctx, item)))
            ret_slot[count++] =
                (struct top_slot){factors_score(&catalogue->factors, query->user, row), item};
    }
    qsort(ret_slot, count, sizeof *ret_slot, best_first);
    return count;
}

/* Of every item with the probability share / 2^16. */
static uint32_t make_bits(struct rand *rand, uint32_t count, uint32_t share, uint64_t *ret_bits)
{
    memset(ret_bits, 0, (count + 63) / 64 * sizeof *ret_bits);
    for (uint32_t i = 0; i < count; i++)
        ret_bits[i / 64] |= (uint64_t)(rand_below(rand, 65536) < share) << (i % 64);
    return count;
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
        ret_query->allowed_count = make_bits(rand, (uint32_t)rand_below(rand, places + 100),
                                             shares[rand_below(rand, 6)], bits);
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
    uint32_t count = naive(catalogue, query, all);
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
        make_catalogue(&catalogue, s, shapes[s].items, shapes[s].dim, shapes[s].scale);
        add_sieve(&catalogue);
        for (uint32_t round = 0; round < 60; round++) {
            struct factors_query query;
            struct factors_found found;
            uint32_t admitted = round * 1000;
            if (round == 30)
                bind(&catalogue);
            make_vector(&catalogue.rand, &catalogue, vector);
            make_query(&catalogue.rand, &catalogue, vector, bits, &admitted, &query);
            arena_reset(&arena);
            uint64_t allocated = alloc_count();
            assert_true(factors_top(&catalogue.model, &query, &arena, &found));
            assert_true(alloc_count() == allocated);
            assert_best(&catalogue, &query, &found);
        }
        end_catalogue(&catalogue);
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
    make_catalogue(&catalogue, 3, ITEMS, DIM, 1);
    for (uint32_t i = 1; i < ITEMS; i++)
        memcpy(catalogue.item + (size_t)i * DIM, catalogue.item, DIM * sizeof(float));
    add_sieve(&catalogue);
    bind(&catalogue);
    assert_int_equal(arena_init(&arena, ARENA_BYTES, NULL), ERR_OK);
    struct factors_query query = {.user = catalogue.user, .n = N};
    assert_true(factors_top(&catalogue.model, &query, &arena, &found));
    assert_best(&catalogue, &query, &found);
    arena_deinit(&arena);
    end_catalogue(&catalogue);
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
    make_catalogue(&catalogue, 9, ITEMS_MAX, DIM, 1);
    if (add_index(&catalogue, 0.95, &err) != ERR_OK)
        fail_msg("%s", err.text);
    bind(&catalogue);
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
            query.allowed_count =
                make_bits(&catalogue.rand, catalogue.model.row_of_item_count, shares[s], bits);
            arena_reset(&arena);
            assert_true(factors_top(&catalogue.model, &query, &arena, &found));
            uint32_t count = naive(&catalogue, &query, all);
            assert_int_equal(found.top.count, count < query.n ? count : query.n);
            for (uint32_t i = 0; i < found.top.count; i++) {
                uint32_t item = found.top.slot[i].key;
                assert_true((bits[item / 64] >> (item % 64) & 1) != 0);
                assert_true(found.top.slot[i].score == factors_score(&catalogue.factors, query.user,
                                                                     catalogue.row_of_item[item]));
                assert_true(i == 0 || best_first(&found.top.slot[i - 1], &found.top.slot[i]) < 0);
            }
            recall += shared(all, &found) / ROUNDS;
            read_a_part = read_a_part || !found.is_exact;
        }
        assert_true(recall >= 0.95);
        assert_true(s > 0 || read_a_part);
    }
    arena_deinit(&arena);
    end_catalogue(&catalogue);
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
        make_catalogue(&catalogue, 100 + seed, 3000, 16, 1);
        assert_int_equal(add_index(&catalogue, 0.95, NULL), ERR_OK);
        below += catalogue.factors.index->recall < 0.95;
        assert_true(catalogue.factors.index->probes < catalogue.factors.index->lists->list_count);
        end_catalogue(&catalogue);
    }
    assert_in_range(below, 0, BELOW_MAX);
}

static void test_the_same_factors_give_the_same_index(void **state)
{
    (void)state;
    struct catalogue catalogue[2];
    for (int i = 0; i < 2; i++) {
        make_catalogue(&catalogue[i], 4, 2000, DIM_MAX, 1);
        assert_int_equal(add_index(&catalogue[i], 0.9, NULL), ERR_OK);
    }
    const struct factors_index *a = catalogue[0].factors.index;
    const struct factors_index *b = catalogue[1].factors.index;
    assert_int_equal(a->probes, b->probes);
    assert_int_equal(a->lists->list_count, b->lists->list_count);
    uint32_t groups = a->lists->first_group[a->lists->list_count];
    assert_memory_equal(a->lists->row, b->lists->row, groups * DOT_INT8_GROUP * sizeof(uint32_t));
    assert_true(factors_index_bytes(a) == factors_index_bytes(b));
    end_catalogue(&catalogue[0]);
    end_catalogue(&catalogue[1]);
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
        make_catalogue(&catalogue, i, count, 6, 1);
        for (size_t k = 0; k < (size_t)count * 6; k++)
            catalogue.item[k] = i % 2 == 0 ? 0.0f : 0.25f;
        assert_int_equal(add_index(&catalogue, 1.0, NULL), ERR_OK);
        arena_reset(&arena);
        struct factors_query query = {.user = catalogue.user, .n = 10};
        assert_true(factors_top(&catalogue.model, &query, &arena, &found));
        assert_int_equal(found.top.count, count < 10 ? count : 10);
        end_catalogue(&catalogue);
    }
    arena_deinit(&arena);
}

static void test_survives_each_failed_allocation(void **state)
{
    (void)state;
    bool failed = true;
    uint32_t n = 0;
    struct catalogue catalogue;
    make_catalogue(&catalogue, 1, 300, 8, 1);
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
    end_catalogue(&catalogue);
}

/* Every arena that is too small is said to be, and is left as it was. */
static void test_a_full_arena_is_said_to_be(void **state)
{
    (void)state;
    enum { N = 50 };
    for (uint32_t indexed = 0; indexed < 2; indexed++) {
        struct catalogue catalogue;
        uint32_t answers = 0;
        make_catalogue(&catalogue, 1, 3000, 8, 1);
        if (indexed)
            assert_int_equal(add_index(&catalogue, 0.9, NULL), ERR_OK);
        else
            add_sieve(&catalogue);
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
        end_catalogue(&catalogue);
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
    make_catalogue(&catalogue, 2, 3000, 16, 1);
    assert_int_equal(add_index(&catalogue, 0.9, NULL), ERR_OK);
    for (int i = 0; i < THREADS; i++) {
        caller[i].catalogue = &catalogue;
        assert_int_equal(pthread_create(&thread[i], NULL, call_many, &caller[i]), 0);
    }
    for (int i = 0; i < THREADS; i++) {
        pthread_join(thread[i], NULL);
        assert_true(caller[i].digest == caller[0].digest);
    }
    end_catalogue(&catalogue);
}

int main(void)
{
    model_use_one_blas_thread();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_equals_computing_and_sorting_all),
        cmocka_unit_test(test_ties_go_to_the_smaller_number),
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
