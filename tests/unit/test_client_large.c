/* SPDX-License-Identifier: Apache-2.0 */
/* Requests that are large: what is too large is refused at once, and a deadline holds while the
 * rest is looked at.  Nobody has to be there to answer. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka.h needs the four above */
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "client/decide.h"
#include "client/reader.h"

enum { NIL = 0xc0, HEAD_BYTES = 5, MANY = 1000000, TRIED_US = 2000000 };

/* An array with that many nils; freed by the caller. */
static uint8_t *array_of(uint32_t count, size_t *ret_len)
{
    uint8_t *bytes = malloc(HEAD_BYTES + (size_t)count);
    assert_non_null(bytes);
    bytes[0] = 0xdd;
    for (int i = 0; i < 4; i++)
        bytes[1 + i] = (uint8_t)(count >> (24 - 8 * i));
    memset(bytes + HEAD_BYTES, NIL, count);
    *ret_len = HEAD_BYTES + (size_t)count;
    return bytes;
}

/* A client of an address where nobody is. */
static struct decide_client *lonely(void)
{
    char error[DECIDE_ERROR_BYTES];
    struct decide_client *client = NULL;
    struct decide_options options = {.urls = "tcp://127.0.0.1:1"};
    assert_int_equal(decide_client_create(&options, &client, error), DECIDE_OK);
    return client;
}

static void too_many_events_are_refused_by_size(void **state)
{
    (void)state;
    size_t len = 0;
    struct decide_client *client = lonely();
    uint8_t *events = array_of(DECIDE_EVENTS_BYTES_MAX - HEAD_BYTES + 1, &len);
    struct decide_reply *reply = decide_events(client, events, len, 20000000);
    assert_int_equal(reply->status, DECIDE_INVALID);
    assert_string_equal(reply->error_message, "events: 500001 bytes, at most 500000 can be sent");
    decide_reply_free(reply);
    free(events);
    events = array_of(DECIDE_EVENTS_BYTES_MAX - HEAD_BYTES, &len);
    reply = decide_events(client, events, len, TRIED_US);
    assert_int_equal(reply->status, DECIDE_UNREACHABLE);
    decide_reply_free(reply);
    /* What is no array is told as before. */
    reply = decide_events(client, events + HEAD_BYTES, 1, 20000000);
    assert_int_equal(reply->status, DECIDE_INVALID);
    assert_string_equal(reply->error_message, "events: expected one MessagePack array");
    decide_reply_free(reply);
    free(events);
    decide_client_destroy(&client);
}

static void the_time_runs_out_while_a_body_is_looked_at(void **state)
{
    (void)state;
    size_t len = 0;
    struct decide_counters counters;
    struct decide_client *client = lonely();
    uint8_t *array = array_of(MANY, &len);
    uint8_t *map = malloc(len + 3);
    assert_non_null(map);
    memcpy(map, (const uint8_t[]){0x81, 0xa1, 'k'}, 3);
    memcpy(map + 3, array, len);
    struct decide_reply *reply = decide_call(client, "ping", map, len + 3, 1);
    assert_int_equal(reply->status, DECIDE_TIMEOUT);
    assert_string_equal(reply->error_message, "body: the time ran out while it was checked");
    decide_reply_free(reply);
    reply = decide_call(client, "ping", map, (size_t)DECIDE_REQUEST_BYTES_MAX + 1, 20000000);
    assert_int_equal(reply->status, DECIDE_INVALID);
    assert_string_equal(reply->error_message, "body: 1048577 bytes, at most 1048576 can be sent");
    decide_reply_free(reply);
    decide_client_counters(client, &counters);
    assert_int_equal(counters.timeouts, 1);
    assert_int_equal(counters.invalid, 1);
    free(map);
    free(array);
    decide_client_destroy(&client);
}

static void the_clock_is_looked_at_on_the_way(void **state)
{
    (void)state;
    size_t len = 0;
    uint8_t *array = array_of(5000, &len);
    assert_int_equal(client_reader_check_until(array, len, UINT64_MAX), CLIENT_CHECKED_FINE);
    assert_int_equal(client_reader_check_until(array, len, 0), CLIENT_CHECKED_LATE);
    array[HEAD_BYTES + 4000] = 0xc1; /* never used */
    assert_int_equal(client_reader_check_until(array, len, UINT64_MAX), CLIENT_CHECKED_WRONG);
    array[HEAD_BYTES + 10] = 0xc1;
    assert_int_equal(client_reader_check_until(array, len, 0), CLIENT_CHECKED_WRONG);
    assert_int_equal(client_reader_check_until(array + HEAD_BYTES, 1, 0), CLIENT_CHECKED_FINE);
    free(array);
}

/* Neither copied nor measured to its end: the limits of a request, and one more. */
static void a_list_and_a_text_end_at_their_limits(void **state)
{
    (void)state;
    struct decide_client *client = lonely();
    const char **ids = malloc((DECIDE_LIST_MAX + 1) * sizeof *ids);
    char *text = malloc(2 * (size_t)DECIDE_REQUEST_BYTES_MAX);
    assert_non_null(ids);
    assert_non_null(text);
    for (int i = 0; i <= DECIDE_LIST_MAX; i++)
        ids[i] = "item";
    memset(text, 'x', 2 * (size_t)DECIDE_REQUEST_BYTES_MAX); /* without an end */
    struct decide_request request = {
        .user = "u", .exclude = ids, .exclude_count = DECIDE_LIST_MAX, .timeout_us = TRIED_US};
    struct decide_reply *reply = decide_recommend(client, &request);
    assert_int_equal(reply->status, DECIDE_UNREACHABLE);
    decide_reply_free(reply);
    request.exclude_count++;
    reply = decide_recommend(client, &request);
    assert_int_equal(reply->status, DECIDE_INVALID);
    assert_string_equal(reply->error_message,
                        "exclude: 10001 of them, more than a request can hold");
    decide_reply_free(reply);
    reply = decide_recommend(client, &(struct decide_request){.user = text});
    assert_int_equal(reply->status, DECIDE_INVALID);
    assert_string_equal(reply->error_message, "the request has more than 1048576 bytes");
    decide_reply_free(reply);
    free(text);
    free(ids);
    decide_client_destroy(&client);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(too_many_events_are_refused_by_size),
        cmocka_unit_test(the_time_runs_out_while_a_body_is_looked_at),
        cmocka_unit_test(a_list_and_a_text_end_at_their_limits),
        cmocka_unit_test(the_clock_is_looked_at_on_the_way),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
