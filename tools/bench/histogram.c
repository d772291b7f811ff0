/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/bench/histogram.h"

#include <inttypes.h>
#include <stdbool.h>

enum { BAR_WIDTH = 50 };

static const double percents[] = {0,    25,   50,    75,    90,     95,     99,
                                  99.5, 99.9, 99.95, 99.99, 99.995, 99.999, 100};

static void print_table(const struct hist *hist, uint64_t total, FILE *out)
{
    fprintf(out, "\n%10s  %12s  %12s\n", "percentile", "us", "above it");
    for (size_t i = 0; i < sizeof percents / sizeof percents[0]; i++) {
        double percent = percents[i];
        /* Beyond that a percentile is the largest value, by its right name. */
        if (percent < 100 && (1 - percent / 100) * (double)total < 1)
            continue;
        uint64_t value_ns = hist_quantile(hist, percent / 100);
        fprintf(out, "%10g  %12.1f  %12" PRIu64 "\n", percent, (double)value_ns / 1000,
                total - hist_count_below(hist, value_ns));
    }
}

/* 1, 2, 5, 10, 20, ... us */
static uint64_t next_edge(uint64_t edge_ns)
{
    uint64_t decade = 1;
    while (decade * 10 <= edge_ns)
        decade *= 10;
    return edge_ns / decade == 2 ? 5 * decade : 2 * edge_ns;
}

static void print_bars(const struct hist *hist, uint64_t total, FILE *out)
{
    uint64_t most = 0;
    fprintf(out, "\n%10s  %9s\n", "up to us", "share");
    for (int pass = 0; pass < 2; pass++) { /* to scale the bars, and to print them */
        uint64_t below = 0;
        bool begun = false;
        for (uint64_t edge_ns = 1000; below < total; edge_ns = next_edge(edge_ns)) {
            uint64_t count = hist_count_below(hist, edge_ns) - below;
            below += count;
            most = count > most ? count : most;
            begun = begun || count > 0;
            if (pass == 0 || !begun)
                continue;
            int width = (int)((double)count / (double)most * BAR_WIDTH + 0.5);
            fprintf(out, "%10.0f  %7.3f %%  %.*s\n", (double)edge_ns / 1000,
                    100 * (double)count / (double)total, width == 0 && count > 0 ? 1 : width,
                    width == 0 && count > 0 ? "."
                                            : "##################################################");
        }
    }
}

void histogram_print(const struct hist *hist, FILE *out)
{
    uint64_t total = hist_count_below(hist, UINT64_MAX);
    if (total == 0)
        return;
    print_table(hist, total, out);
    print_bars(hist, total, out);
}
