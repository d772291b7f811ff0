/* SPDX-License-Identifier: Apache-2.0 */
/* The end of a call: count it, and either store its answer or find a fallback. */
#include <string.h>

#include "client/call.h"
#include "client/clock.h"
#include "client/handle.h"
#include "client/reply.h"

#define LATE_NS (1 * CLIENT_NS_PER_MS)

static bool wants_fallback(const struct client_call *call)
{
    static const char *const codes[] = {"overloaded", "draining", "deadline_exceeded", "internal"};
    const struct decide_reply *reply = call->reply;
    if (!call->op->has_fallback)
        return false;
    if (reply->status != DECIDE_REFUSED)
        return reply->status == DECIDE_TIMEOUT || reply->status == DECIDE_UNREACHABLE ||
               reply->status == DECIDE_PROTOCOL;
    for (size_t i = 0; i < sizeof codes / sizeof codes[0]; i++)
        if (strcmp(reply->error_code, codes[i]) == 0)
            return true;
    return false;
}

static void count_end(const struct client_call *call, uint64_t now_ns)
{
    struct client_counters *counters = &call->client->counters;
    const struct decide_reply *reply = call->reply;
    _Atomic uint64_t *const by_status[] = {
        [DECIDE_OK] = &counters->ok,
        [DECIDE_REFUSED] = &counters->refused,
        [DECIDE_TIMEOUT] = &counters->timeouts,
        [DECIDE_UNREACHABLE] = &counters->unreachable,
        [DECIDE_PROTOCOL] = &counters->protocol,
        [DECIDE_INVALID] = &counters->invalid,
        [DECIDE_NOMEM] = &counters->nomem,
        [DECIDE_CANCELLED] = &counters->cancelled,
    };
    client_count(&counters->calls);
    client_count(by_status[reply->status]);
    if (reply->status == DECIDE_OK && reply->level != NULL && strcmp(reply->level, "full") != 0)
        client_count(&counters->degraded);
    if (now_ns > call->deadline_ns + LATE_NS)
        client_count(&counters->late);
}

/* A last good answer, or the configured fallback list. */
static void stand_in(struct client_call *call, uint64_t now_ns)
{
    struct decide_client *client = call->client;
    struct client_reader request = client_message_map(&call->message);
    struct decide_reply *reply =
        client_last_good_get(&client->last_good, call->answer_key, request, call->reply, now_ns);
    if (reply != NULL) {
        client_count(&client->counters.last_good);
    } else if (client->fallback_count > 0) {
        struct client_stand_in list = {
            .level = "fallback", .ids = client->fallback, .count = client->fallback_count};
        reply = client_reply_stand_in(&list, request, call->reply);
        if (reply != NULL)
            client_count(&client->counters.fallbacks);
    }
    if (reply == NULL)
        return;
    decide_reply_free(call->reply);
    call->reply = reply;
}

void client_call_settle(struct client_call *call, uint64_t now_ns)
{
    count_end(call, now_ns);
    if (call->reply->status == DECIDE_OK)
        client_last_good_put(&call->client->last_good, call->answer_key, call->reply, now_ns);
    else if (wants_fallback(call))
        stand_in(call, now_ns);
}
