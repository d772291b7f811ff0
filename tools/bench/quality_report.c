/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/bench/quality_report.h"

#include <inttypes.h>
#include <math.h>

#include "tools/bench/earlier.h"

static const struct {
    const char *name;
    double share;
} percentiles[] = {{"p50", 0.5}, {"p90", 0.9}, {"p99", 0.99}, {"max", 1.0}};
#define PERCENTILES (sizeof percentiles / sizeof percentiles[0])

static double us(uint64_t ns)
{
    return (double)ns / 1000.0;
}

/* A mean over nothing is none. */
static void put_column(double value, int width, int digits, FILE *out)
{
    if (isnan(value))
        fprintf(out, " %*s", width, "-");
    else
        fprintf(out, " %*.*f", width, digits, value);
}

static void put_member(const char *name, double value, FILE *out)
{
    if (isnan(value))
        fprintf(out, ", \"%s\": null", name);
    else
        fprintf(out, ", \"%s\": %.6f", name, value);
}

void quality_print_table(const struct quality_options *options, const struct quality *quality,
                         const struct evaluation *evaluation, FILE *out)
{
    const char *const slots[EVALUATE_MODES] = {options->slot_new, options->slot_any};
    char recall[16], ndcg[16], hr[16];
    snprintf(recall, sizeof recall, "recall@%u", options->k);
    snprintf(ndcg, sizeof ndcg, "ndcg@%u", options->k);
    snprintf(hr, sizeof hr, "hr@%u", options->k);
    fprintf(out, "%-5s %-12s %8s %10s %10s %10s %9s %8s %10s\n", "mode", "slot", "people", recall,
            ndcg, hr, "coverage", "novelty", "diversity");
    for (int m = 0; m < EVALUATE_MODES; m++) {
        const enum evaluate_mode mode = (enum evaluate_mode)m;
        const struct mode_metrics *one = &evaluation->mode[m];
        const double nobody = one->users == 0 ? (double)NAN : 0.0;
        fprintf(out, "%-5s %-12s %8u", evaluate_mode_name(mode), slots[m], one->users);
        put_column(one->mean.recall + nobody, 10, 4, out);
        put_column(one->mean.ndcg + nobody, 10, 4, out);
        put_column(one->mean.hr + nobody, 10, 4, out);
        put_column(quality_coverage(quality, mode), 9, 4, out);
        put_column(quality_novelty(quality, mode), 8, 3, out);
        put_column(quality_diversity(quality, mode), 10, 4, out);
        fputc('\n', out);
    }
    fprintf(out, "\n%-24s %8s %9s %9s %9s %9s\n", "level", "answers", "p50 us", "p90 us", "p99 us",
            "max us");
    for (uint32_t i = 0; i < quality->level_count; i++) {
        const struct hist *latency = &quality->level[i].latency;
        fprintf(out, "%-24s %8" PRIu64, quality->level[i].name, (uint64_t)latency->count);
        for (size_t p = 0; p < PERCENTILES; p++)
            fprintf(out, " %9.0f", us(hist_quantile(latency, percentiles[p].share)));
        fputc('\n', out);
    }
    if (options->outcomes != NULL)
        fprintf(out, "\n%" PRIu64 " outcomes in %s\n", quality->outcome_count, options->outcomes);
}

static void put_mode(const struct quality_options *options, const struct quality *quality,
                     const struct evaluation *evaluation, enum evaluate_mode mode, FILE *out)
{
    const struct mode_metrics *one = &evaluation->mode[mode];
    fprintf(out, "%s\"%s\": {\"people\": %u", mode == 0 ? "" : ", ", evaluate_mode_name(mode),
            one->users);
    const struct {
        const char *name;
        double mean;
    } means[] = {{"recall", one->mean.recall}, {"ndcg", one->mean.ndcg}, {"hr", one->mean.hr}};
    for (size_t i = 0; i < sizeof means / sizeof means[0]; i++) {
        char name[24];
        snprintf(name, sizeof name, "%s@%u", means[i].name, options->k);
        put_member(name, one->users > 0 ? means[i].mean : (double)NAN, out);
    }
    put_member("coverage", quality_coverage(quality, mode), out);
    put_member("novelty", quality_novelty(quality, mode), out);
    put_member("diversity", quality_diversity(quality, mode), out);
    fputc('}', out);
}

/* Names are the daemon's, letters and underscores. */
static void put_level(const struct quality_level *level, bool is_first, FILE *out)
{
    fprintf(out, "%s\"%s\": {\"answers\": %" PRIu64, is_first ? "" : ", ", level->name,
            (uint64_t)level->latency.count);
    for (size_t p = 0; p < PERCENTILES; p++)
        fprintf(out, ", \"%s\": %.1f", percentiles[p].name,
                us(hist_quantile(&level->latency, percentiles[p].share)));
    fputc('}', out);
}

void quality_print_json(const struct quality_options *options, const struct quality *quality,
                        const struct evaluation *evaluation, FILE *out)
{
    fprintf(out, "{\"format\": %d, \"kind\": \"quality\", \"k\": %u, \"items\": %u, \"modes\": {",
            EARLIER_FORMAT, options->k, quality->dataset->pairs.column_count);
    for (int mode = 0; mode < EVALUATE_MODES; mode++)
        put_mode(options, quality, evaluation, (enum evaluate_mode)mode, out);
    fputs("}, \"latency_us\": {", out);
    for (uint32_t i = 0; i < quality->level_count; i++)
        put_level(&quality->level[i], i == 0, out);
    fprintf(out, "}, \"outcomes\": %" PRIu64 "}\n", quality->outcome_count);
}
