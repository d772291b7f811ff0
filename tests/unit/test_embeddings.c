/* SPDX-License-Identifier: Apache-2.0 */
/* Items that are alike by embeddings which somebody else made. */
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

static struct fixture fixture;

/* The shop's shoes are near one axis, its hats near the other; "new" is a shoe and "odd" has no
 * direction. */
#define ITEMS "a b c d e new odd"
static const float embedding[7 * 2] = {4, 0.4f, 1, 0, 2, 0.5f, 0.2f, 2, 0, 1, 9, 1, 0, 0};

static int set_up(void **state)
{
    (void)state;
    fixture_init(&fixture);
    fixture_load_shop(&fixture);
    fixture_event(&fixture, "{\"type\": \"item_upsert\", \"items\": [{\"id\": \"new\"}]}");
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    fixture_deinit(&fixture);
    return 0;
}

static void add_embeddings(void)
{
    fixture_add_model(&fixture, small_embeddings("titles", "1", ITEMS, embedding, 2));
}

static void add_neighbors(void)
{
    static const float weight[9] = {0, 0, 1};
    fixture_add_model(&fixture, small_neighbors("near", "1", "a b e", weight));
}

#define SLOT(source) "{\"slots\": {\"home\": {\"sources\": [" source "]}}}"
#define PLAIN        SLOT("{\"source\": \"embeddings\"}")
#define ASK(request) fixture_ask(&fixture, "{" request "}")
#define U            "\"op\": \"recommend\", \"user\": \"u\", \"explain\": true"

static void what_is_alike_is_recommended_however_new(void **state)
{
    (void)state;
    add_embeddings();
    fixture_serve(&fixture, PLAIN);
    fixture_act(&fixture, "purchase", "u", "b", FIXTURE_NOW_MS);
    assert_string_equal(ASK(U ", \"n\": 3"), "full: a new c");
    const struct decision_item *item = fixture_item(&fixture, "new");
    assert_string_equal(item->why[0].source, "embeddings");
    assert_int_equal(fixture.decision.retrieval_count, 1);
    assert_string_equal(fixture.decision.retrieval[0].model, "titles@1");
    assert_string_equal(fixture.decision.retrieval[0].by, "sums"); /* so few */
    assert_float_equal(item->why[0].value, 9.0f / sqrtf(82.0f), 1e-6);
    /* one more, of the other kind, looked at alone: it says less */
    fixture_act(&fixture, "view", "u", "e", FIXTURE_NOW_MS);
    assert_string_equal(ASK(U ", \"n\": 4, \"exclude\": [\"e\"]"), "full: c new a d");
    assert_float_equal(fixture_item(&fixture, "c")->why[0].value,
                       (2.0f + 0.3f * 0.5f) / sqrtf(1.09f * 4.25f), 1e-6);
}

static void the_newest_alone_speak(void **state)
{
    (void)state;
    add_embeddings();
    fixture_act(&fixture, "view", "u", "b", FIXTURE_NOW_MS - 86400000);
    fixture_act(&fixture, "view", "u", "e", FIXTURE_NOW_MS);
    fixture_serve(&fixture, SLOT("{\"source\": \"embeddings\", \"history\": 1}"));
    assert_string_equal(ASK(U ", \"n\": 2, \"exclude\": [\"e\"]"), "full: d c");
    fixture_serve(&fixture, SLOT("{\"source\": \"embeddings\", \"half_life\": \"6h\"}"));
    assert_string_equal(ASK(U ", \"n\": 2, \"exclude\": [\"e\"]"), "full: d c");
    fixture_serve(&fixture, PLAIN);
    assert_string_equal(ASK(U ", \"n\": 2, \"exclude\": [\"e\", \"b\"]"), "full: c new");
}

static void who_says_nothing_gets_what_others_like(void **state)
{
    (void)state;
    add_embeddings();
    fixture_serve(&fixture, PLAIN);
    assert_string_equal(ASK(U ", \"n\": 2"), "generic/unknown_user: e d");
    fixture_act(&fixture, "view", "u", "odd", FIXTURE_NOW_MS);
    assert_string_equal(ASK(U ", \"n\": 2"), "generic/no_candidates: e d");
    assert_string_equal(ASK(U ", \"seeds\": [\"a\"], \"n\": 2"), "full: new b");
    fixture_event(&fixture, "{\"type\": \"consent\", \"user\": \"u\", \"consent\": "
                            "{\"personalize\": false}}");
    fixture_act(&fixture, "view", "u", "a", FIXTURE_NOW_MS);
    assert_string_equal(ASK(U ", \"n\": 2"), "generic/consent: e d");
}

