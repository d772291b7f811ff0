/* SPDX-License-Identifier: Apache-2.0 */
#include "server/decide/worker.h"

#include <stdatomic.h>
#include <stdlib.h>

struct workers {
    _Atomic uint32_t claimed_count;
    uint32_t count;
    struct worker worker[];
};

enum err_code workers_create(uint32_t count, struct metrics *metrics, const struct clock *clock,
                             uint64_t seed, struct workers **ret_workers, struct err *err)
{
    enum err_code rc = ERR_OK;
    struct workers *workers = calloc(1, sizeof *workers + count * sizeof workers->worker[0]);
    if (workers == NULL)
        return err_set(err, ERR_NOMEM, "no memory for %u workers", count);
    workers->count = count;
    for (uint32_t i = 0; i < count && rc == ERR_OK; i++) {
        struct worker *worker = &workers->worker[i];
        worker->index = i;
        worker->clock = clock;
        /* Distinct streams: the splitmix step of rand_init separates neighbouring seeds. */
        rand_init(&worker->rand, seed + i);
        rc = arena_init(&worker->arena, WORKER_ARENA_BYTES, err);
        if (rc == ERR_OK)
            rc = arena_init(&worker->page, WORKER_PAGE_BYTES, err);
        if (rc == ERR_OK)
            rc = metrics_slot(metrics, &worker->metrics, err);
    }
    if (rc != ERR_OK) {
        workers_destroy(&workers);
        return rc;
    }
    *ret_workers = workers;
    return ERR_OK;
}

void workers_destroy(struct workers **workers)
{
    if (*workers == NULL)
        return;
    for (uint32_t i = 0; i < (*workers)->count; i++) {
        arena_deinit(&(*workers)->worker[i].arena);
        arena_deinit(&(*workers)->worker[i].page);
    }
    free(*workers);
    *workers = NULL;
}

uint32_t workers_count(const struct workers *workers)
{
    return workers->count;
}

struct worker *workers_claim(struct workers *workers)
{
    /* Relaxed: all workers were initialised before any serving thread started. */
    uint32_t index = atomic_load_explicit(&workers->claimed_count, memory_order_relaxed);
    while (index < workers->count) {
        if (atomic_compare_exchange_weak_explicit(&workers->claimed_count, &index, index + 1,
                                                  memory_order_relaxed, memory_order_relaxed))
            return &workers->worker[index];
    }
    return NULL;
}
