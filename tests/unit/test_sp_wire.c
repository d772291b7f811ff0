/* SPDX-License-Identifier: Apache-2.0 */
/* The native request socket on the wire: nng's own REQ socket as its peer, and bytes that arrive in
 * whatever pieces. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include <cmocka.h>
#include <nng/nng.h>
#include <nng/protocol/reqrep0/rep.h>
#include <nng/protocol/reqrep0/req.h>

#include "base/rand.h"
#include "server/metrics.h"
#include "server/transport/sp_frame.h"
#include "tests/support/sp_client.h"
#include "tests/support/sp_fixture.h"

#define BODY_MAX (1U << 20)

static char reply[CALL_REPLY_BYTES];

/* One server on tcp and on ipc for every test. */
struct target {
    struct sp_fixture fixture;
    const char *url[2];
};

static int set_up(void **state)
{
    struct target *target = malloc(sizeof *target);
    char ipc[600];
    sp_fixture_init(&target->fixture);
    const char *const addresses[] = {"tcp://127.0.0.1:0",
                                     sp_fixture_ipc_url(&target->fixture, ipc, sizeof ipc)};
    struct sp_server_options options = sp_fixture_options(&target->fixture);
    options.addresses = addresses;
    options.address_count = 2;
    options.message_bytes_max = BODY_MAX;
    options.send_timeout_ms = 10000;
    sp_fixture_start(&target->fixture, &options);
    for (uint32_t i = 0; i < 2; i++)
        target->url[i] = sp_server_address(target->fixture.server, i);
    *state = target;
    return 0;
}

static int tear_down(void **state)
{
    struct target *target = *state;
    sp_fixture_deinit(&target->fixture);
    free(target);
    return 0;
}

/* ---- nng ------------------------------------------------------------------------------ */

static nng_socket dial(const char *url)
{
    nng_socket socket;
    assert_int_equal(nng_req0_open(&socket), 0);
    assert_int_equal(nng_socket_set_ms(socket, NNG_OPT_RECVTIMEO, SP_TIMEOUT_S * 1000), 0);
    assert_int_equal(nng_socket_set_size(socket, NNG_OPT_RECVMAXSZ, 0), 0);
    assert_int_equal(nng_dial(socket, url, NULL, 0), 0);
    return socket;
}

static void assert_nng_says(nng_socket socket, const char *text, const char *expected, size_t len)
{
    size_t got = sizeof reply;
    char request[64];
    snprintf(request, sizeof request, "%s", text);
    assert_int_equal(nng_send(socket, request, strlen(request), 0), 0);
    assert_int_equal(nng_recv(socket, reply, &got, 0), 0);
    assert_int_equal(got, len);
    if (expected != NULL)
        assert_memory_equal(reply, expected, len);
}

static void test_a_socket_of_nng_asks_over_tcp_and_ipc(void **state)
{
    struct target *target = *state;
    for (uint32_t i = 0; i < 2; i++) {
        nng_socket socket = dial(target->url[i]);
        assert_nng_says(socket, "hello", "hello", 5);
        assert_nng_says(socket, "local", "yes", 3);
        assert_nng_says(socket, "", "", 0);
        assert_nng_says(socket, "big:262144", NULL, CALL_REPLY_BYTES);
        nng_close(socket);
    }
}

static void test_nng_sends_messages_of_all_sizes(void **state)
{
    static const size_t sizes[] = {1,     4083,  4084,  4085,   65523, 65524,
                                   65525, 65536, 70000, 262143, 262144};
    struct target *target = *state;
    for (uint32_t i = 0; i < 2; i++) {
        nng_socket socket = dial(target->url[i]);
        for (size_t s = 0; s < sizeof sizes / sizeof sizes[0]; s++) {
            uint8_t *body = malloc(sizes[s]);
            size_t got = sizeof reply;
            assert_non_null(body);
            for (size_t b = 0; b < sizes[s]; b++)
                body[b] = (uint8_t)(b * 31 + s);
            assert_int_equal(nng_send(socket, body, sizes[s], 0), 0);
            assert_int_equal(nng_recv(socket, reply, &got, 0), 0);
            assert_int_equal(got, sizes[s]);
            assert_memory_equal(reply, body, got);
            free(body);
        }
        char *longest = calloc(1, BODY_MAX);
        size_t got = sizeof reply;
        assert_non_null(longest);
        memcpy(longest, "big:77,", 7);
        assert_int_equal(nng_send(socket, longest, BODY_MAX, 0), 0);
        assert_int_equal(nng_recv(socket, reply, &got, 0), 0);
        assert_int_equal(got, 77);
        free(longest);
        nng_close(socket);
    }
}

