/* SPDX-License-Identifier: Apache-2.0 */
/* One connection, turn by turn: what is whole is served, replies are written, and the end of the
 * turn decides what the connection waits for.  sp_internal.h has the invariants. */
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "server/transport/address.h"
#include "server/transport/sp_internal.h"

static bool may_serve(const struct sp_connection *connection)
{
    return !connection->writing && connection->deferred_count < SP_SERVER_DEFERRED_MAX;
}

void sp_connection_fail(struct sp_connection *connection, enum metric_close reason)
{
    if (connection->closing)
        return; /* what went wrong first is the reason */
    connection->closing = true;
    connection->close_reason = reason;
}

/* ---- serving -------------------------------------------------------------------------- */

/* When the last of the first so many unserved bytes came, if they came evenly. */
static uint64_t came_ns(const struct sp_connection *connection, size_t bytes)
{
    size_t unserved = connection->input_end - connection->input_begin;
    uint64_t span_ns =
        connection->rest_ns > connection->first_ns ? connection->rest_ns - connection->first_ns : 0;
    return connection->first_ns + (uint64_t)((double)span_ns * (double)bytes / (double)unserved);
}

static void step_over(struct sp_connection *connection, size_t bytes)
{
    connection->first_ns = came_ns(connection, bytes);
    connection->input_begin += bytes;
}

static void name_peer(const struct call *call, char ret_peer[CALL_PEER_BYTES])
{
    const struct sp_call *from = call->owner;
    address_name_peer(from->connection->fd, "tcp", ret_peer, CALL_PEER_BYTES);
}

static void serve(struct sp_connection *connection, const struct sp_frame *frame)
{
    struct sp_worker *worker = connection->worker;
    const struct sp_server_options *options = &worker->server->options;
    struct sp_call *call = sp_call_take(&worker->pool);
    if (call == NULL) {
        sp_connection_fail(connection, CLOSE_NO_MEMORY);
        return;
    }
    call->connection = connection;
    call->inbox = worker->inbox;
    call->block = NULL;
    call->stack_bytes = frame->stack_bytes;
    memcpy(call->body - frame->stack_bytes, frame->stack, frame->stack_bytes);
    call->call = (struct call){.request = frame->body,
                               .request_bytes = frame->body_bytes,
                               .arrived_ns = connection->first_ns,
                               .whole_ns = came_ns(connection, frame->frame_bytes),
                               .local = connection->local,
                               .reply = call->body,
                               .reply_capacity = CALL_REPLY_BYTES,
                               .code = REPLY_internal,
                               .name_peer = name_peer,
                               .complete = sp_call_complete,
                               .owner = call};
    sp_worker_count_in_flight(worker, 1);
    if (options->call(options->service, worker->worker, &call->call) == CALL_DEFERRED)
        sp_call_defer(connection, call);
    else
        sp_output_add(connection, call);
}

static void refuse_message(struct sp_connection *connection)
{
    metric_add(connection->worker->metrics, M_MESSAGES_REFUSED, TRANSPORT_SP, 0, 1);
}

/* False when there is no whole message any more. */
static bool take_message(struct sp_connection *connection)
{
    const struct sp_server *server = connection->worker->server;
    const uint8_t *bytes = connection->input->bytes + connection->input_begin;
    size_t len = connection->input_end - connection->input_begin;
    struct sp_frame frame;
    switch (
        sp_frame_parse(bytes, len, connection->ipc, server->options.message_bytes_max, &frame)) {
    case SP_FRAME_MORE: return false;
    case SP_FRAME_REQUEST: serve(connection, &frame); break;
    case SP_FRAME_LOOPED: refuse_message(connection); break;
    case SP_FRAME_TOO_LARGE:
        refuse_message(connection);
        sp_connection_fail(connection, CLOSE_TOO_LARGE);
        return false;
    case SP_FRAME_MALFORMED:
        refuse_message(connection);
        sp_connection_fail(connection, CLOSE_MALFORMED);
        return false;
    }
    step_over(connection, frame.frame_bytes);
    return true;
}

static bool take_greeting(struct sp_connection *connection)
{
    size_t len = connection->input_end - connection->input_begin;
    bool whole = len >= SP_FRAME_GREETING_BYTES;
    if (!sp_frame_greets(connection->input->bytes + connection->input_begin,
                         whole ? SP_FRAME_GREETING_BYTES : len)) {
        sp_connection_fail(connection, CLOSE_HANDSHAKE);
        return false;
    }
    if (!whole)
        return false;
    step_over(connection, SP_FRAME_GREETING_BYTES);
    connection->greeted = true;
    sp_worker_wait_over(&connection->worker->greeting, connection);
    return true;
}

/* Costly requests end the turn early: their replies do not wait for one another, and nor do others
 * for them.  What the first one takes nobody can shorten. */
static void serve_ready(struct sp_connection *connection)
{
    const struct clock *clock = connection->worker->server->options.clock;
    uint64_t began_ns = 0;
    for (uint32_t i = 0; i < SP_TURN_MESSAGES; i++) {
        if (!connection->ready || !may_serve(connection) || connection->closing)
            return;
        bool more = connection->greeted ? take_message(connection) : take_greeting(connection);
        connection->ready = more && connection->input_begin < connection->input_end;
        if (connection->reply_bytes >= SP_TURN_REPLY_BYTES)
            sp_output_write(connection);
        if (!connection->ready)
            return;
        uint64_t now_ns = clock_now_ns(clock);
        if (i == 0)
            began_ns = now_ns;
        if (now_ns - began_ns >= SP_TURN_NS)
            return;
    }
}

