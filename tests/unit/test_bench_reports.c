/* SPDX-License-Identifier: Apache-2.0 */
/* decide-bench: reports, in JSON and for people, and what is read back from them or refused. */
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
#include "tests/support/load_sample.h"
#include "tests/support/temp_dir.h"
#include "tools/bench/earlier.h"
#include "tools/bench/histogram.h"
#include "tools/bench/report.h"

static struct err err;
static struct load_result results[TARGETS_MAX];
static struct sweep sweeps[TARGETS_MAX];

static const struct sweep_try tries[] = {
    {.rate = 1000, .achieved_rate = 1000, .achieved_share = 1, .p99_ns = 200000, .good = true},
    {.rate = 2000, .achieved_rate = 2000, .achieved_share = 1, .p99_ns = 9000000},
    {.rate = 2000, .achieved_rate = 2000, .achieved_share = 1, .p99_ns = 400000, .good = true},
    {.rate = 4000, .achieved_rate = 3000, .achieved_share = 0.75, .p99_ns = 5000000}};

static struct report make_report(const struct bench_options *options, const struct targets *targets)
{
    for (uint32_t i = 0; i < TARGETS_MAX; i++) {
        load_sample_fill(&results[i], 100.0 / (i + 1), 5000);
        sweeps[i] = (struct sweep){.peak_rate = 2000, .try_count = 4, .phase = SWEEP_DONE};
        memcpy(sweeps[i].tries, tries, sizeof tries);
        tally_add(&sweeps[i].tries[0].levels, text_of("full"), 10);
    }
    return (struct report){.options = options, .targets = targets, .results = results};
}

static void write_json(const struct report *report, const char *path)
{
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    report_json(report, file);
    assert_int_equal(fclose(file), 0);
}

static double number_at(const cJSON *object, const char *key)
{
    const cJSON *value = cJSON_GetObjectItemCaseSensitive(object, key);
    assert_true(cJSON_IsNumber(value));
    return value->valuedouble;
}

static void what_json_says_is_read_back(void **state)
{
    (void)state;
    static struct curve curve, before;
    static struct earlier_sweep sweep;
    struct bench_options options = {.op = BENCH_PING, .limit_us = 1000};
    struct targets targets = {.list = {{.name = "decided"}, {.name = "raw"}, {.name = "nng"}},
                              .count = 3};
    struct report report = make_report(&options, &targets);
    struct temp_dir dir;
    char path[2 * TEMP_DIR_BYTES];
    temp_dir_create(&dir);
    temp_dir_path(&dir, "run.json", path);
    write_json(&report, path);
    assert_int_equal(earlier_read_curve(path, &options, &before, &err), ERR_OK);
    curve_of(&results[0].latency, &curve);
    assert_int_equal(before.count, curve.count);
    for (uint32_t i = 0; i < curve.count; i++) {
        assert_true(fabs(before.points[i].share - curve.points[i].share) < 1e-9);
        assert_true(fabs(before.points[i].us - curve.points[i].us) < 0.001);
    }
    assert_true(fabs(before.us[QUANTILE_P99] - curve.us[QUANTILE_P99]) < 0.001);
    assert_int_equal(earlier_read_sweep(path, &sweep, &err), ERR_BAD_INPUT);
    assert_non_null(strstr(err.text, "expected a result of --sweep, got the kind 'run'"));

    report.sweeps = sweeps;
    report.before = &before;
    write_json(&report, path);
    assert_int_equal(earlier_read_curve(path, &options, &before, &err), ERR_OK);
    assert_int_equal(earlier_read_sweep(path, &sweep, &err), ERR_OK);
    assert_int_equal(sweep.try_count, 3); /* of the two tries at 2000 the later one */
    assert_true(sweep.tries[1].rate == 2000 && sweep.tries[1].p99_us == 400);
    assert_true(!sweep.tries[1].failed && sweep.tries[2].failed);
    assert_true(sweep.limit_us == 1000 && sweep.peak_rate == 2000);
    cJSON *root = NULL;
    assert_int_equal(json_parse_file(path, 1 << 20, &root, &err), ERR_OK);
    const cJSON *half = cJSON_GetObjectItemCaseSensitive(root, "at_half");
    const cJSON *raw = cJSON_GetArrayItem(cJSON_GetObjectItemCaseSensitive(half, "yardsticks"), 0);
    double ratio = number_at(cJSON_GetObjectItemCaseSensitive(raw, "ratio"), "p50");
    assert_true(ratio > 1.9 && ratio < 2.1); /* its latencies are half of the daemon's */
    assert_true(number_at(cJSON_GetObjectItemCaseSensitive(half, "latency_us"), "p99.9") > 0);
    cJSON_Delete(root);

    report.results = NULL; /* no peak was found */
    write_json(&report, path);
    assert_int_equal(earlier_read_curve(path, &options, &before, &err), ERR_BAD_INPUT);
    assert_non_null(strstr(err.text, "found no peak"));
    temp_dir_remove(&dir);
}

