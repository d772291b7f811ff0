/* SPDX-License-Identifier: Apache-2.0 */
/* store - what the daemon knows: items, people with their recent history, popularity by window.
 *
 *   store.h           life cycle, recovery, durability, writing, statistics
 *   store_items.h     reading items and their popularity
 *   store_people.h    reading people
 *   features.h        the built-in features
 *   store_features.h  changing the defined features
 *
 * The state is in memory, as a view of the event log (featurestore/event_log.h) if there is one.
 * Only the store thread writes: it takes batches of events from a bounded queue, applies them,
 * commits the accepted events of many batches together to the log, and completes each batch once
 * its `ack` is satisfied.  Readers are wait-free: records are immutable blocks that the writer
 * replaces by pointer, so everything a reader gets stays valid and constant until rcu_read_end.
 *
 * After a failed commit its events stay applied and queued for the log.  Callers waiting for the
 * disk get the error, nothing further is accepted, and the commit is retried every STORE_RETRY_MS
 * until it succeeds (a full disk); other failures are permanent (see store_durability).  So memory
 * is never behind the log, and at most one group of batches ahead of it.
 *
 * Limits (struct store_limits) are hard: an event that would exceed one is rejected.
 * Memory: 555 bytes beyond the id for a person with 50 history entries, the share of the id table
 * included (tests/bench/bench_store, 500,000 people: 555 by store_stats and by mallinfo2, 565 in
 * the resident set); 304 bytes for each item and counted class with an event within 30 days.
 * Threads: create, start, stop, destroy on a control thread; store_submit and the readers on
 * any; readers inside rcu_read_begin/end. */
#ifndef FEATURESTORE_STORE_H
#define FEATURESTORE_STORE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/text.h"
#include "featurestore/event.h"
#include "featurestore/event_log.h"

struct store;

struct store_limits {
    uint32_t items_max;         /* 1..16000000 */
    uint32_t people_max;        /* 1..200000000, users and anonymous ids each */
    uint32_t history_items_max; /* distinct items kept per person, 1..1000; see person.h */
    uint32_t queue_events_max;  /* events waiting for the store thread, 1..1000000 */
    uint32_t dedup_events_max;  /* event ids remembered, 0..10000000; newest kept */
    uint32_t dedup_window_s;    /* how long, by arrival; 0: no limit */
    int64_t event_age_ms_max;   /* older events are rejected; 0: no limit */
    uint32_t prices_max;        /* price changes kept per item, 0..255; newest kept */
    uint32_t feature_rows_max;  /* queries, slots, and pairs of each kind that have features */
    uint32_t link_anons_max;    /* anonymous ids linked to one user, 0..100 */
    uint32_t link_users_max;    /* users linked to one anonymous id, 0..8 */
    uint32_t link_window_s;     /* older links make room for new users; 0: never */
    uint8_t consent_denied;     /* bits by enum event_consent: denied by default */
};

MUST_CHECK enum err_code store_create(const struct store_limits *limits, const struct clock *clock,
                                      struct store **ret_store, struct err *err);

/* When to checkpoint the whole state, so that a start need not replay the entire log and the log
 * can be pruned: after this many events, or after this time if there were any. */
struct store_checkpoint_options {
    const char *dir; /* created if absent; NULL: no checkpoints, and no pruning */
    uint64_t events;
    uint64_t interval_ms;
};

/* Before store_start: accepted events go to this log, and the store thread begins by loading the
 * newest checkpoint and replaying the log after it. */
MUST_CHECK enum err_code store_open_log(struct store *store,
                                        const struct event_log_options *options,
                                        const struct store_checkpoint_options *checkpoints,
                                        struct err *err);
MUST_CHECK enum err_code store_start(struct store *store, struct err *err); /* the store thread */
void store_stop(struct store *store);     /* applies and commits queued events, joins the thread */
void store_destroy(struct store **store); /* must be stopped, without readers */

/* ---- recovery and durability: any thread ----------------------------------------------------- */

enum store_recovery_state {
    STORE_RECOVERING,
    STORE_FOLLOWING, /* it has caught up with another process that still writes the log */
    STORE_RECOVERED,
    STORE_RECOVERY_FAILED
};

struct store_recovery {
    enum store_recovery_state state;
    uint64_t checkpoint_sequence;           /* of the checkpoint that was loaded; 0: none */
    uint64_t first_sequence, last_sequence; /* of what is replayed; 0, 0: nothing */
    uint64_t at_sequence;
    uint64_t refused; /* events that no longer fit because a limit was lowered */
};

/* `err` (may be NULL): why recovery failed, naming the record; the store is then unusable.  During
 * recovery events are queued, and binding and reading see the state so far, except that histories
 * appear empty, so that the replay may edit them in place. */
void store_recovery(struct store *store, struct store_recovery *ret_recovery, struct err *err);
bool store_is_recovered(const struct store *store);
/* Before stopping: aborts a recovery in progress, as failed.  Nothing read so far is written, so
 * the next start finds log and checkpoints unchanged.  No effect on a completed recovery. */
