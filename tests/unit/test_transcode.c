/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka.h needs the four above */
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cursor.h"
#include "base/transcode.h"
#include "tests/support/alloc_fail.h"

static uint8_t packed[1 << 21];

/* JSON -> MessagePack -> JSON; the caller frees. */
static char *round_trip(const char *json, int indent)
{
    struct err err = {0};
    struct pack pack = pack_into(packed, sizeof packed);
    char *back = NULL;
    size_t len = 0;
    enum err_code rc = transcode_from_json(json, strlen(json), &pack, &err);
    if (rc != ERR_OK)
        print_error("%s: %s\n", json, err.text);
    assert_int_equal(rc, ERR_OK);
    assert_int_equal(cursor_check(packed, pack.used, UINT32_MAX, &err), ERR_OK);
    assert_int_equal(transcode_to_json(packed, pack.used, indent, &back, &len, &err), ERR_OK);
    assert_int_equal(strlen(back), len);
    return back;
}

static void assert_trip(const char *json, const char *expected)
{
    char *back = round_trip(json, 0);
    assert_string_equal(back, expected);
    free(back);
}

static void test_values_survive_the_round_trip(void **state)
{
    (void)state;
    static const char *const same[] = {"null",
                                       "true",
                                       "false",
                                       "0",
                                       "-1",
                                       "9223372036854775807",
                                       "-9223372036854775808",
                                       "9007199254740993",
                                       "1.0",
                                       "0.1",
                                       "-0.5",
                                       "1e+22",
                                       "1e-07",
                                       "\"\"",
                                       "\"a\"",
                                       "[]",
                                       "{}",
                                       "[[]]",
                                       "[{}]",
                                       "{\"a\":{}}",
                                       "[1,2,3]",
                                       "{\"a\":1,\"b\":[true,null,{\"c\":\"d\"}]}",
                                       "\"caf\xC3\xA9 \xF0\x9F\x9B\x92\"",
                                       "\"\\\"\\\\\\b\\f\\n\\r\\t\\u0000\\u001f\"",
                                       "[[[[[[[[1]]]]]]]]",
                                       "{\"\":0}",
                                       "-0.0"};
    for (size_t i = 0; i < sizeof same / sizeof same[0]; i++)
        assert_trip(same[i], same[i]);
    assert_trip(" [ 1 ,\t2\r\n] ", "[1,2]");
    assert_trip("9223372036854775808", "9223372036854775808");
    assert_trip("18446744073709551615", "18446744073709551615");
    assert_trip("18446744073709551616", "1.8446744073709552e+19");
    assert_trip("-9223372036854775809", "-9.223372036854776e+18");
    assert_trip("1.50e1", "15.0");
    assert_trip("-0", "0");
    assert_trip("\"\\u00e9\\u20AC\\ud83d\\uDED2\\/\"", "\"\xC3\xA9\xE2\x82\xAC\xF0\x9F\x9B\x92/\"");
    assert_trip("{\"a\\u0062\":1,\"A\":2}", "{\"ab\":1,\"A\":2}");
    assert_trip("[{\"a\":1},{\"a\":2},{\"b\":{\"a\":3},\"a\":4}]",
                "[{\"a\":1},{\"a\":2},{\"b\":{\"a\":3},\"a\":4}]");
}

static void test_indented_output(void **state)
{
    (void)state;
    char *back = round_trip("{\"a\":[1,{\"b\":[]}],\"c\":{}}", 2);
    assert_string_equal(back, "{\n  \"a\": [\n    1,\n    {\n      \"b\": []\n    }\n  ],\n"
                              "  \"c\": {}\n}");
    free(back);
}

static void test_binary_becomes_base64_and_large_numbers_stay_exact(void **state)
{
    (void)state;
    static const char *const expected[] = {
        "\"\"", "\"Zg==\"", "\"Zm8=\"", "\"Zm9v\"", "\"Zm9vYg==\"", "\"Zm9vYmE=\"", "\"Zm9vYmFy\""};
    char *back = NULL;
    size_t len = 0;
    for (uint32_t i = 0; i <= 6; i++) { /* the vectors of RFC 4648 section 10 */
        struct pack pack = pack_into(packed, sizeof packed);
        pack_bin(&pack, "foobar", i);
        assert_int_equal(transcode_to_json(packed, pack.used, 0, &back, &len, NULL), ERR_OK);
        assert_string_equal(back, expected[i]);
        free(back);
    }
    assert_int_equal(transcode_to_json((const uint8_t *)"\xCF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF", 9,
                                       0, &back, &len, NULL),
                     ERR_OK);
    assert_string_equal(back, "18446744073709551615");
    free(back);
    struct pack pack = pack_into(packed, sizeof packed);
    pack_array(&pack, 2);
    pack_real32(&pack, 0.1F);
    pack_real(&pack, 0.1F);
    assert_int_equal(transcode_to_json(packed, pack.used, 0, &back, &len, NULL), ERR_OK);
    assert_string_equal(back, "[0.1,0.10000000149011612]");
    free(back);
}

