/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/fake_peer.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "base/cursor.h"
#include "base/err.h"
#include "base/pack.h"
#include "client/sp.h"
#include "tools/cli/value.h"

static bool read_all(int fd, uint8_t *to, size_t len)
{
    while (len > 0) {
        ssize_t got = recv(fd, to, len, 0);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return false;
        to += got;
        len -= (size_t)got;
    }
    return true;
}

static bool write_all(int fd, const uint8_t *from, size_t len)
{
    while (len > 0) {
        ssize_t put = send(fd, from, len, MSG_NOSIGNAL);
        if (put < 0 && errno == EINTR)
            continue;
        if (put <= 0)
            return false;
        from += put;
        len -= (size_t)put;
    }
    return true;
}

struct incoming {
    uint32_t id;
    size_t len;
    uint8_t body[FAKE_BYTES_MAX];
};

/* True when it was not stopped meanwhile. */
static bool wait_us(struct fake_peer *peer, uint64_t us)
{
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    uint64_t ns = (uint64_t)until.tv_nsec + us * 1000;
    until.tv_sec += (time_t)(ns / 1000000000);
    until.tv_nsec = (long)(ns % 1000000000);
    pthread_mutex_lock(&peer->mutex);
    while (!peer->stopping && pthread_cond_timedwait(&peer->changed, &peer->mutex, &until) == 0)
        ;
    bool goes_on = !peer->stopping;
    pthread_mutex_unlock(&peer->mutex);
    return goes_on;
}

/* One request; false when the connection ended. */
static bool read_request(struct fake_peer *peer, int fd, struct incoming *incoming)
{
    uint8_t head[SP_HEADER_BYTES_MAX];
    size_t head_bytes = sp_header_bytes(peer->ipc);
    size_t prefix = peer->ipc ? 1 : 0;
    if (!read_all(fd, head, head_bytes))
        return false;
    uint64_t length = 0;
    for (size_t i = 0; i < 8; i++)
        length = length << 8 | head[prefix + i];
    uint32_t id = 0;
    for (size_t i = 0; i < 4; i++)
        id = id << 8 | head[prefix + 8 + i];
    ASSERT(length >= SP_ID_BYTES && length - SP_ID_BYTES <= sizeof incoming->body);
    incoming->id = id;
    incoming->len = length - SP_ID_BYTES;
    if (!read_all(fd, incoming->body, incoming->len))
        return false;
    pthread_mutex_lock(&peer->mutex);
    peer->request_len = incoming->len;
    memcpy(peer->request, incoming->body, peer->request_len);
    atomic_fetch_add(&peer->request_count, 1);
    pthread_cond_broadcast(&peer->changed);
    while (peer->holding && !peer->stopping)
        pthread_cond_wait(&peer->changed, &peer->mutex);
    pthread_mutex_unlock(&peer->mutex);
    return true;
}

static bool write_bytewise(struct fake_peer *peer, int fd, const uint8_t *frame, size_t len,
                           uint64_t pause_us)
{
    for (size_t i = 0; i < len; i++)
        if (!write_all(fd, frame + i, 1) || (pause_us > 0 && !wait_us(peer, pause_us)))
            return false;
    return true;
}

/* {"ok": true, "level": "full", "items": [{"id": USER, "score": 1.0}]} */
static size_t pack_user(const struct incoming *incoming, uint8_t *body)
{
    struct cursor request = cursor_of(incoming->body, incoming->len);
    struct text user = value_text(request, "user");
    struct pack pack = pack_into(body, FAKE_BYTES_MAX);
    pack_map(&pack, 3);
    pack_key(&pack, "ok");
    pack_bool(&pack, true);
    pack_key(&pack, "level");
    pack_str(&pack, "full");
    pack_key(&pack, "items");
    pack_array(&pack, 1);
    pack_map(&pack, 2);
    pack_key(&pack, "id");
    pack_text(&pack, user);
    pack_key(&pack, "score");
    pack_real(&pack, 1.0);
    ASSERT(!pack.overflow);
    return pack.used;
}

static size_t make_body(struct fake_peer *peer, const struct incoming *incoming, uint8_t *body)
{
    if (atomic_load(&peer->answers_users))
        return pack_user(incoming, body);
    pthread_mutex_lock(&peer->mutex);
    size_t len = peer->reply_len;
    memcpy(body, peer->reply, len);
    pthread_mutex_unlock(&peer->mutex);
    return len;
}

