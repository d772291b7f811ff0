/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka.h needs the four above */
#include <cmocka.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/cursor.h"
#include "base/pack.h"
#include "base/rand.h"
#include "tests/support/alloc_fail.h"

#define CHECK_BYTES(literal, max) \
    cursor_check((const uint8_t *)(literal), sizeof(literal) - 1, (max), &err)

static size_t sample(uint8_t *buf, size_t capacity)
{
    struct pack pack = pack_into(buf, capacity);
    pack_map(&pack, 5);
    pack_key(&pack, "op");
    pack_str(&pack, "recommend");
    pack_key(&pack, "n");
    pack_int(&pack, 20);
    pack_key(&pack, "seeds");
    pack_array(&pack, 3);
    pack_str(&pack, "a");
    pack_str(&pack, "caf\xC3\xA9");
    pack_str(&pack, "");
    pack_key(&pack, "w");
    pack_real(&pack, 0.25);
    pack_key(&pack, "bin");
    pack_bin(&pack, "\x00\xFF", 2);
    assert_false(pack.overflow);
    return pack.used;
}

static void test_a_message_is_read_as_it_was_written(void **state)
{
    (void)state;
    uint8_t buf[256];
    size_t len = sample(buf, sizeof buf);
    struct err err = {0};
    uint64_t allocations = alloc_count();
    assert_int_equal(cursor_check(buf, len, CURSOR_VALUES_MAX, &err), ERR_OK);
    struct cursor cursor = cursor_of(buf, len);
    uint32_t count = 0;
    struct text text;
    int64_t integer = 0;
    double real = 0;
    assert_int_equal(cursor_peek(&cursor), CURSOR_MAP);
    assert_false(cursor_array(&cursor, &count));
    assert_true(cursor_map(&cursor, &count));
    assert_int_equal(count, 5);
    assert_true(cursor_text(&cursor, &text));
    assert_true(text_is(text, "op"));
    assert_false(cursor_int(&cursor, &integer));
    assert_false(cursor_bin(&cursor, &text));
    assert_true(cursor_text(&cursor, &text));
    assert_true(text_is(text, "recommend"));
    cursor_skip(&cursor, NULL);
    assert_true(cursor_int(&cursor, &integer));
    assert_int_equal(integer, 20);
    cursor_skip(&cursor, NULL);
    cursor_skip(&cursor, &text); /* the whole array */
    assert_int_equal(text.len, 1 + 2 + 6 + 1);
    cursor_skip(&cursor, NULL);
    assert_false(cursor_int(&cursor, &integer));
    assert_true(cursor_real(&cursor, &real));
    assert_true(real == 0.25);
    cursor_skip(&cursor, NULL);
    assert_false(cursor_text(&cursor, &text));
    assert_true(cursor_bin(&cursor, &text));
    assert_int_equal(text.len, 2);
    assert_int_equal(cursor_peek(&cursor), CURSOR_END);
    assert_false(cursor_nil(&cursor));
    assert_int_equal(alloc_count(), allocations);
}

static void test_every_truncation_and_every_trailing_byte_is_refused(void **state)
{
    (void)state;
    uint8_t buf[256];
    size_t len = sample(buf, sizeof buf);
    struct err err = {0};
    for (size_t cut = 0; cut < len; cut++) {
        uint8_t *exact = malloc(cut == 0 ? 1 : cut); /* so that a read past the end is seen */
        memcpy(exact, buf, cut);
        assert_int_equal(cursor_check(exact, cut, CURSOR_VALUES_MAX, &err), ERR_BAD_INPUT);
        free(exact);
    }
    buf[len] = 0xC0;
    assert_int_equal(cursor_check(buf, len + 1, CURSOR_VALUES_MAX, &err), ERR_BAD_INPUT);
    assert_non_null(strstr(err.text, "follow"));
}

