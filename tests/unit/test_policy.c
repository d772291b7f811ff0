/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "server/decide/policy.h"
#include "tests/support/alloc_fail.h"

static const char good[] =
    "{ // comments are welcome\n"
    "  \"version\": \"v7\", \"default\": \"cart\", \"slots\": {\n"
    "    \"home\": {\"sources\": [{\"source\": \"neighbors\", \"model\": \"n1\", \"weight\": "
    "0.25}]},\n"
    "    \"cart\": {\"bought\": \"allow\", \"in_stock\": false, \"catalogue_only\": true,\n"
    "      \"ranker\": \"r\", \"prices\": \"*\", \"generic_window\": \"1d\", \"sources\": [\n"
    "        {\"source\": \"popular\", \"window\": \"7d\", \"count\": 10},\n"
    "        {\"source\": \"factors\"}, {\"source\": \"repeat\","
    "         \"since\": \"user_item.since_buy_s\", \"interval\":\n"
    "         \"has(user_item.refill_s) ? user_item.refill_s : 86400.0 * "
    "double(item.attributes.refill_days)\"}],\n"
    "      \"filters\": [\"item.price > 1\", {\"name\": \"f\", \"when\": \"user_category.own > "
    "0.5\"}],\n"
    "      \"boosts\": [{\"when\": \"context.a == 'b'\", \"multiply\": 1.5}, {\"add\": "
    "\"score\"}],\n"
    "      \"pins\": [{\"item\": \"late\", \"place\": 3}, {\"item\": \"early\", \"place\": 1}],\n"
    "      \"diversity\": {\"per_brand\": 2}}}}";

static void test_reads_what_is_written(void **state)
{
    (void)state;
    struct policy_set *set = NULL;
    struct err err = {0};
    if (policy_parse("p.json", good, sizeof good - 1, NULL, &set, &err) != ERR_OK)
        fail_msg("%s", err.text);
    assert_string_equal(set->version, "v7");
    assert_int_equal(set->slot_count, 2);
    assert_int_equal(set->default_slot, 1);
    const struct policy_slot *home = &set->slot[0], *cart = &set->slot[1];
    assert_string_equal(home->source[0].model, "n1");
    assert_true(home->source[0].weight == 0.25f);
    assert_int_equal(home->source[0].count, 300);
    assert_int_equal(home->bought, BOUGHT_EXCLUDE);
    assert_int_equal(home->min_stock, 1);
    assert_false(home->catalogue_only);
    assert_string_equal(home->ranker, "");
    assert_int_equal(cart->bought, BOUGHT_ALLOW);
    assert_int_equal(cart->min_stock, 0);
    assert_true(cart->catalogue_only);
    assert_string_equal(cart->ranker, "r");
    assert_string_equal(cart->prices, "*");
    assert_int_equal(cart->generic_window, STORE_WINDOW_1D);
    assert_int_equal(cart->source[0].window, STORE_WINDOW_7D);
    assert_int_equal(cart->source[0].count, 10);
    assert_string_equal(cart->source[0].model, "");
    assert_string_equal(cart->source[1].model, "*");
    assert_true(cart->source[2].interval != NULL && cart->source[2].since != NULL);
    assert_int_equal(cart->filter_count, 2);
    assert_string_equal(cart->filter[1].label, "filter: f");
    assert_int_equal(cart->boost_count, 2);
    assert_false(cart->boost[0].adds);
    assert_true(cart->boost[1].adds && cart->boost[1].rule.when == NULL);
    assert_int_equal(cart->pin_count, 2);
    assert_true(text_is(cart->pin[0].item, "early"));
    assert_int_equal(cart->pin[1].place, 3);
    assert_int_equal(cart->per_brand, 2);
    assert_int_equal(cart->per_category, 0);
    policy_destroy(&set);
    assert_int_equal(policy_builtin(&set, &err), ERR_OK);
    assert_string_equal(set->slot[set->default_slot].name, "home");
    policy_destroy(&set);
}

struct refusal {
    const char *text;
    const char *says; /* must be part of the message */
};

static void expect_refusals(const struct refusal *bad, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        struct policy_set *set = NULL;
        struct err err = {0};
        enum err_code rc =
            policy_parse("p.json", bad[i].text, strlen(bad[i].text), NULL, &set, &err);
        assert_int_not_equal(rc, ERR_OK);
        assert_null(set);
        if (strstr(err.text, bad[i].says) == NULL)
            fail_msg("%s\n  says: %s\n  without: %s", bad[i].text, err.text, bad[i].says);
    }
}

