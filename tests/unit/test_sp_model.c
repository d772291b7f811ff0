/* SPDX-License-Identifier: Apache-2.0 */
/* The state machine of a connection against a model: random requests in random pieces, replies read
 * late, calls completed in any order, the sending side shut down at some moment.
 *
 * The model is what a peer may rely on: each whole request is answered once, with its own stack and
 * body; those that are not deferred are answered in order; a deferred one is answered after it was
 * completed, and not before; few are deferred at a time; a message with too many hops is dropped
 * alone; and after the peer's end, and the last reply, comes the server's end. */
#include <errno.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include <cmocka.h>

#include "base/rand.h"
#include "server/metrics.h"
#include "server/transport/sp_frame.h"
#include "tests/support/sp_client.h"
#include "tests/support/sp_fixture.h"

enum { REQUESTS = 150, BODY_BYTES_MAX = 40000, REPLY_BYTES_MAX = 60000, SEEDS = 40, STEPS = 3000 };

enum kind { ECHO, BIG, LATER, LOOPED };

struct expected {
    enum kind kind;
    uint32_t stack_bytes;
    uint8_t stack[SP_FRAME_STACK_BYTES_MAX];
    size_t body_bytes; /* of the reply */
    size_t sent_end;   /* where the request ends in the stream */
    bool answered;
};

struct peer {
    struct rand rand;
    struct sp_client client;
    struct text_service *service;
    uint8_t *out; /* the whole stream, greeting included */
    size_t out_bytes, sent_bytes;
    uint8_t *in; /* what was read and not yet understood */
    size_t in_bytes;
    struct expected expected[REQUESTS];
    uint32_t next_inline;     /* the request that comes next of those not deferred */
    uint32_t completed_count; /* calls that this test has completed */
    uint32_t late_count;      /* replies to them that have come */
    bool greeted, shut, ended;
};

static bool one_in(struct peer *peer, uint64_t n)
{
    return rand_below(&peer->rand, n) == 0;
}

/* Every request has its number in its id, and again in its body. */
static void add_request(struct peer *peer, uint32_t number)
{
    static const char *const starts[] = {"echo", "big:", "later", "echo"};
    struct expected *expected = &peer->expected[number];
    uint8_t *start = peer->out + peer->out_bytes + SP_FRAME_HEADER_BYTES_MAX + 64;
    size_t len = one_in(peer, 10) ? rand_below(&peer->rand, BODY_BYTES_MAX) : 0;
    uint32_t hops = (uint32_t)rand_below(&peer->rand, SP_FRAME_HOPS_MAX);
    expected->kind = (enum kind)(one_in(peer, 20) ? LOOPED : rand_below(&peer->rand, LOOPED));
    size_t wanted = one_in(peer, 4) ? REPLY_BYTES_MAX : 500;
    expected->body_bytes = rand_below(&peer->rand, wanted);
    expected->stack_bytes = 4 * (hops + 1);
    for (uint32_t i = 0; i < 4 * hops; i++)
        expected->stack[i] = (uint8_t)(rand_u64(&peer->rand) & 0x7f);
    expected->stack[4 * hops] = expected->kind == LOOPED ? 0 : 0x80;
    expected->stack[4 * hops + 1] = 0;
    expected->stack[4 * hops + 2] = (uint8_t)(number >> 8);
    expected->stack[4 * hops + 3] = (uint8_t)number;
    int written = snprintf((char *)start, 64, "%s%zu,%u;", starts[expected->kind],
                           expected->body_bytes, number);
    if (len < (size_t)written)
        len = (size_t)written;
    memset(start + written, 'x', len - (size_t)written);
    memcpy(start - expected->stack_bytes, expected->stack, expected->stack_bytes);
    if (expected->kind == LOOPED) { /* whatever the body begins with, it is no id */
        memset(start, 0, len < 64 ? len : 64);
        memset(start + len, 0, 64);
        len += 64;
    }
    if (expected->kind != BIG)
        expected->body_bytes = len;
    uint8_t *frame = sp_frame_put_head(start, len, expected->stack_bytes, peer->client.ipc);
    size_t bytes = (size_t)(start - frame) + len;
    memmove(peer->out + peer->out_bytes, frame, bytes);
    peer->out_bytes += bytes;
    expected->sent_end = peer->out_bytes;
}

