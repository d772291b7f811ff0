/* SPDX-License-Identifier: Apache-2.0 */
/* The best items are the best by exact sums, whatever bounds they were found by. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka.h needs the four above */
#include <cmocka.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/rand.h"
#include "tests/support/decide_fixture.h"
#include "tests/support/small_models.h"

/* Neighbors know NEAR_ITEMS. */
enum { NEAR_ITEMS = 200, ITEMS_MAX = 8300, DIM = 24, WANTED = 20, SEEDS = 3, ROUNDS = 12 };

static char names[ITEMS_MAX * 8], near_names[NEAR_ITEMS * 8];
static float item_factors[2][ITEMS_MAX * DIM];
static float user_factors[2][DIM];
static float neighbor_weight[NEAR_ITEMS * NEAR_ITEMS];

struct scored {
    double score;
    uint32_t item;
};

static int better_first(const void *a, const void *b)
{
    const struct scored *left = a, *right = b;
    return left->score < right->score ? 1 : left->score > right->score ? -1 : 0;
}

static void name_items(char *ret_names, uint32_t count)
{
    size_t used = 0;
    for (uint32_t i = 0; i < count; i++)
        used += (size_t)snprintf(ret_names + used, 8, i == 0 ? "i%u" : " i%u", i);
}

static void fill(struct rand *rand, uint32_t item_count)
{
    name_items(names, item_count);
    name_items(near_names, NEAR_ITEMS);
    for (int m = 0; m < 2; m++) {
        for (uint32_t i = 0; i < item_count * DIM; i++)
            item_factors[m][i] = (float)(rand_normal(rand) * (i % 7 == 0 ? 2.0 : 0.2));
        for (uint32_t k = 0; k < DIM; k++)
            user_factors[m][k] = (float)rand_normal(rand);
    }
    for (uint32_t i = 0; i < NEAR_ITEMS; i++) {
        for (uint32_t j = 0; j < NEAR_ITEMS; j++)
            neighbor_weight[i * NEAR_ITEMS + j] =
                i == j || rand_below(rand, 4) != 0 ? 0.0f : (float)rand_normal(rand);
    }
}

static double exact(uint32_t item, const uint32_t seed[SEEDS], double factors_weight)
{
    double score = 0;
    for (int s = 0; s < SEEDS && item < NEAR_ITEMS; s++)
        score += neighbor_weight[seed[s] * NEAR_ITEMS + item];
    for (int m = 0; m < 2; m++) {
        double product = 0;
        for (uint32_t k = 0; k < DIM; k++)
            product += (double)user_factors[m][k] * item_factors[m][item * DIM + k];
        score += factors_weight * (m == 0 ? 1.0 : 0.25) * product;
    }
    return score;
}

static void add_models(struct fixture *fixture, uint32_t index_items)
{
    for (int m = 0; m < 2; m++) {
        struct small_factors factors = {.users = "u",
                                        .user_factors = user_factors[m],
                                        .items = names,
                                        .item_factors = item_factors[m],
                                        .dim = DIM,
                                        .regularization = 0.01,
                                        .trained_at = "2023-11-14T00:00:00Z",
                                        .index_items = index_items};
        fixture_add_model(fixture, small_factors(m == 0 ? "one" : "two", "1", &factors));
    }
    fixture_add_model(fixture, small_neighbors("near", "1", near_names, neighbor_weight));
}

/* Neighbors alone, factors alone, and everything together; of the answer, how many items have the
 * score of the item that has its place by the exact sums. */
