/* SPDX-License-Identifier: Apache-2.0 */
/* decide-bench - open-loop load on a running daemon, honest percentiles.  docs/benchmarks.md */
#include <stdio.h>
#include <stdlib.h>

#include "tools/bench/load.h"
#include "tools/bench/options.h"
#include "tools/bench/report.h"
#include "tools/bench/sweep.h"
#include "tools/bench/traffic.h"
#include "tools/cli/output.h"

enum { BENCH_FINE = 0, BENCH_FAILED = 1, BENCH_USAGE = 2 };

struct bench {
    struct bench_options options;
    struct traffic traffic;
    struct load_result result;
    struct sweep sweep;
};

static enum err_code try_rate(void *ctx, double rate, struct sweep_try *ret_try, struct err *err)
{
    struct bench *bench = ctx;
    struct bench_options options = bench->options;
    options.rate = rate;
    options.warmup_s = SWEEP_TRY_WARMUP_S;
    options.duration_s = bench->options.duration_s / 3;
    if (options.duration_s < SWEEP_TRY_S_MIN)
        options.duration_s = SWEEP_TRY_S_MIN;
    if (options.duration_s > SWEEP_TRY_S_MAX)
        options.duration_s = SWEEP_TRY_S_MAX;
    enum err_code rc = load_run(&options, &bench->traffic, &bench->result, err);
    if (rc != ERR_OK)
        return rc;
    *ret_try =
        (struct sweep_try){.rate = rate,
                           .achieved_rate = load_achieved_rate(&bench->result, options.duration_s),
                           .achieved_share = load_achieved_share(&bench->result),
                           .p99_ns = hist_quantile(&bench->result.latency, 0.99),
                           .failed_count = load_failed_count(&bench->result)};
    if (!bench->options.json)
        fprintf(stderr, "\r%.0f/s: p99 %.0f us          ", rate, (double)ret_try->p99_ns / 1000);
    return ERR_OK;
}

static enum err_code run_sweep(struct bench *bench, struct err *err)
{
    struct bench_options half = bench->options;
    enum err_code rc = sweep_run(bench->options.rate, bench->options.limit_us * 1000, try_rate,
                                 bench, &bench->sweep, err);
    if (!bench->options.json)
        fprintf(stderr, "\r%40s\r", "");
    half.rate = bench->sweep.peak_rate / 2;
    bool has_peak = bench->sweep.peak_rate > 0;
    if (rc == ERR_OK && has_peak)
        rc = load_run(&half, &bench->traffic, &bench->result, err);
    if (rc == ERR_OK)
        report_sweep(&bench->options, &bench->sweep, &half, has_peak ? &bench->result : NULL,
                     stdout);
    return rc;
}

static enum err_code run(struct bench *bench, struct err *err)
{
    enum err_code rc = traffic_init(&bench->traffic, &bench->options, err);
    if (rc != ERR_OK)
        return rc;
    if (bench->options.mode == BENCH_SWEEP) {
        rc = run_sweep(bench, err);
    } else {
        rc = load_run(&bench->options, &bench->traffic, &bench->result, err);
        if (rc == ERR_OK)
            report_run(&bench->options, &bench->result, stdout);
    }
    traffic_deinit(&bench->traffic);
    return rc;
}

static int run_program(int argc, char **argv)
{
    static struct bench bench; /* the histograms are large for a stack */
    struct err err = {0};
    if (bench_options_parse(argc, argv, &bench.options, &err) != ERR_OK) {
        fprintf(stderr, "decide-bench: %s\nTry 'decide-bench --help'.\n", err.text);
        return BENCH_USAGE;
    }
    if (bench.options.help) {
        bench_options_help(stdout);
        return BENCH_FINE;
    }
    if (bench.options.version) {
        puts("decide-bench " DECIDED_VERSION);
        return BENCH_FINE;
    }
    if (run(&bench, &err) != ERR_OK) {
        fprintf(stderr, "decide-bench: %s\n", err.text);
        return BENCH_FAILED;
    }
    return BENCH_FINE;
}

int main(int argc, char **argv)
{
    return output_close("decide-bench", run_program(argc, argv));
}