static void a_model_that_is_missing_lowers_the_level(void **state)
{
    (void)state;
    fixture_act(&fixture, "view", "u", "a", FIXTURE_NOW_MS);
    fixture_serve(&fixture, SLOT("{\"source\": \"embeddings\", \"model\": \"titles\"}"));
    assert_string_equal(ASK(U ", \"n\": 2"), "generic/no_model: c a");
    add_embeddings();
    fixture_serve(&fixture, SLOT("{\"source\": \"embeddings\", \"model\": \"titles\"}"));
    assert_string_equal(ASK(U ", \"n\": 2, \"exclude\": [\"a\"]"), "full: new b");
    /* factors are another kind */
    fixture_serve(&fixture, SLOT("{\"source\": \"factors\"}"));
    assert_string_equal(ASK(U ", \"n\": 2"), "generic/no_model: c a");
}

static void similar_items_come_behind_the_neighbors(void **state)
{
    (void)state;
    add_embeddings();
    fixture_serve(&fixture, PLAIN);
    assert_string_equal(ASK("\"op\": \"similar\", \"items\": [\"new\"], \"n\": 3"), "full: a b c");
    assert_string_equal(ASK("\"op\": \"similar\", \"items\": [\"odd\"], \"n\": 1"),
                        "generic/no_candidates: e");
    add_neighbors();
    fixture_serve(&fixture, SLOT("{\"source\": \"neighbors\"}, {\"source\": \"embeddings\"}"));
    assert_string_equal(ASK("\"op\": \"similar\", \"items\": [\"a\"], \"n\": 4, \"explain\": true"),
                        "full: e new b c");
    assert_string_equal(fixture_item(&fixture, "new")->why[0].source, "embeddings");
    assert_int_equal(fixture.decision.retrieval_count, 1);
    assert_string_equal(fixture.decision.retrieval[0].by, "exact");
    /* no neighbor of a new item is known */
    assert_string_equal(ASK("\"op\": \"similar\", \"items\": [\"new\"], \"n\": 2"), "full: a b");
}

static void it_goes_with_other_sources_and_spreads_by_likeness(void **state)
{
    (void)state;
    add_embeddings();
    add_neighbors();
    fixture_act(&fixture, "purchase", "u", "a", FIXTURE_NOW_MS);
    fixture_serve(&fixture, SLOT("{\"source\": \"neighbors\", \"weight\": 0.95}, {\"source\": "
                                 "\"embeddings\"}"));
    /* e has 0.95 by its neighbor and 0.0995 more by the mean */
    assert_string_equal(ASK(U ", \"n\": 3"), "full: e new b");
    fixture_serve(&fixture, "{\"slots\": {\"home\": {\"sources\": [{\"source\": \"embeddings\"}],"
                            "\"diversity\": {\"mmr\": {\"lambda\": 0.3, \"by\": \"factors\"}}}}}");
    assert_string_equal(ASK(U ", \"n\": 3"), "full: new e c");
}

/* ---- against a plain look at every item ------------------------------------------------------ */

enum { RANDOM_ITEMS = 400, DIM = 7, ROUNDS = 120, SHOWN = 40 };

static float cosine(const float *a, const double *b)
{
    double product = 0.0, a_squares = 0.0, b_squares = 0.0;
    for (int k = 0; k < DIM; k++) {
        product += (double)a[k] * b[k];
        a_squares += (double)a[k] * (double)a[k];
        b_squares += b[k] * b[k];
    }
    return (float)(product / sqrt(a_squares * b_squares));
}

struct ware {
    uint32_t category, brand, price;
    int stock; /* -1: not known */
};