static uint32_t count_right(struct rand *rand, int round, uint32_t item_count, uint32_t index_items)
{
    static struct fixture fixture;
    static const double weights[] = {0.001, 0.3, 40};
    char policies[1024], request[256];
    double weight = weights[round % 3];
    uint32_t right = 0;
    fill(rand, item_count);
    fixture_init(&fixture);
    add_models(&fixture, index_items);
    snprintf(policies, sizeof policies,
             "{\"slots\": {\"home\": {\"sources\": ["
             "{\"source\": \"neighbors\", \"model\": \"near\"},"
             "{\"source\": \"factors\", \"model\": \"one\", \"weight\": %g},"
             "{\"source\": \"factors\", \"model\": \"two\", \"weight\": %g}]}}}",
             weight, weight / 4);
    fixture_serve(&fixture, policies);
    /* Seeds would fold the person in anew; what they saw before training does not. */
    uint32_t seed[SEEDS];
    for (uint32_t s = 0; s < SEEDS; s++) {
        char name[16];
        seed[s] = s * 60 + (uint32_t)rand_below(rand, 60);
        snprintf(name, sizeof name, "i%u", seed[s]);
        fixture_act(&fixture, "purchase", "u", name, FIXTURE_NOW_MS - INT64_C(172800000));
    }
    static struct scored all[ITEMS_MAX];
    uint32_t count = 0;
    for (uint32_t i = 0; i < item_count; i++) {
        if (i != seed[0] && i != seed[1] && i != seed[2])
            all[count++] = (struct scored){exact(i, seed, weight), i};
    }
    qsort(all, count, sizeof all[0], better_first);
    snprintf(request, sizeof request, "{\"op\": \"recommend\", \"user\": \"u\", \"n\": %d}",
             WANTED);
    const struct decision *decision = fixture_decide(&fixture, request);
    assert_int_equal(decision->level, LEVEL_full);
    assert_int_equal(decision->count, WANTED);
    for (uint32_t i = 0; i < WANTED; i++) {
        double tolerance = 1e-5 * (1.0 + fabs(all[i].score)) * (1.0 + weight);
        right += fabs(decision->items[i].score - all[i].score) <= tolerance;
    }
    fixture_deinit(&fixture);
    return right;
}

/* Few items are looked at one by one, more in blocks, and of many the best are found first. */
static void test_bounds_leave_no_better_item_out(void **state)
{
    (void)state;
    static const uint32_t item_counts[] = {NEAR_ITEMS, 1201, ITEMS_MAX};
    struct rand rand;
    rand_init(&rand, 3);
    for (size_t i = 0; i < sizeof item_counts / sizeof item_counts[0]; i++) {
        for (int round = 0; round < (item_counts[i] == ITEMS_MAX ? 3 : ROUNDS); round++)
            assert_int_equal(count_right(&rand, round, item_counts[i], 0), WANTED);
    }
}

/* An index reads some lists; what it leaves out may move what follows up by a place. */
static void test_an_index_leaves_little_out(void **state)
{
    (void)state;
    struct rand rand;
    uint32_t right = 0;
    rand_init(&rand, 3);
    for (int round = 0; round < ROUNDS; round++)
        right += count_right(&rand, round, NEAR_ITEMS, 1);
    assert_true(right >= ROUNDS * WANTED * 9 / 10);
}

/* Who has no neighbors is answered by factors: what those want who act on the item. */
/* Where all score the same, the bar stands at that score: those that just reach it count. */
static void test_items_at_the_bar_are_taken(void **state)
{
    (void)state;
    enum { COUNT = 250, BEST = 177 };
    static struct fixture fixture;
    float *weight = calloc((size_t)COUNT * COUNT, sizeof *weight);
    assert_non_null(weight);
    for (uint32_t i = 1; i < COUNT; i++)
        weight[i] = i == BEST ? 2.0f : 1.0f;
    name_items(names, COUNT);
    fixture_init(&fixture);
    fixture_add_model(&fixture, small_neighbors("near", "1", names, weight));
    free(weight);
    fixture_serve(&fixture, "{\"slots\": {\"home\": {\"sources\": ["
                            "{\"source\": \"neighbors\", \"model\": \"near\"}]}}}");
    fixture_act(&fixture, "purchase", "u", "i0", FIXTURE_NOW_MS - 1000);
    assert_string_equal(fixture_ask(&fixture, "{\"op\": \"recommend\", \"user\": \"u\", \"n\": 8}"),
                        "full: i177 i1 i2 i3 i4 i5 i6 i7");
    fixture_deinit(&fixture);
}

/* Factors of four items in two directions. */
static void serve_taste(struct fixture *fixture, const char *policies)
{
    static const float items[] = {1, 0, 0.9f, 0.1f, 0, 1, 0.8f, 0.3f};
    struct small_factors factors = {.users = "u",
                                    .user_factors = items,
                                    .items = "a b c d",
                                    .item_factors = items,
                                    .dim = 2,
                                    .regularization = 0.01,
                                    .trained_at = "2023-11-14T00:00:00Z"};
    fixture_init(fixture);
    fixture_add_model(fixture, small_factors("taste", "1", &factors));
    fixture_serve(fixture, policies);
}

