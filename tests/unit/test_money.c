/* SPDX-License-Identifier: Apache-2.0 */
/* Amounts: parsed exactly or refused, scaled in 128 bits, rounded half to even. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "base/money.h"
#include "base/rand.h"

static void currencies(void **state)
{
    (void)state;
    currency_code eur = 0;
    currency_code code = 0;
    char buf[4];
    assert_true(currency_parse(text_of("EUR"), &eur));
    assert_string_equal(currency_format(eur, buf), "EUR");
    assert_int_equal(currency_digits(eur), 2);
    assert_true(currency_parse(text_of("JPY"), &code));
    assert_int_equal(currency_digits(code), 0);
    assert_true(currency_parse(text_of("BHD"), &code));
    assert_int_equal(currency_digits(code), 3);
    assert_int_equal(currency_digits(0), 2);
    assert_string_equal(currency_format(0, buf), "");
    static const char *const known[] = {"AED", "EUR", "USD", "JPY", "ZWG", "ZWR", "DEM", "XXX"};
    static const char *const unknown[] = {"AAA", "EUT", "USX", "ZZZ", "DAE"};
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++)
        assert_true(currency_parse(text_of(known[i]), &code) && currency_is_known(code));
    for (size_t i = 0; i < sizeof unknown / sizeof unknown[0]; i++)
        assert_true(currency_parse(text_of(unknown[i]), &code) && !currency_is_known(code));
    assert_false(currency_is_known(0));
    static const char *const bad[] = {"", "EU", "EURO", "eur", "E1R", "\xc3\x84X"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_false(currency_parse(text_of(bad[i]), &code));
}

static void parsing(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int digits;
        int64_t minor;
    } good[] = {
        {"12.34", 2, 1234}, {"12", 2, 1200},    {"-0.05", 2, -5},
        {"7", 0, 7},        {"1.2000", 1, 12},  {"0", 3, 0},
        {"0.125", 3, 125},  {"007.10", 2, 710}, {"10000000000000.00", 2, MONEY_MINOR_MAX},
    };
    static const struct {
        const char *text;
        int digits;
    } bad[] = {
        {"", 2},
        {"-", 2},
        {".5", 2},
        {"5.", 2},
        {"1.234", 2},
        {"1,5", 2},
        {" 1", 2},
        {"1 ", 2},
        {"1e3", 2},
        {"+1", 2},
        {"--1", 2},
        {"1.2.3", 2},
        {"0x10", 2},
        {"1.5", 0},
        {"10000000000000.01", 2},
        {"99999999999999999999999", 0},
    };
    int64_t minor = 0;
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        assert_true(money_parse(text_of(good[i].text), good[i].digits, &minor));
        assert_int_equal(minor, good[i].minor);
    }
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_false(money_parse(text_of(bad[i].text), bad[i].digits, &minor));
}

static void what_is_written_reads_back(void **state)
{
    (void)state;
    struct rand rand;
    rand_init(&rand, 5);
    for (int i = 0; i < 20000; i++) {
        int digits = (int)rand_below(&rand, 5);
        int64_t minor = (int64_t)(rand_u64(&rand) >> (14 + rand_below(&rand, 50)));
        if (minor > MONEY_MINOR_MAX)
            continue;
        minor = rand_below(&rand, 2) == 0 ? minor : -minor;
        char buf[32];
        int64_t back = 0;
        assert_true(money_parse(text_of(money_format(minor, digits, buf)), digits, &back));
        assert_int_equal(back, minor);
    }
    char buf[32];
    assert_string_equal(money_format(-5, 2, buf), "-0.05");
    assert_string_equal(money_format(0, 0, buf), "0");
    assert_string_equal(money_format(1234, 3, buf), "1.234");
}

static void scaling(void **state)
{
    (void)state;
    static const int64_t rows[][3] = {
        {100, 500000, 50},
        {5, 500000, 2},
        {15, 500000, 8},
        {-5, 500000, -2},
        {-15, 500000, -8},
        {1, 499999, 0},
        {1, 500001, 1},
        {1999, 1050000, 2099},
        {0, 123456, 0},
        {1000, -100000, -100},
        {MONEY_MINOR_MAX, 1000000, MONEY_MINOR_MAX},
    };
    int64_t minor = 0;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        assert_true(money_scale(rows[i][0], rows[i][1], &minor));
        assert_int_equal(minor, rows[i][2]);
    }
    assert_false(money_scale(MONEY_MINOR_MAX, 1000001, &minor));
    assert_false(money_scale(INT64_MAX, INT64_MAX, &minor));
    assert_false(money_scale(INT64_MIN, INT64_MIN, &minor));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(currencies),
        cmocka_unit_test(parsing),
        cmocka_unit_test(what_is_written_reads_back),
        cmocka_unit_test(scaling),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
