/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/fault_proxy.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"

enum { DELAY_NS_MAX = 30000000, TRICKLE_NS = 1000000, FAULTY_SHARE = 4 };

static void die(const char *what)
{
    fprintf(stderr, "fault_proxy: %s: %s\n", what, strerror(errno));
    abort();
}

static struct sockaddr_in loopback(uint16_t port)
{
    return (struct sockaddr_in){.sin_family = AF_INET,
                                .sin_port = htons(port),
                                .sin_addr = {.s_addr = htonl(INADDR_LOOPBACK)}};
}

static void end_link(struct fault_link *link, bool reset)
{
    const struct linger at_once = {.l_onoff = 1, .l_linger = 0};
    for (int side = 0; side < 2; side++) {
        if (reset)
            setsockopt(link->pipe[side].from, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
        close(link->pipe[side].from);
    }
    link->used = 0;
}

static void begin_link(struct fault_proxy *proxy)
{
    int client = accept4(proxy->listener, NULL, NULL, SOCK_CLOEXEC);
    if (client < 0)
        return;
    int server = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in address = loopback(proxy->server_port);
    const int on = 1;
    uint32_t i = 0;
    while (i < FAULT_LINKS_MAX && proxy->link[i].used)
        i++;
    if (i == FAULT_LINKS_MAX || server < 0 ||
        connect(server, (struct sockaddr *)&address, sizeof address) != 0) {
        close(client);
        if (server >= 0)
            close(server);
        return;
    }
    struct fault_link *link = &proxy->link[i];
    setsockopt(client, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    setsockopt(server, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    *link = (struct fault_link){.used = 1};
    link->pipe[0].from = link->pipe[1].to = client;
    link->pipe[0].to = link->pipe[1].from = server;
}

/* What becomes of the piece that was just read. */
static void meet_fault(struct fault_proxy *proxy, struct fault_link *link, struct fault_pipe *pipe)
{
    int fault = atomic_load(&proxy->fault);
    if (fault == FAULT_NONE || rand_below(&proxy->rand, FAULTY_SHARE) != 0)
        return;
    if (fault == FAULT_ANY)
        fault = FAULT_DELAY + (int)rand_below(&proxy->rand, FAULT_ANY - FAULT_DELAY);
    atomic_fetch_add(&proxy->fault_count, 1);
    switch (fault) {
    case FAULT_DELAY:
        pipe->not_before_ns = clock_now_ns(clock_system()) + rand_below(&proxy->rand, DELAY_NS_MAX);
        break;
    case FAULT_DROP: pipe->hole = 1; break;
    case FAULT_RESET: end_link(link, true); break;
    case FAULT_TRICKLE: pipe->trickles = 1; break;
    case FAULT_HALF_CLOSE:
        pipe->hole = 1;
        shutdown(pipe->to, SHUT_WR);
        break;
    case FAULT_CORRUPT:
        pipe->bytes[rand_below(&proxy->rand, pipe->end)] ^=
            (uint8_t)(1u << rand_below(&proxy->rand, 8));
        break;
    default: break;
    }
}

static void read_piece(struct fault_proxy *proxy, struct fault_link *link, struct fault_pipe *pipe)
{
    ssize_t n = recv(pipe->from, pipe->bytes, sizeof pipe->bytes, MSG_DONTWAIT);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n < 0) {
        end_link(link, true);
        return;
    }
    if (n == 0) {
        pipe->ended = 1;
        shutdown(pipe->to, SHUT_WR);
        if (link->pipe[0].ended && link->pipe[1].ended)
            end_link(link, false);
        return;
    }
    pipe->begin = 0;
    pipe->end = (size_t)n;
    meet_fault(proxy, link, pipe);
    if (link->used && pipe->hole)
        pipe->end = 0;
}

static void write_piece(struct fault_link *link, struct fault_pipe *pipe, uint64_t now_ns)
{
    if (now_ns < pipe->not_before_ns)
        return;
    size_t len = pipe->trickles ? 1 : pipe->end - pipe->begin;
    ssize_t n = send(pipe->to, pipe->bytes + pipe->begin, len, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (n < 0 && errno != EAGAIN && errno != EINTR)
        end_link(link, true);
    if (n > 0)
        pipe->begin += (size_t)n;
    if (pipe->trickles)
        pipe->not_before_ns = now_ns + TRICKLE_NS;
}

static void turn(struct fault_proxy *proxy, const struct pollfd *fd, struct fault_pipe *const *pipe,
                 struct fault_link *const *link, nfds_t count)
{
    uint64_t now_ns = clock_now_ns(clock_system());
    for (nfds_t i = 0; i < count; i++) {
        if (link[i]->used && fd[i].revents != 0 && pipe[i]->begin == pipe[i]->end)
            read_piece(proxy, link[i], pipe[i]);
        if (link[i]->used && pipe[i]->begin < pipe[i]->end)
            write_piece(link[i], pipe[i], now_ns);
    }
}

static void *run(void *arg)
{
    struct fault_proxy *proxy = arg;
    struct pollfd fd[2 + 2 * FAULT_LINKS_MAX];
    struct fault_pipe *pipe[2 * FAULT_LINKS_MAX];
    struct fault_link *link[2 * FAULT_LINKS_MAX];
    for (;;) {
        nfds_t count = 0;
        bool pending = false;
        fd[0] = (struct pollfd){proxy->listener, POLLIN, 0};
        fd[1] = (struct pollfd){proxy->wake, POLLIN, 0};
        for (uint32_t i = 0; i < FAULT_LINKS_MAX; i++) {
            for (int side = 0; proxy->link[i].used && side < 2; side++) {
                struct fault_pipe *one = &proxy->link[i].pipe[side];
                bool full = one->begin < one->end;
                pending = pending || full;
                fd[2 + count] = (struct pollfd){one->ended || full ? -1 : one->from, POLLIN, 0};
                pipe[count] = one;
                link[count++] = &proxy->link[i];
            }
        }
        if (poll(fd, 2 + count, pending ? 1 : -1) < 0 && errno != EINTR)
            die("poll");
        if (fd[1].revents != 0)
            return NULL;
        turn(proxy, fd + 2, pipe, link, count);
        if (fd[0].revents != 0)
            begin_link(proxy);
    }
}

void fault_proxy_start(struct fault_proxy *proxy, const char *server_url, uint64_t seed)
{
    struct sockaddr_in address = loopback(0);
    socklen_t address_bytes = sizeof address;
    unsigned port = 0;
    int ends[2];
    memset(proxy, 0, sizeof *proxy);
    rand_init(&proxy->rand, seed);
    if (sscanf(server_url, "tcp://127.0.0.1:%u", &port) != 1)
        die(server_url);
    proxy->server_port = (uint16_t)port;
    proxy->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (proxy->listener < 0 ||
        bind(proxy->listener, (struct sockaddr *)&address, sizeof address) != 0 ||
        listen(proxy->listener, 128) != 0 ||
        getsockname(proxy->listener, (struct sockaddr *)&address, &address_bytes) != 0 ||
        pipe2(ends, O_CLOEXEC) != 0)
        die("start");
    proxy->wake = ends[0];
    proxy->wake_other = ends[1];
    snprintf(proxy->url, sizeof proxy->url, "tcp://127.0.0.1:%u", ntohs(address.sin_port));
    if (pthread_create(&proxy->thread, NULL, run, proxy) != 0)
        die("thread");
}

void fault_proxy_set(struct fault_proxy *proxy, enum fault fault)
{
    atomic_store(&proxy->fault, fault);
}

void fault_proxy_stop(struct fault_proxy *proxy)
{
    if (write(proxy->wake_other, "x", 1) != 1)
        die("stop");
    pthread_join(proxy->thread, NULL);
    for (uint32_t i = 0; i < FAULT_LINKS_MAX; i++) {
        if (proxy->link[i].used)
            end_link(&proxy->link[i], false);
    }
    close(proxy->listener);
    close(proxy->wake);
    close(proxy->wake_other);
}
