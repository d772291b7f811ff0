/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/http_target.h"

#include <stdlib.h>

#include "server/metrics.h"
#include "tests/support/http_fixture.h"

static void start(struct http_fixture *fixture, uint32_t request_timeout_ms,
                  uint32_t idle_timeout_ms)
{
    http_fixture_init(fixture);
    struct http_server_options options = http_fixture_options(fixture);
    options.request_timeout_ms = request_timeout_ms;
    options.idle_timeout_ms = idle_timeout_ms;
    http_fixture_start(fixture, &options);
}

int http_target_set_up(void **state)
{
    *state = malloc(sizeof(struct http_fixture));
    start(*state, 5000, 10000);
    return 0;
}

int http_target_set_up_hasty(void **state)
{
    *state = malloc(sizeof(struct http_fixture));
    start(*state, 200, 300);
    return 0;
}

/* What a storm has left in the queue of the kernel may still fill the server for a moment. */
static bool http_target_serves(struct http_fixture *fixture)
{
    uint64_t deadline_ns = clock_now_ns(clock_system()) + HTTP_TIMEOUT_S * UINT64_C(1000000000);
    while (clock_now_ns(clock_system()) < deadline_ns) {
        struct http_reply reply = http_post(fixture, "/v1/echo", "{}");
        if (reply.status == 200)
            return true;
    }
    return false;
}

int http_target_tear_down(void **state)
{
    struct http_fixture *fixture = *state;
    bool fine = http_target_serves(fixture) &&
                http_fixture_metric_becomes(fixture, M_CONNECTIONS, TRANSPORT_HTTP, 0);
    http_fixture_deinit(fixture);
    free(fixture);
    return fine ? 0 : -1;
}
