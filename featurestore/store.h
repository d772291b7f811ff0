/* SPDX-License-Identifier: Apache-2.0 */
/* store - what the daemon knows: items, people with their recent history, popularity by window.
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
 * Items, categories and brands have dense numbers that are never reused (base/idmap.h); models bind
 * their ids to the same item numbers at load (store_bind_items).  An item that only events or
 * models have named exists without a catalogue record; whether it may be shown is for the policy to
 * say.
 *
 * Time: windows end at the newest time of a shopper's event (never later than its arrival), so that
 * a history imported from years ago still has a "last 14 days".  They move in tiles: 5 minutes for
 * 1h, an hour for 1d, a UTC day for 7d, 14d and 30d; the newest tile is the one that is under way
 * (featurestore/windows.h).  A late event counts in every window that holds its time.
 *
 * Limits (struct store_limits) are hard: what would exceed one is refused per event.
 * Memory: 555 bytes beyond the id for a person with 50 history entries, the share of the id table
 * included (tests/bench/bench_store, 500,000 people: 555 by store_stats and by mallinfo2, 565 in
 * the resident set); 304 bytes for each item and counted class with an event within 30 days.
 * Threads: create, start, stop, destroy on a control thread; store_submit and the readers on any;
 * readers inside rcu_read_begin/end. */
#ifndef FEATURESTORE_STORE_H
#define FEATURESTORE_STORE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/hash.h"
#include "base/idmap.h"
#include "base/money.h"
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

/* ---- reading: inside rcu_read_begin/end ------------------------------------------------------ */

#define STORE_STOCK_UNKNOWN INT32_MIN

#define STORE_PRICES_MAX 255

/* From then on the item had that price, until the next change. */
struct price_change {
    int64_t price_minor;
    uint32_t since_s; /* seconds since the epoch; never before the change that precedes it */
    currency_code currency;
};

/* A catalogue record.  Immutable; a price or stock change replaces it. */
struct item {
    int64_t price_minor; /* EVENT_ABSENT when unknown */
    int64_t cost_minor;  /* EVENT_ABSENT when unknown */
    currency_code currency;
    int32_t stock;     /* STORE_STOCK_UNKNOWN when unknown */
    uint32_t category; /* number, IDMAP_NONE when unknown */
    uint32_t brand;
    uint32_t added_s; /* when it came into the catalogue, seconds since the epoch; 0: not known */
    bool deleted;
    struct text title;                 /* .ptr NULL when unknown */
    struct text attributes;            /* raw MessagePack map; .ptr NULL when none */
    const struct price_change *prices; /* price_count of them, oldest first */
    uint32_t price_count;
};

uint32_t store_items_max(const struct store *store);                 /* of the limits */
uint32_t store_prices_max(const struct store *store);                /* of the limits */
uint32_t store_item_count(const struct store *store);                /* numbers given */
uint32_t store_item_find(const struct store *store, struct text id); /* or IDMAP_NONE */
struct text store_item_id(const struct store *store, uint32_t item);
void store_item_fetch_id(const struct store *store, uint32_t item);      /* asks for its memory */
const struct item *store_item(const struct store *store, uint32_t item); /* NULL: no record */

/* Changes when a record's title, category, brand or attributes do, or an item comes or goes. */
uint64_t store_content_version(const struct store *store);

uint32_t store_category_find(const struct store *store, struct text name); /* or IDMAP_NONE */
struct text store_category_name(const struct store *store, uint32_t category);
uint32_t store_category_count(const struct store *store);
uint32_t store_brand_find(const struct store *store, struct text name);
struct text store_brand_name(const struct store *store, uint32_t brand);

/* ---- store_columns.c: what records say, without a way to them; of what changes meanwhile either
 * is told. */
enum store_mark {
    STORE_RECORDED,
    STORE_DELETED,
    STORE_SOLD_OUT, /* deleted, or the stock is known and below 1 */
    STORE_MARK_COUNT
};
bool store_item_is(const struct store *store, uint32_t item, enum store_mark mark);
uint32_t store_sold_out_count(const struct store *store);

/* What the record of an item must say; each of the conditions but the last two only of one that
 * there is, so that those want needs_record. */
struct store_wanted {
    const uint32_t *category, *brand; /* one of these numbers; NULL: any, or none */
    uint32_t category_count, brand_count;
    bool by_price; /* known, and within these limits */
    int64_t price_min_minor, price_max_minor;
    bool by_stock, stock_may_be_unknown;
    int32_t stock_min, stock_max;
    bool needs_record;
    bool in_stock; /* not sold out; false: not deleted */
};
/* The items that are as wanted, as bits by number: ret_bits has a word for each 64 of the first
 * `item_count` items. */
