/* SPDX-License-Identifier: Apache-2.0 */
/* tally - counts that compare a version on trial with the stable one: uses of the two models, and
 * the decisions of the people in each group.
 *
 * Each worker has its own counts, written with plain relaxed stores; readers add them up.  A
 * decision counts by the group of the person, not by which model took part: a failing version does
 * not take part.
 *
 * Threads: counts have one writer, their worker; tally_add_up on any other.  Create and destroy
 * while no snapshot has it. */
#ifndef SERVER_DECIDE_TALLY_H
#define SERVER_DECIDE_TALLY_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/hist.h"

enum tally_side { TALLY_STABLE, TALLY_TRIAL, TALLY_SIDE_COUNT };

struct tally_counts {
    struct hist latency;     /* of uses of the model; its count is that of the uses */
    _Atomic uint64_t errors; /* uses in which it could not be evaluated */
    _Atomic uint64_t decisions;
    _Atomic uint64_t degraded; /* of them below `full` */
    _Atomic uint64_t empty;    /* of them without an item */
};

struct tally;

MUST_CHECK enum err_code tally_create(uint32_t worker_count, struct tally **ret_tally,
                                      struct err *err);
void tally_destroy(struct tally **tally);

/* ---- hot path (trial.c) */

struct tally {
    uint32_t worker_count;
    struct tally_counts counts[]; /* by worker and side */
};

static inline struct tally_counts *tally_counts(struct tally *tally, uint32_t worker,
                                                enum tally_side side)
{
    return &tally->counts[worker * TALLY_SIDE_COUNT + side];
}

/* One writer: no atomic addition is needed. */
static inline void tally_raise(_Atomic uint64_t *count)
{
    atomic_store_explicit(count, atomic_load_explicit(count, memory_order_relaxed) + 1,
                          memory_order_relaxed);
}

static inline void tally_use(struct tally_counts *counts, uint64_t took_ns, bool good)
{
    hist_record(&counts->latency, took_ns);
    if (!good)
        tally_raise(&counts->errors);
}

static inline void tally_decision(struct tally_counts *counts, bool degraded, bool empty)
{
    tally_raise(&counts->decisions);
    if (degraded)
        tally_raise(&counts->degraded);
    if (empty)
        tally_raise(&counts->empty);
}

/* ---- adding up */

/* *ret_sum: over all workers. */
void tally_add_up(const struct tally *tally, enum tally_side side, struct tally_counts *ret_sum);
/* Subtracts an earlier sum. */
void tally_subtract(struct tally_counts *sum, const struct tally_counts *earlier);

#endif
