/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/bench/measure.h"

#include <math.h>
#include <stdlib.h>

#include "tools/bench/chart.h"
#include "tools/bench/earlier.h"
#include "tools/bench/report.h"
#include "tools/bench/stop.h"
#include "tools/bench/sweep.h"
#include "tools/bench/targets.h"
#include "tools/bench/traffic.h"

struct measurement {
    const struct bench_options *options;
    struct traffic traffic;
    struct targets targets;
    struct load_result results[TARGETS_MAX];
    struct sweep sweeps[TARGETS_MAX];
    struct load_result one; /* of a try */
    struct curve before;
};

static double between(double min, double value, double max)
{
    return fmin(fmax(value, min), max);
}

static enum err_code try_rate(struct measurement *m, uint32_t index, double rate, struct err *err)
{
    struct bench_options options = *m->options;
    options.rate = rate;
    options.duration_s = between(MEASURE_TRY_S_MIN, m->options->duration_s / 3, MEASURE_TRY_S_MAX);
    options.duration_s = fmin(options.duration_s, m->options->duration_s);
    options.warmup_s = fmin(options.warmup_s, MEASURE_TRY_WARMUP_S);
    enum err_code rc = targets_turn(&m->targets, index, &options, &m->traffic, &m->one, err);
    if (rc != ERR_OK || stop_is_requested())
        return rc; /* half a try says nothing */
    const struct hist *latency = &m->one.latency;
    struct sweep_try one = {.rate = rate,
                            .achieved_rate = load_achieved_rate(&m->one),
                            .achieved_share = load_achieved_share(&m->one),
                            .p50_ns = hist_quantile(latency, 0.5),
                            .p99_ns = hist_quantile(latency, 0.99),
                            .p999_ns = hist_quantile(latency, 0.999),
                            .failed_count = load_failed_count(&m->one),
                            .lag_share = load_lag_share(&m->one),
                            .levels = m->one.levels};
    sweep_take(&m->sweeps[index], &one);
    if (!m->options->json)
        fprintf(stderr, "\r%-8s %.0f/s: p99 %.0f us          ", m->targets.list[index].name, rate,
                (double)one.p99_ns / 1000);
    return ERR_OK;
}

/* All of them in turn, one try each, until none has a rate left. */
static enum err_code sweep_all(struct measurement *m, struct err *err)
{
    enum err_code rc = ERR_OK;
    bool more = true;
    for (uint32_t i = 0; i < m->targets.count; i++)
        sweep_begin(&m->sweeps[i], m->options->rate, m->options->limit_us * 1000);
    while (more && rc == ERR_OK && !stop_is_requested()) {
        more = false;
        for (uint32_t i = 0; i < m->targets.count && rc == ERR_OK; i++) {
            double rate = 0;
            if (!sweep_next(&m->sweeps[i], &rate) || stop_is_requested())
                continue;
            rc = try_rate(m, i, rate, err);
            more = true;
        }
    }
    if (!m->options->json)
        fprintf(stderr, "\r%50s\r", "");
    return rc;
}

static enum err_code run(struct measurement *m, struct report *report, struct err *err)
{
    struct bench_options options = *m->options;
    enum err_code rc = ERR_OK;
    if (options.mode == BENCH_SWEEP) {
        rc = sweep_all(m, err);
        report->sweeps = m->sweeps;
        options.rate = m->sweeps[0].peak_rate / 2;
        if (rc != ERR_OK || options.rate <= 0 || stop_is_requested())
            return rc;
    }
    rc = targets_measure(&m->targets, &options, &m->traffic, m->results, err);
    report->results = m->results;
    return rc;
}

static enum err_code measure_with(struct measurement *m, FILE *out, bool *ret_reported,
                                  struct err *err)
{
    struct report report = {.options = m->options, .targets = &m->targets};
    enum err_code rc = ERR_OK;
    if (m->options->svg_file != NULL)
        rc = chart_check_path(m->options->svg_file, err);
    if (rc == ERR_OK && m->options->compare_file != NULL) {
        rc = earlier_read_curve(m->options->compare_file, m->options, &m->before, err);
        report.before = &m->before;
    }
    if (rc == ERR_OK)
        rc = traffic_init(&m->traffic, m->options, err);
    if (rc == ERR_OK)
        rc = targets_start(&m->targets, m->options, &m->traffic, err);
    if (rc == ERR_OK)
        rc = run(m, &report, err);
    if (rc != ERR_OK)
        return rc;
    if (m->options->json)
        report_json(&report, out);
    else
        report_text(&report, out);
    *ret_reported = true;
    return m->options->svg_file != NULL ? report_svg(&report, err) : ERR_OK;
}

enum err_code measure(const struct bench_options *options, FILE *out, bool *ret_reported,
                      struct err *err)
{
    *ret_reported = false;
    struct measurement *m = calloc(1, sizeof *m);
    if (m == NULL)
        return err_set(err, ERR_NOMEM, "out of memory");
    m->options = options;
    enum err_code rc = measure_with(m, out, ret_reported, err);
    targets_stop(&m->targets);
    traffic_deinit(&m->traffic);
    free(m);
    return rc;
}
