/* SPDX-License-Identifier: Apache-2.0 */
#include "server/control/erasure_internal.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/background.h"
#include "base/file.h"
#include "base/log.h"

const char *erasure_stage_name(enum erasure_stage stage)
{
    static const char *const names[] = {"idle",   "waiting",   "memory",  "checkpoints",
                                        "events", "decisions", "receipts"};
    return names[stage];
}

/* ---- what others see and say ----------------------------------------------------------------- */

void erasure_wake(void *ctx)
{
    struct erasure *erasure = ctx;
    pthread_mutex_lock(&erasure->lock);
    erasure->woken = true;
    pthread_cond_broadcast(&erasure->changed);
    pthread_mutex_unlock(&erasure->lock);
}

void erasure_hold(void *ctx, bool held)
{
    struct erasure *erasure = ctx;
    pthread_mutex_lock(&erasure->lock);
    erasure->held = held;
    while (held && erasure->is_swapping)
        pthread_cond_wait(&erasure->changed, &erasure->lock);
    pthread_cond_broadcast(&erasure->changed);
    pthread_mutex_unlock(&erasure->lock);
}

void erasure_status(struct erasure *erasure, struct erasure_status *ret_status)
{
    pthread_mutex_lock(&erasure->lock);
    *ret_status = erasure->status;
    pthread_mutex_unlock(&erasure->lock);
}

const char *erasure_receipts_dir(const struct erasure *erasure)
{
    return erasure->receipts_dir;
}

/* ---- waiting --------------------------------------------------------------------------------- */

static struct timespec in_ms(uint64_t ms)
{
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += (time_t)(ms / 1000);
    until.tv_nsec += (long)(ms % 1000) * 1000000;
    if (until.tv_nsec >= 1000000000) {
        until.tv_nsec -= 1000000000;
        until.tv_sec++;
    }
    return until;
}

bool erasure_wait_ms(struct erasure *erasure, uint64_t ms)
{
    const struct timespec until = in_ms(ms);
    int rc = 0;
    pthread_mutex_lock(&erasure->lock);
    while (!erasure->stopping && rc == 0)
        rc = pthread_cond_timedwait(&erasure->changed, &erasure->lock, &until);
    bool stopping = erasure->stopping;
    pthread_mutex_unlock(&erasure->lock);
    return !stopping;
}

static bool wait_for_work(struct erasure *erasure)
{
    pthread_mutex_lock(&erasure->lock);
    while (!erasure->stopping && (!erasure->woken || erasure->held))
        pthread_cond_wait(&erasure->changed, &erasure->lock);
    erasure->woken = false;
    bool stopping = erasure->stopping;
    pthread_mutex_unlock(&erasure->lock);
    return !stopping;
}

enum err_code erasure_may_go_on(struct erasure *erasure, struct err *err)
{
    pthread_mutex_lock(&erasure->lock);
    bool stopping = erasure->stopping, held = erasure->held;
    pthread_mutex_unlock(&erasure->lock);
    if (stopping)
        return err_set(err, ERR_BUSY, "the daemon is about to stop");
    return held ? err_set(err, ERR_BUSY, "another process is about to take over") : ERR_OK;
}

enum err_code erasure_begin_swap(struct erasure *erasure, struct err *err)
{
    enum err_code rc = erasure_may_go_on(erasure, err);
    pthread_mutex_lock(&erasure->lock);
    erasure->is_swapping = rc == ERR_OK && !erasure->held;
    if (rc == ERR_OK && erasure->held)
        rc = err_set(err, ERR_BUSY, "another process is about to take over");
    pthread_mutex_unlock(&erasure->lock);
    return rc;
}

void erasure_end_swap(struct erasure *erasure)
{
    pthread_mutex_lock(&erasure->lock);
    erasure->is_swapping = false;
    pthread_cond_broadcast(&erasure->changed);
    pthread_mutex_unlock(&erasure->lock);
}

void erasure_enter(struct erasure *erasure, enum erasure_stage stage)
{
    pthread_mutex_lock(&erasure->lock);
    erasure->status.stage = stage;
    erasure->status.at = erasure->status.records = 0;
    pthread_mutex_unlock(&erasure->lock);
}

/* ---- the thread ------------------------------------------------------------------------------ */

