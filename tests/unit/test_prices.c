/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka.h needs the four above */
#include <cmocka.h>

#include <cjson/cJSON.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "models/prices_internal.h"
#include "tests/support/alloc_fail.h"

#define RULES(text) "{\"format\": 1, \"rules\": [" text "]}"

static struct prices *parse(const char *text)
{
    struct prices *prices = NULL;
    struct err err = {0};
    if (prices_parse("rules.json", text, strlen(text), &prices, &err) != ERR_OK)
        fail_msg("%s\n%s", text, err.text);
    return prices;
}

static currency_code currency_of(const char *code)
{
    currency_code currency = 0;
    assert_true(currency_parse(text_of(code), &currency));
    return currency;
}

static struct price_input input_of(int64_t price, int64_t cost)
{
    return (struct price_input){.price_minor = price, .cost_minor = cost, .qty = 1};
}

static void assert_price(const char *rules, const struct price_input *input, int64_t amount,
                         const char *rule, const char *bound)
{
    struct prices *prices = parse(rules);
    struct price_output output;
    prices_apply(prices, input, &output);
    bool same_rule =
        rule == NULL || output.rule == NULL ? rule == output.rule : strcmp(rule, output.rule) == 0;
    bool same_bound = bound == NULL || output.bound == NULL ? bound == output.bound
                                                            : strcmp(bound, output.bound) == 0;
    if (output.amount_minor != amount || !same_rule || !same_bound)
        fail_msg("%s\n  expected %lld %s %s, got %lld %s %s", rules, (long long)amount,
                 rule == NULL ? "-" : rule, bound == NULL ? "-" : bound,
                 (long long)output.amount_minor, output.rule == NULL ? "-" : output.rule,
                 output.bound == NULL ? "-" : output.bound);
    prices_destroy(prices);
}

static void test_adjusts_exactly(void **state)
{
    (void)state;
    struct price_input i = input_of(1999, INT64_MIN);
    assert_price(RULES("{\"name\":\"a\",\"adjust\":{\"percent\":\"-12.5\"}}"), &i, 1749, "a", NULL);
    assert_price(RULES("{\"name\":\"a\",\"adjust\":{\"percent\":10}}"), &i, 2199, "a", NULL);
    assert_price(RULES("{\"name\":\"a\",\"adjust\":{\"percent\":\"0\"}}"), &i, 1999, "a", NULL);
    assert_price(RULES("{\"name\":\"a\",\"adjust\":{\"percent\":\"-100\"}}"), &i, 0, "a", NULL);
    assert_price(RULES("{\"name\":\"a\",\"adjust\":{\"add\":-500}}"), &i, 1499, "a", NULL);
    assert_price(RULES("{\"name\":\"a\",\"adjust\":{\"add\":-5000}}"), &i, 0, "a", "floor");
    assert_price(RULES("{\"name\":\"a\",\"adjust\":{\"set\":1}}"), &i, 1, "a", NULL);
    i.price_minor = 50; /* halves go to the even neighbor: 2.5 and 7.5 */
    assert_price(RULES("{\"name\":\"a\",\"adjust\":{\"percent\":-95}}"), &i, 2, "a", NULL);
    assert_price(RULES("{\"name\":\"a\",\"adjust\":{\"percent\":-85}}"), &i, 8, "a", NULL);
    i.price_minor = MONEY_MINOR_MAX; /* the last minor unit, where a double has no room left */
    assert_price(RULES("{\"name\":\"a\",\"adjust\":{\"percent\":\"-0.0001\"}}"), &i,
                 MONEY_MINOR_MAX - 1000000000, "a", NULL);
    i.price_minor = MONEY_MINOR_MAX - 1;
    assert_price(RULES("{\"name\":\"a\",\"adjust\":{\"percent\":-50}}"), &i, 500000000000000, "a",
                 NULL);
}

