/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/two_peers.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>

struct fake_peer two_peers[2];

struct decide_client *two_peers_open(const struct decide_options *wanted)
{
    static char urls[400];
    struct decide_options options = *wanted;
    struct decide_client *client = NULL;
    char error[DECIDE_ERROR_BYTES];
    for (int i = 0; i < 2; i++) {
        fake_peer_start(&two_peers[i], 0, FAKE_ANSWERS);
        atomic_store(&two_peers[i].answers_users, true);
    }
    snprintf(urls, sizeof urls, "%s,%s", two_peers[0].url, two_peers[1].url);
    options.urls = urls;
    if (decide_client_create(&options, &client, error) != DECIDE_OK)
        fail_msg("%s", error);
    return client;
}

void two_peers_close(struct decide_client **client)
{
    decide_client_destroy(client);
    for (int i = 0; i < 2; i++)
        fake_peer_stop(&two_peers[i]);
}

struct decide_reply *two_peers_ask(struct decide_client *client, const char *user,
                                   uint64_t timeout_us)
{
    return decide_recommend(client,
                            &(struct decide_request){.user = user, .timeout_us = timeout_us});
}

void two_peers_expect(struct decide_client *client, const char *user)
{
    struct decide_reply *reply = two_peers_ask(client, user, LONG_US);
    if (reply->status != DECIDE_OK || reply->fallback)
        print_error("%s\n", reply->error_message);
    assert_int_equal(reply->status, DECIDE_OK);
    assert_false(reply->fallback);
    assert_string_equal(reply->items[0].id, user);
    decide_reply_free(reply);
}

int two_peers_home(const char *user)
{
    char urls[400];
    char error[DECIDE_ERROR_BYTES];
    struct decide_options options = decide_options_default();
    struct decide_client *client = NULL;
    snprintf(urls, sizeof urls, "%s,%s", two_peers[0].url, two_peers[1].url);
    options.urls = urls;
    assert_int_equal(decide_client_create(&options, &client, error), DECIDE_OK);
    uint32_t before = atomic_load(&two_peers[0].request_count);
    two_peers_expect(client, user);
    decide_client_destroy(&client);
    return atomic_load(&two_peers[0].request_count) > before ? 0 : 1;
}

struct decide_counters two_peers_counters(const struct decide_client *client)
{
    struct decide_counters counters;
    decide_client_counters(client, &counters);
    return counters;
}
