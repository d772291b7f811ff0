/* SPDX-License-Identifier: Apache-2.0 */
/* What the slots of a page share: every slot gives, to the bit, what it gives as a request of its
 * own that excludes what is shown, over random shops, policies and pages. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka.h needs the four above */
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/rand.h"
#include "featurestore/definitions.h"
#include "server/decide/page.h"
#include "server/decide/page_memo.h"
#include "server/decide/tally.h"
#include "tests/support/decide_fixture.h"
#include "tests/support/small_models.h"

enum { ITEMS = 120, DIM = 8, SHOPS = 6, PAGES = 40, SLOTS = 6, TEXT_BYTES = 16384 };
enum { MANY_ROWS = 8300 }; /* two models of so many are searched, one is added up */

static struct fixture fixture;
static struct tally *tally;
static struct rand rnd;
static char text[TEXT_BYTES];
static size_t text_used;

static void say(const char *format, ...) __attribute__((format(printf, 1, 2)));
static void say(const char *format, ...)
{
    va_list list;
    va_start(list, format);
    int len = vsnprintf(text + text_used, sizeof text - text_used, format, list);
    va_end(list);
    assert_true(len >= 0 && text_used + (size_t)len < sizeof text);
    text_used += (size_t)len;
}

static bool one_in(uint32_t n)
{
    return rand_below(&rnd, n) == 0;
}

/* ---- a shop ---------------------------------------------------------------------------------- */

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
        text_used = 0;
        say("{\"type\": \"item_upsert\", \"currency\": \"EUR\", \"items\": [{\"id\": \"i%u\", "
            "\"category\": \"c%u\", \"brand\": \"b%u\", \"price\": %u, \"stock\": %u}]}",
            i, i % 7, i % 5, 100 + (uint32_t)rand_below(&rnd, 5000),
            (uint32_t)rand_below(&rnd, 20));
        fixture_event(&fixture, text);
    }
    for (uint32_t i = 0; i < 300; i++) {
        text_used = 0;
        say("{\"type\": \"%s\", \"user\": \"u%u\", \"list\": \"s%u\", \"items\": [{\"id\": "
            "\"i%u\"}]}",
            one_in(6) ? "purchase" : "view", (uint32_t)rand_below(&rnd, 12),
            (uint32_t)rand_below(&rnd, SLOTS), (uint32_t)rand_below(&rnd, ITEMS));
        fixture_event(&fixture, text);
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
        item[i] = (float)rand_normal(&rnd) * (i < ITEMS * DIM ? 3.0f : 1.0f);
    for (uint32_t i = 0; i < 4 * DIM; i++)
        user[i] = (float)rand_normal(&rnd);
    const struct small_factors factors = {.users = "u0 u1 u2 u3",
                                          .user_factors = user,
                                          .items = ids,
                                          .item_factors = item,
                                          .dim = DIM,
                                          .regularization = 0.05,
                                          .trained_at = one_in(2) ? "2023-11-14T00:00:00Z"
                                                                  : "2023-11-15T00:00:00Z"};
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
        weight[i] = i / ITEMS != i % ITEMS && one_in(3) ? (float)rand_unit(&rnd) : 0.0f;
    fixture_add_model(&fixture, small_neighbors("near", "1", ids, weight));
    fixture_add_model(&fixture, make_factors("taste", "1", rows));
    fixture_add_model(&fixture, make_factors("style", "1", rows));
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
    fixture_add_model(&fixture,
                      small_linear("plain", "1",
                                   "item.price item.seen user_item.since_s user_category.seen "
                                   "slot.seen item.views_1d",
                                   plain, 0.1));
    fixture_add_model(&fixture,
                      small_linear("blends", "1",
                                   "blend.score source.neighbors source.factors item.price "
                                   "pair.days item.seen user_category.seen",
                                   blends, 0));
    fixture_add_model(
        &fixture, small_linear("by_slot", "1", "slot_item.seen item.price item.seen", by_slot, 0));
    fixture_add_model(&fixture,
                      small_mlp("net", "1", "item.price item.seen user_category.seen", 2, net));
    fixture_add_model(&fixture, small_trees("trees", "1", trees));
}

