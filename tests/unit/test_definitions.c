/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka.h needs the four above */
#include <cmocka.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/buffer.h"
#include "featurestore/definitions.h"
#include "tests/support/alloc_fail.h"

static struct err err;

static struct definitions *parse(const char *features)
{
    char file[4096];
    struct definitions *definitions = NULL;
    int len = snprintf(file, sizeof file, "{\"version\": \"v1\", \"features\": {%s}}", features);
    assert_in_range(len, 1, sizeof file - 1);
    err.text[0] = '\0';
    enum err_code rc = definitions_parse("features.json", file, (size_t)len, &definitions, &err);
    assert_int_equal(rc == ERR_OK, definitions != NULL);
    return definitions;
}

static void assert_refused(const char *features, const char *expected)
{
    struct definitions *definitions = parse(features);
    if (definitions != NULL)
        fail_msg("%s: was accepted", features);
    if (strstr(err.text, expected) == NULL)
        fail_msg("%s: expected \"%s\", got \"%s\"", features, expected, err.text);
    assert_null(strstr(err.text, "(null)"));
}

static const char every_kind[] =
    "\"user.tier\": {\"kind\": \"attribute\", \"attribute\": \"tier\", \"values\": {\"gold\": 2}},"
    "\"item.cost_now\": {\"kind\": \"attribute\", \"column\": \"cost\"},"
    "\"user.views_7d\": {\"kind\": \"count\", \"events\": [\"view\", \"custom:peek\"], "
    "  \"window\": \"7d\", \"default\": 0, \"max_age\": \"30d\"},"
    "\"user_category.spent\": {\"kind\": \"sum\", \"events\": [\"purchase\"], "
    "  \"value\": \"amount\", \"window\": \"30d\"},"
    "\"brand.price_mean\": {\"kind\": \"mean\", \"events\": [\"view\"], \"value\": \"price\"},"
    "\"slot.rating_min\": {\"kind\": \"min\", \"events\": [\"rate\"], \"value\": \"props.stars\"},"
    "\"slot.rating_max\": {\"kind\": \"max\", \"events\": [\"rate\"], \"value\": \"props.stars\"},"
    "\"item.people\": {\"kind\": \"distinct\", \"events\": [\"view\"], \"value\": \"user\"},"
    "\"query_item.clicks\": {\"kind\": \"decayed\", \"events\": [\"click\"], "
    "  \"half_life\": \"7d\", \"where\": {\"device\": [\"app\", \"web\"], \"bot\": false, "
    "  \"rank\": {\"at_least\": 1, \"below\": 50}}},"
    "\"user.bought\": {\"kind\": \"last\", \"events\": [\"purchase\"], \"value\": \"item\", "
    "  \"n\": 10},"
    "\"user_item.age\": {\"kind\": \"since\", \"events\": [\"view\"]},"
    "\"user.gap\": {\"kind\": \"interval\", \"events\": [\"view\"]},"
    "\"item.shown\": {\"kind\": \"count\", \"events\": [\"impression\"], \"window\": \"7d\"},"
    "\"item.clicked\": {\"kind\": \"count\", \"events\": [\"click\"], \"window\": \"7d\"},"
    "\"item.ctr\": {\"kind\": \"ratio\", \"of\": \"item.clicked\", \"per\": \"item.shown\", "
    "  \"prior\": [1, 20]},"
    "\"item.sell_through\": {\"kind\": \"ratio\", \"of\": \"item.purchases_30d\", "
    "  \"per\": [\"item.purchases_30d\", \"item.stock\"]}";

static const struct definition *find(const struct definitions *definitions, const char *name)
{
    const struct definition *definition = definitions_find(definitions, text_of(name));
    if (definition == NULL)
        fail_msg("%s is not there", name);
    return definition;
}

