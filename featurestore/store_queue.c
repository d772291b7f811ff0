/* SPDX-License-Identifier: Apache-2.0 */
/* The way in: a bounded queue, and the one thread that empties it. */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "featurestore/store_internal.h"

#define REFRESH_INTERVAL_NS UINT64_C(1000000000)

struct bind {
    const struct text *ids;
    uint32_t count;
    uint32_t *ret_numbers;
    struct err *err;
    enum err_code rc;
    bool is_done; /* under the mutex */
};

struct store_job {
    struct store_job *next;
    struct bind *bind; /* on the stack of who waits for it; NULL for a batch */
    /* a batch */
    uint32_t event_count;
    int64_t arrival_ms;
    store_done_fn done;
    void *ctx;
    size_t len;
    uint8_t bytes[];
};

/* ---- jobs, on the writer --------------------------------------------------------------------- */

static enum err_code bind_now(struct store *store, const struct bind *bind)
{
    uint64_t new_count = 0;
    for (uint32_t i = 0; i < bind->count; i++) {
        if (!text_is_id(bind->ids[i]))
            return err_set(bind->err, ERR_BAD_INPUT, "item %u of %u: not an id", i, bind->count);
        new_count += idmap_find(store->item_ids, bind->ids[i]) == IDMAP_NONE;
    }
    uint32_t known = idmap_count(store->item_ids);
    if (new_count > store->limits.items_max - known)
        return err_set(bind->err, ERR_LIMIT,
                       "%u items are known, %" PRIu64 " new ones do not fit into items_max = %u",
                       known, new_count, store->limits.items_max);
    for (uint32_t i = 0; i < bind->count; i++) {
        enum err_code rc =
            idmap_add(store->item_ids, bind->ids[i], &bind->ret_numbers[i], NULL, bind->err);
        if (rc != ERR_OK)
            return rc;
    }
    return ERR_OK;
}

static bool refresh_wanted(const struct store *store, bool queue_is_empty)
{
    if (!store->refresh.is_due)
        return false;
    uint64_t now_ns = clock_now_ns(store->clock);
    return (queue_is_empty && store_refresh_is_cheap(store)) ||
           now_ns - store->refresh.at_ns >= REFRESH_INTERVAL_NS;
}

static void refresh_now(struct store *store)
{
    store_refresh_all(store);
    retire_flush(&store->retire);
}

static void run_batch(struct store *store, struct store_job *job)
{
    store_apply_batch(store, job->bytes, job->len, job->arrival_ms);
    pthread_mutex_lock(&store->mutex);
    store->queue_events -= job->event_count;
    bool queue_is_empty = store->first == NULL;
    pthread_mutex_unlock(&store->mutex);
    if (refresh_wanted(store, queue_is_empty))
        store_refresh_all(store);
    store_counter_add(store, COUNTER_BATCHES, 1);
    if (job->done != NULL)
        job->done(job->ctx, &store->result);
    free(job);
    retire_flush(&store->retire);
}

static void run_bind(struct store *store, struct bind *bind)
{
    enum err_code rc = bind_now(store, bind);
    pthread_mutex_lock(&store->mutex);
    bind->rc = rc;
    bind->is_done = true;
    pthread_cond_broadcast(&store->done);
    pthread_mutex_unlock(&store->mutex);
}

/* ---- the queue, under the mutex -------------------------------------------------------------- */

static void push(struct store *store, struct store_job *job)
{
    job->next = NULL;
    if (store->last == NULL)
        store->first = job;
    else
        store->last->next = job;
    store->last = job;
    pthread_cond_signal(&store->wake);
}

static struct store_job *pop(struct store *store)
{
    struct store_job *job = store->first;
    if (job != NULL)
        store->first = job->next;
    if (store->first == NULL)
        store->last = NULL;
    return job;
}

/* Waits for a job or the end, no longer than an interval while a refresh is due.  True when that
 * time ran out: the refresh is to be made. */
static bool wait_for_job(struct store *store)
{
    if (!store->refresh.is_due) {
        pthread_cond_wait(&store->wake, &store->mutex);
        return false;
    }
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += (time_t)(REFRESH_INTERVAL_NS / 1000000000);
    return pthread_cond_timedwait(&store->wake, &store->mutex, &until) == ETIMEDOUT &&
           store->first == NULL;
}