static const struct {
    const char *json;
    enum err_code code;
    const char *text; /* of the message */
} bad_inputs[] = {
    {"", ERR_BAD_INPUT, "line 1, column 1: the text ends too early"},
    {"  ", ERR_BAD_INPUT, "column 3"},
    {"nul", ERR_BAD_INPUT, "expected a value"},
    {"nulll", ERR_BAD_INPUT, "bytes follow"},
    {"True", ERR_BAD_INPUT, "expected a value"},
    {"NaN", ERR_BAD_INPUT, "expected a value"},
    {"Infinity", ERR_BAD_INPUT, "expected a value"},
    {"'a'", ERR_BAD_INPUT, "expected a value"},
    {"[1,]", ERR_BAD_INPUT, "column 4: expected a value"},
    {"[,1]", ERR_BAD_INPUT, "column 2"},
    {"[1 2]", ERR_BAD_INPUT, "expected ',' or ']'"},
    {"[1}", ERR_BAD_INPUT, "expected ',' or ']'"},
    {"{\"a\":1]", ERR_BAD_INPUT, "expected ',' or '}'"},
    {"{\"a\":1,}", ERR_BAD_INPUT, "column 8: expected a key"},
    {"{\"a\" 1}", ERR_BAD_INPUT, "expected ':'"},
    {"{\"a\":}", ERR_BAD_INPUT, "expected a value"},
    {"{1:2}", ERR_BAD_INPUT, "expected a key"},
    {"{a:2}", ERR_BAD_INPUT, "expected a key"},
    {"{", ERR_BAD_INPUT, "too early"},
    {"[", ERR_BAD_INPUT, "too early"},
    {"]", ERR_BAD_INPUT, "expected a value"},
    {"{\"a\":1,\n \"a\":2}", ERR_BAD_INPUT,
     "line 2, column 2: the key 'a' stands twice in one object"},
    {"{\"a\":1,\"\\u0061\":2}", ERR_BAD_INPUT, "the key '\\u0061' stands twice"},
    {"{\"123456789 123456789 123456789 123456789 1234567\u00e4\":1,"
     "\"123456789 123456789 123456789 123456789 1234567\u00e4\":1}",
     ERR_BAD_INPUT, "the key '123456789 123456789 123456789 123456789 1234567'... stands twice"},
    {"[1] []", ERR_BAD_INPUT, "bytes follow"},
    {"[1]\x01", ERR_BAD_INPUT, "bytes follow"},
    {"01", ERR_BAD_INPUT, "malformed"},
    {"-", ERR_BAD_INPUT, "malformed"},
    {"-a", ERR_BAD_INPUT, "malformed"},
    {"+1", ERR_BAD_INPUT, "expected a value"},
    {".5", ERR_BAD_INPUT, "expected a value"},
    {"1.", ERR_BAD_INPUT, "point"},
    {"1e", ERR_BAD_INPUT, "exponent"},
    {"1e+", ERR_BAD_INPUT, "exponent"},
    {"0x10", ERR_BAD_INPUT, "bytes follow"},
    {"1e400", ERR_BAD_INPUT, "too large"},
    {"\"abc", ERR_BAD_INPUT, "not closed"},
    {"\"abc\\", ERR_BAD_INPUT, "escape"},
    {"\"abc\\\"", ERR_BAD_INPUT, "not closed"},
    {"\"a\nb\"", ERR_BAD_INPUT, "control"},
    {"\"\\x\"", ERR_BAD_INPUT, "escape"},
    {"\"\\u12\"", ERR_BAD_INPUT, "escape"},
    {"\"\\u12g4\"", ERR_BAD_INPUT, "escape"},
    {"\"\\ud800\"", ERR_BAD_INPUT, "surrogate"},
    {"\"\\ud800\\u0041\"", ERR_BAD_INPUT, "surrogate"},
    {"\"\\udc00\"", ERR_BAD_INPUT, "surrogate"},
    {"\"\\ud800\\ud800\"", ERR_BAD_INPUT, "surrogate"},
    {"\"ab\xC3\"", ERR_BAD_INPUT, "column 4: a string is not UTF-8"},
    {"\"\xED\xA0\x80\"", ERR_BAD_INPUT, "UTF-8"},
    {"\xEF\xBB\xBF[]", ERR_BAD_INPUT, "expected a value"},
    {"/**/1", ERR_BAD_INPUT, "expected a value"},
    {"[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]", ERR_LIMIT,
     "column 33: objects and arrays are nested too deep"},
};

static void test_malformed_json_is_refused_with_its_place(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof bad_inputs / sizeof bad_inputs[0]; i++) {
        struct err err = {0};
        struct pack pack = pack_into(packed, sizeof packed);
        size_t len = strlen(bad_inputs[i].json);
        char *exact = malloc(len == 0 ? 1 : len); /* unterminated, as it comes from a socket */
        memcpy(exact, bad_inputs[i].json, len);
        enum err_code rc = transcode_from_json(exact, len, &pack, &err);
        if (rc != bad_inputs[i].code || strstr(err.text, bad_inputs[i].text) == NULL)
            print_error("%s: %d '%s'\n", bad_inputs[i].json, rc, err.text);
        assert_int_equal(rc, bad_inputs[i].code);
        assert_non_null(strstr(err.text, bad_inputs[i].text));
        free(exact);
    }
    const char nul[] = "[1\0]";
    struct pack pack = pack_into(packed, sizeof packed);
    assert_int_equal(transcode_from_json(nul, sizeof nul - 1, &pack, NULL), ERR_BAD_INPUT);
}

