/* SPDX-License-Identifier: Apache-2.0 */
/* The writer: gather, commit together, prune a little each time. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "featurestore/event_log_internal.h"

enum { GATHERED_BYTES_MIN = 65536, PRUNE_MIN = 64, OVERFULL_PART = 8 };

/* Used above this share the oldest records go, whatever their age. */
static uint64_t nearly_full(const struct event_log *log)
{
    return log->bytes_max / 10 * 9;
}

static void add_to(_Atomic uint64_t *counter, uint64_t n)
{
    atomic_store_explicit(counter, atomic_load_explicit(counter, memory_order_relaxed) + n,
                          memory_order_relaxed);
}

static uint64_t get(const _Atomic uint64_t *counter)
{
    return atomic_load_explicit(counter, memory_order_relaxed);
}

/* Length of the value that stands at `at`, before each one. */
typedef uint32_t value_length;

enum err_code event_log_reserve(struct event_log *log, uint32_t event_bytes, struct err *err)
{
    struct event_log_gathered *gathered = &log->gathered;
    uint64_t more = sizeof(value_length) + EVENT_LOG_HEADER_BYTES + event_bytes;
    uint64_t capacity = gathered->capacity == 0 ? GATHERED_BYTES_MIN : gathered->capacity;
    while (capacity < gathered->used + more)
        capacity *= 2;
    if (capacity == gathered->capacity)
        return ERR_OK;
    uint8_t *grown = realloc(gathered->bytes, capacity);
    if (grown == NULL)
        return err_set(err, ERR_NOMEM, "out of memory for the %s log", log->kind);
    gathered->bytes = grown;
    gathered->capacity = capacity;
    return ERR_OK;
}

void event_log_add(struct event_log *log, const struct event_record *record)
{
    struct event_log_gathered *gathered = &log->gathered;
    value_length length = EVENT_LOG_HEADER_BYTES + record->event.len;
    ASSERT(gathered->used + sizeof length + length <= gathered->capacity);
    struct event_record numbered = *record;
    numbered.sequence = log->next_sequence++;
    uint8_t *at = gathered->bytes + gathered->used;
    memcpy(at, &length, sizeof length);
    at += sizeof length;
    event_log_header(&numbered, at);
    memcpy(at + EVENT_LOG_HEADER_BYTES, record->event.ptr, record->event.len);
    gathered->used += sizeof length + length;
    gathered->count++;
    atomic_fetch_add_explicit(&log->gathered_count, 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&log->gathered_bytes, sizeof length + length, memory_order_relaxed);
}

uint64_t event_log_next(const struct event_log *log)
{
    return log->next_sequence;
}

uint32_t event_log_gathered_count(const struct event_log *log)
{
    return (uint32_t)get(&log->gathered_count);
}

uint64_t event_log_gathered_bytes(const struct event_log *log)
{
    return get(&log->gathered_bytes);
}

void event_log_allow_prune(struct event_log *log, uint64_t old_up_to, uint64_t full_up_to)
{
    log->prune_old_up_to = old_up_to;
    log->prune_full_up_to = full_up_to;
}

static int put_sealed(struct event_log *log, MDB_txn *txn)
{
    uint64_t sequence = get(&log->last_sequence);
    const uint8_t *at = log->sealed.bytes;
    int rc = 0;
    for (uint32_t i = 0; i < log->sealed.count && rc == 0; i++) {
        uint8_t bytes[EVENT_LOG_KEY_BYTES];
        value_length length;
        memcpy(&length, at, sizeof length);
        event_log_key(++sequence, bytes);
        MDB_val key = {.mv_data = bytes, .mv_size = sizeof bytes};
        MDB_val value = {.mv_data = (void *)(at + sizeof length), .mv_size = length};
        rc = mdb_put(txn, log->events, &key, &value, MDB_APPEND);
        at += sizeof length + length;
    }
    return rc;
}

static bool is_due(const struct event_log *log, const struct event_record *oldest, int64_t now_ms)
{
    bool is_old = log->retain_ms > 0 && oldest->arrival_ms < now_ms - log->retain_ms;
    return (is_old && oldest->sequence <= log->prune_old_up_to) ||
           (get(&log->bytes_used) > nearly_full(log) && oldest->sequence <= log->prune_full_up_to);
}

/* At most twice as many as are added, so that the log shrinks and no commit takes long. */
static int prune(struct event_log *log, MDB_txn *txn, uint32_t *ret_count)
{
    MDB_cursor *cursor = NULL;
    MDB_val key, value;
    uint32_t most = 2 * log->sealed.count + PRUNE_MIN;
    uint64_t last = get(&log->last_sequence) + log->sealed.count;
    int64_t now_ms = clock_wall_ms(log->clock);
    *ret_count = 0;
    if (log->prune_full_up_to == 0)
        return 0;
    int rc = mdb_cursor_open(txn, log->events, &cursor);
    while (rc == 0 && *ret_count < most) {
        struct event_record oldest;
        rc = mdb_cursor_get(cursor, &key, &value, MDB_FIRST);
        /* One that cannot be read stays, and is reported by those who need it. */
        if (rc != 0 || event_log_parse(log->kind, &key, &value, &oldest, NULL) != ERR_OK)
            break;
        if (oldest.sequence >= last || !is_due(log, &oldest, now_ms))
            break;
        rc = mdb_cursor_del(cursor, 0);
        *ret_count += rc == 0;
    }
    if (cursor != NULL)
        mdb_cursor_close(cursor);
    return rc == MDB_NOTFOUND ? 0 : rc;
}

