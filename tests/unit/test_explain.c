/* SPDX-License-Identifier: Apache-2.0 */
/* `explain` where an item did not simply come from the sources: pins, and the operation rank. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "tests/support/decide_fixture.h"
#include "tests/support/small_models.h"
#include "tests/support/taste_shop.h"

/* "neighbors 0.5, pin: 1 0.5" */
static const char *why_of(const char *id)
{
    static char line[500];
    const struct decision_item *item = fixture_item(&taste_shop, id);
    size_t used = 0;
    line[0] = '\0';
    for (uint32_t i = 0; item != NULL && i < item->why_count; i++)
        used += (size_t)snprintf(line + used, sizeof line - used, "%s%s %g", i == 0 ? "" : ", ",
                                 item->why[i].source, (double)item->why[i].value);
    return line;
}

#define PINS(item) "\"pins\": [{\"item\": \"" item "\", \"place\": 1}],"
#define EXPLAIN    "\"user\": \"u\", \"n\": 3, \"explain\": true"

static void a_pinned_item_has_its_sources_and_the_pin(void **state)
{
    (void)state;
    fixture_act(&taste_shop, "view", "u", "a", FIXTURE_NOW_MS);
    /* c comes from the neighbors of a, behind b, and has the score of b by its pin */
    fixture_serve(&taste_shop, SLOT(NEAR, PINS("c")));
    assert_string_equal(ASK(EXPLAIN), "full: c b d");
    assert_string_equal(why_of("c"), "neighbors 0.09, pin: 1 0.15");
    assert_string_equal(why_of("b"), "neighbors 0.15");
    /* e comes from no source */
    fixture_serve(&taste_shop, SLOT(NEAR, PINS("e")));
    assert_string_equal(ASK(EXPLAIN), "full: e b c");
    assert_string_equal(why_of("e"), "pin: 1 0.15");
    /* `similar` asks no source of the slot by the person's taste */
    fixture_serve(&taste_shop, SLOT(NEAR, PINS("e")));
    (void)fixture_ask(&taste_shop, "{\"op\": \"similar\", \"items\": [\"a\"], " EXPLAIN "}");
    assert_string_equal(why_of("e"), "pin: 1 0.5");
    (void)ASK("\"user\": \"u\", \"n\": 3");
    assert_string_equal(why_of("e"), "");
}

static void rank_tells_the_ranker_and_the_boosts(void **state)
{
    (void)state;
    static const double weight[] = {1};
    static const char rank[] = "{\"op\": \"rank\", \"explain\": true, \"items\": [{\"id\": \"a\", "
                               "\"score\": 3}, {\"id\": \"d\", \"score\": 5}, \"unknown\"]}";
    fixture_add_model(&taste_shop, small_linear("rank", "1", "caller.score", weight, 10));
    fixture_serve(&taste_shop,
                  SLOT(NEAR, "\"ranker\": \"rank\", \"boosts\": [{\"name\": \"shoes\", \"when\": "
                             "\"item.id == 'a'\", \"multiply\": 2},"
                             "{\"when\": \"item.id == 'a'\", \"add\": 1}],"));
    assert_string_equal(fixture_ask(&taste_shop, rank), "full: a d unknown");
    assert_string_equal(why_of("a"), "ranker 13, boost: shoes 13, boost: 2 1");
    assert_string_equal(why_of("d"), "ranker 15");
    assert_string_equal(why_of("unknown"), "ranker 10");
    assert_true(taste_shop_score("a") == 27.0f);
    (void)fixture_ask(&taste_shop, "{\"op\": \"rank\", \"items\": [\"a\"]}");
    assert_string_equal(why_of("a"), "");
    /* Without a ranker there is nothing to tell. */
    fixture_serve(&taste_shop, SLOT(NEAR, ""));
    assert_string_equal(fixture_ask(&taste_shop, rank), "full: a d unknown");
    assert_string_equal(why_of("a"), "");
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, taste_shop_set_up, taste_shop_tear_down)
    const struct CMUnitTest tests[] = {
        TEST(a_pinned_item_has_its_sources_and_the_pin),
        TEST(rank_tells_the_ranker_and_the_boosts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
