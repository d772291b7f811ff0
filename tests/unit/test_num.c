/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka.h needs the four above */
#include <cmocka.h>

#include <locale.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/num.h"
#include "base/rand.h"

static void test_integers_are_whole_and_within_range(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int64_t value;
    } good[] = {{"0", 0},
                {"-0", 0},
                {"007", 7},
                {"42", 42},
                {"-42", -42},
                {"9223372036854775807", INT64_MAX},
                {"-9223372036854775808", INT64_MIN}};
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        int64_t value = 1;
        assert_true(num_parse_int(text_of(good[i].text), INT64_MIN, INT64_MAX, &value));
        assert_true(value == good[i].value);
    }
    static const char *const bad[] = {"",
                                      "-",
                                      "+1",
                                      " 1",
                                      "1 ",
                                      "1.0",
                                      "1e3",
                                      "0x10",
                                      "--1",
                                      "1-",
                                      "9223372036854775808",
                                      "-9223372036854775809",
                                      "99999999999999999999999",
                                      "\xD9\xA1"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        int64_t value = 77;
        assert_false(num_parse_int(text_of(bad[i]), INT64_MIN, INT64_MAX, &value));
        assert_int_equal(value, 77);
    }
    int64_t value = 77;
    assert_true(num_parse_int(TEXT_LITERAL("10"), 1, 10, &value));
    assert_false(num_parse_int(TEXT_LITERAL("11"), 1, 10, &value));
    assert_false(num_parse_int(TEXT_LITERAL("0"), 1, 10, &value));
    assert_false(num_parse_int((struct text){"1\0002", 3}, 0, 100, &value));
    assert_false(num_parse_int((struct text){NULL, 0}, 0, 100, &value));
    assert_int_equal(value, 10);
}

static void test_reals_are_rounded_as_strtod_does(void **state)
{
    (void)state;
    static const char *const good[] = {"0",
                                       "-0",
                                       "1",
                                       "-1.5",
                                       ".5",
                                       "5.",
                                       "1e3",
                                       "1E+3",
                                       "1e-3",
                                       "0.1",
                                       "123456789012345678",
                                       "179769313486231570000000000000000000000e270",
                                       "1.7976931348623157e308",
                                       "5e-324",
                                       "2.2250738585072011e-308",
                                       "1e-400",
                                       "1e22",
                                       "1e23",
                                       "9007199254740993",
                                       "0.30000000000000004",
                                       "123456789012345e22",
                                       "8.5e-22",
                                       "000000000000000000000000000001.5",
                                       "0e999999",
                                       "0.000000001",
                                       "9007199254740992.5",
                                       "4.35",
                                       "1e-99999999999"};
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        double value = 7;
        assert_true(num_parse_real(text_of(good[i]), &value));
        double expected = strtod(good[i], NULL);
        assert_memory_equal(&value, &expected, sizeof value);
    }
    static const char *const bad[] = {"",       "-",     ".",   "-.",       "+1",
                                      " 1",     "1 ",    "1e",  "1e+",      "e5",
                                      "1.2.3",  "inf",   "nan", "Infinity", "1e309",
                                      "-1e400", "0x1p3", "1,5", "1_000",    "1e99999999999",
                                      "1d5"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        double value = 77;
        assert_false(num_parse_real(text_of(bad[i]), &value));
        assert_true(value == 77);
    }
    char digits[NUM_TEXT_BYTES + 1];
    memset(digits, '0', sizeof digits);
    double value;
    assert_true(num_parse_real((struct text){digits, NUM_TEXT_BYTES - 1}, &value));
    assert_false(num_parse_real((struct text){digits, NUM_TEXT_BYTES}, &value));
}

static void test_random_decimals_agree_with_strtod(void **state)
{
    (void)state;
    struct rand rand;
    rand_init(&rand, 20111101);
    for (int i = 0; i < 200000; i++) {
        char buf[64];
        int len = snprintf(buf, sizeof buf, "%s%llu.%llue%d", rand_u64(&rand) & 1 ? "-" : "",
                           (unsigned long long)(rand_u64(&rand) >> (rand_u64(&rand) & 63)),
                           (unsigned long long)(rand_u64(&rand) >> (rand_u64(&rand) & 63)),
                           (int)rand_below(&rand, 80) - 40);
        double value = 0;
        assert_true(num_parse_real((struct text){buf, (uint32_t)len}, &value));
        double expected = strtod(buf, NULL);
        assert_memory_equal(&value, &expected, sizeof value);
    }
}

