/* SPDX-License-Identifier: Apache-2.0 */
#include "server/control/decision_log.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/background.h"
#include "base/log.h"
#include "featurestore/decision_record.h"
#include "server/control/decision_log_internal.h"

enum { TAKE_MS = 10, RETRY_MS = 500, PRUNE_MS = 1000 };

#define COMMIT_BYTES   (UINT64_C(4) << 20) /* so many are committed before their time */
#define GATHERED_BYTES (UINT64_C(8) << 20) /* no more are taken before a commit */
#define MS_NS          UINT64_C(1000000)

/* ---- from the rings to the disk --------------------------------------------------------------
 */

/* Says so once, however long it goes on. */
static void note_outcome(struct decision_log *log, enum err_code rc, const struct err *err)
{
    bool failing = rc != ERR_OK;
    if (failing && !log->failing)
        log_at(LOG_ERROR, "decisions are not logged", LOG_STR("error", err->text));
    else if (!failing && log->failing)
        log_write(LOG_INFO, "decisions are logged again", NULL, 0);
    log->failing = failing;
    pthread_mutex_lock(&log->lock);
    log->status.state = !failing              ? DECISION_LOG_ON_DISK
                        : rc == ERR_DISK_FULL ? DECISION_LOG_DISK_FULL
                                              : DECISION_LOG_FAILED;
    log->status.err = failing ? *err : (struct err){.code = ERR_OK};
    pthread_mutex_unlock(&log->lock);
}

static void note_commit(struct decision_log *log)
{
    pthread_mutex_lock(&log->lock);
    log->status.committed_ms = clock_wall_ms(log->clock);
    pthread_mutex_unlock(&log->lock);
}

/* False when there is no memory for the record, which stays where it is. */
static bool take_one(struct decision_log *log, struct ring *ring, uint32_t len)
{
    struct event_record record = {.arrival_ms = clock_wall_ms(log->clock),
                                  .event = {(const char *)log->record, len}};
    struct err err = {.text = ""};
    enum err_code rc = event_log_reserve(log->disk, len, &err);
    if (rc != ERR_OK) {
        note_outcome(log, rc, &err);
        return false;
    }
    ring_take(ring, log->record);
    event_log_add(log->disk, &record);
    return true;
}

static void take_all(struct decision_log *log)
{
    for (uint32_t i = 0; i < log->ring_count; i++) {
        uint32_t len = 0;
        while (event_log_gathered_bytes(log->disk) < GATHERED_BYTES &&
               ring_peek(&log->ring[i], &len)) {
            if (!take_one(log, &log->ring[i], len))
                return;
        }
    }
}

static void commit(struct decision_log *log, uint64_t now_ns)
{
    struct err err = {.text = ""};
    enum err_code rc = event_log_commit(log->disk, &err);
    log->retry_ns = rc == ERR_OK ? 0 : now_ns + RETRY_MS * MS_NS;
    log->gathered_since_ns = rc == ERR_OK ? 0 : log->gathered_since_ns;
    if (rc == ERR_OK)
        note_commit(log);
    note_outcome(log, rc, &err);
}

/* What is old must go also when nothing is added. */
static void prune(struct decision_log *log, uint64_t now_ns)
{
    struct err err = {.text = ""};
    log->prune_ns = now_ns + PRUNE_MS * MS_NS;
    enum err_code rc = event_log_prune(log->disk, &err);
    note_outcome(log, rc, &err);
}

static void turn(struct decision_log *log, bool stopping)
{
    uint64_t now_ns = clock_now_ns(log->clock);
    take_all(log);
    bool any = event_log_gathered_count(log->disk) > 0;
    if (any && log->gathered_since_ns == 0)
        log->gathered_since_ns = now_ns;
    bool due = event_log_gathered_bytes(log->disk) >= COMMIT_BYTES ||
               now_ns - log->gathered_since_ns >= DECISION_LOG_COMMIT_MS * MS_NS;
    if (any && (stopping || (due && now_ns >= log->retry_ns)))
        commit(log, now_ns);
    else if (!any && now_ns >= log->prune_ns)
        prune(log, now_ns);
}

