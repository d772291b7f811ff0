/* SPDX-License-Identifier: Apache-2.0 */
/* bench_echo - what the request sockets cost over a bare echo: the same clients ask, in turns, an
 * epoll loop that speaks the same wire and does nothing, and sp_server and nng_server with a
 * service that copies a reply.
 *
 * usage: bench_echo [ROUNDS [MILLISECONDS]]     (default 5 rounds of 1000 ms each)
 *
 * Closed loop over tcp: 200-byte requests, 1,000-byte replies; one client and four with one request
 * at a time, and four with sixteen.  Turns are short and alternate, so that noise of the machine
 * meets all alike; the ratios are what counts.
 */
#include <endian.h>
#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/hist.h"
#include "base/num.h"
#include "server/metrics.h"
#include "server/transport/nng_server.h"
#include "server/transport/sp_server.h"
#include "tests/support/sp_client.h"
#include "tools/bench/echo.h"

enum {
    REQUEST_BYTES = 200,
    REPLY_BYTES = 1000,
    HEADER_BYTES = 12, /* length and id */
    REQUEST_FRAME = HEADER_BYTES + REQUEST_BYTES,
    REPLY_FRAME = HEADER_BYTES + REPLY_BYTES,
    CLIENTS_MAX = 4,
    DEPTH_MAX = 16 /* requests that a client sends at once */
};

/* Length and id of a message with a body of so many bytes. */
static void put_header(uint8_t *frame, uint64_t body_bytes)
{
    uint64_t length = htobe64(HEADER_BYTES - 8 + body_bytes);
    memcpy(frame, &length, sizeof length);
    memcpy(frame + sizeof length, "\200\0\0\1", 4);
}

static _Noreturn void fail(const char *what)
{
    fprintf(stderr, "bench_echo: %s: %s\n", what, strerror(errno));
    exit(1);
}

static void must(enum err_code rc, const struct err *err)
{
    if (rc == ERR_OK)
        return;
    fprintf(stderr, "bench_echo: %s\n", err->text);
    exit(1);
}

/* The bare echo: the one that decide-bench has as its yardstick. */

static const uint8_t reply_bytes[REPLY_BYTES] = {'r'};

static void *run_bare_echo(void *arg)
{
    raw_echo_serve(*(int *)arg, reply_bytes, REPLY_BYTES);
}

static void start_bare_echo(char ret_url[ECHO_URL_BYTES])
{
    static int listener;
    struct err err;
    pthread_t thread;
    must(raw_echo_listen(NULL, &listener, ret_url, &err), &err);
    if (pthread_create(&thread, NULL, run_bare_echo, &listener) != 0)
        fail("bare echo");
    pthread_detach(thread);
}

/* The request sockets, as the daemon sets them up. */

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

static const char *const addresses[] = {"tcp://127.0.0.1:0"};
static char worker;

static struct sp_server *start_sp_server(struct metrics *metrics)
{
    const struct sp_server_options options = {.addresses = addresses,
                                              .address_count = 1,
                                              .worker_count = sp_server_usable_processors(),
                                              .message_bytes_max = 1 << 20,
                                              .connections_max = 100,
                                              .handshake_timeout_ms = 10000,
                                              .message_timeout_ms = 10000,
                                              .send_timeout_ms = 50,
                                              .heartbeat_ms = 200,
                                              .call = copy_reply,
                                              .claim_worker = claim_worker,
                                              .claim_ctx = &worker,
                                              .metrics = metrics,
                                              .clock = clock_system()};
    struct sp_server *server = NULL;
    struct err err;
    must(sp_server_create(&options, &server, &err), &err);
    must(sp_server_start(server, &err), &err);
    return server;
}

static struct nng_server *start_nng_server(struct metrics *metrics)
{
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
    must(nng_server_create(&options, &server, &err), &err);
    must(nng_server_start(server, &err), &err);
    return server;
}

/* The clients. */

struct client {
    const char *url;
    uint32_t depth;
    uint64_t until_ns;
    struct hist *hist;
    pthread_t thread;
};

