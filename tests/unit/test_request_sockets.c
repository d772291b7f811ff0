/* SPDX-License-Identifier: Apache-2.0 */
/* Which address goes to which of the two request sockets, and that both are there. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <nng/nng.h>
#include <nng/protocol/reqrep0/req.h>
#include <nng/supplemental/tls/tls.h>

#include "server/metrics.h"
#include "server/transport/nng_server.h"
#include "server/transport/request_sockets.h"
#include "tests/support/sp_client.h"
#include "tests/support/temp_dir.h"
#include "tests/support/text_service.h"

/* Of "localhost", for tests alone: certificate and key. */
static const char certificate[] =
    "-----BEGIN CERTIFICATE-----\n"
    "MIIBmzCCAUGgAwIBAgIURcBIOkmDr09Yss4G8zXvj+vYov0wCgYIKoZIzj0EAwIw\n"
    "FDESMBAGA1UEAwwJbG9jYWxob3N0MCAXDTI2MTEyNzE0Mjc0MFoYDzIxMjYxMTAz\n"
    "MTQyNzQwWjAUMRIwEAYDVQQDDAlsb2NhbGhvc3QwWTATBgcqhkjOPQIBBggqhkjO\n"
    "PQMBBwNCAATXr11zYM5kohtqGqxLFIAnEoQ+hkwpIMyP/GbSNl0JKfWdY8UFpsdp\n"
    "62Ky06zxTk2I1GmqDDcFtDlFiWK/7Pbuo28wbTAdBgNVHQ4EFgQUeyigCfkqhB4e\n"
    "6ub7ipx8kkk3Tk4wHwYDVR0jBBgwFoAUeyigCfkqhB4e6ub7ipx8kkk3Tk4wDwYD\n"
    "VR0TAQH/BAUwAwEB/zAaBgNVHREEEzARgglsb2NhbGhvc3SHBH8AAAEwCgYIKoZI\n"
    "zj0EAwIDSAAwRQIgNzF7x/s94gd/fO+ur/iNAElJuWnu1z1vUdIzhJTqM1wCIQCI\n"
    "buMKWPOLjj4uoOAR6LcP6EkMu5W+uC0YyOfZsDVLfg==\n"
    "-----END CERTIFICATE-----\n"
    "-----BEGIN PRIVATE KEY-----\n"
    "MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQglAp5hFAtoYri/UHj\n"
    "alhdSwSZO+/vRVwq8K1Ja4A8pMChRANCAATXr11zYM5kohtqGqxLFIAnEoQ+hkwp\n"
    "IMyP/GbSNl0JKfWdY8UFpsdp62Ky06zxTk2I1GmqDDcFtDlFiWK/7Pbu\n"
    "-----END PRIVATE KEY-----\n";

struct rig {
    struct temp_dir dir;
    struct metrics *metrics;
    struct text_service service;
    struct request_sockets *sockets;
    struct request_sockets_options options;
};

static int set_up(void **state)
{
    struct rig *rig = calloc(1, sizeof *rig);
    struct err err;
    temp_dir_create(&rig->dir);
    text_service_init(&rig->service, TEXT_SERVICE_WORKERS_MAX);
    if (metrics_create(server_metric_families, M_COUNT, 64, &rig->metrics, &err) != ERR_OK)
        return -1;
    rig->options = (struct request_sockets_options){
        .native_workers = 3,
        .message_bytes_max = 65536,
        .connections_max = 100,
        .contexts = 16,
        .send_timeout_ms = 50,
        .tls_certificate_file = "",
        .call = text_service_call,
        .service = &rig->service,
        .claim_worker = text_service_claim,
        .claim_ctx = &rig->service,
        .metrics = rig->metrics,
        .clock = clock_system(),
    };
    *state = rig;
    return 0;
}

static int tear_down(void **state)
{
    struct rig *rig = *state;
    request_sockets_destroy(&rig->sockets);
    metrics_destroy(&rig->metrics);
    text_service_deinit(&rig->service);
    temp_dir_remove(&rig->dir);
    free(rig);
    return 0;
}

