/* SPDX-License-Identifier: Apache-2.0 */
#include "client/conn.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "client/clock.h"
#include "client/sp.h"

enum { IN_BYTES_MIN = 4096 };

#define FAIL(conn, status, ...) \
    (client_conn_close(conn), snprintf(error, DECIDE_ERROR_BYTES, __VA_ARGS__), (status))

static enum decide_status lost(struct client_conn *conn, const char *step, int error_number,
                               char error[DECIDE_ERROR_BYTES])
{
    char text[128];
    return FAIL(conn, DECIDE_UNREACHABLE, "%s: %s", step,
                strerror_r(error_number, text, sizeof text));
}

enum decide_status client_conn_open(struct client_conn *conn, const struct client_address *address,
                                    char error[DECIDE_ERROR_BYTES])
{
    int family = address->socket_address.ss_family;
    conn->fd = socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (conn->fd < 0)
        return lost(conn, "socket", errno, error);
    int on = 1;
    if (family != AF_UNIX)
        (void)setsockopt(conn->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    conn->ipc = address->ipc;
    conn->state = CLIENT_CONN_CONNECTING;
    conn->owed_count = 0;
    conn->in_used = 0;
    conn->in_taken = 0;
    conn->waiting_ns = client_now_ns();
    const struct sockaddr *peer = (const struct sockaddr *)&address->socket_address;
    if (connect(conn->fd, peer, address->length) != 0 && errno != EINPROGRESS && errno != EINTR)
        return lost(conn, "connect", errno, error);
    return DECIDE_OK;
}

void client_conn_close(struct client_conn *conn)
{
    int fd = conn->fd;
    conn->fd = -1; /* first: a fork between the two must not close a number that is in use again */
    if (fd >= 0)
        (void)close(fd);
}

void client_conn_deinit(struct client_conn *conn)
{
    client_conn_close(conn);
    free(conn->in);
    conn->in = NULL;
    conn->in_capacity = 0;
}

/* DECIDE_OK when the socket is readable or writable as asked (or in error: the next call tells). */
static enum decide_status wait_for(struct client_conn *conn, short events, uint64_t deadline_ns)
{
    for (;;) {
        uint64_t now_ns = client_now_ns();
        if (now_ns >= deadline_ns)
            return DECIDE_TIMEOUT;
        struct pollfd pollfd = {.fd = conn->fd, .events = events};
        struct timespec left = client_timespec(deadline_ns - now_ns);
        if (ppoll(&pollfd, 1, &left, NULL) > 0)
            return DECIDE_OK;
    }
}

enum fill { FILL_SOME, FILL_NOTHING, FILL_ENDED, FILL_NOMEM };

/* Takes what has arrived, up to the size of the buffer.  The buffer grows only when it is full, so
 * that a length that is announced and not sent costs nothing. */
static enum fill fill(struct client_conn *conn)
{
    if (conn->in_used == conn->in_capacity) {
        size_t capacity = conn->in_capacity == 0 ? IN_BYTES_MIN : 2 * conn->in_capacity;
        uint8_t *in = realloc(conn->in, capacity);
        if (in == NULL)
            return FILL_NOMEM;
        conn->in = in;
        conn->in_capacity = capacity;
    }
    ssize_t got;
    do
        got = recv(conn->fd, conn->in + conn->in_used, conn->in_capacity - conn->in_used, 0);
    while (got < 0 && errno == EINTR);
    if (got > 0) {
        conn->in_used += (size_t)got;
        return FILL_SOME;
    }
    return got < 0 && (errno == EAGAIN || errno == EWOULDBLOCK) ? FILL_NOTHING : FILL_ENDED;
}

static enum decide_status fill_by(struct client_conn *conn, uint64_t deadline_ns,
                                  char error[DECIDE_ERROR_BYTES])
{
    for (;;) {
        enum decide_status status = wait_for(conn, POLLIN, deadline_ns);
        if (status != DECIDE_OK)
            return status;
        switch (fill(conn)) {
        case FILL_SOME: return DECIDE_OK;
        case FILL_NOTHING: break;
        case FILL_ENDED: return FAIL(conn, DECIDE_UNREACHABLE, "the connection was lost");
        case FILL_NOMEM: return FAIL(conn, DECIDE_NOMEM, "out of memory");
        }
    }
}

static void drop_taken(struct client_conn *conn)
{
    if (conn->in_taken == 0)
        return;
    conn->in_used -= conn->in_taken;
    memmove(conn->in, conn->in + conn->in_taken, conn->in_used);
    conn->in_taken = 0;
}

/* Skips replies that came too late.  SP_MESSAGE: the reply to the newest request. */
static enum sp_state next_message(struct client_conn *conn, struct sp_message *ret_message)
{
    for (;;) {
        drop_taken(conn);
        enum sp_state state =
            sp_parse(conn->in, conn->in_used, conn->ipc, DECIDE_MESSAGE_BYTES_MAX, ret_message);
        if (state != SP_MESSAGE)
            return state;
        conn->in_taken = ret_message->frame_bytes;
        if (ret_message->id == conn->request_id)
            return SP_MESSAGE;
        if (conn->owed_count == 0)
            return SP_BAD;
        conn->owed_count--;
    }
}

void client_conn_refresh(struct client_conn *conn)
{
    uint64_t waited_ns = client_now_ns() - conn->waiting_ns;
    if (conn->state != CLIENT_CONN_READY) {
        if (waited_ns > CLIENT_CONNECT_NS_MAX)
            client_conn_close(conn);
        return;
    }
    drop_taken(conn);
    enum fill filled = fill(conn);
    bool bad = filled == FILL_ENDED || filled == FILL_NOMEM;
    if (filled == FILL_SOME && conn->owed_count > 0) {
        /* The newest request is one that was given up as well. */
        struct sp_message message;
        enum sp_state state = next_message(conn, &message);
        if (state == SP_MESSAGE)
            conn->owed_count--;
        bad = state == SP_BAD || (conn->owed_count == 0 && conn->in_used > conn->in_taken);
    } else if (filled == FILL_SOME) {
        bad = true;
    }
    if (bad || (conn->owed_count > 0 && waited_ns > CLIENT_CONN_PATIENCE_NS))
        client_conn_close(conn);
}

static enum decide_status finish_connect(struct client_conn *conn, uint64_t deadline_ns,
                                         char error[DECIDE_ERROR_BYTES])
{
    enum decide_status status = wait_for(conn, POLLOUT, deadline_ns);
    if (status != DECIDE_OK)
        return status;
    int error_number = 0;
    socklen_t len = sizeof error_number;
    if (getsockopt(conn->fd, SOL_SOCKET, SO_ERROR, &error_number, &len) != 0)
        error_number = errno;
    if (error_number != 0)
        return lost(conn, "connect", error_number, error);
    ssize_t sent = send(conn->fd, SP_GREETING_REQ, SP_GREETING_BYTES, MSG_NOSIGNAL);
    if (sent != SP_GREETING_BYTES)
        return lost(conn, "greeting", sent < 0 ? errno : EIO, error);
    conn->state = CLIENT_CONN_GREETING;
    return DECIDE_OK;
}

enum decide_status client_conn_make_ready(struct client_conn *conn, uint64_t deadline_ns,
                                          char error[DECIDE_ERROR_BYTES])
{
    enum decide_status status = DECIDE_OK;
    if (conn->state == CLIENT_CONN_CONNECTING)
        status = finish_connect(conn, deadline_ns, error);
    while (status == DECIDE_OK && conn->state == CLIENT_CONN_GREETING) {
        size_t len = conn->in_used < SP_GREETING_BYTES ? conn->in_used : SP_GREETING_BYTES;
        if (len > 0 && memcmp(conn->in, SP_GREETING_REP, len) != 0)
            return FAIL(conn, DECIDE_PROTOCOL, "the peer does not greet like an nng REP socket");
        if (len == SP_GREETING_BYTES) {
            conn->in_taken = SP_GREETING_BYTES;
            conn->state = CLIENT_CONN_READY;
        } else {
            status = fill_by(conn, deadline_ns, error);
        }
    }
    return status;
}

enum decide_status client_conn_send(struct client_conn *conn, struct client_message *message,
                                    uint64_t deadline_ns, bool *ret_sent,
                                    char error[DECIDE_ERROR_BYTES])
{
    uint64_t now_ns = client_now_ns();
    if (now_ns >= deadline_ns)
        return DECIDE_TIMEOUT;
    size_t left = 0;
    conn->request_id = (conn->request_id + 1) | SP_ID_FLAG;
    const uint8_t *at = client_message_frame(message, conn->request_id, conn->ipc,
                                             (deadline_ns - now_ns) / CLIENT_NS_PER_US, &left);
    bool begun = false;
    while (left > 0) {
        ssize_t sent = send(conn->fd, at, left, MSG_NOSIGNAL);
        if (sent >= 0) {
            begun = true;
            at += sent;
            left -= (size_t)sent;
        } else if (errno == EAGAIN || errno == EWOULDBLOCK) {
            if (wait_for(conn, POLLOUT, deadline_ns) == DECIDE_OK)
                continue;
            if (begun) /* half a request: nothing else can be sent on it */
                client_conn_close(conn);
            return DECIDE_TIMEOUT;
        } else if (errno != EINTR) {
            return lost(conn, "send", errno, error);
        }
    }
    *ret_sent = true;
    return DECIDE_OK;
}

enum decide_status client_conn_receive(struct client_conn *conn, uint64_t deadline_ns,
                                       const uint8_t **ret_body, size_t *ret_body_bytes,
                                       char error[DECIDE_ERROR_BYTES])
{
    for (;;) {
        struct sp_message message;
        enum sp_state state = next_message(conn, &message);
        if (state == SP_MESSAGE) {
            *ret_body = message.body;
            *ret_body_bytes = message.body_bytes;
            return DECIDE_OK;
        }
        if (state == SP_BAD)
            return FAIL(conn, DECIDE_PROTOCOL, "the peer sent what is no reply to the request");
        enum decide_status status = fill_by(conn, deadline_ns, error);
        if (status == DECIDE_TIMEOUT) {
            if (conn->owed_count++ == 0)
                conn->waiting_ns = client_now_ns();
            if (conn->owed_count > CLIENT_CONN_OWED_MAX)
                client_conn_close(conn);
        }
        if (status != DECIDE_OK)
            return status;
    }
}
