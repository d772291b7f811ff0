/* SPDX-License-Identifier: Apache-2.0 */
#include "base/metrics.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/metrics_internal.h"

enum { ROWS_MAX = 100000, SLOTS_MAX = 4096, LINE_ALIGN = 64 };

/* [a-zA-Z_][a-zA-Z0-9_]*; a colon is for recording rules, not for us. */
static bool is_metric_name(const char *name)
{
    static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_";
    static const char all[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_0123456789";
    return name != NULL && name[0] != '\0' && strchr(letters, name[0]) != NULL &&
           name[strspn(name, all)] == '\0';
}

static enum err_code check_family(const struct metric_family *family, struct err *err)
{
    const char *name = family->name == NULL ? "(no name)" : family->name;
    if (!is_metric_name(family->name) || family->help == NULL)
        return err_set(err, ERR_BAD_INPUT, "metric '%s': malformed name or no help", name);
    if (family->label[0].name == NULL && family->label[1].name != NULL)
        return err_set(err, ERR_BAD_INPUT, "metric '%s': the first label is missing", name);
    for (int i = 0; i < 2; i++) {
        const struct metric_label *label = &family->label[i];
        if (label->name == NULL)
            continue;
        if (!is_metric_name(label->name) || label->values == NULL || label->values[0] == NULL)
            return err_set(err, ERR_BAD_INPUT, "metric '%s': label %d is malformed or empty", name,
                           i);
    }
    return ERR_OK;
}

static uint32_t value_count(const struct metric_label *label)
{
    uint32_t count = 0;
    if (label->name == NULL)
        return 1;
    while (label->values[count] != NULL && count < ROWS_MAX)
        count++;
    return count;
}

static enum err_code lay_out(struct metrics *metrics, struct err *err)
{
    uint64_t row_count = 0;
    uint64_t hist_count = 0;
    for (uint32_t i = 0; i < metrics->family_count; i++) {
        const struct metric_family *family = &metrics->families[i];
        struct metric_layout *layout = &metrics->layout[i];
        enum err_code rc = check_family(family, err);
        if (rc != ERR_OK)
            return rc;
        for (int label = 0; label < 2; label++)
            layout->value_count[label] = value_count(&family->label[label]);
        layout->row_first = (uint32_t)row_count;
        layout->hist_first = (uint32_t)hist_count;
        uint64_t rows = (uint64_t)layout->value_count[0] * layout->value_count[1];
        row_count += rows;
        hist_count += family->kind == METRIC_HISTOGRAM ? rows : 0;
        if (row_count > ROWS_MAX)
            return err_set(err, ERR_LIMIT, "metric '%s': more than %d combinations of labels",
                           family->name, ROWS_MAX);
    }
    metrics->row_count = (uint32_t)row_count;
    metrics->hist_count = (uint32_t)hist_count;
    return ERR_OK;
}

enum err_code metrics_create(const struct metric_family *families, uint32_t family_count,
                             uint32_t slot_count_max, struct metrics **ret_metrics, struct err *err)
{
    enum err_code rc = ERR_OK;
    if (slot_count_max == 0 || slot_count_max > SLOTS_MAX)
        return err_set(err, ERR_LIMIT, "metrics have 1..%d slots (got %u)", SLOTS_MAX,
                       slot_count_max);
    struct metrics *metrics = calloc(1, sizeof *metrics + slot_count_max * sizeof metrics->slot[0]);
    if (metrics == NULL)
        return err_set(err, ERR_NOMEM, "out of memory for metrics");
    metrics->families = families;
    metrics->family_count = family_count;
    metrics->slot_count_max = slot_count_max;
    metrics->layout = calloc(family_count == 0 ? 1 : family_count, sizeof *metrics->layout);
    if (metrics->layout == NULL) {
        rc = err_set(err, ERR_NOMEM, "out of memory for %u metrics", family_count);
        goto out;
    }
    rc = lay_out(metrics, err);
    if (rc != ERR_OK)
        goto out;
    metrics->shared =
        calloc(metrics->row_count == 0 ? 1 : metrics->row_count, sizeof *metrics->shared);
    if (metrics->shared == NULL) {
        rc = err_set(err, ERR_NOMEM, "out of memory for %u metric rows", metrics->row_count);
        goto out;
    }
    *ret_metrics = metrics;
    metrics = NULL;
out:
    metrics_destroy(&metrics);
    return rc;
}

void metrics_destroy(struct metrics **metrics)
{
    struct metrics *old = *metrics;
    if (old == NULL)
        return;
    for (uint32_t i = 0; i < old->slot_count_max; i++)
        free(atomic_load_explicit(&old->slot[i], memory_order_acquire));
    free(old->shared);
    free(old->layout);
    free(old);
    *metrics = NULL;
}

enum err_code metrics_slot(struct metrics *metrics, struct metric_slot **ret_slot, struct err *err)
{
    size_t counts_bytes = sizeof(struct metric_slot) + metrics->row_count * sizeof(uint64_t);
    counts_bytes = (counts_bytes + LINE_ALIGN - 1) / LINE_ALIGN * LINE_ALIGN;
    /* Large and zeroed by calloc: histograms that are never used never become resident. */
    struct metric_slot *slot =
        calloc(1, counts_bytes + metrics->hist_count * sizeof(struct hist) + LINE_ALIGN);
    if (slot == NULL)
        return err_set(err, ERR_NOMEM, "out of memory for a slot of metrics");
    slot->metrics = metrics;
    slot->hist = (struct hist *)((char *)slot + counts_bytes);
    uint32_t at = atomic_load_explicit(&metrics->slot_count, memory_order_relaxed);
    do {
        if (at == metrics->slot_count_max) {
            free(slot);
            return err_set(err, ERR_LIMIT, "all %u slots of metrics are taken", at);
        }
    } while (!atomic_compare_exchange_weak(&metrics->slot_count, &at, at + 1));
    /* Release: the page reads the slot's fields through this pointer. */
    atomic_store_explicit(&metrics->slot[at], slot, memory_order_release);
    *ret_slot = slot;
    return ERR_OK;
}