struct context {
    nng_ctx ctx;
    nng_aio *aio;
};

/* Many requests of one socket at a time; some are deferred, and the others overtake them. */
static void test_many_contexts_of_nng_share_a_connection(void **state)
{
    enum { CONTEXTS = 100, DEFERRED = 10 };
    struct target *target = *state;
    for (uint32_t round = 0; round < 2; round++) {
        nng_socket socket = dial(target->url[round]);
        static struct context contexts[CONTEXTS];
        for (uint32_t i = 0; i < CONTEXTS; i++) {
            char text[32];
            nng_msg *message = NULL;
            snprintf(text, sizeof text, "%s%u", i % DEFERRED == 0 ? "later" : "now", i);
            assert_int_equal(nng_msg_alloc(&message, 0), 0);
            assert_int_equal(nng_msg_append(message, text, strlen(text)), 0);
            assert_int_equal(nng_ctx_open(&contexts[i].ctx, socket), 0);
            assert_int_equal(nng_aio_alloc(&contexts[i].aio, NULL, NULL), 0);
            nng_aio_set_timeout(contexts[i].aio, SP_TIMEOUT_S * 1000);
            nng_aio_set_msg(contexts[i].aio, message);
            nng_ctx_send(contexts[i].ctx, contexts[i].aio);
            nng_aio_wait(contexts[i].aio);
            assert_int_equal(nng_aio_result(contexts[i].aio), 0);
            nng_ctx_recv(contexts[i].ctx, contexts[i].aio);
        }
        for (uint32_t pass = 0; pass < 2; pass++) {
            for (uint32_t i = 0; i < CONTEXTS; i++) {
                char text[32];
                if ((i % DEFERRED == 0) != (pass == 1))
                    continue;
                nng_aio_wait(contexts[i].aio);
                assert_int_equal(nng_aio_result(contexts[i].aio), 0);
                nng_msg *message = nng_aio_get_msg(contexts[i].aio);
                snprintf(text, sizeof text, "%s%u", pass == 1 ? "later" : "now", i);
                assert_int_equal(nng_msg_len(message), strlen(text));
                assert_memory_equal(nng_msg_body(message), text, strlen(text));
                nng_msg_free(message);
                nng_aio_free(contexts[i].aio);
                nng_ctx_close(contexts[i].ctx);
            }
            text_service_complete(&target->fixture.service);
        }
        nng_close(socket);
    }
}

static void *run_device(void *arg)
{
    nng_socket *ends = arg;
    nng_device(ends[0], ends[1]);
    return NULL;
}

/* REQ -> device -> device -> us: every device puts a hop in front, and finds it again. */
static void test_requests_come_through_a_chain_of_devices_of_nng(void **state)
{
    enum { DEVICES = 2 };
    struct target *target = *state;
    nng_socket ends[DEVICES][2];
    pthread_t threads[DEVICES];
    char urls[DEVICES][64];
    for (int d = 0; d < DEVICES; d++) {
        snprintf(urls[d], sizeof urls[d], "inproc://device%d", d);
        assert_int_equal(nng_rep0_open_raw(&ends[d][0]), 0);
        assert_int_equal(nng_req0_open_raw(&ends[d][1]), 0);
        assert_int_equal(nng_listen(ends[d][0], urls[d], NULL, 0), 0);
        assert_int_equal(nng_dial(ends[d][1], d == 0 ? target->url[0] : urls[d - 1], NULL, 0), 0);
        assert_int_equal(pthread_create(&threads[d], NULL, run_device, ends[d]), 0);
    }
    nng_socket socket = dial(urls[DEVICES - 1]);
    assert_nng_says(socket, "hello", "hello", 5);
    assert_nng_says(socket, "big:70000", NULL, 70000);
    nng_close(socket);
    for (int d = 0; d < DEVICES; d++) {
        nng_close(ends[d][0]);
        nng_close(ends[d][1]);
        pthread_join(threads[d], NULL);
    }
}