static void test_what_cannot_be_computed_leaves_the_list_price(void **state)
{
    (void)state;
    struct price_input i = input_of(MONEY_MINOR_MAX, INT64_MIN);
    assert_price(RULES("{\"name\":\"a\",\"adjust\":{\"percent\":1}}"), &i, MONEY_MINOR_MAX, NULL,
                 NULL);
    assert_price(RULES("{\"name\":\"a\",\"adjust\":{\"add\":1}}"), &i, MONEY_MINOR_MAX, NULL, NULL);
    i = input_of(1000, INT64_MIN);
    assert_price(RULES("{\"name\":\"a\",\"adjust\":{\"add\":-1}},{\"name\":\"m\",\"margin\":0}"),
                 &i, 1000, NULL, "margin");
    assert_price(RULES("{\"name\":\"a\",\"adjust\":{\"add\":-1}},{\"name\":\"m\",\"margin\":0,"
                       "\"ceiling\":900,\"ending\":{\"digits\":99,\"of\":100}}"),
                 &i, 900, NULL, "ceiling");
    assert_price(RULES("{\"name\":\"m\",\"margin\":0}"), &i, 1000, NULL, NULL);
    i = input_of(INT64_MIN, INT64_MAX); /* nonsense from a caller is brought into the limits */
    assert_price(RULES("{\"name\":\"a\",\"floor\":7}"), &i, 7, NULL, "floor");
    i = input_of(INT64_MAX, -1);
    assert_price(RULES("{\"name\":\"a\",\"margin\":5}"), &i, MONEY_MINOR_MAX, NULL, NULL);
    i = input_of(5, MONEY_MINOR_MAX);
    assert_price(RULES("{\"name\":\"a\",\"margin\":\"99.9999\"}"), &i, MONEY_MINOR_MAX, NULL,
                 "margin");
}

static void test_bounds_hold_whichever_rule_made_the_price(void **state)
{
    (void)state;
    struct price_input i = input_of(1000, 800);
    /* margin 20 %: (p - 800) / p >= 0.2 from 1000 on */
    assert_price(RULES("{\"name\":\"a\",\"adjust\":{\"percent\":-50}},{\"name\":\"b\",\"priority\":"
                       "-9,\"margin\":20}"),
                 &i, 1000, "a", "margin");
    i.cost_minor = 801; /* 1001.25 is rounded up */
    assert_price(RULES("{\"name\":\"b\",\"margin\":20}"), &i, 1002, NULL, "margin");
    i.cost_minor = 10;
    assert_price(RULES("{\"name\":\"a\",\"adjust\":{\"set\":1}},{\"name\":\"b\",\"floor\":300},"
                       "{\"name\":\"c\",\"floor\":400},{\"name\":\"d\",\"floor\":200}"),
                 &i, 400, "a", "floor");
    assert_price(RULES("{\"name\":\"b\",\"ceiling\":300},{\"name\":\"c\",\"ceiling\":200}"), &i,
                 200, NULL, "ceiling");
    /* In a conflict the floor wins, and so does the margin. */
    assert_price(RULES("{\"name\":\"b\",\"ceiling\":300,\"floor\":500}"), &i, 500, NULL, "floor");
    i.price_minor = 400;
    assert_price(RULES("{\"name\":\"b\",\"ceiling\":300,\"floor\":500}"), &i, 500, NULL, "floor");
    i = input_of(400, 450);
    assert_price(RULES("{\"name\":\"b\",\"ceiling\":300,\"margin\":10}"), &i, 500, NULL, "margin");
}

static void test_endings_stay_within_the_bounds(void **state)
{
    (void)state;
    struct price_input i = input_of(1234, INT64_MIN);
    assert_price(RULES("{\"name\":\"e\",\"ending\":{\"digits\":99,\"of\":100}}"), &i, 1199, "e",
                 NULL);
    i.price_minor = 1250;
    assert_price(RULES("{\"name\":\"e\",\"ending\":{\"digits\":99,\"of\":100}}"), &i, 1299, "e",
                 NULL);
    i.price_minor = 1249; /* equally near: the lower one */
    assert_price(RULES("{\"name\":\"e\",\"ending\":{\"digits\":99,\"of\":100}}"), &i, 1199, "e",
                 NULL);
    assert_price(RULES("{\"name\":\"e\",\"ending\":{\"digits\":99,\"of\":100,\"to\":\"up\"}}"), &i,
                 1299, "e", NULL);
    assert_price(RULES("{\"name\":\"e\",\"floor\":1200,\"ending\":{\"digits\":99,\"of\":100}}"), &i,
                 1299, "e", NULL);
    assert_price(RULES("{\"name\":\"e\",\"floor\":1200,\"ceiling\":1290,\"ending\":{\"digits\":99,"
                       "\"of\":100}}"),
                 &i, 1249, NULL, NULL);
    assert_price(RULES("{\"name\":\"e\",\"floor\":1200,\"ending\":{\"digits\":99,\"of\":100,\"to\":"
                       "\"down\"}}"),
                 &i, 1249, NULL, NULL);
    i.price_minor = 1299;
    assert_price(RULES("{\"name\":\"e\",\"ending\":{\"digits\":99,\"of\":100,\"to\":\"up\"}}"), &i,
                 1299, NULL, NULL);
    i.price_minor = 30; /* no price below 30 ends so */
    assert_price(RULES("{\"name\":\"e\",\"ending\":{\"digits\":95,\"of\":100}}"), &i, 95, "e",
                 NULL);
    assert_price(RULES("{\"name\":\"e\",\"ending\":{\"digits\":95,\"of\":100,\"to\":\"down\"}}"),
                 &i, 30, NULL, NULL);
    i.price_minor = MONEY_MINOR_MAX;
    assert_price(RULES("{\"name\":\"e\",\"ending\":{\"digits\":5,\"of\":10,\"to\":\"up\"}}"), &i,
                 MONEY_MINOR_MAX, NULL, NULL);
    /* The rule that made the price is named, not the one that rounded it. */
    i.price_minor = 1000;
    assert_price(RULES("{\"name\":\"e\",\"priority\":9,\"ending\":{\"digits\":0,\"of\":50}},"
                       "{\"name\":\"f\",\"ending\":{\"digits\":7,\"of\":10}},"
                       "{\"name\":\"a\",\"adjust\":{\"percent\":-4}}"),
                 &i, 950, "a", NULL);
}

