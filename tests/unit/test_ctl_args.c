/* SPDX-License-Identifier: Apache-2.0 */
/* What decidectl reads from its command line and how it lays out a table. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tools/cli/value.h"
#include "tools/ctl/args.h"
#include "tools/ctl/duration.h"
#include "tools/ctl/table.h"

static void test_durations(void **state)
{
    static const struct {
        const char *text;
        uint64_t us; /* 0: refused */
    } cases[] = {
        {"30m", UINT64_C(1800000000)},
        {"1h30m", UINT64_C(5400000000)},
        {"1d2h3m4s5ms6us", UINT64_C(93784005006)},
        {"500ms", 500000},
        {"366d", DURATION_US_MAX},
        {"366d1us", 0},
        {"", 0},
        {"0s", 0},
        {"5", 0},
        {"m", 0},
        {"-5m", 0},
        {"5 m", 0},
        {"1.5h", 0},
        {"30m1h", 0},
        {"1m1m", 0},
        {"5mm", 0},
        {"1h30", 0},
        {"99999999999999d", 0},
        {"18446744073709551617s", 0},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        uint64_t us = 7;
        assert_int_equal(duration_parse(cases[i].text, &us), cases[i].us != 0);
        assert_int_equal(us, cases[i].us == 0 ? 7 : cases[i].us);
    }
}

static void test_durations_are_shown_in_two_units(void **state)
{
    char buf[DURATION_BYTES];
    (void)state;
    assert_string_equal(duration_format(0, buf), "0s");
    assert_string_equal(duration_format(999, buf), "999us");
    assert_string_equal(duration_format(UINT64_C(5400000000), buf), "1h30m");
    assert_string_equal(duration_format(UINT64_C(5401000000), buf), "1h30m");
    assert_string_equal(duration_format(UINT64_C(3601000000), buf), "1h");
    assert_string_equal(duration_format(UINT64_C(90000000000), buf), "1d1h");
    assert_string_equal(duration_format(UINT64_MAX, buf), "213503982d8h");
}

struct options {
    int64_t n;
    const char *slot;
    bool explain;
    uint64_t time_us;
};

static int parse(struct ctl *ctl, struct options *options, int argc, char **argv)
{
    const struct arg args[] = {{"n", 'n', ARG_INT, &options->n, 1, 200},
                               {"slot", 0, ARG_TEXT, &options->slot, 0, 0},
                               {"explain", 0, ARG_FLAG, &options->explain, 0, 0},
                               {"for", 0, ARG_DURATION, &options->time_us, 0, 0}};
    return args_parse(ctl, argc, argv, args, sizeof args / sizeof args[0]);
}

#define PARSE(ctl, options, ...)                                                      \
    parse(ctl, options, (int)(sizeof((char *[]){"x", __VA_ARGS__}) / sizeof(char *)), \
          (argv = (char *[]){"x", __VA_ARGS__}))

static void test_options_stand_before_and_behind_arguments(void **state)
{
    struct ctl ctl = {0};
    struct options options = {0};
    char **argv = NULL;
    (void)state;
    assert_int_equal(PARSE(&ctl, &options, "-n", "5", "u1", "--slot=home", "--explain", "u2"), 2);
    assert_string_equal(argv[1], "u1");
    assert_string_equal(argv[2], "u2");
    assert_int_equal(options.n, 5);
    assert_string_equal(options.slot, "home");
    assert_true(options.explain);
    assert_int_equal(PARSE(&ctl, &options, "-n7", "--", "-n", "--slot", "-"), 3);
    assert_int_equal(options.n, 7);
    assert_string_equal(argv[1], "-n");
    assert_string_equal(argv[3], "-");
    assert_int_equal(PARSE(&ctl, &options, "--for", "1h30m", "--slot", "-x"), 0);
    assert_int_equal(options.time_us, UINT64_C(5400000000));
    assert_string_equal(options.slot, "-x"); /* a value may look like an option */
}

static void test_options_of_every_command_are_understood(void **state)
{
    struct ctl ctl = {.url = "a", .timeout_us = 1};
    struct options options = {0};
    char **argv = NULL;
    (void)state;
    assert_int_equal(PARSE(&ctl, &options, "u", "--url", "tcp://h:1", "--token", "t",
                           "--token-file=f", "--timeout", "250ms", "--json"),
                     1);
    assert_string_equal(ctl.url, "tcp://h:1");
    assert_string_equal(ctl.token, "t");
    assert_string_equal(ctl.token_file, "f");
    assert_int_equal(ctl.timeout_us, 250000);
    assert_true(ctl.json);
}

