/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tools/cli/progress.h"

#define MS UINT64_C(1000000)

struct fixture {
    struct clock_manual clock;
    struct progress progress;
    FILE *out;
    char *text;
    size_t len;
};

static void begin(struct fixture *fixture, bool is_terminal)
{
    clock_manual_init(&fixture->clock, 5000 * MS, 0);
    fixture->out = open_memstream(&fixture->text, &fixture->len);
    assert_non_null(fixture->out);
    progress_start_on(&fixture->progress, "importing", "lines", fixture->out, is_terminal,
                      &fixture->clock.clock);
}

static void assert_end(struct fixture *fixture, const char *expected)
{
    progress_end(&fixture->progress);
    fclose(fixture->out);
    assert_string_equal(fixture->text, expected);
    free(fixture->text);
}

static void test_a_terminal_shows_one_line_that_is_wiped(void **state)
{
    (void)state;
    struct fixture f;
    begin(&f, true);
    progress_show(&f.progress, 0, 0);
    clock_manual_advance_ns(&f.clock, 99 * MS);
    progress_show(&f.progress, 0.01, 10);
    clock_manual_advance_ns(&f.clock, 1901 * MS);
    progress_show(&f.progress, 0.25, 102406);
    progress_show(&f.progress, 0.26, 102407);
    clock_manual_advance_ns(&f.clock, 100 * MS);
    progress_show(&f.progress, 1.5, 200000);
    assert_end(&f,
               "\rimporting  [#####...............]  25%  102,406 lines  51,203/s  6 s left\033[K"
               "\rimporting  [####################] 100%  200,000 lines  95,238/s  0 s left\033[K"
               "\r\033[K");
}

static void test_a_log_gets_a_line_every_five_seconds(void **state)
{
    (void)state;
    struct fixture f;
    begin(&f, false);
    for (int i = 1; i <= 110; i++) {
        clock_manual_advance_ns(&f.clock, 100 * MS);
        progress_show(&f.progress, i / 5000.0, (uint64_t)i);
    }
    assert_end(&f, "importing  1%  50 lines  10/s  8 min 15 s left\n"
                   "importing  2%  100 lines  10/s  8 min 10 s left\n");
}

static void test_short_work_says_nothing_in_a_log(void **state)
{
    (void)state;
    struct fixture f;
    begin(&f, false);
    clock_manual_advance_ns(&f.clock, 4999 * MS);
    progress_show(&f.progress, 1, 1000);
    assert_end(&f, "");
}

static void test_an_unknown_share_has_neither_bar_nor_time_left(void **state)
{
    (void)state;
    struct fixture f;
    begin(&f, true);
    clock_manual_advance_ns(&f.clock, 1000 * MS);
    progress_show(&f.progress, PROGRESS_UNKNOWN, 7);
    assert_end(&f, "\rimporting  7 lines  7/s\033[K\r\033[K");
}

static void test_counts_are_grouped(void **state)
{
    (void)state;
    static const struct {
        uint64_t count;
        const char *text;
    } cases[] = {{0, "0"},
                 {999, "999"},
                 {1000, "1,000"},
                 {123456, "123,456"},
                 {1234567, "1,234,567"},
                 {UINT64_MAX, "18,446,744,073,709,551,615"}};
    char buf[PROGRESS_COUNT_BYTES];
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        assert_string_equal(progress_count(cases[i].count, buf), cases[i].text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_terminal_shows_one_line_that_is_wiped),
        cmocka_unit_test(test_a_log_gets_a_line_every_five_seconds),
        cmocka_unit_test(test_short_work_says_nothing_in_a_log),
        cmocka_unit_test(test_an_unknown_share_has_neither_bar_nor_time_left),
        cmocka_unit_test(test_counts_are_grouped),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
