/* SPDX-License-Identifier: Apache-2.0 */
#include "client/call.h"

#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "client/clock.h"
#include "client/handle.h"
#include "client/keys.h"
#include "client/loop.h"
#include "client/reply.h"

#define TIMEOUT_US_MAX (UINT64_C(24) * 3600 * 1000000)
#define RECHECK_NS     (1 * CLIENT_NS_PER_MS) /* another call may find an address healthy again */

static uint64_t min_ns(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static void replace_reply(struct client_call *call, struct decide_reply *reply)
{
    decide_reply_free(call->reply);
    call->reply = reply;
}

static const char *url_of(const struct client_call *call, const struct client_attempt *attempt)
{
    return call->client->fleet.sites[attempt->site].address.url;
}

/* Replaces the reply by a failure at this address. */
static void fail_at(struct client_call *call, const struct client_attempt *attempt,
                    enum decide_status status, const char *error)
{
    char message[DECIDE_ERROR_BYTES + CLIENT_URL_BYTES + 2];
    snprintf(message, sizeof message, "%s: %s", url_of(call, attempt), error);
    replace_reply(call, client_reply_failure(status, message));
}

void client_call_begin(struct client_call *call, struct decide_client *client, const char *op,
                       uint64_t timeout_us)
{
    uint64_t us = timeout_us != 0 ? timeout_us : client->timeout_us;
    *call = (struct client_call){
        .client = client, .op = client_op_find(op), .started_ns = client_now_ns()};
    call->deadline_ns =
        call->started_ns + (us < TIMEOUT_US_MAX ? us : TIMEOUT_US_MAX) * CLIENT_NS_PER_US;
    call->hedge_at_ns = call->give_up_at_ns = UINT64_MAX;
    call->wake_ns = call->deadline_ns;
    client_message_begin(&call->message, op, client->token);
}

bool client_call_ready(struct client_call *call, enum decide_status status,
                       char error[DECIDE_ERROR_BYTES])
{
    if (status == DECIDE_OK)
        status = client_message_end(&call->message, error);
    if (status == DECIDE_OK && client_now_ns() >= call->deadline_ns) {
        snprintf(error, DECIDE_ERROR_BYTES, "the time ran out while the request was made");
        status = DECIDE_TIMEOUT;
    }
    if (status != DECIDE_OK) {
        client_call_end(call, status, error);
        return false;
    }
    struct client_keys keys =
        client_keys_read(client_message_map(&call->message), call->op->has_fallback);
    call->route_key = keys.route;
    call->answer_key = keys.answer;
    client_fleet_earn(&call->client->fleet);
    return true;
}

/* Takes the attempt off its connection and reports its outcome to the fleet. */
static void drop(struct client_call *call, struct client_attempt *attempt,
                 enum client_outcome outcome, uint64_t took_or_pause_ns, uint64_t now_ns)
{
    if (attempt->conn != NULL && attempt->sent && outcome == CLIENT_OUTCOME_SLOW)
        client_conn_was_slow(attempt->conn);
    if (attempt->conn != NULL)
        client_conn_give_up(attempt->conn, attempt, now_ns);
    call->live_count--;
    attempt->call = NULL;
    client_fleet_report(&call->client->fleet, attempt->site, outcome, took_or_pause_ns, now_ns);
}

static bool is_live(const struct client_attempt *attempt)
{
    return attempt->call != NULL;
}

static void begin_attempt(struct client_call *call, struct client_loop *loop,
                          const struct client_pick *pick, bool is_hedge, uint64_t now_ns)
{
    struct client_attempt *attempt = &call->attempts[is_live(&call->attempts[0]) ? 1 : 0];
    *attempt = (struct client_attempt){.call = call,
                                       .message = &call->message,
                                       .deadline_ns = call->deadline_ns,
                                       .begun_ns = now_ns,
                                       .site = pick->site};
    call->live_count++;
    char shortage[CLIENT_CONN_ERROR_BYTES];
    enum decide_status status = client_loop_send(loop, attempt, shortage, now_ns);
    if (status == DECIDE_UNREACHABLE) { /* another address may have a connection */
        call->tried |= UINT64_C(1) << pick->site;
        fail_at(call, attempt, status, shortage);
    }
    if (status == DECIDE_NOMEM)
        client_call_lost(call, attempt, status, "out of memory", now_ns);
    else if (status != DECIDE_OK) /* no connection is free: try later */
        drop(call, attempt, CLIENT_OUTCOME_NONE, 0, now_ns);
    if (status != DECIDE_OK)
        return;
    call->tried |= UINT64_C(1) << pick->site;
    if (is_hedge) {
        call->hedge = attempt;
        client_count(&call->client->counters.hedges);
    } else if (call->try_count++ > 0) {
        client_count(&call->client->counters.retries);
    }
}

static uint64_t quarter_ns(const struct client_call *call, uint64_t now_ns)
{
    return (call->deadline_ns - now_ns) / 4;
}

/* When to ask another address as well.  A call that probes is hedged after at most a quarter of its
 * time, so that probing does not put its answer at risk. */
static uint64_t hedge_time(const struct client_call *call, const struct client_pick *pick,
                           uint64_t now_ns)
{
    uint64_t after_ns = call->client->hedge_after_ns;
    if (!call->op->repeatable || call->hedge != NULL || call->client->fleet.site_count == 1)
        return UINT64_MAX;
    if (after_ns == CLIENT_HEDGE_P95)
        after_ns = pick->p95_ns;
    else if (after_ns == CLIENT_HEDGE_QUARTER)
        after_ns = quarter_ns(call, now_ns);
    if (pick->is_probe)
        after_ns = min_ns(after_ns, min_ns(pick->p95_ns, quarter_ns(call, now_ns)));
    return after_ns > UINT64_MAX - now_ns ? UINT64_MAX : now_ns + after_ns;
}

/* The address asked for a pause so long that asking it again could only end in a timeout. */
static bool is_shut(const struct client_call *call, uint32_t site)
{
    return (call->shut >> site & 1) != 0;
}

static bool are_all_shut(const struct client_call *call)
{
    for (uint32_t site = 0; site < call->client->fleet.site_count; site++)
        if (!is_shut(call, site))
            return false;
    return true;
}

/* No address may be asked before the call's deadline. */
static void end_unasked(struct client_call *call, const struct client_pick *pick, uint64_t now_ns)
{
    const char *message = "every address failed a moment ago and is not tried again yet";
    if (call->reply == NULL && pick->are_overloaded) {
        uint64_t left_ms = (pick->retry_at_ns - now_ns) / CLIENT_NS_PER_MS + 1;
        replace_reply(call,
                      client_reply_overloaded(
                          "every address asked to be left alone for longer than this call has",
                          (uint32_t)left_ms));
    }
    client_call_end(call, DECIDE_UNREACHABLE, call->reply != NULL ? NULL : message);
}

/* Sends to the next address, or waits until one may be asked. */
static void try_next(struct client_call *call, struct client_loop *loop, uint64_t now_ns)
{
    struct client_fleet *fleet = &call->client->fleet;
    struct client_pick pick = client_fleet_pick(fleet, call->route_key, call->tried, false, now_ns);
    if (!pick.found) {
        if (pick.retry_at_ns >= call->deadline_ns || are_all_shut(call))
            end_unasked(call, &pick, now_ns);
        return;
    }
    if (is_shut(call, pick.site)) { /* there is no better one */
        client_fleet_report(fleet, pick.site, CLIENT_OUTCOME_NONE, 0, now_ns);
        end_unasked(call, &pick, now_ns);
        return;
    }
    call->hedge_at_ns = hedge_time(call, &pick, now_ns);
    /* An address that does not complete the greeting gets half of the time if there are others. */
    call->give_up_at_ns = pick.others ? now_ns + (call->deadline_ns - now_ns) / 2 : UINT64_MAX;
    begin_attempt(call, loop, &pick, false, now_ns);
}

static void try_hedge(struct client_call *call, struct client_loop *loop, uint64_t now_ns)
{
    struct client_fleet *fleet = &call->client->fleet;
    struct client_pick pick = client_fleet_pick(fleet, call->route_key, call->tried, true, now_ns);
    call->hedge_at_ns = UINT64_MAX;
    if (!pick.found) { /* a paused address may become available later */
        uint64_t pause_ns = quarter_ns(call, now_ns);
        call->hedge_at_ns = pause_ns < RECHECK_NS ? UINT64_MAX : now_ns + pause_ns;
        return;
    }
    if (client_fleet_spend(fleet, now_ns))
        begin_attempt(call, loop, &pick, true, now_ns);
    else
        client_fleet_report(fleet, pick.site, CLIENT_OUTCOME_NONE, 0, now_ns);
}

static void expire(struct client_call *call, uint64_t now_ns)
{
    uint64_t half_ns = (call->deadline_ns - call->started_ns) / 2;
    bool waited = call->live_count > 0;
    for (size_t i = CLIENT_CALL_ATTEMPTS; i-- > 0;) {
        struct client_attempt *attempt = &call->attempts[i];
        if (!is_live(attempt))
            continue;
        fail_at(call, attempt, DECIDE_TIMEOUT, "the time ran out");
        bool had_time = call->deadline_ns - attempt->begun_ns >= half_ns;
        drop(call, attempt, had_time ? CLIENT_OUTCOME_SLOW : CLIENT_OUTCOME_NONE, 0, now_ns);
    }
    client_call_end(
        call, DECIDE_TIMEOUT,
        waited || call->reply != NULL ? NULL : "the time ran out before an address could be asked");
}

static void give_up_unsent(struct client_call *call, uint64_t now_ns)
{
    for (size_t i = 0; i < CLIENT_CALL_ATTEMPTS; i++) {
        struct client_attempt *attempt = &call->attempts[i];
        if (is_live(attempt) && !attempt->sent) {
            fail_at(call, attempt, DECIDE_UNREACHABLE,
                    "it was not connected in half of the time that was left");
            drop(call, attempt, CLIENT_OUTCOME_SLOW, 0, now_ns);
        }
    }
}

void client_call_step(struct client_call *call, struct client_loop *loop, uint64_t now_ns)
{
    if (call->done)
        return;
    if (now_ns >= call->deadline_ns) {
        expire(call, now_ns);
        return;
    }
    if (now_ns >= call->give_up_at_ns) {
        give_up_unsent(call, now_ns);
        call->give_up_at_ns = UINT64_MAX;
    }
    if (call->live_count == 0 && call->final)
        client_call_end(call, call->reply->status, NULL);
    else if (call->live_count == 0)
        try_next(call, loop, now_ns);
    else if (now_ns >= call->hedge_at_ns)
        try_hedge(call, loop, now_ns);
    call->wake_ns = call->deadline_ns;
    if (call->live_count == 0)
        call->wake_ns = min_ns(call->wake_ns, now_ns + RECHECK_NS);
    else
        call->wake_ns = min_ns(call->wake_ns, min_ns(call->hedge_at_ns, call->give_up_at_ns));
}

/* Whether a request that was sent may be repeated: only while the budget lasts. */
static bool may_repeat(struct client_call *call, uint64_t now_ns)
{
    /* The attempt still in flight serves as the retry. */
    return call->op->repeatable &&
           (call->live_count > 0 || client_fleet_spend(&call->client->fleet, now_ns));
}

void client_call_lost(struct client_call *call, struct client_attempt *attempt,
                      enum decide_status status, const char *error, uint64_t now_ns)
{
    bool sent = attempt->sent;
    fail_at(call, attempt, status, error);
    drop(call, attempt, status == DECIDE_NOMEM ? CLIENT_OUTCOME_NONE : CLIENT_OUTCOME_BAD, 0,
         now_ns);
    call->final = status == DECIDE_NOMEM || (sent && !may_repeat(call, now_ns));
}

static bool says(const struct decide_reply *reply, const char *code)
{
    return reply->status == DECIDE_REFUSED && strcmp(reply->error_code, code) == 0;
}

/* Whether another address may succeed where this one refused or failed. */
static bool is_refused_here(const struct decide_reply *reply)
{
    return says(reply, "draining") || says(reply, "overloaded") || says(reply, "internal");
}

static void refused_here(struct client_call *call, struct client_attempt *attempt, uint64_t now_ns)
{
    uint64_t pause_ns = call->reply->retry_after_ms * CLIENT_NS_PER_MS;
    bool is_leaving = says(call->reply, "draining"), is_broken = says(call->reply, "internal");
    bool is_overloaded = says(call->reply, "overloaded");
    if (is_overloaded && call->deadline_ns - now_ns < 2 * pause_ns)
        call->shut |= UINT64_C(1) << attempt->site;
    drop(call, attempt, is_overloaded ? CLIENT_OUTCOME_OVERLOADED : CLIENT_OUTCOME_BAD, pause_ns,
         now_ns);
    /* The refused request had no effect (except after `internal`), so repeating is safe; but it
     * adds load and so costs a token, unless the daemon is about to stop. */
    call->final = !is_leaving &&
                  ((is_broken && !call->op->repeatable) ||
                   (call->live_count == 0 && !client_fleet_spend(&call->client->fleet, now_ns)));
}

static void won(struct client_call *call, struct client_attempt *attempt, uint64_t now_ns)
{
    for (size_t i = 0; i < CLIENT_CALL_ATTEMPTS; i++) {
        struct client_attempt *other = &call->attempts[i];
        if (other == attempt || !is_live(other))
            continue;
        /* An address asked earlier that has not answered yet counts as slow. */
        bool beaten = other->begun_ns < attempt->begun_ns;
        drop(call, other, beaten ? CLIENT_OUTCOME_SLOW : CLIENT_OUTCOME_NONE, 0, now_ns);
    }
    if (attempt == call->hedge)
        client_count(&call->client->counters.hedge_wins);
    drop(call, attempt, CLIENT_OUTCOME_FINE, now_ns - attempt->sent_ns, now_ns);
    client_call_end(call, call->reply->status, NULL);
}

enum decide_status client_call_answered(struct client_call *call, struct client_attempt *attempt,
                                        const uint8_t *body, size_t body_bytes, uint64_t now_ns)
{
    struct decide_reply *reply = NULL;
    enum decide_status status = client_reply_decode(body, body_bytes, call->op->has_items, &reply);
    if (status != DECIDE_OK) {
        char error[64] = "out of memory";
        if (status == DECIDE_PROTOCOL)
            snprintf(error, sizeof error, "the reply of %zu bytes is malformed", body_bytes);
        client_call_lost(call, attempt, status, error, now_ns);
        return status;
    }
    replace_reply(call, reply);
    if (is_refused_here(reply))
        refused_here(call, attempt, now_ns);
    else
        won(call, attempt, now_ns);
    return DECIDE_OK;
}

void client_call_end(struct client_call *call, enum decide_status status, const char *message)
{
    uint64_t now_ns = client_now_ns();
    for (size_t i = 0; i < CLIENT_CALL_ATTEMPTS; i++)
        if (is_live(&call->attempts[i]))
            drop(call, &call->attempts[i], CLIENT_OUTCOME_NONE, 0, now_ns);
    if (message != NULL)
        replace_reply(call, client_reply_failure(status, message));
    client_call_settle(call, now_ns);
    client_message_deinit(&call->message);
    client_reply_set_waited(call->reply, (client_now_ns() - call->started_ns) / CLIENT_NS_PER_US);
    call->done = true;
}

void client_call_discard(struct client_call *call)
{
    client_message_deinit(&call->message);
    decide_reply_free(call->reply);
    call->reply = NULL;
}
