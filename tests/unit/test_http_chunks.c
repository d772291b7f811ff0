/* SPDX-License-Identifier: Apache-2.0 */
/* Chunked bodies: those of RFC 9112 and no others, however they are cut into pieces. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "server/transport/http_chunks.h"
#include "tests/support/http_fixture.h"
#include "tests/support/http_target.h"

#define HEAD "POST /v1/echo HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n"

static const char *const good[] = {
    "0\r\n\r\n",
    "9\r\n{\"pad\":1}\r\n0\r\n\r\n",
    "9\n{\"pad\":1}\n0\n\n",
    "0009\r\n{\"pad\":1}\r\n000\r\n\r\n",
    "a\r\n{\"pad\":12}\r\n0\r\n\r\n",
    "A\r\n{\"pad\":12}\r\n0\r\nx: y\r\n\r\n",
    "1\r\n{\r\n1\r\n}\r\n0\r\n\r\n",
};

/* evhttp takes all of these but the last three. */
static const char *const bad[] = {
    "0x9\r\n{\"pad\":1}\r\n0\r\n\r\n", "0X9\r\n{\"pad\":1}\r\n0\r\n\r\n",
    "+9\r\n{\"pad\":1}\r\n0\r\n\r\n",  " 9\r\n{\"pad\":1}\r\n0\r\n\r\n",
    "\t9\r\n{\"pad\":1}\r\n0\r\n\r\n", "9 \r\n{\"pad\":1}\r\n0\r\n\r\n",
    "9 0\r\n{\"pad\":1}\r\n0\r\n\r\n", "\r\n9\r\n{\"pad\":1}\r\n0\r\n\r\n",
    "9\r\n{\"pad\":1}0\r\n\r\n",       "9\r\n{\"pad\":1}\r\n\r\n0\r\n\r\n",
    "9\r\n{\"pad\":1}\r\n+0\r\n\r\n",  "9\r\n{\"pad\":1}\r\n-0\r\n\r\n",
    "9\r\n{\"pad\":1}\r\n0 \r\n\r\n",  "9;a=b\r\n{\"pad\":1}\r\n0\r\n\r\n",
    "9\r{\"pad\":1}\r\n0\r\n\r\n",     "11111111111111119\r\n{\"pad\":1}\r\n0\r\n\r\n",
};
enum { GOOD_COUNT = sizeof good / sizeof good[0], BAD_COUNT = sizeof bad / sizeof bad[0] };

static enum http_chunks_state judged(const char *body, size_t piece)
{
    struct http_chunks chunks = {0};
    for (size_t at = 0, len = strlen(body); at < len; at += piece)
        http_chunks_take(&chunks, body + at, len - at < piece ? len - at : piece);
    return chunks.state;
}

static void test_pieces_of_any_length(void **state)
{
    (void)state;
    for (size_t piece = 1; piece < 40; piece++) {
        for (size_t i = 0; i < GOOD_COUNT; i++)
            assert_int_equal(judged(good[i], piece), HTTP_CHUNKS_ENDED);
        for (size_t i = 0; i < BAD_COUNT; i++)
            assert_int_equal(judged(bad[i], piece), HTTP_CHUNKS_MALFORMED);
    }
    assert_int_equal(judged("9\r\n{\"pad\"", 3), HTTP_CHUNKS_DATA);
    assert_int_equal(judged("9", 1), HTTP_CHUNKS_SIZE);
}

/* `body` behind its head on a connection, in two pieces cut at `at`. */
static bool send_cut(int fd, const char *body, size_t at)
{
    char request[512];
    int len = snprintf(request, sizeof request, HEAD "%s", body);
    assert_true(len > 0 && (size_t)len < sizeof request);
    size_t first = sizeof HEAD - 1 + at;
    return http_send_bytes(fd, request, first) &&
           (first == (size_t)len || http_send_bytes(fd, request + first, (size_t)len - first));
}

static void test_the_server_takes_no_others(void **state)
{
    struct http_reply reply;
    for (size_t i = 0; i < BAD_COUNT; i++) {
        for (size_t at = 0; at <= strlen(bad[i]); at += 3) {
            int fd = http_connect(*state);
            assert_true(send_cut(fd, bad[i], at) && http_read(fd, false, &reply));
            if (reply.status != 400 && reply.status != 413)
                print_error("%zu, cut at %zu: %d %s\n", i, at, reply.status, reply.body);
            assert_true(reply.status == 400 || reply.status == 413);
            assert_true(http_is_closed_by_peer(fd));
            close(fd);
        }
    }
}

static void test_the_server_takes_these_one_behind_the_other(void **state)
{
    struct http_reply reply;
    int fd = http_connect(*state);
    for (size_t i = 1; i < GOOD_COUNT; i++) {
        for (size_t at = 0; at <= strlen(good[i]); at += 5) {
            assert_true(send_cut(fd, good[i], at) && http_read(fd, false, &reply));
            if (reply.status != 200)
                print_error("%zu, cut at %zu: %d %s\n", i, at, reply.status, reply.body);
            assert_int_equal(reply.status, 200);
        }
    }
    /* Two in one piece; a body without chunks may look like bad ones. */
    assert_true(http_send(fd, HEAD
                          "2\r\n{}\r\n0\r\n\r\n" HEAD "2\r\n{}\r\n0\r\n\r\n"
                          "POST /v1/echo HTTP/1.1\r\nContent-Length: 11\r\n\r\n{\"0x9\":\r\n1}"));
    for (int i = 0; i < 3; i++) {
        assert_true(http_read(fd, false, &reply));
        assert_int_equal(reply.status, 200);
    }
    close(fd);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, http_target_set_up, http_target_tear_down)
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pieces_of_any_length),
        TEST(test_the_server_takes_no_others),
        TEST(test_the_server_takes_these_one_behind_the_other),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
