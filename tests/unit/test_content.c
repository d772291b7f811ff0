/* SPDX-License-Identifier: Apache-2.0 */
/* Items that are alike by what the catalogue says of them. */
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
#include "tests/support/alloc_fail.h"
#include "tests/support/decide_fixture.h"
#include "tests/support/small_models.h"

static struct fixture fixture;

static int set_up(void **state)
{
    (void)state;
    fixture_init(&fixture);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    fixture_deinit(&fixture);
    return 0;
}

static void upsert(const char *id, const char *more)
{
    char json[600];
    snprintf(json, sizeof json, "{\"type\": \"item_upsert\", \"items\": [{\"id\": \"%s\"%s}]}", id,
             more);
    fixture_event(&fixture, json);
}

static const char by_content[] =
    "{\"slots\": {\"home\": {\"sources\": [{\"source\": \"content\"}]},"
    "\"both\": {\"sources\": [{\"source\": \"content\"}, {\"source\": \"neighbors\"}]}}}";

static void load_lamps(void)
{
    upsert("lamp1", ", \"title\": \"Red desk-lamp\", \"category\": \"lamps\", \"brand\": \"Lux\","
                    "\"attributes\": {\"tags\": [\"office\", \"led\"], \"dim\": true, \"w\": 5}");
    upsert("lamp2", ", \"title\": \"Blue DESK lamp\", \"category\": \"lamps\", \"brand\": \"Lux\","
                    "\"attributes\": {\"tags\": [\"led\"], \"dim\": true}");
    upsert("lamp3", ", \"title\": \"Garden light\", \"category\": \"lamps\", \"brand\": \"Sol\"");
    upsert("desk", ", \"title\": \"Oak desk\", \"category\": \"tables\", \"brand\": \"Holz\"");
    upsert("cup", ", \"title\": \"Cup\", \"category\": \"kitchen\", \"brand\": \"Ton\"");
    upsert("bare", "");
}

static void what_is_alike_is_recommended(void **state)
{
    (void)state;
    load_lamps();
    fixture_serve(&fixture, by_content);
    assert_string_equal(
        fixture_ask(&fixture,
                    "{\"op\": \"similar\", \"items\": [\"lamp1\"], \"n\": 3, \"explain\": true}"),
        "full: lamp2 lamp3 desk");
    assert_string_equal(fixture_item(&fixture, "lamp2")->why[0].source, "content");
    fixture_act(&fixture, "view", "u", "lamp3", FIXTURE_NOW_MS - 1000);
    fixture_act(&fixture, "view", "u", "desk", FIXTURE_NOW_MS);
    const char *line = fixture_ask(
        &fixture, "{\"op\": \"recommend\", \"user\": \"u\", \"n\": 2, \"explain\": true, "
                  "\"exclude\": [\"desk\", \"lamp3\"]}");
    assert_string_equal(line, "full: lamp2 lamp1");
    assert_string_equal(fixture_item(&fixture, "lamp2")->why[0].source, "content");
    assert_true(fixture_item(&fixture, "lamp2")->why[0].value > 0.0f);
    /* nothing is like an item of which nothing is said, or that nobody shares a word with */
    assert_string_equal(
        fixture_ask(&fixture, "{\"op\": \"similar\", \"items\": [\"bare\"], \"n\": 1}"),
        "generic/no_candidates: lamp3");
    assert_string_equal(
        fixture_ask(&fixture, "{\"op\": \"similar\", \"items\": [\"cup\"], \"n\": 1}"),
        "generic/no_candidates: lamp3");
}

