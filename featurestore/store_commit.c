/* SPDX-License-Identifier: Apache-2.0 */
/* Applied batches wait here until their events are on disk. */
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "featurestore/store_erase.h"

/* A commit is due when this much is gathered; during a commit, no more than this is gathered. */
enum { COMMIT_EVENTS = 2048, COMMIT_BYTES = 1 << 20 };
enum { LAG_EVENTS_MAX = 16384, LAG_BYTES_MAX = 8 << 20 };

const char *store_durability_name(enum store_durability durability)
{
    static const char *const names[] = {[STORE_IN_MEMORY] = "memory",
                                        [STORE_ON_DISK] = "disk",
                                        [STORE_DISK_FULL] = "disk_full",
                                        [STORE_LOG_FAILED] = "failed"};
    return names[durability];
}

enum store_durability store_durability(struct store *store, struct err *err)
{
    if (store->log == NULL)
        return STORE_IN_MEMORY;
    pthread_mutex_lock(&store->mutex);
    enum err_code code = store->commit_err.code;
    if (code != ERR_OK && err != NULL)
        *err = store->commit_err;
    pthread_mutex_unlock(&store->mutex);
    if (code == ERR_OK)
        return STORE_ON_DISK;
    return code == ERR_IO || code == ERR_CORRUPT ? STORE_LOG_FAILED : STORE_DISK_FULL;
}

struct event_log *store_log(const struct store *store)
{
    return store->log;
}

bool store_takes_events(const struct store *store)
{
    return store->commit_err.code == ERR_OK; /* the writer alone changes it */
}

bool store_has_uncommitted(const struct store *store)
{
    return store->uncommitted.first != NULL || store_erase_has_unsynced(store) ||
           (store->log != NULL && event_log_gathered_count(store->log) > 0);
}

bool store_commit_is_due(const struct store *store)
{
    return store->log != NULL &&
           (event_log_gathered_count(store->log) >= COMMIT_EVENTS ||
            event_log_gathered_bytes(store->log) >= COMMIT_BYTES || event_log_is_full(store->log));
}

bool store_commit_may_lag(const struct store *store)
{
    return event_log_gathered_count(store->log) < LAG_EVENTS_MAX &&
           event_log_gathered_bytes(store->log) < LAG_BYTES_MAX && !event_log_is_full(store->log);
}

static void complete(struct store *store, const struct store_job *job)
{
    if (job->done != NULL)
        job->done(job->ctx, &store->result);
}

void store_batch_refused(struct store *store, struct store_job *job)
{
    struct store_batch_result *result = &store->result;
    result->status = store->commit_err.code;
    result->error = store->commit_err.text;
    result->accepted = result->duplicate = result->rejected = result->described = 0;
    complete(store, job);
    store_job_free(job);
}

/* Keeps the result with the batch.  If memory runs out fewer rejections are described. */
static void put_aside(struct store *store, struct store_job *job)
{
    const struct store_batch_result *result = &store->result;
    job->accepted = result->accepted;
    job->duplicate = result->duplicate;
    job->rejected = result->rejected;
    if (result->described > 0)
        job->rejection = malloc(result->described * sizeof *job->rejection);
    if (job->rejection != NULL) {
        job->described = result->described;
        memcpy(job->rejection, result->rejection, job->described * sizeof *job->rejection);
    }
    store_jobs_push(&store->uncommitted, job);
}

static void take_up(struct store *store, const struct store_job *job)
{
    struct store_batch_result *result = &store->result;
    result->accepted = job->accepted;
    result->duplicate = job->duplicate;
    result->rejected = job->rejected;
    result->described = job->described;
    if (job->described > 0)
        memcpy(result->rejection, job->rejection, job->described * sizeof *job->rejection);
}

void store_batch_applied(struct store *store, struct store_job *job)
{
    /* A duplicate's original may not be on disk yet, so a duplicate waits, too. */
    bool waits = job->ack == STORE_ACK_DISK && store->log != NULL &&
                 event_log_gathered_count(store->log) > 0;
    if (waits) {
        put_aside(store, job);
        return;
    }
    store->result.status = ERR_OK;
    store->result.error = "";
    complete(store, job);
    store_job_free(job);
}

/* Records the outcome of the commit, and reports a change of durability. */
static void note_outcome(struct store *store, enum err_code code, const struct err *err)
{
    enum err_code before = store->commit_err.code;
    pthread_mutex_lock(&store->mutex);
    store->commit_err = code == ERR_OK ? (struct err){.code = ERR_OK} : *err;
    pthread_mutex_unlock(&store->mutex);
    store->retry_at_ns = store_wait_clock_ns() + STORE_RETRY_MS * UINT64_C(1000000);
    if (code != ERR_OK && code != before)
        log_at(LOG_ERROR, "no events are accepted, since they cannot be logged",
               LOG_STR("error", err->text));
    else if (code == ERR_OK && before != ERR_OK)
        log_write(LOG_INFO, "events are accepted again", NULL, 0);
}

static void tell(struct store *store, struct store_jobs *jobs, enum err_code code,
                 const struct err *err)
{
    struct store_job *job;
    while ((job = store_jobs_pop(jobs)) != NULL) {
        take_up(store, job);
        store->result.status = code;
        store->result.error = err->text;
        complete(store, job);
        store_job_free(job);
    }
}

/* For what comes next. */
static enum err_code find_room(struct store *store, struct err *err)
{
    enum err_code code = store->log == NULL ? ERR_OK : event_log_make_room(store->log, err);
    return code == ERR_OK && store->log != NULL ? event_log_check_room(store->log, err) : code;
}

void store_commit_ended(struct store *store, enum err_code code, const struct err *err,
                        struct store_jobs *jobs)
{
    struct err no_room = {.text = ""};
    if (code != ERR_OK)
        note_outcome(store, code, err);
    else /* what comes next has no place, and a checkpoint can be made now that nothing waits */
        note_outcome(store, find_room(store, &no_room), &no_room);
    tell(store, jobs, code, err);
    if (code != ERR_OK)
        tell(store, &store->uncommitted, code, err); /* what was applied meanwhile comes after it */
}

void store_commit(struct store *store)
{
    struct err err = {.text = ""};
    enum err_code code = store_erase_flush(store, &err); /* the ledger is never behind the log */
    if (code == ERR_OK && store->log != NULL)
        code = event_log_commit(store->log, &err);
    store_commit_ended(store, code, &err, &store->uncommitted);
}
