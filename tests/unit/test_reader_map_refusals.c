/* SPDX-License-Identifier: Apache-2.0 */
/* Which maps are refused and where, and their limits. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "featurestore/reader_map.h"
#include "tests/support/alloc_fail.h"

static void test_refuses_and_says_where(void **state)
{
    (void)state;
#define EVENTS(rest) "{\"events\": {\"id\": \"1\", \"type\": \"view\"" rest "}}"
#define KEEP(rest)   "{\"keep\": [" rest "], \"events\": {\"id\": \"1\", \"type\": \"view\"}}"
    static const struct {
        const char *map;
        const char *says; /* must be part of the message */
    } bad[] = {
        {"", "m.json"},
        {"[]", "m.json"},
        {"{}", "m.json: events: missing"},
        {"{\"items\": {\"id\": \"1\"}}", "m.json: events: missing"},
        {"{\"event\": {}}", "did you mean 'events'?"},
        {"{\"events\": {}}", "m.json: events.id: missing"},
        {"{\"events\": {\"id\": \"1\"}}", "m.json: events.type: missing"},
        {"{\"events\": {\"id\": \"\", \"type\": \"view\"}}", "events.id: expected a text"},
        {"{\"events\": {\"id\": \"1\", \"type\": \"purchas\"}}",
         "events.type: there is no type 'purchas', did you mean 'purchase'?"},
        {EVENTS(", \"usr\": \"x\""), "did you mean 'user'?"},
        {EVENTS(", \"user\": 7"), "m.json: events.user: expected a string"},
        {EVENTS(", \"user\": \"{a\""), "m.json: events.user: { without } at '{a'"},
        {EVENTS(", \"user\": \"{a{b}}\""), "{ without }"},
        {EVENTS(", \"user\": \"a}\""), "} without {"},
        {EVENTS(", \"user\": \"{}\""), "a column without a name"},
        {EVENTS(", \"user\": \"{|trim}\""), "a column without a name"},
        {EVENTS(", \"user\": \"{a|upper}\""), "expected {a|trim} or {a|integer}"},
        {EVENTS(", \"user\": \"{a}{b}{c}{d}{e}{f}{g}{h}{i}\""), "more than 8 pieces"},
        {EVENTS(", \"items\": {}"), "m.json: events.items: expected"},
        {EVENTS(", \"items\": []"), "expected one item, got 0"},
        {EVENTS(", \"items\": [{\"id\": \"1\"}, {\"id\": \"2\"}]"), "expected one item, got 2"},
        {EVENTS(", \"items\": [3]"), "m.json: events.items[0]: expected"},
        {EVENTS(", \"items\": [{\"sku\": \"1\"}]"), "events.items[0]: unknown key 'sku'"},
        {EVENTS(", \"items\": [{}]"), "m.json: events.items[0].id: missing"},
        {EVENTS(", \"props\": []"), "m.json: events.props: expected"},
        {EVENTS(", \"props\": {\"a\": 1}"), "m.json: events.props.a: expected"},
        {KEEP("1"), "m.json: keep[0]"},
        {KEEP("{\"column\": \"a\", \"not_empty\": true}"), "keep[0].name: missing"},
        {KEEP("{\"name\": \"a\", \"not_empty\": true}"), "keep[0].column: missing"},
        {KEEP("{\"name\": \"\", \"column\": \"a\", \"above\": 1}"), "keep[0].name: expected 1..63"},
        {KEEP("{\"name\": \"a\", \"column\": \"a\"}"), "keep[0]: expected one test"},
        {KEEP("{\"name\": \"a\", \"column\": \"a\", \"above\": 1, \"below\": 2}"), "got 2"},
        {KEEP("{\"name\": \"a\", \"column\": \"a\", \"not_empty\": false}"), "expected true"},
        {KEEP("{\"name\": \"a\", \"column\": \"a\", \"above\": \"1\"}"), "keep[0].above"},
        {KEEP("{\"name\": \"a\", \"column\": \"a\", \"one_of\": [1]}"), "expected texts only"},
        {KEEP("{\"name\": \"a\", \"column\": \"a\", \"abov\": 1}"), "did you mean 'above'?"},
        {"{\"time\": \"%s\", \"events\": {}}", "m.json: time: expected iso, unix"},
        {"{\"time\": \"ISO\", \"events\": {}}", "m.json: time: expected iso, unix"},
        {"{\"money\": \"float\", \"events\": {}}", "m.json: money: expected decimal or minor"},
        {"{\"delimiter\": \"\", \"events\": {}}", "m.json: delimiter: expected one character"},
        {"{\"delimiter\": \"::\", \"events\": {}}", "m.json: delimiter: expected one character"},
        {"{\"delimiter\": \"\\\"\", \"events\": {}}", "m.json: delimiter: expected one character"},
        {"{\"types\": {\"a\": 1}, \"events\": {}}", "m.json: types: expected texts only"},
        {"{\"columns\": {\"a\": \"b\"}, \"events\": {}}", "m.json: columns: expected"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct reader_map *map = NULL;
        struct err err = {0};
        assert_int_not_equal(
            reader_map_parse("m.json", bad[i].map, strlen(bad[i].map), READER_EVENTS, &map, &err),
            ERR_OK);
        assert_null(map);
        if (strstr(err.text, bad[i].says) == NULL)
            fail_msg("%s\n  says: %s\n  without: %s", bad[i].map, err.text, bad[i].says);
    }
}

