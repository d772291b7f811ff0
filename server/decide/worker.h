/* SPDX-License-Identifier: Apache-2.0 */
/* worker - what one serving thread owns: arena, random numbers, metric slot, candidate table.
 *
 * All workers are created at start; a thread that serves claims one and keeps it.  Threads: create
 * and destroy on main; workers_claim on any; a worker belongs to the thread that claimed it. */
#ifndef SERVER_DECIDE_WORKER_H
#define SERVER_DECIDE_WORKER_H

#include <stdint.h>

#include "base/arena.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/metrics.h"
#include "base/rand.h"
#include "server/decide/costs.h"

#define WORKER_ARENA_BYTES ((size_t)4 << 20)
#define WORKER_PAGE_BYTES  ((size_t)2 << 20)

/* How long requests waited for this worker; see server/control/admission.h. */
struct queue_delay {
    uint64_t window_began_ns;
    uint32_t count, prompt_count; /* in this window */
    uint32_t overload;            /* enum overload */
};

/* What is left out of decisions, to hold their latency; see server/control/effort.h. */
struct effort {
    uint64_t window_began_ns;
    uint32_t count, late_count,
        near_count; /* in this window; near: longer than half of the target */
    uint32_t spared_permille;
};

struct worker {
    uint32_t index; /* 0..count-1: which scratch of a snapshot is its own */
    struct arena arena;
    struct arena page; /* what slots of a page share; see page_memo.h */
    struct rand rand;
    struct metric_slot *metrics;
    const struct clock *clock;
    struct queue_delay queue;
    struct effort effort;
    struct costs costs;
    uint32_t *cost; /* the row of the decision that is made, COST_COUNT of them */
};

struct workers;

MUST_CHECK enum err_code workers_create(uint32_t count, struct metrics *metrics,
                                        const struct clock *clock, uint64_t seed,
                                        struct workers **ret_workers, struct err *err);
void workers_destroy(struct workers **workers);
uint32_t workers_count(const struct workers *workers);
/* NULL when all are claimed. */
struct worker *workers_claim(struct workers *workers);

#endif
