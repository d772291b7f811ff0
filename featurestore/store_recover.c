/* SPDX-License-Identifier: Apache-2.0 */
/* The log becomes state again. */
#include "featurestore/store_internal.h"

/* A reader of the log holds old pages in place, so it begins again after so many. */
enum { RECORDS_PER_READ = 100000, RECORDS_PER_TURN = 1000 };

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
        .first_sequence = GET(recovery_first),
        .last_sequence = GET(recovery_last),
        .at_sequence = GET(recovery_at),
        .refused = GET(recovery_refused)};
#undef GET
    if (ret_recovery->state == STORE_RECOVERY_FAILED && err != NULL)
        *err = store->recovery_err;
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

static enum err_code replay(struct store *store, struct err *err)
{
    struct event_log_stats stats;
    event_log_stats(store->log, &stats);
    set(&store->recovery_first, stats.first_sequence);
    set(&store->recovery_last, stats.last_sequence);
    uint64_t at = stats.first_sequence;
    enum err_code rc = ERR_OK;
    for (bool more = stats.last_sequence > 0; more && rc == ERR_OK;)
        rc = replay_some(store, &at, &more, err);
    return rc;
}

void store_recover(struct store *store)
{
    enum store_recovery_state state = STORE_RECOVERED;
    if (replay(store, &store->recovery_err) != ERR_OK)
        state = STORE_RECOVERY_FAILED;
    store_refresh_all(store);
    retire_flush(&store->retire);
    atomic_store_explicit(&store->recovery, state, memory_order_release);
}
