/* SPDX-License-Identifier: Apache-2.0 */
/* metrics - counters, gauges and histograms that the hot path can afford, rendered for Prometheus.
 *
 * A family has a name, a kind, a help text and up to two labels with a fixed list of values, so
 * cardinality is bounded by construction.  Families are rows of one static table given at creation;
 * each worker thread owns a slot and writes only there (plain relaxed stores, no locked
 * instruction); the page sums over slots.  Text format: Prometheus exposition 0.0.4.
 *
 * Threads: a slot has one writer; metrics_render from any thread.  Counters that several threads
 * write (rare) go through metrics_shared_slot with metrics_add_shared. */
#ifndef BASE_METRICS_H
#define BASE_METRICS_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/hist.h"

enum metric_kind { METRIC_COUNTER, METRIC_GAUGE, METRIC_HISTOGRAM };

struct metric_label {
    const char *name;          /* NULL: no such label */
    const char *const *values; /* NULL-terminated list */
};

struct metric_family {
    const char *name; /* "decided_requests_total" */
    enum metric_kind kind;
    const char *help;
    struct metric_label label[2];
};

struct metrics;
struct metric_slot;

/* `families` is borrowed and outlives the metrics. */
MUST_CHECK enum err_code metrics_create(const struct metric_family *families, uint32_t family_count,
                                        uint32_t slot_count_max, struct metrics **ret_metrics,
                                        struct err *err);
void metrics_destroy(struct metrics **metrics);

/* A slot of one's own; ERR_LIMIT when all are taken.  Slots are never given back. */
MUST_CHECK enum err_code metrics_slot(struct metrics *metrics, struct metric_slot **ret_slot,
                                      struct err *err);

/* family: row in the table; l0, l1: position in its label lists, 0 where there is no label. */
void metric_add(struct metric_slot *slot, uint32_t family, uint32_t l0, uint32_t l1, uint64_t n);
void metric_observe(struct metric_slot *slot, uint32_t family, uint32_t l0, uint32_t l1,
                    uint64_t value_ns);

/* Gauges, and counters kept elsewhere, are set as a whole; any thread. */
void metric_set(struct metrics *metrics, uint32_t family, uint32_t l0, uint32_t l1, double value);
/* A counter that any thread may raise (atomic add). */
void metric_add_shared(struct metrics *metrics, uint32_t family, uint32_t l0, uint32_t l1,
                       uint64_t n);

uint64_t metric_value(const struct metrics *metrics, uint32_t family, uint32_t l0, uint32_t l1);
/* Sums a histogram over slots and, where l0 or l1 is UINT32_MAX, over that label. */
void metric_hist(const struct metrics *metrics, uint32_t family, uint32_t l0, uint32_t l1,
                 struct hist *ret_hist);

/* The whole page, malloc'ed; the caller frees.  Rows that were never touched are left out for
 * labelled families; histograms in seconds with buckets 25e-6 .. 1 and +Inf. */
MUST_CHECK enum err_code metrics_render(const struct metrics *metrics, char **ret_text,
                                        size_t *ret_len, struct err *err);

#endif
