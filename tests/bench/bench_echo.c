/* SPDX-License-Identifier: Apache-2.0 */
/* bench_echo - what the request socket costs over a bare echo: the same clients ask, in turns, an
 * epoll loop that speaks the same wire and does nothing, and nng_server with a service that copies
 * a reply.
 *
 * usage: bench_echo [ROUNDS [MILLISECONDS]]     (default 5 rounds of 1000 ms each)
 *
 * Closed loop over tcp: 200-byte requests, 1,000-byte replies, one client and four.  Turns are
 * short and alternate, so that noise of the machine meets both alike; the ratios are what counts.
 */
#include <arpa/inet.h>
#include <endian.h>
#include <errno.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/hist.h"
#include "base/num.h"
#include "server/metrics.h"
#include "server/transport/nng_server.h"
#include "tests/support/sp_client.h"

enum { REQUEST_BYTES = 200, REPLY_BYTES = 1000, CLIENTS_MAX = 4, ID_BYTES = 4, LENGTH_BYTES = 8 };

struct frame {
    uint64_t length; /* big-endian: id and body */
    uint8_t payload[ID_BYTES + REPLY_BYTES];
};

static _Noreturn void fail(const char *what)
{
    fprintf(stderr, "bench_echo: %s: %s\n", what, strerror(errno));
    exit(1);
}

/* The bare echo: one thread, one read and one write for a request. */

static void shake_hands(int fd)
{
    static const uint8_t as_rep[8] = {0, 'S', 'P', 0, 0, 0x31, 0, 0};
    uint8_t as_req[8];
    int on = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    if (recv(fd, as_req, sizeof as_req, MSG_WAITALL) != sizeof as_req ||
        send(fd, as_rep, sizeof as_rep, MSG_NOSIGNAL) != sizeof as_rep)
        fail("handshake");
}

static void echo_once(int epoll_fd, int fd)
{
    struct frame request;
    struct frame reply = {.length = htobe64(ID_BYTES + REPLY_BYTES)};
    ssize_t n = recv(fd, &request, sizeof request, 0);
    if (n <= 0) {
        epoll_ctl(epoll_fd, EPOLL_CTL_DEL, fd, NULL);
        close(fd);
        return;
    }
    memcpy(reply.payload, request.payload, ID_BYTES);
    memset(reply.payload + ID_BYTES, 'r', REPLY_BYTES);
    if (send(fd, &reply, LENGTH_BYTES + ID_BYTES + REPLY_BYTES, MSG_NOSIGNAL) < 0)
        fail("send");
}

static void *run_bare_echo(void *arg)
{
    int listener = *(int *)arg;
    int epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    struct epoll_event event = {.events = EPOLLIN, .data.fd = listener};
    epoll_ctl(epoll_fd, EPOLL_CTL_ADD, listener, &event);
    for (;;) {
        struct epoll_event ready[64];
        int count = epoll_wait(epoll_fd, ready, 64, -1);
        for (int i = 0; i < count; i++) {
            if (ready[i].data.fd != listener) {
                echo_once(epoll_fd, ready[i].data.fd);
                continue;
            }
            int fd = accept(listener, NULL, NULL);
            shake_hands(fd);
            event = (struct epoll_event){.events = EPOLLIN, .data.fd = fd};
            epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &event);
        }
    }
    return NULL;
}

static void start_bare_echo(char *ret_url, size_t url_bytes)
{
    static int listener;
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t address_bytes = sizeof address;
    pthread_t thread;
    listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (listener < 0 || bind(listener, (struct sockaddr *)&address, sizeof address) != 0 ||
        listen(listener, 16) != 0 ||
        getsockname(listener, (struct sockaddr *)&address, &address_bytes) != 0 ||
        pthread_create(&thread, NULL, run_bare_echo, &listener) != 0)
        fail("bare echo");
    pthread_detach(thread);
    snprintf(ret_url, url_bytes, "tcp://127.0.0.1:%u", ntohs(address.sin_port));
}

/* The request socket, as the daemon sets it up. */

static enum call_state copy_reply(void *service, struct worker *worker, struct call *call)
{
    (void)service;
    (void)worker;
    memset(call->reply, 'r', REPLY_BYTES);
    call->reply_bytes = REPLY_BYTES;
    call->code = REPLY_ok;
    return CALL_DONE;
}

static struct worker *claim_worker(void *ctx)
{
    return ctx; /* never looked into */
}

static struct nng_server *start_nng_server(struct metrics *metrics)
{
    static const char *const addresses[] = {"tcp://127.0.0.1:0"};
    static char worker;
    const struct nng_server_options options = {.addresses = addresses,
                                               .address_count = 1,
                                               .message_bytes_max = 1 << 20,
                                               .connections_max = 100,
                                               .contexts = 64,
                                               .send_timeout_ms = 50,
                                               .call = copy_reply,
                                               .claim_worker = claim_worker,
                                               .claim_ctx = &worker,
                                               .metrics = metrics,
                                               .clock = clock_system()};
    struct nng_server *server = NULL;
    struct err err;
    if (nng_server_create(&options, &server, &err) != ERR_OK ||
        nng_server_start(server, &err) != ERR_OK) {
        fprintf(stderr, "bench_echo: %s\n", err.text);
        exit(1);
    }
    return server;
}

