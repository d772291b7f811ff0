/* SPDX-License-Identifier: Apache-2.0 */
/* The log becomes state again. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/file.h"
#include "featurestore/store_apply.h"
#include "featurestore/store_checkpoint.h"
#include "featurestore/store_erase.h"
#include "featurestore/store_replay.h"

/* A turn ends with memory given back and those served who wait.  A tail shorter than the other is
 * not worth a thread. */
enum { RECORDS_PER_TURN = 1000, RECORDS_READ_AHEAD = 4096 };

#define FOLLOW_POLL_NS UINT64_C(5000000) /* there is no signal between processes */

static void set(_Atomic uint64_t *number, uint64_t value)
{
    atomic_store_explicit(number, value, memory_order_relaxed); /* each stands by itself */
}

bool store_is_recovered(const struct store *store)
{
    return atomic_load_explicit(&store->recovery, memory_order_acquire) == STORE_RECOVERED;
}

void store_recovery(struct store *store, struct store_recovery *ret_recovery, struct err *err)
{
#define GET(name) atomic_load_explicit(&store->name, memory_order_relaxed)
    *ret_recovery = (struct store_recovery){
        .state = atomic_load_explicit(&store->recovery, memory_order_acquire),
        .checkpoint_sequence = GET(recovery_checkpoint),
        .first_sequence = GET(recovery_first),
        .last_sequence = GET(recovery_last),
        .at_sequence = GET(recovery_at),
        .refused = GET(recovery_refused)};
#undef GET
    if (ret_recovery->state == STORE_RECOVERY_FAILED && err != NULL)
        *err = store->recovery_err;
}

static enum err_code make_checkpoints(struct store *store,
                                      const struct store_checkpoint_options *options,
                                      struct err *err)
{
    enum err_code rc = file_make_dir(options->dir, err);
    if (rc != ERR_OK)
        return rc;
    struct store_checkpoints *checkpoints = calloc(1, sizeof *checkpoints);
    if (checkpoints == NULL)
        return err_set(err, ERR_NOMEM, "out of memory for checkpoints");
    store->checkpoints = checkpoints;
    checkpoints->options = *options;
    checkpoints->at_ns = clock_now_ns(store->clock);
    int len = snprintf(checkpoints->dir, sizeof checkpoints->dir, "%s", options->dir);
    checkpoints->options.dir = checkpoints->dir;
    return len < (int)sizeof checkpoints->dir
               ? ERR_OK
               : err_set(err, ERR_LIMIT, "the path of the checkpoints is too long");
}

enum err_code store_open_log(struct store *store, const struct event_log_options *options,
                             const struct store_checkpoint_options *checkpoints, struct err *err)
{
    ASSERT(store->log == NULL && !store->joinable);
    atomic_store_explicit(&store->recovery, STORE_RECOVERING, memory_order_relaxed);
    enum err_code rc = event_log_open(options, &store->log, err);
    return rc == ERR_OK && checkpoints->dir != NULL ? make_checkpoints(store, checkpoints, err)
                                                    : rc;
}

/* Records up to the older checkpoint may go; while the newest does not remember event ids, of the
 * old ones those alone whose ids need not be known any more. */
void store_allow_prune(struct store *store)
{
    const uint64_t *sequence = store->checkpoints->sequence;
    uint64_t covered = sequence[STORE_CHECKPOINTS_KEPT - 1];
    uint64_t ids = store->limits.dedup_events_max;
    uint64_t last = event_log_next(store->log) - 1;
    uint64_t forgotten = last > ids ? last - ids : 0;
    /* A log that takes nothing more is worse than one that only the newest checkpoint covers. */
    uint64_t full_up_to = store_takes_events(store) ? covered : sequence[0];
    uint64_t old_up_to = store->checkpoints->has_ids || forgotten > covered ? covered : forgotten;
    event_log_allow_prune(store->log, old_up_to, full_up_to);
}

static enum err_code replay_record(struct store *store, const struct event_record *record,
                                   const struct event *event, struct err *err)
{
    if (record->type == EVENT_forget && !record->erased) {
        enum err_code rc = store_erase_saw(store, record->sequence, err);
        if (rc != ERR_OK)
            return rc;
    }
    if (record->sequence <= store->recovery_checkpoint) {
        enum err_code rc = store_fill_record(store, record, event, err);
        if (rc == ERR_OK)
            store_remember_record(store, record, event);
        return rc;
    }
    feature_tables_filled(store->features);
    enum err_code rc = store_apply_record(store, record, event, err);
    if (rc != ERR_OK && rc != ERR_LIMIT)
        return rc;
    if (rc == ERR_LIMIT)
        set(&store->recovery_refused, store->recovery_refused + 1);
    set(&store->recovery_at, record->sequence);
    return ERR_OK;
}

static enum err_code replay_group(struct store *store, const struct replay_group *group,
                                  uint64_t *at, struct err *err)
{
    enum err_code rc = ERR_OK;
    store_fetch(store, group->event, group->count);
    for (uint32_t i = 0; i < group->count && rc == ERR_OK; i++) {
        rc = replay_record(store, &group->record[i], &group->event[i], err);
        if (rc == ERR_OK)
            *at = group->record[i].sequence + 1;
    }
    if (rc == ERR_OK && group->rc != ERR_OK) {
        *err = group->err;
        rc = group->rc;
    }
    return rc;
}

