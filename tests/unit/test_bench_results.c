/* SPDX-License-Identifier: Apache-2.0 */
/* decide-bench: what is made of the counts: merging, percentiles, charts, reports and what is read
 * back from them. */
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

#include "base/file.h"
#include "base/json.h"
#include "base/rand.h"
#include "tests/support/alloc_fail.h"
#include "tests/support/program.h"
#include "tests/support/temp_dir.h"
#include "tools/bench/chart.h"
#include "tools/bench/earlier.h"
#include "tools/bench/histogram.h"
#include "tools/bench/report.h"

static struct err err;
static struct load_result results[TARGETS_MAX];
static struct sweep sweeps[TARGETS_MAX];

/* Latencies with a long tail, around `middle_us`. */
static void fill(struct load_result *result, double middle_us, uint32_t count)
{
    struct rand rand;
    rand_init(&rand, 3);
    memset(result, 0, sizeof *result);
    for (uint32_t i = 0; i < count; i++) {
        double us = middle_us * exp(0.5 * rand_normal(&rand)) + (i % 100 == 0 ? 9 * middle_us : 0);
        hist_record(&result->latency, (uint64_t)(1000 * us));
        hist_record(&result->lag, 1000);
    }
    result->due_count = result->ok_count = result->answered_in_time = count;
    result->reply_bytes = 50 * (uint64_t)count;
    result->measured_ns = result->wall_ns = 1000000000;
    result->cpu_ns = 250000000;
    tally_add(&result->levels, text_of("full"), count);
}

static void results_are_put_together(void **state)
{
    (void)state;
    static struct load_result sum;
    fill(&results[0], 100, 1000);
    fill(&results[1], 1000, 500);
    results[1].lost_count = 7;
    results[1].unsent_count = 3;
    results[1].measured_ns = 2000000000;
    tally_add(&results[1].errors, text_of("overloaded"), 2);
    memset(&sum, 0, sizeof sum);
    load_result_merge(&sum, &results[0], LOAD_AT_ONCE);
    load_result_merge(&sum, &results[1], LOAD_AT_ONCE);
    assert_int_equal(sum.due_count, 1500);
    assert_int_equal(hist_count_below(&sum.latency, UINT64_MAX), 1500);
    assert_int_equal(sum.measured_ns, 2000000000); /* they overlapped */
    assert_int_equal(sum.wall_ns, 1000000000);
    assert_true(load_due_rate(&sum) == 750);
    assert_true(load_cpu_share(&sum) == 0.5); /* two processes, a quarter of a core each */
    assert_int_equal(load_failed_count(&sum), 10);
    assert_int_equal(tally_sum(&sum.levels), 1500);
    assert_int_equal(tally_sum(&sum.errors), 2);
    assert_int_equal(hist_quantile(&sum.latency, 1), hist_quantile(&results[1].latency, 1));
    memset(&sum, 0, sizeof sum);
    load_result_merge(&sum, &results[0], LOAD_IN_TURN);
    load_result_merge(&sum, &results[1], LOAD_IN_TURN);
    assert_int_equal(sum.measured_ns, 3000000000);
    assert_true(load_due_rate(&sum) == 500);
    assert_true(load_cpu_share(&sum) == 0.25);
    memset(&sum, 0, sizeof sum); /* stopped before anything was measured */
    assert_true(load_due_rate(&sum) == 0 && load_achieved_share(&sum) == 0 && load_kept_up(&sum));
}

static void a_late_generator_is_told_from_a_slow_daemon(void **state)
{
    (void)state;
    fill(&results[0], 100, 1000);
    assert_true(load_kept_up(&results[0]));
    for (int i = 0; i < 50; i++)
        hist_record(&results[0].lag, 800000);
    assert_false(load_kept_up(&results[0]));
    assert_true(load_lag_share(&results[0]) > 0.5 && load_lag_share(&results[0]) <= 1);
}

static void percentiles_are_dense_where_they_matter(void **state)
{
    (void)state;
    static struct hist hist;
    static struct curve curve;
    hist_reset(&hist);
    curve_of(&hist, &curve);
    assert_int_equal(curve.count, 0);
    hist_record(&hist, 5000);
    curve_of(&hist, &curve);
    assert_int_equal(curve.points[0].share, 0);
    assert_true(curve.points[curve.count - 1].share == 1);
    assert_true(curve.points[curve.count - 1].us == 5);
    for (uint64_t i = 1; i <= 1000000; i++)
        hist_record(&hist, i * 1000);
    curve_of(&hist, &curve);
    assert_in_range(curve.count, 90, 110); /* five for each of the 20 halvings of a million */
    for (uint32_t i = 1; i < curve.count; i++) {
        assert_true(curve.points[i].share > curve.points[i - 1].share);
        assert_true(curve.points[i].us >= curve.points[i - 1].us);
        double exact_us = fmax(1, 1e6 * curve.points[i].share);
        assert_true(fabs(curve.points[i].us / exact_us - 1) < 0.02);
    }
    assert_true(fabs(curve.us[QUANTILE_P999] / 999000 - 1) < 0.02);
}

static char *text_of_file(FILE *file, size_t *ret_len)
{
    long len = ftell(file);
    char *text = calloc(1, (size_t)len + 1);
    rewind(file);
    *ret_len = fread(text, 1, (size_t)len, file);
    assert_int_equal(*ret_len, len);
    fclose(file);
    return text;
}