static void people_are_told_the_same(void **state)
{
    (void)state;
    size_t len;
    struct bench_options options = {.op = BENCH_PING, .limit_us = 1000, .histogram = true};
    struct targets targets = {.list = {{.name = "decided"}, {.name = "raw"}}, .count = 2};
    struct report report = make_report(&options, &targets);
    results[0].lost_count = 4;
    results[0].unsent_count = 2;
    for (int i = 0; i < 5000; i++)
        hist_record(&results[1].lag, 10000000);
    report.sweeps = sweeps;
    FILE *file = tmpfile();
    report_text(&report, file);
    char *text = load_sample_read(file, &len);
    static const char *const parts[] = {"p99.9",
                                        "ratio",
                                        "2.0",
                                        "offered/s",
                                        "full 100.0 %",
                                        "peak of raw 2000/s: decided reaches 1.00 of it",
                                        "6 of 5000 requests never came back (lost 4, unsent 2)",
                                        "raw: the generator did not keep up",
                                        "percentile"};
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++)
        assert_non_null(strstr(text, parts[i]));
    assert_null(strstr(text, "decided: the generator did not keep up"));
    free(text);
}

static void bad_results_are_refused_by_name(void **state)
{
    (void)state;
#define HEAD    "{\"format\": 1, \"kind\": "
#define LATENCY "\"latency_us\": {\"p50\": 1, \"p90\": 2, \"p99\": 3, \"p99.9\": 4}"
#define SWEEP   HEAD "\"sweep\", \"limit_us\": 1000, \"peak_rate\": 5, \"tries\": "
    static const char *const bad[][2] = {
        {"", "ends too early"},
        {"[1]", "expected an object"},
        {"{\"op\": \"ping\"}", "no result of decide-bench"},
        {"{\"format\": 2, \"kind\": \"run\"}", "format"},
        {HEAD "7}", "kind"},
        {HEAD "\"plan\"}", "expected the kind run or sweep, got 'plan'"},
        {HEAD "\"run\"}", "percentiles: missing"},
        {HEAD "\"run\", \"percentiles\": []}", "expected 1..256 percentiles, got 0"},
        {HEAD "\"run\", \"percentiles\": [7]}", "percentiles[0]"},
        {HEAD "\"run\", \"percentiles\": [[50]]}", "percentiles[0]"},
        {HEAD "\"run\", \"percentiles\": [[101, 5]]}", "percentiles[0]"},
        {HEAD "\"run\", \"percentiles\": [[50, -5]]}", "percentiles[0]"},
        {HEAD "\"run\", \"percentiles\": [[50, 5], [50, 6]]}", "percentiles[1]: percentiles do"},
        {HEAD "\"run\", \"percentiles\": [[50, 5], [60, 4]]}", "percentiles[1]: percentiles do"},
        {HEAD "\"run\", \"percentiles\": [[50, 5]]}", "latency_us"},
        {HEAD "\"run\", \"percentiles\": [[50, 5]], \"latency_us\": {\"p50\": 1}}", "p90"},
        {HEAD "\"run\", \"percentiles\": [[50, 5]], " LATENCY "}", "op: missing"},
        {HEAD "\"sweep\"}", "found no peak"},
        {HEAD "\"sweep\", \"at_half\": 5}", "percentiles"},
    };
    static const char *const bad_sweeps[][2] = {
        {HEAD "\"sweep\"}", "limit_us: missing"},
        {SWEEP "[]}", "expected 1..80 tries, got 0"},
        {SWEEP "[5]}", "tries[0]"},
        {SWEEP "[{\"rate\": 5}]}", "p99_us: missing"},
        {SWEEP "[{\"rate\": 0, \"p99_us\": 1, \"failed\": 0, \"achieved_share\": 1}]}", "ascend"},
        {SWEEP "[{\"rate\": 9, \"p99_us\": 1, \"failed\": 0, \"achieved_share\": 1},"
               " {\"rate\": 8, \"p99_us\": 1, \"failed\": 0, \"achieved_share\": 1}]}",
         "tries[1]: rates do not ascend"},
    };
    static struct curve curve;
    static struct earlier_sweep sweep;
    const struct bench_options options = {.op = BENCH_PING};
    struct temp_dir dir;
    char path[2 * TEMP_DIR_BYTES];
    temp_dir_create(&dir);
    temp_dir_path(&dir, "a.json", path);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        temp_dir_write_text(&dir, "a.json", bad[i][0]);
        assert_int_not_equal(earlier_read_curve(path, &options, &curve, &err), ERR_OK);
        if (strstr(err.text, bad[i][1]) == NULL)
            print_error("%s: %s\n", bad[i][0], err.text);
        assert_non_null(strstr(err.text, bad[i][1]));
        assert_non_null(strstr(err.text, "a.json"));
    }
    for (size_t i = 0; i < sizeof bad_sweeps / sizeof bad_sweeps[0]; i++) {
        temp_dir_write_text(&dir, "a.json", bad_sweeps[i][0]);
        assert_int_not_equal(earlier_read_sweep(path, &sweep, &err), ERR_OK);
        if (strstr(err.text, bad_sweeps[i][1]) == NULL)
            print_error("%s: %s\n", bad_sweeps[i][0], err.text);
        assert_non_null(strstr(err.text, bad_sweeps[i][1]));
    }
    temp_dir_write_text(&dir, "a.json",
                        HEAD "\"run\", \"op\": \"ping\", \"percentiles\": [[50, 5]], " LATENCY "}");
    assert_int_equal(earlier_read_curve(path, &options, &curve, &err), ERR_OK);
    assert_int_equal(earlier_read_curve("/nonexistent", &options, &curve, &err), ERR_NOT_FOUND);
    temp_dir_remove(&dir);
}