/* The clients. */

struct client {
    const char *url;
    uint64_t until_ns;
    struct hist *hist;
    pthread_t thread;
};

static void *run_client(void *arg)
{
    struct client *client = arg;
    struct sp_client socket;
    struct frame request = {.length = htobe64(ID_BYTES + REQUEST_BYTES), .payload = {0x80}};
    struct frame reply;
    if (!sp_open(&socket, client->url))
        fail(client->url);
    uint64_t before_ns = clock_now_ns(clock_system());
    while (before_ns < client->until_ns) {
        size_t wanted = LENGTH_BYTES + ID_BYTES + REPLY_BYTES;
        if (!sp_send_raw(&socket, &request, LENGTH_BYTES + ID_BYTES + REQUEST_BYTES) ||
            recv(socket.fd, &reply, wanted, MSG_WAITALL) != (ssize_t)wanted)
            fail("round trip");
        uint64_t now_ns = clock_now_ns(clock_system());
        hist_record(client->hist, now_ns - before_ns);
        before_ns = now_ns;
    }
    sp_close(&socket);
    return NULL;
}

static void measure(const char *url, uint32_t client_count, uint64_t duration_ns, struct hist *into)
{
    static struct hist hists[CLIENTS_MAX];
    struct client clients[CLIENTS_MAX];
    uint64_t until_ns = clock_now_ns(clock_system()) + duration_ns;
    for (uint32_t i = 0; i < client_count; i++) {
        hist_reset(&hists[i]);
        clients[i] = (struct client){.url = url, .until_ns = until_ns, .hist = &hists[i]};
        if (pthread_create(&clients[i].thread, NULL, run_client, &clients[i]) != 0)
            fail("thread");
    }
    for (uint32_t i = 0; i < client_count; i++) {
        pthread_join(clients[i].thread, NULL);
        hist_merge(into, &hists[i]);
    }
}

static void report(uint32_t client_count, const char *name, const struct hist *hist, double seconds)
{
    printf("%u client%s  %-10s  p50 %6.1f us  p99 %7.1f us  %8.0f requests/s\n", client_count,
           client_count == 1 ? " " : "s", name, (double)hist_quantile(hist, 0.5) / 1e3,
           (double)hist_quantile(hist, 0.99) / 1e3, (double)hist->count / seconds);
}

static void compare(const char *bare_url, const char *nng_url, uint32_t client_count,
                    int64_t rounds, int64_t round_ms)
{
    static struct hist bare;
    static struct hist nng;
    double seconds = (double)(rounds * round_ms) / 1e3;
    hist_reset(&bare);
    hist_reset(&nng);
    for (int64_t i = 0; i < rounds; i++) {
        measure(bare_url, client_count, (uint64_t)round_ms * 1000000, &bare);
        measure(nng_url, client_count, (uint64_t)round_ms * 1000000, &nng);
    }
    report(client_count, "bare echo", &bare, seconds);
    report(client_count, "nng_server", &nng, seconds);
    printf("%u client%s  ratio       p50 %6.2f     p99 %7.2f\n", client_count,
           client_count == 1 ? " " : "s",
           (double)hist_quantile(&nng, 0.5) / (double)hist_quantile(&bare, 0.5),
           (double)hist_quantile(&nng, 0.99) / (double)hist_quantile(&bare, 0.99));
}

int main(int argc, char **argv)
{
    int64_t rounds = 5;
    int64_t round_ms = 1000;
    if ((argc > 1 && !num_parse_int(text_of(argv[1]), 1, 1000, &rounds)) ||
        (argc > 2 && !num_parse_int(text_of(argv[2]), 10, 60000, &round_ms)) || argc > 3) {
        fprintf(stderr, "usage: bench_echo [ROUNDS [MILLISECONDS]]\n");
        return 2;
    }
    struct metrics *metrics = NULL;
    struct err err;
    if (metrics_create(server_metric_families, M_COUNT, 4, &metrics, &err) != ERR_OK) {
        fprintf(stderr, "bench_echo: %s\n", err.text);
        return 1;
    }
    char bare_url[64];
    start_bare_echo(bare_url, sizeof bare_url);
    struct nng_server *server = start_nng_server(metrics);
    compare(bare_url, nng_server_address(server, 0), 1, rounds, round_ms);
    compare(bare_url, nng_server_address(server, 0), CLIENTS_MAX, rounds, round_ms);
    nng_server_destroy(&server);
    metrics_destroy(&metrics);
    return 0;
}
