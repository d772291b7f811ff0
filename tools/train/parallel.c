/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/train/parallel.h"

#include <pthread.h>
#include <stdatomic.h>

#include "base/err.h"

struct loop {
    /* Relaxed: it only hands out indexes; the joins order the results. */
    _Atomic uint64_t next;
    uint32_t count;
    uint32_t block;
    parallel_fn fn;
    void *ctx;
};

struct share {
    struct loop *loop;
    uint32_t thread;
};

static void *run_share(void *arg)
{
    const struct share *share = arg;
    struct loop *loop = share->loop;
    for (;;) {
        uint64_t begin = atomic_fetch_add_explicit(&loop->next, loop->block, memory_order_relaxed);
        if (begin >= loop->count)
            return NULL;
        uint64_t end = begin + loop->block < loop->count ? begin + loop->block : loop->count;
        loop->fn(loop->ctx, share->thread, (uint32_t)begin, (uint32_t)end);
    }
}

void parallel_for(uint32_t threads, uint32_t count, uint32_t block, parallel_fn fn, void *ctx)
{
    ASSERT(threads >= 1 && threads <= PARALLEL_THREADS_MAX);
    ASSERT(block >= 1);
    struct loop loop = {.count = count, .block = block, .fn = fn, .ctx = ctx};
    struct share share[PARALLEL_THREADS_MAX];
    pthread_t id[PARALLEL_THREADS_MAX];
    uint32_t started = 1;
    for (uint32_t i = 0; i < threads; i++)
        share[i] = (struct share){&loop, i};
    while (started < threads && pthread_create(&id[started], NULL, run_share, &share[started]) == 0)
        started++;
    run_share(&share[0]);
    for (uint32_t i = 1; i < started; i++)
        pthread_join(id[i], NULL);
}
