/* SPDX-License-Identifier: Apache-2.0 */
/* store_internal - the layout shared by writer and readers, and the parts of the writer.
 *
 *   store.c            creation, limits, the tables
 *   store_asks.c       requests to the store thread: binding, the hash, a checkpoint
 *   store_recover.c    recovery of the state from the log
 *   store_replay.c     reading and decoding log records ahead
 *   store_checkpoint.c, store_restore.c, store_rows_*.c
 *                      the whole state to a file and back
 *   store_hash.c       the hash of the state
 *   store_forget.c, store_erase*.c
 *                      forget: removes a person from state, log and files (store_erase.h)
 *   store_features.c   feature definitions in force, and filling them from the log
 *   store_read.c, store_profile_read.c, store_price_read.c, features.c
 *                      the readers (hot path)
 *   person.c profile.c windows.c dedup.c retire.c   building blocks
 *
 *   store_pages.h      storage of items and people, for writer and readers
 *   store_jobs.h       batches in progress: the queue, the store thread, commits
 *     store_queue.c      submit, the store thread
 *     store_commit.c, store_committer.c
 *                        committing accepted events, and completing the batches that wait
 *   store_apply.h      applying events
 *     store_apply.c      a batch: decode, reject duplicates, apply, report
 *     store_fetch.c      prefetches the memory that events will touch
 *     store_windows.c    windows of items
 *     store_catalogue.c  item_upsert, item_delete
 *     store_profile.c    user_upsert
 *     store_identity.c   identify
 *     store_consent.c    consent
 *     store_views.c      joined histories of linked ids
 *   store_refresh.h    advancing windows, rebuilding top lists
 *
 *  1. The writer is the store thread, or the caller if no store thread runs.
 *  2. A page is published by the release store of its address and never moves.  So is a record, a
 *     history or a block of windows; the one it replaces goes to `retire`.
 *     Exception: until the store has recovered readers are given no histories, so that the writer
 *     may edit them in place (store_histories_are_read).
 *  3. An event changes nothing until all memory that it needs is allocated: a failure leaves at
 * most ids without a record and windows without a count, which readers cannot tell from unknown.
 *  4. An item is in `active` exactly once while it has a block of windows, else not at all. */
#ifndef FEATURESTORE_STORE_INTERNAL_H
#define FEATURESTORE_STORE_INTERNAL_H

#include <pthread.h>
#include <stdatomic.h>

#include "base/arena.h"
#include "base/clock.h"
#include "base/slabs.h"
#include "featurestore/dedup.h"
#include "featurestore/feature_tables.h"
#include "featurestore/person.h"
#include "featurestore/profile.h"
#include "featurestore/retire.h"
#include "featurestore/store.h"
#include "featurestore/store_items.h"
#include "featurestore/store_jobs.h"
#include "featurestore/store_pages.h"
#include "featurestore/store_refresh.h"

/* New profiles of those whose consent changes, made and not published; [0] the user's. */
struct store_consents {
    _Atomic(const struct profile_block *) *slot[2];
    const struct profile_block *profile[2]; /* owned; NULL: it does not change */
    uint32_t number[2];
};

/* Views that were made and not published. */
struct store_views {
    uint32_t count;
    _Atomic(const struct person *) *slot[PROFILE_LINKS_MAX + 2];
    const struct person *view[PROFILE_LINKS_MAX + 2]; /* owned; NULL: none is needed */
};

/* Written by the writer, read by store_stats: relaxed, each number stands by itself. */
enum store_counter {
    COUNTER_CATALOGUE_ITEMS,
    COUNTER_SOLD_OUT,
    COUNTER_ACCEPTED,
    COUNTER_DUPLICATE,
    COUNTER_REJECTED,
    COUNTER_FIELDS_DROPPED,
    COUNTER_LINKS,
    COUNTER_HISTORY_ENTRIES,
    COUNTER_BYTES_ITEMS, /* without the id tables, as below */
    COUNTER_BYTES_PEOPLE,
    COUNTER_BYTES_COUNTS,
    COUNTER_BATCHES,
    COUNTER_CONTENT, /* changes of what items are, see store_content_version */
    COUNTER_COUNT
};

struct store {
    struct store_limits limits;
    const struct clock *clock; /* borrowed */

    /* Shared with readers. */
    struct idmap *item_ids;
    struct idmap *category_ids;
    struct idmap *brand_ids;
    struct people users;
    struct people anons;
    uint32_t item_page_count_max;
    _Atomic(struct item_page *) *item_page; /* owned */
    _Atomic(struct store_top_set *) top;    /* owned; NULL before the first refresh */
    _Atomic int64_t watermark_ms;
    _Atomic int64_t dedup_oldest_ms;
    _Atomic uint64_t counter[COUNTER_COUNT];