static void test_every_integer_form_is_read_exactly(void **state)
{
    (void)state;
    static const int64_t values[] = {0,
                                     1,
                                     127,
                                     128,
                                     255,
                                     256,
                                     65535,
                                     65536,
                                     INT64_C(4294967295),
                                     INT64_C(4294967296),
                                     INT64_MAX,
                                     -1,
                                     -32,
                                     -33,
                                     -128,
                                     -129,
                                     -32768,
                                     -32769,
                                     INT64_C(-2147483648),
                                     INT64_C(-2147483649),
                                     INT64_MIN};
    for (size_t i = 0; i < sizeof values / sizeof values[0]; i++) {
        uint8_t buf[16];
        struct pack pack = pack_into(buf, sizeof buf);
        pack_int(&pack, values[i]);
        struct cursor cursor = cursor_of(buf, pack.used);
        int64_t value = 7;
        double real = 7;
        uint64_t large = 7;
        assert_int_equal(cursor_check(buf, pack.used, 1, NULL), ERR_OK);
        struct cursor again = cursor;
        assert_true(cursor_real(&again, &real));
        assert_true(real == (double)values[i]);
        again = cursor;
        assert_int_equal(cursor_uint(&again, &large), values[i] >= 0);
        assert_true(cursor_int(&cursor, &value));
        assert_true(value == values[i]);
    }
    /* The signed forms of the specification that no packer of ours writes. */
    struct cursor cursor = cursor_of((const uint8_t *)"\xD3\x00\x00\x00\x00\x00\x00\x00\x05", 9);
    int64_t value = 0;
    assert_true(cursor_int(&cursor, &value));
    assert_int_equal(value, 5);
    cursor = cursor_of((const uint8_t *)"\xCF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF", 9);
    assert_false(cursor_int(&cursor, &value));
    double real = 0;
    struct cursor again = cursor;
    assert_true(cursor_real(&again, &real));
    assert_true(real == 18446744073709551615.0);
    uint64_t large = 0;
    assert_true(cursor_uint(&cursor, &large));
    assert_true(large == UINT64_MAX);
}

static void test_floats_are_finite_and_of_both_widths(void **state)
{
    (void)state;
    uint8_t buf[16];
    struct err err = {0};
    struct pack pack = pack_into(buf, sizeof buf);
    pack_real32(&pack, 0.5F);
    double real = 0;
    struct cursor cursor = cursor_of(buf, pack.used);
    assert_int_equal(pack.used, 5);
    assert_true(cursor_real(&cursor, &real));
    assert_true(real == 0.5);
    static const double bad[] = {INFINITY, -INFINITY, NAN};
    for (size_t i = 0; i < 3; i++) {
        pack = pack_into(buf, sizeof buf);
        pack_real(&pack, bad[i]);
        assert_int_equal(cursor_check(buf, pack.used, 1, &err), ERR_BAD_INPUT);
        cursor = cursor_of(buf, pack.used);
        assert_false(cursor_real(&cursor, &real));
        assert_int_equal(cursor_peek(&cursor), CURSOR_REAL);
        pack = pack_into(buf, sizeof buf);
        pack_real32(&pack, (float)bad[i]);
        assert_int_equal(cursor_check(buf, pack.used, 1, &err), ERR_BAD_INPUT);
    }
}

