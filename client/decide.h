/* SPDX-License-Identifier: Apache-2.0 */
/* libdecide - asks decided for decisions, and never lets the caller wait longer than it said.
 *
 *     struct decide_options options = decide_options_default();
 *     options.urls = "tcp://10.0.0.1:7100,tcp://10.0.0.2:7100";
 *     struct decide_client *client = NULL;
 *     char error[DECIDE_ERROR_BYTES];
 *     if (decide_client_create(&options, &client, error) != DECIDE_OK) ...
 *     struct decide_reply *reply = decide_recommend(client, &(struct decide_request){
 *         .user = "u1", .slot = "home", .n = 10, .timeout_us = 5000});
 *     for (size_t i = 0; i < reply->item_count; i++) show(reply->items[i].id);
 *     decide_reply_free(reply);
 *
 * There is always a reply, never NULL.  When no daemon answers a recommend or similar in time, the
 * reply carries the last good answer to the same question, or else the fallback items, where these
 * are configured: status DECIDE_OK, `fallback` true, level "last_good" or "fallback", and `reason`
 * says what kept the daemon from answering.
 *
 * Threads: a client may be used by any number of threads at once; a blocking call blocks its own
 * thread only.  No helper threads, no signals, no global state.  A fork is noticed: the child opens
 * its own connections.  A reply belongs to whoever got it.
 * Deadlines: each call ends by its timeout plus scheduling, whatever the peer does, connecting
 * included; host names are resolved when the client is created (that may block) and again never.
 * The daemon is told the time that is left when the request is sent.
 * Several addresses: the calls of one user (or anon, or session) go to one of them, chosen by
 * rendezvous hashing and left for the next while it has more than 1.25 times its share in progress;
 * those without one go round.  An address that cannot be reached, or answers `draining`,
 * `overloaded` or `internal`, is left alone for a time that grows from 1 ms to 1 s, and the call
 * goes on to the next with the time it has left; after five failures in a row it counts as ejected.
 * After that time one call probes it.  An address that lets calls run out of time is asked when
 * there is no better.  When all are left alone, each is tried again after 100 ms at most; the call
 * waits for the first, or ends at once when none will be tried within its time: as `overloaded`
 * with the time that is left, when all said so. Repeating: decisions are repeated when a connection
 * is lost or the daemon is overloaded or broken; events too, since they carry ids.  Operations that
 * change the daemon are repeated only when they cannot have been received.  Hedges: what may be
 * repeated and waits for longer than hedge_after_us is asked of one more address, and the first
 * answer counts; a call that probes does so in any case. Repeats of what was sent and hedges share
 * one budget, 10 % of the calls. Memory: blocking calls in progress use one connection per address
 * each, up to connections_max; submitted ones share connections, up to connections_max per address.
 * A connection's buffer is as large as the largest reply it has seen.  docs/client.md says more. */
#ifndef DECIDE_H
#define DECIDE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
#define DECIDE_API __attribute__((visibility("default")))
#else
#define DECIDE_API
#endif

#define DECIDE_ERROR_BYTES       400
#define DECIDE_TIMEOUT_US        50000 /* when neither the call nor the options say */
#define DECIDE_CONNECTIONS       32
#define DECIDE_CONNECTIONS_MAX   1024
#define DECIDE_REQUEST_BYTES_MAX (1 << 20) /* what a daemon takes when it is not configured */
#define DECIDE_REPLY_BYTES_MAX   (16 << 20)
#define DECIDE_LIST_MAX          10000  /* entries of a list in a request; the daemon takes fewer */
#define DECIDE_EVENTS_BYTES_MAX  500000 /* of one call */
#define DECIDE_N_DEFAULT         20     /* items when a call does not say */
#define DECIDE_ID_BYTES_MAX      128
#define DECIDE_FALLBACK_MAX      1000
#define DECIDE_PENDING_MAX       4096 /* submitted calls in progress */
#define DECIDE_HEDGE_P95         UINT64_MAX
#define DECIDE_HEDGE_NEVER       (UINT64_MAX - 1)
#define DECIDE_RETRY_PERCENT     10
#define DECIDE_RETRY_NEVER       UINT32_MAX
#define DECIDE_LAST_GOOD_AGE_US  UINT64_C(600000000)

enum decide_status {
    DECIDE_OK,          /* an answer, perhaps at a lower level or made here: level, fallback */
    DECIDE_REFUSED,     /* the daemon refused: error_code, error_message, error_field */
    DECIDE_TIMEOUT,     /* the time ran out */
    DECIDE_UNREACHABLE, /* no address could be connected, also for want of descriptors in this
                           process (error_message says so), or the connection was lost */
    DECIDE_PROTOCOL,    /* the peer sent what is no reply */
    DECIDE_INVALID,     /* the arguments cannot be sent: error_message says which */
    DECIDE_NOMEM,
    DECIDE_CANCELLED /* by decide_cancel or decide_client_destroy */
};