static void send_some(struct peer *peer, size_t most)
{
    size_t left = peer->out_bytes - peer->sent_bytes;
    if (left == 0 || peer->shut)
        return;
    size_t piece = 1 + rand_below(&peer->rand, left < most ? left : most);
    piece = piece > left ? left : piece;
    ssize_t n =
        send(peer->client.fd, peer->out + peer->sent_bytes, piece, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (n > 0)
        peer->sent_bytes += (size_t)n;
    else
        assert_int_equal(errno, EAGAIN);
}

static void check_reply(struct peer *peer, const uint8_t *payload, size_t len)
{
    size_t stack_bytes = 4;
    while (stack_bytes < len && (payload[stack_bytes - 4] & 0x80) == 0)
        stack_bytes += 4;
    assert_true(stack_bytes <= len && stack_bytes <= SP_FRAME_STACK_BYTES_MAX);
    uint32_t number = (uint32_t)payload[stack_bytes - 2] << 8 | payload[stack_bytes - 1];
    assert_true(number < REQUESTS);
    struct expected *expected = &peer->expected[number];
    assert_true(!expected->answered && expected->sent_end <= peer->sent_bytes);
    assert_int_equal(stack_bytes, expected->stack_bytes);
    assert_memory_equal(payload, expected->stack, stack_bytes);
    assert_int_equal(len - stack_bytes, expected->body_bytes);
    expected->answered = true;
    if (expected->kind == BIG) {
        for (size_t i = stack_bytes; i < len; i++)
            assert_int_equal(payload[i], 'b');
    } else {
        assert_memory_equal(payload + stack_bytes,
                            peer->out + expected->sent_end - expected->body_bytes,
                            expected->body_bytes);
    }
    if (expected->kind == LATER) {
        peer->late_count++;
        assert_true(peer->late_count <= peer->completed_count);
        return;
    }
    while (peer->expected[peer->next_inline].kind == LATER ||
           peer->expected[peer->next_inline].kind == LOOPED)
        peer->next_inline++;
    assert_int_equal(number, peer->next_inline);
    peer->next_inline++;
}

static void take_replies(struct peer *peer)
{
    size_t at = 0;
    if (!peer->greeted && peer->in_bytes >= SP_FRAME_GREETING_BYTES) {
        assert_memory_equal(peer->in, sp_frame_greeting, SP_FRAME_GREETING_BYTES);
        at = SP_FRAME_GREETING_BYTES;
        peer->greeted = true;
    }
    while (peer->greeted) {
        size_t prefix = peer->client.ipc ? 9 : 8;
        uint64_t len = 0;
        if (peer->in_bytes - at < prefix)
            break;
        assert_int_equal(peer->in[at], peer->client.ipc ? 1 : 0);
        for (size_t i = prefix - 8; i < prefix; i++)
            len = len << 8 | peer->in[at + i];
        assert_true(len >= 4 && len <= CALL_REPLY_BYTES);
        if (peer->in_bytes - at - prefix < len)
            break;
        check_reply(peer, peer->in + at + prefix, (size_t)len);
        at += prefix + (size_t)len;
    }
    memmove(peer->in, peer->in + at, peer->in_bytes - at);
    peer->in_bytes -= at;
}

static void read_some(struct peer *peer, size_t most)
{
    size_t piece = 1 + rand_below(&peer->rand, most);
    ssize_t n = recv(peer->client.fd, peer->in + peer->in_bytes, piece, MSG_DONTWAIT);
    if (n < 0) {
        assert_int_equal(errno, EAGAIN);
        return;
    }
    if (n == 0) {
        assert_true(peer->shut);
        peer->ended = true;
    }
    peer->in_bytes += (size_t)n;
    take_replies(peer);
}

static void complete_one(struct peer *peer)
{
    assert_true(text_service_deferred_count(peer->service) <= SP_SERVER_DEFERRED_MAX);
    peer->completed_count++; /* the reply may be here before the function is back */
    if (!text_service_complete_oldest(peer->service))
        peer->completed_count--;
}

static void take_step(struct peer *peer)
{
    switch (rand_below(&peer->rand, 12)) {
    case 0:
    case 1:
    case 2: send_some(peer, 12); break;
    case 3:
    case 4: send_some(peer, 3000); break;
    case 5: send_some(peer, 200000); break;
    case 6: read_some(peer, 20); break;
    case 7: read_some(peer, 2000); break;
    case 8: read_some(peer, 100000); break;
    case 9:
    case 10: complete_one(peer); break;
    default: /* the other side gets time to act on it */ poll(NULL, 0, one_in(peer, 8)); break;
    }
}

/* Nothing is held back any more: what remains comes by itself. */
static void finish(struct peer *peer)
{
    uint64_t deadline_ns = clock_now_ns(clock_system()) + SP_TIMEOUT_S * UINT64_C(1000000000);
    if (one_in(peer, 2)) { /* in the middle of a message, perhaps */
        shutdown(peer->client.fd, SHUT_WR);
        peer->shut = true;
    }
    while (!peer->ended) {
        send_some(peer, 200000);
        if (peer->sent_bytes == peer->out_bytes && !peer->shut) {
            shutdown(peer->client.fd, SHUT_WR);
            peer->shut = true;
        }
        complete_one(peer);
        read_some(peer, 200000);
        assert_true(clock_now_ns(clock_system()) < deadline_ns);
    }
    assert_int_equal(peer->in_bytes, 0);
    for (uint32_t i = 0; i < REQUESTS; i++) {
        const struct expected *expected = &peer->expected[i];
        bool due = expected->kind != LOOPED && expected->sent_end <= peer->sent_bytes;
        assert_int_equal(expected->answered, due);
    }
}

static void run_peer(struct sp_fixture *fixture, uint64_t seed)
{
    static struct peer peer;
    static const uint8_t greeting[8] = {0, 'S', 'P', 0, 0, 0x30, 0, 0};
    peer = (struct peer){.service = &fixture->service,
                         .out = malloc(REQUESTS * (BODY_BYTES_MAX + 300)),
                         .in = malloc(REQUESTS * (REPLY_BYTES_MAX + 300))};
    assert_true(peer.out != NULL && peer.in != NULL);
    rand_init(&peer.rand, seed);
    assert_true(sp_connect(&peer.client, sp_server_address(fixture->server, seed % 2)));
    memcpy(peer.out, greeting, sizeof greeting);
    peer.out_bytes = sizeof greeting;
    for (uint32_t i = 0; i < REQUESTS; i++)
        add_request(&peer, i);
    uint64_t step_count = rand_below(&peer.rand, STEPS);
    for (uint64_t i = 0; i < step_count; i++)
        take_step(&peer);
    finish(&peer);
    sp_close(&peer.client);
    free(peer.out);
    free(peer.in);
}

static void test_a_connection_behaves_like_its_model(void **state)
{
    (void)state;
    struct sp_fixture fixture;
    char ipc[600];
    sp_fixture_init(&fixture);
    const char *const addresses[] = {"tcp://127.0.0.1:0",
                                     sp_fixture_ipc_url(&fixture, ipc, sizeof ipc)};
    struct sp_server_options options = sp_fixture_options(&fixture);
    options.addresses = addresses;
    options.address_count = 2;
    options.send_timeout_ms = 20000;
    sp_fixture_start(&fixture, &options);
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        print_message("seed %d\n", (int)seed);
        run_peer(&fixture, seed);
        assert_true(sp_fixture_becomes_idle(&fixture));
        assert_true(sp_fixture_metric_becomes(&fixture, M_CONNECTIONS, TRANSPORT_SP, 0));
        assert_int_equal(text_service_deferred_count(&fixture.service), 0);
    }
    sp_fixture_deinit(&fixture);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_connection_behaves_like_its_model),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