/* ---- turns ---------------------------------------------------------------------------- */

static void read_while(struct sp_connection *connection, bool wanted)
{
    if (connection->reading == wanted)
        return;
    if (!wanted)
        event_del(&connection->readable);
    else if (event_add(&connection->readable, NULL) != 0)
        sp_connection_fail(connection, CLOSE_NO_MEMORY);
    connection->reading = wanted;
}

static bool is_done(const struct sp_connection *connection)
{
    return connection->input_ended && connection->deferred_count == 0 &&
           STAILQ_EMPTY(&connection->replies);
}

/* What it is waited for is the rest of a message, and nothing else. */
static bool is_halfway(const struct sp_connection *connection)
{
    return connection->greeted && !connection->ready && !connection->writing &&
           connection->input_begin < connection->input_end;
}

static void note_halfway(struct sp_connection *connection)
{
    bool is_so = is_halfway(connection);
    if (!is_so || connection->received)
        sp_connection_leave_halfway(connection);
    if (is_so && !connection->halfway)
        sp_worker_wait(&connection->worker->halfway, connection);
    connection->halfway = is_so;
    connection->received = false;
}

void sp_connection_leave_halfway(struct sp_connection *connection)
{
    if (connection->halfway)
        sp_worker_wait_over(&connection->worker->halfway, connection);
    connection->halfway = false;
}

static void end_turn(struct sp_connection *connection)
{
    if (!connection->closing)
        sp_input_park(connection);
    if (!connection->closing)
        note_halfway(connection);
    if (is_done(connection))
        sp_connection_fail(connection, connection->worker->stopping ? CLOSE_STOPPED : CLOSE_PEER);
    if (!connection->closing)
        read_while(connection, !connection->input_ended && may_serve(connection));
    if (connection->closing)
        sp_connection_close(connection);
    else if (connection->ready && may_serve(connection))
        sp_worker_again(connection);
}

void sp_connection_turn(struct sp_connection *connection)
{
    if (!connection->writing)
        sp_output_write(connection);
    if (!connection->closing)
        serve_ready(connection);
    if (!connection->closing && !connection->writing)
        sp_output_write(connection);
    end_turn(connection);
}

static void on_readable(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    struct sp_connection *connection = arg;
    struct sp_worker *worker = connection->worker;
    sp_worker_begin(worker);
    if (!connection->in_again) { /* else its turn comes, and this is told again after it */
        sp_input_receive(connection);
        if (!connection->closing)
            serve_ready(connection);
        if (!connection->closing)
            sp_output_write(connection);
        end_turn(connection);
    }
    sp_worker_end(worker);
}

static void on_writable(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    struct sp_connection *connection = arg;
    struct sp_worker *worker = connection->worker;
    sp_worker_begin(worker);
    sp_output_write(connection);
    end_turn(connection);
    sp_worker_end(worker);
}

/* ---- beginning and end ---------------------------------------------------------------- */

void sp_connection_open(struct sp_connection *connection)
{
    struct sp_worker *worker = connection->worker;
    STAILQ_INIT(&connection->replies);
    TAILQ_INIT(&connection->deferred);
    TAILQ_INSERT_TAIL(&worker->connections, connection, link);
    sp_worker_wait(&worker->greeting, connection);
    event_assign(&connection->readable, worker->base, connection->fd, EV_READ | EV_PERSIST,
                 on_readable, connection);
    event_assign(&connection->writable, worker->base, connection->fd, EV_WRITE | EV_PERSIST,
                 on_writable, connection);
    /* A new socket takes eight bytes; what does not is broken. */
    if (send(connection->fd, sp_frame_greeting, sizeof sp_frame_greeting, MSG_NOSIGNAL) !=
        sizeof sp_frame_greeting)
        sp_connection_fail(connection, CLOSE_HANDSHAKE);
    if (worker->stopping)
        connection->input_ended = true;
    end_turn(connection);
}

void sp_connection_stop(struct sp_connection *connection)
{
    connection->input_ended = true;
    connection->ready = false;
    end_turn(connection);
}

void sp_connection_close(struct sp_connection *connection)
{
    struct sp_worker *worker = connection->worker;
    struct sp_call *call;
    bool full = false;
    if (connection->reading)
        event_del(&connection->readable);
    if (connection->writing)
        event_del(&connection->writable);
    /* Before the peer can know of it. */
    metric_add(worker->metrics, M_CONNECTIONS_CLOSED, connection->close_reason, 0, 1);
    if (connection->close_reason == CLOSE_SLOW_READER)
        metric_add(worker->metrics, M_SLOW_READERS_CLOSED, 0, 0, 1);
    close(connection->fd);
    TAILQ_FOREACH(call, &connection->deferred, link)
    call->connection = NULL;
    sp_output_drop(connection);
    sp_input_drop(connection);
    sp_connection_leave_halfway(connection);
    if (!connection->greeted)
        sp_worker_wait_over(&worker->greeting, connection);
    else if (connection->writing)
        sp_worker_wait_over(&worker->stuck, connection);
    if (connection->in_again)
        TAILQ_REMOVE(&worker->again, connection, again);
    TAILQ_REMOVE(&worker->connections, connection, link);
    atomic_fetch_sub_explicit(&worker->connection_count, 1, memory_order_relaxed);
    sp_server_count_connection(worker->server, false, &full);
    free(connection);
}
