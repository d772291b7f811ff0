/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/nng_fixture.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>

#include "server/metrics.h"
#include "tests/support/sp_client.h"

#define WAIT_S 60

static void must(bool condition, const char *what)
{
    if (!condition) {
        fprintf(stderr, "nng_fixture: %s\n", what);
        abort();
    }
}

void nng_fixture_init(struct nng_fixture *fixture)
{
    *fixture = (struct nng_fixture){.server = NULL};
    struct err err;
    text_service_init(&fixture->service, NNG_SERVER_TASK_THREADS);
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
        .call = text_service_call,
        .service = &fixture->service,
        .claim_worker = text_service_claim,
        .claim_ctx = &fixture->service,
        .metrics = fixture->metrics,
        .clock = clock_system(),
    };
}

void nng_fixture_start(struct nng_fixture *fixture, const struct nng_server_options *options)
{
    struct err err = {0};
    fixture->service.claimed_count = 0;
    must(nng_server_create(options, &fixture->server, &err) == ERR_OK, err.text);
    must(nng_server_start(fixture->server, &err) == ERR_OK, err.text);
}

void nng_fixture_deinit(struct nng_fixture *fixture)
{
    nng_server_destroy(&fixture->server);
    metrics_destroy(&fixture->metrics);
    temp_dir_remove(&fixture->dir);
    text_service_deinit(&fixture->service);
}

int nng_fixture_set_up(void **state)
{
    struct nng_fixture *fixture = malloc(sizeof *fixture);
    must(fixture != NULL, "out of memory");
    nng_fixture_init(fixture);
    *state = fixture;
    return 0;
}

int nng_fixture_tear_down(void **state)
{
    nng_fixture_deinit(*state);
    free(*state);
    return 0;
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

bool nng_fixture_wait_deferred(struct nng_fixture *fixture, uint32_t count)
{
    return text_service_wait_deferred(&fixture->service, count);
}

void nng_fixture_complete(struct nng_fixture *fixture)
{
    text_service_complete(&fixture->service);
}

bool nng_fixture_metric_becomes(struct nng_fixture *fixture, uint32_t family, uint32_t l0,
                                uint64_t value)
{
    return text_service_metric_becomes(fixture->metrics, family, l0, value);
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