static void test_the_first_by_priority_wins(void **state)
{
    (void)state;
    struct price_input i = input_of(1000, INT64_MIN);
    assert_price(RULES("{\"name\":\"a\",\"adjust\":{\"set\":1}},"
                       "{\"name\":\"b\",\"adjust\":{\"set\":2}}"),
                 &i, 1, "a", NULL);
    assert_price(RULES("{\"name\":\"a\",\"adjust\":{\"set\":1}},"
                       "{\"name\":\"b\",\"priority\":1,\"adjust\":{\"set\":2}}"),
                 &i, 2, "b", NULL);
    i.item = TEXT_LITERAL("x");
    assert_price(RULES("{\"name\":\"a\",\"match\":{\"items\":[\"x\"]},\"adjust\":{\"set\":1}},"
                       "{\"name\":\"b\",\"priority\":1,\"adjust\":{\"set\":2}}"),
                 &i, 2, "b", NULL);
}

#define SET1 "\"adjust\":{\"set\":1}"

static void test_matches_all_that_a_rule_asks_for(void **state)
{
    (void)state;
    const struct price_context context[] = {{TEXT_LITERAL("channel"), TEXT_LITERAL("app")},
                                            {TEXT_LITERAL("tier"), TEXT_LITERAL("gold")}};
    static const struct {
        const char *match;
        bool matches;
    } cases[] = {
        {"{}", true},
        {"{\"items\":[\"y\",\"x\",\"z\"]}", true},
        {"{\"items\":[\"y\"]}", false},
        {"{\"items\":[\"toys\"]}", false}, /* a category is no item */
        {"{\"categories\":[\"toys\"]}", true},
        {"{\"categories\":[\"games\"]}", false},
        {"{\"brands\":[\"Acme\",\"acme\"]}", true},
        {"{\"brands\":[\"acme\"]}", false},
        {"{\"items\":[\"x\"],\"categories\":[\"games\"]}", false},
        {"{\"items\":[\"x\"],\"categories\":[\"a\",\"toys\",\"z\"],\"brands\":[\"Acme\"]}", true},
        {"{\"categories\":[\"toys\"],\"brands\":[\"B\"]}", false},
        {"{\"context\":{\"channel\":\"app\"}}", true},
        {"{\"context\":{\"channel\":[\"web\",\"app\"],\"tier\":\"gold\"}}", true},
        {"{\"context\":{\"channel\":\"web\"}}", false},
        {"{\"context\":{\"channel\":\"app\",\"tier\":\"tin\"}}", false},
        {"{\"context\":{\"land\":\"app\"}}", false},
        {"{\"qty\":{\"min\":5}}", true},
        {"{\"qty\":{\"min\":6}}", false},
        {"{\"qty\":{\"max\":5}}", true},
        {"{\"qty\":{\"max\":4}}", false},
        {"{\"qty\":{\"min\":5,\"max\":5},\"brands\":[\"Acme\"]}", true},
    };
    struct price_input i = input_of(1000, INT64_MIN);
    i.item = TEXT_LITERAL("x");
    i.category = TEXT_LITERAL("toys");
    i.brand = TEXT_LITERAL("Acme");
    i.qty = 5;
    i.context = context;
    i.context_count = 2;
    for (size_t c = 0; c < sizeof cases / sizeof cases[0]; c++) {
        char text[512];
        snprintf(text, sizeof text, RULES("{\"name\":\"a\",\"match\":%s," SET1 "}"),
                 cases[c].match);
        assert_price(text, &i, cases[c].matches ? 1 : 1000, cases[c].matches ? "a" : NULL, NULL);
    }
    /* What is not known matches nothing that is asked. */
    struct price_input unknown = input_of(1000, INT64_MIN);
    assert_price(RULES("{\"name\":\"a\",\"match\":{\"items\":[\"x\"]}," SET1 "}"), &unknown, 1000,
                 NULL, NULL);
    assert_price(RULES("{\"name\":\"a\",\"match\":{\"context\":{\"c\":\"x\"}}," SET1 "}"), &unknown,
                 1000, NULL, NULL);
}

