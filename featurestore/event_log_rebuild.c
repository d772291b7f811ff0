/* SPDX-License-Identifier: Apache-2.0 */
#include "featurestore/event_log_rebuild.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "featurestore/event_log_internal.h"

#define STEP_BYTES (UINT64_C(4) << 20)
#define NEAR       2000 /* records that the writer copies in a moment */

struct event_log_rebuild {
    struct event_log *log; /* borrowed */
    event_log_rewrite_fn rewrite;
    void *ctx;
    char dir[FILE_PATH_BYTES];
    struct event_log *fresh; /* owned; the old environment is in it after the swap */
    uint64_t count;
    /* How far retention by type was when it began: what it replaced since may be here as it was. */
    uint64_t expired_up_to[EVENT_TYPE_COUNT];
};

static enum err_code dir_of(const struct event_log *log, char dir[FILE_PATH_BYTES], struct err *err)
{
    return file_join(log->dir, "rebuilt", dir, FILE_PATH_BYTES, err);
}

enum err_code event_log_rebuild_clean(struct event_log *log, struct err *err)
{
    char dir[FILE_PATH_BYTES];
    enum err_code rc = dir_of(log, dir, err);
    return rc == ERR_OK ? file_remove_tree(dir, err) : rc;
}

/* An empty log in an empty directory. */
static enum err_code open_fresh(struct event_log_rebuild *rebuild, struct err *err)
{
    const struct event_log *log = rebuild->log;
    const struct event_log_options options = {.kind = log->kind,
                                              .dir = rebuild->dir,
                                              .bytes_max = log->bytes_max,
                                              .disk_reserve_bytes = log->disk_reserve_bytes,
                                              .clock = log->clock};
    size_t len = 0;
    event_log_close(&rebuild->fresh);
    rebuild->count = 0;
    memset(rebuild->expired_up_to, 0, sizeof rebuild->expired_up_to);
    enum err_code rc =
        event_log_get_note(rebuild->log, EVENT_LOG_EXPIRED_NOTE, rebuild->expired_up_to,
                           sizeof rebuild->expired_up_to, &len, err);
    if (rc == ERR_OK || rc == ERR_NOT_FOUND)
        rc = file_remove_tree(rebuild->dir, err);
    return rc == ERR_OK ? event_log_open(&options, &rebuild->fresh, err) : rc;
}

static enum err_code check_room(struct event_log *log, struct err *err)
{
    struct event_log_stats stats;
    event_log_stats(log, &stats);
    uint64_t free_now = event_log_free_bytes(log);
    uint64_t needed = stats.bytes_used + log->disk_reserve_bytes;
    if (free_now >= needed)
        return ERR_OK;
    return err_set(err, ERR_DISK_FULL,
                   "to write the %s log anew takes %" PRIu64 " bytes beside the reserve of %" PRIu64
                   ", and %" PRIu64 " are free",
                   log->kind, stats.bytes_used, log->disk_reserve_bytes, free_now);
}

enum err_code event_log_rebuild_begin(struct event_log *log, event_log_rewrite_fn rewrite,
                                      void *ctx, struct event_log_rebuild **ret_rebuild,
                                      struct err *err)
{
    struct event_log_rebuild *rebuild = calloc(1, sizeof *rebuild);
    if (rebuild == NULL)
        return err_set(err, ERR_NOMEM, "out of memory to write a log anew");
    rebuild->log = log;
    rebuild->rewrite = rewrite;
    rebuild->ctx = ctx;
    enum err_code rc = dir_of(log, rebuild->dir, err);
    if (rc == ERR_OK)
        rc = event_log_check_room(log, err); /* one that failed takes no other file, either */
    if (rc == ERR_OK)
        rc = check_room(log, err);
    if (rc == ERR_OK)
        rc = open_fresh(rebuild, err);
    if (rc != ERR_OK) {
        event_log_rebuild_end(&rebuild);
        return rc;
    }
    *ret_rebuild = rebuild;
    return ERR_OK;
}

