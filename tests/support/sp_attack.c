/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka.h needs the four above */
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "server/protocol/call.h"
#include "tests/support/own_memory.h"
#include "tests/support/sp_attack.h"

static char reply[CALL_REPLY_BYTES];

void sp_attack_connect_and_close(const char *const url[2])
{
    for (int i = 0; i < SP_STORM_COUNT; i++) {
        struct sp_client client;
        assert_true(sp_connect(&client, url[i % 2]));
        sp_close(&client);
    }
}

void sp_attack_reset_in_the_handshake(const char *const url[2])
{
    for (int i = 0; i < SP_STORM_COUNT; i++) {
        struct sp_client clients[4];
        for (int c = 0; c < 4; c++) {
            assert_true(sp_connect(&clients[c], url[0]));
            shutdown(clients[c].fd, SHUT_WR);
        }
        for (int c = 0; c < 4; c++)
            sp_reset(&clients[c]);
    }
}

void sp_attack_bad_handshakes(const char *const url[2])
{
    static const char *const openings[] = {
        "GET / HTTP/1.1\r\nHost: x\r\n\r\n", "\x16\x03\x01\x02\x20\x01\x01\x01\xfc\x03\x03 hello",
        "SP\1\2\3\4\5\6\7", "\377\377\377\377\377\377\377\377\377\377"};
    static const uint8_t as_pub[8] = {0, 'S', 'P', 0, 0, 0x20, 0, 0};
    for (uint32_t i = 0; i < 8; i++) {
        struct sp_client client;
        assert_true(sp_connect(&client, url[i % 2]));
        assert_true(sp_send_raw(&client, openings[i / 2], strlen(openings[i / 2])));
        char answer[8];
        recv(client.fd, answer, sizeof answer, MSG_WAITALL); /* its own handshake comes first */
        assert_true(sp_is_closed_by_peer(&client));
        sp_close(&client);
    }
    struct sp_client client;
    char answer[8];
    assert_true(sp_connect(&client, url[0]));
    assert_true(sp_send_raw(&client, as_pub, sizeof as_pub));
    recv(client.fd, answer, sizeof answer, MSG_WAITALL);
    assert_true(sp_is_closed_by_peer(&client));
    sp_close(&client);
}

void sp_attack_four_gigabytes(const char *const url[2])
{
    struct sp_client clients[32];
    long before = own_memory_now().virtual_bytes;
    for (uint32_t i = 0; i < 32; i++) {
        assert_true(sp_open(&clients[i], url[i % 2]));
        assert_true(sp_announce(&clients[i], i % 4 < 2 ? UINT64_C(1) << 32 : UINT64_MAX));
    }
    for (uint32_t i = 0; i < 32; i++) {
        assert_true(sp_is_closed_by_peer(&clients[i]));
        sp_close(&clients[i]);
    }
    assert_true(own_memory_now().virtual_bytes - before < 1L << 30);
}

void sp_attack_half_messages(const char *const url[2])
{
    struct sp_client clients[64];
    for (uint32_t i = 0; i < 64; i++) {
        assert_true(sp_open(&clients[i], url[i % 2]));
        assert_true(i % 3 == 0 ? sp_send_raw(&clients[i], "\1", 1)
                               : sp_announce(&clients[i], 60000) &&
                                     sp_send_raw(&clients[i], "half a message", 14));
    }
    assert_true(sp_serves(url[0]));
    assert_true(sp_serves(url[1]));
    for (uint32_t i = 0; i < 64; i++)
        sp_close(&clients[i]);
}

void sp_attack_read_nothing(const char *url, struct sp_client *ret_slow)
{
    struct sp_client other;
    assert_true(sp_open(ret_slow, url));
    assert_true(sp_open(&other, url));
    int small = 4096;
    setsockopt(ret_slow->fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof small);
    uint32_t sent_count = 0;
    while (sent_count < 2000 && sp_send(ret_slow, sent_count, "big:200000", 10))
        sent_count++;
    for (int i = 0; i < 5; i++) {
        uint64_t asked_ns = clock_now_ns(clock_system());
        assert_int_equal(sp_ask(&other, "hello", reply, sizeof reply), 5);
        assert_true(clock_now_ns(clock_system()) - asked_ns < UINT64_C(2000000000));
    }
    sp_close(&other);
}

void sp_attack_too_many_hops(const char *url)
{
    struct sp_client client;
    uint8_t hops[4 * 20] = {0}; /* no top bit: only hops, and no id within the limit */
    uint32_t id = 0;
    assert_true(sp_open(&client, url));
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

void sp_attack_short_messages(const char *const url[2])
{
    for (uint32_t i = 0; i < 2; i++) {
        struct sp_client client;
        uint32_t id = 0;
        assert_true(sp_open(&client, url[i]));
        assert_true(sp_send(&client, 77, "", 0));
        assert_int_equal(sp_receive(&client, &id, reply, sizeof reply), 0);
        assert_int_equal(id, 77);
        assert_true(sp_announce(&client, 3));
        sp_send_raw(&client, "\200\0\0", 3); /* it may be closed by now */
        assert_true(sp_is_closed_by_peer(&client));
        sp_close(&client);
    }
}

void sp_attack_pipeline(const char *const url[2])
{
    enum { PIPELINED = 100 }; /* unread replies must fit into the socket */
    for (uint32_t round = 0; round < 2; round++) {
        struct sp_client client;
        bool seen[PIPELINED] = {false};
        assert_true(sp_open(&client, url[round]));
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

void sp_attack_idle_open(const char *const url[2], struct sp_client clients[SP_IDLE_COUNT])
{
    for (uint32_t i = 0; i < SP_IDLE_COUNT; i++)
        assert_true(sp_open(&clients[i], url[i % 2]));
}

void sp_attack_idle_close(const char *const url[2], struct sp_client clients[SP_IDLE_COUNT])
{
    assert_true(sp_serves(url[0]));
    for (uint32_t i = 0; i < SP_IDLE_COUNT; i += 40)
        assert_int_equal(sp_ask(&clients[i], "hello", reply, sizeof reply), 5);
    for (uint32_t i = 0; i < SP_IDLE_COUNT; i++)
        sp_close(&clients[i]);
}

void sp_attack_vanish(const char *const url[2])
{
    for (int i = 0; i < SP_STORM_COUNT; i++) {
        struct sp_client client;
        assert_true(sp_open(&client, url[i % 2]));
        assert_true(sp_send(&client, 1, "big:50000", 9));
        assert_true(sp_send(&client, 2, "big:50000", 9));
        sp_close(&client);
    }
}

bool sp_attack_use_up_descriptors(const char *const url[2])
{
    static struct sp_client clients[64];
    uint32_t count = 0;
    bool early_is_served = sp_open(&clients[count++], url[0]);
    while (count < 64 && sp_connect(&clients[count], url[count % 2]))
        count++;
    early_is_served &= count < 64 && sp_ask(&clients[0], "hello", reply, sizeof reply) == 5;
    for (uint32_t i = 0; i < count; i++)
        sp_close(&clients[i]);
    return early_is_served;
}

void sp_attack_in_a_process(const char *program, const char *option)
{
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        execl("/proc/self/exe", program, option, (char *)NULL);
        _exit(3);
    }
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
}