static void a_result_of_other_requests_is_refused(void **state)
{
    (void)state;
    static struct curve curve;
    const struct bench_options then = {.op = BENCH_RECOMMEND, .n = 20, .slot = "a \"slot\""};
    struct targets targets = {.list = {{.name = "decided"}}, .count = 1};
    struct report report = make_report(&then, &targets);
    struct bench_options now = then;
    struct temp_dir dir;
    char path[2 * TEMP_DIR_BYTES];
    temp_dir_create(&dir);
    temp_dir_path(&dir, "a.json", path);
    write_json(&report, path);
    assert_int_equal(earlier_read_curve(path, &now, &curve, &err), ERR_OK);
    now.op = BENCH_SIMILAR;
    assert_int_equal(earlier_read_curve(path, &now, &curve, &err), ERR_BAD_INPUT);
    assert_non_null(strstr(err.text, "op: expected similar to compare with, got recommend"));
    now = then;
    now.n = 21;
    assert_int_equal(earlier_read_curve(path, &now, &curve, &err), ERR_BAD_INPUT);
    assert_non_null(strstr(err.text, "n: expected 21 to compare with, got 20"));
    now = then;
    now.slot = NULL;
    assert_int_equal(earlier_read_curve(path, &now, &curve, &err), ERR_BAD_INPUT);
    assert_non_null(strstr(err.text, "slot: expected none to compare with, got a \"slot\""));
    now.slot = "other";
    assert_int_equal(earlier_read_curve(path, &now, &curve, &err), ERR_BAD_INPUT);
    assert_non_null(strstr(err.text, "slot: expected other to compare with, got a "));

    struct bench_options ping = {.op = BENCH_PING, .n = 20}; /* has neither */
    report.options = &ping;
    write_json(&report, path);
    now = (struct bench_options){.op = BENCH_PING, .n = 5, .slot = "home"};
    assert_int_equal(earlier_read_curve(path, &now, &curve, &err), ERR_OK);
    ping.op = now.op = BENCH_RANK;
    now.n = 20;
    write_json(&report, path);
    assert_int_equal(earlier_read_curve(path, &now, &curve, &err), ERR_BAD_INPUT);
    assert_non_null(strstr(err.text, "slot: expected home to compare with, got none"));
    temp_dir_remove(&dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_json_says_is_read_back),
        cmocka_unit_test(people_are_told_the_same),
        cmocka_unit_test(bad_results_are_refused_by_name),
        cmocka_unit_test(a_result_of_other_requests_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
