/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka.h needs the four above */
#include <cmocka.h>

#include <stdbool.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"

static void test_iso_times_are_parsed(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int64_t ms;
    } good[] = {
        {"1970-01-01", 0},
        {"2011-11-01", 1320105600000},
        {"2011-11-01 08:26:00", 1320135960000},
        {"2011-11-01T08:26:00", 1320135960000},
        {"2011-11-01T08:26:00Z", 1320135960000},
        {"2011-11-01T08:26:00.5Z", 1320135960500},
        {"2011-11-01T08:26:00.123456789Z", 1320135960123},
        {"2011-11-01T10:26:00+02:00", 1320135960000},
        {"2011-11-01T02:56:00.007-05:30", 1320135960007},
        {"2000-02-29", 951782400000},
        {"2261-12-31T23:59:59.999Z", 9214646399999},
        {"1970-01-01T02:00:00+02:00", 0},
    };
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        int64_t ms = -7;
        assert_true(clock_parse_iso(good[i].text, strlen(good[i].text), &ms));
        assert_true(ms == good[i].ms);
    }
}

static void test_what_is_not_an_iso_time_is_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {"",
                                      "2011",
                                      "2011-11",
                                      "2011-11-1",
                                      "2011-13-01",
                                      "2011-00-01",
                                      "2011-02-29",
                                      "1900-02-29",
                                      "2011-04-31",
                                      "2011-11-00",
                                      "1969-12-31",
                                      "2262-01-01",
                                      "2011/11/01",
                                      " 2011-11-01",
                                      "2011-11-01 ",
                                      "2011-11-01T",
                                      "2011-11-01T08:26",
                                      "2011-11-01T08:26:",
                                      "2011-11-01T24:00:00",
                                      "2011-11-01T08:60:00",
                                      "2011-11-01T08:26:60",
                                      "2011-11-01T08:26:00.",
                                      "2011-11-01T08:26:00.1234567890",
                                      "2011-11-01T08:26:00z",
                                      "2011-11-01T08:26:00+2",
                                      "2011-11-01T08:26:00+0200",
                                      "2011-11-01T08:26:00+24:00",
                                      "2011-11-01T08:26:00ZZ",
                                      "2011-11-01t08:26:00",
                                      "2011-11-01_08:26:00",
                                      "1970-01-01T00:00:00+02:00",
                                      "+011-11-01",
                                      "2011-1a-01"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        int64_t ms = -7;
        assert_false(clock_parse_iso(bad[i], strlen(bad[i]), &ms));
        assert_int_equal(ms, -7);
    }
    /* Every truncation of a full time is refused, but for the complete date and the one without a
     * zone. */
    const char *full = "2011-11-01T08:26:00.123+02:00";
    for (size_t len = 0; len < strlen(full); len++) {
        int64_t ms;
        bool complete = len == 10 || len == 19 || (len >= 21 && len <= 23);
        assert_int_equal(clock_parse_iso(full, len, &ms), complete);
    }
    int64_t ms;
    assert_false(clock_parse_iso(NULL, 0, &ms));
}

static void test_formatting_agrees_with_gmtime_and_parses_back(void **state)
{
    (void)state;
    char buf[CLOCK_ISO_BYTES];
    assert_string_equal(clock_format_iso(1320135960123, buf), "2011-11-01T08:26:00.123Z");
    assert_string_equal(clock_format_iso(-1, buf), "1969-12-31T23:59:59.999Z");
    assert_string_equal(clock_format_iso(INT64_MIN, buf), "0000-01-01T00:00:00.000Z");
    assert_string_equal(clock_format_iso(INT64_MAX, buf), "9999-12-31T23:59:59.999Z");
    for (int64_t ms = 0; ms < INT64_C(9214646400000); ms += INT64_C(38477777777)) {
        time_t seconds = (time_t)(ms / 1000);
        struct tm utc;
        char expected[64];
        gmtime_r(&seconds, &utc);
        size_t len = strftime(expected, sizeof expected, "%Y-%m-%dT%H:%M:%S", &utc);
        clock_format_iso(ms, buf);
        assert_memory_equal(buf, expected, len);
        int64_t back = -1;
        assert_true(clock_parse_iso(buf, strlen(buf), &back));
        assert_true(back == ms);
    }
}

static void test_clocks_tell_time(void **state)
{
    (void)state;
    const struct clock *real = clock_system();
    uint64_t first_ns = clock_now_ns(real);
    assert_true(clock_now_ns(real) >= first_ns);
    assert_true(clock_wall_ms(real) > INT64_C(1600000000000));

    struct clock_manual manual;
    clock_manual_init(&manual, 1000, 5000);
    assert_int_equal(clock_now_ns(&manual.clock), 1000);
    assert_int_equal(clock_wall_ms(&manual.clock), 5000);
    for (int i = 0; i < 10; i++) /* small steps add up on both */
        clock_manual_advance_ns(&manual, 250000);
    assert_int_equal(clock_now_ns(&manual.clock), 2501000);
    assert_int_equal(clock_wall_ms(&manual.clock), 5002);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_iso_times_are_parsed),
        cmocka_unit_test(test_what_is_not_an_iso_time_is_refused),
        cmocka_unit_test(test_formatting_agrees_with_gmtime_and_parses_back),
        cmocka_unit_test(test_clocks_tell_time),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