/* True when it has to be tried again. */
static bool note_outcome(struct erasure *erasure, enum err_code rc, const struct err *err)
{
    bool is_over = rc == ERR_OK || rc == ERR_NOT_FOUND;
    bool is_fault = !is_over && rc != ERR_BUSY;
    pthread_mutex_lock(&erasure->lock);
    struct erasure_status *status = &erasure->status;
    bool is_new = is_fault && status->error.code != rc;
    status->stage = is_over ? ERASURE_IDLE : ERASURE_WAITING;
    status->rounds += rc == ERR_OK;
    status->failures = is_over ? 0 : status->failures + is_fault;
    status->error = is_over ? (struct err){.code = ERR_OK} : *err;
    pthread_mutex_unlock(&erasure->lock);
    if (is_new)
        log_at(LOG_ERROR, "people who are to be forgotten are still in the files",
               LOG_STR("error", err->text));
    return !is_over;
}

static void *run(void *ctx)
{
    struct erasure *erasure = ctx;
    background_begin();
    while (wait_for_work(erasure)) {
        struct err err = {.text = ""};
        erasure_enter(erasure, ERASURE_WAITING);
        if (erasure->next == ERASURE_IDLE && !erasure_wait_ms(erasure, erasure->delay_ms))
            break;
        bool again = note_outcome(erasure, erasure_run_round(erasure, &err), &err);
        if (again && !erasure_wait_ms(erasure, ERASURE_RETRY_MS))
            break;
        if (again)
            erasure_wake(erasure);
    }
    return NULL;
}

/* What a process that was killed left of a file that was to take the place of another. */
static enum err_code clean(struct erasure *erasure, struct err *err)
{
    struct event_log *events = store_log(erasure->with.store);
    enum err_code rc = events == NULL ? ERR_OK : event_log_rebuild_clean(events, err);
    if (rc == ERR_OK && erasure->with.decision_log != NULL)
        rc = event_log_rebuild_clean(decision_log_disk(erasure->with.decision_log), err);
    return rc;
}

enum err_code erasure_start(struct erasure *erasure, const struct erasure_parts *parts,
                            struct err *err)
{
    erasure->with = *parts;
    enum err_code rc = clean(erasure, err);
    if (rc != ERR_OK)
        return rc;
    int number = pthread_create(&erasure->thread, NULL, run, erasure);
    if (number != 0)
        return err_set(err, ERR_IO, "cannot start the thread of erasures: %s", strerror(number));
    erasure->started = true;
    pthread_setname_np(erasure->thread, "erasure");
    return ERR_OK;
}

void erasure_stop(struct erasure *erasure)
{
    pthread_mutex_lock(&erasure->lock);
    erasure->stopping = true;
    pthread_cond_broadcast(&erasure->changed);
    pthread_mutex_unlock(&erasure->lock);
    if (erasure->started)
        pthread_join(erasure->thread, NULL);
    erasure->started = false;
}

enum err_code erasure_create(const struct erasure_options *options, struct erasure **ret_erasure,
                             struct err *err)
{
    pthread_condattr_t attributes;
    struct erasure *erasure = calloc(1, sizeof *erasure);
    if (erasure == NULL)
        return err_set(err, ERR_NOMEM, "no memory for erasures");
    erasure->delay_ms = options->delay_ms;
    erasure->clock = options->clock;
    enum err_code rc =
        file_join(options->data_dir, ".", erasure->data_dir, sizeof erasure->data_dir, err);
    if (rc == ERR_OK)
        rc = file_join(options->data_dir, ERASURE_RECEIPTS_DIR, erasure->receipts_dir,
                       sizeof erasure->receipts_dir, err);
    if (rc != ERR_OK) {
        free(erasure);
        return rc;
    }
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&erasure->changed, &attributes);
    pthread_condattr_destroy(&attributes);
    pthread_mutex_init(&erasure->lock, NULL);
    *ret_erasure = erasure;
    return ERR_OK;
}

void erasure_destroy(struct erasure **erasure)
{
    if (*erasure == NULL)
        return;
    store_erasure_deinit(&(*erasure)->round);
    pthread_cond_destroy(&(*erasure)->changed);
    pthread_mutex_destroy(&(*erasure)->lock);
    free(*erasure);
    *erasure = NULL;
}