static void test_attacks_on_counts_depth_and_lengths_are_refused(void **state)
{
    (void)state;
    struct err err = {0};
    /* Eight bytes that promise 2^32 - 1 elements, alone and nested. */
    assert_int_equal(CHECK_BYTES("\xDD\xFF\xFF\xFF\xFF\xC0\xC0\xC0", 100), ERR_BAD_INPUT);
    assert_int_equal(CHECK_BYTES("\xDF\xFF\xFF\xFF\xFF\xA1k\xC0", 100), ERR_BAD_INPUT);
    assert_int_equal(CHECK_BYTES("\xDF\x80\x00\x00\x01\xA1k\xC0", 100), ERR_BAD_INPUT);
    /* Each count alone fits into the bytes left, both together do not. */
    assert_int_equal(CHECK_BYTES("\x93\x93\xC0\xC0\xC0\xC0\xC0", 100), ERR_OK);
    assert_int_equal(CHECK_BYTES("\x93\x93\xC0\xC0\xC0\xC0", 100), ERR_BAD_INPUT);
    assert_non_null(strstr(err.text, "promises"));
    /* Depth. */
    assert_int_equal(CHECK_BYTES("\x91\x91\x91\x91\x91\x91\x91\x91\xC0", 100), ERR_OK);
    uint8_t deep[CURSOR_DEPTH_MAX + 2];
    memset(deep, 0x91, sizeof deep);
    deep[CURSOR_DEPTH_MAX + 1] = 0xC0;
    assert_int_equal(cursor_check(deep, sizeof deep, 100, NULL), ERR_LIMIT);
    deep[CURSOR_DEPTH_MAX] = 0x90;
    assert_int_equal(cursor_check(deep, CURSOR_DEPTH_MAX + 1, 100, NULL), ERR_LIMIT);
    deep[CURSOR_DEPTH_MAX] = 0xC0;
    assert_int_equal(cursor_check(deep, CURSOR_DEPTH_MAX + 1, 100, NULL), ERR_OK);
    /* Number of values. */
    assert_int_equal(CHECK_BYTES("\x93\xC0\xC0\xC0", 4), ERR_OK);
    assert_int_equal(CHECK_BYTES("\x93\xC0\xC0\xC0", 3), ERR_LIMIT);
    assert_int_equal(CHECK_BYTES("\xC0", 0), ERR_LIMIT);
    /* Lengths. */
    assert_int_equal(CHECK_BYTES("\xDB\xFF\xFF\xFF\xFF"
                                 "abc",
                                 9),
                     ERR_BAD_INPUT);
    assert_int_equal(CHECK_BYTES("\xC6\xFF\xFF\xFF\xFF"
                                 "abc",
                                 9),
                     ERR_BAD_INPUT);
    assert_int_equal(CHECK_BYTES("\xA4"
                                 "abc",
                                 9),
                     ERR_BAD_INPUT);
    /* Texts, keys, extension types and the byte that is never used. */
    assert_int_equal(CHECK_BYTES("\xA2\xC3(", 9), ERR_BAD_INPUT);
    assert_int_equal(CHECK_BYTES("\x81\x01\x02", 9), ERR_BAD_INPUT);
    assert_non_null(strstr(err.text, "key"));
    assert_int_equal(CHECK_BYTES("\x82\xA1"
                                 "a\x02\xC0\x02",
                                 9),
                     ERR_BAD_INPUT);
    assert_int_equal(CHECK_BYTES("\x81\x91\xC0\x02", 9), ERR_BAD_INPUT);
    assert_int_equal(CHECK_BYTES("\xD4\x01\x02", 9), ERR_BAD_INPUT);
    assert_int_equal(CHECK_BYTES("\xC7\x01\x02\x03", 9), ERR_BAD_INPUT);
    assert_int_equal(CHECK_BYTES("\xC1", 9), ERR_BAD_INPUT);
    assert_string_equal(err.text, "MessagePack, byte 0 of 1: the type is not supported");
    /* Values nested in maps are not taken for keys. */
    assert_int_equal(CHECK_BYTES("\x82\xA1"
                                 "a\x92\x01\x02\xA1"
                                 "b\x81\xA1"
                                 "c\x03",
                                 99),
                     ERR_OK);
}

/* Reads whatever stands there with every typed read, as a handler would. */
static void walk(const uint8_t *bytes, size_t len)
{
    struct cursor cursor = cursor_of(bytes, len);
    while (cursor_peek(&cursor) != CURSOR_END) {
        const uint8_t *before = cursor.at;
        uint32_t count;
        struct text text;
        int64_t integer;
        double real;
        bool boolean;
        if (!cursor_nil(&cursor) && !cursor_bool(&cursor, &boolean) &&
            !cursor_int(&cursor, &integer) && !cursor_real(&cursor, &real) &&
            !cursor_text(&cursor, &text) && !cursor_bin(&cursor, &text) &&
            !cursor_array(&cursor, &count))
            assert_true(cursor_map(&cursor, &count));
        assert_true(cursor.at > before && cursor.at <= bytes + len);
    }
    assert_ptr_equal(cursor.at, bytes + len);
}

static void test_random_damage_never_leads_out_of_the_bytes(void **state)
{
    (void)state;
    struct rand rand;
    uint32_t accepted = 0;
    rand_init(&rand, 99);
    for (int round = 0; round < 100000; round++) {
        uint8_t buf[256];
        size_t len = sample(buf, sizeof buf);
        for (uint64_t i = 0; i <= rand_below(&rand, 3); i++)
            buf[rand_below(&rand, len)] = (uint8_t)rand_u64(&rand);
        uint8_t *exact = malloc(len);
        memcpy(exact, buf, len);
        if (cursor_check(exact, len, CURSOR_VALUES_MAX, NULL) == ERR_OK) {
            accepted++;
            walk(exact, len);
            struct cursor cursor = cursor_of(exact, len);
            cursor_skip(&cursor, NULL);
            assert_ptr_equal(cursor.at, exact + len);
        }
        free(exact);
    }
    assert_true(accepted > 1000); /* damage in texts often goes unnoticed */
}

