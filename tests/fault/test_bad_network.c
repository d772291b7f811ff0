/* SPDX-License-Identifier: Apache-2.0 */
/* A daemon behind a network that delays, drops, resets, trickles, half-closes and corrupts: every
 * call ends by its deadline with a truthful result, and answers return with the network. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/cursor.h"
#include "base/hist.h"
#include "base/pack.h"
#include "client/decide.h"
#include "tests/support/daemon.h"
#include "tests/support/fault_proxy.h"
#include "tests/support/lateness.h"
#include "tools/cli/value.h"

enum { CALLERS = 3, CALLS = 120, RECOVERY_S = 60 };

#define DEADLINE_NS UINT64_C(20000000)

static struct fault_proxy proxy;
static struct daemon daemon_process;
static struct decide_client *client;

struct caller {
    pthread_t thread;
    uint32_t seed;
    bool may_be_corrupt;
    uint32_t ok_count;
    struct hist late;
    char wrong[160];
};

/* The daemon saw that no time was left before it began. */
static bool came_too_late(const struct decide_reply *reply)
{
    return reply->error_code != NULL && strcmp(reply->error_code, "deadline_exceeded") == 0;
}

/* The padding that the daemon was asked for: an answer to another request has another one. */
static bool is_truthful(const struct decide_reply *reply, uint32_t pad)
{
    struct cursor map = cursor_of(reply->bytes, reply->bytes_len);
    return value_text(map, "pad").len == pad;
}

static void call_once(struct caller *caller, uint32_t pad)
{
    uint8_t bytes[64];
    struct pack body = pack_into(bytes, sizeof bytes);
    pack_map(&body, 1);
    pack_key(&body, "pad");
    pack_int(&body, pad);
    uint64_t before_ns = clock_now_ns(clock_system());
    struct decide_reply *reply = decide_call(client, "ping", bytes, body.used, DEADLINE_NS / 1000);
    uint64_t took_ns = clock_now_ns(clock_system()) - before_ns;
    if (took_ns > DEADLINE_NS)
        hist_record(&caller->late, took_ns - DEADLINE_NS);
    switch (reply->status) {
    case DECIDE_OK:
        caller->ok_count++;
        if (!caller->may_be_corrupt && !is_truthful(reply, pad))
            snprintf(caller->wrong, sizeof caller->wrong, "an answer to another question");
        break;
    case DECIDE_TIMEOUT:
    case DECIDE_UNREACHABLE: break;
    default: /* what is refused or is no reply was changed on its way, or came too late to begin */
        if (!caller->may_be_corrupt && !came_too_late(reply))
            snprintf(caller->wrong, sizeof caller->wrong, "%s: %.100s",
                     decide_status_name(reply->status),
                     reply->error_message == NULL ? "-" : reply->error_message);
    }
    decide_reply_free(reply);
}

static void *run_caller(void *arg)
{
    struct caller *caller = arg;
    for (uint32_t i = 0; i < CALLS; i++)
        call_once(caller, 1 + (caller->seed * 7919 + i * 104729) % 9000);
    return NULL;
}

static void expect_recovery(void)
{
    struct caller caller = {.seed = 1};
    uint64_t end_ns = clock_now_ns(clock_system()) + RECOVERY_S * UINT64_C(1000000000);
    while (caller.ok_count < 20 && clock_now_ns(clock_system()) < end_ns) {
        uint32_t before = caller.ok_count;
        call_once(&caller, 100 + caller.ok_count);
        if (caller.ok_count == before)
            caller.ok_count = 0; /* twenty in a row */
    }
    assert_int_equal(caller.ok_count, 20);
    assert_string_equal(caller.wrong, "");
}

static void test_every_fault_ends_in_time_and_truthfully(void **state)
{
    (void)state;
    static const char *const names[] = {"none",    "delay",      "drop",    "reset",
                                        "trickle", "half-close", "corrupt", "any"};
    static struct caller callers[CALLERS];
    static struct lateness machine;
    for (int fault = FAULT_NONE; fault <= FAULT_ANY; fault++) {
        struct hist late = {0};
        uint32_t ok_count = 0;
        fault_proxy_set(&proxy, (enum fault)fault);
        lateness_start(&machine);
        for (uint32_t c = 0; c < CALLERS; c++) {
            callers[c] = (struct caller){
                .seed = c, .may_be_corrupt = fault == FAULT_CORRUPT || fault == FAULT_ANY};
            assert_int_equal(pthread_create(&callers[c].thread, NULL, run_caller, &callers[c]), 0);
        }
        for (uint32_t c = 0; c < CALLERS; c++)
            pthread_join(callers[c].thread, NULL);
        lateness_stop(&machine);
        for (uint32_t c = 0; c < CALLERS; c++) {
            if (callers[c].wrong[0] != '\0')
                fail_msg("%s: %s", names[fault], callers[c].wrong);
            hist_merge(&late, &callers[c].late);
            ok_count += callers[c].ok_count;
        }
        print_message("%-10s %u of %u calls answered, %llu faults so far\n", names[fault], ok_count,
                      CALLERS * CALLS, (unsigned long long)atomic_load(&proxy.fault_count));
        assert_true(lateness_allows(&machine, &late));
        assert_true(fault != FAULT_NONE ||
                    ok_count > CALLERS * CALLS * (0.9 - 4 * lateness_share(&machine)));
        fault_proxy_set(&proxy, FAULT_NONE);
        expect_recovery();
    }
    assert_true(atomic_load(&proxy.fault_count) > 100);
}

static int set_up(void **state)
{
    char error[DECIDE_ERROR_BYTES];
    (void)state;
    daemon_start(&daemon_process, NULL);
    fault_proxy_start(&proxy, daemon_process.url, 4711);
    struct decide_options options = decide_options_default();
    options.urls = proxy.url;
    return decide_client_create(&options, &client, error) == DECIDE_OK ? 0 : -1;
}

static int tear_down(void **state)
{
    (void)state;
    decide_client_destroy(&client);
    fault_proxy_stop(&proxy);
    daemon_stop(&daemon_process);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_every_fault_ends_in_time_and_truthfully, set_up,
                                        tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