static void test_limits_of_columns_rules_and_extras(void **state)
{
    (void)state;
    static const struct {
        const char *before, *each, *after;
        uint32_t max;
    } cases[] = {
        {"{\"keep\": [", "{\"name\": \"a\", \"column\": \"c\", \"below\": %u}",
         "], \"events\": {\"id\": \"1\", \"type\": \"view\"}}", READER_RULES_MAX},
        {"{\"events\": {\"id\": \"1\", \"type\": \"view\", \"props\": {", "\"p%u\": \"x\"", "}}}",
         MAP_EXTRAS_MAX},
        {"{\"events\": {\"id\": \"1\", \"type\": \"view\", \"props\": {",
         "\"p%1$u\": "
         "\"{a%1$u}{b%1$u}\"",
         "}}}", MAP_COLUMNS_MAX / 2},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        for (uint32_t extra = 0; extra < 2; extra++) {
            char text[8192];
            struct reader_map *map = NULL;
            struct err err = {0};
            size_t used = (size_t)snprintf(text, sizeof text, "%s", cases[i].before);
            for (uint32_t n = 0; n < cases[i].max + extra; n++) {
                used += (size_t)snprintf(text + used, sizeof text - used, "%s", n == 0 ? "" : ",");
                used += (size_t)snprintf(text + used, sizeof text - used, cases[i].each, n);
                assert_in_range(used, 1, sizeof text - 1);
            }
            used += (size_t)snprintf(text + used, sizeof text - used, "%s", cases[i].after);
            assert_in_range(used, 1, sizeof text - 1);
            enum err_code rc = reader_map_parse("m", text, strlen(text), READER_EVENTS, &map, &err);
            assert_int_equal(rc, extra == 0 ? ERR_OK : ERR_LIMIT);
            reader_map_destroy(&map);
        }
    }
}

static void test_no_memory(void **state)
{
    (void)state;
    static const char text[] = EVENTS(", \"user\": \"{u}\"");
    for (uint32_t n = 0;; n++) {
        struct reader_map *map = NULL;
        struct err err = {0};
        alloc_fail_after(n);
        enum err_code rc = reader_map_parse("m", text, sizeof text - 1, READER_EVENTS, &map, &err);
        bool failed = alloc_fail_off();
        reader_map_destroy(&map);
        if (!failed) {
            assert_int_equal(rc, ERR_OK);
            assert_true(n > 0);
            break;
        }
        assert_int_equal(rc, ERR_NOMEM);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_refuses_and_says_where),
        cmocka_unit_test(test_limits_of_columns_rules_and_extras),
        cmocka_unit_test(test_no_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
