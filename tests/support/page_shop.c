/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/page_shop.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>

#include "featurestore/definitions.h"
#include "tests/support/small_models.h"

enum { MANY_ROWS = 8300 }; /* two models of so many are searched, one is added up */

struct fixture page_shop;
struct tally *page_shop_tally;
struct rand page_shop_rand;
char page_shop_text[TEXT_BYTES];
size_t page_shop_text_used;

void page_shop_say(const char *format, ...)
{
    va_list list;
    va_start(list, format);
    int len = vsnprintf(page_shop_text + page_shop_text_used,
                        sizeof page_shop_text - page_shop_text_used, format, list);
    va_end(list);
    assert_true(len >= 0 && page_shop_text_used + (size_t)len < sizeof page_shop_text);
    page_shop_text_used += (size_t)len;
}

bool page_shop_one_in(uint32_t n)
{
    return rand_below(&page_shop_rand, n) == 0;
}

static const char features[] =
    "{\"version\": \"1\", \"features\": {"
    "\"item.seen\": {\"kind\": \"count\", \"events\": [\"view\"], \"window\": \"7d\"},"
    "\"user_item.since_s\": {\"kind\": \"since\", \"events\": [\"view\"]},"
    "\"user_category.seen\": {\"kind\": \"count\", \"events\": [\"view\"], \"window\": \"7d\"},"
    "\"slot.seen\": {\"kind\": \"count\", \"events\": [\"view\"], \"window\": \"7d\"},"
    "\"slot_item.seen\": {\"kind\": \"count\", \"events\": [\"view\"], \"window\": \"7d\"}}}";

static void add_events(void)
{
    for (uint32_t i = 0; i < ITEMS; i++) {
        page_shop_text_used = 0;
        page_shop_say(
            "{\"type\": \"item_upsert\", \"currency\": \"EUR\", \"items\": [{\"id\": \"i%u\", "
            "\"category\": \"c%u\", \"brand\": \"b%u\", \"price\": %u, \"stock\": %u}]}",
            i, i % 7, i % 5, 100 + (uint32_t)rand_below(&page_shop_rand, 5000),
            (uint32_t)rand_below(&page_shop_rand, 20));
        fixture_event(&page_shop, page_shop_text);
    }
    for (uint32_t i = 0; i < 300; i++) {
        page_shop_text_used = 0;
        page_shop_say(
            "{\"type\": \"%s\", \"user\": \"u%u\", \"list\": \"s%u\", \"items\": [{\"id\": "
            "\"i%u\"}]}",
            page_shop_one_in(6) ? "purchase" : "view", (uint32_t)rand_below(&page_shop_rand, 12),
            (uint32_t)rand_below(&page_shop_rand, SLOTS),
            (uint32_t)rand_below(&page_shop_rand, ITEMS));
        fixture_event(&page_shop, page_shop_text);
    }
}

static struct model *make_factors(const char *name, const char *version, uint32_t rows)
{
    static float item[MANY_ROWS * DIM], user[4 * DIM];
    static char ids[MANY_ROWS * 6];
    size_t used = 0;
    for (uint32_t i = 0; i < rows; i++)
        used += (size_t)snprintf(ids + used, sizeof ids - used, "%si%u", i > 0 ? " " : "", i);
    for (uint32_t i = 0; i < rows * DIM; i++)
        item[i] = (float)rand_normal(&page_shop_rand) * (i < ITEMS * DIM ? 3.0f : 1.0f);
    for (uint32_t i = 0; i < 4 * DIM; i++)
        user[i] = (float)rand_normal(&page_shop_rand);
    const struct small_factors factors = {
        .users = "u0 u1 u2 u3",
        .user_factors = user,
        .items = ids,
        .item_factors = item,
        .dim = DIM,
        .regularization = 0.05,
        .trained_at = page_shop_one_in(2) ? "2023-11-14T00:00:00Z" : "2023-11-15T00:00:00Z"};
    return small_factors(name, version, &factors);
}

static void add_sources(uint32_t rows)
{
    static float weight[ITEMS * ITEMS];
    char ids[ITEMS * 5] = "";
    size_t used = 0;
    for (uint32_t i = 0; i < ITEMS; i++)
        used += (size_t)snprintf(ids + used, sizeof ids - used, "%si%u", i > 0 ? " " : "", i);
    for (uint32_t i = 0; i < ITEMS * ITEMS; i++)
        weight[i] = i / ITEMS != i % ITEMS && page_shop_one_in(3)
                        ? (float)rand_unit(&page_shop_rand)
                        : 0.0f;
    fixture_add_model(&page_shop, small_neighbors("near", "1", ids, weight));
    fixture_add_model(&page_shop, make_factors("taste", "1", rows));
    fixture_add_model(&page_shop, make_factors("style", "1", rows));
}

