/* SPDX-License-Identifier: Apache-2.0 */
/* What a hostile or broken client may do to the request socket; after each attack another client is
 * served. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "server/metrics.h"
#include "tests/support/nng_fixture.h"
#include "tests/support/sp_client.h"

#define STORM_COUNT 200

static char reply[CALL_REPLY_BYTES];

/* One server on tcp and on ipc for every test. */
struct target {
    struct nng_fixture fixture;
    const char *url[2];
};

static int set_up(void **state)
{
    struct target *target = malloc(sizeof *target);
    char ipc[600];
    nng_fixture_init(&target->fixture);
    const char *const addresses[] = {"tcp://127.0.0.1:0",
                                     nng_fixture_ipc_url(&target->fixture, ipc, sizeof ipc)};
    struct nng_server_options options = nng_fixture_options(&target->fixture);
    options.addresses = addresses;
    options.address_count = 2;
    options.connections_max = 1000;
    nng_fixture_start(&target->fixture, &options);
    for (uint32_t i = 0; i < 2; i++)
        target->url[i] = nng_server_address(target->fixture.server, i);
    *state = target;
    return 0;
}

/* Whatever the attack was: served over both addresses, no connection left over, no restart. */
static int tear_down(void **state)
{
    struct target *target = *state;
    struct nng_fixture *fixture = &target->fixture;
    bool fine = sp_serves(target->url[0]) && sp_serves(target->url[1]) &&
                nng_fixture_metric_becomes(fixture, M_CONNECTIONS, TRANSPORT_NNG, 0) &&
                metric_value(fixture->metrics, M_LISTENER_RESTARTS, 0, 0) == 0 &&
                nng_fixture_becomes_idle(fixture);
    nng_fixture_deinit(fixture);
    free(target);
    return fine ? 0 : -1;
}

static void test_connecting_and_closing_at_once(void **state)
{
    struct target *target = *state;
    for (int i = 0; i < STORM_COUNT; i++) {
        struct sp_client client;
        assert_true(sp_connect(&client, target->url[i % 2]));
        sp_close(&client);
    }
}

/* The server finds out in its first send. */
static void test_fin_and_then_rst_in_the_handshake(void **state)
{
    struct target *target = *state;
    for (int i = 0; i < STORM_COUNT; i++) {
        struct sp_client clients[4];
        for (int c = 0; c < 4; c++) {
            assert_true(sp_connect(&clients[c], target->url[0]));
            shutdown(clients[c].fd, SHUT_WR);
        }
        for (int c = 0; c < 4; c++)
            sp_reset(&clients[c]);
    }
}

static void test_handshake_garbage_and_http(void **state)
{
    struct target *target = *state;
    static const char *const openings[] = {
        "GET / HTTP/1.1\r\nHost: x\r\n\r\n", "\x16\x03\x01\x02\x20\x01\x01\x01\xfc\x03\x03 hello",
        "SP\1\2\3\4\5\6\7", "\377\377\377\377\377\377\377\377\377\377"};
    static const uint8_t as_pub[8] = {0, 'S', 'P', 0, 0, 0x20, 0, 0};
    for (uint32_t i = 0; i < 8; i++) {
        struct sp_client client;
        assert_true(sp_connect(&client, target->url[i % 2]));
        assert_true(sp_send_raw(&client, openings[i / 2], strlen(openings[i / 2])));
        char answer[8];
        recv(client.fd, answer, sizeof answer, MSG_WAITALL); /* its own handshake comes first */
        assert_true(sp_is_closed_by_peer(&client));
        sp_close(&client);
    }
    struct sp_client client;
    char answer[8];
    assert_true(sp_connect(&client, target->url[0]));
    assert_true(sp_send_raw(&client, as_pub, sizeof as_pub));
    recv(client.fd, answer, sizeof answer, MSG_WAITALL);
    assert_true(sp_is_closed_by_peer(&client));
    sp_close(&client);
}

static long virtual_pages(void)
{
    char line[64] = {0};
    FILE *file = fopen("/proc/self/statm", "re");
    assert_non_null(file);
    assert_non_null(fgets(line, sizeof line, file));
    fclose(file);
    return strtol(line, NULL, 10);
}

static void test_announcing_four_gigabytes(void **state)
{
    struct target *target = *state;
    struct sp_client clients[32];
    long before = virtual_pages();
    for (uint32_t i = 0; i < 32; i++) {
        assert_true(sp_open(&clients[i], target->url[i % 2]));
        assert_true(sp_announce(&clients[i], i % 4 < 2 ? UINT64_C(1) << 32 : UINT64_MAX));
    }
    for (uint32_t i = 0; i < 32; i++) {
        assert_true(sp_is_closed_by_peer(&clients[i]));
        sp_close(&clients[i]);
    }
    assert_true(virtual_pages() - before < (1L << 30) / sysconf(_SC_PAGESIZE));
    assert_true(
        nng_fixture_metric_becomes(&target->fixture, M_MESSAGES_REFUSED, TRANSPORT_NNG, 32));
}