void event_log_rebuild_end(struct event_log_rebuild **rebuild)
{
    struct err unused;
    struct event_log_rebuild *old = *rebuild;
    if (old == NULL)
        return;
    event_log_close(&old->fresh);
    (void)!file_remove_tree(old->dir, &unused); /* the next one removes it, too */
    free(old);
    *rebuild = NULL;
}

/* ---- copying --------------------------------------------------------------------------------- */

/* ERR_STALE when the log was pruned beyond what was copied. */
static enum err_code copy_one(struct event_log_rebuild *rebuild, struct event_record *record,
                              struct err *err)
{
    struct event_log *fresh = rebuild->fresh;
    if (rebuild->count == 0) { /* nothing is in it: it begins where the log does */
        atomic_store_explicit(&fresh->last_sequence, record->sequence - 1, memory_order_relaxed);
        fresh->next_sequence = record->sequence;
    }
    if (record->sequence != event_log_next(fresh))
        return err_set(err, ERR_STALE, "record %" PRIu64 " is gone", event_log_next(fresh));
    enum err_code rc = rebuild->rewrite(rebuild->ctx, record, err);
    if (rc == ERR_OK)
        rc = event_log_reserve(fresh, record->event.len, err);
    if (rc != ERR_OK)
        return rc;
    event_log_add(fresh, record);
    rebuild->count++;
    return ERR_OK;
}

static enum err_code copy_some(struct event_log_rebuild *rebuild, struct err *err)
{
    struct event_log_reader reader;
    struct event_record record;
    uint64_t from = rebuild->count == 0 ? 1 : event_log_next(rebuild->fresh);
    enum err_code rc = event_log_read_begin(rebuild->log, from, &reader, err);
    if (rc != ERR_OK)
        return rc;
    while (event_log_gathered_bytes(rebuild->fresh) < STEP_BYTES &&
           (rc = event_log_read_next(&reader, &record, err)) == ERR_OK &&
           (rc = copy_one(rebuild, &record, err)) == ERR_OK)
        continue;
    event_log_read_end(&reader);
    if (rc == ERR_STALE)
        return open_fresh(rebuild, err);
    return rc == ERR_OK || rc == ERR_NOT_FOUND ? event_log_commit(rebuild->fresh, err) : rc;
}

/* How many records of the log were not copied yet. */
static uint64_t left_of(const struct event_log_rebuild *rebuild)
{
    struct event_log_stats stats;
    event_log_stats(rebuild->log, &stats);
    if (stats.last_sequence == 0)
        return 0;
    if (rebuild->count == 0)
        return stats.last_sequence - stats.first_sequence + 1;
    return stats.last_sequence + 1 - event_log_next(rebuild->fresh);
}

enum err_code event_log_rebuild_step(struct event_log_rebuild *rebuild, bool *ret_near,
                                     struct err *err)
{
    enum err_code rc = copy_some(rebuild, err);
    *ret_near = rc == ERR_OK && left_of(rebuild) <= NEAR;
    return rc;
}

uint64_t event_log_rebuild_count(const struct event_log_rebuild *rebuild)
{
    return rebuild->count;
}

/* ---- taking its place ------------------------------------------------------------------------ */

static int put_all_notes(struct event_log *from, MDB_txn *from_txn, struct event_log *to,
                         MDB_txn *to_txn)
{
    MDB_cursor *cursor = NULL;
    MDB_val name, text;
    int rc = mdb_cursor_open(from_txn, from->notes, &cursor);
    if (rc != 0)
        return rc;
    while ((rc = mdb_cursor_get(cursor, &name, &text, MDB_NEXT)) == 0 &&
           (rc = mdb_put(to_txn, to->notes, &name, &text, 0)) == 0)
        continue;
    mdb_cursor_close(cursor);
    return rc == MDB_NOTFOUND ? 0 : rc;
}