/* ---- pieces --------------------------------------------------------------------------- */

static size_t put_request(uint8_t *at, bool ipc, uint32_t hops, uint32_t id, const void *body,
                          size_t len)
{
    static const uint8_t hop[4] = {0x12, 0x34, 0x56, 0x78};
    uint8_t message[SP_FRAME_HEADER_BYTES_MAX + 300];
    uint8_t *start = message + SP_FRAME_HEADER_BYTES_MAX;
    const uint8_t wire_id[4] = {(uint8_t)(id >> 24 | 0x80), (uint8_t)(id >> 16), (uint8_t)(id >> 8),
                                (uint8_t)id};
    assert_true(len <= 300);
    memcpy(start - 4, wire_id, 4);
    for (uint32_t h = 0; h < hops; h++)
        memcpy(start - 8 - 4 * h, hop, 4);
    if (len > 0)
        memcpy(start, body, len);
    uint8_t *frame = sp_frame_put_head(start, len, 4 + 4 * hops, ipc);
    size_t bytes = (size_t)(start - frame) + len;
    memcpy(at, frame, bytes);
    return bytes;
}

static void assert_received(struct sp_client *client, const uint8_t *expected, size_t len)
{
    size_t got = 0;
    while (got < len) {
        ssize_t n = recv(client->fd, reply + got, len - got, 0);
        assert_true(n > 0);
        got += (size_t)n;
    }
    assert_memory_equal(reply, expected, len);
}

static const uint8_t greetings[2][8] = {{0, 'S', 'P', 0, 0, 0x30, 0, 0},
                                        {0, 'S', 'P', 0, 0, 0x31, 0, 0}};

/* Greeting and requests in two pieces, for every place to cut them. */
static void test_bytes_split_at_every_place(void **state)
{
    struct target *target = *state;
    for (uint32_t round = 0; round < 2; round++) {
        uint8_t sent[512], expected[512];
        size_t len = sizeof greetings[0];
        memcpy(sent, greetings[0], len);
        len += put_request(sent + len, round == 1, 0, 7, "hello", 5);
        len += put_request(sent + len, round == 1, 3, 0x7fffffff, "", 0);
        len += put_request(sent + len, round == 1, 7, 0, "third request", 13);
        memcpy(expected, sent, len); /* an echo, but for the greeting */
        memcpy(expected, greetings[1], sizeof greetings[1]);
        for (size_t cut = 1; cut < len; cut++) {
            struct sp_client client;
            uint64_t before =
                metric_value(target->fixture.metrics, M_SOCKET_BYTES, BYTES_RECEIVED, 0);
            assert_true(sp_connect(&client, target->url[round]));
            assert_true(sp_send_raw(&client, sent, cut));
            assert_true(sp_fixture_metric_becomes(&target->fixture, M_SOCKET_BYTES, BYTES_RECEIVED,
                                                  before + cut));
            assert_true(sp_send_raw(&client, sent + cut, len - cut));
            assert_received(&client, expected, len);
            sp_close(&client);
        }
    }
}

static void test_bytes_one_by_one(void **state)
{
    struct target *target = *state;
    for (uint32_t round = 0; round < 2; round++) {
        uint8_t sent[128];
        struct sp_client client;
        size_t len = put_request(sent, round == 1, 2, 99, "byte by byte", 12);
        assert_true(sp_open(&client, target->url[round]));
        for (size_t i = 0; i < len; i++)
            assert_true(sp_send_raw(&client, sent + i, 1));
        assert_received(&client, sent, len);
        sp_close(&client);
    }
}

