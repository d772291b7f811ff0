/* SPDX-License-Identifier: Apache-2.0 */
/* One call: try addresses until one answers, the time is used up, or trying on is not allowed. */
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/clock.h"
#include "client/decide.h"
#include "client/handle.h"
#include "client/message.h"
#include "client/pool.h"
#include "client/reply.h"

#define TIMEOUT_US_MAX (UINT64_C(24) * 3600 * 1000000)

/* What a call may be done again with, and whether the reply has items. */
static const struct op {
    const char *name;
    bool repeatable, has_items, has_fallback;
} ops[] = {
    {"recommend", true, true, true},    {"similar", true, true, true},
    {"rank", true, true, false},        {"price", true, true, false},
    {"offers", true, false, false},     {"decide", true, false, false},
    {"events", true, false, false},     {"features", true, false, false},
    {"ping", true, false, false},       {"status", true, false, false},
    {"model_list", true, false, false},
};

static const struct op *find_op(const char *name)
{
    static const struct op other = {.name = ""};
    for (size_t i = 0; i < sizeof ops / sizeof ops[0]; i++)
        if (strcmp(name, ops[i].name) == 0)
            return &ops[i];
    return &other;
}

struct call {
    struct decide_client *client;
    const struct op *op;
    struct client_message message;
    uint64_t started_ns, deadline_ns;
    struct decide_reply *reply; /* the newest, refusals included */
};

static void count(_Atomic uint64_t *counter)
{
    /* Relaxed: counters order nothing. */
    atomic_fetch_add_explicit(counter, 1, memory_order_relaxed);
}

static void replace_reply(struct call *call, struct decide_reply *reply)
{
    decide_reply_free(call->reply);
    call->reply = reply;
}

static void fail(struct call *call, enum decide_status status, const char *message)
{
    replace_reply(call, client_reply_failure(status, message));
}

/* Connects when need be, sends, receives and decodes.  The error says what went wrong, without the
 * address. */
static enum decide_status exchange(struct call *call, struct client_lease *lease, bool *ret_sent,
                                   char error[DECIDE_ERROR_BYTES])
{
    struct client_conn *conn = lease->conn;
    enum decide_status status = DECIDE_OK;
    if (conn->fd >= 0)
        client_conn_refresh(conn);
    if (conn->fd < 0) {
        count(&call->client->counters.connects);
        status = client_conn_open(conn, &lease->site->address, error);
    }
    /* An address that does not even greet gets half of the time when there are others. */
    uint64_t ready_by_ns = call->deadline_ns;
    uint64_t now_ns = client_now_ns();
    if (lease->others && now_ns < call->deadline_ns)
        ready_by_ns = now_ns + (call->deadline_ns - now_ns) / 2;
    if (status == DECIDE_OK)
        status = client_conn_make_ready(conn, ready_by_ns, error);
    if (status == DECIDE_OK)
        status = client_conn_send(conn, &call->message, call->deadline_ns, ret_sent, error);
    const uint8_t *body = NULL;
    size_t body_bytes = 0;
    if (status == DECIDE_OK)
        status = client_conn_receive(conn, call->deadline_ns, &body, &body_bytes, error);
    if (status != DECIDE_OK)
        return status;
    struct decide_reply *reply = NULL;
    status = client_reply_decode(body, body_bytes, call->op->has_items, &reply);
    if (status == DECIDE_OK) {
        replace_reply(call, reply);
    } else if (status == DECIDE_PROTOCOL) {
        snprintf(error, DECIDE_ERROR_BYTES, "the reply of %zu bytes is malformed", body_bytes);
        client_conn_close(conn);
    }
    return status;
}

static bool refused_for_now(const struct decide_reply *reply)
{
    return reply->status == DECIDE_REFUSED && (strcmp(reply->error_code, "draining") == 0 ||
                                               strcmp(reply->error_code, "overloaded") == 0);
}

/* One try at one address.  True: another one makes sense. */
static bool try_once(struct call *call, struct client_lease *lease)
{
    char error[DECIDE_ERROR_BYTES] = "the time ran out";
    bool sent = false;
    enum decide_status status = exchange(call, lease, &sent, error);
    enum client_outcome outcome = CLIENT_OUTCOME_FINE;
    bool again = false;
    if (status == DECIDE_OK) {
        again = refused_for_now(call->reply);
        outcome = again ? CLIENT_OUTCOME_BAD : CLIENT_OUTCOME_FINE;
    } else if (status == DECIDE_TIMEOUT) {
        again = !sent;
        outcome = CLIENT_OUTCOME_SLOW;
    } else if (status == DECIDE_NOMEM) {
        outcome = CLIENT_OUTCOME_NONE;
    } else {
        again = !sent || call->op->repeatable;
        outcome = CLIENT_OUTCOME_BAD;
    }
    if (status != DECIDE_OK) {
        char message[DECIDE_ERROR_BYTES + CLIENT_URL_BYTES + 2];
        snprintf(message, sizeof message, "%s: %s", lease->site->address.url, error);
        fail(call, status, message);
    }
    client_pool_return(&call->client->pool, lease, outcome);
    return again;
}

static void run(struct call *call)
{
    for (uint32_t tries = 0;; tries++) {
        struct client_lease lease;
        enum decide_status status =
            client_pool_borrow(&call->client->pool, call->deadline_ns, &lease);
        if (status != DECIDE_OK) {
            if (call->reply == NULL)
                fail(call, status,
                     status == DECIDE_TIMEOUT
                         ? "the time ran out before a connection was free"
                         : "every address failed a moment ago and is not tried again yet");
            return;
        }
        if (tries > 0)
            count(&call->client->counters.retries);
        if (!try_once(call, &lease))
            return;
    }
}