static enum err_code start(struct rig *rig, const char *const *addresses, uint32_t count,
                           struct err *err)
{
    rig->options.addresses = addresses;
    rig->options.address_count = count;
    rig->service.claimed_count = 0;
    return request_sockets_start(&rig->options, &rig->sockets, err);
}

/* By nng's REQ socket; a dialer of TLS trusts the certificate of this test. */
static void assert_nng_is_served(const char *url)
{
    nng_socket socket;
    nng_dialer dialer;
    char text[64] = "hello";
    size_t len = sizeof text;
    assert_int_equal(nng_req0_open(&socket), 0);
    assert_int_equal(nng_socket_set_ms(socket, NNG_OPT_RECVTIMEO, SP_TIMEOUT_S * 1000), 0);
    assert_int_equal(nng_dialer_create(&dialer, socket, url), 0);
    if (strncmp(url, "tls", 3) == 0) {
        nng_tls_config *config;
        assert_int_equal(nng_tls_config_alloc(&config, NNG_TLS_MODE_CLIENT), 0);
        assert_int_equal(nng_tls_config_ca_chain(config, certificate, NULL), 0);
        assert_int_equal(nng_tls_config_server_name(config, "localhost"), 0);
        assert_int_equal(nng_dialer_set_ptr(dialer, NNG_OPT_TLS_CONFIG, config), 0);
        nng_tls_config_free(config);
    }
    assert_int_equal(nng_dialer_start(dialer, 0), 0);
    assert_int_equal(nng_send(socket, text, 5, 0), 0);
    assert_int_equal(nng_recv(socket, text, &len, 0), 0);
    assert_int_equal(len, 5);
    nng_close(socket);
}

static void test_every_scheme_is_served_at_once(void **state)
{
    struct rig *rig = *state;
    struct err err = {0};
    char ipc[600], nng_ipc[600], pem[600];
    snprintf(ipc, sizeof ipc, "ipc://%s/native", rig->dir.path);
    snprintf(nng_ipc, sizeof nng_ipc, "nng+ipc://%s/nng", rig->dir.path);
    const char *const addresses[] = {
        "nng+tcp://127.0.0.1:0",   "tcp://127.0.0.1:0",    nng_ipc, "inproc://sockets", ipc,
        "ws://127.0.0.1:0/decide", "tls+tcp://127.0.0.1:0"};
    static const char *const begins[] = {
        "tcp://",      "ipc://",          "nng+tcp://",          "nng+ipc:/",
        "inproc://so", "ws://127.0.0.1:", "tls+tcp://127.0.0.1:"};
    temp_dir_write_text(&rig->dir, "cert.pem", certificate);
    rig->options.tls_certificate_file = temp_dir_path(&rig->dir, "cert.pem", pem);
    if (start(rig, addresses, 7, &err) != ERR_OK)
        fail_msg("%s", err.text);
    assert_int_equal(request_sockets_address_count(rig->sockets), 7);
    for (uint32_t i = 0; i < 7; i++) {
        const char *address = request_sockets_address(rig->sockets, i);
        assert_int_equal(strncmp(address, begins[i], strlen(begins[i])), 0);
        assert_null(strstr(address, ":0"));
        assert_nng_is_served(address + (strncmp(address, "nng+", 4) == 0 ? 4 : 0));
    }
    assert_int_equal(metric_value(rig->metrics, M_CONNECTIONS_ACCEPTED, TRANSPORT_SP, 0), 2);
    assert_int_equal(request_sockets_in_flight(rig->sockets), 0);
    struct sp_client open;
    const char *native = request_sockets_address(rig->sockets, 0);
    char reply[16];
    assert_true(sp_open(&open, native));
    request_sockets_refuse_new(rig->sockets);
    assert_int_equal(sp_ask(&open, "hello", reply, sizeof reply), 5);
    sp_close(&open);
}