static void test_similar_by_factors(void **state)
{
    (void)state;
    static struct fixture fixture;
    serve_taste(&fixture, NULL);
    assert_string_equal(
        fixture_ask(&fixture, "{\"op\": \"similar\", \"items\": [\"a\"], \"n\": 2}"), "full: b d");
    assert_string_equal(fixture_ask(&fixture, "{\"op\": \"similar\", \"items\": [\"a\"], \"n\": 2, "
                                              "\"exclude\": [\"b\"]}"),
                        "full: d c");
    assert_string_equal(
        fixture_ask(&fixture, "{\"op\": \"similar\", \"items\": [\"nobody\"], \"n\": 1}"),
        "static/no_candidates: s1");
    fixture_deinit(&fixture);
}

/* Folding in knows a set of items: one that is among the seeds and in the history counts once. */
static void test_a_seed_of_the_history_is_folded_in_once(void **state)
{
    (void)state;
    static struct fixture fixture;
    serve_taste(&fixture, "{\"slots\": {\"home\": {\"sources\": ["
                          "{\"source\": \"factors\", \"model\": \"taste\"}]}}}");
    fixture_act(&fixture, "view", "v", "a", FIXTURE_NOW_MS - 1000);
    fixture_act(&fixture, "view", "v", "c", FIXTURE_NOW_MS - 2000);
    fixture_act(&fixture, "view", "w", "c", FIXTURE_NOW_MS - 2000);
    float score[2];
    for (int i = 0; i < 2; i++) {
        char request[128];
        snprintf(request, sizeof request,
                 "{\"op\": \"recommend\", \"user\": \"%s\", \"seeds\": [\"a\"], \"n\": 1}",
                 i == 0 ? "v" : "w");
        assert_string_equal(fixture_ask(&fixture, request), "full: d");
        score[i] = fixture_item(&fixture, "d")->score;
    }
    assert_true(score[0] == score[1]);
    fixture_deinit(&fixture);
}

/* The newest items speak, as many as the policy lets. */
static void test_history_says_how_many_items_speak(void **state)
{
    (void)state;
    static struct fixture fixture;
    static const float weight[25] = {
        /* a b c d e */
        0, 0, 0, 1, 0,    /* a */
        0, 0, 0, 0, 0.5f, /* b */
    };
    fixture_init(&fixture);
    fixture_add_model(&fixture, small_neighbors("near", "1", "a b c d e", weight));
    fixture_act(&fixture, "purchase", "u", "a", FIXTURE_NOW_MS - 2000);
    fixture_act(&fixture, "purchase", "u", "b", FIXTURE_NOW_MS - 1000);
    static const char slot[] =
        "{\"slots\": {\"home\": {\"sources\": [{\"source\": \"neighbors\"%s}]}}}";
    static const struct {
        const char *more, *expected;
    } cases[] = {
        {"", "full: d e"}, {", \"history\": 2", "full: d e"}, {", \"history\": 1", "full: e"}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char policies[256];
        snprintf(policies, sizeof policies, slot, cases[i].more);
        fixture_serve(&fixture, policies);
        assert_string_equal(
            fixture_ask(&fixture, "{\"op\": \"recommend\", \"user\": \"u\", \"n\": 2}"),
            cases[i].expected);
    }
    fixture_deinit(&fixture);
}

/* Twenty purchases of which each leads to an item of its own: how many speak is how many items
 * there are to show. */
static void test_less_effort_is_less_of_the_history(void **state)
{
    (void)state;
    enum { BOUGHT = 20 };
    static struct fixture fixture;
    memset(neighbor_weight, 0, sizeof neighbor_weight);
    fixture_init(&fixture);
    names[0] = '\0';
    for (size_t i = 0, used = 0; i < 2 * BOUGHT; i++)
        used += (size_t)snprintf(names + used, 8, i == 0 ? "i%zu" : " i%zu", i);
    for (size_t i = 0; i < BOUGHT; i++)
        neighbor_weight[i * 2 * BOUGHT + BOUGHT + i] = 1.0f;
    fixture_add_model(&fixture, small_neighbors("near", "1", names, neighbor_weight));
    for (int i = 0; i < BOUGHT; i++) {
        char name[16];
        snprintf(name, sizeof name, "i%d", i);
        fixture_act(&fixture, "purchase", "u", name, FIXTURE_NOW_MS - i * 1000);
    }
    fixture_serve(&fixture,
                  "{\"slots\": {\"home\": {\"sources\": [{\"source\": \"neighbors\"}]}}}");
    static const struct {
        uint32_t spared_permille, items;
        enum level level;
        bool explained;
    } cases[] = {{0, BOUGHT, LEVEL_full, true},
                 {500, BOUGHT / 2, LEVEL_reduced, true},
                 {501, BOUGHT / 2, LEVEL_reduced, false},
                 {900, 5, LEVEL_reduced, false}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        fixture.spared_permille = cases[i].spared_permille;
        const struct decision *decision = fixture_decide(
            &fixture, "{\"op\": \"recommend\", \"user\": \"u\", \"n\": 40, \"explain\": true}");
        uint32_t of_neighbors = 0;
        for (uint32_t k = 0; k < decision->count; k++)
            of_neighbors += decision->items[k].score == 1.0f;
        assert_int_equal(decision->level, cases[i].level);
        assert_in_range(of_neighbors, cases[i].items, cases[i].items + 1);
        assert_int_equal(decision->items[0].why_count > 0, cases[i].explained);
        assert_int_equal(decision->reason, i == 0 ? REASON_none : REASON_overload);
    }
    fixture_deinit(&fixture);
}

