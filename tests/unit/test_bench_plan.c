/* SPDX-License-Identifier: Apache-2.0 */
/* decide-bench plan: the arithmetic, what it refuses to say, and its table. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <cjson/cJSON.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "tests/support/temp_dir.h"
#include "tools/bench/plan.h"
#include "tools/bench/plan_command.h"

static struct err err;
static struct plan plan;

static const struct earlier_sweep curve = {
    .limit_us = 1000,
    .peak_rate = 8000,
    .tries = {{1000, 100, false}, {4000, 200, false}, {8000, 600, false}, {10000, 2600, false}},
    .try_count = 4};

static bool near(double a, double b)
{
    return fabs(a - b) <= 1e-6 * fabs(b);
}

static void machines_carry_the_load_with_one_lost(void **state)
{
    (void)state;
    /* A machine carries 8000 + 2000 * (1000 - 600) / (2600 - 600) = 8400 a second. */
    assert_int_equal(plan_make(&curve, 20000, 1000, 1, &plan, &err), ERR_OK);
    assert_true(near(plan.machine_rate, 8400));
    assert_int_equal(plan.machine_count, 4);
    assert_true(near(plan.all_up.rate, 5000) && near(plan.all_up.use, 5000.0 / 8400));
    assert_true(near(plan.all_up.p99_us, 300));
    assert_true(near(plan.with_lost.rate, 20000.0 / 3));
    assert_true(near(plan.with_lost.p99_us, 200 + 400 * (20000.0 / 3 - 4000) / 4000));
    assert_true(near(plan.headroom, 3 * 8400.0 / 20000 - 1));
    /* Exactly full is full, and no machine more. */
    assert_int_equal(plan_make(&curve, 2 * 8400, 1000, 1, &plan, &err), ERR_OK);
    assert_int_equal(plan.machine_count, 3);
    assert_true(plan.headroom >= 0 && plan.headroom < 1e-9);
    assert_int_equal(plan_make(&curve, 2 * 8400 + 1, 1000, 0, &plan, &err), ERR_OK);
    assert_int_equal(plan.machine_count, 3);
    assert_true(near(plan.all_up.rate, plan.with_lost.rate)); /* none may be lost */
    /* A load below all that was measured: machines yes, their p99 no. */
    assert_int_equal(plan_make(&curve, 500, 1000, 1, &plan, &err), ERR_OK);
    assert_int_equal(plan.machine_count, 2);
    assert_true(plan.all_up.p99_us < 0 && plan.with_lost.p99_us < 0);
}

static void beyond_a_failure_nothing_is_interpolated(void **state)
{
    (void)state;
    struct earlier_sweep failing = curve;
    failing.tries[3].failed = true;
    assert_int_equal(plan_make(&failing, 8000, 1000, 0, &plan, &err), ERR_OK);
    assert_true(near(plan.machine_rate, 8000));
    failing.tries[1].p99_us = 5000; /* a bad moment in the middle is taken at its word */
    assert_int_equal(plan_make(&failing, 8000, 1000, 0, &plan, &err), ERR_OK);
    assert_true(plan.machine_rate < 1600 && plan.machine_rate > 1000);
}

static void what_was_not_measured_is_not_said(void **state)
{
    (void)state;
    assert_int_equal(plan_make(&curve, 100, 50, 1, &plan, &err), ERR_UNSUPPORTED);
    assert_non_null(strstr(err.text, "a p99 of 0.05 ms is not reached: at its lowest rate"));
    assert_int_equal(plan_make(&curve, 100, 3000, 1, &plan, &err), ERR_UNSUPPORTED);
    assert_non_null(strstr(err.text, "ends at 10000/s with a p99 of 2.6 ms"));
    assert_non_null(strstr(err.text, "--limit 3000"));
    assert_int_equal(plan_make(&curve, 1e9, 1000, 1, &plan, &err), ERR_UNSUPPORTED);
    assert_non_null(strstr(err.text, "beyond 10000 machines"));
    struct earlier_sweep failing = curve;
    failing.tries[0].failed = true;
    assert_int_equal(plan_make(&failing, 100, 1000, 1, &plan, &err), ERR_UNSUPPORTED);
    assert_non_null(strstr(err.text, "requests failed at its lowest rate"));
}

static enum err_code parse(struct plan_options *options, const char *a, const char *b,
                           const char *c, const char *d)
{
    static char words[4][64];
    const char *given[] = {a, b, c, d};
    char *argv[6] = {"decide-bench", "plan"};
    int argc = 2;
    for (int i = 0; i < 4 && given[i] != NULL; i++)
        argv[argc++] = text_copy(text_of(given[i]), words[i], sizeof words[i]);
    return plan_options_parse(argc, argv, options, &err);
}