static enum err_code go_on(struct store *store, struct err *err)
{
    if (!atomic_load_explicit(&store->given_up, memory_order_relaxed))
        return ERR_OK;
    return err_set(err, ERR_BUSY, "the store is stopped before it has read all of the event log");
}

static bool is_far_from_end(const struct store *store, uint64_t at)
{
    struct event_log_stats stats;
    event_log_stats(store->log, &stats);
    return stats.last_sequence > at && stats.last_sequence - at > RECORDS_READ_AHEAD;
}

/* All records from `*at` on that the log holds; *at is the next one then. */
static enum err_code replay_records(struct store *store, uint64_t *at, struct err *err)
{
    struct replay *replay = NULL;
    enum err_code rc = replay_create(store->log, *at, &replay, err);
    if (rc == ERR_OK && is_far_from_end(store, *at))
        replay_start(replay);
    for (uint32_t count = 0; rc == ERR_OK;) {
        const struct replay_group *group = replay_next(replay);
        rc = replay_group(store, group, at, err);
        rc = rc == ERR_OK ? go_on(store, err) : rc;
        count += group->count;
        if (count < RECORDS_PER_TURN)
            continue;
        retire_flush(&store->retire);
        if (*at > store->recovery_checkpoint)
            store_serve_asks(store);
        count = 0;
    }
    replay_destroy(&replay);
    return rc == ERR_NOT_FOUND ? ERR_OK : rc;
}

/* Until another process has written more, or has ended; serves those who ask meanwhile. */
static void wait_for_more(struct store *store)
{
    uint64_t until_ns = store_wait_clock_ns() + FOLLOW_POLL_NS;
    struct timespec until = {(time_t)(until_ns / 1000000000), (long)(until_ns % 1000000000)};
    store_serve_asks(store);
    pthread_mutex_lock(&store->mutex);
    if (atomic_load_explicit(&store->following, memory_order_acquire))
        (void)pthread_cond_timedwait(&store->wake, &store->mutex, &until);
    pthread_mutex_unlock(&store->mutex);
    retire_flush(&store->retire);
}

/* To the end of the log, which may be moving. */
static enum err_code replay_all(struct store *store, uint64_t *at, struct err *err)
{
    enum err_code rc = ERR_OK;
    for (bool followed = true; followed && rc == ERR_OK;) {
        /* Looked at before: what was written before it ended is read below. */
        followed = atomic_load_explicit(&store->following, memory_order_acquire);
        rc = replay_records(store, at, err);
        if (followed && rc == ERR_OK) {
            atomic_store_explicit(&store->recovery, STORE_FOLLOWING, memory_order_release);
            wait_for_more(store);
        }
    }
    if (rc == ERR_OK)
        rc = event_log_refresh(store->log, err);
    if (rc == ERR_OK && store->checkpoints != NULL)
        rc = store_read_checkpoint_note(store, err);
    return rc;
}

void store_give_up_recovery(struct store *store)
{
    atomic_store_explicit(&store->given_up, true, memory_order_relaxed);
}

void store_follow(struct store *store)
{
    ASSERT(store->log != NULL && !store->joinable);
    atomic_store_explicit(&store->following, true, memory_order_release);
}

void store_end_follow(struct store *store)
{
    pthread_mutex_lock(&store->mutex);
    atomic_store_explicit(&store->following, false, memory_order_release);
    pthread_cond_signal(&store->wake);
    pthread_mutex_unlock(&store->mutex);
}

void store_close_log(struct store *store)
{
    ASSERT(!store->joinable);
    store_checkpoints_destroy(&store->checkpoints);
    event_log_close(&store->log);
}

static enum err_code replay(struct store *store, struct err *err)
{
    struct event_log_stats stats;
    uint64_t covered = 0;
    enum err_code rc = store->checkpoints == NULL ? ERR_OK : store_restore(store, &covered, err);
    if (rc == ERR_OK)
        rc = event_log_refresh(store->log, err); /* another process may be writing */
    event_log_stats(store->log, &stats);
    if (rc == ERR_OK && covered > stats.last_sequence)
        rc = err_set(err, ERR_CORRUPT,
                     "the checkpoint covers record %" PRIu64
                     ", and the event log ends with %" PRIu64,
                     covered, stats.last_sequence);
    set(&store->recovery_checkpoint, covered);
    set(&store->recovery_last, stats.last_sequence);
    /* Of what the checkpoint covers, the newest ids must be known again; it has those whose
     * records were pruned. */
    uint64_t ids = store->limits.dedup_events_max;
    uint64_t at = covered > ids ? covered - ids + 1 : 1;
    if (feature_set_of(store->features)->any_is_filling || at < stats.first_sequence)
        at = stats.first_sequence;
    set(&store->recovery_first, at);
    if (rc == ERR_OK && store->checkpoints != NULL)
        store_event_ids_take(store, at <= covered ? covered - at + 1 : 0);
    if (rc == ERR_OK)
        rc = replay_all(store, &at, err);
    feature_tables_filled(store->features);
    if (rc == ERR_OK)
        rc = store_erase_recovered(store, err);
    return rc;
}

void store_recover(struct store *store)
{
    enum store_recovery_state state = STORE_RECOVERED;
    if (replay(store, &store->recovery_err) != ERR_OK)
        state = STORE_RECOVERY_FAILED;
    if (store->checkpoints != NULL)
        store_allow_prune(store);
    store_refresh_all(store);
    retire_flush(&store->retire);
    store_erase_wipe(store);
    atomic_store_explicit(&store->recovery, state, memory_order_release);
}
