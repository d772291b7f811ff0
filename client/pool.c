/* SPDX-License-Identifier: Apache-2.0 */
#include "client/pool.h"

#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "client/clock.h"

static void push(struct client_conn **list, struct client_conn *conn)
{
    conn->next = *list;
    *list = conn;
}

static struct client_conn *pop(struct client_conn **list)
{
    struct client_conn *conn = *list;
    if (conn != NULL)
        *list = conn->next;
    return conn;
}

static void init_locks(struct client_pool *pool)
{
    pthread_condattr_t attributes;
    pthread_mutex_init(&pool->mutex, NULL);
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&pool->changed, &attributes);
    pthread_condattr_destroy(&attributes);
}

enum decide_status client_pool_init(struct client_pool *pool,
                                    const struct client_address *addresses, size_t count,
                                    uint32_t connections_max)
{
    pool->connections_max = connections_max;
    pool->sites = calloc(count, sizeof *pool->sites);
    if (pool->sites == NULL)
        return DECIDE_NOMEM;
    init_locks(pool);
    atomic_init(&pool->process_id, getpid());
    for (size_t i = 0; i < count; i++) {
        struct client_site *site = &pool->sites[i];
        site->address = addresses[i];
        site->conns = calloc(connections_max, sizeof *site->conns);
        pool->site_count = i + 1;
        if (site->conns == NULL)
            return DECIDE_NOMEM;
        for (uint32_t k = connections_max; k-- > 0;) {
            site->conns[k].fd = -1;
            push(&site->spare, &site->conns[k]);
        }
    }
    return DECIDE_OK;
}

void client_pool_deinit(struct client_pool *pool)
{
    if (pool->sites == NULL)
        return;
    for (size_t i = 0; i < pool->site_count; i++) {
        struct client_site *site = &pool->sites[i];
        for (uint32_t k = 0; site->conns != NULL && k < pool->connections_max; k++)
            client_conn_deinit(&site->conns[k]);
        free(site->conns);
    }
    free(pool->sites);
    pool->sites = NULL;
    pthread_cond_destroy(&pool->changed);
    pthread_mutex_destroy(&pool->mutex);
}

/* In a child: another thread of the parent may have held the mutex, been inside a list or been
 * moving a connection's buffer when the process was copied.  So locks and lists are made anew, and
 * buffers of connections that were in use are left behind rather than freed. */
static void forget_parent(struct client_pool *pool)
{
    init_locks(pool);
    for (size_t i = 0; i < pool->site_count; i++) {
        struct client_site *site = &pool->sites[i];
        site->ready = site->slow = site->spare = NULL;
        site->health = (struct client_health){0};
        for (uint32_t k = pool->connections_max; k-- > 0;) {
            struct client_conn *conn = &site->conns[k];
            client_conn_close(conn);
            uint8_t *in = conn->busy ? NULL : conn->in;
            *conn = (struct client_conn){
                .fd = -1, .in = in, .in_capacity = in == NULL ? 0 : conn->in_capacity};
            push(&site->spare, conn);
        }
    }
}

static void notice_fork(struct client_pool *pool)
{
    int64_t self = getpid();
    int64_t owner = atomic_load_explicit(&pool->process_id, memory_order_acquire);
    while (owner != self) {
        /* Acquire and release: who sees `self` sees the pool as the winner left it. */
        if (owner != 0 &&
            atomic_compare_exchange_strong_explicit(&pool->process_id, &owner, 0,
                                                    memory_order_acquire, memory_order_acquire)) {
            forget_parent(pool);
            atomic_store_explicit(&pool->process_id, self, memory_order_release);
            return;
        }
        sched_yield();
        owner = atomic_load_explicit(&pool->process_id, memory_order_acquire);
    }
}

struct choice {
    struct client_site *site; /* NULL: none can be used now */
    bool others;              /* a further one is healthy and has room */
    bool full;                /* one could be used if a connection came back */
    uint64_t retry_at_ns;     /* when the first that is left alone may be tried */
};

static struct choice choose(struct client_pool *pool, uint64_t now_ns)
{
    struct choice choice = {.retry_at_ns = UINT64_MAX};
    enum client_health_state best = CLIENT_LEFT_ALONE;
    uint32_t healthy_count = 0;
    for (size_t i = 0; i < pool->site_count; i++) {
        struct client_site *site = &pool->sites[i];
        enum client_health_state state = client_health_state(&site->health, now_ns);
        if (state == CLIENT_LEFT_ALONE) {
            if (site->health.retry_at_ns < choice.retry_at_ns)
                choice.retry_at_ns = site->health.retry_at_ns;
            continue;
        }
        if (site->ready == NULL && site->slow == NULL && site->spare == NULL) {
            choice.full = true;
            continue;
        }
        healthy_count += state == CLIENT_HEALTHY;
        if (choice.site == NULL || state < best ||
            (state == best && site->chosen_count_at < choice.site->chosen_count_at)) {
            choice.site = site;
            best = state;
        }
    }
    choice.others = healthy_count > (best == CLIENT_HEALTHY ? 1 : 0);
    return choice;
}

static void take(struct client_pool *pool, const struct choice *choice, uint64_t now_ns,
                 struct client_lease *ret_lease)
{
    struct client_site *site = choice->site;
    struct client_conn *conn = pop(&site->ready);
    if (conn == NULL)
        conn = pop(&site->slow);
    if (conn == NULL)
        conn = pop(&site->spare);
    conn->busy = true;
    client_health_chosen(&site->health, now_ns);
    site->chosen_count_at = ++pool->chosen_count;
    *ret_lease = (struct client_lease){site, conn, choice->others};
}

enum decide_status client_pool_borrow(struct client_pool *pool, uint64_t deadline_ns,
                                      struct client_lease *ret_lease)
{
    notice_fork(pool);
    enum decide_status status = DECIDE_TIMEOUT;
    pthread_mutex_lock(&pool->mutex);
    for (uint64_t now_ns = client_now_ns(); now_ns < deadline_ns; now_ns = client_now_ns()) {
        struct choice choice = choose(pool, now_ns);
        if (choice.site != NULL) {
            take(pool, &choice, now_ns, ret_lease);
            status = DECIDE_OK;
            break;
        }
        if (!choice.full && choice.retry_at_ns >= deadline_ns) {
            status = DECIDE_UNREACHABLE;
            break;
        }
        uint64_t until_ns = choice.retry_at_ns < deadline_ns ? choice.retry_at_ns : deadline_ns;
        struct timespec until = client_timespec(until_ns);
        (void)pthread_cond_timedwait(&pool->changed, &pool->mutex, &until);
    }
    pthread_mutex_unlock(&pool->mutex);
    return status;
}

void client_pool_return(struct client_pool *pool, const struct client_lease *lease,
                        enum client_outcome outcome)
{
    struct client_site *site = lease->site;
    struct client_conn *conn = lease->conn;
    bool clean = conn->state == CLIENT_CONN_READY && conn->owed_count == 0;
    uint64_t now_ns = client_now_ns();
    pthread_mutex_lock(&pool->mutex);
    conn->busy = false;
    if (conn->fd < 0)
        push(&site->spare, conn);
    else
        push(clean ? &site->ready : &site->slow, conn);
    if (outcome == CLIENT_OUTCOME_FINE)
        client_health_succeeded(&site->health);
    else if (outcome != CLIENT_OUTCOME_NONE)
        client_health_failed(&site->health, outcome == CLIENT_OUTCOME_BAD, now_ns);
    pthread_cond_broadcast(&pool->changed);
    pthread_mutex_unlock(&pool->mutex);
}
