/* SPDX-License-Identifier: Apache-2.0 */
/* Drain, stop and reload of a real daemon under load: nothing that was asked is lost. */
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/pack.h"
#include "tests/support/daemon_client.h"
#include "tests/support/http_fixture.h"
#include "tests/support/sp_client.h"

enum { LOAD_THREADS = 4 };

struct load {
    const struct daemon *daemon;
    pthread_t thread[LOAD_THREADS];
    _Atomic uint32_t served, draining, wrong;
};

static size_t pack_request(uint8_t *bytes, size_t capacity, uint32_t number)
{
    char id[32];
    struct pack pack = pack_into(bytes, capacity);
    snprintf(id, sizeof id, "e%u", number);
    pack_map(&pack, number % 2 == 0 ? 1 : 2);
    pack_key(&pack, "op");
    if (number % 2 == 0) {
        pack_key(&pack, "recommend");
        return pack.used;
    }
    pack_key(&pack, "events");
    pack_key(&pack, "events");
    pack_array(&pack, 1);
    pack_map(&pack, 4);
    pack_key(&pack, "id");
    pack_str(&pack, id);
    pack_key(&pack, "type");
    pack_key(&pack, "view");
    pack_key(&pack, "user");
    pack_key(&pack, "u");
    pack_key(&pack, "items");
    pack_array(&pack, 1);
    pack_map(&pack, 1);
    pack_key(&pack, "id");
    pack_key(&pack, "i");
    return pack.used;
}

static void note_reply(struct load *load, const uint8_t *bytes, size_t len)
{
    static const char ok[] = "\xa2ok\xc3", draining[] = "draining";
    if (memmem(bytes, len, ok, sizeof ok - 1) != NULL)
        load->served++;
    else if (memmem(bytes, len, draining, sizeof draining - 1) != NULL)
        load->draining++;
    else
        load->wrong++;
}

/* Asks, half decisions, half events, until the daemon closes the connection. */
static void *ask_until_closed(void *ctx)
{
    static _Atomic uint32_t last_number;
    struct load *load = ctx;
    struct sp_client client;
    uint8_t bytes[4096];
    uint32_t id = 0;
    if (!sp_open(&client, load->daemon->url)) {
        load->wrong++;
        return NULL;
    }
    while (true) {
        size_t len = pack_request(bytes, sizeof bytes, ++last_number);
        if (!sp_send(&client, 1, bytes, len))
            break;
        ssize_t got = sp_receive(&client, &id, bytes, sizeof bytes);
        if (got < 0)
            break;
        note_reply(load, bytes, (size_t)got);
    }
    sp_close(&client);
    return NULL;
}

static void load_start(struct load *load, const struct daemon *daemon)
{
    *load = (struct load){.daemon = daemon};
    for (int i = 0; i < LOAD_THREADS; i++)
        assert_int_equal(pthread_create(&load->thread[i], NULL, ask_until_closed, load), 0);
    while (load->served < 500 && load->wrong == 0)
        sched_yield();
}

static void load_join(struct load *load)
{
    for (int i = 0; i < LOAD_THREADS; i++)
        pthread_join(load->thread[i], NULL);
}

static void test_sigterm_under_load_drains_and_exits_0(void **state)
{
    (void)state;
    struct daemon daemon;
    struct load load;
    daemon_start(&daemon, NULL);
    load_start(&load, &daemon);
    daemon_signal(&daemon, SIGTERM);
    assert_int_equal(daemon_wait(&daemon), 0);
    load_join(&load);
    assert_int_equal(load.wrong, 0);
    assert_true(load.draining > 0); /* callers were told, not cut off */
    assert_true(daemon_log_has(&daemon, "\"stopped\""));
    daemon_stop(&daemon);
}

/* Whoever has begun to ask is waited for a moment, and is told in any case. */
static void test_half_a_request_is_told_of_the_drain(void **state)
{
    (void)state;
    static const char head[] = "POST /v1/ping HTTP/1.1\r\nContent-Length: 2\r\n\r\n{";
    struct daemon daemon;
    struct http_reply reply;
    char body[64];
    daemon_start(&daemon, NULL);
    int begun = http_connect_to(daemon.http), stuck = http_connect_to(daemon.http);
    assert_true(http_send(begun, head) && http_send(stuck, head));
    /* The loop serves in turn: it has seen both when it has answered this. */
    assert_int_equal(daemon_get(&daemon, "/livez", body, sizeof body), 200);
    daemon_signal(&daemon, SIGTERM);
    assert_true(daemon_log_has(&daemon, "\"draining\""));
    assert_true(http_send(begun, "}") && http_read(begun, false, &reply));
    assert_int_equal(reply.status, 503);
    assert_non_null(strstr(reply.body, "\"code\":\"draining\""));
    assert_true(http_read(stuck, false, &reply));
    assert_int_equal(reply.status, 503);
    assert_non_null(strstr(reply.body, "\"code\":\"draining\""));
    assert_true(http_is_closed_by_peer(begun) && http_is_closed_by_peer(stuck));
    close(begun);
    close(stuck);
    assert_int_equal(daemon_wait(&daemon), 0);
    daemon_stop(&daemon);
}

static void test_reloads_under_load_fail_nothing(void **state)
{
    (void)state;
    struct daemon daemon;
    struct load load;
    daemon_start(&daemon, NULL);
    load_start(&load, &daemon);
    for (int i = 0; i < 20; i++) {
        cJSON *reply = daemon_ask_nng(&daemon, "reload", "{}");
        assert_true(reply_ok(reply));
        cJSON_Delete(reply);
    }
    daemon_signal(&daemon, SIGTERM);
    assert_int_equal(daemon_wait(&daemon), 0);
    load_join(&load);
    assert_int_equal(load.wrong, 0);
    daemon_stop(&daemon);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sigterm_under_load_drains_and_exits_0),
        cmocka_unit_test(test_half_a_request_is_told_of_the_drain),
        cmocka_unit_test(test_reloads_under_load_fail_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