static void test_pack_reports_what_does_not_fit(void **state)
{
    (void)state;
    uint8_t whole[256];
    size_t len = sample(whole, sizeof whole);
    for (size_t capacity = 0; capacity < 40; capacity++) {
        uint8_t *exact = malloc(capacity == 0 ? 1 : capacity);
        struct pack pack = pack_into(exact, capacity);
        size_t mark = pack_map_open(&pack);
        pack_key(&pack, "k");
        size_t inner = pack_array_open(&pack);
        pack_bin(&pack, whole, 10);
        char *to = pack_text_reserve(&pack, 4);
        if (to != NULL)
            memcpy(to, "text", 4);
        pack_array_close(&pack, inner, 2);
        pack_map_close(&pack, mark, 1);
        assert_int_equal(pack.overflow, capacity < 5 + 2 + 5 + 12 + 5);
        assert_true(pack.used <= capacity);
        if (!pack.overflow)
            assert_int_equal(cursor_check(exact, pack.used, 10, NULL), ERR_OK);
        free(exact);
    }
    uint8_t copy[256];
    struct pack pack = pack_into(copy, sizeof copy);
    pack_array(&pack, 4);
    pack_raw(&pack, whole, len);
    pack_str(&pack, NULL);
    pack_bool(&pack, true);
    pack_bool(&pack, false);
    assert_int_equal(cursor_check(copy, pack.used, 99, NULL), ERR_OK);
    bool boolean = false;
    struct cursor cursor = cursor_of(copy, pack.used);
    uint32_t count;
    assert_true(cursor_array(&cursor, &count));
    cursor_skip(&cursor, NULL);
    assert_true(cursor_nil(&cursor));
    assert_true(cursor_bool(&cursor, &boolean) && boolean);
    assert_true(cursor_bool(&cursor, &boolean) && !boolean);
    assert_string_equal(cursor_kind_name(CURSOR_INT), "an integer");
    assert_string_equal(cursor_kind_name(CURSOR_MAP), "a map");
}

/* In the forms that are read without a call, and in those that are not. */
static void test_counts_are_read_in_every_form(void **state)
{
    (void)state;
    const struct {
        struct text array, map;
        uint32_t count;
    } forms[] = {
        {TEXT_LITERAL("\x90"), TEXT_LITERAL("\x80"), 0},
        {TEXT_LITERAL("\x9f"), TEXT_LITERAL("\x8f"), 15},
        {TEXT_LITERAL("\xdc\x01\x02"), TEXT_LITERAL("\xde\x01\x02"), 0x102},
        {TEXT_LITERAL("\xdd\x01\x02\x03\x04"), TEXT_LITERAL("\xdf\x01\x02\x03\x04"), 0x1020304},
    };
    for (size_t i = 0; i < sizeof forms / sizeof forms[0]; i++) {
        const uint8_t *array_at = (const uint8_t *)forms[i].array.ptr;
        const uint8_t *map_at = (const uint8_t *)forms[i].map.ptr;
        for (uint32_t len = 0; len <= forms[i].array.len; len++) {
            struct cursor array = cursor_of(array_at, len), map = cursor_of(map_at, len);
            bool is_whole = len == forms[i].array.len;
            uint32_t count = 0;
            assert_false(cursor_usual_map(&array, &count) || cursor_usual_array(&map, &count));
            assert_int_equal(cursor_usual_array(&array, &count), is_whole);
            assert_int_equal(count, is_whole ? forms[i].count : 0);
            assert_int_equal(cursor_usual_map(&map, &count), is_whole);
            assert_ptr_equal(array.at, array_at + (is_whole ? len : 0));
            assert_ptr_equal(map.at, map_at + (is_whole ? len : 0));
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_message_is_read_as_it_was_written),
        cmocka_unit_test(test_every_truncation_and_every_trailing_byte_is_refused),
        cmocka_unit_test(test_every_integer_form_is_read_exactly),
        cmocka_unit_test(test_floats_are_finite_and_of_both_widths),
        cmocka_unit_test(test_attacks_on_counts_depth_and_lengths_are_refused),
        cmocka_unit_test(test_random_damage_never_leads_out_of_the_bytes),
        cmocka_unit_test(test_counts_are_read_in_every_form),
        cmocka_unit_test(test_pack_reports_what_does_not_fit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
