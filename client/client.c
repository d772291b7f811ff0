/* SPDX-License-Identifier: Apache-2.0 */
/* The public calls of decide.h: each builds its message, then waits for the reply or submits it. */
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#include "client/call.h"
#include "client/clock.h"
#include "client/decide.h"
#include "client/handle.h"
#include "client/loop.h"
#include "client/reader.h"

static struct decide_reply *wait_for_end(struct client_call *call)
{
    struct client_pool *pool = &call->client->pool;
    struct client_loop *loop = NULL;
    enum decide_status status = client_pool_borrow(pool, call->deadline_ns, &loop);
    if (status != DECIDE_OK) {
        client_call_end(call, status,
                        status == DECIDE_TIMEOUT ? "the time ran out before a connection was free"
                                                 : "out of memory");
        return call->reply;
    }
    client_loop_start(loop, call, client_now_ns());
    while (!call->done)
        client_loop_wait(loop, call);
    client_pool_return(pool, loop);
    return call->reply;
}

/* DECIDE_INVALID: there is no operation. */
static enum decide_status begin(struct client_call *call, struct decide_client *client,
                                const char *op, uint64_t timeout_us, char error[DECIDE_ERROR_BYTES])
{
    client_notice_fork(client);
    client_call_begin(call, client, op == NULL ? "" : op, timeout_us);
    if (op != NULL && op[0] != '\0')
        return DECIDE_OK;
    snprintf(error, DECIDE_ERROR_BYTES, "op: expected the name of an operation");
    return DECIDE_INVALID;
}

/* True: the message is complete.  Otherwise the call has ended, with a reply that says why. */
static bool build_request(struct client_call *call, struct decide_client *client, const char *op,
                          const struct decide_request *request)
{
    static const struct decide_request empty;
    char error[DECIDE_ERROR_BYTES];
    if (request == NULL)
        request = &empty;
    enum decide_status status = begin(call, client, op, request->timeout_us, error);
    if (status == DECIDE_OK)
        status = client_message_add_request(&call->message, op, request, error);
    return client_call_ready(call, status, error);
}

/* Checks that the caller's bytes, at most bytes_max, are one MessagePack value. */
static enum decide_status check_value(const struct client_call *call, const char *name,
                                      const void *bytes, size_t len, size_t bytes_max,
                                      char error[DECIDE_ERROR_BYTES])
{
    if (len > bytes_max) {
        snprintf(error, DECIDE_ERROR_BYTES, "%s: %zu bytes, at most %zu can be sent", name, len,
                 bytes_max);
        return DECIDE_INVALID;
    }
    switch (client_reader_check_until(bytes, len, call->deadline_ns)) {
    case CLIENT_CHECKED_FINE: return DECIDE_OK;
    case CLIENT_CHECKED_LATE:
        snprintf(error, DECIDE_ERROR_BYTES, "%s: the time ran out while it was checked", name);
        return DECIDE_TIMEOUT;
    default: return DECIDE_INVALID;
    }
}

static bool build_events(struct client_call *call, struct decide_client *client, const void *events,
                         size_t events_len, uint64_t timeout_us)
{
    char error[DECIDE_ERROR_BYTES];
    struct client_reader reader = client_reader_of(events, events_len);
    uint32_t event_count = 0;
    (void)begin(call, client, "events", timeout_us, error);
    enum decide_status status = DECIDE_INVALID;
    snprintf(error, sizeof error, "events: expected one MessagePack array");
    if (events != NULL)
        status = check_value(call, "events", events, events_len, DECIDE_EVENTS_BYTES_MAX, error);
    if (status == DECIDE_OK && !client_read_array(&reader, &event_count))
        status = DECIDE_INVALID;
    if (status == DECIDE_OK)
        client_message_add_raw(&call->message, "events", events, events_len);
    return client_call_ready(call, status, error);
}

