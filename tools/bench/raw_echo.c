/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "client/sp.h"
#include "tools/bench/echo.h"

enum { EVENTS_MAX = 64, OUT_BYTES_MIN = 64 * 1024 };

struct peer {
    int fd; /* -1: free */
    bool greeted;
    size_t used;
    uint8_t in[ECHO_REQUEST_BYTES_MAX];
};

struct echo {
    int listener, epoll;
    bool ipc;
    const uint8_t *reply;
    size_t reply_bytes;
    uint8_t *out; /* replies that leave together; room for one or many */
    size_t out_capacity;
    struct peer *peers[ECHO_CONNECTIONS_MAX]; /* kept for later connections */
};

static enum err_code bind_tcp(int fd, char ret_url[ECHO_URL_BYTES], struct err *err)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t bytes = sizeof address;
    if (bind(fd, (struct sockaddr *)&address, sizeof address) != 0 ||
        getsockname(fd, (struct sockaddr *)&address, &bytes) != 0)
        return err_set(err, ERR_IO, "raw echo: %s", strerror(errno));
    snprintf(ret_url, ECHO_URL_BYTES, "tcp://127.0.0.1:%u", ntohs(address.sin_port));
    return ERR_OK;
}

static enum err_code bind_ipc(int fd, const char *path, char ret_url[ECHO_URL_BYTES],
                              struct err *err)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    size_t len = strlen(path);
    if (len >= sizeof address.sun_path)
        return err_set(err, ERR_LIMIT, "raw echo: the path '%s' is too long", path);
    memcpy(address.sun_path, path, len);
    if (bind(fd, (struct sockaddr *)&address, sizeof address) != 0)
        return err_set(err, ERR_IO, "raw echo: %s: %s", path, strerror(errno));
    snprintf(ret_url, ECHO_URL_BYTES, "ipc://%s", path);
    return ERR_OK;
}

enum err_code raw_echo_listen(const char *ipc_path, int *ret_listener, char ret_url[ECHO_URL_BYTES],
                              struct err *err)
{
    int fd = socket(ipc_path == NULL ? AF_INET : AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return err_set(err, ERR_IO, "raw echo: %s", strerror(errno));
    enum err_code rc =
        ipc_path == NULL ? bind_tcp(fd, ret_url, err) : bind_ipc(fd, ipc_path, ret_url, err);
    if (rc == ERR_OK && listen(fd, SOMAXCONN) != 0)
        rc = err_set(err, ERR_IO, "raw echo: %s", strerror(errno));
    if (rc == ERR_OK)
        *ret_listener = fd;
    else
        close(fd);
    return rc;
}

static void accept_peer(struct echo *echo)
{
    int on = 1;
    uint32_t index = 0;
    int fd = accept4(echo->listener, NULL, NULL, SOCK_CLOEXEC);
    if (fd < 0)
        return;
    while (index < ECHO_CONNECTIONS_MAX && echo->peers[index] != NULL &&
           echo->peers[index]->fd >= 0)
        index++;
    if (index < ECHO_CONNECTIONS_MAX && echo->peers[index] == NULL)
        echo->peers[index] = malloc(sizeof *echo->peers[index]);
    struct epoll_event event = {.events = EPOLLIN, .data.u32 = index};
    if (index == ECHO_CONNECTIONS_MAX || echo->peers[index] == NULL ||
        epoll_ctl(echo->epoll, EPOLL_CTL_ADD, fd, &event) != 0) {
        close(fd);
        return;
    }
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on); /* ipc has none */
    echo->peers[index]->fd = fd;
    echo->peers[index]->greeted = false;
    echo->peers[index]->used = 0;
}

static bool send_all(const struct peer *peer, const uint8_t *bytes, size_t len)
{
    while (len > 0) {
        ssize_t sent = send(peer->fd, bytes, len, MSG_NOSIGNAL);
        if (sent < 0 && errno != EINTR)
            return false;
        bytes += sent > 0 ? sent : 0;
        len -= sent > 0 ? (size_t)sent : 0;
    }
    return true;
}

