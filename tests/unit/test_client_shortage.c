/* SPDX-License-Identifier: Apache-2.0 */
/* A process without descriptors for connections: no address is blamed for it, calls end in time and
 * say what was missing, and all is well as soon as there are some again. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "client/decide.h"
#include "tests/support/fake_peer.h"
#include "tests/support/submitted.h"

#define MISSING "Too many open files"

static struct fake_peer peer, other;
static struct rlimit before;

/* The lowest that is free is beyond the limit.  (None at all would also keep poll from working.) */
static void take_descriptors(void)
{
    int lowest = dup(STDERR_FILENO);
    assert_true(lowest > 0);
    close(lowest);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    struct rlimit none = {.rlim_cur = (rlim_t)lowest, .rlim_max = before.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
}

static void give_descriptors(void)
{
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
}

static void check_not_blamed(struct decide_client *client, size_t count)
{
    struct decide_endpoint endpoints[4];
    struct decide_counters counters;
    assert_int_equal(decide_client_endpoints(client, endpoints, 4), count);
    for (size_t i = 0; i < count; i++) {
        assert_int_equal(endpoints[i].state, DECIDE_ENDPOINT_FINE);
        assert_int_equal(endpoints[i].failures, 0);
        assert_int_equal(endpoints[i].in_progress, 0);
    }
    decide_client_counters(client, &counters);
    assert_int_equal(counters.ejections, 0);
    assert_int_equal(counters.retries, 0);
}

static void a_call_ends_in_time_and_says_what_is_missing(void **state)
{
    (void)state;
    struct decide_request request = {.user = "u", .n = 1, .timeout_us = SHORT_US};
    fake_peer_start(&peer, 0, FAKE_ANSWERS);
    struct decide_client *client = submitted_client(peer.url);
    take_descriptors();
    struct decide_reply *reply = decide_recommend(client, &request);
    give_descriptors();
    assert_int_equal(reply->status, DECIDE_UNREACHABLE);
    assert_non_null(strstr(reply->error_message, MISSING));
    assert_non_null(strstr(reply->error_message, "this process"));
    assert_true(reply->waited_us >= SHORT_US); /* there might have been one at the last moment */
    decide_reply_free(reply);
    check_not_blamed(client, 1);
    request.timeout_us = LONG_US; /* at once, not after a pause */
    reply = decide_recommend(client, &request);
    assert_int_equal(reply->status, DECIDE_OK);
    decide_reply_free(reply);
    decide_client_destroy(&client);
    fake_peer_stop(&peer);
}

static void a_call_goes_on_when_there_is_one_again(void **state)
{
    (void)state;
    struct submitted result = {0};
    fake_peer_start(&peer, 0, FAKE_ANSWERS);
    struct decide_client *client = submitted_client(peer.url);
    assert_true(decide_fd(client) >= 0);
    take_descriptors();
    assert_int_not_equal(submitted_user(client, "u", LONG_US, &result), 0);
    assert_int_equal(decide_process(client), 0);
    give_descriptors();
    submitted_process_until(client, &result.callback_count, 1);
    assert_int_equal(result.status, DECIDE_OK);
    check_not_blamed(client, 1);
    decide_client_destroy(&client);
    fake_peer_stop(&peer);
}

static void what_stands_in_is_given(void **state)
{
    (void)state;
    static const char *const items[] = {"gift"};
    struct decide_request request = {.user = "u", .n = 1, .timeout_us = SHORT_US};
    struct decide_options options = decide_options_default();
    struct decide_client *client = NULL;
    fake_peer_start(&peer, 0, FAKE_ANSWERS);
    options.urls = peer.url;
    options.fallback_items = items;
    options.fallback_count = 1;
    assert_int_equal(decide_client_create(&options, &client, NULL), DECIDE_OK);
    take_descriptors();
    struct decide_reply *reply = decide_recommend(client, &request);
    give_descriptors();
    assert_int_equal(reply->status, DECIDE_OK);
    assert_true(reply->fallback);
    assert_string_equal(reply->items[0].id, "gift");
    assert_non_null(strstr(reply->error_message, MISSING));
    decide_reply_free(reply);
    decide_client_destroy(&client);
    fake_peer_stop(&peer);
}

/* The addresses divide the users; one of them has a connection. */
static void an_open_connection_serves_all(void **state)
{
    (void)state;
    char urls[sizeof peer.url + sizeof other.url], user[16];
    fake_peer_start(&peer, 0, FAKE_ANSWERS);
    fake_peer_start(&other, 0, FAKE_ANSWERS);
    snprintf(urls, sizeof urls, "%s,%s", peer.url, other.url);
    struct decide_client *client = submitted_client(urls);
    struct decide_request request = {.user = "u0", .n = 1, .timeout_us = LONG_US};
    struct decide_reply *reply = decide_recommend(client, &request);
    assert_int_equal(reply->status, DECIDE_OK);
    decide_reply_free(reply);
    assert_int_equal(atomic_load(&peer.connection_count) + atomic_load(&other.connection_count), 1);
    take_descriptors();
    for (int i = 0; i < 20; i++) {
        snprintf(user, sizeof user, "u%d", i);
        request.user = user;
        reply = decide_recommend(client, &request);
        if (reply->status != DECIDE_OK) {
            give_descriptors();
            fail_msg("%s", reply->error_message);
        }
        decide_reply_free(reply);
    }
    give_descriptors();
    check_not_blamed(client, 2);
    assert_int_equal(atomic_load(&peer.request_count) + atomic_load(&other.request_count), 21);
    decide_client_destroy(&client);
    fake_peer_stop(&peer);
    fake_peer_stop(&other);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_call_ends_in_time_and_says_what_is_missing),
        cmocka_unit_test(a_call_goes_on_when_there_is_one_again),
        cmocka_unit_test(what_stands_in_is_given),
        cmocka_unit_test(an_open_connection_serves_all),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