    struct feature_tables *features; /* owned */

    /* The writer's own. */
    struct {
        uint64_t at;   /* the record that comes next */
        uint64_t next; /* the one that the log gets next, as of the last turn */
    } filling;         /* of the definitions that are staged */
    struct dedup *dedup;
    struct slabs *slabs; /* owned: histories, views, profiles and rows of features lie there */
    struct retire retire;
    uint32_t *active; /* owned: items that have a block of windows */
    uint32_t active_count;
    uint32_t active_capacity;
    struct store_refresh refresh;
    struct arena arena;     /* of the event that is being applied */
    uint8_t stripped[1024]; /* the event that is left of one that denies `process` */
    struct person_edit edit, view_edit;
    struct store_views views;
    struct store_consents consents;
    uint32_t item[EVENT_ITEMS_MAX];               /* numbers of the event's items */
    struct item *record[EVENT_ITEMS_MAX];         /* new records, before they are published */
    struct price_change prices[STORE_PRICES_MAX]; /* of the record that is being made */
    struct store_batch_result result;

    /* The queue: store_queue.c. */
    pthread_mutex_t mutex;
    pthread_cond_t wake; /* the store thread: there is a job, or it shall stop */
    pthread_cond_t done; /* waiting callers: a job of theirs is done */
    pthread_t thread;
    bool joinable;                 /* the thread was started and not joined */
    bool runs;                     /* it takes jobs */
    bool stopping;                 /* it ends when there are no more */
    bool grace_is_over;            /* there is something for retire_pass */
    struct store_jobs queue;       /* owned when they are batches */
    _Atomic uint64_t queue_events; /* changed under the mutex */

    /* The log: store_commit.c, store_recover.c. */
    struct event_log *log;         /* owned; NULL: memory only */
    struct store_jobs uncommitted; /* applied, and waiting for the next commit; owned */
    struct store_committer committer;
    struct err commit_err;     /* of the last commit; under the mutex */
    uint64_t retry_at_ns;      /* when that failed: the next one, by the system's clock */
    _Atomic uint32_t recovery; /* enum store_recovery_state; set with release */
    _Atomic bool following;    /* another process writes the log */
    _Atomic bool given_up;     /* recovery shall end where it is */
    struct err recovery_err;   /* before `recovery` says that it failed */
    _Atomic uint64_t recovery_checkpoint, recovery_first, recovery_last, recovery_at,
        recovery_refused;

    /* Checkpoints: store_checkpoint.c, store_restore.c. */
    struct store_checkpoints *checkpoints; /* owned; NULL without a log */

    struct store_erase *erase; /* owned */
};

/* What malloc takes for a block of that size (glibc: 8 bytes of header, steps of 16, at least 32).
 */
static inline uint64_t heap_bytes(uint64_t bytes)
{
    return bytes <= 24 ? 32 : (bytes + 8 + 15) & ~UINT64_C(15);
}

static inline uint64_t store_counter(const struct store *store, enum store_counter counter)
{
    return atomic_load_explicit(&store->counter[counter], memory_order_relaxed);
}

static inline void store_counter_add(struct store *store, enum store_counter counter, int64_t n)
{
    atomic_store_explicit(&store->counter[counter], store_counter(store, counter) + (uint64_t)n,
                          memory_order_relaxed);
}

/* From then on for ever.  The acquire load sees all that was edited in place before. */
static inline bool store_histories_are_read(const struct store *store)
{
    return atomic_load_explicit(&store->recovery, memory_order_acquire) == STORE_RECOVERED;
}

/* Both NULL when nothing was ever stored for that number. */
static inline struct item_page *store_item_page(const struct store *store, uint32_t item)
{
    return atomic_load_explicit(&store->item_page[item >> ITEM_PAGE_BITS], memory_order_acquire);
}

static inline struct item_slot *store_item_slot(const struct store *store, uint32_t item)
{
    struct item_page *page = store_item_page(store, item);
    return page == NULL ? NULL : &page->slot[item & (ITEM_PAGE_SLOTS - 1)];
}

/* ---- store.c: slots with a page behind them, made when it is not there.  NULL without memory. */
struct item_slot *store_item_slot_make(struct store *store, uint32_t item);
_Atomic(const struct person *) *store_person_slot_make(struct store *store, struct people *people,
                                                       uint32_t number);

/* ---- store_recover.c, on the writer: applies what the log holds. */
void store_recover(struct store *store);
/* After a checkpoint. */
void store_allow_prune(struct store *store);

/* ---- store_hash.c, on the writer */
uint64_t store_hash_now(const struct store *store);

#endif