/* One that reads nothing of the slot, one that reads blends, one with features by slot, a net. */
static void add_rankers(void)
{
    static const double plain[] = {0.001, 0.1, -0.00001, 0.3, 0.2, 0.05};
    static const double blends[] = {1, 0.5, -0.3, 0.002, 0.7, 0.2, 0.1};
    static const double by_slot[] = {0.4, 0.001, 1};
    static const float net[] = {0.001f, 1, 0.5f, 0.002f, -1, 0.1f, 0.1f, 0.2f, 1, -1, 0};
    static const char trees[] =
        "tree\nversion=v4\nnum_class=1\nmax_feature_idx=2\nobjective=regression\n"
        "feature_names=item.price item.seen item.stock\n\n"
        "Tree=0\nnum_leaves=2\nsplit_feature=0\nthreshold=2500\ndecision_type=8\n"
        "left_child=-1\nright_child=-2\nleaf_value=1 2\n\n"
        "Tree=1\nnum_leaves=2\nsplit_feature=1\nthreshold=2.5\ndecision_type=10\n"
        "left_child=-1\nright_child=-2\nleaf_value=0.125 0.5\n\nend of trees\n";
    fixture_add_model(&page_shop,
                      small_linear("plain", "1",
                                   "item.price item.seen user_item.since_s user_category.seen "
                                   "slot.seen item.views_1d",
                                   plain, 0.1));
    fixture_add_model(&page_shop,
                      small_linear("blends", "1",
                                   "blend.score source.neighbors source.factors item.price "
                                   "pair.days item.seen user_category.seen",
                                   blends, 0));
    fixture_add_model(&page_shop, small_linear("by_slot", "1",
                                               "slot_item.seen item.price item.seen", by_slot, 0));
    fixture_add_model(&page_shop,
                      small_mlp("net", "1", "item.price item.seen user_category.seen", 2, net));
    fixture_add_model(&page_shop, small_trees("trees", "1", trees));
}

static void add_source(const char *source, const char *model)
{
    page_shop_say("%s{\"source\": \"%s\"%s, \"weight\": %.2f, \"count\": %u}",
                  page_shop_text[page_shop_text_used - 1] == '[' ? "" : ",", source, model,
                  0.1 + rand_unit(&page_shop_rand), 20 + (uint32_t)rand_below(&page_shop_rand, 60));
}

static void serve_policies(void)
{
    static const char *const rankers[] = {"plain", "by_slot", "net", "trees", "blends"};
    page_shop_text_used = 0;
    page_shop_say("{\"slots\": {");
    for (uint32_t s = 0; s < SLOTS; s++) {
        page_shop_say("%s\"s%u\": {\"sources\": [", s > 0 ? "," : "", s);
        bool near = page_shop_one_in(2), taste = page_shop_one_in(2);
        if (near)
            add_source("neighbors", ", \"model\": \"near\"");
        if (taste)
            add_source("factors", ", \"model\": \"taste\"");
        if (taste && !page_shop_one_in(4))
            add_source("factors", ", \"model\": \"style\"");
        add_source("popular", "");
        page_shop_say("]");
        if (!page_shop_one_in(5))
            page_shop_say(", \"ranker\": \"%s\"",
                          rankers[rand_below(&page_shop_rand, near && taste ? 5 : 4)]);
        if (page_shop_one_in(4))
            page_shop_say(", \"repeats\": true");
        if (page_shop_one_in(4))
            page_shop_say(", \"bought\": \"allow\"");
        if (page_shop_one_in(3))
            page_shop_say(", \"min_stock\": %u", 1 + (uint32_t)rand_below(&page_shop_rand, 3));
        if (page_shop_one_in(4))
            page_shop_say(", \"catalogue_only\": true");
        if (page_shop_one_in(4))
            page_shop_say(", \"filters\": [\"item.price > 1000\"]");
        if (page_shop_one_in(3))
            page_shop_say(
                ", \"diversity\": {\"per_category\": 2, \"mmr\": {\"lambda\": 0.7, \"depth\": "
                "40}}");
        if (page_shop_one_in(4))
            page_shop_say(", \"fallback\": {\"slot\": \"s%u\", \"fewer_than\": 5}",
                          (s + 1) % SLOTS);
        page_shop_say("}");
    }
    page_shop_say("}}");
    fixture_serve(&page_shop, page_shop_text);
}

/* Some people are served by other versions of a source and of a ranker. */
static void add_trials(uint32_t rows)
{
    assert_int_equal(tally_create(1, &page_shop_tally, NULL), ERR_OK);
    static const double weights[] = {-1, -0.5, 0.3, 0.001, 0.7, 0.2, 0.1};
    fixture_add_trial(&page_shop, make_factors("taste", "2", rows), 4000, page_shop_tally);
    fixture_add_trial(&page_shop,
                      small_linear("blends", "2",
                                   "blend.score source.neighbors source.factors item.price "
                                   "pair.days item.seen user_category.seen",
                                   weights, 0),
                      5000, page_shop_tally);
}

void page_shop_open(uint64_t seed)
{
    uint32_t rows = seed % 2 == 0 ? ITEMS : MANY_ROWS;
    struct err err;
    struct definitions *definitions = NULL;
    rand_init(&page_shop_rand, seed);
    fixture_init(&page_shop);
    if (definitions_parse("features.json", features, sizeof features - 1, &definitions, &err) !=
            ERR_OK ||
        store_define_features(page_shop.store, &definitions, &err) != ERR_OK)
        fail_msg("%s", err.text);
    add_events();
    add_sources(rows);
    add_rankers();
    if (seed % 3 != 0)
        add_trials(rows);
    serve_policies();
    page_shop.keep_features = true;
}
