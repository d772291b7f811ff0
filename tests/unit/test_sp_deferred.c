/* SPDX-License-Identifier: Apache-2.0 */
/* Calls that the native request socket hands to somebody else, and that complete when they like. */
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "server/metrics.h"
#include "tests/support/sp_client.h"
#include "tests/support/sp_fixture.h"

static char reply[CALL_REPLY_BYTES];

static int set_up(void **state)
{
    struct sp_fixture *fixture = malloc(sizeof *fixture);
    sp_fixture_init(fixture);
    struct sp_server_options options = sp_fixture_options(fixture);
    options.send_timeout_ms = 1000;
    sp_fixture_start(fixture, &options);
    *state = fixture;
    return 0;
}

static int tear_down(void **state)
{
    sp_fixture_deinit(*state);
    free(*state);
    return 0;
}

static void test_deferred_calls_are_sent_when_they_complete_in_any_order(void **state)
{
    struct sp_fixture *fixture = *state;
    struct sp_client client;
    assert_true(sp_open(&client, sp_fixture_url(fixture)));
    for (uint32_t id = 1; id <= 3; id++) {
        char text[] = {'l', 'a', 't', 'e', 'r', (char)('0' + id)};
        assert_true(sp_send(&client, id, text, sizeof text));
        assert_true(text_service_wait_deferred(&fixture->service, id));
    }
    assert_int_equal(sp_server_in_flight(fixture->server), 3);
    uint32_t got_id = 0;
    assert_true(sp_send(&client, 9, "now", 3)); /* the others do not stand in its way */
    assert_int_equal(sp_receive(&client, &got_id, reply, sizeof reply), 3);
    assert_int_equal(got_id, 9);
    text_service_complete(&fixture->service);
    for (uint32_t id = 3; id >= 1; id--) {
        assert_int_equal(sp_receive(&client, &got_id, reply, sizeof reply), 6);
        assert_int_equal(got_id, id);
        assert_int_equal(reply[5], '0' + id);
    }
    assert_true(sp_fixture_becomes_idle(fixture));
    sp_close(&client);
}

/* Beyond the limit a connection is not read any more; others are, and it goes on one by one. */
static void test_a_connection_has_only_so_many_deferred_calls(void **state)
{
    enum { ASKED = 3 * SP_SERVER_DEFERRED_MAX };
    struct sp_fixture *fixture = *state;
    struct text_service *service = &fixture->service;
    struct sp_client client;
    uint32_t id = 0;
    assert_true(sp_open(&client, sp_fixture_url(fixture)));
    for (uint32_t i = 0; i < ASKED; i++)
        assert_true(sp_send(&client, i, "later", 5));
    assert_true(sp_send(&client, ASKED, "now", 3));
    assert_true(text_service_wait_deferred(service, SP_SERVER_DEFERRED_MAX));
    for (int i = 0; i < 4; i++) /* by both workers */
        assert_true(sp_serves(sp_fixture_url(fixture)));
    assert_int_equal(text_service_deferred_count(service), SP_SERVER_DEFERRED_MAX);
    for (uint32_t i = 0; i < ASKED; i++) {
        assert_true(text_service_wait_deferred(service, 1));
        assert_true(text_service_complete_oldest(service));
        ssize_t len = sp_receive(&client, &id, reply, sizeof reply);
        if (len == 3) { /* it overtakes the last ones */
            assert_int_equal(id, ASKED);
            assert_true(i > ASKED - SP_SERVER_DEFERRED_MAX);
            len = sp_receive(&client, &id, reply, sizeof reply);
        }
        assert_int_equal(len, 5);
        assert_int_equal(id, i);
    }
    assert_int_equal(text_service_deferred_count(service), 0);
    sp_close(&client);
}

/* What a call was made from stays what it is, whatever is read and parsed behind it. */
static void test_the_request_of_a_deferred_call_stays_as_it_was(void **state)
{
    enum { LATER = SP_SERVER_DEFERRED_MAX - 1 };
    struct sp_fixture *fixture = *state;
    struct text_service *service = &fixture->service;
    static char texts[LATER][20000];
    static char noise[60000];
    struct sp_client client;
    assert_true(sp_open(&client, sp_fixture_url(fixture)));
    memset(noise, '#', sizeof noise);
    for (uint32_t i = 0; i < LATER; i++) {
        uint32_t id = 0;
        size_t len = 6 + i * 1400;
        memset(texts[i], 'a' + (int)i, len);
        memcpy(texts[i], "later", 5);
        assert_true(sp_send(&client, i, texts[i], len));
        assert_true(sp_send(&client, 1000, noise, sizeof noise));
        assert_int_equal(sp_receive(&client, &id, reply, sizeof reply), sizeof noise);
        assert_int_equal(id, 1000);
    }
    for (uint32_t i = 0; i < LATER; i++) {
        uint32_t id = 0;
        assert_true(text_service_complete_oldest(service));
        ssize_t len = sp_receive(&client, &id, reply, sizeof reply);
        assert_int_equal(id, i);
        assert_int_equal(len, 6 + i * 1400);
        assert_memory_equal(reply, texts[i], (size_t)len);
    }
    sp_close(&client);
}

