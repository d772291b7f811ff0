/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/pinged.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

enum { EXCUSES = 10 };

struct decide_client *pinged_client(const char *urls)
{
    static const char *const fallback[] = {"f1", "f2", "f1", "f3", "f4"};
    struct decide_options options = decide_options_default();
    struct decide_client *client = NULL;
    char error[DECIDE_ERROR_BYTES];
    options.urls = urls;
    options.fallback_items = fallback;
    options.fallback_count = 5;
    assert_int_equal(decide_client_create(&options, &client, error), DECIDE_OK);
    assert_string_equal(error, "");
    return client;
}

struct decide_reply *pinged(struct decide_client *client, uint64_t timeout_us)
{
    uint64_t before_ns = clock_now_ns(clock_system());
    struct decide_reply *reply = decide_call(client, "ping", NULL, 0, timeout_us);
    uint64_t waited_us = (clock_now_ns(clock_system()) - before_ns) / 1000;
    assert_non_null(reply);
    assert_true(waited_us < LONG_US); /* it came back */
    assert_true(reply->waited_us <= waited_us);
    assert_true(reply->status != DECIDE_TIMEOUT || reply->waited_us >= timeout_us);
    assert_true((reply->status == DECIDE_OK) == (reply->error_message == NULL));
    return reply;
}

void pinged_expect(struct decide_client *client, uint64_t timeout_us, enum decide_status status)
{
    struct decide_reply *reply = pinged(client, timeout_us);
    for (int i = 0; i < EXCUSES && reply->status == DECIDE_TIMEOUT && status != DECIDE_TIMEOUT;
         i++) {
        decide_reply_free(reply);
        reply = pinged(client, timeout_us);
    }
    if (reply->status != status)
        print_error("got %s: %s\n", decide_status_name(reply->status), reply->error_message);
    assert_int_equal(reply->status, status);
    decide_reply_free(reply);
}
