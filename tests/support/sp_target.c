/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/sp_target.h"

#include <stdlib.h>

#include "server/metrics.h"
#include "tests/support/sp_client.h"

int sp_target_set_up_with(void **state, uint32_t send_timeout_ms)
{
    struct sp_target *target = malloc(sizeof *target);
    char ipc[600];
    sp_fixture_init(&target->fixture);
    const char *const addresses[] = {"tcp://127.0.0.1:0",
                                     sp_fixture_ipc_url(&target->fixture, ipc, sizeof ipc)};
    struct sp_server_options options = sp_fixture_options(&target->fixture);
    options.addresses = addresses;
    options.address_count = 2;
    options.connections_max = 1000;
    options.send_timeout_ms = send_timeout_ms;
    sp_fixture_start(&target->fixture, &options);
    for (uint32_t i = 0; i < 2; i++)
        target->url[i] = sp_server_address(target->fixture.server, i);
    *state = target;
    return 0;
}

int sp_target_set_up(void **state)
{
    return sp_target_set_up_with(state, 50);
}

int sp_target_tear_down(void **state)
{
    struct sp_target *target = *state;
    struct sp_fixture *fixture = &target->fixture;
    bool fine = sp_serves(target->url[0]) && sp_serves(target->url[1]) &&
                sp_fixture_metric_becomes(fixture, M_CONNECTIONS, TRANSPORT_SP, 0) &&
                sp_fixture_becomes_idle(fixture);
    sp_fixture_deinit(fixture);
    free(target);
    return fine ? 0 : -1;
}