static void test_a_call_may_complete_before_it_is_said_to_be_deferred(void **state)
{
    struct sp_fixture *fixture = *state;
    struct sp_client client;
    assert_true(sp_open(&client, sp_fixture_url(fixture)));
    for (uint32_t i = 0; i < 100; i++)
        assert_true(sp_send(&client, i, "early bird", 10));
    for (uint32_t i = 0; i < 100; i++) {
        uint32_t id = 0;
        assert_int_equal(sp_receive(&client, &id, reply, sizeof reply), 10);
        assert_int_equal(id, i);
    }
    sp_close(&client);
}

struct completer {
    struct text_service *service;
    _Atomic bool stop;
};

static void *complete_at_once(void *arg)
{
    struct completer *completer = arg;
    while (!atomic_load(&completer->stop))
        if (!text_service_complete_oldest(completer->service))
            poll(NULL, 0, 1); /* nothing is deferred now */
    return NULL;
}

static void test_calls_complete_on_several_threads_while_others_are_made(void **state)
{
    enum { COMPLETERS = 3, CLIENTS = 4, ROUNDS = 300 };
    struct sp_fixture *fixture = *state;
    struct completer completer = {.service = &fixture->service};
    pthread_t threads[COMPLETERS];
    struct sp_client clients[CLIENTS];
    for (int i = 0; i < COMPLETERS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, complete_at_once, &completer), 0);
    for (int c = 0; c < CLIENTS; c++)
        assert_true(sp_open(&clients[c], sp_fixture_url(fixture)));
    for (uint32_t round = 0; round < ROUNDS; round++) {
        for (int c = 0; c < CLIENTS; c++) {
            assert_true(sp_send(&clients[c], round * 2, "later", 5));
            assert_true(sp_send(&clients[c], round * 2 + 1, "now", 3));
        }
        for (int c = 0; c < CLIENTS; c++) {
            uint32_t id = 0, other_id = 0;
            assert_true(sp_receive(&clients[c], &id, reply, sizeof reply) > 0);
            assert_true(sp_receive(&clients[c], &other_id, reply, sizeof reply) > 0);
            assert_int_equal(id + other_id, round * 4 + 1);
        }
        if (round % 50 == 49) { /* and one that does not wait */
            struct sp_client leaver;
            assert_true(sp_open(&leaver, sp_fixture_url(fixture)));
            assert_true(sp_send(&leaver, 1, "later", 5));
            sp_reset(&leaver);
        }
    }
    atomic_store(&completer.stop, true);
    for (int i = 0; i < COMPLETERS; i++)
        pthread_join(threads[i], NULL);
    for (int c = 0; c < CLIENTS; c++)
        sp_close(&clients[c]);
    text_service_complete(&fixture->service);
    assert_true(sp_fixture_becomes_idle(fixture));
}

static void *complete_later(void *arg)
{
    poll(NULL, 0, 20); /* so that destroy waits first, most of the time */
    text_service_complete(arg);
    return NULL;
}

static void test_destroy_waits_for_deferred_calls_and_their_replies_arrive(void **state)
{
    struct sp_fixture *fixture = *state;
    struct sp_client client;
    struct sp_client idle;
    assert_true(sp_open(&client, sp_fixture_url(fixture)));
    assert_true(sp_open(&idle, sp_fixture_url(fixture)));
    assert_true(sp_send(&client, 1, "later", 5));
    assert_true(text_service_wait_deferred(&fixture->service, 1));
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, complete_later, &fixture->service), 0);
    sp_server_destroy(&fixture->server);
    pthread_join(thread, NULL);
    uint32_t id = 0;
    assert_int_equal(sp_receive(&client, &id, reply, sizeof reply), 5);
    assert_true(sp_is_closed_by_peer(&client));
    assert_true(sp_is_closed_by_peer(&idle));
    assert_int_equal(metric_value(fixture->metrics, M_CONNECTIONS_CLOSED, CLOSE_STOPPED, 0), 2);
    assert_int_equal(metric_value(fixture->metrics, M_CONNECTIONS, TRANSPORT_SP, 0), 0);
    sp_close(&client);
    sp_close(&idle);
}

/* Some are waited for in vain, some have lost their connection, some are complete already. */
static void test_calls_may_complete_after_the_server_is_gone(void **state)
{
    struct sp_fixture *fixture = *state;
    struct sp_client clients[4];
    for (uint32_t i = 0; i < 4; i++) {
        assert_true(sp_open(&clients[i], sp_fixture_url(fixture)));
        for (uint32_t n = 0; n < 5; n++)
            assert_true(sp_send(&clients[i], n, "later", 5));
    }
    assert_true(text_service_wait_deferred(&fixture->service, 20));
    sp_reset(&clients[0]);
    assert_true(sp_fixture_metric_becomes(fixture, M_CONNECTIONS, TRANSPORT_SP, 3));
    sp_server_destroy(&fixture->server);
    assert_int_equal(text_service_deferred_count(&fixture->service), 20);
    text_service_complete(&fixture->service);
    for (uint32_t i = 1; i < 4; i++) {
        assert_true(sp_is_closed_by_peer(&clients[i]));
        sp_close(&clients[i]);
    }
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_deferred_calls_are_sent_when_they_complete_in_any_order),
        TEST(test_a_connection_has_only_so_many_deferred_calls),
        TEST(test_the_request_of_a_deferred_call_stays_as_it_was),
        TEST(test_a_call_may_complete_before_it_is_said_to_be_deferred),
        TEST(test_calls_complete_on_several_threads_while_others_are_made),
        TEST(test_destroy_waits_for_deferred_calls_and_their_replies_arrive),
        TEST(test_calls_may_complete_after_the_server_is_gone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