static void test_half_messages_from_many_do_not_stop_others(void **state)
{
    struct target *target = *state;
    struct sp_client clients[64];
    for (uint32_t i = 0; i < 64; i++) {
        assert_true(sp_open(&clients[i], target->url[i % 2]));
        assert_true(i % 3 == 0 ? sp_send_raw(&clients[i], "\1", 1)
                               : sp_announce(&clients[i], 60000) &&
                                     sp_send_raw(&clients[i], "half a message", 14));
    }
    assert_true(sp_serves(target->url[0]));
    assert_true(sp_serves(target->url[1]));
    for (uint32_t i = 0; i < 64; i++)
        sp_close(&clients[i]);
}

/* Many more requests than contexts, large replies, and nothing read. */
static void test_a_slow_reader_is_closed_and_others_are_served(void **state)
{
    struct target *target = *state;
    for (uint32_t round = 0; round < 2; round++) {
        struct sp_client slow;
        struct sp_client other;
        assert_true(sp_open(&slow, target->url[round]));
        assert_true(sp_open(&other, target->url[round]));
        int small = 4096;
        setsockopt(slow.fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof small);
        uint32_t sent_count = 0;
        while (sent_count < 2000 && sp_send(&slow, sent_count, "big:200000", 10))
            sent_count++;
        for (int i = 0; i < 5; i++) {
            uint64_t asked_ns = clock_now_ns(clock_system());
            assert_int_equal(sp_ask(&other, "hello", reply, sizeof reply), 5);
            assert_true(clock_now_ns(clock_system()) - asked_ns < UINT64_C(2000000000));
        }
        assert_true(
            nng_fixture_metric_becomes(&target->fixture, M_SLOW_READERS_CLOSED, 0, round + 1));
        sp_close(&slow);
        sp_close(&other);
    }
}

/* Their replies are sent by turns and time out together, several of each. */
static void slow_readers_come_and_go(struct target *target)
{
    enum { SLOW = 2, REPLIES = 16, BYTES = 60000 }; /* as many as there are contexts */
    static char request[BYTES] = "later";
    struct nng_fixture *fixture = &target->fixture;
    struct sp_client slow[SLOW];
    uint64_t before = metric_value(fixture->metrics, M_SLOW_READERS_CLOSED, 0, 0);
    for (uint32_t i = 0; i < SLOW; i++)
        assert_true(sp_open(&slow[i], target->url[1]));
    for (uint32_t i = 0; i < REPLIES; i++) {
        assert_true(sp_send(&slow[i % SLOW], i, request, sizeof request));
        assert_true(nng_fixture_wait_deferred(fixture, i + 1));
    }
    nng_fixture_complete(fixture);
    assert_true(nng_fixture_metric_becomes(fixture, M_CONNECTIONS, TRANSPORT_NNG, 0));
    assert_true(nng_fixture_becomes_idle(fixture));
    assert_int_equal(metric_value(fixture->metrics, M_SLOW_READERS_CLOSED, 0, 0), before + SLOW);
    for (uint32_t i = 0; i < SLOW; i++)
        sp_close(&slow[i]);
}

/* Which of them time out before the first close is up to chance: many rounds. */
static void test_slow_readers_at_once_count_once_each(void **state)
{
    for (int round = 0; round < 20; round++)
        slow_readers_come_and_go(*state);
}

static void test_hundreds_of_idle_connections(void **state)
{
    struct target *target = *state;
    static struct sp_client clients[400];
    for (uint32_t i = 0; i < 400; i++)
        assert_true(sp_open(&clients[i], target->url[i % 2]));
    assert_true(nng_fixture_metric_becomes(&target->fixture, M_CONNECTIONS, TRANSPORT_NNG, 400));
    assert_true(sp_serves(target->url[0]));
    for (uint32_t i = 0; i < 400; i += 40)
        assert_int_equal(sp_ask(&clients[i], "hello", reply, sizeof reply), 5);
    for (uint32_t i = 0; i < 400; i++)
        sp_close(&clients[i]);
}

static void test_a_message_of_too_many_hops_is_dropped_alone(void **state)
{
    struct target *target = *state;
    struct sp_client client;
    uint8_t hops[4 * 20] = {0}; /* no top bit: only hops, and no id within the limit */
    uint32_t id = 0;
    assert_true(sp_open(&client, target->url[0]));
    for (int i = 0; i < 50; i++) {
        assert_true(sp_announce(&client, sizeof hops));
        assert_true(sp_send_raw(&client, hops, sizeof hops));
    }
    hops[4 * 7] = 0x80; /* seven hops and an id come through, and come back */
    assert_true(sp_announce(&client, sizeof hops));
    assert_true(sp_send_raw(&client, hops, sizeof hops));
    assert_int_equal(sp_receive(&client, &id, reply, sizeof reply), sizeof hops - 4);
    assert_memory_equal(reply, hops + 4, sizeof hops - 4);
    sp_close(&client);
}