static void test_a_currency_binds_a_rule(void **state)
{
    (void)state;
    static const char one[] = RULES("{\"name\":\"a\",\"currency\":\"EUR\",\"floor\":2000}");
    static const char all[] = "{\"format\":1,\"currency\":\"EUR\",\"rules\":["
                              "{\"name\":\"a\",\"floor\":2000},"
                              "{\"name\":\"b\",\"currency\":\"USD\",\"floor\":3000}]}";
    struct price_input i = input_of(1000, INT64_MIN);
    assert_price(one, &i, 1000, NULL, NULL); /* unknown */
    i.currency = currency_of("EUR");
    assert_price(one, &i, 2000, NULL, "floor");
    assert_price(all, &i, 2000, NULL, "floor");
    i.currency = currency_of("USD");
    assert_price(one, &i, 1000, NULL, NULL);
    assert_price(all, &i, 3000, NULL, "floor");
}

static void test_refuses_and_says_where(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        const char *says;
    } bad[] = {
        {"", "rules.json:1"},
        {"[]", "rules.json: expected an object"},
        {"{\"rules\":[]}", "format: missing"},
        {"{\"format\":2,\"rules\":[]}", "format: expected 1, got 2"},
        {"{\"format\":1}", "rules: missing"},
        {RULES(""), "expected 1..100000 rules, got 0"},
        {RULES("3"), "rules.json: rules[0]: expected an object"},
        {RULES("{" SET1 "}"), "rules[0].name: missing"},
        {RULES("{\"name\":\"\"," SET1 "}"), "rules[0].name: expected 1..128"},
        {RULES("{\"name\":\"a\"}"), "rules[0]: expected one of adjust, floor"},
        {RULES("{\"name\":\"a\"," SET1 "},{\"name\":\"a\"," SET1 "}"), "two rules are named 'a'"},
        {RULES("{\"name\":\"a\"," SET1 "},{\"name\":\"b\",\"flor\":1}"),
         "rules[1]: unknown key 'flor', did you mean 'floor'?"},
        {RULES("{\"name\":\"a\",\"adjust\":{}}"), "adjust: expected one of percent, add and set"},
        {RULES("{\"name\":\"a\",\"adjust\":{\"add\":1,\"set\":1}}"), "expected one of percent"},
        {RULES("{\"name\":\"a\",\"adjust\":{\"percent\":-12.5}}"),
         "rules[0].adjust.percent: expected an integer"},
        {RULES("{\"name\":\"a\",\"adjust\":{\"percent\":\"-12.50001\"}}"), "up to 4 digits"},
        {RULES("{\"name\":\"a\",\"adjust\":{\"percent\":\"1e2\"}}"), "expected a decimal"},
        {RULES("{\"name\":\"a\",\"adjust\":{\"percent\":\"-100.0001\"}}"), "-100..1000 percent"},
        {RULES("{\"name\":\"a\",\"adjust\":{\"percent\":\"1000.1\"}}"), "-100..1000 percent"},
        {RULES("{\"name\":\"a\",\"adjust\":{\"set\":-1}}"), "adjust.set: must be 0"},
        {RULES("{\"name\":\"a\",\"adjust\":{\"set\":1.5}}"), "adjust.set: expected an integer"},
        {RULES("{\"name\":\"a\",\"adjust\":{\"add\":1000000000000001}}"), "adjust.add: must be"},
        {RULES("{\"name\":\"a\",\"floor\":-1}"), "floor: must be"},
        {RULES("{\"name\":\"a\",\"ceiling\":\"9\"}"), "ceiling: expected an integer"},
        {RULES("{\"name\":\"a\",\"margin\":100}"), "margin: must be 0..99.9999 percent"},
        {RULES("{\"name\":\"a\",\"margin\":\"-1\"}"), "margin: must be"},
        {RULES("{\"name\":\"a\",\"priority\":1000001,\"floor\":1}"), "priority: must be"},
        {RULES("{\"name\":\"a\",\"currency\":\"eur\",\"floor\":1}"), "three capital letters"},
        {RULES("{\"name\":\"a\",\"ending\":{\"of\":100}}"), "ending.digits: missing"},
        {RULES("{\"name\":\"a\",\"ending\":{\"digits\":100,\"of\":100}}"), "digits: must be 0..99"},
        {RULES("{\"name\":\"a\",\"ending\":{\"digits\":0,\"of\":1}}"), "ending.of: must be 2"},
        {RULES("{\"name\":\"a\",\"ending\":{\"digits\":0,\"of\":9,\"to\":\"low\"}}"), "'nearest'"},
        {RULES("{\"name\":\"a\",\"match\":{\"items\":[]}," SET1 "}"), "matches nothing"},
        {RULES("{\"name\":\"a\",\"match\":{\"items\":\"x\"}," SET1 "}"),
         "items: expected an array"},
        {RULES("{\"name\":\"a\",\"match\":{\"items\":[\"y\",\"\"]}," SET1 "}"),
         "rules[0].match.items[1]: expected 1..1024 bytes, got 0"},
        {RULES("{\"name\":\"a\",\"match\":{\"items\":[\"y\",\"z\",\"y\"]}," SET1 "}"),
         "rule 'a': 'y' is listed twice"},
        {RULES("{\"name\":\"a\",\"match\":{\"context\":{\"c\":[]}}," SET1 "}"), "matches nothing"},
        {RULES("{\"name\":\"a\",\"match\":{\"context\":{\"c\":1}}," SET1 "}"), "context.c"},
        {RULES("{\"name\":\"a\",\"match\":{\"qty\":{\"min\":2,\"max\":1}}," SET1 "}"),
         "qty.max: must be 2"},
        {RULES("{\"name\":\"a\",\"match\":{\"category\":[\"x\"]}," SET1 "}"),
         "unknown key 'category'"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct prices *prices = NULL;
        struct err err = {0};
        enum err_code rc =
            prices_parse("rules.json", bad[i].text, strlen(bad[i].text), &prices, &err);
        assert_null(prices);
        if ((rc != ERR_CORRUPT && rc != ERR_UNSUPPORTED) || strstr(err.text, bad[i].says) == NULL)
            fail_msg("%s\n  says: %s\n  without: %s", bad[i].text, err.text, bad[i].says);
    }
}

