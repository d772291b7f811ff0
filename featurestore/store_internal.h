/* SPDX-License-Identifier: Apache-2.0 */
/* store_internal - the layout that the writer and the readers share, and the writer's parts.
 *
 *   store.c            creation, limits, the tables
 *   store_queue.c      submit, the store thread
 *   store_asks.c       binding, the hash, a checkpoint that is asked for
 *   store_commit.c, store_committer.c
 *                      what was accepted goes to the log; who waits for that is told
 *   store_recover.c    what the log holds becomes state again
 *   store_replay.c     records of the log, read and decoded ahead
 *   store_fetch.c      the memory that events will touch
 *   store_checkpoint.c, store_restore.c, store_rows_*.c
 *                      the whole state to a file and back
 *   store_hash.c       the hash of the state
 *   store_windows.c    windows of items
 *   store_apply.c      a batch: decode, refuse duplicates, apply, report
 *   store_catalogue.c  item_upsert, item_delete
 *   store_profile.c    user_upsert
 *   store_identity.c   identify
 *   store_consent.c    what people allow
 *   store_forget.c, store_erase*.c
 *                      forget: a person leaves state, log and files (store_erase.h)
 *   store_views.c      histories with those of linked people
 *   store_features.c   definitions of features in force, and filled from the log
 *   store_refresh.c    windows moved on, top lists made anew
 *   store_read.c, store_profile_read.c, store_price_read.c, features.c
 *                      the readers (hot path)
 *   person.c profile.c windows.c dedup.c retire.c   what they are made of
 *
 *  1. The writer is the store thread, or whoever calls while no store thread runs.
 *  2. A page is published by the release store of its address and never moves.  So is a record, a
 *     history or a block of windows; the one it replaces goes to `retire`.
 *     But for histories until the store is recovered: readers are given none before that, so that
 *     the writer may edit them in place (store_histories_are_read).
 *  3. An event changes nothing before all memory that it needs is there: what fails leaves at most
 *     ids without a record and windows without a count, which readers cannot tell from unknown.
 *  4. An item is in `active`, once, exactly while it has a block of windows. */
#ifndef FEATURESTORE_STORE_INTERNAL_H
#define FEATURESTORE_STORE_INTERNAL_H

#include <pthread.h>
#include <stdatomic.h>

#include "base/slabs.h"
#include "featurestore/dedup.h"
#include "featurestore/feature_tables.h"
#include "featurestore/features.h"
#include "featurestore/person.h"
#include "featurestore/profile.h"
#include "featurestore/retire.h"
#include "featurestore/store.h"
#include "featurestore/store_features.h"
#include "featurestore/store_items.h"
#include "featurestore/store_people.h"
#include "featurestore/windows.h"

enum { ITEM_PAGE_BITS = 10, ITEM_PAGE_SLOTS = 1 << ITEM_PAGE_BITS };
enum { PERSON_PAGE_BITS = 12, PERSON_PAGE_SLOTS = 1 << PERSON_PAGE_BITS };

struct item_slot {
    _Atomic(const struct item *) record;
    _Atomic(struct windows *) windows[EVENT_COUNTED_CLASSES]; /* NULL: nothing in 30 days */
};

/* What each record says once more, where many can be compared at a time: written before the record
 * is published, so that it is never behind one that a reader has. */
struct item_page {
    struct item_slot slot[ITEM_PAGE_SLOTS];
    _Atomic(uint32_t) category[ITEM_PAGE_SLOTS], brand[ITEM_PAGE_SLOTS]; /* number + 1; 0: none */
    _Atomic(int64_t) price_minor[ITEM_PAGE_SLOTS];
    _Atomic(int32_t) stock[ITEM_PAGE_SLOTS];
    _Atomic(uint64_t) mark[STORE_MARK_COUNT][ITEM_PAGE_SLOTS / 64]; /* bits */
};

struct person_page {
    _Atomic(const struct person *) slot[PERSON_PAGE_SLOTS];
};

struct profile_page {
    _Atomic(const struct profile_block *) slot[PERSON_PAGE_SLOTS];
};

