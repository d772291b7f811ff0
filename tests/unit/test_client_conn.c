/* SPDX-License-Identifier: Apache-2.0 */
/* One connection with many requests on it: against a peer that answers in any order, in pieces of
 * any size, everybody gets his own reply or none. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/cursor.h"
#include "base/rand.h"
#include "client/conn.h"
#include "client/sp.h"
#include "tools/cli/value.h"

enum { STEPS = 20000, PENDING_MAX = 2 * CLIENT_CONN_SLOTS, BUFFER_BYTES = 1 << 20 };

#define NOW_NS      UINT64_C(1000000000)
#define DEADLINE_NS (NOW_NS + UINT64_C(7000000))

/* An attempt with its message, which names it. */
struct tracked {
    struct client_attempt attempt;
    struct client_message message;
    uint64_t name;
    bool waits;
};

struct bench {
    struct client_conn conn;
    int peer;
    bool ipc;
    struct rand rand;
    struct tracked tracked[CLIENT_CONN_SLOTS];
    uint64_t name, answered_count;
    uint8_t in[BUFFER_BYTES]; /* what the peer has read and not understood yet */
    size_t in_used;
    uint8_t out[BUFFER_BYTES]; /* what the peer is about to send */
    size_t out_used, out_sent;
    struct {
        uint32_t id;
        uint64_t name;
    } pending[PENDING_MAX]; /* requests that the peer has not answered */
    size_t pending_count;
};

static void name_it(struct tracked *tracked, uint64_t name, size_t pad)
{
    static char text[30000];
    struct decide_request request = {.user = text};
    char error[DECIDE_ERROR_BYTES];
    memset(text, 'x', pad);
    snprintf(text + pad, sizeof text - pad, "%llu", (unsigned long long)name);
    client_message_deinit(&tracked->message);
    client_message_begin(&tracked->message, "ping", NULL);
    assert_int_equal(client_message_add_request(&tracked->message, "ping", &request, error),
                     DECIDE_OK);
    assert_int_equal(client_message_end(&tracked->message, error), DECIDE_OK);
    tracked->attempt =
        (struct client_attempt){.message = &tracked->message, .deadline_ns = DEADLINE_NS};
    tracked->name = name;
    tracked->waits = true;
}

static void open_bench(struct bench *bench, uint64_t seed)
{
    int ends[2];
    int small = 4096;
    memset(bench, 0, sizeof *bench);
    rand_init(&bench->rand, seed);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, ends), 0);
    setsockopt(ends[0], SOL_SOCKET, SO_SNDBUF, &small, sizeof small); /* requests get stuck */
    bench->ipc = seed % 2 == 1;
    bench->conn =
        (struct client_conn){.fd = ends[0], .ipc = bench->ipc, .state = CLIENT_CONN_GREETING};
    bench->peer = ends[1];
    memcpy(bench->out, SP_GREETING_REP, SP_GREETING_BYTES);
    bench->out_used = SP_GREETING_BYTES;
}

static void close_bench(struct bench *bench)
{
    for (size_t i = 0; i < CLIENT_CONN_SLOTS; i++)
        client_message_deinit(&bench->tracked[i].message);
    client_conn_deinit(&bench->conn);
    close(bench->peer);
}

static void peer_reads(struct bench *bench)
{
    size_t wanted = 1 + rand_below(&bench->rand, 6000);
    if (wanted > BUFFER_BYTES - bench->in_used)
        wanted = BUFFER_BYTES - bench->in_used;
    ssize_t got = recv(bench->peer, bench->in + bench->in_used, wanted, 0);
    bench->in_used += got > 0 ? (size_t)got : 0;
    struct sp_message message;
    while (bench->pending_count < PENDING_MAX &&
           sp_parse(bench->in, bench->in_used, bench->ipc, BUFFER_BYTES, &message) == SP_MESSAGE) {
        struct cursor map = cursor_of(message.body, message.body_bytes);
        struct text user = value_text(map, "user");
        const char *digits = user.ptr + user.len;
        while (digits > user.ptr && digits[-1] != 'x')
            digits--;
        char text[24] = "";
        memcpy(text, digits, (size_t)(user.ptr + user.len - digits));
        assert_int_equal(value_int(map, "budget_us", -1), (DEADLINE_NS - NOW_NS) / 1000);
        bench->pending[bench->pending_count].id = message.id;
        bench->pending[bench->pending_count++].name = strtoull(text, NULL, 10);
        bench->in_used -= message.frame_bytes;
        memmove(bench->in, bench->in + message.frame_bytes, bench->in_used);
    }
}