static void test_only_what_is_asked_for_is_started(void **state)
{
    struct rig *rig = *state;
    struct err err = {0};
    static const char *const native[] = {"tcp://127.0.0.1:0"};
    static const char *const nng[] = {"nng+tcp://127.0.0.1:0"};
    static const char *const both[] = {"tcp://127.0.0.1:0", "inproc://both"};
    static const struct {
        const char *const *addresses;
        uint32_t address_count, worker_count;
    } cases[] = {
        {native, 1, 3}, {nng, 1, NNG_SERVER_TASK_THREADS}, {both, 2, 3 + NNG_SERVER_TASK_THREADS}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        assert_int_equal(start(rig, cases[i].addresses, cases[i].address_count, &err), ERR_OK);
        assert_int_equal(request_sockets_worker_count(&rig->options), cases[i].worker_count);
        request_sockets_destroy(&rig->sockets);
        assert_true(rig->service.claimed_count <= cases[i].worker_count);
    }
    rig->options.native_workers = 0;
    rig->options.addresses = native;
    rig->options.address_count = 1;
    assert_in_range(request_sockets_worker_count(&rig->options), 1, 64);
}

static void test_nothing_is_left_when_one_address_fails(void **state)
{
    struct rig *rig = *state;
    struct err err = {0};
    char ipc[600];
    snprintf(ipc, sizeof ipc, "ipc://%s/native", rig->dir.path);
    const char *const bad_nng[] = {ipc, "nng+tcp://192.0.2.1:0"};
    const char *const bad_pem[] = {ipc, "tls+tcp://127.0.0.1:0"};
    assert_int_equal(start(rig, bad_nng, 2, &err), ERR_BAD_INPUT);
    assert_non_null(strstr(err.text, "192.0.2.1"));
    assert_null(rig->sockets);
    rig->options.tls_certificate_file = "/does/not/exist.pem";
    assert_int_not_equal(start(rig, bad_pem, 2, &err), ERR_OK);
    assert_non_null(strstr(err.text, "tls+tcp"));
    assert_false(sp_serves(ipc));
}

#define LOOK_NS UINT64_C(5000000000)

static void test_looks_follow_the_watchdog(void **state)
{
    (void)state;
    const uint64_t ms = 1000000;
    assert_int_equal(request_sockets_look_ns(0), 900 * ms);
    assert_int_equal(request_sockets_look_ns(1), 100 * ms);
    assert_int_equal(request_sockets_look_ns(1000000), 450 * ms);
    assert_int_equal(request_sockets_look_ns(30000000), 900 * ms);
    assert_int_equal(request_sockets_look_ns(UINT64_MAX), 900 * ms);
}

/* Hearts beat once a second: of two looks at the same moment, told to be apart, the second sees
 * none; after a while of asking it sees one. */
static void test_a_worker_that_stands_still_is_noticed(void **state)
{
    struct rig *rig = *state;
    static const char *const addresses[] = {"tcp://127.0.0.1:0"};
    struct sp_client client;
    struct err err;
    char reply[16];
    uint64_t now_ns = 1;
    rig->options.look_ns = LOOK_NS;
    assert_int_equal(start(rig, addresses, 1, &err), ERR_OK);
    assert_true(request_sockets_are_alive(rig->sockets, now_ns)); /* nothing to compare with */
    int looks = 0;
    do
        now_ns += LOOK_NS;
    while (request_sockets_are_alive(rig->sockets, now_ns) && ++looks < 10);
    assert_in_range(looks, 0, 9);
    /* Between looks the last finding stands. */
    assert_false(request_sockets_are_alive(rig->sockets, now_ns + LOOK_NS - 1));
    assert_true(sp_open(&client, request_sockets_address(rig->sockets, 0)));
    bool alive = false;
    for (uint64_t end_ns = clock_now_ns(clock_system()) + UINT64_C(20000000000);
         !alive && clock_now_ns(clock_system()) < end_ns;) {
        uint64_t second_ns = clock_now_ns(clock_system()) + UINT64_C(1500000000);
        while (clock_now_ns(clock_system()) < second_ns)
            assert_int_equal(sp_ask(&client, "hello", reply, sizeof reply), 5);
        now_ns += LOOK_NS;
        alive = request_sockets_are_alive(rig->sockets, now_ns);
    }
    assert_true(alive);
    sp_close(&client);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_every_scheme_is_served_at_once),
        TEST(test_only_what_is_asked_for_is_started),
        TEST(test_nothing_is_left_when_one_address_fails),
        TEST(test_looks_follow_the_watchdog),
        TEST(test_a_worker_that_stands_still_is_noticed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