void store_items_wanted(const struct store *store, const struct store_wanted *wanted,
                        uint32_t item_count, uint64_t *ret_bits);
/* About how many in a thousand they are, by a sample. */
uint32_t store_wanted_permille(const struct store *store, const struct store_wanted *wanted,
                               uint32_t item_count);

#define STORE_PRICE_WINDOW_S (30u * 86400)

/* The lowest price of the item, in its present currency, that was in force at some time within the
 * 30 days before
 * - the newest time that is known (the watermark, or the last change), the present price included;
 * - the present price came into force: what has to stand beside a reduction (directive 98/6/EC).
 * EVENT_ABSENT when there was none, or when more changes fell into the time than are kept. */
int64_t store_price_lowest(const struct store *store, uint32_t item);
int64_t store_price_lowest_before(const struct store *store, uint32_t item);

/* A person's history: one entry per distinct item, newest first.  Parallel arrays. */
struct history {
    uint32_t count;         /* 0 for an unknown person */
    uint32_t events;        /* events ever counted for this person */
    uint32_t purchases;     /* purchase events ever counted */
    const uint32_t *item;   /* item numbers */
    const uint32_t *last_s; /* seconds since the epoch of the newest event with the item */
    const uint8_t *classes; /* bit 1 << enum event_class for each class seen; the upper half of the
                               byte is the store's own: mask it */
    const uint8_t *days;    /* distinct days (UTC) with a purchase of it, at most 255 */
};

/* What is known of the user; of the anonymous id when that is not known or not given.  Histories
 * are read through links (identify): a user's own together with those of the anonymous ids that no
 * other user was ever linked to, and the same for whoever asks with such an id alone.  An id that
 * has links is nobody else's: asked for with another user it has no history here.  False when
 * nothing is known; *ret_history is empty then. */
bool store_history(const struct store *store, struct text user, struct text anon,
                   struct history *ret_history);

uint32_t store_user_count(const struct store *store); /* numbers given */
/* The same of the user of that number, their attributes (see store_user_attributes) and consent,
 * for whoever looks at all of them; false when nothing is known. */
bool store_user_at(const struct store *store, uint32_t user, struct history *ret_history,
                   struct text *ret_attributes, uint8_t *ret_consent);

enum store_window {
    STORE_WINDOW_1H,
    STORE_WINDOW_1D,
    STORE_WINDOW_7D,
    STORE_WINDOW_14D,
    STORE_WINDOW_30D,
    STORE_WINDOW_COUNT
};

/* What may be done with the person's data: bits by enum event_consent.  What the user, the
 * anonymous id, or, asked for with such an id alone, the user behind it denied is denied; what
 * nobody spoke of is as the limits say.  `personalize`: decisions and features; `train`: exports
 * for training; `process`: their events are taken at all, and without it nothing is
 * allowed. */
uint8_t store_consent(const struct store *store, struct text user, struct text anon);

/* What they said themselves: the user, or the anonymous id when no user is given.  False when they
 * never spoke; all is 0 then. */
struct store_consent_said {
    uint8_t allowed, denied;      /* bits by enum event_consent */
    int64_t at_ms[CONSENT_COUNT]; /* by the event's own time */
};
bool store_consent_said(const struct store *store, struct text user, struct text anon,
                        struct store_consent_said *ret_said);

/* The user whom the anonymous id stands for; .ptr NULL when it has no link, or more than one user.
 */
struct text store_linked_user(const struct store *store, struct text anon);

/* A link and where it is from. */
struct store_link {
    struct text user, anon;
    int64_t at_ms;
    struct text event; /* the id of the event that made it */
};

/* The link number `index` of a user, or of an anonymous id when `user` is absent, in the order in
 * which they came; false behind the last. */
bool store_link_at(const struct store *store, struct text user, struct text anon, uint32_t index,
                   struct store_link *ret_link);
/* More than one user is or was linked to the anonymous id. */
bool store_is_shared(const struct store *store, struct text anon);

/* What user_upsert said of the user last: a MessagePack map of texts to texts, numbers and
 * booleans, checked; .ptr NULL for nothing. */
struct text store_user_attributes(const struct store *store, struct text user);

/* How often events of the class named the item within the window.  Exact as of the newest event
 * with this item; windows of other items move on when the top lists are refreshed. */
uint32_t store_item_events(const struct store *store, uint32_t item, enum event_class event_class,
                           enum store_window window);