static void new_items_have_what_is_alike_at_once(void **state)
{
    (void)state;
    static const float weight[9] = {0, 0, 1};
    struct err err;
    load_lamps();
    fixture_add_model(&fixture, small_neighbors("near", "1", "lamp1 desk cup", weight));
    fixture_serve(&fixture, by_content);
    const struct list *before = snapshot_lists(fixture.snapshot)->list[0];
    assert_int_equal(snapshot_refresh_lists(fixture.snapshot, fixture.store, &err), ERR_OK);
    assert_ptr_equal(snapshot_lists(fixture.snapshot)->list[0], before); /* nothing changed */
    upsert("desk", ", \"price\": 5, \"stock\": 7");
    assert_int_equal(snapshot_refresh_lists(fixture.snapshot, fixture.store, &err), ERR_OK);
    assert_ptr_equal(snapshot_lists(fixture.snapshot)->list[0], before); /* nor by this */
    upsert("lamp4", ", \"title\": \"Desk lamp\"");
    assert_string_equal(
        fixture_ask(&fixture, "{\"op\": \"similar\", \"items\": [\"lamp4\"], \"n\": 1}"),
        "static/no_candidates: s1");
    assert_int_equal(snapshot_refresh_lists(fixture.snapshot, fixture.store, &err), ERR_OK);
    assert_string_equal(
        fixture_ask(&fixture, "{\"op\": \"similar\", \"items\": [\"lamp4\"], \"n\": 2}"),
        "full: lamp2 lamp1");
    /* where the slot has both, what was learned comes first */
    assert_string_equal(
        fixture_ask(&fixture,
                    "{\"op\": \"similar\", \"slot\": \"both\", \"items\": [\"lamp1\"], \"n\": 2}"),
        "full: cup lamp2");
    assert_string_equal(
        fixture_ask(&fixture,
                    "{\"op\": \"similar\", \"slot\": \"both\", \"items\": [\"lamp4\"], \"n\": 2}"),
        "full: lamp2 lamp1");
    /* a deleted item is like nothing any more */
    fixture_event(&fixture, "{\"type\": \"item_delete\", \"items\": [{\"id\": \"lamp2\"}]}");
    assert_string_equal(
        fixture_ask(&fixture, "{\"op\": \"similar\", \"items\": [\"lamp4\"], \"n\": 1}"),
        "full: lamp1");
    assert_int_equal(snapshot_refresh_lists(fixture.snapshot, fixture.store, &err), ERR_OK);
    uint32_t lamp2 = store_item_find(fixture.store, TEXT_LITERAL("lamp2"));
    assert_int_equal(list_items(snapshot_lists(fixture.snapshot)->list[0], lamp2).count, 0);
}

/* ---- against all pairs ----------------------------------------------------------------------- */

enum { ITEMS = 300, WORDS = 60, LENGTH = 6 };

static uint32_t word[ITEMS][LENGTH];

static bool has(uint32_t item, uint32_t wanted)
{
    for (uint32_t k = 0; k < LENGTH; k++) {
        if (word[item][k] == wanted)
            return true;
    }
    return false;
}

static double product(const double idf[WORDS], uint32_t a, uint32_t b)
{
    double sum = 0;
    for (uint32_t w = 0; w < WORDS; w++)
        sum += has(a, w) && has(b, w) ? idf[w] * idf[w] : 0;
    return sum;
}

static int larger_first(const void *a, const void *b)
{
    const double *left = a, *right = b;
    return (*left < *right) - (*left > *right);
}

