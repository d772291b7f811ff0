/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka.h needs the four above */
#include <cmocka.h>

#include "base/text.h"

static void test_utf8_accepts_every_scalar_value_and_no_surrogate(void **state)
{
    (void)state;
    for (uint32_t code = 0; code <= 0x110000; code++) {
        char buf[4];
        size_t len;
        if (code < 0x80) {
            buf[0] = (char)code;
            len = 1;
        } else if (code < 0x800) {
            buf[0] = (char)(0xC0 | (code >> 6));
            buf[1] = (char)(0x80 | (code & 63));
            len = 2;
        } else if (code < 0x10000) {
            buf[0] = (char)(0xE0 | (code >> 12));
            buf[1] = (char)(0x80 | ((code >> 6) & 63));
            buf[2] = (char)(0x80 | (code & 63));
            len = 3;
        } else {
            buf[0] = (char)(0xF0 | (code >> 18));
            buf[1] = (char)(0x80 | ((code >> 12) & 63));
            buf[2] = (char)(0x80 | ((code >> 6) & 63));
            buf[3] = (char)(0x80 | (code & 63));
            len = 4;
        }
        bool scalar = code <= 0x10FFFF && !(code >= 0xD800 && code <= 0xDFFF);
        assert_int_equal(text_is_utf8(buf, len), scalar);
        assert_int_equal(text_utf8_length(buf, len), scalar ? len : 0);
        if (len > 1) /* every truncation is refused */
            assert_false(text_is_utf8(buf, len - 1));
    }
}

static void test_utf8_refuses_malformed_bytes_wherever_they_stand(void **state)
{
    (void)state;
    static const char *const bad[] = {"\x80",
                                      "\xBF",
                                      "\xC0\x80",
                                      "\xC1\xBF",
                                      "\xE0\x9F\xBF",
                                      "\xED\xA0\x80",
                                      "\xF0\x8F\xBF\xBF",
                                      "\xF4\x90\x80\x80",
                                      "\xF5\x80\x80\x80",
                                      "\xFF",
                                      "\xFE",
                                      "\xC3(",
                                      "\xE2\x82",
                                      "\xE2(\xA1"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        for (size_t before = 0; before < 20; before++) {
            char buf[64];
            memset(buf, 'a', sizeof buf);
            memcpy(buf + before, bad[i], strlen(bad[i]));
            assert_false(text_is_utf8(buf, sizeof buf));
            assert_false(text_is_utf8(buf, before + strlen(bad[i])));
            memset(buf, 'a', sizeof buf);
            assert_true(text_is_utf8(buf, sizeof buf));
        }
    }
    assert_true(text_is_utf8("", 0));
    assert_true(text_is_utf8("caf\xC3\xA9 \xE2\x82\xAC \xF0\x9F\x9B\x92", 14));
}

static void test_ids_are_one_to_128_bytes_without_controls(void **state)
{
    (void)state;
    char buf[ID_BYTES_MAX + 1];
    memset(buf, 'x', sizeof buf);
    assert_true(text_is_id((struct text){buf, 1}));
    assert_true(text_is_id((struct text){buf, ID_BYTES_MAX}));
    assert_false(text_is_id((struct text){buf, ID_BYTES_MAX + 1}));
    assert_false(text_is_id((struct text){buf, 0}));
    assert_false(text_is_id((struct text){NULL, 0}));
    for (int c = 0; c < 128; c++) {
        buf[5] = (char)c;
        assert_int_equal(text_is_id((struct text){buf, 9}), c >= 0x20 && c != 0x7F);
    }
    assert_true(text_is_id(TEXT_LITERAL("sku \xC3\xA9")));
    assert_false(text_is_id(TEXT_LITERAL("sku \xC3")));
}

static void test_compare_orders_by_bytes_then_length(void **state)
{
    (void)state;
    assert_true(text_compare(TEXT_LITERAL("a"), TEXT_LITERAL("b")) < 0);
    assert_true(text_compare(TEXT_LITERAL("a"), TEXT_LITERAL("aa")) < 0);
    assert_true(text_compare(TEXT_LITERAL("b"), TEXT_LITERAL("aa")) > 0);
    assert_true(text_compare(TEXT_LITERAL("\xC3\xA9"), TEXT_LITERAL("z")) > 0);
    assert_int_equal(text_compare(TEXT_LITERAL("ab"), TEXT_LITERAL("ab")), 0);
    assert_int_equal(text_compare((struct text){NULL, 0}, TEXT_LITERAL("")), 0);
    assert_true(text_compare((struct text){NULL, 0}, TEXT_LITERAL("a")) < 0);
}

static void test_distance_is_levenshteins(void **state)
{
    (void)state;
    assert_int_equal(text_distance(TEXT_LITERAL("kitten"), TEXT_LITERAL("sitting")), 3);
    assert_int_equal(text_distance(TEXT_LITERAL("wieghts"), TEXT_LITERAL("weights")), 2);
    assert_int_equal(text_distance(TEXT_LITERAL(""), TEXT_LITERAL("abc")), 3);
    assert_int_equal(text_distance(TEXT_LITERAL("abc"), TEXT_LITERAL("")), 3);
    assert_int_equal(text_distance(TEXT_LITERAL("same"), TEXT_LITERAL("same")), 0);
    char a[100];
    char b[100];
    memset(a, 'a', sizeof a);
    memset(b, 'b', sizeof b);
    assert_int_equal(text_distance((struct text){a, 100}, (struct text){b, 100}),
                     TEXT_DISTANCE_BYTES);
}

static void test_copy_cuts_and_terminates(void **state)
{
    (void)state;
    char buf[4];
    assert_string_equal(text_copy(TEXT_LITERAL("ab"), buf, sizeof buf), "ab");
    assert_string_equal(text_copy(TEXT_LITERAL("abcdef"), buf, sizeof buf), "abc");
    assert_string_equal(text_copy((struct text){NULL, 0}, buf, sizeof buf), "");
    assert_string_equal(text_copy(TEXT_LITERAL("abc"), buf, 1), "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_utf8_accepts_every_scalar_value_and_no_surrogate),
        cmocka_unit_test(test_utf8_refuses_malformed_bytes_wherever_they_stand),
        cmocka_unit_test(test_ids_are_one_to_128_bytes_without_controls),
        cmocka_unit_test(test_compare_orders_by_bytes_then_length),
        cmocka_unit_test(test_distance_is_levenshteins),
        cmocka_unit_test(test_copy_cuts_and_terminates),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