static void test_an_empty_body_is_a_request_and_three_bytes_are_not(void **state)
{
    struct target *target = *state;
    for (uint32_t i = 0; i < 2; i++) {
        struct sp_client client;
        uint32_t id = 0;
        assert_true(sp_open(&client, target->url[i]));
        assert_true(sp_send(&client, 77, "", 0));
        assert_int_equal(sp_receive(&client, &id, reply, sizeof reply), 0);
        assert_int_equal(id, 77);
        assert_true(sp_announce(&client, 3));
        assert_true(sp_send_raw(&client, "\200\0\0", 3));
        assert_true(sp_is_closed_by_peer(&client));
        sp_close(&client);
    }
}

static void test_replies_to_peers_that_have_vanished(void **state)
{
    struct target *target = *state;
    for (uint32_t i = 0; i < 10; i++) {
        struct sp_client client;
        assert_true(sp_open(&client, target->url[i % 2]));
        assert_true(sp_send(&client, 1, "later", 5));
        assert_true(nng_fixture_wait_deferred(&target->fixture, 1));
        if (i % 4 < 2)
            sp_reset(&client);
        else
            sp_close(&client);
        if (i >= 5)
            assert_true(
                nng_fixture_metric_becomes(&target->fixture, M_CONNECTIONS, TRANSPORT_NNG, 0));
        nng_fixture_complete(&target->fixture);
    }
    for (int i = 0; i < STORM_COUNT; i++) { /* and with replies that are on their way */
        struct sp_client client;
        assert_true(sp_open(&client, target->url[i % 2]));
        assert_true(sp_send(&client, 1, "big:50000", 9));
        assert_true(sp_send(&client, 2, "big:50000", 9));
        sp_close(&client);
    }
}

/* As nanomsg's raw sockets may: any ids, many at once, one connection. */
static void test_pipelined_ids_come_back_with_their_own_replies(void **state)
{
    enum { PIPELINED = 100 }; /* unread replies must fit into the socket */
    struct target *target = *state;
    for (uint32_t round = 0; round < 2; round++) {
        struct sp_client client;
        bool seen[PIPELINED] = {false};
        assert_true(sp_open(&client, target->url[round]));
        for (uint32_t i = 0; i < PIPELINED; i++) {
            uint32_t body[2] = {i, ~i};
            assert_true(sp_send(&client, i * 7919, body, sizeof body));
        }
        for (uint32_t i = 0; i < PIPELINED; i++) {
            uint32_t id = 0;
            uint32_t body[2];
            assert_int_equal(sp_receive(&client, &id, body, sizeof body), sizeof body);
            assert_true(body[0] < PIPELINED && !seen[body[0]]);
            assert_int_equal(id, body[0] * 7919);
            assert_int_equal(body[1], ~body[0]);
            seen[body[0]] = true;
        }
        sp_close(&client);
    }
}

/* In a process of its own, with few descriptors: those that are connected are served on, and others
 * again when descriptors are free. */
static int run_out_of_descriptors(void)
{
    void *state = NULL;
    const struct rlimit few = {.rlim_cur = 64, .rlim_max = 64};
    static struct sp_client clients[64];
    if (set_up(&state) != 0 || setrlimit(RLIMIT_NOFILE, &few) != 0)
        return 2;
    struct target *target = state;
    uint32_t count = 0;
    bool early_is_served = sp_open(&clients[count++], target->url[0]);
    while (count < 64 && sp_connect(&clients[count], target->url[count % 2]))
        count++;
    early_is_served &= count < 64 && sp_ask(&clients[0], "hello", reply, sizeof reply) == 5;
    for (uint32_t i = 0; i < count; i++)
        sp_close(&clients[i]);
    return early_is_served && tear_down(&state) == 0 ? 0 : 1;
}

static void test_running_out_of_descriptors(void **state)
{
    (void)state;
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        execl("/proc/self/exe", "test_nng_attacks", "--few-descriptors", (char *)NULL);
        _exit(3);
    }
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
}

int main(int argc, char **argv)
{
    if (argc == 2 && strcmp(argv[1], "--few-descriptors") == 0)
        return run_out_of_descriptors();
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_connecting_and_closing_at_once),
        TEST(test_fin_and_then_rst_in_the_handshake),
        TEST(test_handshake_garbage_and_http),
        TEST(test_announcing_four_gigabytes),
        TEST(test_half_messages_from_many_do_not_stop_others),
        TEST(test_a_slow_reader_is_closed_and_others_are_served),
        TEST(test_slow_readers_at_once_count_once_each),
        TEST(test_hundreds_of_idle_connections),
        TEST(test_a_message_of_too_many_hops_is_dropped_alone),
        TEST(test_an_empty_body_is_a_request_and_three_bytes_are_not),
        TEST(test_replies_to_peers_that_have_vanished),
        TEST(test_pipelined_ids_come_back_with_their_own_replies),
        cmocka_unit_test(test_running_out_of_descriptors),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