static void a_histogram_has_its_table_and_bars(void **state)
{
    (void)state;
    size_t len;
    fill(&results[0], 100, 10000);
    FILE *file = tmpfile();
    histogram_print(&results[0].latency, file);
    char *text = text_of_file(file, &len);
    assert_non_null(strstr(text, "percentile"));
    assert_non_null(strstr(text, "     99.99  "));
    assert_null(strstr(text, "99.999")); /* of 10,000 values there is none */
    assert_non_null(strstr(text, "##################################################\n"));
    assert_non_null(strstr(text, "       200  "));
    free(text);
    memset(&results[0], 0, sizeof results[0]);
    file = tmpfile();
    histogram_print(&results[0].latency, file);
    text = text_of_file(file, &len);
    assert_int_equal(len, 0);
    free(text);
}

/* A strict reader of XML says whether it is well-formed; tools/setup installs Python. */
static void assert_is_xml(const char *path)
{
    static struct program program;
    program_run(&program,
                (const char *const[]){"/usr/bin/env", "python3", "-c",
                                      "import sys, xml.dom.minidom as m; d = m.parse(sys.argv[1]); "
                                      "print(d.documentElement.tagName, "
                                      "len(d.getElementsByTagName('polyline')))",
                                      path, NULL});
    if (program.exit_code != 0)
        print_error("%s\n", program.err);
    assert_int_equal(program.exit_code, 0);
    assert_string_equal(program.out, "svg 3\n");
}

static void a_chart_is_well_formed_and_complete(void **state)
{
    (void)state;
    static struct chart chart = {.title = "Latency of <ping> & \"others\"", .count = 4};
    struct temp_dir dir;
    char path[2 * TEMP_DIR_BYTES];
    for (uint32_t i = 0; i < 3; i++) {
        fill(&results[0], 50 * (i + 1), 20000);
        chart.series[i].role = (enum chart_role)i;
        curve_of(&results[0].latency, &chart.series[i].curve);
    }
    chart.series[3] = (struct chart_series){.role = CHART_NNG}; /* was not measured */
    temp_dir_create(&dir);
    temp_dir_path(&dir, "chart.svg", path);
    assert_int_equal(chart_write(&chart, path, &err), ERR_OK);
    assert_is_xml(path);
    uint8_t *bytes = NULL;
    size_t len = 0;
    assert_int_equal(file_read(path, 1 << 20, &bytes, &len, &err), ERR_OK);
    const char *svg = (const char *)bytes;
    static const char *const parts[] = {"Latency of &lt;ping&gt; &amp; &quot;others&quot;",
                                        ">0 %<",
                                        ">90 %<",
                                        ">99.9 %<",
                                        ">99.99 %<",
                                        "\xC2\xB5s<",
                                        ">decided<",
                                        ">before<",
                                        ">raw echo<",
                                        "p99.9 ",
                                        ">percentile<",
                                        ">latency"};
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++)
        assert_non_null(strstr(svg, parts[i]));
    assert_null(strstr(svg, ">nng echo<"));
    assert_null(strstr(svg, "nan"));
    assert_null(strstr(svg, "inf"));
    free(bytes);
    assert_int_equal(chart_write(&chart, "/nonexistent/chart.svg", &err), ERR_NOT_FOUND);
    for (uint32_t n = 0;; n++) {
        alloc_fail_after(n);
        enum err_code rc = chart_write(&chart, path, &err);
        if (!alloc_fail_off()) {
            assert_int_equal(rc, ERR_OK);
            break;
        }
        assert_int_equal(rc, ERR_NOMEM);
    }
    temp_dir_remove(&dir);
}

static const struct sweep_try tries[] = {
    {.rate = 1000, .achieved_rate = 1000, .achieved_share = 1, .p99_ns = 200000, .good = true},
    {.rate = 2000, .achieved_rate = 2000, .achieved_share = 1, .p99_ns = 9000000},
    {.rate = 2000, .achieved_rate = 2000, .achieved_share = 1, .p99_ns = 400000, .good = true},
    {.rate = 4000, .achieved_rate = 3000, .achieved_share = 0.75, .p99_ns = 5000000}};

static struct report make_report(const struct bench_options *options, const struct targets *targets)
{
    for (uint32_t i = 0; i < TARGETS_MAX; i++) {
        fill(&results[i], 100.0 / (i + 1), 5000);
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
    assert_int_equal(earlier_read_curve(path, &before, &err), ERR_OK);
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
    assert_int_equal(earlier_read_curve(path, &before, &err), ERR_OK);
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
    assert_int_equal(earlier_read_curve(path, &before, &err), ERR_BAD_INPUT);
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
    char *text = text_of_file(file, &len);
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
    struct temp_dir dir;
    char path[2 * TEMP_DIR_BYTES];
    temp_dir_create(&dir);
    temp_dir_path(&dir, "a.json", path);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        temp_dir_write_text(&dir, "a.json", bad[i][0]);
        assert_int_not_equal(earlier_read_curve(path, &curve, &err), ERR_OK);
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
    temp_dir_write_text(&dir, "a.json", HEAD "\"run\", \"percentiles\": [[50, 5]], " LATENCY "}");
    assert_int_equal(earlier_read_curve(path, &curve, &err), ERR_OK);
    assert_int_equal(earlier_read_curve("/nonexistent", &curve, &err), ERR_NOT_FOUND);
    temp_dir_remove(&dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(results_are_put_together),
        cmocka_unit_test(a_late_generator_is_told_from_a_slow_daemon),
        cmocka_unit_test(percentiles_are_dense_where_they_matter),
        cmocka_unit_test(a_histogram_has_its_table_and_bars),
        cmocka_unit_test(a_chart_is_well_formed_and_complete),
        cmocka_unit_test(what_json_says_is_read_back),
        cmocka_unit_test(people_are_told_the_same),
        cmocka_unit_test(bad_results_are_refused_by_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
