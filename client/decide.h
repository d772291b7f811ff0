/* SPDX-License-Identifier: Apache-2.0 */
/* libdecide - asks decided for decisions, and never makes the caller wait longer than its timeout.
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
 * There is always a reply, never NULL.  If no daemon answers a recommend or similar in time, the
 * reply carries the last good answer to the same question, or else the fallback items, if these
 * are configured: status DECIDE_OK, `fallback` true, level "last_good" or "fallback", and `reason`
 * says why no daemon answered.
 *
 * Threads: any number of threads may use one client at once; a blocking call blocks only its own
 * thread.  There are no helper threads, no signals and no global state.  Forks are detected: the
 * child opens its own connections.
 *
 * Ownership: a reply belongs to the caller that received it; requests are borrowed for the call.
 *
 * Deadlines: each call ends by its timeout plus scheduling delay, whatever the peer does, and
 * connecting counts.  Host names are resolved once, when the client is created, which may block.
 * Each attempt tells the daemon the time left when it is sent.
 *
 * Routing: the calls of one user (or anon, or session) go to one address, chosen by rendezvous
 * hashing; while it has more than 1.25 times its share in progress they go to the next.  Calls
 * without any of these ids go round robin.
 *
 * Health: an address that cannot be reached, or answers `draining`, `overloaded` or `internal`, is
 * paused for a time that grows from 1 ms to 1 s, and the call tries the next one with the time it
 * has left.  After five consecutive failures the address counts as ejected.  After the pause one
 * call probes it.  An address on which calls time out is used only if there is no better one.  If
 * all are paused, each is tried again after 100 ms at most: the call waits for the first, or ends
 * at once if none will be tried in time (as `overloaded`, with the time to wait, if all said so).
 *
 * Retries: decisions are repeated if a connection is lost or the daemon is overloaded or broken;
 * so are events, since they carry ids.  Operations that change the daemon are repeated only if they
 * cannot have been received.
 *
 * Hedges: a repeatable call that has waited longer than hedge_after_us is also sent to one more
 * address, and the first answer wins; a call that probes is hedged in any case.  Hedges, and
 * retries of requests that were sent, share one budget: 10 % of the calls.
 *
 * Memory: a blocking call in progress uses one connection per address, up to connections_max;
 * submitted calls share connections, up to connections_max per address.  A connection's buffer
 * grows to the largest reply it has seen.  docs/client.md says more. */
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
#define DECIDE_TIMEOUT_US        50000 /* if neither the call nor the options set one */
#define DECIDE_CONNECTIONS       32
#define DECIDE_CONNECTIONS_MAX   1024
#define DECIDE_REQUEST_BYTES_MAX (1 << 20) /* the daemon's default limit */
#define DECIDE_REPLY_BYTES_MAX   (16 << 20)
#define DECIDE_LIST_MAX          10000 /* entries of a list in a request; the daemon's limits are lower */
#define DECIDE_EVENTS_BYTES_MAX  500000 /* per call */
#define DECIDE_N_DEFAULT         20     /* items, if a call does not say */
#define DECIDE_ID_BYTES_MAX      128
#define DECIDE_FALLBACK_MAX      1000
#define DECIDE_PENDING_MAX       4096 /* submitted calls in progress */
#define DECIDE_HEDGE_P95         UINT64_MAX
#define DECIDE_HEDGE_NEVER       (UINT64_MAX - 1)
#define DECIDE_RETRY_PERCENT     10
#define DECIDE_RETRY_NEVER       UINT32_MAX
#define DECIDE_LAST_GOOD_AGE_US  UINT64_C(600000000)

enum decide_status {
    DECIDE_OK,          /* an answer, perhaps degraded or made by the client: level, fallback */
    DECIDE_REFUSED,     /* the daemon refused: error_code, error_message, error_field */
    DECIDE_TIMEOUT,     /* the time ran out */
    DECIDE_UNREACHABLE, /* no address could be connected (or this process is out of descriptors:
                           see error_message), or the connection was lost */
    DECIDE_PROTOCOL,    /* the peer sent something that is not a reply */
    DECIDE_INVALID,     /* an argument cannot be sent: error_message says which */
    DECIDE_NOMEM,
    DECIDE_CANCELLED /* by decide_cancel or decide_client_destroy */
};

DECIDE_API const char *decide_status_name(enum decide_status status); /* "timeout" */
DECIDE_API const char *decide_version(void);

struct decide_client;

struct decide_options {
    const char *urls;    /* "tcp://HOST:PORT" or "ipc:///PATH", separated by commas; up to 16 */
    const char *token;   /* sent with every request; NULL: none */
    uint64_t timeout_us; /* for calls that do not set their own; 0: DECIDE_TIMEOUT_US */
    uint32_t connections_max; /* per address, 1..DECIDE_CONNECTIONS_MAX; calls beyond wait for one;
                                 0: DECIDE_CONNECTIONS */
    const char *const *fallback_items; /* ids, best first; copied */
    size_t fallback_count;
    uint32_t retry_percent;    /* retries and hedges per hundred calls, 1..100; 0:
                                  DECIDE_RETRY_PERCENT; DECIDE_RETRY_NEVER */
    uint64_t hedge_after_us;   /* 0: a quarter of the call's time; DECIDE_HEDGE_P95: the 95th
                                  percentile of recent answers; DECIDE_HEDGE_NEVER */
    size_t last_good_bytes;    /* memory for last good answers; 0: none are kept */
    uint64_t last_good_age_us; /* older ones are not used; 0: DECIDE_LAST_GOOD_AGE_US */
};

DECIDE_API struct decide_options decide_options_default(void);
/* May block on host name resolution; does not connect yet.  Everything in `options` is copied.
 * DECIDE_INVALID, DECIDE_NOMEM, DECIDE_UNREACHABLE (a host name does not resolve): the message goes
 * into `error`, which may be NULL. */