/* False ends the connection. */
static bool answer(struct fake_peer *peer, int fd, const struct incoming *incoming)
{
    uint64_t delay_us = atomic_load(&peer->delay_us);
    if (delay_us > 0 && !wait_us(peer, delay_us))
        return false;
    enum fake_behaviour behaviour = (enum fake_behaviour)atomic_load(&peer->behaviour);
    uint8_t bytes[SP_HEADER_BYTES_MAX + FAKE_BYTES_MAX];
    uint8_t *body = bytes + SP_HEADER_BYTES_MAX;
    uint32_t id = incoming->id + (behaviour == FAKE_ANSWERS_WRONG_ID);
    size_t len = make_body(peer, incoming, body);
    if (behaviour == FAKE_ANSWERS_GARBAGE) {
        len = 5;
        memset(body, 0xc1, len);
    }
    uint8_t *frame = sp_put_header(body, len, id, peer->ipc);
    size_t frame_len = len + sp_header_bytes(peer->ipc);
    switch (behaviour) {
    case FAKE_NEVER_ANSWERS: return true;
    case FAKE_ANSWERS_GIANT: frame[peer->ipc ? 1 : 0] = 0x40; break;
    case FAKE_ANSWERS_HALF: frame_len /= 2; break;
    case FAKE_ANSWERS_HALF_AND_CLOSES: return write_all(fd, frame, frame_len / 2) && false;
    case FAKE_ANSWERS_BYTEWISE: return write_bytewise(peer, fd, frame, frame_len, 0);
    case FAKE_TRICKLES: return write_bytewise(peer, fd, frame, frame_len, 5000);
    case FAKE_HALF_CLOSES: return shutdown(fd, SHUT_WR) == 0;
    case FAKE_ANSWERS_TWICE:
        return write_all(fd, frame, frame_len) && write_all(fd, frame, frame_len);
    case FAKE_RESETS: {
        struct linger linger = {.l_onoff = 1, .l_linger = 0};
        setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof linger);
        return false;
    }
    default: break;
    }
    return write_all(fd, frame, frame_len);
}

static void serve(struct fake_peer *peer, uint32_t index, int fd)
{
    static const char http[] = "HTTP/1.1 400 Bad Request\r\n\r\n";
    uint8_t greeting[SP_GREETING_BYTES];
    switch (atomic_load(&peer->behaviour)) {
    case FAKE_CLOSES: return;
    case FAKE_NEVER_GREETS:
        atomic_fetch_add(&peer->silent_count, 1);
        while (read_all(fd, greeting, 1))
            ;
        return;
    case FAKE_GREETS_WRONG:
        if (write_all(fd, (const uint8_t *)http, sizeof http - 1))
            while (read_all(fd, greeting, 1))
                ;
        return;
    default: break;
    }
    if (!write_all(fd, SP_GREETING_REP, SP_GREETING_BYTES) ||
        !read_all(fd, greeting, SP_GREETING_BYTES))
        return;
    ASSERT(memcmp(greeting, SP_GREETING_REQ, SP_GREETING_BYTES) == 0);
    struct incoming first;
    struct incoming second;
    while (read_request(peer, fd, &first)) {
        if (index == 0 && atomic_load(&peer->behaviour) == FAKE_FIRST_NEVER_ANSWERS)
            continue;
        if (atomic_load(&peer->behaviour) == FAKE_ANSWERS_IN_PAIRS &&
            (!read_request(peer, fd, &second) || !answer(peer, fd, &second)))
            return;
        if (!answer(peer, fd, &first))
            return;
    }
}

struct handover {
    struct fake_peer *peer;
    uint32_t index;
};

static void *run_connection(void *argument)
{
    struct handover *handover = argument;
    struct fake_peer *peer = handover->peer;
    uint32_t index = handover->index;
    free(handover);
    pthread_mutex_lock(&peer->mutex);
    int fd = peer->connections[index].fd;
    pthread_mutex_unlock(&peer->mutex);
    serve(peer, index, fd);
    pthread_mutex_lock(&peer->mutex);
    close(fd);
    peer->connections[index].fd = -1;
    pthread_mutex_unlock(&peer->mutex);
    return NULL;
}

static void *run_acceptor(void *argument)
{
    struct fake_peer *peer = argument;
    for (;;) {
        int fd = accept(peer->listener, NULL, NULL);
        bool is_short = fd < 0 && errno == EMFILE; /* a test takes descriptors away for a moment */
        pthread_mutex_lock(&peer->mutex);
        if (is_short && !peer->stopping) {
            pthread_mutex_unlock(&peer->mutex);
            continue;
        }
        if (fd < 0 || peer->stopping) {
            pthread_mutex_unlock(&peer->mutex);
            if (fd >= 0)
                close(fd);
            return NULL;
        }
        ASSERT(peer->used < FAKE_CONNECTIONS_MAX);
        struct handover *handover = malloc(sizeof *handover);
        ASSERT(handover != NULL);
        *handover = (struct handover){peer, peer->used++};
        peer->connections[handover->index].fd = fd;
        atomic_fetch_add(&peer->connection_count, 1);
        int rc = pthread_create(&peer->connections[handover->index].thread, NULL, run_connection,
                                handover);
        ASSERT(rc == 0);
        pthread_mutex_unlock(&peer->mutex);
    }
}