static void test_bad_options_change_nothing_and_are_refused(void **state)
{
    struct ctl ctl = {0};
    struct options options = {.n = 3};
    char **argv = NULL;
    (void)state;
    assert_int_equal(PARSE(&ctl, &options, "-n", "0"), -1);
    assert_int_equal(PARSE(&ctl, &options, "-n", "201"), -1);
    assert_int_equal(PARSE(&ctl, &options, "-n", "5x"), -1);
    assert_int_equal(PARSE(&ctl, &options, "-n"), -1);
    assert_int_equal(PARSE(&ctl, &options, "--slott", "home"), -1);
    assert_int_equal(PARSE(&ctl, &options, "--explain=yes"), -1);
    assert_int_equal(PARSE(&ctl, &options, "-z"), -1);
    assert_int_equal(PARSE(&ctl, &options, "--for", "soon"), -1);
    assert_int_equal(PARSE(&ctl, &options, "--"), 0);
    assert_int_equal(options.n, 3);
    assert_null(options.slot);
}

static void test_leading_options_end_at_the_command(void **state)
{
    struct ctl ctl = {0};
    char *argv[] = {"decidectl", "--json", "--url", "u", "ping", "--token", "t"};
    (void)state;
    assert_int_equal(args_parse_leading(&ctl, 7, argv, NULL, 0), 4);
    assert_string_equal(ctl.url, "u");
    assert_null(ctl.token);
    char *none[] = {"decidectl"};
    assert_int_equal(args_parse_leading(&ctl, 1, none, NULL, 0), 1);
    char *bad[] = {"decidectl", "--jsn", "ping"};
    assert_int_equal(args_parse_leading(&ctl, 3, bad, NULL, 0), -1);
}

static void test_a_table_is_as_wide_as_its_widest_characters(void **state)
{
    struct table table;
    char *text = NULL;
    size_t len = 0;
    (void)state;
    FILE *to = open_memstream(&text, &len);
    assert_non_null(to);
    table_init(&table, ">#  ITEM >SCORE");
    table_put_fmt(&table, "%d", 1);
    table_put(&table, text_of("caf\xc3\xa9\x1b[2J"));
    table_put_fmt(&table, "%.2f", 0.5);
    table_put_fmt(&table, "%d", 10);
    table_put(&table, (struct text){0});
    table_put_fmt(&table, "%.2f", 123456.5);
    table_print(&table, to);
    fclose(to);
    assert_string_equal(text, " #  ITEM          SCORE\n"
                              " 1  caf\xc3\xa9?[2J       0.50\n"
                              "10  -         123456.50\n");
    table_deinit(&table);
    free(text);
}

static void test_values_of_a_reply_by_key(void **state)
{
    uint8_t bytes[256];
    char shown[VALUE_TEXT_BYTES];
    struct pack pack = pack_into(bytes, sizeof bytes);
    struct cursor at;
    (void)state;
    pack_map(&pack, 4);
    pack_key(&pack, "list");
    pack_array(&pack, 2);
    pack_int(&pack, -3);
    pack_real(&pack, 0.25);
    pack_key(&pack, "text");
    pack_str(&pack, "x");
    pack_key(&pack, "nil");
    pack_nil(&pack);
    pack_key(&pack, "yes");
    pack_bool(&pack, true);
    struct cursor map = cursor_of(bytes, pack.used);
    assert_int_equal(value_array(map, "list", &at), 2);
    assert_string_equal(value_show(value_next(&at), shown), "-3");
    assert_string_equal(value_show(value_next(&at), shown), "0.25");
    assert_true(text_is(value_text(map, "text"), "x"));
    assert_true(value_bool(map, "yes", false));
    assert_int_equal(value_int(map, "text", 9), 9); /* another kind is as good as absent */
    assert_null(value_text(map, "absent").ptr);
    assert_int_equal(value_array(map, "text", &at), 0);
    assert_true(value_find(map, "nil", &at));
    assert_string_equal(value_show(at, shown), "-");
    assert_string_equal(value_show(map, shown), "...");
    assert_false(value_find(at, "text", &at));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_durations),
        cmocka_unit_test(test_durations_are_shown_in_two_units),
        cmocka_unit_test(test_options_stand_before_and_behind_arguments),
        cmocka_unit_test(test_options_of_every_command_are_understood),
        cmocka_unit_test(test_bad_options_change_nothing_and_are_refused),
        cmocka_unit_test(test_leading_options_end_at_the_command),
        cmocka_unit_test(test_a_table_is_as_wide_as_its_widest_characters),
        cmocka_unit_test(test_values_of_a_reply_by_key),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