static void test_refuses_what_is_no_set_of_slots(void **state)
{
    (void)state;
    static const struct refusal bad[] = {
        {"", "p.json"},
        {"[]", "p.json"},
        {"{}", "slots"},
        {"{\"slots\": {}}", "at least one slot"},
        {"{\"slots\": 3}", "slots"},
        {"{\"slot\": {}}", "slots"},
        {"{\"slots\": {\"a b\": {\"sources\": [{\"source\": \"popular\"}]}}}", "slot name"},
        {"{\"slots\": {\"a\": {\"sources\": []}}}", "1..16"},
        {"{\"slots\": {\"a\": {}}}", "sources"},
        {"{\"default\": \"b\", \"slots\": {\"a\": {\"sources\": [{\"source\": \"popular\"}]}}}",
         "p.json:1:2: default: there is no slot 'b'"},
        {"{\"default\": \"hoem\",\n \"slots\": {\"home\": {\"sources\": [{\"source\": "
         "\"popular\"}]}}}",
         "p.json:1:2: default: there is no slot 'hoem', did you mean 'home'?"},
        {"{\"slots\": {\n  \"a\": {\n    \"sources\": [{\"source\": \"popular\"}],\n    "
         "\"bougth\": \"allow\"}}}",
         "p.json:4:5: slots.a: unknown key 'bougth', did you mean 'bought'?"},
        {"{\"slots\": {\n  \"a\": {\n    \"sources\": [{\"source\": \"repeat\",\n      "
         "\"weight\": \"much\"}]}}}",
         "p.json:4:7: slots.a.sources[0].weight: expected a number, got a string"},
        {"{\"slots\": {\n  \"a\": {\"fallback\": {\"slot\": \"b\"}, \"sources\": [{\"source\": "
         "\"popular\"}]}}}",
         "p.json:2:22: slots.a.fallback.slot: there is no other slot 'b'"},
        {"{\"version\": \"a b\", \"slots\": {\"a\": {\"sources\": [{\"source\": \"popular\"}]}}}",
         "version"},
    };
    expect_refusals(bad, sizeof bad / sizeof bad[0]);
}

static void test_refuses_bad_sources(void **state)
{
    (void)state;
    static const struct refusal bad[] = {
        {"{\"slots\": {\"a\": {\"sources\": [{\"source\": \"neighbours\"}]}}}", "'neighbors'"},
        {"{\"slots\": {\"a\": {\"sources\": [{\"source\": \"foo\"}]}}}",
         "unknown name 'foo', expected one of neighbors, factors, repeat, popular, model_popular, "
         "cart, list, candidates, trending, new, content"},
        {"{\"slots\": {\"a\": {\"sources\": [{\"source\": \"trending\", \"window\": \"7d\", "
         "\"baseline\": "
         "\"7d\"}]}}}",
         "'baseline' has to be longer"},
        {"{\"slots\": {\"a\": {\"sources\": [{\"source\": \"trending\", \"by\": \"segment\"}]}}}",
         "'attribute' goes with"},
        {"{\"slots\": {\"a\": {\"sources\": [{\"source\": \"trending\", \"attribute\": \"x\"}]}}}",
         "'attribute' goes with"},
        {"{\"slots\": {\"a\": {\"sources\": [{\"source\": \"trending\", \"by\": \"categori\"}]}}}",
         "'category'"},
        {"{\"slots\": {\"a\": {\"sources\": [{\"source\": \"popular\", \"baseline\": \"30d\"}]}}}",
         "only the source trending takes it"},
        {"{\"slots\": {\"a\": {\"sources\": [{\"source\": \"popular\"},\n"
         "{\"source\": \"repeat\"}]}}}",
         "p.json:2:1: slots.a.sources[1]: 'repeat' brings only what was bought before"},
        {"{\"slots\": {\"a\": {\"sources\": [{\"source\": \"repeat\", \"at_least\": 3, "
         "\"at_most\": 2}]}}}",
         "'at_least' is more than 'at_most'"},
        {"{\"slots\": {\"a\": {\"sources\": [{\"source\": \"new\", \"max_age\": \"5m\"}]}}}",
         "expected 1h to 366d"},
        {"{\"slots\": {\"a\": {\"sources\": [{\"source\": \"repeat\", \"since\": \"1.0\"}]}}}",
         "says nothing without 'interval'"},
        {"{\"slots\": {\"a\": {\"sources\": [{\"source\": \"repeat\", \"interval\": \"1 +\"}]}}}",
         "sources[0].interval: line 1, column 4"},
        {"{\"slots\": {\"a\": {\"sources\": [{\"source\": \"repeat\", \"half_life\": \"1d\"}]}}}",
         "half_life: only the source neighbors, content or embeddings takes it"},
        {"{\"slots\": {\"a\": {\"sources\": [{\"source\": \"neighbors\", \"half_life\": 3}]}}}",
         "half_life"},
        {"{\"slots\": {\"a\": {\"sources\": [{\"source\": \"neighbors\", \"half_life\": "
         "\"1s\"}]}}}",
         "expected 1m to 366d"},
        {"{\"slots\": {\"a\": {\"sources\": [{\"source\": \"repeat\", \"model\": \"m\"}]}}}",
         "uses no model"},
        {"{\"slots\": {\"a\": {\"sources\": [{\"source\": \"repeat\", \"weight\": -1}]}}}",
         "slots.a.sources[0].weight"},
        {"{\"slots\": {\"a\": {\"sources\": [{\"source\": \"neighbors\", \"history\": 1001}]}}}",
         "slots.a.sources[0].history"},
        {"{\"slots\": {\"a\": {\"sources\": [{\"source\": \"factors\", \"history\": 5}]}}}",
         "slots.a.sources[0].history"},
        {"{\"slots\": {\"a\": {\"sources\": [{\"source\": \"repeat\", \"count\": 0}]}}}",
         "slots.a.sources[0].count"},
        {"{\"slots\": {\"a\": {\"sources\": [{\"source\": \"popular\", \"window\": \"2d\"}]}}}",
         "window"},
        {"{\"slots\": {\"a\": {\"sources\": [{\"source\": \"factors\", \"model\": \"../x\"}]}}}",
         "model name"},
    };
    expect_refusals(bad, sizeof bad / sizeof bad[0]);
}