/* ---- for somebody who waits ------------------------------------------------------------------ */

struct decision_ask {
    struct event_log_rebuild *rebuild; /* NULL: only what is in the rings is committed */
    enum err_code rc;
    struct err *err;
};

static enum err_code commit_all(struct decision_log *log, struct err *err)
{
    bool is_full = true;
    enum err_code rc = ERR_OK;
    while (is_full && rc == ERR_OK) {
        take_all(log);
        is_full = event_log_gathered_bytes(log->disk) >= GATHERED_BYTES;
        rc = event_log_commit(log->disk, err);
    }
    note_outcome(log, rc, err);
    if (rc != ERR_OK)
        return rc;
    log->gathered_since_ns = 0;
    note_commit(log);
    return ERR_OK;
}

static void serve_ask(struct decision_log *log)
{
    pthread_mutex_lock(&log->lock);
    struct decision_ask *ask = log->ask;
    pthread_mutex_unlock(&log->lock);
    if (ask == NULL)
        return;
    ask->rc = commit_all(log, ask->err);
    if (ask->rc == ERR_OK && ask->rebuild != NULL)
        ask->rc = event_log_rebuild_swap(ask->rebuild, ask->err);
    pthread_mutex_lock(&log->lock);
    log->ask = NULL;
    pthread_cond_signal(&log->answered);
    pthread_mutex_unlock(&log->lock);
}

static enum err_code ask(struct decision_log *log, struct event_log_rebuild *rebuild,
                         struct err *err)
{
    struct decision_ask ask = {.rebuild = rebuild, .err = err};
    pthread_mutex_lock(&log->lock);
    if (!log->started || log->stopping) {
        pthread_mutex_unlock(&log->lock);
        return err_set(err, ERR_BUSY, "decisions are not being logged");
    }
    ASSERT(log->ask == NULL); /* one thread asks */
    log->ask = &ask;
    pthread_cond_signal(&log->changed);
    while (log->ask != NULL)
        pthread_cond_wait(&log->answered, &log->lock);
    pthread_mutex_unlock(&log->lock);
    return ask.rc;
}

enum err_code decision_log_settle(struct decision_log *log, uint64_t *ret_last, struct err *err)
{
    struct event_log_stats stats;
    enum err_code rc = ask(log, NULL, err);
    event_log_stats(log->disk, &stats);
    *ret_last = stats.last_sequence;
    return rc;
}

enum err_code decision_log_swap(struct decision_log *log, struct event_log_rebuild *rebuild,
                                struct err *err)
{
    return ask(log, rebuild, err);
}

/* ---- the thread ------------------------------------------------------------------------------
 */

/* The workers do not wake it: that would be a system call in every decision. */
static bool wait_a_little(struct decision_log *log)
{
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_nsec += TAKE_MS * (long)MS_NS;
    if (until.tv_nsec >= 1000000000) {
        until.tv_nsec -= 1000000000;
        until.tv_sec++;
    }
    pthread_mutex_lock(&log->lock);
    int rc = 0;
    while (!log->stopping && log->ask == NULL && rc == 0)
        rc = pthread_cond_timedwait(&log->changed, &log->lock, &until);
    bool stopping = log->stopping;
    pthread_mutex_unlock(&log->lock);
    return !stopping;
}

static bool is_drained(const struct decision_log *log)
{
    uint32_t len = 0;
    for (uint32_t i = 0; i < log->ring_count; i++) {
        if (ring_peek(&log->ring[i], &len))
            return false;
    }
    return event_log_gathered_count(log->disk) == 0;
}

static void *run(void *ctx)
{
    struct decision_log *log = ctx;
    background_begin();
    while (wait_a_little(log)) {
        serve_ask(log);
        turn(log, false);
    }
    serve_ask(log);
    do
        turn(log, true);
    while (!log->failing && !is_drained(log)); /* more may be left than is taken at once */
    return NULL;
}

