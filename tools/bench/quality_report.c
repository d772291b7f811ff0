/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/bench/quality_report.h"

#include <inttypes.h>

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
        fprintf(out, "%-5s %-12s %8u %10.4f %10.4f %10.4f %9.4f %8.3f %10.4f\n",
                evaluate_mode_name(mode), slots[m], one->users, one->mean.recall, one->mean.ndcg,
                one->mean.hr, quality_coverage(quality, mode), quality_novelty(quality, mode),
                quality_diversity(quality, mode));
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
    fprintf(out, ", \"recall@%u\": %.6f, \"ndcg@%u\": %.6f, \"hr@%u\": %.6f", options->k,
            one->mean.recall, options->k, one->mean.ndcg, options->k, one->mean.hr);
    fprintf(out, ", \"coverage\": %.6f, \"novelty\": %.6f, \"diversity\": %.6f}",
            quality_coverage(quality, mode), quality_novelty(quality, mode),
            quality_diversity(quality, mode));
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
