/* SPDX-License-Identifier: Apache-2.0 */
#include "server/control/erasure.h"

#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "base/file.h"
#include "base/log.h"

enum { POLL_MS = 20, THREAD_NICE = 10 };

struct erasure {
    char data_dir[FILE_PATH_BYTES], receipts_dir[FILE_PATH_BYTES];
    uint64_t delay_ms;
    const struct clock *clock;
    struct erasure_parts with;
    pthread_t thread;

    /* The thread's own: the round that is under way, also over failures. */
    struct erasure_round round;
    enum erasure_stage next; /* the step that comes next; ERASURE_IDLE: no round has begun */

    pthread_mutex_t lock; /* guards all below */
    pthread_cond_t changed;
    bool started, stopping, woken, held;
    bool is_swapping; /* a file is just being replaced */
    struct erasure_status status;
};

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

/* False when the thread is to end. */
static bool wait_ms(struct erasure *erasure, uint64_t ms)
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

/* Between two steps.  ERR_BUSY: the round ends here, for this time. */
static enum err_code may_go_on(struct erasure *erasure, struct err *err)
{
    pthread_mutex_lock(&erasure->lock);
    bool stopping = erasure->stopping, held = erasure->held;
    pthread_mutex_unlock(&erasure->lock);
    if (stopping)
        return err_set(err, ERR_BUSY, "the daemon is about to stop");
    return held ? err_set(err, ERR_BUSY, "another process is about to take over") : ERR_OK;
}

static enum err_code begin_swap(struct erasure *erasure, struct err *err)
{
    enum err_code rc = may_go_on(erasure, err);
    pthread_mutex_lock(&erasure->lock);
    erasure->is_swapping = rc == ERR_OK && !erasure->held;
    if (rc == ERR_OK && erasure->held)
        rc = err_set(err, ERR_BUSY, "another process is about to take over");
    pthread_mutex_unlock(&erasure->lock);
    return rc;
}

static void end_swap(struct erasure *erasure)
{
    pthread_mutex_lock(&erasure->lock);
    erasure->is_swapping = false;
    pthread_cond_broadcast(&erasure->changed);
    pthread_mutex_unlock(&erasure->lock);
}

static void enter(struct erasure *erasure, enum erasure_stage stage)
{
    pthread_mutex_lock(&erasure->lock);
    erasure->status.stage = stage;
    erasure->status.at = erasure->status.records = 0;
    pthread_mutex_unlock(&erasure->lock);
}

/* ---- the steps ------------------------------------------------------------------------------- */

static enum err_code clear_memory(struct erasure *erasure, const struct erasure_round *round,
                                  struct err *err)
{
    struct erasure_sweep at = {0};
    enum err_code rc = ERR_OK;
    enter(erasure, ERASURE_MEMORY);
    for (uint32_t i = 0; i < round->person_count; i++)
        answers_forget(erasure->with.answers, round->person[i]);
    while (rc == ERR_OK && store_erasure_sweep(erasure->with.store, &at))
        rc = may_go_on(erasure, err);
    return rc;
}

static enum err_code drop_checkpoints(struct erasure *erasure, const struct erasure_round *round,
                                      struct err *err)
{
    struct store_checkpoint_stats before, now;
    enum err_code rc = ERR_BUSY;
    if (store_log(erasure->with.store) == NULL)
        return ERR_OK;
    enter(erasure, ERASURE_CHECKPOINTS);
    store_checkpoint_stats(erasure->with.store, &before);
    while (rc == ERR_BUSY) {
        rc = store_erasure_drop_checkpoints(erasure->with.store, round->sequence, err);
        store_checkpoint_stats(erasure->with.store, &now);
        if (rc == ERR_BUSY && now.failures > before.failures)
            return err_set(err, ERR_IO, "no checkpoint could be written; the log says why");
        if (rc == ERR_BUSY && !wait_ms(erasure, POLL_MS))
            return rc;
    }
    return rc;
}

/* One of the two logs, and how its new file takes the place of the old one. */
struct rewriting {
    struct event_log *log;
    event_log_rewrite_fn rewrite;
    struct erase_strip *strip;
    bool of_decisions;
};

static enum err_code swap(struct erasure *erasure, const struct rewriting *rewriting,
                          struct event_log_rebuild *rebuild, struct err *err)
{
    enum err_code rc = begin_swap(erasure, err);
    if (rc != ERR_OK)
        return rc;
    rc = rewriting->of_decisions
             ? decision_log_swap(erasure->with.decision_log, rebuild, err)
             : store_erasure_swap(erasure->with.store, rebuild, rewriting->strip, err);
    end_swap(erasure);
    return rc;
}

static enum err_code copy_all(struct erasure *erasure, const struct rewriting *rewriting,
                              struct event_log_rebuild *rebuild, struct err *err)
{
    struct event_log_stats stats;
    bool is_near = false;
    enum err_code rc = ERR_OK;
    while (rc == ERR_OK && !is_near) {
        rc = event_log_rebuild_step(rebuild, &is_near, err);
        event_log_stats(rewriting->log, &stats);
        pthread_mutex_lock(&erasure->lock);
        erasure->status.at = event_log_rebuild_count(rebuild);
        erasure->status.records =
            stats.last_sequence == 0 ? 0 : stats.last_sequence - stats.first_sequence + 1;
        pthread_mutex_unlock(&erasure->lock);
        if (rc == ERR_OK)
            rc = may_go_on(erasure, err);
    }
    return rc;
}

