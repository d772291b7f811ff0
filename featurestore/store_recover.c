/* SPDX-License-Identifier: Apache-2.0 */
/* The log becomes state again. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/file.h"
#include "featurestore/store_checkpoint.h"

/* A reader of the log holds old pages in place, so it begins again after so many. */
enum { RECORDS_PER_READ = 100000, RECORDS_PER_TURN = 1000 };

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

/* Records up to the older checkpoint may go, and of the old ones those whose ids need not be known
 * any more. */
void store_allow_prune(struct store *store)
{
    const uint64_t *sequence = store->checkpoints->sequence;
    uint64_t covered = sequence[STORE_CHECKPOINTS_KEPT - 1];
    uint64_t ids = store->limits.dedup_events_max;
    uint64_t last = event_log_next(store->log) - 1;
    uint64_t forgotten = last > ids ? last - ids : 0;
    /* A log that takes nothing more is worse than one that only the newest checkpoint covers. */
    uint64_t full_up_to = store_takes_events(store) ? covered : sequence[0];
    event_log_allow_prune(store->log, forgotten < covered ? forgotten : covered, full_up_to);
}

/* Up to so many records from `*at` on; *at is the next one then. */
static enum err_code replay_some(struct store *store, uint64_t *at, bool *ret_more, struct err *err)
{
    struct event_log_reader reader;
    struct event_record record;
    enum err_code rc = event_log_read_begin(store->log, *at, &reader, err);
    if (rc != ERR_OK)
        return rc;
    uint32_t count = 0;
    while (count < RECORDS_PER_READ &&
           (rc = event_log_read_next(&reader, &record, err)) == ERR_OK) {
        if (record.sequence <= store->recovery_checkpoint) {
            rc = store_fill_record(store, &record, err);
            if (rc != ERR_OK)
                break;
            store_remember_record(store, &record);
            *at = record.sequence + 1;
            if (++count % RECORDS_PER_TURN == 0)
                retire_flush(&store->retire);
            continue;
        }
        feature_tables_filled(store->features);
        rc = store_apply_record(store, &record, err);
        if (rc != ERR_OK && rc != ERR_LIMIT)
            break;
        if (rc == ERR_LIMIT)
            set(&store->recovery_refused, store->recovery_refused + 1);
        rc = ERR_OK;
        *at = record.sequence + 1;
        set(&store->recovery_at, record.sequence);
        if (++count % RECORDS_PER_TURN == 0) {
            retire_flush(&store->retire);
            store_serve_asks(store);
        }
    }
    event_log_read_end(&reader);
    *ret_more = rc == ERR_OK;
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
        for (bool more = true; more && rc == ERR_OK;)
            rc = replay_some(store, at, &more, err);
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
    /* Of what the checkpoint covers, the newest ids must be known again. */
    uint64_t ids = store->limits.dedup_events_max;
    uint64_t at = covered > ids ? covered - ids + 1 : 1;
    if (feature_set_of(store->features)->any_is_filling || at < stats.first_sequence)
        at = stats.first_sequence;
    set(&store->recovery_first, at);
    if (rc == ERR_OK)
        rc = replay_all(store, &at, err);
    feature_tables_filled(store->features);
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
    atomic_store_explicit(&store->recovery, state, memory_order_release);
}