DECIDE_API const char *decide_status_name(enum decide_status status); /* "timeout" */
DECIDE_API const char *decide_version(void);

struct decide_client;

struct decide_options {
    const char *urls;    /* "tcp://HOST:PORT" or "ipc:///PATH", separated by commas; up to 16 */
    const char *token;   /* sent with every request; NULL: none */
    uint64_t timeout_us; /* of calls that do not say; 0: DECIDE_TIMEOUT_US */
    uint32_t connections_max; /* per address, 1..DECIDE_CONNECTIONS_MAX; calls beyond wait for one;
                                 0: DECIDE_CONNECTIONS */
    const char *const *fallback_items; /* ids, best first; copied */
    size_t fallback_count;
    uint32_t retry_percent;    /* retries and hedges in a hundred calls, 1..100; 0:
                                  DECIDE_RETRY_PERCENT; DECIDE_RETRY_NEVER */
    uint64_t hedge_after_us;   /* 0: a quarter of the call's time; DECIDE_HEDGE_P95: the 95th
                                  percentile of recent answers; DECIDE_HEDGE_NEVER */
    size_t last_good_bytes;    /* for last good answers, all together; 0: none are kept */
    uint64_t last_good_age_us; /* older ones are not given; 0: DECIDE_LAST_GOOD_AGE_US */
};

DECIDE_API struct decide_options decide_options_default(void);
/* DECIDE_INVALID, DECIDE_NOMEM, DECIDE_UNREACHABLE (a host name that does not resolve); the message
 * goes into `error`, which may be NULL.  Connects nothing yet. */
DECIDE_API enum decide_status decide_client_create(const struct decide_options *options,
                                                   struct decide_client **ret_client,
                                                   char error[DECIDE_ERROR_BYTES]);
/* No blocking calls in progress.  Submitted ones are completed here, with DECIDE_CANCELLED. */
DECIDE_API void decide_client_destroy(struct decide_client **client);

struct decide_pair {
    const char *key, *value;
};

struct decide_query_item {
    const char *id;
    bool has_score;
    double score;        /* rank */
    int64_t qty;         /* price; 0 means 1 */
    bool has_price;      /* false: the daemon's catalogue knows it */
    int64_t price_minor; /* price: the list price */
};

/* Only items of these; what is zero does not filter. */
struct decide_filters {
    const char *const *categories;
    size_t category_count;
    const char *const *brands;
    size_t brand_count;
    int64_t min_price_minor, max_price_minor;
    bool in_stock;
};

/* What a call may say; what is zero is not sent.  Strings are UTF-8.  Everything is borrowed for
 * the time of the call. */
struct decide_request {
    const char *user, *anon, *session, *slot, *currency;
    uint32_t n;               /* 0: DECIDE_N_DEFAULT; rank: all */
    const char *const *seeds; /* recommend: items of this visit; similar: the items */
    size_t seed_count;
    const char *const *exclude;
    size_t exclude_count;
    const struct decide_query_item *items; /* rank, price */
    size_t item_count;
    const struct decide_pair *context; /* for price rules: {"channel", "app"} */
    size_t context_count;
    const struct decide_filters *filters; /* recommend, similar */
    bool want_price, explain;             /* `why` of explain is in the reply's bytes */
    uint64_t timeout_us;                  /* 0: that of the options */
};

struct decide_item {
    const char *id;
    double score;
    bool priced;
    int64_t amount_minor;
    const char *currency; /* NULL when unknown */
    const char *rule;     /* the price rule that applied, NULL for the list price */
};

/* Read only; everything in it is freed by decide_reply_free. */
struct decide_reply {
    enum decide_status status;
    bool fallback;             /* made here, since no daemon answered */
    const char *error_code;    /* as in docs/protocol.md; NULL unless a daemon refused */
    const char *error_message; /* why there is no answer of a daemon, in words; NULL: there is */
    const char *error_field;   /* the key that was refused, or NULL */
    const char *decision;      /* send it back on events; NULL when there is none */
    const char *level;         /* "full" ... "static"; with `fallback` "last_good" or "fallback" */
    const char *reason;        /* why the level is not "full" */
    const char *policy;
    const struct decide_item *items; /* best first */
    size_t item_count;
    uint64_t took_us;   /* as the daemon says */
    uint64_t waited_us; /* as the caller saw it */
    const void *bytes;  /* the whole reply, one MessagePack map; NULL when none came */
    size_t bytes_len;
    uint64_t age_us;         /* of a last good answer; its items carry no prices */
    uint32_t retry_after_ms; /* refused: when to try again, as the daemon says; 0: it does not */
};