static void add_source(const char *source, const char *model)
{
    say("%s{\"source\": \"%s\"%s, \"weight\": %.2f, \"count\": %u}",
        text[text_used - 1] == '[' ? "" : ",", source, model, 0.1 + rand_unit(&rnd),
        20 + (uint32_t)rand_below(&rnd, 60));
}

static void serve_policies(void)
{
    static const char *const rankers[] = {"plain", "by_slot", "net", "trees", "blends"};
    text_used = 0;
    say("{\"slots\": {");
    for (uint32_t s = 0; s < SLOTS; s++) {
        say("%s\"s%u\": {\"sources\": [", s > 0 ? "," : "", s);
        bool near = one_in(2), taste = one_in(2);
        if (near)
            add_source("neighbors", ", \"model\": \"near\"");
        if (taste)
            add_source("factors", ", \"model\": \"taste\"");
        if (taste && !one_in(4))
            add_source("factors", ", \"model\": \"style\"");
        add_source("popular", "");
        say("]");
        if (!one_in(5))
            say(", \"ranker\": \"%s\"", rankers[rand_below(&rnd, near && taste ? 5 : 4)]);
        if (one_in(4))
            say(", \"repeats\": true");
        if (one_in(4))
            say(", \"bought\": \"allow\"");
        if (one_in(3))
            say(", \"min_stock\": %u", 1 + (uint32_t)rand_below(&rnd, 3));
        if (one_in(4))
            say(", \"catalogue_only\": true");
        if (one_in(4))
            say(", \"filters\": [\"item.price > 1000\"]");
        if (one_in(3))
            say(", \"diversity\": {\"per_category\": 2, \"mmr\": {\"lambda\": 0.7, \"depth\": "
                "40}}");
        if (one_in(4))
            say(", \"fallback\": {\"slot\": \"s%u\", \"fewer_than\": 5}", (s + 1) % SLOTS);
        say("}");
    }
    say("}}");
    fixture_serve(&fixture, text);
}

/* Some people are served by other versions of a source and of a ranker. */
static void add_trials(uint32_t rows)
{
    assert_int_equal(tally_create(1, &tally, NULL), ERR_OK);
    static const double weights[] = {-1, -0.5, 0.3, 0.001, 0.7, 0.2, 0.1};
    fixture_add_trial(&fixture, make_factors("taste", "2", rows), 4000, tally);
    fixture_add_trial(&fixture,
                      small_linear("blends", "2",
                                   "blend.score source.neighbors source.factors item.price "
                                   "pair.days item.seen user_category.seen",
                                   weights, 0),
                      5000, tally);
}

static void open_shop(uint64_t seed)
{
    uint32_t rows = seed % 2 == 0 ? ITEMS : MANY_ROWS;
    struct err err;
    struct definitions *definitions = NULL;
    rand_init(&rnd, seed);
    fixture_init(&fixture);
    if (definitions_parse("features.json", features, sizeof features - 1, &definitions, &err) !=
            ERR_OK ||
        store_define_features(fixture.store, &definitions, &err) != ERR_OK)
        fail_msg("%s", err.text);
    add_events();
    add_sources(rows);
    add_rankers();
    if (seed % 3 != 0)
        add_trials(rows);
    serve_policies();
    fixture.keep_features = true;
}

/* ---- pages ----------------------------------------------------------------------------------- */

static void ask_page(void)
{
    uint32_t count = 2 + (uint32_t)rand_below(&rnd, 5);
    text_used = 0;
    say("{\"op\": \"decide\", \"user\": \"u%u\", \"explain\": %s, \"slots\": [",
        (uint32_t)rand_below(&rnd, 14), one_in(3) ? "true" : "false");
    for (uint32_t i = 0; i < count; i++) {
        say("%s{\"slot\": \"s%u\", \"n\": %u", i > 0 ? "," : "", (uint32_t)rand_below(&rnd, SLOTS),
            1 + (uint32_t)rand_below(&rnd, 12));
        if (one_in(4))
            say(", \"seeds\": [\"i%u\"]", (uint32_t)rand_below(&rnd, ITEMS));
        if (one_in(4))
            say(", \"exclude\": [\"i%u\"]", (uint32_t)rand_below(&rnd, ITEMS));
        if (one_in(4))
            say(", \"filters\": {\"categories\": [\"c%u\", \"c1\"]}",
                (uint32_t)rand_below(&rnd, 7));
        say("}");
    }
    say("]%s}", one_in(3) ? ", \"exclude\": [\"i3\", \"i4\"]" : "");
    char request[TEXT_BYTES];
    memcpy(request, text, text_used + 1);
    (void)fixture_decide(&fixture, request); /* reads the request */
}

