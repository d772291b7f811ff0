/* SPDX-License-Identifier: Apache-2.0 */
/* Which addresses are accepted, when one is left alone, and a client that many threads share. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/address.h"
#include "client/decide.h"
#include "client/health.h"
#include "tests/support/fake_peer.h"

#define MS      CLIENT_NS_PER_MS
#define LONG_US UINT64_C(60000000)

static struct client_address addresses[CLIENT_ADDRESSES_MAX];
static char error[DECIDE_ERROR_BYTES];

static void addresses_are_split_and_resolved(void **state)
{
    (void)state;
    size_t count = 0;
    assert_int_equal(client_addresses_parse(" tcp://127.0.0.1:7100,tcp://[::1]:65535 , ipc:///a/b ",
                                            addresses, &count, error),
                     DECIDE_OK);
    assert_int_equal(count, 3);
    const struct sockaddr_in *first = (const struct sockaddr_in *)&addresses[0].socket_address;
    assert_int_equal(first->sin_family, AF_INET);
    assert_int_equal(ntohs(first->sin_port), 7100);
    assert_int_equal(addresses[1].socket_address.ss_family, AF_INET6);
    assert_string_equal(addresses[1].url, "tcp://[::1]:65535");
    assert_true(addresses[2].ipc && !addresses[0].ipc);
}

static void addresses_that_are_none_are_refused_by_name(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "",
        " ",
        "tcp://127.0.0.1:7100,",
        "127.0.0.1:7100",
        "http://127.0.0.1:7100",
        "tcp://127.0.0.1",
        "tcp://:7100",
        "tcp://127.0.0.1:",
        "tcp://127.0.0.1:0",
        "tcp://127.0.0.1:65536",
        "tcp://127.0.0.1:7100x",
        "tcp://127.0.0.1:-1",
        "tcp://::1:7100",
        "tcp://[]:7100",
        "tcp://[::1:7100",
        "ipc://relative",
        "ipc://",
        "ipc:///"
        "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
        "aaaaaaaaaaaaaaaaaaaaaaaaaaa",
    };
    size_t count = 7;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        error[0] = '\0';
        if (client_addresses_parse(bad[i], addresses, &count, error) != DECIDE_INVALID)
            print_error("'%s' was not refused\n", bad[i]);
        assert_int_equal(client_addresses_parse(bad[i], addresses, &count, error), DECIDE_INVALID);
        assert_true(error[0] != '\0');
        assert_int_equal(count, 7);
    }
    assert_int_equal(client_addresses_parse(NULL, addresses, &count, error), DECIDE_INVALID);
    assert_int_equal(client_addresses_parse("tcp://host.invalid:1", addresses, &count, error),
                     DECIDE_UNREACHABLE);
    assert_non_null(strstr(error, "host.invalid"));

    char many[17 * 24] = "";
    for (size_t i = 0; i < 17; i++)
        snprintf(many + strlen(many), sizeof many - strlen(many), "%sipc:///%zu", i ? "," : "", i);
    assert_int_equal(client_addresses_parse(many, addresses, &count, error), DECIDE_INVALID);
    many[strlen(many) - strlen(",ipc:///16")] = '\0';
    assert_int_equal(client_addresses_parse(many, addresses, &count, error), DECIDE_OK);
    assert_int_equal(count, 16);
}

static void options_that_cannot_be_are_refused(void **state)
{
    (void)state;
    static const char *const hole[] = {"a", NULL};
    static const char *const nothing[] = {""};
    struct decide_client *client = NULL;
    struct decide_options options = decide_options_default();
    options.connections_max = DECIDE_CONNECTIONS_MAX + 1;
    assert_int_equal(decide_client_create(&options, &client, error), DECIDE_INVALID);
    assert_non_null(strstr(error, "connections_max"));
    options = decide_options_default();
    options.fallback_items = hole;
    options.fallback_count = 2;
    assert_int_equal(decide_client_create(&options, &client, error), DECIDE_INVALID);
    assert_non_null(strstr(error, "fallback_items[1]"));
    options.fallback_items = nothing;
    options.fallback_count = 1;
    assert_int_equal(decide_client_create(&options, &client, NULL), DECIDE_INVALID);
    options.fallback_count = DECIDE_FALLBACK_MAX + 1;
    assert_int_equal(decide_client_create(&options, &client, error), DECIDE_INVALID);
    options.fallback_items = NULL;
    options.fallback_count = 1;
    assert_int_equal(decide_client_create(&options, &client, error), DECIDE_INVALID);
    assert_non_null(strstr(error, "fallback_items: 1 of them, but the pointer is NULL"));
    assert_null(client);
    decide_client_destroy(&client);
    decide_client_destroy(NULL);
    decide_reply_free(NULL);
    assert_string_equal(decide_status_name(DECIDE_UNREACHABLE), "unreachable");
    assert_string_equal(decide_status_name((enum decide_status)99), "unknown");
    assert_true(decide_version()[0] != '\0');
}

static void the_time_an_address_is_left_alone_doubles_up_to_a_limit(void **state)
{
    (void)state;
    struct client_health health = {0};
    uint64_t now_ns = 1000 * MS;
    uint64_t expected_ns = CLIENT_COOL_DOWN_NS_MIN;
    for (int i = 0; i < 40; i++) {
        assert_int_equal(client_health_state(&health, now_ns), CLIENT_HEALTHY);
        client_health_chosen(&health, now_ns);
        client_health_failed(&health, true, 0, now_ns);
        client_health_failed(&health, true, 0, now_ns); /* with others, for one reason */
        assert_int_equal(client_health_state(&health, now_ns), CLIENT_LEFT_ALONE);
        assert_int_equal(client_health_state(&health, now_ns + expected_ns - 1), CLIENT_LEFT_ALONE);
        now_ns += expected_ns;
        expected_ns *= 2;
        if (expected_ns > CLIENT_COOL_DOWN_NS_MAX)
            expected_ns = CLIENT_COOL_DOWN_NS_MAX;
    }
    client_health_succeeded(&health);
    assert_int_equal(client_health_state(&health, now_ns), CLIENT_HEALTHY);
    client_health_failed(&health, true, 0, now_ns);
    assert_int_equal(client_health_state(&health, now_ns + CLIENT_COOL_DOWN_NS_MIN),
                     CLIENT_HEALTHY);
}