struct people {
    struct idmap *ids;
    uint32_t page_count_max;
    _Atomic(struct person_page *) *page;          /* owned */
    _Atomic(struct profile_page *) *profile_page; /* owned */
    /* The history with those of linked people, where there are any; owned. */
    _Atomic(struct person_page *) *view_page;
};

/* What an event is about to change, while the views that follow from it are made. */
struct store_pending {
    const struct people *people; /* of the new history; NULL: none */
    uint32_t number;
    const struct person *person;
    /* identify: new profiles, NULL where nothing is left of one */
    bool has_profiles;
    uint32_t anon;
    const struct profile_block *anon_profile;
    uint32_t user_count;
    uint32_t user[2];
    const struct profile_block *user_profile[2];
};

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

/* All top lists of one refresh.  list[w * (1 + category_count)] is the one over all items, those of
 * the categories follow it. */
struct store_top_span {
    uint32_t first; /* into `entry` */
    uint32_t count;
};

struct store_top_set {
    uint32_t category_count;
    const struct top_entry *entry; /* behind the lists, in the same allocation */
    uint64_t bytes;
    struct store_top_span list[];
};

/* Scratch of the refresh; grows with the number of items that have counts. */
struct store_top_item {
    uint32_t item;
    uint32_t category;
    float score[STORE_WINDOW_COUNT];
};