void store_give_up_recovery(struct store *store);

/* Before store_start: another process writes the log, and the store follows it until
 * store_end_follow, which is called once that process has closed the log.  Recovery then completes
 * as usual. */
void store_follow(struct store *store);
void store_end_follow(struct store *store); /* any thread; idempotent */
/* On a stopped store: closes the log, so that another process may write it. */
void store_close_log(struct store *store);

/* Starts a checkpoint unless one is in progress; store_checkpoint_stats shows its completion. Waits
 * for the store thread.  ERR_UNSUPPORTED: no directory; otherwise the errors of a commit. */
MUST_CHECK enum err_code store_checkpoint(struct store *store, struct err *err);

struct store_checkpoint_stats {
    uint64_t written, failures;        /* since start; failures since the last success */
    uint64_t sequence, bytes, took_ms; /* of the newest one written by this process */
};
void store_checkpoint_stats(const struct store *store, struct store_checkpoint_stats *ret_stats);

enum store_durability {
    STORE_IN_MEMORY, /* there is no log */
    STORE_ON_DISK,   /* accepted events are on disk, or about to be */
    STORE_DISK_FULL, /* nothing is accepted until there is room */
    STORE_LOG_FAILED /* nothing is accepted until the log is reopened */
};
const char *store_durability_name(enum store_durability durability); /* "disk_full" */
/* `err` (may be NULL): why, for the last two. */
enum store_durability store_durability(struct store *store, struct err *err);
/* The log, for statistics and reading; NULL: none. */
struct event_log *store_log(const struct store *store);

/* A hash of all state derived from events, as of *ret_sequence (0 without a log).  Independent of
 * how the store got there (live events or replay) and of the numbers of ids.  Computed on the store
 * thread, which it occupies for about a microsecond per person; waits for it. */
uint64_t store_state_hash(struct store *store, uint64_t *ret_sequence);

/* ---- writing ------------------------------------------------------------------------------- */

#define STORE_REJECTED_MAX 100 /* rejections described per batch; more are only counted */

struct store_rejection {
    uint32_t index;
    enum err_code code;
    char message[160];
};

struct store_batch_result {
    enum err_code status; /* ERR_DISK_FULL, ERR_IO: not on disk as requested; to be resent */
    const char *error;    /* in words */
    uint32_t accepted, duplicate, rejected;
    uint32_t described; /* entries in `rejection` */
    struct store_rejection rejection[STORE_REJECTED_MAX];
};

/* Called once, on the store thread, when the batch's `ack` is satisfied. */
typedef void (*store_done_fn)(void *ctx, const struct store_batch_result *result);

enum store_ack {
    STORE_ACK_MEMORY, /* applied and visible to readers */
    STORE_ACK_DISK    /* and committed; the same as MEMORY without a log */
};

struct store_batch {
    const uint8_t *bytes; /* a MessagePack array of events that passed cursor_check; copied */
    size_t len;
    enum store_ack ack;
    bool strict;        /* see featurestore/event.h */
    int64_t sent_at_ms; /* by the caller's clock, to correct it; 0: unknown */
    store_done_fn done; /* may be NULL */
    void *ctx;
};

#define STORE_RETRY_MS 500 /* interval between retries of a failed commit */

/* Queues a batch.  On any error nothing of the batch is taken and `done` is not called.  ERR_BUSY:
 * the queue is full or closing; ERR_DISK_FULL, ERR_IO: the log accepts nothing; ERR_LIMIT: more
 * than EVENT_BATCH_MAX events, EVENT_BATCH_BYTES_MAX bytes or the whole queue; ERR_BAD_INPUT: not
 * an array, or "sent_at: ..." more than EVENT_SKEW_MS_MAX away from our clock. */
MUST_CHECK enum err_code store_submit(struct store *store, const struct store_batch *batch,
                                      struct err *err);

/* Looks up or assigns the item number of each id.  For the loader.  Runs on the store thread and
 * waits for it, or runs directly if there is no store thread.  ret_numbers has `count` entries.
 * ERR_LIMIT: items_max would be exceeded; nothing is added. */
MUST_CHECK enum err_code store_bind_items(struct store *store, const struct text *ids,
                                          uint32_t count, uint32_t *ret_numbers, struct err *err);

/* ---- sums: any thread ------------------------------------------------------------------------ */

struct store_stats {
    uint64_t items, catalogue_items, users, anons, links, events_accepted, events_duplicate,
        events_rejected, fields_dropped, queue_events, history_entries;
    int64_t dedup_oldest_ms; /* arrival of the oldest event whose id is remembered; 0: none */
    uint64_t bytes_items, bytes_people, bytes_counts; /* allocated, including indexes and malloc
                                                         overhead; without remembered event ids */
    uint64_t bytes_spare; /* resident free blocks of people and features, for reuse */
    uint64_t batches;     /* batches completed */
    uint64_t feature_rows, bytes_features;
    uint64_t features_dropped; /* keys for which there was no room */
};
void store_stats(const struct store *store, struct store_stats *ret_stats);

#endif