/* Answers any of the requests with its name. */
static void peer_answers(struct bench *bench)
{
    if (bench->pending_count == 0 || bench->out_used > BUFFER_BYTES / 2)
        return;
    size_t index = rand_below(&bench->rand, bench->pending_count);
    uint8_t bytes[SP_HEADER_BYTES_MAX + sizeof(uint64_t)];
    uint8_t *body = bytes + SP_HEADER_BYTES_MAX;
    memcpy(body, &bench->pending[index].name, sizeof(uint64_t));
    const uint8_t *frame =
        sp_put_header(body, sizeof(uint64_t), bench->pending[index].id, bench->ipc);
    size_t len = sizeof(uint64_t) + sp_header_bytes(bench->ipc);
    memcpy(bench->out + bench->out_used, frame, len);
    bench->out_used += len;
    bench->pending[index] = bench->pending[--bench->pending_count];
}

static void peer_sends(struct bench *bench)
{
    size_t left = bench->out_used - bench->out_sent;
    if (left == 0)
        return;
    ssize_t sent = send(bench->peer, bench->out + bench->out_sent,
                        1 + rand_below(&bench->rand, left), MSG_NOSIGNAL);
    bench->out_sent += sent > 0 ? (size_t)sent : 0;
    if (bench->out_sent == bench->out_used)
        bench->out_sent = bench->out_used = 0;
}

static void client_asks(struct bench *bench)
{
    if (!client_conn_has_room(&bench->conn))
        return;
    struct tracked *free_one = NULL;
    for (size_t i = 0; i < CLIENT_CONN_SLOTS && free_one == NULL; i++)
        if (!bench->tracked[i].waits)
            free_one = &bench->tracked[i];
    assert_non_null(free_one);
    name_it(free_one, ++bench->name, rand_below(&bench->rand, 20) == 0 ? 20000 : 1);
    client_conn_add(&bench->conn, &free_one->attempt);
}

static void client_gives_up(struct bench *bench)
{
    struct tracked *tracked = &bench->tracked[rand_below(&bench->rand, CLIENT_CONN_SLOTS)];
    if (!tracked->waits)
        return;
    client_conn_give_up(&bench->conn, &tracked->attempt, NOW_NS);
    assert_null(tracked->attempt.conn);
    tracked->waits = false;
    /* Its memory is gone: nothing may be read there any more. */
    client_message_deinit(&tracked->message);
}

static void client_reads(struct bench *bench)
{
    struct client_attempt *attempt = NULL;
    const uint8_t *body = NULL;
    size_t body_bytes = 0;
    assert_int_equal(client_conn_pull(&bench->conn), DECIDE_OK);
    for (;;) {
        assert_int_equal(client_conn_next(&bench->conn, NOW_NS, &attempt, &body, &body_bytes),
                         DECIDE_OK);
        if (attempt == NULL)
            return;
        struct tracked *tracked = (struct tracked *)attempt;
        uint64_t name = 0;
        assert_int_equal(body_bytes, sizeof name);
        memcpy(&name, body, sizeof name);
        assert_true(tracked->waits && attempt->sent);
        assert_int_equal(name, tracked->name);
        tracked->waits = false;
        bench->answered_count++;
    }
}

static void check(const struct bench *bench)
{
    const struct client_conn *conn = &bench->conn;
    uint32_t live_count = 0;
    for (uint32_t i = 0; i < conn->slot_count; i++) {
        live_count += conn->slots[i].attempt != NULL;
        assert_true(conn->slots[i].attempt == NULL ||
                    conn->slots[i].attempt->sent == (i < conn->sent_count));
    }
    assert_int_equal(live_count, conn->live_count);
    uint32_t waiting_count = 0;
    for (size_t i = 0; i < CLIENT_CONN_SLOTS; i++)
        waiting_count += bench->tracked[i].waits;
    assert_int_equal(waiting_count, live_count);
}

static void everybody_gets_his_own_reply(void **state)
{
    (void)state;
    static struct bench bench;
    for (uint64_t seed = 1; seed <= 6; seed++) {
        open_bench(&bench, seed);
        for (int i = 0; i < STEPS; i++) {
            switch (rand_below(&bench.rand, 8)) {
            case 0: client_asks(&bench); break;
            case 1:
                if (rand_below(&bench.rand, 4) == 0)
                    client_gives_up(&bench);
                break;
            case 2: client_reads(&bench); break;
            case 3: peer_reads(&bench); break;
            case 4: peer_answers(&bench); break;
            case 5: peer_sends(&bench); break;
            default: assert_int_equal(client_conn_push(&bench.conn, NOW_NS), DECIDE_OK);
            }
            check(&bench);
        }
        /* All that is on its way arrives. */
        for (int i = 0; i < STEPS && bench.conn.slot_count > 0; i++) {
            assert_int_equal(client_conn_push(&bench.conn, NOW_NS), DECIDE_OK);
            peer_reads(&bench);
            peer_answers(&bench);
            peer_sends(&bench);
            client_reads(&bench);
        }
        assert_int_equal(bench.conn.slot_count, 0);
        assert_false(client_conn_wants_room(&bench.conn));
        assert_true(bench.answered_count > STEPS / 16);
        close_bench(&bench);
    }
}