static void the_lists_hold_the_largest_cosines(void **state)
{
    (void)state;
    struct rand rand;
    double idf[WORDS];
    rand_init(&rand, 5);
    for (uint32_t i = 0; i < ITEMS; i++) {
        char id[16], more[200];
        size_t used = (size_t)snprintf(more, sizeof more, ", \"title\": \"");
        for (uint32_t k = 0; k < LENGTH; k++) {
            word[i][k] = (uint32_t)rand_below(&rand, 1 + rand_below(&rand, WORDS));
            used += (size_t)snprintf(more + used, sizeof more - used, "w%u ", word[i][k]);
        }
        snprintf(more + used, sizeof more - used, "\"");
        snprintf(id, sizeof id, "i%u", i);
        upsert(id, more);
    }
    for (uint32_t w = 0; w < WORDS; w++) {
        uint32_t frequency = 0;
        for (uint32_t i = 0; i < ITEMS; i++)
            frequency += has(i, w);
        idf[w] = frequency > 0 ? log1p((double)ITEMS / frequency) : 0;
    }
    fixture_serve(&fixture, by_content);
    const struct list *list = snapshot_lists(fixture.snapshot)->list[0];
    for (uint32_t i = 0; i < ITEMS; i++) {
        double cosine[ITEMS];
        uint32_t count = 0;
        for (uint32_t j = 0; j < ITEMS; j++) {
            if (j != i)
                cosine[count++] =
                    product(idf, i, j) / sqrt(product(idf, i, i) * product(idf, j, j));
        }
        qsort(cosine, count, sizeof cosine[0], larger_first);
        struct list_items alike = list_items(list, i);
        assert_true(alike.count > 0 && alike.count <= 20);
        for (uint32_t k = 0; k < alike.count; k++)
            assert_true(fabs((double)alike.entry[k].value - cosine[k]) < 1e-5);
        assert_true(alike.count == 20 || cosine[alike.count] < 0.05 + 1e-5);
    }
    struct err err;
    for (uint32_t n = 0;; n++) {
        upsert("i0", n % 2 == 0 ? ", \"title\": \"a\"" : ", \"title\": \"b\"");
        alloc_fail_after(n);
        enum err_code rc = snapshot_refresh_lists(fixture.snapshot, fixture.store, &err);
        if (!alloc_fail_off()) {
            assert_int_equal(rc, ERR_OK);
            break;
        }
        assert_int_equal(rc, ERR_NOMEM);
        assert_ptr_equal(snapshot_lists(fixture.snapshot)->list[0], list);
    }
}

static bool is_wanted(void *ctx)
{
    return *(const bool *)ctx;
}

/* A model that is pushed does not wait for a catalogue that changed. */
static void an_old_list_is_taken_where_that_is_enough(void **state)
{
    (void)state;
    const struct list_stop never = {NULL, NULL};
    struct list_set *kept = NULL, *anew = NULL;
    struct err err = {.text = ""};
    load_lamps();
    fixture_serve(&fixture, by_content);
    const struct policy_set *policies = fixture.snapshot->policies;
    const struct list_set *serving = snapshot_lists(fixture.snapshot);
    upsert("lamp4", ", \"title\": \"Desk lamp\"");
    uint32_t lamp4 = store_item_find(fixture.store, TEXT_LITERAL("lamp4"));
    assert_int_equal(lists_make(policies, fixture.store, (struct lists_before){serving, true},
                                never, &kept, &err),
                     ERR_OK);
    assert_ptr_equal(kept->list[0], serving->list[0]);
    assert_int_equal(list_items(kept->list[0], lamp4).count, 0);
    assert_int_equal(
        lists_make(policies, fixture.store, (struct lists_before){kept, false}, never, &anew, &err),
        ERR_OK);
    assert_ptr_not_equal(anew->list[0], serving->list[0]);
    assert_true(list_items(anew->list[0], lamp4).count > 0);
    lists_destroy(&kept);
    lists_destroy(&anew);
}

/* Whoever stops the daemon does not wait for a catalogue of millions. */
static void a_list_that_nobody_needs_is_left(void **state)
{
    (void)state;
    bool stopping = false;
    struct err err = {.text = ""};
    load_lamps();
    fixture.list_stop = (struct list_stop){is_wanted, &stopping};
    fixture_serve(&fixture, by_content);
    const struct list *before = snapshot_lists(fixture.snapshot)->list[0];
    upsert("lamp4", ", \"title\": \"Desk lamp\"");
    stopping = true;
    assert_int_equal(snapshot_refresh_lists(fixture.snapshot, fixture.store, &err), ERR_BUSY);
    assert_ptr_equal(snapshot_lists(fixture.snapshot)->list[0], before);
    assert_int_equal(fixture_try_serve(&fixture, by_content, &err), ERR_BUSY);
    assert_string_equal(err.text,
                        "a list of the policies was not finished: something else comes first");
    stopping = false;
    assert_int_equal(snapshot_refresh_lists(fixture.snapshot, fixture.store, &err), ERR_OK);
    assert_ptr_not_equal(snapshot_lists(fixture.snapshot)->list[0], before);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(what_is_alike_is_recommended),
        TEST(new_items_have_what_is_alike_at_once),
        TEST(the_lists_hold_the_largest_cosines),
        TEST(a_list_that_nobody_needs_is_left),
        TEST(an_old_list_is_taken_where_that_is_enough),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
