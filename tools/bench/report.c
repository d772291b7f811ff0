/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/bench/report.h"

#include <inttypes.h>

#include "tools/bench/chart.h"
#include "tools/bench/histogram.h"
#include "tools/bench/load.h"
#include "tools/bench/stop.h"

const char *report_arrivals(const struct bench_options *options)
{
    if (options->mode == BENCH_CLOSED)
        return "closed loop";
    return options->arrivals == BENCH_POISSON ? "poisson" : "constant";
}

double report_ratio(double a, double b)
{
    return b > 0 ? a / b : 0;
}

static double us(uint64_t ns)
{
    return (double)ns / 1000;
}

static void print_hist(const char *name, const struct hist *hist, FILE *out)
{
    fprintf(out, "%-9s us:", name);
    for (size_t i = 0; i < QUANTILE_COUNT; i++)
        fprintf(out, "  %s %.1f", quantiles[i].name, us(hist_quantile(hist, quantiles[i].share)));
    fprintf(out, "  max %.1f\n", us(hist_quantile(hist, 1)));
}

static void print_tally(const char *name, const struct tally *tally, FILE *out)
{
    if (tally->used == 0)
        return;
    fprintf(out, "%-9s   ", name);
    for (uint32_t i = 0; i < tally->used; i++)
        fprintf(out, "  %s %" PRIu64, tally->rows[i].name, tally->rows[i].count);
    fputc('\n', out);
}

static void print_notes(const struct load_result *result, const char *name, FILE *out)
{
    uint64_t never = result->lost_count + result->unsent_count;
    if (never > 0)
        fprintf(out,
                "note: %s: %" PRIu64 " of %" PRIu64 " requests never came back (lost %" PRIu64
                ", unsent %" PRIu64 "); the percentiles count them with the time until they were "
                "given up\n",
                name, never, result->due_count, result->lost_count, result->unsent_count);
    if (!load_kept_up(result))
        fprintf(out,
                "note: %s: the generator did not keep up: its own lag (p99 %.1f us) is up to %.0f "
                "%% of the p99; give it cores of its own, or more --processes\n",
                name, us(hist_quantile(&result->lag, 0.99)), 100 * load_lag_share(result));
}

static void print_run(const struct bench_options *options, const struct load_result *result,
                      FILE *out)
{
    uint64_t answer_count = result->ok_count + result->refused_count + result->malformed_count;
    fprintf(out, "%s, %s, %u connections, %u processes, %.3g s after %.3g s of warm-up\n",
            bench_op_name(options->op), report_arrivals(options), options->connections,
            options->processes, (double)result->measured_ns / 1e9, options->warmup_s);
    fprintf(out, "rate   1/s:  due %.0f  achieved %.0f (%.2f %%)\n", load_due_rate(result),
            load_achieved_rate(result), 100 * load_achieved_share(result));
    print_hist("latency", &result->latency, out);
    if (options->mode != BENCH_CLOSED)
        print_hist("lag", &result->lag, out);
    fprintf(out,
            "replies     :  ok %" PRIu64 "  refused %" PRIu64 "  malformed %" PRIu64
            "  lost %" PRIu64 "  unsent %" PRIu64 "  %.0f bytes each\n",
            result->ok_count, result->refused_count, result->malformed_count, result->lost_count,
            result->unsent_count, report_ratio((double)result->reply_bytes, (double)answer_count));
    if (options->budget_us != 0)
        fprintf(out, "in budget   :  %.0f a second within %" PRIu64 " us of when they were sent\n",
                load_in_budget_rate(result), options->budget_us);
    if (result->refused_count != 0)
        print_hist("refusal", &result->refusal, out);
    print_tally("levels", &result->levels, out);
    print_tally("errors", &result->errors, out);
    fprintf(out, "generator   :  %.0f %% of a core\n", 100 * load_cpu_share(result));
    print_notes(result, "decided", out);
}

/* One line of the table, and below it how many times as much the daemon's is. */
static void print_beside(const char *name, const double *row_us, const double *decided_us,
                         FILE *out)
{
    fprintf(out, "%-10s", name);
    for (int i = 0; i < QUANTILE_COUNT; i++)
        fprintf(out, "  %10.1f", row_us[i]);
    fputc('\n', out);
    if (row_us == decided_us)
        return;
    fprintf(out, "%-10s", "  ratio");
    for (int i = 0; i < QUANTILE_COUNT; i++)
        fprintf(out, "  %9.2fx", report_ratio(decided_us[i], row_us[i]));
    fputc('\n', out);
}

