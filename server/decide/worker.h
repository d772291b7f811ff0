/* SPDX-License-Identifier: Apache-2.0 */
/* worker - what one serving thread owns: arenas, random numbers, metric slot, running estimates.
 *
 * All workers are created on start; a serving thread claims one and keeps it.
 * Threads: create and destroy on main; workers_claim on any; a worker belongs to the thread that
 * claimed it. */
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

/* Queueing time of this worker's requests; see server/control/admission.h. */
struct queue_delay {
    uint64_t window_began_ns;
    uint32_t count, prompt_count; /* in this window */
    uint32_t overload;            /* enum overload */
};

/* How much work decisions skip to keep their latency; see server/control/effort.h. */
struct effort {
    uint64_t window_began_ns;
    /* In this window; late: longer than the target, near: longer than half of it. */
    uint32_t count, late_count, near_count;
    uint32_t spared_permille;
};

struct worker {
    uint32_t index; /* 0..count-1; also the index of its scratch in a snapshot */
    struct arena arena;
    struct arena page; /* shared by the slots of a page; see page_memo.h */
    struct rand rand;
    struct metric_slot *metrics;
    const struct clock *clock;
    struct queue_delay queue;
    struct effort effort;
    struct costs costs;
    uint32_t *cost; /* the row of `costs` for the current decision, COST_COUNT entries */
};

struct workers;

MUST_CHECK enum err_code workers_create(uint32_t count, struct metrics *metrics,
                                        const struct clock *clock, uint64_t seed,
                                        struct workers **ret_workers, struct err *err);
void workers_destroy(struct workers **workers);
uint32_t workers_count(const struct workers *workers);
/* NULL: all are claimed. */
struct worker *workers_claim(struct workers *workers);

#endif