DECIDE_API struct decide_reply *decide_recommend(struct decide_client *client,
                                                 const struct decide_request *request);
DECIDE_API struct decide_reply *decide_similar(struct decide_client *client,
                                               const struct decide_request *request);
DECIDE_API struct decide_reply *decide_rank(struct decide_client *client,
                                            const struct decide_request *request);
DECIDE_API struct decide_reply *decide_price(struct decide_client *client,
                                             const struct decide_request *request);
/* `events`: a MessagePack array of event maps, of up to DECIDE_EVENTS_BYTES_MAX bytes.  Counts are
 * in the reply's bytes. */
DECIDE_API struct decide_reply *decide_events(struct decide_client *client, const void *events,
                                              size_t events_len, uint64_t timeout_us);
/* Any operation.  `body`: a MessagePack map of what is sent beside op, token and budget_us; NULL
 * for none.  The whole reply is in `bytes`. */
DECIDE_API struct decide_reply *decide_call(struct decide_client *client, const char *op,
                                            const void *body, size_t body_len, uint64_t timeout_us);
DECIDE_API void decide_reply_free(struct decide_reply *reply); /* NULL is fine */

/* Calls for event loops.  decide_submit* sends what can be sent and returns at once; the callback
 * is called later, exactly once, by decide_process (or decide_client_destroy) on the thread that
 * calls that.  It owns the reply, and may submit and cancel.  The request is copied. Watch
 * decide_fd for reading and call decide_process when it is readable: it becomes so in time for
 * deadlines, too.  One fd for the client's life (a child after fork asks again); -1: none is free.
 * The return is the call's ticket.  0: more than DECIDE_PENDING_MAX are in progress, there is no
 * memory, fd or callback, or the client is being destroyed; none is called then.  Any thread may
 * call any of these. */
typedef void decide_callback(struct decide_reply *reply, void *argument);
/* `op`: "recommend", "similar", "rank" or "price". */
DECIDE_API uint64_t decide_submit(struct decide_client *client, const char *op,
                                  const struct decide_request *request, decide_callback *callback,
                                  void *argument);
DECIDE_API uint64_t decide_submit_events(struct decide_client *client, const void *events,
                                         size_t events_len, uint64_t timeout_us,
                                         decide_callback *callback, void *argument);
DECIDE_API uint64_t decide_submit_call(struct decide_client *client, const char *op,
                                       const void *body, size_t body_len, uint64_t timeout_us,
                                       decide_callback *callback, void *argument);
DECIDE_API int decide_fd(struct decide_client *client);
/* Never blocks.  Returns how many callbacks it called. */
DECIDE_API size_t decide_process(struct decide_client *client);
/* The call ends with DECIDE_CANCELLED at the next decide_process.  False: it has ended already. */
DECIDE_API bool decide_cancel(struct decide_client *client, uint64_t ticket);

/* Since the client was created.  Calls are those that ended; each counts under one status, and one
 * that gave a last good answer or the fallback counts under what kept the daemon from answering. */
struct decide_counters {
    uint64_t calls;
    uint64_t ok, refused, timeouts, unreachable, protocol, invalid, nomem;
    uint64_t fallbacks;
    uint64_t retries;  /* further tries within a call */
    uint64_t connects; /* connections begun */
    uint64_t cancelled;
    uint64_t degraded;  /* of ok: at a level below full */
    uint64_t last_good; /* given in place of an answer */
    uint64_t hedges, hedge_wins;
    uint64_t ejections;
    uint64_t late; /* ended more than 1 ms after their deadline */
};
DECIDE_API void decide_client_counters(const struct decide_client *client,
                                       struct decide_counters *ret_counters);

enum decide_endpoint_state {
    DECIDE_ENDPOINT_FINE,
    DECIDE_ENDPOINT_PAUSED, /* it failed, and is left alone for some milliseconds */
    DECIDE_ENDPOINT_EJECTED,
    DECIDE_ENDPOINT_PROBED /* one call tries whether it is back */
};
DECIDE_API const char *decide_endpoint_state_name(enum decide_endpoint_state state);

struct decide_endpoint {
    const char *url; /* the client's */
    enum decide_endpoint_state state;
    uint32_t in_progress, failures_in_a_row;
    uint64_t attempts, failures, ejections;
};
/* Fills up to `capacity` and returns how many there are. */
DECIDE_API size_t decide_client_endpoints(struct decide_client *client,
                                          struct decide_endpoint *endpoints, size_t capacity);

#ifdef __cplusplus
}
#endif

#endif
