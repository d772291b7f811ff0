/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/sp_fixture.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>

#include "server/metrics.h"

#define WAIT_S 60

static void must(bool condition, const char *what)
{
    if (!condition) {
        fprintf(stderr, "sp_fixture: %s\n", what);
        abort();
    }
}

void sp_fixture_init(struct sp_fixture *fixture)
{
    *fixture = (struct sp_fixture){.server = NULL};
    struct err err;
    text_service_init(&fixture->service, TEXT_SERVICE_WORKERS_MAX);
    temp_dir_create(&fixture->dir);
    /* Slots are never given back, and a test may start many servers. */
    must(metrics_create(server_metric_families, M_COUNT, 1024, &fixture->metrics, &err) == ERR_OK,
         "no metrics");
}

struct sp_server_options sp_fixture_options(struct sp_fixture *fixture)
{
    static const char *const any_port[] = {"tcp://127.0.0.1:0"};
    return (struct sp_server_options){
        .addresses = any_port,
        .address_count = 1,
        .worker_count = 2,
        .message_bytes_max = 65536,
        .connections_max = 100,
        .handshake_timeout_ms = 10000,
        .message_timeout_ms = 10000,
        .send_timeout_ms = 50,
        .heartbeat_ms = 5,
        .call = text_service_call,
        .service = &fixture->service,
        .claim_worker = text_service_claim,
        .claim_ctx = &fixture->service,
        .metrics = fixture->metrics,
        .clock = clock_system(),
    };
}

void sp_fixture_start(struct sp_fixture *fixture, const struct sp_server_options *options)
{
    struct err err = {0};
    fixture->service.claimed_count = 0;
    must(sp_server_create(options, &fixture->server, &err) == ERR_OK, err.text);
    must(sp_server_start(fixture->server, &err) == ERR_OK, err.text);
}

void sp_fixture_deinit(struct sp_fixture *fixture)
{
    sp_server_destroy(&fixture->server);
    metrics_destroy(&fixture->metrics);
    temp_dir_remove(&fixture->dir);
    text_service_deinit(&fixture->service);
}

int sp_fixture_set_up(void **state)
{
    struct sp_fixture *fixture = malloc(sizeof *fixture);
    must(fixture != NULL, "out of memory");
    sp_fixture_init(fixture);
    *state = fixture;
    return 0;
}

int sp_fixture_tear_down(void **state)
{
    sp_fixture_deinit(*state);
    free(*state);
    return 0;
}

const char *sp_fixture_url(const struct sp_fixture *fixture)
{
    return sp_server_address(fixture->server, 0);
}

char *sp_fixture_ipc_url(struct sp_fixture *fixture, char *buf, size_t buf_bytes)
{
    snprintf(buf, buf_bytes, "ipc://%s/sock", fixture->dir.path);
    return buf;
}

bool sp_fixture_metric_becomes(struct sp_fixture *fixture, uint32_t family, uint32_t l0,
                               uint64_t value)
{
    return text_service_metric_becomes(fixture->metrics, family, l0, value);
}

bool sp_fixture_becomes_idle(struct sp_fixture *fixture)
{
    uint64_t deadline_ns = clock_now_ns(clock_system()) + WAIT_S * UINT64_C(1000000000);
    while (sp_server_in_flight(fixture->server) > 0) {
        if (clock_now_ns(clock_system()) > deadline_ns)
            return false;
        poll(NULL, 0, 1);
    }
    return true;
}