static void test_refuses_bad_lists(void **state)
{
    (void)state;
    static const struct refusal bad[] = {
        {"{\"slots\": {\"a\": {\"sources\": [{\"source\": \"list\"}]}}}",
         "sources[0].list: missing"},
        {"{\"lists\": {\"summer\": [\"x\"]}, \"slots\": {\"a\": {\"sources\": [{\"source\": "
         "\"list\","
         "\"list\": \"sumer\"}]}}}",
         "there is no list 'sumer', did you mean 'summer'?"},
        {"{\"lists\": {\"a b\": []}, \"slots\": {\"a\": {\"sources\": [{\"source\": "
         "\"popular\"}]}}}",
         "name of a list"},
        {"{\"lists\": {\"l\": [\"x\", 3]}, \"slots\": {\"a\": {\"sources\": [{\"source\": "
         "\"popular\"}]}}}",
         "lists.l[1]: expected the id of an item"},
        {"{\"list\": {}, \"slots\": {\"a\": {\"sources\": [{\"source\": \"popular\"}]}}}",
         "'lists'"},
    };
    expect_refusals(bad, sizeof bad / sizeof bad[0]);
}

static void test_refuses_bad_choices(void **state)
{
    (void)state;
    static const struct refusal bad[] = {
        {"{\"slots\": {\"a\": {\"diversity\": {\"mmr\": {\"lamda\": 1}}, \"sources\": "
         "[{\"source\": "
         "\"popular\"}]}}}",
         "'lambda'"},
        {"{\"slots\": {\"a\": {\"diversity\": {\"mmr\": {}}, \"sources\": [{\"source\": "
         "\"popular\"}]}}}",
         "diversity.mmr.lambda: missing"},
        {"{\"slots\": {\"a\": {\"diversity\": {\"mmr\": {\"lambda\": 0.5, \"by\": \"factors\"}}, "
         "\"sources\": [{\"source\": \"popular\"}]}}}",
         "needs a source of factors"},
        {"{\"slots\": {\"a\": {\"fallback\": {\"slot\": \"b\"}, \"sources\": [{\"source\": "
         "\"popular\"}]}}}",
         "slots.a.fallback.slot: there is no other slot 'b'"},
        {"{\"slots\": {\"a\": {\"fallback\": {\"slot\": \"a\"}, \"sources\": [{\"source\": "
         "\"popular\"}]}}}",
         "there is no other slot 'a'"},
        {"{\"slots\": {\"home\": {\"sources\": [{\"source\": \"popular\"}]}, \"a\": {\"fallback\": "
         "{\"slot\": "
         "\"hom\"}, \"sources\": [{\"source\": \"popular\"}]}}}",
         "did you mean 'home'?"},
        {"{\"slots\": {\"a\": {\"fallback\": {\"fewer_than\": 3}, \"sources\": [{\"source\": "
         "\"popular\"}]}}}",
         "give one of slot and level"},
        {"{\"slots\": {\"a\": {\"fallback\": {\"level\": \"full\"}, \"sources\": [{\"source\": "
         "\"popular\"}]}}}",
         "slots.a.fallback.level"},
        {"{\"slots\": {\"a\": {\"seen\": {\"within\": \"1h\"}, \"sources\": [{\"source\": "
         "\"popular\"}]}}}",
         "seen.since: missing"},
        {"{\"slots\": {\"a\": {\"seen\": {\"since\": \"1.0\"}, \"sources\": [{\"source\": "
         "\"popular\"}]}}}",
         "seen.within: missing"},
        {"{\"slots\": {\"a\": {\"seen\": {\"within\": \"1h\", \"since\": \"'a'\"}, \"sources\": "
         "[{\"source\": "
         "\"popular\"}]}}}",
         "seen.since: line 1, column 1"},
        {"{\"slots\": {\"a\": {\"budget_us\": {\"rankr\": 5}, \"sources\": [{\"source\": "
         "\"popular\"}]}}}",
         "'ranker'"},
        {"{\"slots\": {\"a\": {\"budget_us\": {\"mmr\": 0}, \"sources\": [{\"source\": "
         "\"popular\"}]}}}",
         "budget_us.mmr"},
        {"{\"slots\": {\"a\": {\"freshness\": {\"half_life\": \"1d\"}, \"sources\": [{\"source\": "
         "\"popular\"}]}}}",
         "freshness.boost: missing"},
        {"{\"slots\": {\"a\": {\"bought\": \"no\", \"sources\": [{\"source\": \"popular\"}]}}}",
         "slots.a.bought"},
        {"{\"slots\": {\"a\": {\"in_stok\": true, \"sources\": [{\"source\": \"popular\"}]}}}",
         "in_stock"},
    };
    expect_refusals(bad, sizeof bad / sizeof bad[0]);
}

