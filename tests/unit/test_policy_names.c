/* SPDX-License-Identifier: Apache-2.0 */
/* Names in conditions: what was meant by one that no field and no feature has, what has no number,
 * and how old something is that came after everything else. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "featurestore/definitions.h"
#include "tests/support/decide_fixture.h"
#include "tests/support/feature_rig.h"

static struct fixture fixture;

static int set_up(void **state)
{
    static const char features[] =
        "{\"features\": {\"user.last_bought\": {\"kind\": \"last\", \"events\": [\"purchase\"], "
        "\"value\": \"item\", \"n\": 3}, \"user.visits_7d\": {\"kind\": \"count\", \"events\": "
        "[\"view\"], "
        "\"window\": \"7d\"}, \"user_item.since_shown_s\": {\"kind\": \"since\", \"events\": "
        "[\"impression\"]}}}";
    struct definitions *definitions = NULL;
    struct err err;
    uint32_t new_count = 0;
    (void)state;
    fixture_init(&fixture);
    fixture_load_shop(&fixture);
    assert_int_equal(
        definitions_parse("features.json", features, sizeof features - 1, &definitions, &err),
        ERR_OK);
    assert_int_equal(feature_rig_redefine(fixture.store, &definitions, &new_count, &err), ERR_OK);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    fixture_deinit(&fixture);
    return 0;
}

static const char *refusal(const char *filter, struct err *ret_err)
{
    char policies[500];
    snprintf(policies, sizeof policies,
             "{\"slots\": {\"home\": {\"filters\": [\"%s\"], \"sources\": [{\"source\": "
             "\"popular\"}]}}}",
             filter);
    if (fixture_try_serve(&fixture, policies, ret_err) == ERR_OK)
        return "";
    const char *found = strstr(ret_err->text, "unknown field");
    return found == NULL ? ret_err->text : found;
}

#define LINE "policies:1:33: slots.home.filters[0]: line 1, "

static void the_nearest_name_is_told(void **state)
{
    (void)state;
    static const struct {
        const char *filter, *message;
    } cases[] = {
        /* features that are defined, and the store's own */
        {"user.visits_7 > 1.0", "unknown field 'user.visits_7', did you mean 'user.visits_7d'?"},
        {"user_item.since_show_s < 1.0", "unknown field 'user_item.since_show_s', did you mean "
                                         "'user_item.since_shown_s'?"},
        {"item.veiws_14d > 1.0", "unknown field 'item.veiws_14d', did you mean 'item.views_14d'?"},
        {"user.purchase > 1.0", "unknown field 'user.purchase', did you mean 'user.purchases'?"},
        {"item.prise > 1", "unknown field 'item.prise', did you mean 'item.price'?"},
        /* names whose end is free */
        {"contex.channel == 'app'", "unknown field 'contex.channel', did you mean 'context.NAME'?"},
        {"item.atributes.colour == 'red'",
         "unknown field 'item.atributes.colour', did you mean 'item.attributes.NAME'?"},
        /* nothing near, and what is known but not here */
        {"wholly.different == 1", "unknown field 'wholly.different'"},
        {"score > 1.0", "unknown field 'score' here"},
        {"user.last_bought == 1.0",
         LINE "column 1: 'user.last_bought' is a list of ids and has no number"},
        {"true || has(user.last_bought)",
         LINE "column 13: 'user.last_bought' is a list of ids and has no number"},
        /* what is right compiles */
        {"user.visits_7d > 1.0 && context.channel == 'app'", ""},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct err err = {0};
        assert_string_equal(refusal(cases[i].filter, &err), cases[i].message);
    }
}

/* The items of the shop came a minute after what was done with them. */
static void what_came_last_has_the_age_0(void **state)
{
    (void)state;
    fixture_serve(&fixture,
                  "{\"lists\": {\"l\": [\"a\", \"b\"]}, \"slots\": {\"home\": {\"filters\": "
                  "[\"item.age_s == 0\"], \"sources\": [{\"source\": \"list\", "
                  "\"list\": \"l\"}]}}}");
    assert_string_equal(fixture_ask(&fixture, "{\"op\": \"recommend\", \"n\": 2}"), "full: a b");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(the_nearest_name_is_told, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_came_last_has_the_age_0, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