/* Answers all whole requests; false when the connection is over. */
static bool answer(struct echo *echo, struct peer *peer)
{
    struct sp_message message;
    enum sp_state state;
    size_t taken = 0;
    size_t out_used = 0;
    if (!peer->greeted) {
        if (peer->used < SP_GREETING_BYTES)
            return true;
        if (memcmp(peer->in, SP_GREETING_REQ, SP_GREETING_BYTES) != 0 ||
            !send_all(peer, SP_GREETING_REP, SP_GREETING_BYTES))
            return false;
        peer->greeted = true;
        taken = SP_GREETING_BYTES;
    }
    while ((state = sp_parse(peer->in + taken, peer->used - taken, echo->ipc,
                             ECHO_REQUEST_BYTES_MAX / 2, &message)) == SP_MESSAGE) {
        if (out_used + SP_HEADER_BYTES_MAX + echo->reply_bytes > echo->out_capacity) {
            if (!send_all(peer, echo->out, out_used))
                return false;
            out_used = 0;
        }
        uint8_t header[SP_HEADER_BYTES_MAX];
        size_t header_bytes = sp_header_bytes(echo->ipc);
        memcpy(echo->out + out_used,
               sp_put_header(header + sizeof header, echo->reply_bytes, message.id, echo->ipc),
               header_bytes);
        memcpy(echo->out + out_used + header_bytes, echo->reply, echo->reply_bytes);
        out_used += header_bytes + echo->reply_bytes;
        taken += message.frame_bytes;
    }
    peer->used -= taken;
    memmove(peer->in, peer->in + taken, peer->used);
    return state != SP_BAD && send_all(peer, echo->out, out_used);
}

static void serve_peer(struct echo *echo, struct peer *peer)
{
    ssize_t got = recv(peer->fd, peer->in + peer->used, sizeof peer->in - peer->used, 0);
    if (got < 0 && errno == EINTR)
        return;
    if (got > 0) {
        peer->used += (size_t)got;
        if (answer(echo, peer))
            return;
    }
    close(peer->fd);
    peer->fd = -1;
}

static _Noreturn void die(const char *what)
{
    fprintf(stderr, "raw echo: %s: %s\n", what, strerror(errno));
    _exit(1);
}

_Noreturn void raw_echo_serve(int listener, const uint8_t *reply, size_t reply_bytes)
{
    struct echo *echo = calloc(1, sizeof *echo);
    struct sockaddr_storage address;
    socklen_t address_bytes = sizeof address;
    struct epoll_event event = {.events = EPOLLIN, .data.u32 = ECHO_CONNECTIONS_MAX};
    if (echo == NULL)
        die("memory");
    *echo = (struct echo){.listener = listener, .reply = reply, .reply_bytes = reply_bytes};
    echo->out_capacity = SP_HEADER_BYTES_MAX + reply_bytes;
    if (echo->out_capacity < OUT_BYTES_MIN)
        echo->out_capacity = OUT_BYTES_MIN;
    echo->out = malloc(echo->out_capacity);
    echo->epoll = epoll_create1(EPOLL_CLOEXEC);
    if (echo->out == NULL || echo->epoll < 0 ||
        getsockname(listener, (struct sockaddr *)&address, &address_bytes) != 0 ||
        epoll_ctl(echo->epoll, EPOLL_CTL_ADD, listener, &event) != 0)
        die("start");
    echo->ipc = address.ss_family == AF_UNIX;
    for (;;) {
        struct epoll_event events[EVENTS_MAX];
        int count = epoll_wait(echo->epoll, events, EVENTS_MAX, -1);
        for (int i = 0; i < count; i++) {
            if (events[i].data.u32 == ECHO_CONNECTIONS_MAX)
                accept_peer(echo);
            else
                serve_peer(echo, echo->peers[events[i].data.u32]);
        }
    }
}