static void test_every_kind_is_read(void **unused)
{
    (void)unused;
    struct definitions *definitions = parse(every_kind);
    if (definitions == NULL)
        fail_msg("%s", err.text);
    assert_string_equal(definitions->version, "v1");
    assert_int_equal(definitions->count, 16);
    const struct definition *views = find(definitions, "user.views_7d");
    assert_int_equal(views->kind, FEATURE_KIND_count);
    assert_int_equal(views->types, UINT64_C(1) << EVENT_view);
    assert_string_equal(views->lists->custom[0], "peek");
    assert_int_equal(views->bytes, 4 + 7 * 4);
    assert_int_equal(views->max_age_s, 30 * 86400);
    assert_true(views->fallback == 0.0);
    const struct definition *clicks = find(definitions, "query_item.clicks");
    assert_int_equal(clicks->lists->condition_count, 3);
    assert_string_equal(clicks->lists->condition[0].value[1].text, "web");
    assert_null(clicks->lists->condition[1].value[0].text);
    assert_true(clicks->lists->condition[2].below == 50.0 &&
                clicks->lists->condition[2].at_least == 1.0);
    assert_true(isnan(clicks->fallback));
    assert_int_equal(clicks->half_life_s, 7 * 86400);
    const struct definition *through = find(definitions, "item.sell_through");
    assert_true(through->upper.is_builtin && through->lower[1].is_builtin);
    assert_int_equal(through->lower_count, 2);
    const struct definition *ctr = find(definitions, "item.ctr");
    assert_ptr_equal(&definitions->definition[ctr->upper.id], find(definitions, "item.clicked"));
    assert_int_equal(ctr->bytes, 0);
    assert_true(definition_is_list_of_ids(find(definitions, "user.bought")));
    assert_null(definitions_find(definitions, TEXT_LITERAL("user.none")));
    definitions_destroy(&definitions);
}

#define COUNT(members) "\"user.x\": {\"kind\": \"count\", \"events\": [\"view\"]" members "}"