static void a_lost_connection_gives_back_who_waited(void **state)
{
    (void)state;
    static struct bench bench;
    open_bench(&bench, 2);
    peer_sends(&bench);
    while (bench.conn.state != CLIENT_CONN_READY) {
        assert_int_equal(client_conn_pull(&bench.conn), DECIDE_OK);
        peer_sends(&bench);
    }
    for (int i = 0; i < 5; i++)
        client_asks(&bench);
    assert_int_equal(client_conn_push(&bench.conn, NOW_NS), DECIDE_OK);
    client_conn_give_up(&bench.conn, &bench.tracked[1].attempt, NOW_NS);
    shutdown(bench.peer, SHUT_RDWR);
    assert_int_equal(client_conn_pull(&bench.conn), DECIDE_UNREACHABLE);
    assert_string_equal(bench.conn.error, "the connection was lost");
    assert_int_equal(bench.conn.fd, -1);
    for (int i = 0; i < 5; i++) {
        if (i == 1)
            continue;
        struct client_attempt *orphan = client_conn_orphan(&bench.conn);
        assert_ptr_equal(orphan, &bench.tracked[i].attempt);
        assert_true(orphan->sent && orphan->conn == NULL);
    }
    assert_null(client_conn_orphan(&bench.conn));
    close_bench(&bench);
}

static void replies_that_stay_away_retire_a_connection(void **state)
{
    (void)state;
    static struct bench bench;
    open_bench(&bench, 2);
    bench.conn.state = CLIENT_CONN_READY;
    for (int i = 0; i < 3; i++)
        client_asks(&bench);
    assert_int_equal(client_conn_push(&bench.conn, NOW_NS), DECIDE_OK);
    client_conn_give_up(&bench.conn, &bench.tracked[0].attempt, NOW_NS);
    client_conn_refresh(&bench.conn, NOW_NS + CLIENT_CONN_PATIENCE_NS);
    assert_true(client_conn_has_room(&bench.conn));
    client_conn_refresh(&bench.conn, NOW_NS + CLIENT_CONN_PATIENCE_NS + 1);
    assert_false(client_conn_has_room(&bench.conn));
    assert_true(bench.conn.fd >= 0); /* two others wait on it still */
    client_conn_give_up(&bench.conn, &bench.tracked[1].attempt, NOW_NS);
    client_conn_give_up(&bench.conn, &bench.tracked[2].attempt, NOW_NS);
    client_conn_refresh(&bench.conn, NOW_NS + CLIENT_CONN_PATIENCE_NS + 1);
    assert_int_equal(bench.conn.fd, -1);
    close_bench(&bench);
}

/* One request, whose reply comes, in time or after its call has gone. */
static void exchange(struct bench *bench, bool in_time)
{
    uint64_t before = bench->answered_count;
    client_asks(bench);
    while (bench->pending_count == 0) {
        assert_int_equal(client_conn_push(&bench->conn, NOW_NS), DECIDE_OK);
        peer_reads(bench);
    }
    if (!in_time) {
        client_conn_was_slow(&bench->conn);
        client_conn_give_up(&bench->conn, &bench->tracked[0].attempt, NOW_NS);
        bench->tracked[0].waits = false;
    }
    peer_answers(bench);
    while (bench->out_used > 0)
        peer_sends(bench);
    while (bench->conn.slot_count > 0)
        client_reads(bench);
    assert_int_equal(bench->answered_count - before, in_time ? 1 : 0);
}

/* A path that trickles brings every reply, too late, for as long as one goes on asking on it. */
static void replies_that_are_always_late_retire_a_connection(void **state)
{
    (void)state;
    static struct bench bench;
    open_bench(&bench, 3);
    while (bench.out_used > 0)
        peer_sends(&bench);
    assert_int_equal(client_conn_pull(&bench.conn), DECIDE_OK);
    assert_int_equal(bench.conn.state, CLIENT_CONN_READY);
    for (int i = 0; i < 100; i++) { /* one in three is late: that may be the daemon's day */
        exchange(&bench, false);
        exchange(&bench, true);
        exchange(&bench, true);
        assert_true(client_conn_has_room(&bench.conn));
    }
    for (int i = 0; i < CLIENT_CONN_SLOW_MAX; i++) {
        assert_true(client_conn_has_room(&bench.conn));
        exchange(&bench, false);
    }
    assert_false(client_conn_has_room(&bench.conn));
    client_conn_refresh(&bench.conn, NOW_NS);
    assert_int_equal(bench.conn.fd, -1);
    close_bench(&bench);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(everybody_gets_his_own_reply),
        cmocka_unit_test(a_lost_connection_gives_back_who_waited),
        cmocka_unit_test(replies_that_stay_away_retire_a_connection),
        cmocka_unit_test(replies_that_are_always_late_retire_a_connection),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