/* A long row of requests of random sizes, sent in random pieces by one thread while the replies are
 * read by this one. */
struct sender {
    struct sp_client *client;
    const uint8_t *bytes;
    size_t len;
    uint64_t seed;
};

static void *send_in_pieces(void *arg)
{
    struct sender *sender = arg;
    struct rand rand;
    rand_init(&rand, sender->seed);
    size_t at = 0;
    while (at < sender->len) {
        size_t most = rand_below(&rand, 4) == 0 ? 20000 : 60;
        size_t piece = 1 + rand_below(&rand, most);
        if (piece > sender->len - at)
            piece = sender->len - at;
        if (!sp_send_raw(sender->client, sender->bytes + at, piece))
            return NULL;
        at += piece;
    }
    return sender;
}

static void test_requests_coalesced_and_split_at_random(void **state)
{
    enum { REQUESTS = 2000 };
    struct target *target = *state;
    uint8_t *sent = malloc(REQUESTS * 400);
    assert_non_null(sent);
    for (uint64_t seed = 1; seed <= 6; seed++) {
        bool ipc = seed % 2 == 0;
        struct rand rand;
        struct sp_client client;
        size_t len = 0;
        rand_init(&rand, seed);
        for (uint32_t i = 0; i < REQUESTS; i++) {
            char body[300];
            size_t body_bytes = rand_below(&rand, sizeof body);
            memset(body, 'a' + (int)(i % 26), body_bytes);
            /* No text that the service takes for a command. */
            len += put_request(sent + len, ipc, (uint32_t)rand_below(&rand, 8),
                               (uint32_t)rand_u64(&rand), body, body_bytes);
        }
        assert_true(sp_open(&client, target->url[ipc]));
        struct sender sender = {&client, sent, len, seed};
        pthread_t thread;
        void *finished = NULL;
        assert_int_equal(pthread_create(&thread, NULL, send_in_pieces, &sender), 0);
        for (size_t at = 0; at < len;) {
            ssize_t n = recv(client.fd, reply, sizeof reply, 0);
            assert_true(n > 0 && (size_t)n <= len - at);
            assert_memory_equal(reply, sent + at, (size_t)n);
            at += (size_t)n;
        }
        pthread_join(thread, &finished);
        assert_ptr_equal(finished, &sender);
        sp_close(&client);
    }
    free(sent);
}

static void test_a_peer_that_shuts_down_its_side_gets_what_it_asked_for(void **state)
{
    struct target *target = *state;
    struct text_service *service = &target->fixture.service;
    for (uint32_t round = 0; round < 2; round++) {
        struct sp_client client;
        uint32_t id = 0;
        assert_true(sp_open(&client, target->url[round]));
        for (uint32_t i = 0; i < 100; i++)
            assert_true(sp_send(&client, i, "big:3000", 8));
        assert_true(sp_send(&client, 100, "later", 5));
        assert_true(sp_announce(&client, 50)); /* and a message that never comes */
        shutdown(client.fd, SHUT_WR);
        for (uint32_t i = 0; i < 100; i++) {
            assert_int_equal(sp_receive(&client, &id, reply, sizeof reply), 3000);
            assert_int_equal(id, i);
        }
        assert_true(text_service_wait_deferred(service, 1));
        text_service_complete(service);
        assert_int_equal(sp_receive(&client, &id, reply, sizeof reply), 5);
        assert_int_equal(id, 100);
        assert_true(sp_is_closed_by_peer(&client));
        sp_close(&client);
    }
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_a_socket_of_nng_asks_over_tcp_and_ipc),
        TEST(test_nng_sends_messages_of_all_sizes),
        TEST(test_many_contexts_of_nng_share_a_connection),
        TEST(test_requests_come_through_a_chain_of_devices_of_nng),
        TEST(test_bytes_split_at_every_place),
        TEST(test_bytes_one_by_one),
        TEST(test_requests_coalesced_and_split_at_random),
        TEST(test_a_peer_that_shuts_down_its_side_gets_what_it_asked_for),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