static const struct {
    const char *features, *expected;
} wrong[] = {
    {"\"views\": {}", "features.views: expected a name KEY.NAME"},
    {"\"user.Views\": {}", "NAME of a-z, 0-9 and _"},
    {"\"usr.views\": {}", "'usr' is no key of features, did you mean 'user'?"},
    {"\"item.price\": {}", "features.item.price: is a feature of the store's own"},
    {"\"user.x\": 3", "features.user.x: expected an object"},
    {"\"user.x\": {}", "features.user.x.kind: missing"},
    {"\"user.x\": {\"kind\": \"cuont\"}", "unknown name 'cuont', did you mean 'count'?"},
    {"\"user.x\": {\"kind\": \"frequency\"}", "expected one of attribute, count, sum"},
    {COUNT(", \"widnow\": \"7d\""), "unknown key 'widnow', did you mean 'window'?"},
    {COUNT(", \"half_life\": \"7d\""), "unknown key 'half_life'"},
    {COUNT(", \"window\": \"7w\""), "user.x.window: expected a time like"},
    {COUNT(", \"window\": 7"), "user.x.window: expected a string"},
    {COUNT(", \"window\": \"59s\""), "expected 1m to 90d, got '59s'"},
    {COUNT(", \"window\": \"91d\""), "expected 1m to 90d, got '91d'"},
    {COUNT(", \"window\": \"99999999999d\""), "user.x.window: expected a time like"},
    {COUNT(", \"window\": \"5399m\""), "cannot be cut into 7..100 equal tiles"},
    {COUNT(", \"window\": \"7d\", \"tile\": \"5d\""), "cuts the window into 2..100"},
    {COUNT(", \"window\": \"7d\", \"tile\": \"1h\""), "cuts the window into 2..100"},
    {COUNT(", \"tile\": \"1h\""), "user.x.tile: needs a window"},
    {COUNT(", \"max_age\": \"0s\""), "expected 1s to 3650d"},
    {COUNT(", \"default\": \"0\""), "user.x.default: expected a number"},
    {COUNT(", \"where\": {\"a\": {\"under\": 1}}"), "where.a: unknown key 'under'"},
    {COUNT(", \"where\": {\"a\": {}}"), "at least one of at_least"},
    {COUNT(", \"where\": {\"a\": []}"), "expected 1..16 values, got 0"},
    {COUNT(", \"where\": {\"a\": null}"), "expected a text, a number or a boolean"},
    {COUNT(", \"where\": {\"a\":1,\"b\":1,\"c\":1,\"d\":1,\"e\":1}"), "more than 4 conditions"},
    {"\"user.x\": {\"kind\": \"count\"}", "user.x.events: missing"},
    {"\"user.x\": {\"kind\": \"count\", \"events\": []}", "expected a list of event types"},
    {"\"user.x\": {\"kind\": \"count\", \"events\": [\"veiw\"]}", "did you mean 'view'?"},
    {"\"user.x\": {\"kind\": \"count\", \"events\": [\"forget\"]}", "a person's record"},
    {"\"user.x\": {\"kind\": \"count\", \"events\": [\"custom:\"]}", "expected custom:NAME"},
    {"\"user.x\": {\"kind\": \"sum\", \"events\": [\"view\"]}", "user.x.value: missing"},
    {"\"user.x\": {\"kind\": \"sum\", \"events\": [\"view\"], \"value\": \"item\"}",
     "expected a number: price, qty"},
    {"\"user.x\": {\"kind\": \"distinct\", \"events\": [\"view\"], \"value\": \"price\"}",
     "expected one of item, category"},
    {"\"user.x\": {\"kind\": \"distinct\", \"events\": [\"view\"], \"value\": \"item\", "
     "\"precision\": 13}",
     "precision: must be 4..12 (got 13)"},
    {"\"user.x\": {\"kind\": \"distinct\", \"events\": [\"view\"], \"value\": \"item\", "
     "\"precision\": 12, \"window\": \"7d\"}",
     "its state takes 28676 bytes of at most 16384"},
    {"\"user.x\": {\"kind\": \"last\", \"events\": [\"view\"], \"value\": \"session\"}",
     "a list holds numbers, items, categories or brands"},
    {"\"user.x\": {\"kind\": \"last\", \"events\": [\"view\"], \"value\": \"item\", \"n\": 0}",
     "user.x.n: "},
    {"\"user.x\": {\"kind\": \"decayed\", \"events\": [\"view\"]}", "half_life: missing"},
    {"\"brand.x\": {\"kind\": \"attribute\", \"attribute\": \"a\"}",
     "only users and items have attributes"},
    {"\"user.x\": {\"kind\": \"attribute\"}", "needs either `attribute` or `column`"},
    {"\"user.x\": {\"kind\": \"attribute\", \"column\": \"cost\"}", "only items have columns"},
    {"\"item.x\": {\"kind\": \"attribute\", \"column\": \"brand\"}", "needs `values`"},
    {"\"item.x\": {\"kind\": \"ratio\", \"of\": \"item.price\"}", "item.x.per: missing"},
    {"\"item.x\": {\"kind\": \"ratio\", \"of\": \"item.y\", \"per\": \"item.price\"}",
     "there is no feature 'item.y'"},
    {"\"item.x\": {\"kind\": \"ratio\", \"of\": \"item.x\", \"per\": \"item.price\"}",
     "expected a number that is no ratio"},
    {"\"item.x\": {\"kind\": \"ratio\", \"of\": \"user.items\", \"per\": \"item.price\"}",
     "expected a feature of the key item"},
    {COUNT() ", \"item.x\": {\"kind\": \"ratio\", \"of\": \"user.x\", \"per\": "
             "\"item.price\"}",
     "expected a feature of the key item, got 'user.x'"},
    {"\"item.x\": {\"kind\": \"ratio\", \"of\": \"item.cost\", \"per\": \"item.price\", "
     "\"prior\": [1]}",
     "expected [hits, misses], got 1 values"},
    {COUNT() "," COUNT(), "user.x"},
};
#undef COUNT