static int write_all(struct event_log *log, bool only_prune, uint32_t *ret_pruned)
{
    MDB_txn *txn = NULL;
    struct event_log_expiry expiry = {.count = 0};
    memcpy(expiry.up_to, log->expired_up_to, sizeof expiry.up_to);
    int rc = mdb_txn_begin(log->env, NULL, 0, &txn);
    if (rc != 0)
        return rc;
    if (!only_prune)
        rc = put_sealed(log, txn);
    if (rc == 0)
        rc = prune(log, txn, ret_pruned);
    if (rc == 0)
        rc = event_log_expire(log, txn, &expiry);
    if (rc != 0) {
        mdb_txn_abort(txn);
        return rc;
    }
    rc = mdb_txn_commit(txn);
    if (rc == 0) {
        memcpy(log->expired_up_to, expiry.up_to, sizeof expiry.up_to);
        add_to(&log->expired, expiry.count);
    }
    return rc;
}

static void count_commit(struct event_log *log, uint64_t took_ns, uint32_t pruned)
{
    add_to(&log->commits, 1);
    add_to(&log->commit_ns, took_ns);
    add_to(&log->pruned, pruned);
    if (took_ns > get(&log->commit_ns_max))
        atomic_store_explicit(&log->commit_ns_max, took_ns, memory_order_relaxed);
}

/* What is in the log now, for statistics and the next sequence. */
static void measure(struct event_log *log)
{
    MDB_txn *txn = NULL;
    if (mdb_txn_begin(log->env, NULL, MDB_RDONLY, &txn) != 0)
        return;
    (void)event_log_measure(log, txn);
    mdb_txn_abort(txn);
}

static enum err_code fail(struct event_log *log, enum err_code code)
{
    add_to(&log->commit_failures, 1);
    if (code != ERR_DISK_FULL && code != ERR_NOMEM)
        atomic_store_explicit(&log->failed, true, memory_order_relaxed);
    return code;
}

bool event_log_is_full(const struct event_log *log)
{
    return get(&log->bytes_used) + get(&log->gathered_bytes) > log->bytes_max;
}

static bool is_overfull(const struct event_log *log)
{
    uint64_t most = log->bytes_max + log->bytes_max / OVERFULL_PART;
    return get(&log->bytes_used) + get(&log->gathered_bytes) > most;
}

/* The pages that pruning takes are beyond bytes_max. */
enum err_code event_log_make_room(struct event_log *log, struct err *err)
{
    while (event_log_is_full(log)) {
        uint32_t pruned = 0;
        int rc = write_all(log, true, &pruned);
        if (rc != 0)
            return event_log_error(log, rc, "prune", err);
        if (pruned == 0)
            return err_set(err, ERR_DISK_FULL,
                           "the %s log holds %" PRIu64 " of %" PRIu64
                           " bytes, and nothing may be pruned before the next checkpoint",
                           log->kind, get(&log->bytes_used), log->bytes_max);
        add_to(&log->pruned, pruned);
        measure(log);
    }
    return ERR_OK;
}

enum err_code event_log_refresh(struct event_log *log, struct err *err)
{
    MDB_txn *txn = NULL;
    ASSERT(event_log_gathered_count(log) == 0);
    int rc = mdb_txn_begin(log->env, NULL, MDB_RDONLY, &txn);
    if (rc == 0) {
        rc = event_log_measure(log, txn);
        mdb_txn_abort(txn);
        log->next_sequence = get(&log->last_sequence) + 1;
    }
    return rc == 0 ? ERR_OK : event_log_error(log, rc, "read", err);
}

enum err_code event_log_prune(struct event_log *log, struct err *err)
{
    uint32_t pruned = 0;
    enum err_code code = event_log_check_room(log, err);
    if (code != ERR_OK)
        return code;
    int rc = write_all(log, true, &pruned);
    if (rc != 0)
        return fail(log, event_log_error(log, rc, "prune", err));
    add_to(&log->pruned, pruned);
    measure(log);
    return ERR_OK;
}

void event_log_seal(struct event_log *log)
{
    ASSERT(log->sealed.count == 0);
    struct event_log_gathered emptied = log->sealed;
    log->sealed = log->gathered;
    log->gathered = emptied;
}

static void unseal(struct event_log *log)
{
    struct event_log_gathered *sealed = &log->sealed;
    atomic_fetch_sub_explicit(&log->gathered_count, sealed->count, memory_order_relaxed);
    atomic_fetch_sub_explicit(&log->gathered_bytes, sealed->used, memory_order_relaxed);
    sealed->used = sealed->count = 0;
}

enum err_code event_log_commit_sealed(struct event_log *log, struct err *err)
{
    if (log->sealed.count == 0)
        return ERR_OK;
    enum err_code code = event_log_check_room(log, err);
    if (code == ERR_OK && event_log_is_full(log))
        code = event_log_make_room(log, err);
    if (code == ERR_DISK_FULL && event_log_is_full(log) && !is_overfull(log))
        code = event_log_check_room(log, err);
    if (code != ERR_OK)
        return fail(log, code);
    uint32_t pruned = 0;
    uint64_t before_ns = clock_now_ns(log->clock);
    int rc = write_all(log, false, &pruned);
    if (rc != 0)
        return fail(log, event_log_error(log, rc, "write to", err));
    count_commit(log, clock_now_ns(log->clock) - before_ns, pruned);
    add_to(&log->last_sequence, log->sealed.count);
    measure(log);
    unseal(log);
    return ERR_OK;
}

enum err_code event_log_commit(struct event_log *log, struct err *err)
{
    enum err_code code = event_log_commit_sealed(log, err);
    if (code != ERR_OK || log->gathered.count == 0)
        return code;
    event_log_seal(log);
    return event_log_commit_sealed(log, err);
}