/* What one in twenty or fewer pass, so that columns are gone through, and what most do. */
enum filter_kind {
    ASKED_CATEGORY,
    ASKED_BRAND,
    ASKED_PRICE,
    ASKED_TWO,
    SLOT_CATEGORY,
    SLOT_BRAND,
    SLOT_PRICE,
    SLOT_STOCK,
    SLOT_MIN_STOCK,
    SLOT_WIDE,
    FILTER_KINDS
};

/* A stock that is not said stays what it was. */
static void make_ware(struct rand *rand, uint32_t number, struct ware *ware)
{
    char json[300], stock[30] = "";
    int before = ware->stock;
    *ware = (struct ware){(uint32_t)rand_below(rand, 20), (uint32_t)rand_below(rand, 25),
                          100 + (uint32_t)rand_below(rand, 200), (int)rand_below(rand, 40) - 1};
    if (ware->stock >= 0)
        snprintf(stock, sizeof stock, ", \"stock\": %d", ware->stock);
    snprintf(json, sizeof json,
             "{\"type\": \"item_upsert\", \"items\": [{\"id\": \"x%03u\", \"category\": "
             "\"c%u\", \"brand\": \"b%u\", \"price\": %u%s}]}",
             number, ware->category, ware->brand, ware->price, stock);
    if (ware->stock < 0)
        ware->stock = before;
    fixture_event(&fixture, json);
}

static bool passes(enum filter_kind kind, const struct ware *ware, const struct ware *like)
{
    bool in_stock = ware->stock != 0;
    switch (kind) {
    case ASKED_CATEGORY: return in_stock && ware->category == like->category;
    case ASKED_BRAND: return in_stock && ware->brand == like->brand;
    case ASKED_PRICE:
        return in_stock && ware->price >= like->price && ware->price <= like->price + 5;
    case ASKED_TWO: return in_stock && ware->category == like->category && ware->price >= 150;
    case SLOT_CATEGORY: return in_stock && ware->category == like->category && ware->stock > 3;
    case SLOT_BRAND:
        return in_stock && (ware->brand == like->brand || ware->brand == 3) && ware->price < 190;
    case SLOT_PRICE: return in_stock && ware->price > like->price && ware->price < like->price + 9;
    case SLOT_STOCK: return ware->stock > 36;
    case SLOT_MIN_STOCK: return ware->stock < 0 || ware->stock >= 38;
    default: return in_stock && ware->price >= 120;
    }
}

static void make_policies(enum filter_kind kind, const struct ware *like, char ret_json[400])
{
    char rule[200] = "";
    switch (kind) {
    case SLOT_CATEGORY:
        snprintf(rule, sizeof rule,
                 ", \"filters\": [\"item.stock > 3 && item.category in ['c%u', 'none']\"]",
                 like->category);
        break;
    case SLOT_BRAND:
        snprintf(rule, sizeof rule,
                 ", \"filters\": [\"item.brand in ['b%u', 'b3']\", \"item.price < 190\"]",
                 like->brand);
        break;
    case SLOT_PRICE:
        snprintf(rule, sizeof rule,
                 ", \"filters\": [\"item.price > %u\", \"item.price < %u && item.price != 7\"]",
                 like->price, like->price + 9);
        break;
    case SLOT_STOCK: snprintf(rule, sizeof rule, ", \"filters\": [\"item.stock > 36\"]"); break;
    case SLOT_MIN_STOCK: snprintf(rule, sizeof rule, ", \"min_stock\": 38"); break;
    case SLOT_WIDE: snprintf(rule, sizeof rule, ", \"filters\": [\"item.price >= 120\"]"); break;
    default: break;
    }
    snprintf(ret_json, 400,
             "{\"slots\": {\"home\": {\"catalogue_only\": true, \"sources\": [{\"source\": "
             "\"embeddings\"}]%s}}}",
             rule);
}