struct store_refresh {
    bool is_due;    /* something changed since the last one */
    uint64_t at_ns; /* when the last one ended */
    uint32_t item_capacity;
    struct store_top_item *item; /* owned, item_capacity places */
    uint32_t *order;             /* owned, item_capacity places: by category */
    uint32_t category_capacity;
    uint32_t *category_end; /* owned, category_capacity places: into `order` */
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

/* A batch in the queue, or waiting for its commit; or somebody who waits for the store thread. */
struct store_job {
    struct store_job *next;
    struct store_ask *ask; /* on the stack of who waits for it; NULL for a batch */
    /* a batch */
    uint32_t event_count;
    struct event_rules rules;
    enum store_ack ack;
    store_done_fn done;
    void *ctx;
    uint32_t accepted, duplicate, rejected; /* once it was applied */
    uint32_t described;
    struct store_rejection *rejection; /* owned; `described` of them */
    size_t len;
    uint8_t bytes[];
};

/* Something that is done on the store thread for somebody who waits. */
struct store_ask {
    void (*run)(struct store *store, void *ctx);
    void *ctx;
    bool is_done; /* under the mutex */
};

struct store_jobs {
    struct store_job *first, *last;
};

/* The thread that writes the log: store_committer.c. */
struct store_committer {
    pthread_t thread;
    pthread_cond_t wake;
    bool runs; /* like the state under the mutex */
    enum { COMMIT_NONE, COMMIT_ASKED, COMMIT_ENDED } state;
    struct store_jobs jobs; /* that wait for it; owned */
    enum err_code code;     /* how it went, when it ended */
    struct err err;
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

static inline const struct person *store_person(const struct people *people, uint32_t number)
{
    struct person_page *page =
        atomic_load_explicit(&people->page[number >> PERSON_PAGE_BITS], memory_order_acquire);
    return page == NULL ? NULL
                        : atomic_load_explicit(&page->slot[number & (PERSON_PAGE_SLOTS - 1)],
                                               memory_order_acquire);
}

/* NULL when it is the history itself. */
static inline const struct person *store_view(const struct people *people, uint32_t number)
{
    struct person_page *page =
        atomic_load_explicit(&people->view_page[number >> PERSON_PAGE_BITS], memory_order_acquire);
    return page == NULL ? NULL
                        : atomic_load_explicit(&page->slot[number & (PERSON_PAGE_SLOTS - 1)],
                                               memory_order_acquire);
}

/* NULL when nothing is known. */
static inline const struct profile_block *store_profile_block(const struct people *people,
                                                              uint32_t number)
{
    struct profile_page *page = atomic_load_explicit(
        &people->profile_page[number >> PERSON_PAGE_BITS], memory_order_acquire);
    return page == NULL ? NULL
                        : atomic_load_explicit(&page->slot[number & (PERSON_PAGE_SLOTS - 1)],
                                               memory_order_acquire);
}

static inline struct profile store_profile(const struct people *people, uint32_t number)
{
    return profile_of(store_profile_block(people, number));
}

static inline struct windows *store_windows(const struct item_slot *slot, uint32_t event_class)
{
    return atomic_load_explicit(&slot->windows[event_class], memory_order_acquire);
}

/* ---- store.c: slots with a page behind them, made when it is not there.  NULL without memory. */
struct item_slot *store_item_slot_make(struct store *store, uint32_t item);
_Atomic(const struct person *) *store_person_slot_make(struct store *store, struct people *people,
                                                       uint32_t number);

/* ---- store_queue.c */
void store_jobs_push(struct store_jobs *jobs, struct store_job *job);
struct store_job *store_jobs_pop(struct store_jobs *jobs); /* NULL when there is none */
void store_job_free(struct store_job *job);
/* The time of conditions, which no test replaces. */
static inline uint64_t store_wait_clock_ns(void)
{
    return clock_now_ns(clock_system());
}
/* Does at once what somebody waits for, when that comes next in the queue. */
void store_serve_asks(struct store *store);

/* On the store thread, or here while none runs: then the caller is the writer. */
void store_ask(struct store *store, void (*run)(struct store *, void *), void *ctx);

/* ---- store_apply.c: bytes as in store_submit; fills store->result and gathers for the log what
 * was accepted. */
void store_apply_batch(struct store *store, const uint8_t *bytes, size_t len,
                       const struct event_rules *rules);
/* Decodes an event that the log holds.  ERR_CORRUPT. */
MUST_CHECK enum err_code store_decode_record(const struct event_record *record, struct arena *arena,
                                             struct event *ret_event, struct err *err);
/* One such event.  ERR_LIMIT, ERR_NOMEM. */
MUST_CHECK enum err_code store_apply_record(struct store *store, const struct event_record *record,
                                            const struct event *event, struct err *err);
/* In the place of what is in the slot. */
void store_person_publish(struct store *store, _Atomic(const struct person *) *slot,
                          const struct person *person);
/* Only its id: that of an event whose effects a checkpoint holds. */
void store_remember_record(struct store *store, const struct event_record *record,
                           const struct event *event);
/* The same for the features alone that wait to be filled. */
MUST_CHECK enum err_code store_fill_record(struct store *store, const struct event_record *record,
                                           const struct event *event, struct err *err);
/* ERR_LIMIT names the option. */
MUST_CHECK enum err_code store_add_item_id(struct store *store, struct text id,
                                           uint32_t *ret_number, struct err *err);
MUST_CHECK enum err_code store_add_person_id(struct people *people, struct text id,
                                             uint32_t *ret_number, struct err *err);

/* ---- store_windows.c */
/* Makes sure that the item has windows for that class; false without memory. */
bool store_make_windows(struct store *store, uint32_t item, enum event_class event_class);

/* ---- store_commit.c, on the writer */
/* The batch was applied, with store->result: completes it now or when it is committed; owns it. */
void store_batch_applied(struct store *store, struct store_job *job);
/* The log takes nothing: the batch is not applied.  Owns it. */
void store_batch_refused(struct store *store, struct store_job *job);
bool store_takes_events(const struct store *store);
/* So much is gathered that the commit should not wait for the queue to run empty. */
bool store_commit_is_due(const struct store *store);
bool store_has_uncommitted(const struct store *store);
void store_commit(struct store *store);
/* While a commit is under way: so much more may be applied before it has ended. */
bool store_commit_may_lag(const struct store *store);
/* Tells those who waited for it. */
void store_commit_ended(struct store *store, enum err_code code, const struct err *err,
                        struct store_jobs *jobs);

/* ---- store_committer.c, on the writer, but for start and stop */
MUST_CHECK enum err_code store_committer_start(struct store *store, struct err *err);
void store_committer_stop(struct store *store);
/* Begins a commit of what was gathered.  False when that has to be done by store_commit. */
bool store_commit_begin(struct store *store);
/* Under the mutex, which it leaves in between: takes the outcome. */
void store_commit_end(struct store *store);

/* ---- store_fetch.c, on the writer: asks for the memory of the next STORE_FETCH_MAX events at
 * most. Worth it for more than one. */
enum { STORE_FETCH_MAX = 64 };
void store_fetch(const struct store *store, const struct event *event, uint32_t count);

/* ---- store_recover.c, on the writer: applies what the log holds. */
void store_recover(struct store *store);
/* After a checkpoint. */
void store_allow_prune(struct store *store);

/* ---- store_hash.c, on the writer */
uint64_t store_hash_now(const struct store *store);

/* ---- store_catalogue.c */
MUST_CHECK enum err_code store_catalogue_upsert(struct store *store, const struct event *event,
                                                int64_t arrival_ms, struct err *err);
MUST_CHECK enum err_code store_catalogue_delete(struct store *store, const struct event *event,
                                                struct err *err);

/* Texts are copied. */
MUST_CHECK enum err_code store_catalogue_put(struct store *store, uint32_t item,
                                             const struct item *record, struct err *err);

/* ---- store_profile.c */
MUST_CHECK enum err_code store_profiles_init(struct store *store, struct people *people,
                                             struct err *err);
void store_profiles_deinit(struct people *people, struct slabs *slabs);
/* The slot, with a page behind it; NULL without memory. */
_Atomic(const struct profile_block *) *
store_profile_slot_make(struct store *store, struct people *people, uint32_t number);
/* In the place of what is in the slot, which is retired; NULL for nothing. */
void store_profile_publish(struct store *store, _Atomic(const struct profile_block *) *slot,
                           const struct profile_block *profile);
MUST_CHECK enum err_code store_user_upsert(struct store *store, const struct event *event,
                                           struct err *err);

/* ---- store_identity.c */
MUST_CHECK enum err_code store_identify(struct store *store, const struct event *event,
                                        int64_t arrival_ms, struct err *err);

/* ---- store_consent.c */
/* ERR_DENIED when the person denied `process`, and the event does not allow it anew. */
MUST_CHECK enum err_code store_consent_check(const struct store *store, const struct event *event,
                                             struct err *err);
/* An event that denies `process` itself becomes a consent event, and `bytes` its own: nothing else
 * of it is applied or kept. */
void store_consent_strip(struct store *store, struct event *event, struct text *bytes);
/* What the event allows and denies, into store->consents; nothing is left on ERR_NOMEM. */
MUST_CHECK enum err_code store_consent_prepare(struct store *store, const struct event *event,
                                               int64_t arrival_ms, struct err *err);
void store_consent_publish(struct store *store);
void store_consent_discard(struct store *store);

/* ---- store_views.c */
/* Makes the view of one user, as it will be, into store->views.  ERR_NOMEM leaves those that were
 * made: store_views_discard. */
MUST_CHECK enum err_code store_view_make(struct store *store, uint32_t user,
                                         const struct store_pending *pending, struct err *err);
/* The user whose view follows from that history; IDMAP_NONE: there is none. */
uint32_t store_view_user(const struct store *store, const struct people *people, uint32_t number);
/* All views that follow from a new history; none are left behind on ERR_NOMEM. */
MUST_CHECK enum err_code store_views_follow(struct store *store,
                                            const struct store_pending *pending, struct err *err);
void store_views_publish(struct store *store);
void store_views_discard(struct store *store);
/* All views anew, after profiles and histories were read from a checkpoint. */
MUST_CHECK enum err_code store_views_make_all(struct store *store, struct err *err);

/* ---- store_refresh.c: moves all windows to the watermark, gives back those that are empty and
 * publishes new top lists.  Without memory the old lists stay and it is due again. */
void store_refresh_all(struct store *store);
/* A small store is refreshed after every batch that leaves the queue empty. */
bool store_refresh_is_cheap(const struct store *store);

#endif
