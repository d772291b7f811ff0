/* SPDX-License-Identifier: Apache-2.0 */
/* The bounded queue of batches, and the store thread that drains it. */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "featurestore/store_apply.h"
#include "featurestore/store_checkpoint.h"
#include "featurestore/store_erase.h"

#define REFRESH_INTERVAL_NS UINT64_C(1000000000)

/* ---- jobs, on the writer --------------------------------------------------------------------- */

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
    retire_pass(&store->retire);
}

static void run_batch(struct store *store, struct store_job *job)
{
    bool is_taken = store_takes_events(store);
    if (is_taken)
        store_apply_batch(store, job->bytes, job->len, &job->rules);
    pthread_mutex_lock(&store->mutex);
    store->queue_events -= job->event_count;
    bool queue_is_empty = store->queue.first == NULL;
    pthread_mutex_unlock(&store->mutex);
    if (refresh_wanted(store, queue_is_empty))
        store_refresh_all(store);
    store_counter_add(store, COUNTER_BATCHES, 1);
    if (is_taken)
        store_batch_applied(store, job);
    else
        store_batch_refused(store, job);
    retire_pass(&store->retire);
    store_erase_wipe(store);
}

static void run_ask(struct store *store, struct store_ask *ask)
{
    ask->run(store, ask->ctx);
    pthread_mutex_lock(&store->mutex);
    ask->is_done = true;
    pthread_cond_broadcast(&store->done);
    pthread_mutex_unlock(&store->mutex);
}

void store_serve_asks(struct store *store)
{
    struct store_job *job = NULL;
    do {
        pthread_mutex_lock(&store->mutex);
        bool is_next = store->queue.first != NULL && store->queue.first->ask != NULL;
        job = is_next ? store_jobs_pop(&store->queue) : NULL;
        pthread_mutex_unlock(&store->mutex);
        if (job != NULL)
            run_ask(store, job->ask);
    } while (job != NULL);
}

/* Work to do when the queue has been empty for a while. */
static void run_idle(struct store *store)
{
    if (store->refresh.is_due)
        refresh_now(store);
}

/* ---- the queue, under the mutex -------------------------------------------------------------- */

void store_jobs_push(struct store_jobs *jobs, struct store_job *job)
{
    job->next = NULL;
    if (jobs->last == NULL)
        jobs->first = job;
    else
        jobs->last->next = job;
    jobs->last = job;
}

struct store_job *store_jobs_pop(struct store_jobs *jobs)
{
    struct store_job *job = jobs->first;
    if (job != NULL)
        jobs->first = job->next;
    if (jobs->first == NULL)
        jobs->last = NULL;
    return job;
}

void store_job_free(struct store_job *job)
{
    free(job->rejection);
    free(job);
}

static bool retry_is_due(const struct store *store)
{
    return !store_takes_events(store) && store_wait_clock_ns() >= store->retry_at_ns;
}

/* Waits for a job or for the stop, at most until other work is due.  True: that time has come, see
 * run_idle. */
static bool wait_for_job(struct store *store)
{
    uint64_t until_ns = UINT64_MAX;
    if (store->refresh.is_due)
        until_ns = store_wait_clock_ns() + REFRESH_INTERVAL_NS;
    if (!store_takes_events(store) && store->retry_at_ns < until_ns)
        until_ns = store->retry_at_ns;
    if (until_ns == UINT64_MAX) {
        pthread_cond_wait(&store->wake, &store->mutex);
        return false;
    }
    struct timespec until = {(time_t)(until_ns / 1000000000), (long)(until_ns % 1000000000)};
    return pthread_cond_timedwait(&store->wake, &store->mutex, &until) == ETIMEDOUT &&
           store->queue.first == NULL;
}

