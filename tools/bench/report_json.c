/* SPDX-License-Identifier: Apache-2.0 */
#include <inttypes.h>

#include "tools/bench/earlier.h"
#include "tools/bench/report.h"
#include "tools/bench/stop.h"
#include "tools/cli/json_text.h"

/* Every text but the slot is a name of ours, or letters and underscores: see tally.h. */

static double us(uint64_t ns)
{
    return (double)ns / 1000;
}

static void put_hist(const char *name, const struct hist *hist, FILE *out)
{
    fprintf(out, "\"%s\": {\"mean\": %.3f", name, hist_mean_ns(hist) / 1000);
    for (size_t i = 0; i < QUANTILE_COUNT; i++)
        fprintf(out, ", \"%s\": %.3f", quantiles[i].name,
                us(hist_quantile(hist, quantiles[i].share)));
    fprintf(out, ", \"max\": %.3f}, ", us(hist_quantile(hist, 1)));
}

static void put_percentiles(const struct hist *hist, FILE *out)
{
    struct curve curve;
    curve_of(hist, &curve);
    fputs("\"percentiles\": [", out);
    for (uint32_t i = 0; i < curve.count; i++)
        fprintf(out, "%s[%.10g, %.3f]", i == 0 ? "" : ", ", 100 * curve.points[i].share,
                curve.points[i].us);
    fputs("], ", out);
}

static void put_tally(const char *name, const struct tally *tally, FILE *out)
{
    fprintf(out, "\"%s\": {", name);
    for (uint32_t i = 0; i < tally->used; i++)
        fprintf(out, "%s\"%s\": %" PRIu64, i == 0 ? "" : ", ", tally->rows[i].name,
                tally->rows[i].count);
    fputs("}", out);
}

/* The members of one target's result, without the braces. */
static void put_result(const struct bench_options *options, const struct load_result *result,
                       FILE *out)
{
    uint64_t answer_count = result->ok_count + result->refused_count + result->malformed_count;
    fprintf(out, "\"duration_s\": %.3f, \"due\": %" PRIu64 ", ", (double)result->measured_ns / 1e9,
            result->due_count);
    fprintf(out, "\"due_rate\": %.2f, \"achieved_rate\": %.2f, \"achieved_share\": %.5f, ",
            load_due_rate(result), load_achieved_rate(result), load_achieved_share(result));
    put_hist("latency_us", &result->latency, out);
    put_percentiles(&result->latency, out);
    if (options->mode != BENCH_CLOSED)
        put_hist("lag_us", &result->lag, out);
    if (options->budget_us != 0)
        fprintf(out, "\"in_budget_rate\": %.2f, ", load_in_budget_rate(result));
    if (result->refused_count != 0)
        put_hist("refusal_us", &result->refusal, out);
    put_tally("levels", &result->levels, out);
    fputs(", ", out);
    put_tally("errors", &result->errors, out);
    fprintf(out,
            ", \"ok\": %" PRIu64 ", \"refused\": %" PRIu64 ", \"malformed\": %" PRIu64
            ", \"lost\": %" PRIu64 ", \"unsent\": %" PRIu64 ", \"reply_bytes\": %.1f, ",
            result->ok_count, result->refused_count, result->malformed_count, result->lost_count,
            result->unsent_count, report_ratio((double)result->reply_bytes, (double)answer_count));
    fprintf(out,
            "\"generator_cpu\": %.4f, \"generator_lag_share\": %.4f, "
            "\"generator_kept_up\": %s",
            load_cpu_share(result), load_lag_share(result),
            load_kept_up(result) ? "true" : "false");
}

static void put_ratios(const double *decided_us, const double *other_us, FILE *out)
{
    fputs("\"ratio\": {", out);
    for (int i = 0; i < QUANTILE_COUNT; i++)
        fprintf(out, "%s\"%s\": %.4f", i == 0 ? "" : ", ", quantiles[i].name,
                report_ratio(decided_us[i], other_us[i]));
    fputs("}", out);
}