DECIDE_API enum decide_status decide_client_create(const struct decide_options *options,
                                                   struct decide_client **ret_client,
                                                   char error[DECIDE_ERROR_BYTES]);
/* No blocking call may be in progress.  Pending submitted calls get their callbacks here, with
 * DECIDE_CANCELLED.  NULL is fine; sets NULL. */
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

/* Only items that match all of these; a zero field does not filter. */
struct decide_filters {
    const char *const *categories;
    size_t category_count;
    const char *const *brands;
    size_t brand_count;
    int64_t min_price_minor, max_price_minor;
    bool in_stock;
};

/* A request; zero fields are not sent.  Strings are UTF-8.  Everything is borrowed for the duration
 * of the call; decide_submit copies it. */
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
    bool want_price, explain;             /* with explain, `why` is in the reply's bytes */
    uint64_t timeout_us;                  /* 0: the options' timeout */
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
    bool fallback;             /* made by the client, since no daemon answered */
    const char *error_code;    /* as in docs/protocol.md; NULL unless a daemon refused */
    const char *error_message; /* in words, why no daemon answered; NULL if one did */
    const char *error_field;   /* the key that was refused, or NULL */
    const char *decision;      /* send it back on events; NULL if there is none */
    const char *level;         /* "full" ... "static"; with `fallback` "last_good" or "fallback" */
    const char *reason;        /* why the level is not "full" */
    const char *policy;
    const struct decide_item *items; /* best first */
    size_t item_count;
    uint64_t took_us;   /* measured by the daemon */
    uint64_t waited_us; /* measured by the client */
    const void *bytes;  /* the whole reply, one MessagePack map; NULL if none came */
    size_t bytes_len;
    uint64_t age_us;         /* of a last good answer; its items carry no prices */
    uint32_t retry_after_ms; /* refused: when the daemon suggests a retry; 0: it does not say */
};

DECIDE_API struct decide_reply *decide_recommend(struct decide_client *client,
                                                 const struct decide_request *request);
DECIDE_API struct decide_reply *decide_similar(struct decide_client *client,
                                               const struct decide_request *request);
DECIDE_API struct decide_reply *decide_rank(struct decide_client *client,
                                            const struct decide_request *request);
DECIDE_API struct decide_reply *decide_price(struct decide_client *client,
                                             const struct decide_request *request);
/* `events`: a MessagePack array of event maps, up to DECIDE_EVENTS_BYTES_MAX bytes.  The counts
 * (accepted, duplicate, rejected) are in the reply's bytes. */
DECIDE_API struct decide_reply *decide_events(struct decide_client *client, const void *events,
                                              size_t events_len, uint64_t timeout_us);
/* Any operation.  `body`: a MessagePack map with all keys except op, token and budget_us; NULL for
 * none.  The whole reply is in `bytes`. */
DECIDE_API struct decide_reply *decide_call(struct decide_client *client, const char *op,
                                            const void *body, size_t body_len, uint64_t timeout_us);
DECIDE_API void decide_reply_free(struct decide_reply *reply); /* NULL is fine */

/* Calls for event loops.  Any thread may call any of these.
 *
 * decide_submit* copies the request, sends as much as the socket takes and returns at once, with
 * the call's ticket.  The callback is called later, exactly once, on the thread that calls
 * decide_process (or decide_client_destroy); it owns the reply, and may submit and cancel.  A
 * ticket of 0 means that there will be no callback: more than DECIDE_PENDING_MAX calls are in
 * progress, there is no memory, descriptor or callback, or the client is being destroyed.
 *
 * Watch decide_fd for reading and call decide_process when it is readable; it also becomes readable
 * for deadlines.  It is the same descriptor for the client's life (a child process must ask again
 * after fork); -1: none is available. */
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
/* The call ends with DECIDE_CANCELLED at the next decide_process.  False: it has already ended. */
DECIDE_API bool decide_cancel(struct decide_client *client, uint64_t ticket);

/* Since the client was created.  Only completed calls are counted, each under one status; a call
 * that returned a last good answer or the fallback counts under the failure that caused it. */
struct decide_counters {
    uint64_t calls;
    uint64_t ok, refused, timeouts, unreachable, protocol, invalid, nomem;
    uint64_t fallbacks;
    uint64_t retries;  /* attempts after the first within a call */
    uint64_t connects; /* connections started */
    uint64_t cancelled;
    uint64_t degraded;  /* ok, but at a level below full */
    uint64_t last_good; /* last good answers used as fallback */
    uint64_t hedges, hedge_wins;
    uint64_t ejections;
    uint64_t late; /* ended more than 1 ms after their deadline */
};
DECIDE_API void decide_client_counters(const struct decide_client *client,
                                       struct decide_counters *ret_counters);

enum decide_endpoint_state {
    DECIDE_ENDPOINT_FINE,
    DECIDE_ENDPOINT_PAUSED, /* it failed, and is not used for some milliseconds */
    DECIDE_ENDPOINT_EJECTED,
    DECIDE_ENDPOINT_PROBED /* one call is testing whether it is back */
};
DECIDE_API const char *decide_endpoint_state_name(enum decide_endpoint_state state);

struct decide_endpoint {
    const char *url; /* borrowed from the client */
    enum decide_endpoint_state state;
    uint32_t in_progress, failures_in_a_row;
    uint64_t attempts, failures, ejections;
};
/* Fills in up to `capacity` endpoints and returns how many there are in total. */
DECIDE_API size_t decide_client_endpoints(struct decide_client *client,
                                          struct decide_endpoint *endpoints, size_t capacity);

#ifdef __cplusplus
}
#endif

#endif