struct seen {
    uint32_t slots, ranked, full;
    uint64_t advance_ns; /* of the clock, after each slot */
};

static void same_item(const struct decision *decision, const struct decision_item *one,
                      const struct decision_item *other)
{
    assert_int_equal(one->item, other->item);
    assert_true(text_equal(one->id, other->id));
    assert_memory_equal(&one->score, &other->score, sizeof one->score);
    assert_memory_equal(&one->ranked, &other->ranked, sizeof one->ranked);
    assert_int_equal(one->features == NULL, other->features == NULL);
    if (one->features != NULL)
        assert_memory_equal(one->features, other->features,
                            decision->ranker->feature_count * sizeof one->features[0]);
    assert_int_equal(one->why_count, other->why_count);
    for (uint32_t w = 0; w < one->why_count; w++) {
        assert_string_equal(one->why[w].source, other->why[w].source);
        assert_memory_equal(&one->why[w].value, &other->why[w].value, sizeof(float));
    }
    assert_int_equal(one->contributions == NULL, other->contributions == NULL);
}

/* The slot was decided; now as a request of its own, in the same state of everything. */
static void compare(void *ctx, const struct page_slot *slot)
{
    struct seen *seen = ctx;
    const struct decision *of_page = slot->decision;
    struct decision alone;
    decide(&fixture.env, fixture.worker, slot->request, &alone);
    assert_int_equal(of_page->level, alone.level);
    assert_int_equal(of_page->reason, alone.reason);
    assert_int_equal(of_page->left_out, alone.left_out);
    assert_int_equal(of_page->count, alone.count);
    assert_ptr_equal(of_page->ranker, alone.ranker);
    assert_ptr_equal(of_page->fallback, alone.fallback);
    assert_int_equal(of_page->model_count, alone.model_count);
    for (uint32_t i = 0; i < alone.model_count; i++)
        assert_string_equal(of_page->models[i], alone.models[i]);
    for (uint32_t i = 0; i < alone.count; i++)
        same_item(of_page, &of_page->items[i], &alone.items[i]);
    seen->slots++;
    seen->ranked += alone.ranker != NULL;
    seen->full += alone.level == LEVEL_full;
    clock_manual_advance_ns(&fixture.clock, seen->advance_ns);
}

static struct seen compare_pages(size_t page_bytes, uint64_t advance_ns)
{
    struct seen seen = {.advance_ns = advance_ns};
    for (uint64_t shop = 0; shop < SHOPS; shop++) {
        open_shop(100 + shop);
        size_t capacity_bytes = fixture.worker->page.capacity_bytes;
        if (page_bytes < capacity_bytes)
            fixture.worker->page.capacity_bytes = page_bytes;
        for (uint32_t page = 0; page < PAGES; page++) {
            ask_page();
            if (advance_ns > 0)
                fixture.env.deadline_ns = clock_now_ns(&fixture.clock.clock) + 5 * advance_ns / 2;
            decide_page(&fixture.env, fixture.worker, &fixture.request, compare, &seen);
            assert_true(fixture.worker->page.used_bytes <= page_bytes);
        }
        fixture_deinit(&fixture);
        tally_destroy(&tally);
    }
    return seen;
}

static void slots_of_a_page_give_what_they_give_alone(void **state)
{
    (void)state;
    struct seen seen = compare_pages(WORKER_PAGE_BYTES, 0);
    assert_true(seen.ranked > SHOPS * PAGES && seen.full > SHOPS * PAGES);
}

static void they_do_without_room_for_what_they_share(void **state)
{
    (void)state;
    static const size_t bytes[] = {0, 100, 3000, 9000, 40000};
    for (size_t i = 0; i < sizeof bytes / sizeof bytes[0]; i++)
        (void)compare_pages(bytes[i], 0);
}

static void they_do_when_the_deadline_comes_in_the_middle_of_a_page(void **state)
{
    (void)state;
    struct seen seen = compare_pages(WORKER_PAGE_BYTES, 1000000);
    assert_true(seen.full > 0 && seen.full < seen.slots);
}