/* Commits applied events if the queue is empty or enough have accumulated. */
static bool commit_if_due(struct store *store)
{
    bool is_due = store->queue.first == NULL || store_commit_is_due(store);
    if (!is_due || store->committer.state != COMMIT_NONE || !store_has_uncommitted(store) ||
        !store_takes_events(store))
        return false;
    pthread_mutex_unlock(&store->mutex);
    if (!store_commit_begin(store)) {
        store_commit(store);
        store_checkpoint_consider(store);
    }
    pthread_mutex_lock(&store->mutex);
    return true;
}

/* During a commit only batches are served (store_committer.c). */
static bool may_serve(const struct store *store)
{
    const struct store_job *next = store->queue.first;
    if (next == NULL || store->committer.state == COMMIT_NONE)
        return next != NULL;
    return next->ask == NULL && store_commit_may_lag(store);
}

/* Work that precedes the next job; true: some was done. */
static bool keep_up(struct store *store)
{
    if (store->committer.state == COMMIT_ENDED) {
        store_commit_end(store);
        return true;
    }
    if (store->grace_is_over) {
        store->grace_is_over = false;
        pthread_mutex_unlock(&store->mutex);
        retire_pass(&store->retire);
        pthread_mutex_lock(&store->mutex);
        return true;
    }
    if (!retry_is_due(store))
        return commit_if_due(store);
    pthread_mutex_unlock(&store->mutex);
    store_commit(store);
    store_checkpoint_consider(store);
    pthread_mutex_lock(&store->mutex);
    return true;
}

/* Likewise for a checkpoint: its next block, or its end. */
static bool step_checkpoint(struct store *store)
{
    if (!store_checkpoint_has_work(store))
        return false;
    pthread_mutex_unlock(&store->mutex);
    store_checkpoint_step(store);
    pthread_mutex_lock(&store->mutex);
    return true;
}

static void serve(struct store *store)
{
    struct store_job *job = store_jobs_pop(&store->queue);
    pthread_mutex_unlock(&store->mutex);
    if (job->ask != NULL)
        run_ask(store, job->ask);
    else
        run_batch(store, job);
    pthread_mutex_lock(&store->mutex);
}

static void *run(void *arg)
{
    struct store *store = arg;
    if (!store_is_recovered(store))
        store_recover(store);
    if (store->log != NULL)
        store_commit(store); /* nothing waits, but it says whether more is taken */
    pthread_mutex_lock(&store->mutex);
    while (store->queue.first != NULL || store->committer.state != COMMIT_NONE ||
           !store->stopping) {
        bool was_busy = keep_up(store); /* without the mutex: look again before waiting */
        was_busy = step_checkpoint(store) || was_busy;
        if (may_serve(store)) {
            serve(store);
        } else if (!was_busy && wait_for_job(store)) {
            pthread_mutex_unlock(&store->mutex);
            run_idle(store);
            pthread_mutex_lock(&store->mutex);
        }
    }
    store->runs = false;
    pthread_mutex_unlock(&store->mutex);
    return NULL;
}

/* ---- any thread ------------------------------------------------------------------------------ */

static void note_grace(void *ctx)
{
    struct store *store = ctx;
    pthread_mutex_lock(&store->mutex);
    store->grace_is_over = true;
    pthread_cond_signal(&store->wake);
    pthread_mutex_unlock(&store->mutex);
}

enum err_code store_start(struct store *store, struct err *err)
{
    ASSERT(!store->joinable);
    enum err_code rc = store_committer_start(store, err);
    if (rc == ERR_OK)
        rc = retire_start(&store->retire, note_grace, store, err);
    if (rc != ERR_OK) {
        store_committer_stop(store);
        return rc;
    }
    store->stopping = false;
    store->runs = true;
    int failed = pthread_create(&store->thread, NULL, run, store);
    if (failed != 0) {
        store->runs = false;
        retire_stop(&store->retire);
        store_committer_stop(store);
        return err_set(err, ERR_IO, "cannot start the store thread: %s", strerror(failed));
    }
    store->joinable = true;
    return ERR_OK;
}

