/* SPDX-License-Identifier: Apache-2.0 */
/* What happens without the remedy against nng issue 1518, and that the watchdog then helps. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <unistd.h>

#include <cmocka.h>

#include "server/metrics.h"
#include "server/transport/nng_internal.h"
#include "server/transport/nng_wrap.h"
#include "tests/support/nng_fixture.h"
#include "tests/support/sp_client.h"

/* A deaf listener goes on shaking hands, and nng never frees what it then leaves lying. */
const char *__lsan_default_suppressions(void);
const char *__lsan_default_suppressions(void)
{
    return "leak:nni_listener_create\nleak:nni_listener_start\nleak:ipc_ep_accept_cb\n"
           "leak:ipc_listener_doaccept\n";
}

/* What nng 1.5.2 does when left alone; it shows that the storms of the other tests would bite. */
static void make_deaf(const char *url)
{
    union nng_probe_address address = {.un = {.sun_family = AF_UNIX}};
    snprintf(address.un.sun_path, sizeof address.un.sun_path, "%.100s", url + 6);
    nng_wrap_restore_defect(true);
    uint64_t deadline_ns = nng_monotonic_ns() + SP_TIMEOUT_S * UINT64_C(1000000000);
    enum nng_probe_result result = PROBE_ANSWERED;
    while (result == PROBE_ANSWERED && nng_monotonic_ns() < deadline_ns) {
        for (int i = 0; i < 20; i++) {
            struct sp_client client;
            if (sp_connect(&client, url))
                sp_close(&client);
        }
        result = nng_probe(&address, sizeof address.un, 500);
    }
    nng_wrap_restore_defect(false);
    assert_int_equal(result, PROBE_SILENT);
}

static void test_the_watchdog_restarts_a_deaf_listener_and_leaves_others_alone(void **state)
{
    struct nng_fixture *fixture = *state;
    char ipc[600];
    const char *const addresses[] = {nng_fixture_ipc_url(fixture, ipc, sizeof ipc),
                                     "tcp://127.0.0.1:0"};
    struct nng_server_options options = nng_fixture_options(fixture);
    options.addresses = addresses;
    options.address_count = 2;
    nng_fixture_start(fixture, &options);
    nng_watchdog_round(fixture->server);
    assert_int_equal(metric_value(fixture->metrics, M_LISTENER_RESTARTS, 0, 0), 0);
    struct sp_client untouched;
    assert_true(sp_open(&untouched, nng_server_address(fixture->server, 1)));
    make_deaf(ipc);
    assert_true(nng_fixture_metric_becomes(fixture, M_LISTENER_RESTARTS, 0, 1));
    assert_true(sp_serves(ipc));
    char reply[8];
    assert_int_equal(sp_ask(&untouched, "hello", reply, sizeof reply), 5);
    assert_int_equal(metric_value(fixture->metrics, M_LISTENER_RESTARTS, 0, 0), 1);
    sp_close(&untouched);
}

static void test_a_deaf_server_can_be_destroyed(void **state)
{
    struct nng_fixture *fixture = *state;
    char ipc[600];
    const char *const addresses[] = {nng_fixture_ipc_url(fixture, ipc, sizeof ipc)};
    struct nng_server_options options = nng_fixture_options(fixture);
    options.addresses = addresses;
    nng_fixture_start(fixture, &options);
    make_deaf(ipc);
    nng_server_destroy(&fixture->server);
    assert_int_not_equal(access(ipc + 6, F_OK), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(
            test_the_watchdog_restarts_a_deaf_listener_and_leaves_others_alone, nng_fixture_set_up,
            nng_fixture_tear_down),
        cmocka_unit_test_setup_teardown(test_a_deaf_server_can_be_destroyed, nng_fixture_set_up,
                                        nng_fixture_tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