static void test_formatted_reals_read_back_the_same_and_are_short(void **state)
{
    (void)state;
    static const struct {
        double value;
        const char *text;
    } good[] = {{0, "0.0"},
                {-0.0, "-0.0"},
                {1, "1.0"},
                {0.1, "0.1"},
                {1e22, "1e+22"},
                {1e-7, "1e-07"},
                {100000, "100000.0"},
                {0.1 + 0.2, "0.30000000000000004"},
                {5e-324, "4.94065645841247e-324"},
                {INFINITY, "null"},
                {NAN, "null"}};
    char buf[NUM_REAL_BYTES];
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++)
        assert_string_equal(num_format_real(good[i].value, buf), good[i].text);
    assert_string_equal(num_format_real32(0.1F, buf), "0.1");
    assert_string_equal(num_format_real32(16777216.0F, buf), "16777216.0");

    struct rand rand;
    rand_init(&rand, 7);
    for (int i = 0; i < 100000; i++) {
        union {
            uint64_t bits;
            double value;
        } any = {rand_u64(&rand)};
        if (!isfinite(any.value))
            continue;
        double back = 0;
        assert_true(num_parse_real(text_of(num_format_real(any.value, buf)), &back));
        assert_memory_equal(&back, &any.value, sizeof back);
    }
}

static void test_the_locale_changes_nothing(void **state)
{
    (void)state;
    char buf[NUM_REAL_BYTES];
    double value = 0;
    /* C.UTF-8 is always there; a locale with a decimal comma is tried when it is installed. */
    const char *locale = setlocale(LC_ALL, "de_DE.UTF-8");
    if (locale == NULL)
        locale = setlocale(LC_ALL, "C.UTF-8");
    assert_string_equal(num_format_real(0.5, buf), "0.5");
    assert_true(num_parse_real(TEXT_LITERAL("12345678901234567890.5"), &value));
    assert_true(value == 12345678901234567890.5);
    setlocale(LC_ALL, "C");
}

static void test_arithmetic_reports_overflow(void **state)
{
    (void)state;
    int64_t value = 0;
    size_t size = 0;
    assert_true(num_add(INT64_MAX, 0, &value));
    assert_false(num_add(INT64_MAX, 1, &value));
    assert_true(num_mul(INT64_MIN, 1, &value));
    assert_false(num_mul(INT64_MIN, -1, &value));
    assert_true(num_mul_size(SIZE_MAX, 1, &size));
    assert_false(num_mul_size(SIZE_MAX / 2 + 1, 2, &size));
}

/* As the C library rounds, once: through a double some decimals would be rounded twice. */
static void test_floats_are_rounded_once(void **state)
{
    (void)state;
    static const char *const texts[] = {"5E-1",
                                        "-8.924335E-1",
                                        "1.00000005960464477539",
                                        "1.00000005960464477540",
                                        "16777217.0000000001",
                                        "16777217",
                                        "1e-45",
                                        "7."
                                        "0064923216240853546186479164495806564013097093825788587853"
                                        "4141944895541342930300743319094181060791015626e-46",
                                        "1.17549435e-38",
                                        "3.4028235677973366e38",
                                        "0.1"};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        float value = 0.0f;
        float expected = strtof(texts[i], NULL);
        assert_int_equal(num_parse_real32(text_of(texts[i]), &value), isfinite(expected));
        if (isfinite(expected))
            assert_true(value == expected);
    }
    struct rand rand;
    rand_init(&rand, 3);
    for (int i = 0; i < 20000; i++) {
        char buf[64];
        float value = 0.0f;
        snprintf(buf, sizeof buf, "%.*e", i % 20, rand_normal(&rand) * pow(10, i % 60 - 40));
        assert_true(num_parse_real32(text_of(buf), &value));
        assert_true(value == strtof(buf, NULL));
    }
    float untouched = 7.0f;
    assert_false(num_parse_real32(TEXT_LITERAL("1e39"), &untouched));
    assert_false(num_parse_real32(TEXT_LITERAL("x"), &untouched));
    assert_true(untouched == 7.0f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_integers_are_whole_and_within_range),
        cmocka_unit_test(test_reals_are_rounded_as_strtod_does),
        cmocka_unit_test(test_random_decimals_agree_with_strtod),
        cmocka_unit_test(test_formatted_reals_read_back_the_same_and_are_short),
        cmocka_unit_test(test_the_locale_changes_nothing),
        cmocka_unit_test(test_floats_are_rounded_once),
        cmocka_unit_test(test_arithmetic_reports_overflow),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