void store_stop(struct store *store)
{
    if (!store->joinable)
        return;
    store_end_follow(store);
    pthread_mutex_lock(&store->mutex);
    store->stopping = true;
    pthread_cond_signal(&store->wake);
    pthread_mutex_unlock(&store->mutex);
    pthread_join(store->thread, NULL);
    store->joinable = false;
    retire_stop(&store->retire);
    store_committer_stop(store);
    if (store_has_uncommitted(store))
        store_commit(store);
    if (store->refresh.is_due)
        store_refresh_all(store);
    retire_flush(&store->retire);
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

/* The transit time of the batch is neglected. */
static enum err_code rules_of(const struct store *store, const struct store_batch *batch,
                              struct event_rules *ret_rules, struct err *err)
{
    int64_t arrival_ms = clock_wall_ms(store->clock);
    int64_t skew_ms = batch->sent_at_ms == 0 ? 0 : arrival_ms - batch->sent_at_ms;
    if (skew_ms > EVENT_SKEW_MS_MAX || skew_ms < -EVENT_SKEW_MS_MAX)
        return err_set(err, ERR_BAD_INPUT,
                       "sent_at: %" PRId64 " ms away from the time of arrival, at most %" PRId64
                       " ms are corrected",
                       skew_ms, EVENT_SKEW_MS_MAX);
    *ret_rules = (struct event_rules){.strictness = batch->strict ? EVENT_STRICT : EVENT_LENIENT,
                                      .arrival_ms = arrival_ms,
                                      .skew_ms = skew_ms,
                                      .age_ms_max = store->limits.event_age_ms_max};
    return ERR_OK;
}

enum err_code store_submit(struct store *store, const struct store_batch *batch, struct err *err)
{
    uint32_t count = 0;
    struct event_rules rules;
    enum err_code rc = check_batch(batch->bytes, batch->len, &count, err);
    if (rc == ERR_OK)
        rc = rules_of(store, batch, &rules, err);
    if (rc == ERR_OK && store_durability(store, err) >= STORE_DISK_FULL)
        rc = err->code;
    if (rc != ERR_OK)
        return rc;
    if (count > store->limits.queue_events_max)
        return err_set(err, ERR_LIMIT, "events: %u do not fit into a queue of %u", count,
                       store->limits.queue_events_max);
    struct store_job *job = malloc(sizeof *job + batch->len);
    if (job == NULL)
        return err_set(err, ERR_NOMEM, "out of memory for a batch of %zu bytes", batch->len);
    *job = (struct store_job){.event_count = count,
                              .rules = rules,
                              .ack = batch->ack,
                              .done = batch->done,
                              .ctx = batch->ctx,
                              .len = batch->len};
    memcpy(job->bytes, batch->bytes, batch->len);
    pthread_mutex_lock(&store->mutex);
    bool fits = store->queue_events + count <= store->limits.queue_events_max && !store->stopping;
    if (fits) {
        store->queue_events += count;
        store_jobs_push(&store->queue, job);
        pthread_cond_signal(&store->wake);
    }
    pthread_mutex_unlock(&store->mutex);
    if (fits)
        return ERR_OK;
    free(job);
    return err_set(err, ERR_BUSY, "the queue of events is full or is being closed");
}

void store_ask(struct store *store, void (*run_it)(struct store *, void *), void *ctx)
{
    struct store_ask ask = {.run = run_it, .ctx = ctx};
    struct store_job job = {.ask = &ask};
    pthread_mutex_lock(&store->mutex);
    if (store->runs) {
        store_jobs_push(&store->queue, &job);
        pthread_cond_signal(&store->wake);
        while (!ask.is_done)
            pthread_cond_wait(&store->done, &store->mutex);
    } else {
        run_it(store, ctx);
    }
    pthread_mutex_unlock(&store->mutex);
}