enum err_code decision_log_start(struct decision_log *log, struct err *err)
{
    enum err_code rc = event_log_refresh(log->disk, err);
    if (rc != ERR_OK)
        return rc;
    int number = pthread_create(&log->thread, NULL, run, log);
    if (number != 0)
        return err_set(err, ERR_IO, "cannot start the thread that logs decisions: %s",
                       strerror(number));
    pthread_mutex_lock(&log->lock);
    log->started = true;
    pthread_mutex_unlock(&log->lock);
    pthread_setname_np(log->thread, "decision log");
    return ERR_OK;
}

void decision_log_stop(struct decision_log *log)
{
    pthread_mutex_lock(&log->lock);
    log->stopping = true;
    pthread_cond_signal(&log->changed);
    pthread_mutex_unlock(&log->lock);
    if (log->started)
        pthread_join(log->thread, NULL);
    log->started = false;
}

/* ---- life ------------------------------------------------------------------------------------ */

static void init_lock(struct decision_log *log)
{
    pthread_condattr_t attributes;
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&log->changed, &attributes);
    pthread_condattr_destroy(&attributes);
    pthread_cond_init(&log->answered, NULL);
    pthread_mutex_init(&log->lock, NULL);
}

enum err_code decision_log_create(const struct decision_log_options *options,
                                  struct decision_log **ret_log, struct err *err)
{
    struct event_log_options disk = options->disk;
    size_t bytes = sizeof(struct decision_log) + options->worker_count * sizeof(struct ring);
    /* Its counters stand on cache lines of their own. */
    struct decision_log *log =
        aligned_alloc(_Alignof(struct decision_log), (bytes + 63) & ~(size_t)63);
    if (log == NULL)
        return err_set(err, ERR_NOMEM, "no memory for the decision log");
    memset(log, 0, bytes);
    *log = (struct decision_log){.clock = disk.clock, .percent = options->percent};
    init_lock(log);
    log->record = malloc(DECISION_RECORD_BYTES_MAX);
    enum err_code rc =
        log->record == NULL ? err_set(err, ERR_NOMEM, "no memory for the decision log") : ERR_OK;
    for (; rc == ERR_OK && log->ring_count < options->worker_count; log->ring_count++)
        rc = ring_init(&log->ring[log->ring_count], DECISION_LOG_RING_BYTES, err);
    disk.kind = "decision";
    if (rc == ERR_OK)
        rc = event_log_open(&disk, &log->disk, err);
    if (rc != ERR_OK) {
        decision_log_destroy(&log);
        return rc;
    }
    event_log_allow_prune(log->disk, UINT64_MAX, UINT64_MAX); /* nothing else needs the records */
    *ret_log = log;
    return ERR_OK;
}

void decision_log_destroy(struct decision_log **log)
{
    if (*log == NULL)
        return;
    event_log_close(&(*log)->disk);
    for (uint32_t i = 0; i < (*log)->ring_count; i++)
        ring_deinit(&(*log)->ring[i]);
    free((*log)->record);
    pthread_cond_destroy(&(*log)->changed);
    pthread_cond_destroy(&(*log)->answered);
    pthread_mutex_destroy(&(*log)->lock);
    free(*log);
    *log = NULL;
}

struct event_log *decision_log_disk(struct decision_log *log)
{
    return log->disk;
}

const char *decision_log_state_name(enum decision_log_state state)
{
    static const char *const names[] = {"disk", "disk_full", "failed"};
    return names[state];
}

void decision_log_status(struct decision_log *log, struct decision_log_status *ret_status)
{
    pthread_mutex_lock(&log->lock);
    *ret_status = log->status;
    pthread_mutex_unlock(&log->lock);
    ret_status->dropped = atomic_load_explicit(&log->dropped, memory_order_relaxed);
}