static void one_call_is_let_through_after_the_time(void **state)
{
    (void)state;
    struct client_health health = {0};
    client_health_failed(&health, true, 0, 0);
    assert_int_equal(client_health_state(&health, 1 * MS), CLIENT_HEALTHY);
    client_health_chosen(&health, 1 * MS);
    assert_int_equal(client_health_state(&health, 1 * MS), CLIENT_LEFT_ALONE); /* for the others */
    client_health_failed(&health, true, 0, 1 * MS + 1);
    assert_int_equal(client_health_state(&health, 3 * MS), CLIENT_LEFT_ALONE);
    assert_int_equal(client_health_state(&health, 3 * MS + 1), CLIENT_HEALTHY);
}

static void a_slow_address_is_suspect_and_a_dead_one_is_left_alone(void **state)
{
    (void)state;
    struct client_health health = {0};
    client_health_failed(&health, false, 0, 0);
    assert_int_equal(client_health_state(&health, 0), CLIENT_SUSPECT);
    client_health_failed(&health, false, 0, 0);
    assert_int_equal(client_health_state(&health, 1 * MS), CLIENT_HEALTHY);
    client_health_failed(&health, true, 0, 0); /* worse than it was thought */
    assert_int_equal(client_health_state(&health, 0), CLIENT_LEFT_ALONE);
    client_health_failed(&health, false, 0, 0); /* and not better for being slow as well */
    assert_int_equal(client_health_state(&health, 0), CLIENT_LEFT_ALONE);
}

enum { THREADS = 16, CALLS = 200 };

struct caller {
    struct decide_client *client;
    uint32_t ok_count;
};

static void *run_caller(void *argument)
{
    struct caller *caller = argument;
    for (int i = 0; i < CALLS; i++) {
        struct decide_request request = {.user = "u", .n = 2, .timeout_us = LONG_US};
        struct decide_reply *reply = decide_recommend(caller->client, &request);
        caller->ok_count += reply->status == DECIDE_OK && reply->item_count == 2 &&
                            strcmp(reply->items[1].id, "b") == 0;
        decide_reply_free(reply);
    }
    return NULL;
}

static void many_threads_share_few_connections(void **state)
{
    (void)state;
    static struct fake_peer peers[2];
    for (int i = 0; i < 2; i++)
        fake_peer_start(&peers[i], 0, FAKE_ANSWERS);
    char urls[400];
    snprintf(urls, sizeof urls, "%s,%s", peers[0].url, peers[1].url);
    struct decide_options options = decide_options_default();
    struct decide_client *client = NULL;
    options.urls = urls;
    options.connections_max = 3;
    assert_int_equal(decide_client_create(&options, &client, error), DECIDE_OK);
    pthread_t threads[THREADS];
    struct caller callers[THREADS];
    for (int i = 0; i < THREADS; i++) {
        callers[i] = (struct caller){.client = client};
        assert_int_equal(pthread_create(&threads[i], NULL, run_caller, &callers[i]), 0);
    }
    for (int i = 0; i < THREADS; i++) {
        pthread_join(threads[i], NULL);
        assert_int_equal(callers[i].ok_count, CALLS);
    }
    struct decide_counters counters;
    decide_client_counters(client, &counters);
    assert_int_equal(counters.ok, THREADS * CALLS);
    for (int i = 0; i < 2; i++) {
        assert_in_range(atomic_load(&peers[i].connection_count), 1, 3);
        /* Both had a share; how large it is says which peer the machine let run. */
        assert_true(atomic_load(&peers[i].request_count) > CALLS / 10);
    }
    decide_client_destroy(&client);
    for (int i = 0; i < 2; i++)
        fake_peer_stop(&peers[i]);
}