static void test_survives_failed_allocations(void **state)
{
    (void)state;
    static const char text[] = RULES(
        "{\"name\":\"a\",\"match\":{\"items\":[\"x\",\"y\"],\"context\":{\"c\":[\"1\",\"2\"]}},"
        "\"floor\":3},{\"name\":\"b\",\"adjust\":{\"add\":1}}");
    cJSON_InitHooks(&(cJSON_Hooks){malloc, free});
    uint32_t n = 0;
    for (bool failed = true; failed; n++) {
        struct prices *prices = NULL;
        struct err err = {0};
        alloc_fail_after(n);
        enum err_code rc = prices_parse("rules.json", text, sizeof text - 1, &prices, &err);
        failed = alloc_fail_off();
        assert_int_equal(rc, failed ? ERR_NOMEM : ERR_OK);
        assert_true(failed == (prices == NULL));
        prices_destroy(prices);
    }
    cJSON_InitHooks(NULL);
    assert_true(n > 40);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_adjusts_exactly),
        cmocka_unit_test(test_what_cannot_be_computed_leaves_the_list_price),
        cmocka_unit_test(test_bounds_hold_whichever_rule_made_the_price),
        cmocka_unit_test(test_endings_stay_within_the_bounds),
        cmocka_unit_test(test_the_first_by_priority_wins),
        cmocka_unit_test(test_matches_all_that_a_rule_asks_for),
        cmocka_unit_test(test_a_currency_binds_a_rule),
        cmocka_unit_test(test_refuses_and_says_where),
        cmocka_unit_test(test_survives_failed_allocations),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
