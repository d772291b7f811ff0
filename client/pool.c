/* SPDX-License-Identifier: Apache-2.0 */
#include "client/pool.h"

#include <stdlib.h>

#include "client/clock.h"

static void init_locks(struct client_pool *pool)
{
    pthread_condattr_t attributes;
    pthread_mutex_init(&pool->mutex, NULL);
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&pool->changed, &attributes);
    pthread_condattr_destroy(&attributes);
}

enum decide_status client_pool_init(struct client_pool *pool, struct client_fleet *fleet,
                                    _Atomic uint64_t *connects, uint32_t loops_max)
{
    pool->loops = calloc(loops_max, sizeof(*pool->loops));
    if (pool->loops == NULL)
        return DECIDE_NOMEM;
    pool->fleet = fleet;
    pool->connects = connects;
    pool->loops_max = loops_max;
    init_locks(pool);
    return DECIDE_OK;
}

void client_pool_deinit(struct client_pool *pool)
{
    if (pool->loops == NULL)
        return;
    for (uint32_t i = 0; i < pool->loop_count; i++) {
        client_loop_deinit(pool->loops[i]);
        free(pool->loops[i]);
    }
    free(pool->loops);
    pool->loops = NULL;
    pthread_cond_destroy(&pool->changed);
    pthread_mutex_destroy(&pool->mutex);
}

void client_pool_forget_parent(struct client_pool *pool)
{
    init_locks(pool);
    pool->idle = NULL;
    pool->loop_count = 0;
    for (uint32_t i = 0; i < pool->loops_max && pool->loops[i] != NULL; i++) {
        struct client_loop *loop = pool->loops[i];
        bool was_lent = loop->is_lent;
        if (!was_lent)
            client_loop_deinit(loop);
        else
            client_loop_forget_parent(loop);
        pool->loops[i] = NULL;
        if (!was_lent)
            free(loop);
    }
}

/* A new loop, or NULL. */
static struct client_loop *add_loop(struct client_pool *pool)
{
    struct client_loop *loop = calloc(1, sizeof *loop);
    if (loop != NULL && client_loop_init(loop, pool->fleet, pool->connects, 1, -1) != DECIDE_OK) {
        free(loop);
        loop = NULL;
    }
    if (loop != NULL)
        pool->loops[pool->loop_count++] = loop;
    return loop;
}

enum decide_status client_pool_borrow(struct client_pool *pool, uint64_t deadline_ns,
                                      struct client_loop **ret_loop)
{
    struct timespec until = client_timespec(deadline_ns);
    struct client_loop *loop = NULL;
    enum decide_status status = DECIDE_OK;
    pthread_mutex_lock(&pool->mutex);
    while (pool->idle == NULL && pool->loop_count == pool->loops_max && status == DECIDE_OK)
        if (pthread_cond_timedwait(&pool->changed, &pool->mutex, &until) != 0)
            status = DECIDE_TIMEOUT;
    if (pool->idle != NULL) {
        status = DECIDE_OK;
        loop = pool->idle;
        pool->idle = loop->next;
    } else if (status == DECIDE_OK) {
        loop = add_loop(pool);
        if (loop == NULL)
            status = DECIDE_NOMEM;
    }
    if (loop != NULL) {
        loop->is_lent = true;
        *ret_loop = loop;
    }
    pthread_mutex_unlock(&pool->mutex);
    return status;
}

void client_pool_return(struct client_pool *pool, struct client_loop *loop)
{
    pthread_mutex_lock(&pool->mutex);
    loop->is_lent = false;
    loop->next = pool->idle;
    pool->idle = loop;
    pthread_cond_signal(&pool->changed);
    pthread_mutex_unlock(&pool->mutex);
}