static const char *ask_by(struct fixture *fixture, enum cost stage, uint32_t ns)
{
    uint32_t *cost = fixture->worker->costs.ns[COST_OP_RECOMMEND][0];
    memset(cost, 0, sizeof fixture->worker->costs.ns[0][0]);
    cost[stage] = ns;
    return fixture_ask(fixture, "{\"op\": \"recommend\", \"user\": \"u\", \"n\": 1}");
}

/* There are 100 us left; what a stage took lately decides what is left out, before it is late. */
static void test_a_stage_that_would_be_late_is_left_out(void **state)
{
    (void)state;
    static struct fixture fixture;
    static const float weight[4] = {0, 1, 0, 0};
    static const float vectors[2] = {1, 0.5f};
    static const double ranks[] = {1.0};
    fixture_init(&fixture);
    fixture_add_model(&fixture, small_neighbors("near", "1", "a b", weight));
    struct small_factors factors = {.users = "u",
                                    .user_factors = vectors,
                                    .items = "a b",
                                    .item_factors = vectors,
                                    .dim = 1,
                                    .regularization = 0.01,
                                    .trained_at = "2023-11-14T00:00:00Z"};
    fixture_add_model(&fixture, small_factors("taste", "1", &factors));
    fixture_add_model(&fixture, small_linear("rank", "1", "blend.score", ranks, 0));
    fixture_act(&fixture, "purchase", "u", "a", FIXTURE_NOW_MS - INT64_C(172800000));
    fixture_serve(&fixture, NULL);
    fixture.deadline_ns = clock_now_ns(&fixture.clock.clock) + 100000;
    static const struct {
        enum cost stage;
        uint32_t ns;
        const char *expected;
    } cases[] = {
        {COST_NEIGHBORS, 99999, "full: b"},
        {COST_NEIGHBORS, 100000, "cached/deadline: b"}, /* as was answered before */
        {COST_CHOOSE_REDUCED, 100000, "cached/deadline: b"},
        {COST_FACTORS, 99999, "full: b"},
        {COST_FACTORS, 100000, "reduced/deadline: b"},
        {COST_CHOOSE_FULL, 100000, "reduced/deadline: b"},
        {COST_RANK, 99999, "full: b"},
        {COST_RANK, 100000, "reduced/deadline: b"},
        {COST_FINISH, 100000, "cached/deadline: b"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        assert_string_equal(ask_by(&fixture, cases[i].stage, cases[i].ns), cases[i].expected);
    /* Without a deadline no cost is too high; and what was left out is tried again. */
    fixture.deadline_ns = 0;
    assert_string_equal(ask_by(&fixture, COST_FACTORS, COST_NS_MAX), "full: b");
    fixture.deadline_ns = clock_now_ns(&fixture.clock.clock) + 100000;
    const char *line = ask_by(&fixture, COST_FACTORS, 200000);
    int tries = 1;
    for (; strncmp(line, "reduced", 7) == 0 && tries < 1000; tries++)
        line = fixture_ask(&fixture, "{\"op\": \"recommend\", \"user\": \"u\", \"n\": 1}");
    assert_string_equal(line, "full: b");
    assert_in_range(tries, 100, 999);
    fixture_deinit(&fixture);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_less_effort_is_less_of_the_history),
        cmocka_unit_test(test_a_stage_that_would_be_late_is_left_out),
        cmocka_unit_test(test_bounds_leave_no_better_item_out),
        cmocka_unit_test(test_an_index_leaves_little_out),
        cmocka_unit_test(test_items_at_the_bar_are_taken),
        cmocka_unit_test(test_similar_by_factors),
        cmocka_unit_test(test_a_seed_of_the_history_is_folded_in_once),
        cmocka_unit_test(test_history_says_how_many_items_speak),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