static void test_every_truncation_is_refused(void **state)
{
    (void)state;
    const char *json =
        "{\"a\\u00e9\":[1.5e3,-20,true,null,\"x\\ud83d\\uded2\"],\"b\":{\"c\":false}}";
    for (size_t len = 0; len < strlen(json); len++) {
        char *exact = malloc(len == 0 ? 1 : len);
        memcpy(exact, json, len);
        struct pack pack = pack_into(packed, sizeof packed);
        assert_int_equal(transcode_from_json(exact, len, &pack, NULL), ERR_BAD_INPUT);
        free(exact);
    }
    free(round_trip(json, 0));
}

/* {"k0":0,"k1":1,...}, optionally with one key twice. */
static char *many_keys(uint32_t count, bool twice)
{
    char *json = malloc((size_t)count * 24 + 32);
    size_t used = 0;
    json[used++] = '{';
    for (uint32_t i = 0; i < count; i++)
        used += (size_t)snprintf(json + used, 24, "%s\"k%u\":%u", i == 0 ? "" : ",", i, i);
    if (twice)
        used += (size_t)snprintf(json + used, 24, ",\"k%u\":0", count / 2);
    json[used++] = '}';
    json[used] = '\0';
    return json;
}

static void test_many_keys_are_told_apart_in_linear_time(void **state)
{
    (void)state;
    char *json = many_keys(60000, false);
    free(round_trip(json, 0));
    free(json);
    json = many_keys(60000, true);
    struct err err = {0};
    struct pack pack = pack_into(packed, sizeof packed);
    assert_int_equal(transcode_from_json(json, strlen(json), &pack, &err), ERR_BAD_INPUT);
    assert_non_null(strstr(err.text, "twice"));
    free(json);
    char long_key[1100];
    memset(long_key, 'k', sizeof long_key);
    memcpy(long_key, "{\"", 2);
    memcpy(long_key + 1026, "\":1}", 5);
    free(round_trip(long_key, 0));
    memcpy(long_key + 1026, "k\":1}", 6);
    assert_int_equal(transcode_from_json(long_key, strlen(long_key), &pack, &err), ERR_LIMIT);
}

static void test_failed_allocations_and_full_buffers_are_reported(void **state)
{
    (void)state;
    char *json = many_keys(500, false);
    size_t needed = 0;
    for (uint32_t n = 0;; n++) {
        struct pack pack = pack_into(packed, sizeof packed);
        alloc_fail_after(n);
        enum err_code rc = transcode_from_json(json, strlen(json), &pack, NULL);
        if (!alloc_fail_off()) {
            assert_int_equal(rc, ERR_OK);
            assert_true(n > 0);
            needed = pack.used;
            break;
        }
        assert_int_equal(rc, ERR_NOMEM);
    }
    char *back = NULL;
    size_t len = 0;
    for (uint32_t n = 0;; n++) {
        alloc_fail_after(n);
        enum err_code rc = transcode_to_json(packed, needed, 1, &back, &len, NULL);
        if (!alloc_fail_off()) {
            assert_int_equal(rc, ERR_OK);
            assert_true(n > 2);
            break;
        }
        assert_int_equal(rc, ERR_NOMEM);
        assert_null(back);
    }
    for (size_t capacity = 0; capacity < 60; capacity++) {
        struct pack pack = pack_into(packed, capacity);
        assert_int_equal(transcode_from_json(json, strlen(json), &pack, NULL), ERR_LIMIT);
    }
    free(back);
    free(json);
}

static void test_small_requests_allocate_nothing_on_the_way_in(void **state)
{
    (void)state;
    const char *json =
        "{\"op\":\"recommend\",\"user\":\"u\\u00e91\",\"n\":20,\"seeds\":[\"a\",\"b\"]}";
    struct pack pack = pack_into(packed, sizeof packed);
    uint64_t before = alloc_count();
    assert_int_equal(transcode_from_json(json, strlen(json), &pack, NULL), ERR_OK);
    assert_int_equal(alloc_count(), before);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_values_survive_the_round_trip),
        cmocka_unit_test(test_indented_output),
        cmocka_unit_test(test_binary_becomes_base64_and_large_numbers_stay_exact),
        cmocka_unit_test(test_malformed_json_is_refused_with_its_place),
        cmocka_unit_test(test_every_truncation_is_refused),
        cmocka_unit_test(test_many_keys_are_told_apart_in_linear_time),
        cmocka_unit_test(test_failed_allocations_and_full_buffers_are_reported),
        cmocka_unit_test(test_small_requests_allocate_nothing_on_the_way_in),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