static void make_request(enum filter_kind kind, uint32_t seed, const struct ware *like,
                         char ret_json[400])
{
    char filters[200] = "";
    switch (kind) {
    case ASKED_CATEGORY:
        snprintf(filters, sizeof filters, ", \"filters\": {\"categories\": [\"c%u\"]}",
                 like->category);
        break;
    case ASKED_BRAND:
        snprintf(filters, sizeof filters, ", \"filters\": {\"brands\": [\"none\", \"b%u\"]}",
                 like->brand);
        break;
    case ASKED_PRICE:
        snprintf(filters, sizeof filters, ", \"filters\": {\"min_price\": %u, \"max_price\": %u}",
                 like->price, like->price + 5);
        break;
    case ASKED_TWO:
        snprintf(filters, sizeof filters,
                 ", \"filters\": {\"categories\": [\"c%u\"], \"min_price\": 150}", like->category);
        break;
    default: break;
    }
    snprintf(ret_json, 400, "{\"op\": \"similar\", \"items\": [\"x%03u\"], \"n\": %d%s}", seed,
             SHOWN, filters);
}

/* Those that pass, best first, or as many of them as are shown. */
static void expect_nearest(const struct decision *decision, const float *rows, uint32_t seed,
                           const bool *passing)
{
    double mean[DIM];
    uint32_t count = 0, better = 0, found = 0;
    float last = 2.0f;
    for (int k = 0; k < DIM; k++)
        mean[k] = (double)rows[seed * DIM + (uint32_t)k];
    for (uint32_t i = 0; i < RANDOM_ITEMS; i++)
        count += passing[i];
    while (found < decision->count && decision->items[found].id.ptr[0] == 'x')
        found++; /* what is popular in the shop may fill the answer up */
    assert_int_equal(found, count < SHOWN ? count : SHOWN);
    for (uint32_t i = 0; i < found; i++) {
        uint32_t item = (uint32_t)strtoul(decision->items[i].id.ptr + 1, NULL, 10);
        assert_true(passing[item]);
        assert_float_equal(decision->items[i].score, cosine(rows + item * DIM, mean), 1e-5);
        assert_true(decision->items[i].score <= last);
        last = decision->items[i].score;
    }
    for (uint32_t i = 0; i < RANDOM_ITEMS; i++)
        better += passing[i] && cosine(rows + i * DIM, mean) > last + 1e-5f;
    assert_true(better < SHOWN);
}

static void the_nearest_that_pass_a_filter_are_found(void **state)
{
    (void)state;
    struct rand rand;
    static float rows[RANDOM_ITEMS * DIM];
    static char ids[RANDOM_ITEMS * 6];
    static struct ware ware[RANDOM_ITEMS];
    char json[400];
    size_t used = 0;
    rand_init(&rand, 7);
    for (int i = 0; i < RANDOM_ITEMS * DIM; i++)
        rows[i] = (float)(rand_unit(&rand) - 0.5);
    for (uint32_t i = 0; i < RANDOM_ITEMS; i++) {
        used += (size_t)snprintf(ids + used, sizeof ids - used, i == 0 ? "x%03u" : " x%03u", i);
        ware[i].stock = -1;
        make_ware(&rand, i, &ware[i]);
    }
    fixture_add_model(&fixture, small_embeddings("random", "1", ids, rows, DIM));
    for (int round = 0; round < ROUNDS; round++) {
        enum filter_kind kind = (enum filter_kind)(round % FILTER_KINDS);
        uint32_t seed = (uint32_t)rand_below(&rand, RANDOM_ITEMS);
        const struct ware like = ware[rand_below(&rand, RANDOM_ITEMS)];
        bool passing[RANDOM_ITEMS];
        for (uint32_t i = 0; i < RANDOM_ITEMS; i++)
            passing[i] = i != seed && passes(kind, &ware[i], &like);
        make_policies(kind, &like, json);
        fixture_serve(&fixture, json);
        make_request(kind, seed, &like, json);
        expect_nearest(fixture_decide(&fixture, json), rows, seed, passing);
        make_ware(&rand, seed, &ware[seed]); /* and it is another one from now on */
    }
}

int main(void)
{
    model_use_one_blas_thread();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(what_is_alike_is_recommended_however_new, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(the_newest_alone_speak, set_up, tear_down),
        cmocka_unit_test_setup_teardown(who_says_nothing_gets_what_others_like, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_model_that_is_missing_lowers_the_level, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(similar_items_come_behind_the_neighbors, set_up, tear_down),
        cmocka_unit_test_setup_teardown(it_goes_with_other_sources_and_spreads_by_likeness, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(the_nearest_that_pass_a_filter_are_found, set_up,
                                        tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