static void *run(void *arg)
{
    struct store *store = arg;
    pthread_mutex_lock(&store->mutex);
    while (store->first != NULL || !store->stopping) {
        if (store->first == NULL && !wait_for_job(store))
            continue;
        struct store_job *job = pop(store);
        pthread_mutex_unlock(&store->mutex);
        if (job == NULL)
            refresh_now(store);
        else if (job->bind != NULL)
            run_bind(store, job->bind);
        else
            run_batch(store, job);
        pthread_mutex_lock(&store->mutex);
    }
    store->runs = false;
    pthread_mutex_unlock(&store->mutex);
    return NULL;
}

/* ---- any thread ------------------------------------------------------------------------------ */

enum err_code store_start(struct store *store, struct err *err)
{
    ASSERT(!store->joinable);
    store->stopping = false;
    store->runs = true;
    int failed = pthread_create(&store->thread, NULL, run, store);
    if (failed != 0) {
        store->runs = false;
        return err_set(err, ERR_IO, "cannot start the store thread: %s", strerror(failed));
    }
    store->joinable = true;
    return ERR_OK;
}

void store_stop(struct store *store)
{
    if (!store->joinable)
        return;
    pthread_mutex_lock(&store->mutex);
    store->stopping = true;
    pthread_cond_signal(&store->wake);
    pthread_mutex_unlock(&store->mutex);
    pthread_join(store->thread, NULL);
    store->joinable = false;
    if (store->refresh.is_due)
        refresh_now(store);
}

void store_queue_discard(struct store *store)
{
    for (struct store_job *job = pop(store); job != NULL; job = pop(store))
        free(job);
}

static enum err_code check_batch(const uint8_t *bytes, size_t len, uint32_t *ret_count,
                                 struct err *err)
{
    if (len > EVENT_BATCH_BYTES_MAX)
        return err_set(err, ERR_LIMIT, "events: %zu bytes of at most %d", len,
                       EVENT_BATCH_BYTES_MAX);
    struct cursor cursor = cursor_of(bytes, len);
    if (!cursor_array(&cursor, ret_count))
        return err_set(err, ERR_BAD_INPUT, "events: expected an array, got %s",
                       cursor_kind_name(cursor_peek(&cursor)));
    if (*ret_count > EVENT_BATCH_MAX)
        return err_set(err, ERR_LIMIT, "events: %u of at most %d", *ret_count, EVENT_BATCH_MAX);
    return ERR_OK;
}

enum err_code store_submit(struct store *store, const uint8_t *bytes, size_t len,
                           store_done_fn done, void *ctx, struct err *err)
{
    uint32_t count = 0;
    enum err_code rc = check_batch(bytes, len, &count, err);
    if (rc != ERR_OK)
        return rc;
    if (count > store->limits.queue_events_max)
        return err_set(err, ERR_LIMIT, "events: %u do not fit into a queue of %u", count,
                       store->limits.queue_events_max);
    struct store_job *job = malloc(sizeof *job + len);
    if (job == NULL)
        return err_set(err, ERR_NOMEM, "out of memory for a batch of %zu bytes", len);
    *job = (struct store_job){.event_count = count,
                              .arrival_ms = clock_wall_ms(store->clock),
                              .done = done,
                              .ctx = ctx,
                              .len = len};
    memcpy(job->bytes, bytes, len);
    pthread_mutex_lock(&store->mutex);
    bool fits = store->queue_events + count <= store->limits.queue_events_max && !store->stopping;
    if (fits) {
        store->queue_events += count;
        push(store, job);
    }
    pthread_mutex_unlock(&store->mutex);
    if (fits)
        return ERR_OK;
    free(job);
    return err_set(err, ERR_BUSY, "the queue of events is full or is being closed");
}

enum err_code store_bind_items(struct store *store, const struct text *ids, uint32_t count,
                               uint32_t *ret_numbers, struct err *err)
{
    struct bind bind = {.ids = ids, .count = count, .ret_numbers = ret_numbers, .err = err};
    struct store_job job = {.bind = &bind};
    pthread_mutex_lock(&store->mutex);
    if (store->runs) {
        push(store, &job);
        while (!bind.is_done)
            pthread_cond_wait(&store->done, &store->mutex);
    } else {
        bind.rc = bind_now(store, &bind); /* no thread runs: the caller is the writer */
    }
    pthread_mutex_unlock(&store->mutex);
    return bind.rc;
}
