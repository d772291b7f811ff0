/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/bench/report.h"

#include <inttypes.h>

static const struct {
    const char *name;
    double share;
} percentiles[] = {{"p50", 0.5}, {"p90", 0.9}, {"p99", 0.99}, {"p99.9", 0.999}, {"max", 1}};

enum { PERCENTILES = sizeof percentiles / sizeof percentiles[0] };

static double us(uint64_t ns)
{
    return (double)ns / 1000;
}

static double per_answer(const struct load_result *result, uint64_t sum)
{
    uint64_t count = result->ok_count + result->refused_count + result->malformed_count;
    return count == 0 ? 0 : (double)sum / (double)count;
}

static const char *arrivals(const struct bench_options *options)
{
    if (options->mode == BENCH_CLOSED)
        return "closed loop";
    return options->poisson ? "poisson" : "constant";
}

static void print_hist(const char *name, const struct hist *hist, FILE *out)
{
    fprintf(out, "%-9s us:", name);
    for (size_t i = 0; i < PERCENTILES; i++)
        fprintf(out, "  %s %.1f", percentiles[i].name,
                us(hist_quantile(hist, percentiles[i].share)));
    fputc('\n', out);
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

static void print_run(const struct bench_options *options, const struct load_result *result,
                      FILE *out)
{
    fprintf(out, "%s, %s, %u connections, %.3g s after %.3g s of warm-up\n",
            bench_op_name(options->op), arrivals(options), options->connections,
            options->duration_s, options->warmup_s);
    fprintf(out, "rate   1/s:  due %.0f  achieved %.0f (%.2f %%)\n",
            load_due_rate(result, options->duration_s),
            load_achieved_rate(result, options->duration_s), 100 * load_achieved_share(result));
    print_hist("latency", &result->latency, out);
    if (options->mode != BENCH_CLOSED)
        print_hist("lag", &result->lag, out);
    fprintf(out,
            "replies     :  ok %" PRIu64 "  refused %" PRIu64 "  malformed %" PRIu64
            "  lost %" PRIu64 "  unsent %" PRIu64 "  %.0f bytes each\n",
            result->ok_count, result->refused_count, result->malformed_count, result->lost_count,
            result->unsent_count, per_answer(result, result->reply_bytes));
    print_tally("levels", &result->levels, out);
    print_tally("errors", &result->errors, out);
    fprintf(out, "generator   :  %.0f %% of a core\n", 100 * result->generator_cpu_share);
}

static void json_hist(const char *name, const struct hist *hist, FILE *out)
{
    fprintf(out, "\"%s\": {\"mean\": %.2f", name, hist_mean_ns(hist) / 1000);
    for (size_t i = 0; i < PERCENTILES; i++)
        fprintf(out, ", \"%s\": %.3f", percentiles[i].name,
                us(hist_quantile(hist, percentiles[i].share)));
    fputs("}, ", out);
}

/* Names hold letters and underscores alone: see tally_add. */
static void json_tally(const char *name, const struct tally *tally, FILE *out)
{
    fprintf(out, "\"%s\": {", name);
    for (uint32_t i = 0; i < tally->used; i++)
        fprintf(out, "%s\"%s\": %" PRIu64, i == 0 ? "" : ", ", tally->rows[i].name,
                tally->rows[i].count);
    fputs("}, ", out);
}

static void json_run(const struct bench_options *options, const struct load_result *result,
                     FILE *out)
{
    fprintf(out,
            "{\"op\": \"%s\", \"arrivals\": \"%s\", \"connections\": %u, \"duration_s\": %.3f, "
            "\"warmup_s\": %.3f, \"due_rate\": %.2f, \"achieved_rate\": %.2f, "
            "\"achieved_share\": %.5f, ",
            bench_op_name(options->op), arrivals(options), options->connections,
            options->duration_s, options->warmup_s, load_due_rate(result, options->duration_s),
            load_achieved_rate(result, options->duration_s), load_achieved_share(result));
    json_hist("latency_us", &result->latency, out);
    if (options->mode != BENCH_CLOSED)
        json_hist("lag_us", &result->lag, out);
    json_tally("levels", &result->levels, out);
    json_tally("errors", &result->errors, out);
    fprintf(out,
            "\"ok\": %" PRIu64 ", \"refused\": %" PRIu64 ", \"malformed\": %" PRIu64
            ", \"lost\": %" PRIu64 ", \"unsent\": %" PRIu64
            ", \"reply_bytes\": %.1f, \"generator_cpu\": %.4f}",
            result->ok_count, result->refused_count, result->malformed_count, result->lost_count,
            result->unsent_count, per_answer(result, result->reply_bytes),
            result->generator_cpu_share);
}

void report_run(const struct bench_options *options, const struct load_result *result, FILE *out)
{
    if (options->json)
        json_run(options, result, out);
    else
        print_run(options, result, out);
    if (options->json)
        fputc('\n', out);
}

static void json_sweep(const struct bench_options *options, const struct sweep *sweep,
                       const struct bench_options *half_options, const struct load_result *at_half,
                       FILE *out)
{
    fprintf(out, "{\"op\": \"%s\", \"limit_us\": %" PRIu64 ", \"peak_rate\": %.1f, \"tries\": [",
            bench_op_name(options->op), options->limit_us, sweep->peak_rate);
    for (uint32_t i = 0; i < sweep->try_count; i++) {
        const struct sweep_try *one = &sweep->tries[i];
        fprintf(out,
                "%s{\"rate\": %.1f, \"achieved_rate\": %.1f, \"p99_us\": %.1f, \"failed\": %" PRIu64
                ", \"good\": %s}",
                i == 0 ? "" : ", ", one->rate, one->achieved_rate, us(one->p99_ns),
                one->failed_count, one->good ? "true" : "false");
    }
    fputs("], \"at_half\": ", out);
    if (at_half == NULL)
        fputs("null", out);
    else
        json_run(half_options, at_half, out);
    fputs("}\n", out);
}

void report_sweep(const struct bench_options *options, const struct sweep *sweep,
                  const struct bench_options *half_options, const struct load_result *at_half,
                  FILE *out)
{
    if (options->json) {
        json_sweep(options, sweep, half_options, at_half, out);
        return;
    }
    for (uint32_t i = 0; i < sweep->try_count; i++) {
        const struct sweep_try *one = &sweep->tries[i];
        fprintf(out, "%8.0f/s  achieved %8.0f/s  p99 %9.1f us  failed %" PRIu64 "  %s\n", one->rate,
                one->achieved_rate, us(one->p99_ns), one->failed_count, one->good ? "good" : "bad");
    }
    fprintf(out, "\npeak %.0f/s (p99 under %" PRIu64 " us, 99 %% achieved, nothing failed)\n",
            sweep->peak_rate, options->limit_us);
    if (at_half != NULL) {
        fputs("\nat half of it:\n", out);
        print_run(half_options, at_half, out);
    }
}
