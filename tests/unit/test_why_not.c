/* SPDX-License-Identifier: Apache-2.0 */
/* At which stage an item falls out, for every stage that there is. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka.h needs the four above */
#include <cmocka.h>

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "tests/support/decide_fixture.h"
#include "tests/support/small_models.h"

#define ITEMS "a b c d e f g"

static struct fixture fixture;

static const float neighbor_weight[49] = {
    /*       a     b     c     d      e     f     g */
    /* a */ 0,    0.5f, 0.3f, 0.1f,  0,    0.9f, 0,
    /* b */ 0.4f, 0,    0,    0,     0.2f, 0,    0,
    /* c */ 0,    0,    0,    0.25f, 0,    0,    0.6f,
    /* d */ 0,    0,    0,    0,     0.7f, 0,    0,
};

static int set_up(void **state)
{
    (void)state;
    fixture_init(&fixture);
    fixture_load_shop(&fixture);
    fixture_add_model(&fixture, small_neighbors("near", "1", ITEMS, neighbor_weight));
    fixture_act(&fixture, "view", "u", "a", FIXTURE_NOW_MS);
    fixture_act(&fixture, "view", "u", "c", FIXTURE_NOW_MS);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    fixture_deinit(&fixture);
    return 0;
}

/* Without rules the answer to the user u is "g b d c". */
#define SLOT(more) "{\"slots\": {\"home\": {" more "\"sources\": [{\"source\": \"neighbors\"}]}}}"

static const struct decision_why_not *ask(const char *rules, const char *item, const char *more)
{
    char policies[1000], request[500];
    snprintf(policies, sizeof policies, SLOT("%s"), rules);
    snprintf(request, sizeof request,
             "{\"op\": \"recommend\", \"user\": \"u\", \"why_not\": \"%s\"%s}", item, more);
    fixture_serve(&fixture, policies);
    const struct decision_why_not *why_not = fixture_decide(&fixture, request)->why_not;
    assert_non_null(why_not);
    assert_true(text_is(why_not->item, item));
    return why_not;
}

static void expect(const char *rules, const char *item, const char *more, const char *stage)
{
    const struct decision_why_not *why_not = ask(rules, item, more);
    if (strcmp(why_not->stage, stage) != 0)
        fail_msg("%s %s %s: expected '%s', got '%s'", rules, item, more, stage, why_not->stage);
}

static void each_stage_is_told(void **state)
{
    (void)state;
    expect("", "b", "", "shown");
    expect("", "nobody", "", "unknown_item");
    expect("", "b", ", \"exclude\": [\"b\"]", "excluded");
    expect("", "b", ", \"seeds\": [\"b\"]", "seed");
    expect("\"catalogue_only\": true,", "g", "", "no_record");
    expect("", "f", "", "stock");
    expect("", "b", ", \"filters\": {\"categories\": [\"hats\"]}", "request_filter");
    expect("\"filters\": [\"item.id != 'b'\"],", "b", "", "filter");
    expect("", "e", ", \"n\": 4", "no_source");
    expect("", "c", ", \"n\": 1", "cut");
    expect("\"boosts\": [{\"add\": 0}],", "c", ", \"n\": 1", "below");
    expect("\"diversity\": {\"per_category\": 1},", "c", ", \"n\": 4", "diversity");
    fixture_act(&fixture, "purchase", "u", "b", FIXTURE_NOW_MS);
    expect("", "b", "", "bought");
    fixture_act(&fixture, "dislike", "u", "d", FIXTURE_NOW_MS);
    expect("", "d", "", "disliked");
    fixture_event(&fixture, "{\"type\": \"item_delete\", \"items\": [{\"id\": \"c\"}]}");
    expect("", "c", "", "deleted");
    fixture.floor = LEVEL_generic;
    expect("", "e", ", \"n\": 1", "shown");
    expect("", "g", ", \"n\": 1", "level");
}

