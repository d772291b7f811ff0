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
 * There is always a reply, never NULL.  When no daemon answers in time and fallback items are
 * configured, the reply carries them: status DECIDE_OK, `fallback` true, level "local".
 *
 * Threads: a client may be used by any number of threads at once; a call blocks its own thread
 * only. No helper threads, no signals, no global state.  A fork is noticed: the child opens its own
 * connections.
 * Deadlines: each call returns by its timeout plus scheduling, whatever the peer does, connecting
 * included; host names are resolved when the client is created (that may block) and again never.
 * Several addresses: a call goes to the address that is healthy and was chosen least recently; one
 * that cannot be reached or answers `draining` or `overloaded` is left alone for a short time that
 * grows, and the call goes on to the next with the time it has left.  Decisions are repeated
 * freely; events too, since they carry ids. */
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

#define DECIDE_ERROR_BYTES 256
#define DECIDE_TIMEOUT_US  50000 /* when a call does not say */
#define DECIDE_NO_PRICE    INT64_MIN

enum decide_status {
    DECIDE_OK,          /* an answer, perhaps at a lower level or local: see level and fallback */
    DECIDE_REFUSED,     /* the daemon refused: error_code, error_message, error_field */
    DECIDE_TIMEOUT,     /* the time ran out */
    DECIDE_UNREACHABLE, /* no address could be connected */
    DECIDE_PROTOCOL,    /* the peer sent what is no reply */
    DECIDE_INVALID,     /* the arguments cannot be sent */
    DECIDE_NOMEM
};

DECIDE_API const char *decide_status_name(enum decide_status status); /* "timeout" */
DECIDE_API const char *decide_version(void);

struct decide_client;

struct decide_options {
    const char *urls;  /* "tcp://HOST:PORT" or "ipc:///PATH", separated by commas; up to 16 */
    const char *token; /* sent with every request; NULL: none */
    uint64_t timeout_us;
    uint32_t connections_max;          /* open at once, per address; calls beyond wait for one */
    const char *const *fallback_items; /* ids, copied */
    size_t fallback_count;
};

DECIDE_API struct decide_options decide_options_default(void);
/* DECIDE_INVALID, DECIDE_NOMEM, DECIDE_UNREACHABLE (a host name that does not resolve); the message
 * goes into `error`, which may be NULL.  Connects nothing yet. */
DECIDE_API enum decide_status decide_client_create(const struct decide_options *options,
                                                   struct decide_client **ret_client,
                                                   char error[DECIDE_ERROR_BYTES]);
DECIDE_API void decide_client_destroy(struct decide_client **client); /* no calls in progress */

struct decide_pair {
    const char *key, *value;
};

struct decide_query_item {
    const char *id;
    bool has_score;
    double score;        /* rank */
    int64_t qty;         /* price; 0 means 1 */
    int64_t price_minor; /* price: the list price; DECIDE_NO_PRICE or 0 when the daemon knows it */
};

/* What a call may say; what is zero is not sent.  Strings are UTF-8. */
struct decide_request {
    const char *user, *anon, *session, *slot, *currency;
    uint32_t n;
    const char *const *seeds; /* recommend: items of this visit; similar: the items */
    size_t seed_count;
    const char *const *exclude;
    size_t exclude_count;
    const struct decide_query_item *items; /* rank, price */
    size_t item_count;
    const struct decide_pair *context;
    size_t context_count;
    bool want_price, explain;
    uint64_t timeout_us; /* 0: that of the options */
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
    bool fallback;                                        /* made here, since no daemon answered */
    const char *error_code, *error_message, *error_field; /* NULL when there is none */
    const char *decision; /* send it back on events; NULL when there is none */
    const char *level, *reason, *policy;
    const struct decide_item *items;
    size_t item_count;
    uint64_t took_us;   /* as the daemon says */
    uint64_t waited_us; /* as the caller saw it */
    const void *bytes;  /* the whole reply, one MessagePack map; NULL when none came */
    size_t bytes_len;
};

DECIDE_API struct decide_reply *decide_recommend(struct decide_client *client,
                                                 const struct decide_request *request);
DECIDE_API struct decide_reply *decide_similar(struct decide_client *client,
                                               const struct decide_request *request);
DECIDE_API struct decide_reply *decide_rank(struct decide_client *client,
                                            const struct decide_request *request);
DECIDE_API struct decide_reply *decide_price(struct decide_client *client,
                                             const struct decide_request *request);
/* `events`: a MessagePack array of event maps.  Counts are in the reply's bytes. */
DECIDE_API struct decide_reply *decide_events(struct decide_client *client, const void *events,
                                              size_t events_len, uint64_t timeout_us);
/* Any operation.  `body`: a MessagePack map of what is sent beside op, id, token and budget_us;
 * NULL for none.  Local fallback items are given only for recommend and similar. */
DECIDE_API struct decide_reply *decide_call(struct decide_client *client, const char *op,
                                            const void *body, size_t body_len, uint64_t timeout_us);
DECIDE_API void decide_reply_free(struct decide_reply *reply); /* NULL is fine */

struct decide_counters {
    uint64_t calls, ok, refused, timeouts, unreachable, fallbacks, retries, connects;
};
DECIDE_API void decide_counters(const struct decide_client *client,
                                struct decide_counters *ret_counters);

#ifdef __cplusplus
}
#endif

#endif