static void put_yardsticks(const struct report *report, const struct curve *decided, FILE *out)
{
    fputs(", \"yardsticks\": [", out);
    for (uint32_t i = 1; i < report->targets->count; i++) {
        struct curve other;
        curve_of(&report->results[i].latency, &other);
        fprintf(out, "%s{\"name\": \"%s\", ", i == 1 ? "" : ", ", report->targets->list[i].name);
        put_ratios(decided->us, other.us, out);
        fputs(", ", out);
        put_result(report->options, &report->results[i], out);
        fputs("}", out);
    }
    fputs("]", out);
}

/* The members of a run, without the braces. */
static void put_run(const struct report *report, FILE *out)
{
    const struct bench_options *options = report->options;
    struct curve decided;
    curve_of(&report->results[0].latency, &decided);
    fprintf(out, "\"op\": \"%s\", \"n\": %u, \"slot\": ", bench_op_name(options->op), options->n);
    if (options->slot == NULL)
        fputs("null", out);
    else
        json_text_print(options->slot, out);
    fprintf(out,
            ", \"arrivals\": \"%s\", \"connections\": %u, \"processes\": %u, "
            "\"rounds\": %u, \"warmup_s\": %.3f, \"seed\": %" PRIu64 ", ",
            report_arrivals(options), options->connections, options->processes, options->rounds,
            options->warmup_s, options->seed);
    put_result(options, &report->results[0], out);
    put_yardsticks(report, &decided, out);
    if (report->before != NULL) {
        fputs(", \"before\": {", out);
        put_ratios(decided.us, report->before->us, out);
        for (int i = 0; i < QUANTILE_COUNT; i++)
            fprintf(out, "%s\"%s\": %.3f", i == 0 ? ", \"latency_us\": {" : ", ", quantiles[i].name,
                    report->before->us[i]);
        fputs("}}", out);
    }
}

static void put_tries(const struct sweep *sweep, FILE *out)
{
    fprintf(out, "\"peak_rate\": %.1f, \"tries\": [", sweep->peak_rate);
    for (uint32_t i = 0; i < sweep->try_count; i++) {
        const struct sweep_try *one = &sweep->tries[i];
        fprintf(out,
                "%s{\"rate\": %.1f, \"achieved_rate\": %.1f, \"achieved_share\": %.5f, "
                "\"p50_us\": %.1f, \"p99_us\": %.1f, \"p999_us\": %.1f, \"failed\": %" PRIu64
                ", \"good\": %s, \"generator_lag_share\": %.4f, ",
                i == 0 ? "" : ", ", one->rate, one->achieved_rate, one->achieved_share,
                us(one->p50_ns), us(one->p99_ns), us(one->p999_ns), one->failed_count,
                one->good ? "true" : "false", one->lag_share);
        put_tally("levels", &one->levels, out);
        fputs("}", out);
    }
    fputs("]", out);
}

static void put_sweeps(const struct report *report, FILE *out)
{
    const struct sweep *decided = &report->sweeps[0];
    fprintf(out, "\"op\": \"%s\", \"limit_us\": %" PRIu64 ", ", bench_op_name(report->options->op),
            report->options->limit_us);
    put_tries(decided, out);
    fputs(", \"yardsticks\": [", out);
    for (uint32_t i = 1; i < report->targets->count; i++) {
        fprintf(out, "%s{\"name\": \"%s\", \"peak_ratio\": %.4f, ", i == 1 ? "" : ", ",
                report->targets->list[i].name,
                report_ratio(decided->peak_rate, report->sweeps[i].peak_rate));
        put_tries(&report->sweeps[i], out);
        fputs("}", out);
    }
    fputs("], \"at_half\": ", out);
    if (report->results == NULL) {
        fputs("null", out);
        return;
    }
    fputs("{", out);
    put_run(report, out);
    fputs("}", out);
}

void report_json(const struct report *report, FILE *out)
{
    fprintf(out, "{\"format\": %d, \"kind\": \"%s\", \"stopped\": %s, ", EARLIER_FORMAT,
            report->sweeps == NULL ? "run" : "sweep", stop_is_requested() ? "true" : "false");
    if (report->sweeps != NULL)
        put_sweeps(report, out);
    else
        put_run(report, out);
    fputs("}\n", out);
}
