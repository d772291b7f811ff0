/* SPDX-License-Identifier: Apache-2.0 */
/* What a person owns is known however much they looked at since: for `bought`, and to be bought
 * again. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka.h needs the four above */
#include <cmocka.h>

#include <stdio.h>

#include "tests/support/decide_fixture.h"
#include "tests/support/small_models.h"

#define DAY_MS INT64_C(86400000)
#define ASK    "{\"op\": \"recommend\", \"user\": \"u\", \"n\": 2, \"why_not\": \"c\"}"

enum { HISTORY = 50, OTHERS = 13, VIEWS = 1000 };

static struct fixture fixture;

static const float neighbor_weight[16] = {
    /*       a     b     c     d */
    /* a */ 0,
    0.5f,
    0.9f,
    0.1f,
};

static int set_up(void **state)
{
    (void)state;
    fixture_init(&fixture);
    fixture_load_shop(&fixture);
    fixture_add_model(&fixture, small_neighbors("near", "1", "a b c d", neighbor_weight));
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    fixture_deinit(&fixture);
    return 0;
}

static void act(const char *type, const char *prefix, unsigned from, unsigned count)
{
    for (unsigned i = from; i < from + count; i++) {
        char item[16];
        snprintf(item, sizeof item, "%s%u", prefix, i);
        fixture_act(&fixture, type, "u", item, FIXTURE_NOW_MS - 2 * DAY_MS + i);
    }
}

static void test_what_was_bought_long_ago_is_left_out(void **state)
{
    (void)state;
    fixture_serve(&fixture, "{\"slots\": {\"home\": {\"bought\": \"exclude\", \"sources\": ["
                            "{\"source\": \"neighbors\"}]}}}");
    fixture_act(&fixture, "view", "u", "a", FIXTURE_NOW_MS);
    assert_string_equal(fixture_ask(&fixture, ASK), "full: c b");
    fixture_act(&fixture, "purchase", "u", "c", FIXTURE_NOW_MS - 9 * DAY_MS);
    act("view", "v", 0, VIEWS);
    assert_string_equal(fixture_ask(&fixture, ASK), "full: b d");
    assert_string_equal(fixture.decision.why_not->stage, "bought");
    /* As many purchases as a history has room for beside what was looked at lately. */
    act("purchase", "p", VIEWS, HISTORY - OTHERS - 1);
    act("view", "w", 2 * VIEWS, VIEWS);
    assert_string_equal(fixture_ask(&fixture, ASK), "full: b d");
    act("purchase", "q", 4 * VIEWS, 1); /* one more */
    assert_string_equal(fixture_ask(&fixture, ASK), "full: c b");
}

static void test_what_was_bought_long_ago_is_brought_back(void **state)
{
    (void)state;
    fixture_serve(&fixture, "{\"slots\": {\"home\": {\"bought\": \"allow\", \"sources\": ["
                            "{\"source\": \"repeat\"}]}}}");
    fixture_act(&fixture, "purchase", "u", "c", FIXTURE_NOW_MS - 9 * DAY_MS);
    fixture_act(&fixture, "purchase", "u", "b", FIXTURE_NOW_MS - 8 * DAY_MS);
    fixture_act(&fixture, "purchase", "u", "c", FIXTURE_NOW_MS - 7 * DAY_MS);
    act("view", "v", 0, VIEWS);
    assert_string_equal(fixture_ask(&fixture, ASK), "full: c b");
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_what_was_bought_long_ago_is_left_out),
        TEST(test_what_was_bought_long_ago_is_brought_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