static void start(struct fake_peer *peer, enum fake_behaviour behaviour,
                  const struct sockaddr *address, socklen_t length)
{
    int on = 1;
    peer->listener = socket(address->sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    ASSERT(peer->listener >= 0);
    setsockopt(peer->listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    ASSERT(bind(peer->listener, address, length) == 0);
    ASSERT(listen(peer->listener, 128) == 0);
    pthread_mutex_init(&peer->mutex, NULL);
    pthread_cond_init(&peer->changed, NULL);
    atomic_store(&peer->behaviour, behaviour);

    uint8_t reply[64];
    struct pack pack = pack_into(reply, sizeof reply);
    pack_map(&pack, 2);
    pack_key(&pack, "ok");
    pack_bool(&pack, true);
    pack_key(&pack, "items");
    pack_array(&pack, 2);
    for (int i = 0; i < 2; i++) {
        pack_map(&pack, 1);
        pack_key(&pack, "id");
        pack_str(&pack, i == 0 ? "a" : "b");
    }
    fake_peer_set_reply(peer, reply, pack.used);
    ASSERT(pthread_create(&peer->acceptor, NULL, run_acceptor, peer) == 0);
}

void fake_peer_start(struct fake_peer *peer, uint16_t port, enum fake_behaviour behaviour)
{
    memset(peer, 0, sizeof *peer);
    struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    start(peer, behaviour, (struct sockaddr *)&address, sizeof address);
    socklen_t length = sizeof address;
    ASSERT(getsockname(peer->listener, (struct sockaddr *)&address, &length) == 0);
    peer->port = ntohs(address.sin_port);
    snprintf(peer->url, sizeof peer->url, "tcp://127.0.0.1:%u", peer->port);
}

void fake_peer_start_ipc(struct fake_peer *peer, const char *path, enum fake_behaviour behaviour)
{
    memset(peer, 0, sizeof *peer);
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    ASSERT(strlen(path) < sizeof address.sun_path);
    memcpy(address.sun_path, path, strlen(path) + 1);
    peer->ipc = true;
    start(peer, behaviour, (struct sockaddr *)&address, sizeof address);
    snprintf(peer->url, sizeof peer->url, "ipc://%s", path);
}

void fake_peer_stop(struct fake_peer *peer)
{
    pthread_mutex_lock(&peer->mutex);
    peer->stopping = true;
    shutdown(peer->listener, SHUT_RDWR); /* ends accept */
    pthread_cond_broadcast(&peer->changed);
    pthread_mutex_unlock(&peer->mutex);
    pthread_join(peer->acceptor, NULL);
    pthread_mutex_lock(&peer->mutex);
    for (uint32_t i = 0; i < peer->used; i++)
        if (peer->connections[i].fd >= 0)
            shutdown(peer->connections[i].fd, SHUT_RDWR);
    pthread_mutex_unlock(&peer->mutex);
    for (uint32_t i = 0; i < peer->used; i++)
        pthread_join(peer->connections[i].thread, NULL);
    close(peer->listener);
    pthread_cond_destroy(&peer->changed);
    pthread_mutex_destroy(&peer->mutex);
}

void fake_peer_set_reply(struct fake_peer *peer, const void *bytes, size_t len)
{
    ASSERT(len <= sizeof peer->reply);
    pthread_mutex_lock(&peer->mutex);
    memcpy(peer->reply, bytes, len);
    peer->reply_len = len;
    pthread_mutex_unlock(&peer->mutex);
}

void fake_peer_set_refusal(struct fake_peer *peer, const char *code)
{
    fake_peer_set_pause(peer, code, 0);
}

void fake_peer_set_pause(struct fake_peer *peer, const char *code, uint32_t retry_after_ms)
{
    uint8_t reply[256];
    struct pack pack = pack_into(reply, sizeof reply);
    pack_map(&pack, 2);
    pack_key(&pack, "ok");
    pack_bool(&pack, false);
    pack_key(&pack, "error");
    pack_map(&pack, retry_after_ms == 0 ? 2 : 3);
    pack_key(&pack, "code");
    pack_str(&pack, code);
    pack_key(&pack, "message");
    pack_str(&pack, "told to");
    if (retry_after_ms != 0) {
        pack_key(&pack, "retry_after_ms");
        pack_int(&pack, retry_after_ms);
    }
    ASSERT(!pack.overflow);
    fake_peer_set_reply(peer, reply, pack.used);
}

void fake_peer_hold(struct fake_peer *peer, bool hold)
{
    pthread_mutex_lock(&peer->mutex);
    peer->holding = hold;
    pthread_cond_broadcast(&peer->changed);
    pthread_mutex_unlock(&peer->mutex);
}

void fake_peer_wait_requests(struct fake_peer *peer, uint32_t count)
{
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += 30;
    pthread_mutex_lock(&peer->mutex);
    while (atomic_load(&peer->request_count) < count)
        ASSERT(pthread_cond_timedwait(&peer->changed, &peer->mutex, &until) == 0);
    pthread_mutex_unlock(&peer->mutex);
}

size_t fake_peer_request(struct fake_peer *peer, uint8_t buf[FAKE_BYTES_MAX])
{
    pthread_mutex_lock(&peer->mutex);
    size_t len = peer->request_len;
    memcpy(buf, peer->request, len);
    pthread_mutex_unlock(&peer->mutex);
    return len;
}