/* How popular the item is in the window: views + 3 carts + 10 purchases.  Exact as above. */
float store_item_score(const struct store *store, uint32_t item, enum store_window window);
/* Ask for the memory of what store_item_score reads, one step after the other. */
void store_item_fetch(const struct store *store, uint32_t item);
void store_item_fetch_score(const struct store *store, uint32_t item);
void store_item_fetch_record(const struct store *store, uint32_t item); /* of store_item */

#define STORE_TOP_MAX 500 /* entries of a top list */

struct top_entry {
    uint32_t item;
    float score; /* store_item_score */
    float share; /* log(1 + score) / log(1 + best score of the list), 0..1 */
};

struct top_list {
    uint32_t count;
    const struct top_entry *entry; /* best first; ties by item number */
};

/* Most popular in the window, over all (category IDMAP_NONE) or within a category; deleted items
 * are not in it.  Refreshed by the store thread: with up to 2,048 items that have counts, before
 * the batch is completed that leaves the queue empty; with more, at most once a second, and a
 * second after the queue ran empty at the latest.  Takes about 0.5 us an item: 1 ms for 2,000, 55
 * ms for 100,000. */
void store_top(const struct store *store, enum store_window window, uint32_t category,
               struct top_list *ret_list);

/* The newest event time seen, ms since the epoch; 0 before the first event. */
int64_t store_watermark_ms(const struct store *store);

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

/* ---- the store's own features ---------------------------------------------------------------- */

/* Features of a person or an item by name, for the `features` operation and for models that name
 * them: item.price item.cost item.stock item.margin item.price_min_30d item.price_before_30d
 * item.{views,carts,purchases}_{1h,1d,7d,14d,30d}, user.events user.purchases user.items
 * user.age_last_s.  Money is in minor units, margin is (price - cost) / price, age is counted from
 * the watermark.  A value that is unknown is NaN; the model puts its declared default there.
 * featurestore/feature_reader.h reads these and those that are defined alike. */
enum feature_subject { FEATURE_ITEM, FEATURE_USER, FEATURE_DEFINED };

struct feature {
    const char *name;
    enum feature_subject subject;
    uint32_t id; /* for the readers */
    uint8_t key; /* FEATURE_DEFINED: enum feature_key */
    bool is_ids; /* FEATURE_DEFINED: a list of ids, which has no number */
};

const struct feature *feature_builtin(struct text name);  /* NULL when there is none */
const struct feature *feature_builtin_at(uint32_t index); /* NULL behind the last */
uint32_t feature_builtin_count(void);
double feature_of_item(const struct store *store, uint32_t id, uint32_t item);
double feature_of_user(const struct store *store, uint32_t id, const struct history *history);

/* ---- features that are defined: featurestore/definitions.h ----------------------------------- */

struct definitions;
struct feature_set;

/* Before store_start: what is applied from then on is computed by these, which are taken over.
 * ERR_NOMEM; ERR_LIMIT. */
MUST_CHECK enum err_code store_define_features(struct store *store,
                                               struct definitions **definitions, struct err *err);
/* Others come into force in steps, so that they can do so together with what is bound to them: by
 * one thread, which waits in each step for the store thread.
 *
 *   store_declare_features   the names are those that models and policies are bound to from now on
 *                            (feature_bind), in the place of those in force
 *   store_stage_features     what they compute stands beside what is in force; what did not change
 *                            keeps its state
 *   store_fill_features      until it is done: what is new gets its state from the log, a piece at
 *                            a time between batches
 *   store_adopt_features     they are in force; what was is freed when nobody reads it any more
 *
 * From the end of filling on, what is staged learns as what is in force does: it may be read (the
 * set that staging returned) by whoever goes before adopting.  store_cancel_features ends it before
 * that; nothing has changed then. */

/* Borrowed until they are staged or cancelled.  ERR_LIMIT, ERR_NOMEM; cancel then. */
MUST_CHECK enum err_code
store_declare_features(struct store *store, const struct definitions *definitions, struct err *err);
/* Those that were declared; takes them over on success.  *ret_new_count: how many begin anew.
 * ERR_BUSY: the store is being recovered; ERR_NOMEM, ERR_LIMIT. */
MUST_CHECK enum err_code store_stage_features(struct store *store, struct definitions **definitions,
                                              const struct feature_set **ret_set,
                                              uint32_t *ret_new_count, struct err *err);
/* ERR_CORRUPT, ERR_IO: the log cannot be read; cancel then. */
MUST_CHECK enum err_code store_fill_features(struct store *store, bool *ret_is_done,
                                             struct err *err);
void store_adopt_features(struct store *store);
void store_cancel_features(struct store *store);
/* SHA-256 of the file of those in force, "none" without one.  Any thread. */
char *store_features_sha256(const struct store *store, char ret_hex[SHA256_HEX_BYTES]);

#endif