static void *run_hasty_caller(void *argument)
{
    struct caller *caller = argument;
    for (int i = 0; i < CALLS; i++) {
        struct decide_reply *reply = decide_call(caller->client, "ping", NULL, 0, 300);
        caller->ok_count += reply->status == DECIDE_OK;
        decide_reply_free(reply);
    }
    return NULL;
}

/* Deadlines run out at every point of a call, while others take over its connections. */
static void hasty_threads_leave_usable_connections(void **state)
{
    (void)state;
    static struct fake_peer peer;
    fake_peer_start(&peer, 0, FAKE_ANSWERS);
    struct decide_options options = decide_options_default();
    struct decide_client *client = NULL;
    options.urls = peer.url;
    options.connections_max = 4;
    assert_int_equal(decide_client_create(&options, &client, error), DECIDE_OK);
    pthread_t threads[THREADS];
    struct caller callers[THREADS];
    for (int i = 0; i < THREADS; i++) {
        callers[i] = (struct caller){.client = client};
        assert_int_equal(pthread_create(&threads[i], NULL, run_hasty_caller, &callers[i]), 0);
    }
    uint64_t ok_count = 0;
    for (int i = 0; i < THREADS; i++) {
        pthread_join(threads[i], NULL);
        ok_count += callers[i].ok_count;
    }
    struct decide_counters counters;
    decide_client_counters(client, &counters);
    assert_int_equal(counters.calls, THREADS * CALLS);
    assert_int_equal(counters.ok, ok_count);
    assert_int_equal(counters.protocol, 0); /* no reply was taken for another's */
    struct decide_request request = {.timeout_us = LONG_US};
    struct decide_reply *reply = decide_recommend(client, &request);
    assert_int_equal(reply->status, DECIDE_OK);
    assert_int_equal(reply->item_count, 2);
    decide_reply_free(reply);
    decide_client_destroy(&client);
    fake_peer_stop(&peer);
}

static void a_call_waits_for_a_connection_no_longer_than_it_may(void **state)
{
    (void)state;
    static struct fake_peer peer;
    fake_peer_start(&peer, 0, FAKE_ANSWERS);
    fake_peer_hold(&peer, true);
    struct decide_options options = decide_options_default();
    struct decide_client *client = NULL;
    options.urls = peer.url;
    options.connections_max = 1;
    assert_int_equal(decide_client_create(&options, &client, error), DECIDE_OK);
    pthread_t thread;
    struct caller caller = {.client = client};
    assert_int_equal(pthread_create(&thread, NULL, run_caller, &caller), 0);
    fake_peer_wait_requests(&peer, 1); /* the only connection is taken */
    struct decide_reply *reply = decide_call(client, "ping", NULL, 0, 20000);
    assert_int_equal(reply->status, DECIDE_TIMEOUT);
    assert_non_null(strstr(reply->error_message, "connection was free"));
    decide_reply_free(reply);
    fake_peer_hold(&peer, false);
    pthread_join(thread, NULL);
    assert_int_equal(caller.ok_count, CALLS);
    assert_int_equal(atomic_load(&peer.connection_count), 1);
    decide_client_destroy(&client);
    fake_peer_stop(&peer);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(addresses_are_split_and_resolved),
        cmocka_unit_test(addresses_that_are_none_are_refused_by_name),
        cmocka_unit_test(options_that_cannot_be_are_refused),
        cmocka_unit_test(the_time_an_address_is_left_alone_doubles_up_to_a_limit),
        cmocka_unit_test(one_call_is_let_through_after_the_time),
        cmocka_unit_test(a_slow_address_is_suspect_and_a_dead_one_is_left_alone),
        cmocka_unit_test(many_threads_share_few_connections),
        cmocka_unit_test(hasty_threads_leave_usable_connections),
        cmocka_unit_test(a_call_waits_for_a_connection_no_longer_than_it_may),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
