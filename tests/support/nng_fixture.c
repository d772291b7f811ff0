/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/nng_fixture.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "server/metrics.h"
#include "tests/support/sp_client.h"

#define WAIT_S 10

static void must(bool condition, const char *what)
{
    if (!condition) {
        fprintf(stderr, "nng_fixture: %s\n", what);
        abort();
    }
}

static struct worker *claim_worker(void *ctx)
{
    struct nng_fixture *fixture = ctx;
    static char workers[NNG_SERVER_TASK_THREADS];
    uint32_t index = fixture->claimed_count++;
    return index < NNG_SERVER_TASK_THREADS ? (struct worker *)&workers[index] : NULL;
}

static void reply_with(struct call *call, const void *bytes, size_t len)
{
    must(len <= call->reply_capacity, "the reply is longer than its buffer");
    memcpy(call->reply, bytes, len);
    call->reply_bytes = len;
    call->code = REPLY_ok;
}

static bool starts_with(const struct call *call, const char *text)
{
    return call->request_bytes >= strlen(text) && memcmp(call->request, text, strlen(text)) == 0;
}

static enum call_state serve(void *service, struct worker *worker, struct call *call)
{
    struct nng_fixture *fixture = service;
    must(worker != NULL && call->arrived_ns > 0, "a call lacks its worker or its time");
    must(call->reply_capacity >= CALL_REPLY_BYTES, "the reply buffer is small");
    if (starts_with(call, "local")) {
        reply_with(call, call->local ? "yes" : "no", call->local ? 3 : 2);
    } else if (starts_with(call, "big:")) {
        char digits[16] = {0};
        memcpy(digits, call->request + 4,
               call->request_bytes - 4 < 15 ? call->request_bytes - 4 : 15);
        call->reply_bytes = strtoul(digits, NULL, 10);
        must(call->reply_bytes <= call->reply_capacity, "the reply is longer than its buffer");
        memset(call->reply, 'b', call->reply_bytes);
    } else if (starts_with(call, "later")) {
        pthread_mutex_lock(&fixture->mutex);
        must(fixture->deferred_count < NNG_FIXTURE_DEFERRED_MAX, "too many deferred calls");
        fixture->deferred[fixture->deferred_count++] = call;
        pthread_cond_broadcast(&fixture->changed);
        pthread_mutex_unlock(&fixture->mutex);
        return CALL_DEFERRED;
    } else {
        reply_with(call, call->request, call->request_bytes);
    }
    return CALL_DONE;
}

void nng_fixture_init(struct nng_fixture *fixture)
{
    *fixture = (struct nng_fixture){.server = NULL};
    struct err err;
    pthread_mutex_init(&fixture->mutex, NULL);
    pthread_cond_init(&fixture->changed, NULL);
    temp_dir_create(&fixture->dir);
    must(metrics_create(server_metric_families, M_COUNT, 4, &fixture->metrics, &err) == ERR_OK,
         "no metrics");
}

struct nng_server_options nng_fixture_options(struct nng_fixture *fixture)
{
    static const char *const any_port[] = {"tcp://127.0.0.1:0"};
    return (struct nng_server_options){
        .addresses = any_port,
        .address_count = 1,
        .message_bytes_max = 65536,
        .connections_max = 100,
        .contexts = 16,
        .send_timeout_ms = 50,
        .call = serve,
        .service = fixture,
        .claim_worker = claim_worker,
        .claim_ctx = fixture,
        .metrics = fixture->metrics,
        .clock = clock_system(),
    };
}

void nng_fixture_start(struct nng_fixture *fixture, const struct nng_server_options *options)
{
    struct err err = {0};
    fixture->claimed_count = 0;
    must(nng_server_create(options, &fixture->server, &err) == ERR_OK, err.text);
    must(nng_server_start(fixture->server, &err) == ERR_OK, err.text);
}

void nng_fixture_deinit(struct nng_fixture *fixture)
{
    nng_server_destroy(&fixture->server);
    metrics_destroy(&fixture->metrics);
    temp_dir_remove(&fixture->dir);
    pthread_cond_destroy(&fixture->changed);
    pthread_mutex_destroy(&fixture->mutex);
}

const char *nng_fixture_url(const struct nng_fixture *fixture)
{
    return nng_server_address(fixture->server, 0);
}

char *nng_fixture_ipc_url(struct nng_fixture *fixture, char *buf, size_t buf_bytes)
{
    snprintf(buf, buf_bytes, "ipc://%s/sock", fixture->dir.path);
    return buf;
}

bool nng_fixture_serves(const char *url)
{
    struct sp_client client;
    char reply[16];
    if (!sp_open(&client, url))
        return false;
    ssize_t len = sp_ask(&client, "alive?", reply, sizeof reply);
    sp_close(&client);
    return len == 6 && memcmp(reply, "alive?", 6) == 0;
}

bool nng_fixture_wait_deferred(struct nng_fixture *fixture, uint32_t count)
{
    struct timespec deadline;
    clock_gettime(CLOCK_REALTIME, &deadline);
    deadline.tv_sec += WAIT_S;
    int rc = 0;
    pthread_mutex_lock(&fixture->mutex);
    while (fixture->deferred_count < count && rc == 0)
        rc = pthread_cond_timedwait(&fixture->changed, &fixture->mutex, &deadline);
    bool enough = fixture->deferred_count >= count;
    pthread_mutex_unlock(&fixture->mutex);
    return enough;
}

void nng_fixture_complete(struct nng_fixture *fixture)
{
    for (;;) {
        pthread_mutex_lock(&fixture->mutex);
        struct call *call =
            fixture->deferred_count > 0 ? fixture->deferred[--fixture->deferred_count] : NULL;
        pthread_mutex_unlock(&fixture->mutex);
        if (call == NULL)
            return;
        reply_with(call, call->request, call->request_bytes);
        call->complete(call);
    }
}

bool nng_fixture_metric_becomes(struct nng_fixture *fixture, uint32_t family, uint32_t l0,
                                uint64_t value)
{
    uint64_t deadline_ns = clock_now_ns(clock_system()) + WAIT_S * UINT64_C(1000000000);
    while (metric_value(fixture->metrics, family, l0, 0) != value) {
        if (clock_now_ns(clock_system()) > deadline_ns)
            return false;
        poll(NULL, 0, 1);
    }
    return true;
}

bool nng_fixture_becomes_idle(struct nng_fixture *fixture)
{
    uint64_t deadline_ns = clock_now_ns(clock_system()) + WAIT_S * UINT64_C(1000000000);
    while (nng_server_in_flight(fixture->server) > 0) {
        if (clock_now_ns(clock_system()) > deadline_ns)
            return false;
        poll(NULL, 0, 1);
    }
    return true;
}
