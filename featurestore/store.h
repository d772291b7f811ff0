/* SPDX-License-Identifier: Apache-2.0 */
/* store - what the daemon knows: items, people with their recent history, popularity by window.
 *
 *   store.h           life, recovery, durability, events in, sums
 *   store_items.h     what is known of items, and how popular they are
 *   store_people.h    what is known of people
 *   features.h        the store's own features
 *   store_features.h  features that are defined come into force
 *
 * It is read from memory, which is a view of the event log (featurestore/event_log.h) where there
 * is one.  One thread, the store thread, writes; it takes batches of events from a bounded queue,
 * applies them, commits what was accepted to the log, many batches together, and completes each
 * batch when it has what the caller asked for.  Readers are wait-free: records are immutable blocks
 * that the writer replaces by pointer, so everything that a reader gets stays valid and constant
 * until it calls rcu_read_end.
 *
 * A commit that fails leaves its events applied and gathered: the callers that wait for the disk
 * are told so, nothing further is accepted, and the commit is tried again every STORE_RETRY_MS
 * until it succeeds (a full disk) or for ever fails (see store_durability).  So memory is never
 * behind the log, and ahead of it by one group of batches at most.
 *
 * Limits (struct store_limits) are hard: what would exceed one is refused per event.
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
    uint32_t dedup_window_s;    /* how long, by arrival; 0: however long */
    int64_t event_age_ms_max;   /* older events are refused; 0: none is */
    uint32_t prices_max;        /* changes of the price kept per item, 0..255; newest kept */
    uint32_t feature_rows_max;  /* queries, slots, and pairs of each kind that have features */
    uint32_t link_anons_max;    /* anonymous ids linked to one user, 0..100 */
    uint32_t link_users_max;    /* users linked to one anonymous id, 0..8 */
    uint32_t link_window_s;     /* older links make room for new users; 0: none does */
    uint8_t consent_denied;     /* bits by enum event_consent: what is denied until it is allowed */
};

MUST_CHECK enum err_code store_create(const struct store_limits *limits, const struct clock *clock,
                                      struct store **ret_store, struct err *err);

/* When a checkpoint of the whole state is written, so that a start need not replay all of the log,
 * and the log can be pruned: after so many events, or after so long when there was one. */
struct store_checkpoint_options {
    const char *dir; /* made when it is not there; NULL: no checkpoints, and no pruning */
    uint64_t events;
    uint64_t interval_ms;
};

/* Before store_start: everything that is accepted goes to this log, and the store thread first
 * applies the newest checkpoint and what the log holds after it. */
MUST_CHECK enum err_code store_open_log(struct store *store,
                                        const struct event_log_options *options,
                                        const struct store_checkpoint_options *checkpoints,
                                        struct err *err);
MUST_CHECK enum err_code store_start(struct store *store, struct err *err); /* the store thread */
void store_stop(struct store *store);     /* applies and commits what is queued, joins the thread */
void store_destroy(struct store **store); /* stopped, no readers left */

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
    uint64_t refused; /* events that no longer fit, since a limit was lowered */
};

/* `err` (may be NULL): why it failed; a record is named.  The store is of no use then.  Until it is
 * recovered events are queued, and binding and reading work on what is there so far; but histories
 * are empty to readers, so that a replay need not copy each for every event of it. */
void store_recovery(struct store *store, struct store_recovery *ret_recovery, struct err *err);
bool store_is_recovered(const struct store *store);
/* Of a store that is about to be stopped: a recovery that has not ended ends as failed, and what
 * was read so far is not written anywhere, so that the next start finds log and checkpoints as this
 * one did.  One that has ended stays as it is. */
void store_give_up_recovery(struct store *store);

/* Before store_start: another process writes the log, and the store keeps up with it until
 * store_end_follow, when that process has closed the log.  What follows is as ever. */
void store_follow(struct store *store);
void store_end_follow(struct store *store); /* any thread; more do nothing */
/* On a store that was stopped: closes the log, so that another process may write it. */
void store_close_log(struct store *store);