/* ---- the memo by itself ---------------------------------------------------------------------- */

static void a_row_is_scored_once(void **state)
{
    (void)state;
    static const double weights[] = {1, 10};
    struct model *ranker = small_linear("rank", "1", "item.price item.stock", weights, 0);
    struct page_memo memo;
    double scratch[64], score[2];
    static const uint32_t item[] = {7, 9};
    double row[] = {1, 2, 3, 4};
    uint32_t place[] = {PAGE_MEMO_NONE, PAGE_MEMO_NONE};
    const struct page_group group = {item, place, row, 2};
    open_shop(1);
    page_memo_begin(&memo, &fixture.worker->page, 20);
    struct page_rows *rows = page_memo_rows(&memo, ranker, false);
    assert_int_equal(page_rows_find(rows, 7), PAGE_MEMO_NONE);
    page_rows_score(rows, &group, scratch, score);
    assert_true(score[0] == 21 && score[1] == 43);
    for (uint32_t i = 0; i < 2; i++) {
        place[i] = page_rows_find(rows, item[i]);
        assert_memory_equal(page_rows_at(rows, place[i]), row + 2 * (size_t)i, 2 * sizeof row[0]);
        rows->score[place[i]] = 1000; /* to be seen where it is taken over */
    }
    row[3] = 5; /* of the second item */
    page_rows_score(rows, &group, scratch, score);
    assert_true(score[0] == 1000 && score[1] == 53);
    assert_ptr_equal(page_memo_rows(&memo, ranker, false), rows);
    assert_ptr_not_equal(page_memo_rows(&memo, ranker, true), rows);
    fixture_deinit(&fixture);
    tally_destroy(&tally);
    model_destroy(&ranker);
}

/* Whether a further slot of the page gives what the request gives alone. */
static bool is_as_alone(struct page_memo *memo, const char *request)
{
    const struct decision *alone = fixture_decide(&fixture, request);
    struct decide_env env = fixture.env;
    struct decision of_page;
    assert_int_equal(alone->level, LEVEL_full);
    env.memo = memo;
    decide(&env, fixture.worker, &fixture.request, &of_page);
    return of_page.level == LEVEL_full && of_page.count == alone->count &&
           of_page.items[0].item == alone->items[0].item;
}

static void what_was_found_is_taken_over(void **state)
{
    (void)state;
    static const char plain[] = "{\"op\": \"recommend\", \"user\": \"u1\", \"n\": 5}";
    static const char less[] =
        "{\"op\": \"recommend\", \"user\": \"u1\", \"n\": 5, \"exclude\": [\"i1\"]}";
    static const char narrow[] = "{\"op\": \"recommend\", \"user\": \"u1\", \"n\": 5, "
                                 "\"filters\": {\"categories\": [\"c1\"]}}";
    struct page_memo memo;
    open_shop(101);
    fixture_serve(&fixture, "{\"slots\": {\"home\": {\"bought\": \"allow\", \"sources\": ["
                            "{\"source\": \"factors\", \"model\": \"taste\"},"
                            "{\"source\": \"factors\", \"model\": \"style\"}]}}}");
    page_memo_begin(&memo, &fixture.worker->page, 10);
    assert_true(is_as_alone(&memo, less));
    assert_int_equal(memo.found_count, 2);
    for (uint32_t i = 0; i < 2; i++) { /* to be seen where it is taken over */
        assert_false(memo.found[i].is_all);
        memo.found[i].is_all = true;
        memo.found[i].found.top.count = 0;
    }
    assert_false(is_as_alone(&memo, less));
    assert_true(is_as_alone(&memo, plain)); /* i1 was refused */
    assert_true(is_as_alone(&memo, narrow));
    for (uint32_t i = 0; i < 2; i++)
        memo.found[i].is_all = false;
    assert_true(is_as_alone(&memo, less)); /* there are too few */
    assert_int_equal(memo.found_count, 2);
    fixture_deinit(&fixture);
    tally_destroy(&tally);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(slots_of_a_page_give_what_they_give_alone),
        cmocka_unit_test(they_do_without_room_for_what_they_share),
        cmocka_unit_test(they_do_when_the_deadline_comes_in_the_middle_of_a_page),
        cmocka_unit_test(a_row_is_scored_once),
        cmocka_unit_test(what_was_found_is_taken_over),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