static enum err_code rewrite_log(struct erasure *erasure, const struct rewriting *rewriting,
                                 struct err *err)
{
    struct event_log_rebuild *rebuild = NULL;
    enum err_code rc = event_log_rebuild_begin(rewriting->log, rewriting->rewrite, rewriting->strip,
                                               &rebuild, err);
    if (rc == ERR_OK)
        rc = copy_all(erasure, rewriting, rebuild, err);
    while (rc == ERR_OK && (rc = swap(erasure, rewriting, rebuild, err)) == ERR_BUSY) {
        /* Somebody reads the log; what comes meanwhile is copied here, not by the writer. */
        if (may_go_on(erasure, err) == ERR_OK && wait_ms(erasure, POLL_MS))
            rc = copy_all(erasure, rewriting, rebuild, err);
        else
            break;
    }
    event_log_rebuild_end(&rebuild);
    return rc;
}

static enum err_code rewrite_events(struct erasure *erasure, const struct erasure_round *round,
                                    struct err *err)
{
    struct rewriting rewriting = {.log = store_log(erasure->with.store),
                                  .rewrite = erase_strip_event};
    if (rewriting.log == NULL)
        return ERR_OK;
    enter(erasure, ERASURE_EVENTS);
    erase_set_clear_counts(&round->set, false);
    enum err_code rc = erase_strip_create(&round->set, &rewriting.strip, err);
    if (rc == ERR_OK)
        rc = rewrite_log(erasure, &rewriting, err);
    erase_strip_destroy(&rewriting.strip);
    return rc;
}

static enum err_code rewrite_decisions(struct erasure *erasure, const struct erasure_round *round,
                                       struct err *err)
{
    struct decision_log *decisions = erasure->with.decision_log;
    if (decisions == NULL)
        return ERR_OK;
    struct rewriting rewriting = {
        .log = decision_log_disk(decisions), .rewrite = erase_strip_decision, .of_decisions = true};
    enter(erasure, ERASURE_DECISIONS);
    erase_set_clear_counts(&round->set, true);
    enum err_code rc = erase_strip_create(&round->set, &rewriting.strip, err);
    if (rc == ERR_OK)
        rc = decision_log_settle(decisions, &rewriting.strip->decision_last, err);
    if (rc == ERR_OK)
        rc = rewrite_log(erasure, &rewriting, err);
    erase_strip_destroy(&rewriting.strip);
    return rc;
}

static enum err_code finish(struct erasure *erasure, const struct erasure_round *round,
                            struct err *err)
{
    enter(erasure, ERASURE_RECEIPTS);
    enum err_code rc = erasure_remove_moved(erasure->data_dir, err);
    if (rc == ERR_OK)
        rc = erasure_write_receipts(erasure->receipts_dir, erasure->clock, round, err);
    if (rc == ERR_OK)
        rc = store_erasure_done(erasure->with.store, round->request_last, err);
    if (rc == ERR_OK)
        log_at(LOG_INFO, "people were erased", LOG_INT("ids", round->entry_count),
               LOG_INT("request", (int64_t)round->request_last));
    return rc;
}

/* A step that is done is not done again. */
static enum err_code run_step(struct erasure *erasure, struct err *err)
{
    const struct erasure_round *round = &erasure->round;
    switch (erasure->next) {
    case ERASURE_MEMORY: return clear_memory(erasure, round, err);
    case ERASURE_CHECKPOINTS: return drop_checkpoints(erasure, round, err);
    case ERASURE_EVENTS: return rewrite_events(erasure, round, err);
    case ERASURE_DECISIONS: return rewrite_decisions(erasure, round, err);
    default: return finish(erasure, round, err);
    }
}

static enum err_code run_round(struct erasure *erasure, struct err *err)
{
    enum err_code rc = ERR_OK;
    if (erasure->next == ERASURE_IDLE) {
        rc = store_erasure_begin(erasure->with.store, &erasure->round, err);
        if (rc == ERR_OK)
            erasure->next = ERASURE_MEMORY;
    }
    while (rc == ERR_OK && erasure->next <= ERASURE_RECEIPTS) {
        rc = may_go_on(erasure, err);
        if (rc == ERR_OK)
            rc = run_step(erasure, err);
        if (rc == ERR_OK)
            erasure->next++;
    }
    if (rc == ERR_OK) {
        erasure->next = ERASURE_IDLE;
        store_erasure_deinit(&erasure->round);
    }
    return rc;
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
    /* For this thread alone: Linux counts both by thread. */
    (void)sched_setscheduler(0, SCHED_BATCH, &(struct sched_param){0});
    (void)setpriority(PRIO_PROCESS, (id_t)gettid(), THREAD_NICE);
    while (wait_for_work(erasure)) {
        struct err err = {.text = ""};
        enter(erasure, ERASURE_WAITING);
        if (erasure->next == ERASURE_IDLE && !wait_ms(erasure, erasure->delay_ms))
            break;
        bool again = note_outcome(erasure, run_round(erasure, &err), &err);
        if (again && !wait_ms(erasure, ERASURE_RETRY_MS))
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
