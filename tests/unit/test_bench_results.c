/* SPDX-License-Identifier: Apache-2.0 */
/* decide-bench: what is made of the counts: merging, percentiles, histograms and charts. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "tests/support/alloc_fail.h"
#include "tests/support/load_sample.h"
#include "tests/support/program.h"
#include "tests/support/temp_dir.h"
#include "tools/bench/chart.h"
#include "tools/bench/histogram.h"
#include "tools/bench/report.h"

static struct err err;
static struct load_result results[TARGETS_MAX];

static void results_are_put_together(void **state)
{
    (void)state;
    static struct load_result sum;
    load_sample_fill(&results[0], 100, 1000);
    load_sample_fill(&results[1], 1000, 500);
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
    load_sample_fill(&results[0], 100, 1000);
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

static void a_histogram_has_its_table_and_bars(void **state)
{
    (void)state;
    size_t len;
    load_sample_fill(&results[0], 100, 10000);
    FILE *file = tmpfile();
    histogram_print(&results[0].latency, file);
    char *text = load_sample_read(file, &len);
    assert_non_null(strstr(text, "percentile"));
    assert_non_null(strstr(text, "     99.99  "));
    assert_null(strstr(text, "99.999")); /* of 10,000 values there is none */
    assert_non_null(strstr(text, "##################################################\n"));
    assert_non_null(strstr(text, "       200  "));
    free(text);
    memset(&results[0], 0, sizeof results[0]);
    file = tmpfile();
    histogram_print(&results[0].latency, file);
    text = load_sample_read(file, &len);
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
        load_sample_fill(&results[0], 50 * (i + 1), 20000);
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
    assert_int_equal(chart_check_path("/nonexistent/chart.svg", &err), ERR_NOT_FOUND);
    assert_string_equal(err.text, "/nonexistent/chart.svg: no chart can be written there: "
                                  "No such file or directory");
    assert_int_equal(chart_check_path(dir.path, &err), ERR_BAD_INPUT);
    assert_int_equal(chart_check_path("folder/", &err), ERR_BAD_INPUT);
    assert_int_equal(chart_check_path("/dev/null", &err), ERR_BAD_INPUT); /* and not replaced */
    assert_non_null(strstr(err.text, "got a device"));
    assert_int_equal(chart_check_path(path, &err), ERR_OK);
    assert_int_equal(chart_check_path("chart.svg", &err), ERR_OK);
    assert_is_xml(path); /* as before */
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(results_are_put_together),
        cmocka_unit_test(a_late_generator_is_told_from_a_slow_daemon),
        cmocka_unit_test(percentiles_are_dense_where_they_matter),
        cmocka_unit_test(a_histogram_has_its_table_and_bars),
        cmocka_unit_test(a_chart_is_well_formed_and_complete),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