static void print_comparison(const struct report *report, FILE *out)
{
    const struct targets *targets = report->targets;
    struct curve decided, other;
    if (targets->count == 1 && report->before == NULL)
        return;
    fprintf(out, "\n%-10s", "us");
    for (int i = 0; i < QUANTILE_COUNT; i++)
        fprintf(out, "  %10s", quantiles[i].name);
    fputc('\n', out);
    curve_of(&report->results[0].latency, &decided);
    print_beside("decided", decided.us, decided.us, out);
    for (uint32_t i = 1; i < targets->count; i++) {
        curve_of(&report->results[i].latency, &other);
        if (other.count > 0) /* its turn came before a stop */
            print_beside(targets->list[i].name, other.us, decided.us, out);
    }
    if (report->before != NULL)
        print_beside("before", report->before->us, decided.us, out);
    for (uint32_t i = 1; i < targets->count; i++)
        print_notes(&report->results[i], targets->list[i].name, out);
}

static void print_results(const struct report *report, FILE *out)
{
    print_run(report->options, &report->results[0], out);
    print_comparison(report, out);
    if (report->options->histogram)
        histogram_print(&report->results[0].latency, out);
}

/* "full 80 % reduced 20 %" */
static void print_shares(const struct tally *tally, FILE *out)
{
    double sum = (double)tally_sum(tally);
    for (uint32_t i = 0; i < tally->used; i++)
        fprintf(out, "  %s %.1f %%", tally->rows[i].name, 100 * (double)tally->rows[i].count / sum);
}

static void print_sweep(const char *name, const struct sweep *sweep, FILE *out)
{
    fprintf(out, "%s\n%10s  %10s  %10s  %10s  %10s  %8s\n", name, "offered/s", "answered/s",
            "p50 us", "p99 us", "p99.9 us", "failed");
    for (uint32_t i = 0; i < sweep->try_count; i++) {
        const struct sweep_try *one = &sweep->tries[i];
        fprintf(out, "%10.0f  %10.0f  %10.1f  %10.1f  %10.1f  %8" PRIu64 "  %s", one->rate,
                one->achieved_rate, us(one->p50_ns), us(one->p99_ns), us(one->p999_ns),
                one->failed_count, one->good ? "good" : "bad ");
        print_shares(&one->levels, out);
        if (one->lag_share > LOAD_LAG_SHARE_MAX)
            fprintf(out, "  (generator late: up to %.0f %% of p99)", 100 * one->lag_share);
        fputc('\n', out);
    }
}

static void print_sweeps(const struct report *report, FILE *out)
{
    const struct sweep *decided = &report->sweeps[0];
    for (uint32_t i = 0; i < report->targets->count; i++) {
        print_sweep(report->targets->list[i].name, &report->sweeps[i], out);
        fputc('\n', out);
    }
    if (decided->phase != SWEEP_DONE) {
        fputs("stopped before the peak was known\n", out);
        return;
    }
    fprintf(out, "peak %.0f/s (p99 under %" PRIu64 " us, 99 %% achieved, nothing failed)\n",
            decided->peak_rate, report->options->limit_us);
    for (uint32_t i = 1; i < report->targets->count; i++)
        fprintf(out, "peak of %s %.0f/s: decided reaches %.2f of it\n",
                report->targets->list[i].name, report->sweeps[i].peak_rate,
                report_ratio(decided->peak_rate, report->sweeps[i].peak_rate));
    if (report->results != NULL)
        fputs("\nat half of it:\n", out);
}

void report_text(const struct report *report, FILE *out)
{
    if (stop_is_requested())
        fputs("stopped early\n", out);
    if (report->sweeps != NULL)
        print_sweeps(report, out);
    if (report->results != NULL)
        print_results(report, out);
}

enum err_code report_svg(const struct report *report, struct err *err)
{
    static struct chart chart; /* large for a stack */
    const struct bench_options *options = report->options;
    chart.count = 0;
    chart.subtitle[0] = '\0';
    snprintf(chart.title, sizeof chart.title, "Latency of %s", bench_op_name(options->op));
    if (report->results == NULL)
        return err_set(err, ERR_NOT_FOUND, "%s: no peak was found, so there is nothing to draw",
                       options->svg_file);
    snprintf(chart.subtitle, sizeof chart.subtitle,
             "%.0f requests/s answered, %s, %u connections, %.3g s",
             load_achieved_rate(&report->results[0]), report_arrivals(options),
             options->connections, (double)report->results[0].measured_ns / 1e9);
    if (report->before != NULL)
        chart.series[chart.count++] =
            (struct chart_series){.role = CHART_BEFORE, .curve = *report->before};
    for (uint32_t i = 0; i < report->targets->count; i++) {
        struct chart_series *series = &chart.series[chart.count++];
        const struct target *target = &report->targets->list[i];
        series->role = i == 0                                    ? CHART_DECIDED
                       : target->yardstick.kind == YARDSTICK_RAW ? CHART_RAW
                                                                 : CHART_NNG;
        curve_of(&report->results[i].latency, &series->curve);
    }
    return chart_write(&chart, options->svg_file, err);
}