static void *run_client(void *arg)
{
    struct client *client = arg;
    struct sp_client socket;
    uint8_t requests[DEPTH_MAX * REQUEST_FRAME] = {0};
    uint8_t replies[DEPTH_MAX * REPLY_FRAME];
    size_t wanted = client->depth * REPLY_FRAME;
    for (uint32_t i = 0; i < client->depth; i++)
        put_header(requests + i * REQUEST_FRAME, REQUEST_BYTES);
    if (!sp_open(&socket, client->url))
        fail(client->url);
    uint64_t before_ns = clock_now_ns(clock_system());
    while (before_ns < client->until_ns) {
        if (!sp_send_raw(&socket, requests, client->depth * REQUEST_FRAME) ||
            recv(socket.fd, replies, wanted, MSG_WAITALL) != (ssize_t)wanted)
            fail("round trip");
        uint64_t now_ns = clock_now_ns(clock_system());
        for (uint32_t i = 0; i < client->depth; i++)
            hist_record(client->hist, now_ns - before_ns);
        before_ns = now_ns;
    }
    sp_close(&socket);
    return NULL;
}

struct load {
    uint32_t client_count;
    uint32_t depth;
};

static void measure(const char *url, struct load load, uint64_t duration_ns, struct hist *into)
{
    static struct hist hists[CLIENTS_MAX];
    struct client clients[CLIENTS_MAX];
    uint64_t until_ns = clock_now_ns(clock_system()) + duration_ns;
    for (uint32_t i = 0; i < load.client_count; i++) {
        hist_reset(&hists[i]);
        clients[i] = (struct client){
            .url = url, .depth = load.depth, .until_ns = until_ns, .hist = &hists[i]};
        if (pthread_create(&clients[i].thread, NULL, run_client, &clients[i]) != 0)
            fail("thread");
    }
    for (uint32_t i = 0; i < load.client_count; i++) {
        pthread_join(clients[i].thread, NULL);
        hist_merge(into, &hists[i]);
    }
}

enum side { BARE, SP, NNG, SIDES };

static void report(struct load load, enum side side, const struct hist *hists, double seconds)
{
    static const char *const names[SIDES] = {"bare echo", "sp_server", "nng_server"};
    double p50 = (double)hist_quantile(&hists[side], 0.5);
    double p99 = (double)hist_quantile(&hists[side], 0.99);
    printf("%u x %-2u  %-10s  p50 %6.1f us  p99 %7.1f us  %8.0f requests/s", load.client_count,
           load.depth, names[side], p50 / 1e3, p99 / 1e3, (double)hists[side].count / seconds);
    printf("   of the bare echo: p50 %5.2f  p99 %5.2f  rate %5.2f\n",
           p50 / (double)hist_quantile(&hists[BARE], 0.5),
           p99 / (double)hist_quantile(&hists[BARE], 0.99),
           (double)hists[side].count / (double)hists[BARE].count);
}

static void compare(const char *const urls[SIDES], struct load load, int64_t rounds,
                    int64_t round_ms)
{
    static struct hist hists[SIDES];
    for (int side = 0; side < SIDES; side++)
        hist_reset(&hists[side]);
    for (int64_t i = 0; i < rounds; i++) {
        for (int side = 0; side < SIDES; side++)
            measure(urls[side], load, (uint64_t)round_ms * 1000000, &hists[side]);
    }
    for (int side = 0; side < SIDES; side++)
        report(load, (enum side)side, hists, (double)(rounds * round_ms) / 1e3);
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
    must(metrics_create(server_metric_families, M_COUNT, 2 * SP_SERVER_WORKERS_MAX, &metrics, &err),
         &err);
    char bare_url[ECHO_URL_BYTES];
    start_bare_echo(bare_url);
    struct sp_server *sp_server = start_sp_server(metrics);
    struct nng_server *nng_server = start_nng_server(metrics);
    const char *const urls[SIDES] = {bare_url, sp_server_address(sp_server, 0),
                                     nng_server_address(nng_server, 0)};
    compare(urls, (struct load){1, 1}, rounds, round_ms);
    compare(urls, (struct load){CLIENTS_MAX, 1}, rounds, round_ms);
    compare(urls, (struct load){CLIENTS_MAX, DEPTH_MAX}, rounds, round_ms);
    nng_server_destroy(&nng_server);
    sp_server_destroy(&sp_server);
    metrics_destroy(&metrics);
    return 0;
}