static void arguments_are_checked(void **state)
{
    (void)state;
    struct plan_options options;
    assert_int_equal(parse(&options, "--curve", "a", "--rate", "10"), ERR_OK);
    assert_int_equal(options.curves.count, 1);
    assert_int_equal(options.spare, 1);
    assert_int_equal(parse(&options, "--help", NULL, NULL, NULL), ERR_OK);
    assert_int_equal(parse(&options, "--rate", "10", NULL, NULL), ERR_BAD_INPUT);
    assert_non_null(strstr(err.text, "--curve is missing"));
    assert_int_equal(parse(&options, "--curve", "a", NULL, NULL), ERR_BAD_INPUT);
    assert_non_null(strstr(err.text, "--rate is missing"));
    assert_int_equal(parse(&options, "--spare", "-1", NULL, NULL), ERR_BAD_INPUT);
    assert_int_equal(parse(&options, "--op", "ping", NULL, NULL), ERR_BAD_INPUT);
    char *many[2 + 2 * (ARGUMENT_LIST_MAX + 1)] = {"decide-bench", "plan"};
    for (int i = 0; i <= ARGUMENT_LIST_MAX; i++) {
        many[2 + 2 * i] = "--curve";
        many[3 + 2 * i] = "a";
    }
    assert_int_equal(plan_options_parse(sizeof many / sizeof many[0], many, &options, &err),
                     ERR_BAD_INPUT);
    assert_non_null(strstr(err.text, "--curve: expected at most 16"));
}

static char *output_of(const struct plan_options *options)
{
    FILE *file = tmpfile();
    assert_int_equal(plan_command(options, file, &err), ERR_OK);
    size_t len = (size_t)ftell(file);
    char *text = calloc(1, len + 1);
    rewind(file);
    assert_int_equal(fread(text, 1, len, file), len);
    fclose(file);
    return text;
}

static void a_table_and_json_say_the_same(void **state)
{
    (void)state;
    struct temp_dir dir;
    char path[2 * TEMP_DIR_BYTES], other[2 * TEMP_DIR_BYTES];
    temp_dir_create(&dir);
    temp_dir_path(&dir, "sweep \"1\".json", path);
    temp_dir_path(&dir, "poor.json", other);
    temp_dir_write_text(
        &dir, "sweep \"1\".json",
        "{\"format\": 1, \"kind\": \"sweep\", \"limit_us\": 1000, \"peak_rate\": 100, \"tries\": ["
        "{\"rate\": 50, \"p99_us\": 500, \"failed\": 0, \"achieved_share\": 1},"
        "{\"rate\": 100, \"p99_us\": 1000, \"failed\": 0, \"achieved_share\": 1},"
        "{\"rate\": 200, \"p99_us\": 1, \"failed\": 3, \"achieved_share\": 1}]}");
    struct plan_options options = {
        .curves = {.values = {path}, .count = 1}, .rate = 250, .spare = 1};
    char *text = output_of(&options);
    assert_non_null(strstr(text, "with 1 lost"));
    assert_non_null(strstr(text, "        1        100         4"));
    assert_non_null(strstr(text, "    62 %      0.625         83    83 %      0.833"));
    assert_non_null(strstr(text, "    20 %  "));
    free(text);
    options.json = true;
    text = output_of(&options);
    cJSON *root = NULL;
    assert_int_equal(json_parse("plan", text, strlen(text), &root, &err), ERR_OK);
    struct json_at at = json_root("plan", root);
    struct json_at plans = json_member(&at, "plans");
    struct json_at first = json_element(&plans, 0);
    struct json_at curve_at = json_member(&first, "curve");
    struct json_at machines_at = json_member(&first, "machines");
    const char *name = NULL;
    int64_t machines = 0;
    assert_int_equal(json_string(&curve_at, &name, &err), ERR_OK);
    assert_string_equal(name, path);
    assert_int_equal(json_int(&machines_at, 0, 100, &machines, &err), ERR_OK);
    assert_int_equal(machines, 4);
    cJSON_Delete(root);
    free(text);
    /* The file that does not say it is named. */
    options.p99_ms = 0.1;
    assert_int_equal(plan_command(&options, stdout, &err), ERR_UNSUPPORTED);
    assert_non_null(strstr(err.text, "sweep \"1\".json: a p99 of 0.1 ms is not reached"));
    options.curves.values[0] = other;
    assert_int_equal(plan_command(&options, stdout, &err), ERR_NOT_FOUND);
    temp_dir_remove(&dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(machines_carry_the_load_with_one_lost),
        cmocka_unit_test(beyond_a_failure_nothing_is_interpolated),
        cmocka_unit_test(what_was_not_measured_is_not_said),
        cmocka_unit_test(arguments_are_checked),
        cmocka_unit_test(a_table_and_json_say_the_same),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
