/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/submitted.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>

struct decide_client *submitted_client(const char *urls)
{
    struct decide_options options = decide_options_default();
    struct decide_client *client = NULL;
    char error[DECIDE_ERROR_BYTES];
    options.urls = urls;
    assert_int_equal(decide_client_create(&options, &client, error), DECIDE_OK);
    return client;
}

void submitted_on_reply(struct decide_reply *reply, void *argument)
{
    struct submitted *result = argument;
    result->callback_count++;
    result->status = reply->status;
    result->waited_us = reply->waited_us;
    if (reply->item_count > 0)
        snprintf(result->id, sizeof result->id, "%s", reply->items[0].id);
    if (reply->error_message != NULL)
        snprintf(result->message, sizeof result->message, "%s", reply->error_message);
    decide_reply_free(reply);
}

void submitted_process_until(struct decide_client *client, const uint32_t *count, uint32_t wanted)
{
    struct pollfd pollfd = {.fd = decide_fd(client), .events = POLLIN};
    assert_true(pollfd.fd >= 0);
    while (*count < wanted) {
        assert_int_equal(poll(&pollfd, 1, 30000), 1);
        decide_process(client);
    }
}

uint64_t submitted_user(struct decide_client *client, const char *user, uint64_t timeout_us,
                        struct submitted *result)
{
    struct decide_request request = {.user = user, .timeout_us = timeout_us};
    result->timeout_us = timeout_us;
    return decide_submit(client, "recommend", &request, submitted_on_reply, result);
}

void submitted_many(struct decide_client *client, struct submitted *results, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        char user[16]; /* the request is copied */
        snprintf(user, sizeof user, "u%u", i);
        assert_int_not_equal(submitted_user(client, user, LONG_US, &results[i]), 0);
        memset(user, 'x', sizeof user);
    }
}