static bool build_call(struct client_call *call, struct decide_client *client, const char *op,
                       const void *body, size_t body_len, uint64_t timeout_us)
{
    char error[DECIDE_ERROR_BYTES] = "";
    enum decide_status status = begin(call, client, op, timeout_us, error);
    if (status == DECIDE_OK && body != NULL) {
        uint32_t pair_count = 0;
        struct client_reader map = client_reader_of(body, body_len);
        struct client_reader inside = map;
        snprintf(error, sizeof error, "body: expected one MessagePack map");
        status = check_value(call, "body", body, body_len, DECIDE_REQUEST_BYTES_MAX, error);
        if (status == DECIDE_OK && !client_read_map(&inside, &pair_count))
            status = DECIDE_INVALID;
        if (status == DECIDE_OK)
            client_message_add_map(&call->message, map);
    }
    return client_call_ready(call, status, error);
}

static struct decide_reply *ask(struct decide_client *client, const char *op,
                                const struct decide_request *request)
{
    struct client_call call;
    return build_request(&call, client, op, request) ? wait_for_end(&call) : call.reply;
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
    struct client_call call;
    return build_events(&call, client, events, events_len, timeout_us) ? wait_for_end(&call)
                                                                       : call.reply;
}

struct decide_reply *decide_call(struct decide_client *client, const char *op, const void *body,
                                 size_t body_len, uint64_t timeout_us)
{
    struct client_call call;
    return build_call(&call, client, op, body, body_len, timeout_us) ? wait_for_end(&call)
                                                                     : call.reply;
}

/* NULL: out of memory, or there is no callback to receive the reply. */
static struct client_call *new_call(decide_callback *callback)
{
    return callback == NULL ? NULL : malloc(sizeof(struct client_call));
}

/* `call`: on the heap. */
static uint64_t submit(struct decide_client *client, struct client_call *call, bool is_ready,
                       decide_callback *callback, void *argument)
{
    call->callback = callback;
    call->argument = argument;
    uint64_t ticket = client_async_submit(client, call, is_ready);
    if (ticket == 0) {
        client_call_discard(call);
        free(call);
    }
    return ticket;
}

uint64_t decide_submit(struct decide_client *client, const char *op,
                       const struct decide_request *request, decide_callback *callback,
                       void *argument)
{
    struct client_call *call = new_call(callback);
    return call == NULL
               ? 0
               : submit(client, call, build_request(call, client, op, request), callback, argument);
}

uint64_t decide_submit_events(struct decide_client *client, const void *events, size_t events_len,
                              uint64_t timeout_us, decide_callback *callback, void *argument)
{
    struct client_call *call = new_call(callback);
    return call == NULL
               ? 0
               : submit(client, call, build_events(call, client, events, events_len, timeout_us),
                        callback, argument);
}

uint64_t decide_submit_call(struct decide_client *client, const char *op, const void *body,
                            size_t body_len, uint64_t timeout_us, decide_callback *callback,
                            void *argument)
{
    struct client_call *call = new_call(callback);
    return call == NULL
               ? 0
               : submit(client, call, build_call(call, client, op, body, body_len, timeout_us),
                        callback, argument);
}

void decide_client_counters(const struct decide_client *client,
                            struct decide_counters *ret_counters)
{
    const struct client_counters *from = &client->counters;
#define GET(name) .name = atomic_load_explicit(&from->name, memory_order_relaxed)
    *ret_counters = (struct decide_counters){
        GET(calls),      GET(ok),        GET(refused),  GET(timeouts),  GET(unreachable),
        GET(protocol),   GET(invalid),   GET(nomem),    GET(fallbacks), GET(retries),
        GET(connects),   GET(cancelled), GET(degraded), GET(last_good), GET(hedges),
        GET(hedge_wins), GET(late)};
#undef GET
    ret_counters->ejections =
        atomic_load_explicit(&client->fleet.ejection_count, memory_order_relaxed);
}

const char *decide_endpoint_state_name(enum decide_endpoint_state state)
{
    static const char *const names[] = {
        [DECIDE_ENDPOINT_FINE] = "fine",
        [DECIDE_ENDPOINT_PAUSED] = "paused",
        [DECIDE_ENDPOINT_EJECTED] = "ejected",
        [DECIDE_ENDPOINT_PROBED] = "probed",
    };
    size_t index = (size_t)state;
    return index < sizeof names / sizeof names[0] ? names[index] : "unknown";
}

size_t decide_client_endpoints(struct decide_client *client, struct decide_endpoint *endpoints,
                               size_t capacity)
{
    return client_fleet_endpoints(&client->fleet, endpoints, capacity, client_now_ns());
}