static void test_what_is_wrong_is_named(void **unused)
{
    (void)unused;
    for (uint32_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
        assert_refused(wrong[i].features, wrong[i].expected);
}

static void test_lines_and_columns_are_told(void **unused)
{
    (void)unused;
    static const struct {
        const char *features, *expected;
    } placed[] = {
        {"\n  // views\n  \"user.x\": {\"kind\": \"count\",\n    \"events\": [\"view\", \"veiw\"]}",
         "features.json:4:24: features.user.x.events[1]: unknown name 'veiw'"},
        {"\n  \"user.x\": 3", "features.json:2:3: features.user.x: expected an object"},
        {"\n\n\"item.x\": {\"kind\": \"ratio\", \"of\": \"item.y\", \"per\": \"item.price\"}",
         "features.json:3:29: features.item.x.of: "},
        {"\"user.y\": {\"kind\": \"count\", \"events\": [\"view\"]},\n"
         "\"user.x\": {\"kind\": \"distinct\", \"events\": [\"view\"], \"value\": \"item\", "
         "\"precision\": 12, \"window\": \"7d\"}",
         "features.json:2:1: features.user.x: its state takes 28676 bytes of at most 16384"},
        {"\n\"user.x\": {]", "features.json:2:12: "},
    };
    for (uint32_t i = 0; i < sizeof placed / sizeof placed[0]; i++) {
        assert_refused(placed[i].features, placed[i].expected);
        assert_int_equal(strncmp(err.text, placed[i].expected, strlen(placed[i].expected)), 0);
    }
}

static uint64_t state_hash(const char *members)
{
    char features[512];
    snprintf(features, sizeof features, "\"user.x\": {%s}", members);
    struct definitions *definitions = parse(features);
    if (definitions == NULL)
        fail_msg("%s", err.text);
    uint64_t hash = definitions->definition[0].state_hash;
    definitions_destroy(&definitions);
    return hash;
}

static void test_the_state_hash_covers_what_decides_the_state_and_nothing_else(void **unused)
{
    (void)unused;
#define COUNT "\"kind\": \"count\", \"events\": [\"view\", \"click\"], \"window\": \"7d\""
    uint64_t hash = state_hash(COUNT);
    assert_true(hash == state_hash(COUNT ", \"default\": 5, \"max_age\": \"1d\""));
    assert_true(hash == state_hash(COUNT ", \"tile\": \"24h\""));
    assert_true(hash ==
                state_hash("\"window\": \"168h\", \"events\": [\"click\", \"view\"], \"kind\": "
                           "\"count\""));
    static const char *const others[] = {
        COUNT ", \"tile\": \"12h\"",
        COUNT ", \"where\": {\"a\": 1}",
        COUNT ", \"where\": {\"a\": \"1\"}",
        COUNT ", \"where\": {\"a\": {\"above\": 1}}",
        COUNT ", \"where\": {\"a\": {\"at_least\": 1}}",
        "\"kind\": \"count\", \"events\": [\"view\"], \"window\": \"7d\"",
        "\"kind\": \"count\", \"events\": [\"view\", \"click\"]",
        "\"kind\": \"count\", \"events\": [\"view\", \"click\", \"custom:a\"], \"window\": \"7d\"",
        "\"kind\": \"since\", \"events\": [\"view\", \"click\"]",
        "\"kind\": \"attribute\", \"attribute\": \"a\"",
        "\"kind\": \"attribute\", \"attribute\": \"b\"",
        "\"kind\": \"attribute\", \"attribute\": \"a\", \"values\": {\"x\": 1}",
    };
    for (uint32_t i = 0; i < sizeof others / sizeof others[0]; i++) {
        assert_true(state_hash(others[i]) != hash);
        for (uint32_t j = 0; j < i; j++)
            assert_true(state_hash(others[i]) != state_hash(others[j]));
    }
#undef COUNT
}

static void test_the_order_in_the_file_does_not_matter(void **unused)
{
    (void)unused;
#define A "\"user.a\": {\"kind\": \"count\", \"events\": [\"view\"]}"
#define B "\"user.b\": {\"kind\": \"since\", \"events\": [\"view\"]}"
#define R "\"user.r\": {\"kind\": \"ratio\", \"of\": \"user.a\", \"per\": \"user.a\"}"
    struct definitions *one = parse(A "," B);
    struct definitions *two = parse(R "," B "," A);
    struct definitions *three = parse(B);
    assert_true(one->layout_hash[KEY_user] == two->layout_hash[KEY_user]);
    assert_true(one->layout_hash[KEY_user] != three->layout_hash[KEY_user]);
    assert_int_equal(one->block_bytes[KEY_user], 12);
    assert_int_equal(one->block_bytes[KEY_item], 0);
    definitions_destroy(&one);
    definitions_destroy(&two);
    definitions_destroy(&three);
#undef A
#undef B
#undef R
}

static void test_there_are_at_most_so_many(void **unused)
{
    (void)unused;
    struct buffer text = {0};
    struct definitions *definitions = NULL;
    buffer_put_str(&text, "{\"features\": {");
    for (uint32_t i = 0; i <= DEFINITIONS_MAX; i++)
        buffer_put_fmt(&text, "%s\"user.f%u\": {\"kind\": \"since\", \"events\": [\"view\"]}",
                       i == 0 ? "" : ",", i);
    buffer_put_str(&text, "}}");
    assert_int_equal(definitions_parse("features.json", text.bytes, text.used, &definitions, &err),
                     ERR_LIMIT);
    assert_non_null(strstr(err.text, "257 features of at most 256"));
    buffer_deinit(&text);
}

static void test_running_out_of_memory_is_an_error(void **unused)
{
    (void)unused;
    char file[4096];
    struct definitions *definitions = NULL;
    uint32_t refused = 0;
    cJSON_Hooks hooks = {malloc, free};
    int len = snprintf(file, sizeof file, "{\"features\": {%s}}", every_kind);
    cJSON_InitHooks(&hooks);
    for (uint32_t n = 0;; n++) {
        alloc_fail_after(n);
        enum err_code rc = definitions_parse("f", file, (size_t)len, &definitions, &err);
        if (!alloc_fail_off()) {
            assert_int_equal(rc, ERR_OK);
            break;
        }
        /* Without memory for the keys of the second pass only the places are lost. */
        assert_int_equal(rc == ERR_OK, definitions != NULL);
        refused += rc != ERR_OK;
        definitions_destroy(&definitions);
    }
    assert_in_range(refused, 100, UINT32_MAX);
    definitions_destroy(&definitions);
    cJSON_InitHooks(NULL);
}

static void test_the_example_is_good(void **unused)
{
    (void)unused;
    char path[4096];
    struct definitions *definitions = NULL;
    snprintf(path, sizeof path, "%s/deploy/features.json", getenv("DECIDED_SOURCE"));
    if (definitions_parse_file(path, &definitions, &err) != ERR_OK)
        fail_msg("%s", err.text);
    assert_non_null(definitions_find(definitions, TEXT_LITERAL("item.sell_through")));
    definitions_destroy(&definitions);
    assert_int_equal(definitions_parse_file("/nowhere/features.json", &definitions, &err),
                     ERR_NOT_FOUND);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_kind_is_read),
        cmocka_unit_test(test_what_is_wrong_is_named),
        cmocka_unit_test(test_lines_and_columns_are_told),
        cmocka_unit_test(test_the_state_hash_covers_what_decides_the_state_and_nothing_else),
        cmocka_unit_test(test_the_order_in_the_file_does_not_matter),
        cmocka_unit_test(test_there_are_at_most_so_many),
        cmocka_unit_test(test_the_example_is_good),
        cmocka_unit_test(test_running_out_of_memory_is_an_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
