/* SPDX-License-Identifier: Apache-2.0 */
/* The page of metrics: Prometheus text exposition format 0.0.4. */
#include <inttypes.h>
#include <math.h>
#include <stdbool.h>
#include <string.h>

#include "base/buffer.h"
#include "base/metrics_internal.h"
#include "base/num.h"

static const struct {
    uint64_t limit_ns;
    const char *seconds;
} buckets[] = {
    {25000, "0.000025"}, {50000, "0.00005"},  {100000, "0.0001"},  {250000, "0.00025"},
    {500000, "0.0005"},  {1000000, "0.001"},  {2500000, "0.0025"}, {5000000, "0.005"},
    {10000000, "0.01"},  {25000000, "0.025"}, {50000000, "0.05"},  {100000000, "0.1"},
    {250000000, "0.25"}, {1000000000, "1"},
};

static const struct metric_slot *slot_at(const struct metrics *metrics, uint32_t index)
{
    return atomic_load_explicit(&metrics->slot[index], memory_order_acquire);
}

static uint32_t slot_count(const struct metrics *metrics)
{
    return atomic_load_explicit(&metrics->slot_count, memory_order_acquire);
}

static double set_value(const struct metrics *metrics, uint32_t row)
{
    uint64_t bits = atomic_load_explicit(&metrics->shared[row].set_bits, memory_order_relaxed);
    double value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

/* What was added, in slots and shared. */
static uint64_t added(const struct metrics *metrics, uint32_t row)
{
    uint64_t sum = atomic_load_explicit(&metrics->shared[row].count, memory_order_relaxed);
    for (uint32_t i = 0; i < slot_count(metrics); i++) {
        const struct metric_slot *slot = slot_at(metrics, i);
        if (slot != NULL)
            sum += atomic_load_explicit(&slot->count[row], memory_order_relaxed);
    }
    return sum;
}

static void row_hist(const struct metrics *metrics, uint32_t family, uint32_t row,
                     struct hist *into)
{
    for (uint32_t i = 0; i < slot_count(metrics); i++) {
        const struct metric_slot *slot = slot_at(metrics, i);
        if (slot == NULL)
            continue;
        const struct hist *from = metric_slot_hist(slot, family, row);
        /* Most are empty; a look at the count spares their 18 KiB. */
        if (atomic_load_explicit(&from->count, memory_order_relaxed) > 0)
            hist_merge(into, from);
    }
}

void metric_hist(const struct metrics *metrics, uint32_t family, uint32_t l0, uint32_t l1,
                 struct hist *ret_hist)
{
    ASSERT(family < metrics->family_count);
    ASSERT(metrics->families[family].kind == METRIC_HISTOGRAM);
    const struct metric_layout *layout = &metrics->layout[family];
    memset(ret_hist, 0, sizeof *ret_hist);
    for (uint32_t i = 0; i < layout->value_count[0]; i++) {
        for (uint32_t j = 0; j < layout->value_count[1]; j++) {
            if ((l0 == UINT32_MAX || l0 == i) && (l1 == UINT32_MAX || l1 == j))
                row_hist(metrics, family, metric_row(metrics, family, i, j), ret_hist);
        }
    }
}

uint64_t metric_value(const struct metrics *metrics, uint32_t family, uint32_t l0, uint32_t l1)
{
    uint32_t row = metric_row(metrics, family, l0, l1);
    if (metrics->families[family].kind == METRIC_HISTOGRAM) {
        uint64_t count = 0;
        for (uint32_t i = 0; i < slot_count(metrics); i++) {
            const struct metric_slot *slot = slot_at(metrics, i);
            if (slot != NULL)
                count += atomic_load_explicit(&metric_slot_hist(slot, family, row)->count,
                                              memory_order_relaxed);
        }
        return count;
    }
    double set = set_value(metrics, row);
    /* What a 64-bit count cannot show counts as 0 (NaN, below zero) or as the largest. */
    uint64_t whole = !(set > 0) ? 0 : set >= 0x1p64 ? UINT64_MAX : (uint64_t)set;
    return added(metrics, row) + whole;
}

/* Backslash and line feed everywhere, the quote in label values. */
static void put_escaped(struct buffer *page, const char *s, bool is_label)
{
    for (; *s != '\0'; s++) {
        if (*s == '\n')
            buffer_put_str(page, "\\n");
        else if (*s == '\\' || (*s == '"' && is_label))
            buffer_put_fmt(page, "\\%c", *s);
        else
            buffer_put_char(page, *s);
    }
}

/* "{op="ping",le="0.1"}"; le may be NULL. */
static void put_labels(struct buffer *page, const struct metric_family *family,
                       const uint32_t at[2], const char *le)
{
    const char *separator = "{";
    for (int i = 0; i < 2; i++) {
        if (family->label[i].name == NULL)
            continue;
        buffer_put_str(page, separator);
        buffer_put_str(page, family->label[i].name);
        buffer_put_str(page, "=\"");
        put_escaped(page, family->label[i].values[at[i]], true);
        buffer_put_char(page, '"');
        separator = ",";
    }
    if (le != NULL)
        buffer_put_fmt(page, "%sle=\"%s\"", separator, le);
    if (le != NULL || *separator == ',')
        buffer_put_char(page, '}');
}

static void put_value(struct buffer *page, double value)
{
    char number[NUM_REAL_BYTES];
    if (isnan(value))
        buffer_put_str(page, " NaN\n");
    else if (isinf(value))
        buffer_put_str(page, value > 0 ? " +Inf\n" : " -Inf\n");
    else if (value == floor(value) && fabs(value) < 0x1p53)
        buffer_put_fmt(page, " %" PRId64 "\n", (int64_t)value);
    else
        buffer_put_fmt(page, " %s\n", num_format_real(value, number));
}

static void put_name(struct buffer *page, const struct metric_family *family, const char *suffix)
{
    buffer_put_str(page, family->name);
    buffer_put_str(page, suffix);
}

static void put_hist(struct buffer *page, const struct metric_family *family, const uint32_t at[2],
                     const struct hist *hist)
{
    uint64_t count = atomic_load_explicit(&hist->count, memory_order_relaxed);
    uint64_t sum_ns = atomic_load_explicit(&hist->sum_ns, memory_order_relaxed);
    for (size_t i = 0; i < sizeof buckets / sizeof buckets[0]; i++) {
        put_name(page, family, "_bucket");
        put_labels(page, family, at, buckets[i].seconds);
        buffer_put_fmt(page, " %" PRIu64 "\n", hist_count_below(hist, buckets[i].limit_ns));
    }
    put_name(page, family, "_bucket");
    put_labels(page, family, at, "+Inf");
    buffer_put_fmt(page, " %" PRIu64 "\n", count);
    put_name(page, family, "_sum");
    put_labels(page, family, at, NULL);
    put_value(page, (double)sum_ns / 1e9);
    put_name(page, family, "_count");
    put_labels(page, family, at, NULL);
    buffer_put_fmt(page, " %" PRIu64 "\n", count);
}

static void put_row(struct buffer *page, const struct metrics *metrics, uint32_t family_index,
                    const uint32_t at[2])
{
    const struct metric_family *family = &metrics->families[family_index];
    uint32_t row = metric_row(metrics, family_index, at[0], at[1]);
    bool is_labelled = family->label[0].name != NULL;
    if (family->kind == METRIC_HISTOGRAM) {
        if (is_labelled && metric_value(metrics, family_index, at[0], at[1]) == 0)
            return;
        struct hist hist;
        metric_hist(metrics, family_index, at[0], at[1], &hist);
        put_hist(page, family, at, &hist);
        return;
    }
    uint64_t sum = added(metrics, row);
    bool is_set = atomic_load_explicit(&metrics->shared[row].is_set, memory_order_relaxed) != 0;
    if (is_labelled && sum == 0 && !is_set)
        return;
    put_name(page, family, "");
    put_labels(page, family, at, NULL);
    if (is_set)
        put_value(page, set_value(metrics, row) + (double)sum);
    else
        buffer_put_fmt(page, " %" PRIu64 "\n", sum);
}

enum err_code metrics_render(const struct metrics *metrics, char **ret_text, size_t *ret_len,
                             struct err *err)
{
    static const char *const kinds[] = {
        [METRIC_COUNTER] = "counter", [METRIC_GAUGE] = "gauge", [METRIC_HISTOGRAM] = "histogram"};
    struct buffer page = {0};
    for (uint32_t i = 0; i < metrics->family_count; i++) {
        const struct metric_family *family = &metrics->families[i];
        const struct metric_layout *layout = &metrics->layout[i];
        buffer_put_str(&page, "# HELP ");
        buffer_put_str(&page, family->name);
        buffer_put_char(&page, ' ');
        put_escaped(&page, family->help, false);
        buffer_put_str(&page, "\n# TYPE ");
        buffer_put_str(&page, family->name);
        buffer_put_fmt(&page, " %s\n", kinds[family->kind]);
        for (uint32_t l0 = 0; l0 < layout->value_count[0]; l0++) {
            for (uint32_t l1 = 0; l1 < layout->value_count[1]; l1++)
                put_row(&page, metrics, i, (const uint32_t[2]){l0, l1});
        }
    }
    char *text = buffer_take(&page, ret_len);
    if (text == NULL)
        return err_set(err, ERR_NOMEM, "out of memory for the page of metrics");
    *ret_text = text;
    return ERR_OK;
}