static enum err_code copy_notes(struct event_log_rebuild *rebuild, struct err *err)
{
    struct event_log *from = rebuild->log, *to = rebuild->fresh;
    MDB_val name = {.mv_data = EVENT_LOG_EXPIRED_NOTE,
                    .mv_size = sizeof EVENT_LOG_EXPIRED_NOTE - 1};
    MDB_val expired = {.mv_data = rebuild->expired_up_to, .mv_size = sizeof rebuild->expired_up_to};
    MDB_txn *from_txn = NULL, *to_txn = NULL;
    int rc = mdb_txn_begin(from->env, NULL, MDB_RDONLY, &from_txn);
    if (rc == 0)
        rc = mdb_txn_begin(to->env, NULL, 0, &to_txn);
    if (rc == 0)
        rc = put_all_notes(from, from_txn, to, to_txn);
    if (rc == 0)
        rc = mdb_put(to_txn, to->notes, &name, &expired, 0);
    if (rc == 0)
        rc = mdb_txn_commit(to_txn);
    else if (to_txn != NULL)
        mdb_txn_abort(to_txn);
    if (from_txn != NULL)
        mdb_txn_abort(from_txn);
    return rc == 0 ? ERR_OK : event_log_error(to, rc, "write notes into", err);
}

static enum err_code move_file(const struct event_log_rebuild *rebuild, const char *name,
                               struct err *err)
{
    char from[FILE_PATH_BYTES], to[FILE_PATH_BYTES];
    enum err_code rc = file_join(rebuild->dir, name, from, sizeof from, err);
    if (rc == ERR_OK)
        rc = file_join(rebuild->log->dir, name, to, sizeof to, err);
    if (rc == ERR_OK && rename(from, to) != 0)
        rc = err_set(err, ERR_IO, "cannot move %.300s: %s", from, strerror(errno));
    return rc;
}

/* The lock file belongs to the data file: half of them would be no log for another process. */
static enum err_code move_files(struct event_log_rebuild *rebuild, struct err *err)
{
    enum err_code rc = move_file(rebuild, "lock.mdb", err);
    if (rc != ERR_OK)
        return rc;
    rc = move_file(rebuild, "data.mdb", err);
    if (rc == ERR_OK)
        rc = file_sync_dir(rebuild->log->dir, err);
    if (rc != ERR_OK)
        atomic_store_explicit(&rebuild->log->failed, true, memory_order_relaxed);
    return rc;
}

/* The open environment goes with its files. */
static void exchange(struct event_log *log, struct event_log *fresh)
{
    MDB_env *env = log->env;
    MDB_dbi events = log->events, notes = log->notes;
    log->env = fresh->env;
    log->events = fresh->events;
    log->notes = fresh->notes;
    fresh->env = env;
    fresh->events = events;
    fresh->notes = notes;
}

enum err_code event_log_rebuild_swap(struct event_log_rebuild *rebuild, struct err *err)
{
    struct event_log *log = rebuild->log;
    ASSERT(event_log_gathered_count(log) == 0);
    enum err_code rc = event_log_check_room(log, err);
    while (rc == ERR_OK && left_of(rebuild) > 0)
        rc = copy_some(rebuild, err);
    if (rc == ERR_OK)
        rc = copy_notes(rebuild, err);
    if (rc != ERR_OK)
        return rc;
    if (pthread_rwlock_trywrlock(&log->lock) != 0)
        return err_set(err, ERR_BUSY, "the %s log is being read", log->kind);
    rc = move_files(rebuild, err);
    if (rc == ERR_OK) {
        exchange(log, rebuild->fresh);
        memcpy(log->expired_up_to, rebuild->expired_up_to, sizeof log->expired_up_to);
    }
    pthread_rwlock_unlock(&log->lock);
    return rc == ERR_OK ? event_log_refresh(log, err) : rc;
}