/* No piece of a good file is a good file: a cut upload cannot be taken for a policy. */
static void test_every_truncation_is_refused(void **state)
{
    (void)state;
    for (size_t len = 0; len + 1 < sizeof good; len++) {
        struct policy_set *set = NULL;
        struct err err = {0};
        assert_int_not_equal(policy_parse("p.json", good, len, NULL, &set, &err), ERR_OK);
        assert_null(set);
    }
}

static void test_too_many_slots(void **state)
{
    (void)state;
    static char text[16384];
    size_t used = (size_t)snprintf(text, sizeof text, "{\"slots\": {");
    for (int i = 0; i <= POLICY_SLOTS_MAX; i++)
        used += (size_t)snprintf(text + used, sizeof text - used,
                                 "%s\"s%d\": {\"sources\": [{\"source\": \"popular\"}]}",
                                 i > 0 ? "," : "", i);
    used += (size_t)snprintf(text + used, sizeof text - used, "}}");
    struct policy_set *set = NULL;
    struct err err = {0};
    assert_int_equal(policy_parse("p.json", text, used, NULL, &set, &err), ERR_LIMIT);
    assert_non_null(strstr(err.text, "64"));
}

static void test_no_memory(void **state)
{
    (void)state;
    for (uint32_t n = 0;; n++) {
        struct policy_set *set = NULL;
        struct err err = {0};
        alloc_fail_after(n);
        enum err_code rc = policy_parse("p.json", good, sizeof good - 1, NULL, &set, &err);
        bool failed = alloc_fail_off();
        policy_destroy(&set);
        if (!failed) {
            assert_int_equal(rc, ERR_OK);
            break;
        }
        assert_int_not_equal(rc, ERR_OK);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_reads_what_is_written),
        cmocka_unit_test(test_refuses_what_is_no_set_of_slots),
        cmocka_unit_test(test_refuses_bad_sources),
        cmocka_unit_test(test_refuses_bad_lists),
        cmocka_unit_test(test_refuses_bad_choices),
        cmocka_unit_test(test_every_truncation_is_refused),
        cmocka_unit_test(test_too_many_slots),
        cmocka_unit_test(test_no_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