static bool wants_fallback(const struct call *call)
{
    static const char *const codes[] = {"overloaded", "draining", "deadline_exceeded", "internal"};
    const struct decide_reply *reply = call->reply;
    if (!call->op->has_fallback || call->client->fallback_count == 0)
        return false;
    if (reply->status != DECIDE_REFUSED)
        return reply->status == DECIDE_TIMEOUT || reply->status == DECIDE_UNREACHABLE ||
               reply->status == DECIDE_PROTOCOL;
    for (size_t i = 0; i < sizeof codes / sizeof codes[0]; i++)
        if (strcmp(reply->error_code, codes[i]) == 0)
            return true;
    return false;
}

static void count_status(struct client_counters *counters, enum decide_status status)
{
    _Atomic uint64_t *const by_status[] = {
        [DECIDE_OK] = &counters->ok,
        [DECIDE_REFUSED] = &counters->refused,
        [DECIDE_TIMEOUT] = &counters->timeouts,
        [DECIDE_UNREACHABLE] = &counters->unreachable,
        [DECIDE_PROTOCOL] = &counters->protocol,
        [DECIDE_INVALID] = &counters->invalid,
        [DECIDE_NOMEM] = &counters->nomem,
    };
    count(&counters->calls);
    count(by_status[status]);
}

static void begin(struct call *call, struct decide_client *client, const char *op,
                  uint64_t timeout_us)
{
    uint64_t us = timeout_us != 0 ? timeout_us : client->timeout_us;
    *call = (struct call){.client = client, .op = find_op(op), .started_ns = client_now_ns()};
    call->deadline_ns =
        call->started_ns + (us < TIMEOUT_US_MAX ? us : TIMEOUT_US_MAX) * CLIENT_NS_PER_US;
    client_message_begin(&call->message, op, client->token);
}

/* `status`: what building the request came to; `error` goes with it. */
static struct decide_reply *finish(struct call *call, enum decide_status status,
                                   char error[DECIDE_ERROR_BYTES])
{
    struct client_counters *counters = &call->client->counters;
    if (status == DECIDE_OK)
        status = client_message_end(&call->message, error);
    if (status == DECIDE_OK)
        run(call);
    else
        fail(call, status, error);
    count_status(counters, call->reply->status);
    if (wants_fallback(call)) {
        struct decide_reply *fallback =
            client_reply_fallback(call->client->fallback, call->client->fallback_count,
                                  client_message_map(&call->message), call->reply);
        if (fallback != NULL) {
            count(&counters->fallbacks);
            replace_reply(call, fallback);
        }
    }
    client_message_deinit(&call->message);
    client_reply_set_waited(call->reply, (client_now_ns() - call->started_ns) / CLIENT_NS_PER_US);
    return call->reply;
}

static struct decide_reply *ask(struct decide_client *client, const char *op,
                                const struct decide_request *request)
{
    static const struct decide_request empty;
    char error[DECIDE_ERROR_BYTES];
    struct call call;
    if (request == NULL)
        request = &empty;
    begin(&call, client, op, request->timeout_us);
    return finish(&call, client_message_add_request(&call.message, op, request, error), error);
}

struct decide_reply *decide_recommend(struct decide_client *client,
                                      const struct decide_request *request)
{
    return ask(client, "recommend", request);
}

struct decide_reply *decide_similar(struct decide_client *client,
                                    const struct decide_request *request)
{
    return ask(client, "similar", request);
}

struct decide_reply *decide_rank(struct decide_client *client, const struct decide_request *request)
{
    return ask(client, "rank", request);
}

struct decide_reply *decide_price(struct decide_client *client,
                                  const struct decide_request *request)
{
    return ask(client, "price", request);
}

struct decide_reply *decide_events(struct decide_client *client, const void *events,
                                   size_t events_len, uint64_t timeout_us)
{
    char error[DECIDE_ERROR_BYTES] = "events: expected one MessagePack array";
    enum decide_status status = DECIDE_INVALID;
    struct call call;
    uint32_t event_count = 0;
    begin(&call, client, "events", timeout_us);
    if (events != NULL && client_reader_check(events, events_len)) {
        struct client_reader reader = client_reader_of(events, events_len);
        if (client_read_array(&reader, &event_count)) {
            client_message_add_raw(&call.message, "events", events, events_len);
            status = DECIDE_OK;
        }
    }
    return finish(&call, status, error);
}

struct decide_reply *decide_call(struct decide_client *client, const char *op, const void *body,
                                 size_t body_len, uint64_t timeout_us)
{
    char error[DECIDE_ERROR_BYTES] = "body: expected one MessagePack map";
    enum decide_status status = DECIDE_OK;
    struct call call;
    begin(&call, client, op, timeout_us);
    if (body != NULL) {
        uint32_t pair_count = 0;
        struct client_reader map = client_reader_of(body, body_len);
        struct client_reader inside = map;
        if (client_reader_check(body, body_len) && client_read_map(&inside, &pair_count))
            client_message_add_map(&call.message, map);
        else
            status = DECIDE_INVALID;
    }
    return finish(&call, status, error);
}

void decide_client_counters(const struct decide_client *client,
                            struct decide_counters *ret_counters)
{
    const struct client_counters *from = &client->counters;
#define GET(name) atomic_load_explicit(&from->name, memory_order_relaxed)
    *ret_counters = (struct decide_counters){.calls = GET(calls),
                                             .ok = GET(ok),
                                             .refused = GET(refused),
                                             .timeouts = GET(timeouts),
                                             .unreachable = GET(unreachable),
                                             .protocol = GET(protocol),
                                             .invalid = GET(invalid),
                                             .nomem = GET(nomem),
                                             .fallbacks = GET(fallbacks),
                                             .retries = GET(retries),
                                             .connects = GET(connects)};
#undef GET
}