static void numbers_say_what_was_missing(void **state)
{
    (void)state;
    const struct decision_why_not *why_not = ask("", "c", ", \"n\": 2");
    assert_string_equal(why_not->stage, "cut");
    assert_true(fabsf(why_not->score - 0.09f) < 1e-6f);
    assert_true(fabsf(why_not->needed - 0.15f) < 1e-6f);
    assert_int_equal(why_not->why_count, 1);
    assert_string_equal(why_not->why[0].source, "neighbors");

    why_not =
        ask("\"filters\": [\"true\", {\"name\": \"own\", \"when\": \"item.brand == 'acme'\"}],",
            "c", "");
    assert_string_equal(why_not->rule, "filter: own");

    why_not =
        ask("\"boosts\": [{\"name\": \"no\", \"when\": \"item.id == 'g'\", \"multiply\": 0.5}],",
            "g", ", \"n\": 1");
    assert_string_equal(why_not->stage, "below");
    assert_int_equal(why_not->place, 4); /* c has as much, and came before */
    assert_true(fabsf(why_not->score - 0.09f) < 1e-6f);
    assert_true(fabsf(why_not->needed - 0.15f) < 1e-6f);
    assert_int_equal(why_not->why_count, 2);
    assert_string_equal(why_not->why[1].source, "boost: no");
    assert_true(fabsf(why_not->why[1].value + 0.09f) < 1e-6f);

    why_not = ask("", "b", "");
    assert_int_equal(why_not->place, 2);
    assert_true(isnan(why_not->needed));
}

/* g has 0.18, b 0.15, d 0.12, c 0.09: what takes a place by no score of its own says nothing of
 * what others needed. */
static void pins_and_kept_places_are_not_what_was_needed(void **state)
{
    (void)state;
    const struct decision_why_not *why_not =
        ask("\"pins\": [{\"item\": \"e\", \"place\": 2}],", "b", ", \"n\": 2");
    assert_string_equal(why_not->stage, "below");
    assert_int_equal(why_not->place, 2);
    assert_true(fabsf(why_not->score - 0.15f) < 1e-6f);
    assert_true(fabsf(why_not->needed - 0.18f) < 1e-6f); /* of g; e has that of b */

    fixture_serve(&fixture, "{\"lists\": {\"ours\": [\"e\"]}, \"slots\": {\"home\": {\"sources\": ["
                            "{\"source\": \"neighbors\"}, {\"source\": \"list\", \"list\": "
                            "\"ours\", \"weight\": 0, \"at_least\": 1}]}}}");
    why_not = fixture_decide(&fixture, "{\"op\": \"recommend\", \"user\": \"u\", \"n\": 2, "
                                       "\"why_not\": \"b\"}")
                  ->why_not;
    assert_string_equal(why_not->stage, "quota");
    assert_string_equal(why_not->rule, "list: ours");
    assert_int_equal(why_not->place, 2);
    why_not = fixture_decide(&fixture, "{\"op\": \"recommend\", \"user\": \"u\", \"n\": 2, "
                                       "\"exclude\": [\"e\"], \"why_not\": \"d\"}")
                  ->why_not;
    assert_string_equal(why_not->stage, "below"); /* nothing was kept */
    assert_true(fabsf(why_not->needed - 0.15f) < 1e-6f);
}

static void nothing_is_told_unless_asked(void **state)
{
    (void)state;
    fixture_serve(&fixture, SLOT(""));
    assert_null(fixture_decide(&fixture, "{\"op\": \"recommend\", \"user\": \"u\"}")->why_not);
    assert_null(fixture_decide(&fixture, "{\"op\": \"similar\", \"items\": [\"a\"], \"why_not\": "
                                         "\"b\"}")
                    ->why_not);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(each_stage_is_told, set_up, tear_down),
        cmocka_unit_test_setup_teardown(numbers_say_what_was_missing, set_up, tear_down),
        cmocka_unit_test_setup_teardown(pins_and_kept_places_are_not_what_was_needed, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(nothing_is_told_unless_asked, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