/* Begins one now, unless one is under way; store_checkpoint_stats tells when it is there.  Waits
 * for the store thread.  ERR_UNSUPPORTED without a directory for them, and what makes a commit
 * fail. */
MUST_CHECK enum err_code store_checkpoint(struct store *store, struct err *err);

struct store_checkpoint_stats {
    uint64_t written, failures;        /* since the start; failures since the last success */
    uint64_t sequence, bytes, took_ms; /* of the newest one that this process wrote */
};
void store_checkpoint_stats(const struct store *store, struct store_checkpoint_stats *ret_stats);

enum store_durability {
    STORE_IN_MEMORY, /* there is no log */
    STORE_ON_DISK,   /* what was accepted is on disk, or about to be */
    STORE_DISK_FULL, /* nothing is accepted until there is room */
    STORE_LOG_FAILED /* nothing is accepted until the log is opened again */
};
const char *store_durability_name(enum store_durability durability); /* "disk_full" */
/* `err` (may be NULL): why, for the last two. */
enum store_durability store_durability(struct store *store, struct err *err);
/* The log, for its statistics and for reading; NULL without one. */
struct event_log *store_log(const struct store *store);

/* A hash of all that events made, the same however the store came to it: by events or by replay,
 * whatever numbers the ids have, as of *ret_sequence (0 without a log).  Made on the store thread,
 * which it occupies for about a microsecond a person; waits for it. */
uint64_t store_state_hash(struct store *store, uint64_t *ret_sequence);

/* ---- writing ------------------------------------------------------------------------------- */

#define STORE_REJECTED_MAX 100 /* rejections described per batch; more are only counted */

struct store_rejection {
    uint32_t index;
    enum err_code code;
    char message[160];
};

struct store_batch_result {
    enum err_code status; /* ERR_DISK_FULL, ERR_IO: it is not on disk as asked; send it again */
    const char *error;    /* the words for it */
    uint32_t accepted, duplicate, rejected;
    uint32_t described; /* entries in `rejection` */
    struct store_rejection rejection[STORE_REJECTED_MAX];
};

/* Called once on the store thread, when the batch has what its `ack` asks for. */
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
    int64_t sent_at_ms; /* by the caller's clock, which is set right by it; 0: not known */
    store_done_fn done; /* may be NULL */
    void *ctx;
};

#define STORE_RETRY_MS 500 /* when a commit that failed is tried again */

/* Queues a batch.  ERR_BUSY when the queue is full or being closed, ERR_DISK_FULL and ERR_IO while
 * the log takes nothing (nothing of the batch is taken, `done` is not called); ERR_LIMIT over
 * EVENT_BATCH_MAX events, EVENT_BATCH_BYTES_MAX bytes or the whole queue; ERR_BAD_INPUT when it is
 * no array, or "sent_at: ..." when that is more than EVENT_SKEW_MS_MAX away from our clock. */
MUST_CHECK enum err_code store_submit(struct store *store, const struct store_batch *batch,
                                      struct err *err);

/* Gives each id an item number (new ones are added), on the store thread; waits for it, or does it
 * at once while no store thread runs.  For the loader.  ret_numbers has `count` places.  ERR_LIMIT
 * when items_max would be exceeded: nothing is added then. */
MUST_CHECK enum err_code store_bind_items(struct store *store, const struct text *ids,
                                          uint32_t count, uint32_t *ret_numbers, struct err *err);

/* ---- sums: any thread ------------------------------------------------------------------------ */

struct store_stats {
    uint64_t items, catalogue_items, users, anons, links, events_accepted, events_duplicate,
        events_rejected, fields_dropped, queue_events, history_entries;
    int64_t dedup_oldest_ms; /* when the oldest event came whose id is remembered; 0: none */
    uint64_t bytes_items, bytes_people, bytes_counts; /* allocated, indexes and malloc's own share
                                                         included; without remembered event ids */
    uint64_t bytes_spare; /* resident, given back by people and features, and waiting for others */
    uint64_t batches;     /* batches completed */
    uint64_t feature_rows, bytes_features;
    uint64_t features_dropped; /* keys that had no room */
};
void store_stats(const struct store *store, struct store_stats *ret_stats);

#endif
