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

#include "client/sp.h"

enum { IN_BYTES_MIN = 4096 };

static enum decide_status fail(struct client_conn *conn, enum decide_status status,
                               const char *text)
{
    client_conn_close(conn);
    snprintf(conn->error, sizeof conn->error, "%s", text);
    return status;
}

static enum decide_status lost(struct client_conn *conn, const char *step, int error_number)
{
    char text[64];
    char error[CLIENT_CONN_ERROR_BYTES];
    snprintf(error, sizeof error, "%s: %s", step, strerror_r(error_number, text, sizeof text));
    return fail(conn, DECIDE_UNREACHABLE, error);
}

static enum decide_status not_opened(struct client_conn *conn, const char *step, int error_number)
{
    bool is_own_shortage = error_number == EMFILE || error_number == ENFILE ||
                           error_number == ENOBUFS || error_number == ENOMEM;
    enum decide_status status = lost(conn, step, error_number);
    return is_own_shortage ? DECIDE_NOMEM : status;
}

enum decide_status client_conn_open(struct client_conn *conn, const struct client_address *address)
{
    int family = address->socket_address.ss_family;
    conn->ipc = address->ipc;
    conn->state = CLIENT_CONN_CONNECTING;
    conn->retired = false;
    conn->slowness = 0;
    conn->watched_for_room = false;
    conn->slot_count = conn->sent_count = conn->live_count = 0;
    conn->out_used = conn->out_sent = 0;
    conn->in_used = conn->in_taken = 0;
    conn->waiting_ns = client_now_ns();
    conn->fd = socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (conn->fd < 0)
        return not_opened(conn, "this process gets no socket", errno);
    int on = 1;
    if (family != AF_UNIX)
        (void)setsockopt(conn->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    const struct sockaddr *peer = (const struct sockaddr *)&address->socket_address;
    if (connect(conn->fd, peer, address->length) != 0 && errno != EINPROGRESS && errno != EINTR)
        return not_opened(conn, "connect", errno);
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
    free(conn->out);
    conn->in = conn->out = NULL;
    conn->in_capacity = conn->out_capacity = 0;
}

bool client_conn_has_room(const struct client_conn *conn)
{
    return conn->fd >= 0 && !conn->retired && conn->slot_count < CLIENT_CONN_SLOTS;
}

void client_conn_add(struct client_conn *conn, struct client_attempt *attempt)
{
    conn->slots[conn->slot_count++] = (struct client_slot){.attempt = attempt};
    conn->live_count++;
    attempt->conn = conn;
    attempt->sent = false;
}

static void remove_slot(struct client_conn *conn, uint32_t index)
{
    struct client_slot *slot = &conn->slots[index];
    if (slot->attempt != NULL) {
        slot->attempt->conn = NULL;
        conn->live_count--;
    }
    if (index < conn->sent_count)
        conn->sent_count--;
    conn->slot_count--;
    memmove(slot, slot + 1, (conn->slot_count - index) * sizeof *slot);
}

void client_conn_give_up(struct client_conn *conn, struct client_attempt *attempt, uint64_t now_ns)
{
    uint32_t index = 0;
    while (conn->slots[index].attempt != attempt)
        index++;
    if (index >= conn->sent_count) {
        remove_slot(conn, index);
        return;
    }
    if (conn->live_count == conn->slot_count)
        conn->waiting_ns = now_ns;
    conn->slots[index].attempt = NULL;
    conn->live_count--;
    attempt->conn = NULL;
}

void client_conn_was_slow(struct client_conn *conn)
{
    conn->slowness += 2;
    conn->retired |= conn->slowness >= 2 * CLIENT_CONN_SLOW_MAX;
}

struct client_attempt *client_conn_orphan(struct client_conn *conn)
{
    while (conn->slot_count > 0) {
        struct client_attempt *attempt = conn->slots[0].attempt;
        remove_slot(conn, 0);
        if (attempt != NULL)
            return attempt;
    }
    return NULL;
}

static bool reserve(uint8_t **bytes, size_t *capacity, size_t needed)
{
    size_t larger = *capacity == 0 ? IN_BYTES_MIN : *capacity;
    while (larger < needed)
        larger *= 2;
    if (larger == *capacity)
        return true;
    uint8_t *grown = realloc(*bytes, larger);
    if (grown == NULL)
        return false;
    *bytes = grown;
    *capacity = larger;
    return true;
}

static enum decide_status finish_connect(struct client_conn *conn)
{
    struct pollfd pollfd = {.fd = conn->fd, .events = POLLOUT};
    if (poll(&pollfd, 1, 0) <= 0)
        return DECIDE_OK;
    int error_number = 0;
    socklen_t len = sizeof error_number;
    if (getsockopt(conn->fd, SOL_SOCKET, SO_ERROR, &error_number, &len) != 0)
        error_number = errno;
    if (error_number != 0)
        return lost(conn, "connect", error_number);
    ssize_t sent = send(conn->fd, SP_GREETING_REQ, SP_GREETING_BYTES, MSG_NOSIGNAL);
    if (sent != SP_GREETING_BYTES)
        return lost(conn, "greeting", sent < 0 ? errno : EIO);
    conn->state = CLIENT_CONN_GREETING;
    return DECIDE_OK;
}

static enum decide_status check_greeting(struct client_conn *conn)
{
    size_t len = conn->in_used < SP_GREETING_BYTES ? conn->in_used : SP_GREETING_BYTES;
    if (memcmp(conn->in, SP_GREETING_REP, len) != 0)
        return fail(conn, DECIDE_PROTOCOL, "the peer does not greet like an nng REP socket");
    if (len == SP_GREETING_BYTES) {
        conn->in_taken = SP_GREETING_BYTES;
        conn->state = CLIENT_CONN_READY;
    }
    return DECIDE_OK;
}

/* *ret_sent: how many bytes the socket took. */
static enum decide_status send_some(struct client_conn *conn, const uint8_t *bytes, size_t len,
                                    size_t *ret_sent)
{
    *ret_sent = 0;
    while (*ret_sent < len) {
        ssize_t sent = send(conn->fd, bytes + *ret_sent, len - *ret_sent, MSG_NOSIGNAL);
        if (sent >= 0)
            *ret_sent += (size_t)sent;
        else if (errno == EAGAIN || errno == EWOULDBLOCK)
            break;
        else if (errno != EINTR)
            return lost(conn, "send", errno);
    }
    return DECIDE_OK;
}

static enum decide_status send_rest(struct client_conn *conn)
{
    size_t sent = 0;
    enum decide_status status =
        send_some(conn, conn->out + conn->out_sent, conn->out_used - conn->out_sent, &sent);
    conn->out_sent += sent;
    return status;
}

static bool has_rest(const struct client_conn *conn)
{
    return conn->out_sent < conn->out_used;
}

/* Consecutive ids differ in many bits, so that a bit flipped in transit does not yield the id of
 * another request. */
static uint32_t next_id(struct client_conn *conn)
{
    conn->request_count++;
    return conn->request_count * UINT32_C(0x9e3779b1) | SP_ID_FLAG;
}

/* Sends the oldest unsent request, with the time that it has left now. */
static enum decide_status send_one(struct client_conn *conn, uint64_t now_ns)
{
    struct client_slot *slot = &conn->slots[conn->sent_count];
    struct client_attempt *attempt = slot->attempt;
    uint64_t left_ns = attempt->deadline_ns > now_ns ? attempt->deadline_ns - now_ns : 0;
    size_t len = 0;
    size_t sent = 0;
    slot->id = next_id(conn);
    const uint8_t *frame = client_message_frame(attempt->message, slot->id, conn->ipc,
                                                left_ns / CLIENT_NS_PER_US, &len);
    enum decide_status status = send_some(conn, frame, len, &sent);
    if (status != DECIDE_OK)
        return status;
    if (sent == 0)
        return DECIDE_OK;
    if (sent < len) {
        if (!reserve(&conn->out, &conn->out_capacity, len - sent))
            return fail(conn, DECIDE_NOMEM, "out of memory");
        memcpy(conn->out, frame + sent, len - sent);
        conn->out_sent = 0;
        conn->out_used = len - sent;
    }
    attempt->sent = true;
    attempt->sent_ns = now_ns;
    conn->sent_count++;
    return DECIDE_OK;
}

enum decide_status client_conn_push(struct client_conn *conn, uint64_t now_ns)
{
    enum decide_status status = DECIDE_OK;
    if (conn->state == CLIENT_CONN_CONNECTING)
        status = finish_connect(conn);
    if (status != DECIDE_OK || conn->state != CLIENT_CONN_READY)
        return status;
    if (has_rest(conn))
        status = send_rest(conn);
    while (status == DECIDE_OK && !has_rest(conn) && conn->sent_count < conn->slot_count) {
        uint32_t before = conn->sent_count;
        status = send_one(conn, now_ns);
        if (conn->sent_count == before)
            break;
    }
    return status;
}

bool client_conn_wants_room(const struct client_conn *conn)
{
    return conn->state == CLIENT_CONN_CONNECTING ||
           (conn->state == CLIENT_CONN_READY &&
            (has_rest(conn) || conn->sent_count < conn->slot_count));
}

static void drop_taken(struct client_conn *conn)
{
    if (conn->in_taken == 0)
        return;
    conn->in_used -= conn->in_taken;
    memmove(conn->in, conn->in + conn->in_taken, conn->in_used);
    conn->in_taken = 0;
}

enum decide_status client_conn_pull(struct client_conn *conn)
{
    drop_taken(conn);
    /* The buffer grows only when it is full, so that an announced length costs no memory until the
     * bytes arrive. */
    if (!reserve(&conn->in, &conn->in_capacity, conn->in_used + 1))
        return fail(conn, DECIDE_NOMEM, "out of memory");
    ssize_t got;
    do
        got = recv(conn->fd, conn->in + conn->in_used, conn->in_capacity - conn->in_used, 0);
    while (got < 0 && errno == EINTR);
    if (got > 0) {
        conn->in_used += (size_t)got;
        return conn->state == CLIENT_CONN_GREETING ? check_greeting(conn) : DECIDE_OK;
    }
    if (got < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
        return DECIDE_OK;
    return fail(conn, DECIDE_UNREACHABLE, "the connection was lost");
}

enum decide_status client_conn_next(struct client_conn *conn, uint64_t now_ns,
                                    struct client_attempt **ret_attempt, const uint8_t **ret_body,
                                    size_t *ret_body_bytes)
{
    *ret_attempt = NULL;
    while (conn->state == CLIENT_CONN_READY && conn->in_used > conn->in_taken) {
        struct sp_message message;
        enum sp_state state = sp_parse(conn->in + conn->in_taken, conn->in_used - conn->in_taken,
                                       conn->ipc, DECIDE_REPLY_BYTES_MAX, &message);
        if (state == SP_MORE)
            break;
        uint32_t index = 0;
        while (state == SP_MESSAGE && index < conn->sent_count &&
               conn->slots[index].id != message.id)
            index++;
        if (state == SP_BAD || index == conn->sent_count)
            return fail(conn, DECIDE_PROTOCOL, "the peer sent what is no reply to the request");
        conn->in_taken += message.frame_bytes;
        struct client_attempt *attempt = conn->slots[index].attempt;
        remove_slot(conn, index);
        if (attempt != NULL) {
            conn->slowness -= conn->slowness > 0 ? 1 : 0;
            *ret_attempt = attempt;
            *ret_body = message.body;
            *ret_body_bytes = message.body_bytes;
            break;
        }
        conn->waiting_ns = now_ns; /* a late reply to an abandoned request */
    }
    return DECIDE_OK;
}

void client_conn_refresh(struct client_conn *conn, uint64_t now_ns)
{
    if (conn->fd < 0)
        return;
    if (conn->live_count == 0 && conn->state == CLIENT_CONN_READY) {
        struct client_attempt *attempt = NULL;
        const uint8_t *body = NULL;
        size_t body_bytes = 0;
        if (client_conn_pull(conn) != DECIDE_OK ||
            client_conn_next(conn, now_ns, &attempt, &body, &body_bytes) != DECIDE_OK)
            return;
        conn->retired |= conn->slot_count == 0 && conn->in_used > conn->in_taken;
    }
    uint64_t waited_ns = now_ns > conn->waiting_ns ? now_ns - conn->waiting_ns : 0;
    uint32_t given_up_count = conn->slot_count - conn->live_count;
    if (conn->state != CLIENT_CONN_READY)
        conn->retired |= waited_ns > CLIENT_CONNECT_NS_MAX;
    else if (given_up_count > 0)
        conn->retired |=
            given_up_count > CLIENT_CONN_GIVEN_UP_MAX || waited_ns > CLIENT_CONN_PATIENCE_NS;
    if (conn->retired && conn->live_count == 0) {
        client_conn_close(conn);
        conn->slot_count = conn->sent_count = 0;
    }
}

enum decide_status client_conn_make_ready(struct client_conn *conn, uint64_t deadline_ns)
{
    for (;;) {
        uint64_t now_ns = client_now_ns();
        enum decide_status status = client_conn_push(conn, now_ns);
        if (status == DECIDE_OK && conn->state == CLIENT_CONN_GREETING)
            status = client_conn_pull(conn);
        if (status != DECIDE_OK || conn->state == CLIENT_CONN_READY)
            return status;
        if (now_ns >= deadline_ns)
            return DECIDE_TIMEOUT;
        struct pollfd pollfd = {.fd = conn->fd,
                                .events = client_conn_wants_room(conn) ? POLLOUT : POLLIN};
        struct timespec left = client_timespec(deadline_ns - now_ns);
        (void)ppoll(&pollfd, 1, &left, NULL);
    }
}
