/* SPDX-License-Identifier: Apache-2.0 */
/* An event loop with many calls on few connections, to two daemons behind networks that delay,
 * drop, reset, trickle, half-close and corrupt, with hedges: every call ends by its deadline with a
 * truthful result, and answers return with the networks. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <poll.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/cursor.h"
#include "base/hist.h"
#include "base/pack.h"
#include "base/rand.h"
#include "client/decide.h"
#include "tests/support/daemon.h"
#include "tests/support/fault_proxy.h"
#include "tests/support/lateness.h"
#include "tools/cli/value.h"

enum { IN_FLIGHT = 24, CALLS = 600, RECOVERY_CALLS = 50, RECOVERY_S = 60, PAD_MAX = 9000 };

#define TIMEOUT_US UINT64_C(40000)

static struct fault_proxy proxies[2];
static struct daemon daemons[2];
static struct decide_client *client;

/* One call in flight: the daemon is asked for a padding whose length tells answers apart. */
struct flight {
    struct run *run;
    uint32_t pad;
    bool flies;
};

struct run {
    struct flight flights[IN_FLIGHT];
    struct rand rand;
    bool may_be_corrupt;
    uint32_t begun_count, ended_count, ok_count;
    struct hist late_ns;
    char wrong[160];
};

/* The daemon saw that no time was left before it began. */
static bool came_too_late(const struct decide_reply *reply)
{
    return reply->error_code != NULL && strcmp(reply->error_code, "deadline_exceeded") == 0;
}

static bool is_truthful(const struct decide_reply *reply, uint32_t pad)
{
    struct cursor map = cursor_of(reply->bytes, reply->bytes_len);
    return value_text(map, "pad").len == pad;
}

static void on_reply(struct decide_reply *reply, void *argument)
{
    struct flight *flight = argument;
    struct run *run = flight->run;
    flight->flies = false;
    run->ended_count++;
    if (reply->waited_us > TIMEOUT_US)
        hist_record(&run->late_ns, (reply->waited_us - TIMEOUT_US) * 1000);
    if (reply->status == DECIDE_OK) {
        run->ok_count++;
        if (!run->may_be_corrupt && !is_truthful(reply, flight->pad))
            snprintf(run->wrong, sizeof run->wrong, "an answer to another question");
    } else if (reply->status != DECIDE_TIMEOUT && reply->status != DECIDE_UNREACHABLE &&
               !run->may_be_corrupt && !came_too_late(reply)) {
        snprintf(run->wrong, sizeof run->wrong, "%s: %.100s", decide_status_name(reply->status),
                 reply->error_message == NULL ? "-" : reply->error_message);
    }
    if (reply->status == DECIDE_TIMEOUT && reply->waited_us < TIMEOUT_US)
        snprintf(run->wrong, sizeof run->wrong, "it ran out of time before its time was out");
    decide_reply_free(reply);
}

static void begin(struct run *run, struct flight *flight)
{
    uint8_t bytes[64];
    struct pack body = pack_into(bytes, sizeof bytes);
    flight->run = run;
    flight->pad = (uint32_t)(1 + rand_below(&run->rand, PAD_MAX));
    flight->flies = true;
    run->begun_count++;
    pack_map(&body, 1);
    pack_key(&body, "pad");
    pack_int(&body, flight->pad);
    assert_int_not_equal(
        decide_submit_call(client, "ping", bytes, body.used, TIMEOUT_US, on_reply, flight), 0);
}

static void run_calls(struct run *run, uint32_t call_count)
{
    struct pollfd pollfd = {.fd = decide_fd(client), .events = POLLIN};
    uint32_t end = run->begun_count + call_count;
    while (run->ended_count < end) {
        for (int i = 0; i < IN_FLIGHT && run->begun_count < end; i++)
            if (!run->flights[i].flies)
                begin(run, &run->flights[i]);
        assert_int_equal(poll(&pollfd, 1, 30000), 1);
        decide_process(client);
    }
}

static void expect_recovery(void)
{
    uint64_t end_ns = clock_now_ns(clock_system()) + RECOVERY_S * UINT64_C(1000000000);
    for (bool recovered = false; !recovered;) {
        static struct run run;
        run = (struct run){0};
        rand_init(&run.rand, 1);
        run_calls(&run, RECOVERY_CALLS);
        assert_string_equal(run.wrong, "");
        recovered = run.ok_count == RECOVERY_CALLS;
        assert_true(recovered || clock_now_ns(clock_system()) < end_ns);
    }
}

static void every_call_ends_in_time_and_truthfully(void **state)
{
    (void)state;
    static const char *const names[] = {"none",    "delay",      "drop",    "reset",
                                        "trickle", "half-close", "corrupt", "any"};
    static struct run run;
    static struct lateness machine;
    for (int fault = FAULT_NONE; fault <= FAULT_ANY; fault++) {
        for (int i = 0; i < 2; i++)
            fault_proxy_set(&proxies[i], (enum fault)fault);
        run = (struct run){.may_be_corrupt = fault == FAULT_CORRUPT || fault == FAULT_ANY};
        rand_init(&run.rand, (uint64_t)fault + 100);
        lateness_start(&machine);
        run_calls(&run, CALLS);
        lateness_stop(&machine);
        if (run.wrong[0] != '\0')
            fail_msg("%s: %s", names[fault], run.wrong);
        print_message("%-10s %u of %u calls answered; late by p90 %.1f ms, worst %.1f ms\n",
                      names[fault], run.ok_count, CALLS,
                      1e-6 * (double)hist_quantile(&run.late_ns, 0.9),
                      1e-6 * (double)hist_quantile(&run.late_ns, 1.0));
        assert_true(lateness_allows(&machine, &run.late_ns));
        assert_true(fault != FAULT_NONE ||
                    run.ok_count > CALLS * (0.9 - 4 * lateness_share(&machine)));
        for (int i = 0; i < 2; i++)
            fault_proxy_set(&proxies[i], FAULT_NONE);
        expect_recovery();
    }
    for (int i = 0; i < 2; i++)
        assert_true(atomic_load(&proxies[i].fault_count) > 50);
}

/* Connections that trickle live on when the network is well again: nobody may go on using them. */
static void what_trickles_is_left(void **state)
{
    (void)state;
    static struct run run;
    for (uint64_t round = 0; round < 6; round++) {
        for (int i = 0; i < 2; i++)
            fault_proxy_set(&proxies[i], FAULT_TRICKLE);
        run = (struct run){0};
        rand_init(&run.rand, round + 100);
        run_calls(&run, CALLS / 2);
        assert_string_equal(run.wrong, "");
        for (int i = 0; i < 2; i++)
            fault_proxy_set(&proxies[i], FAULT_NONE);
        expect_recovery();
    }
}

static int set_up(void **state)
{
    static char urls[160];
    char error[DECIDE_ERROR_BYTES];
    (void)state;
    for (int i = 0; i < 2; i++) {
        daemon_start(&daemons[i], NULL);
        fault_proxy_start(&proxies[i], daemons[i].url, 4711 + (uint64_t)i);
    }
    snprintf(urls, sizeof urls, "%s,%s", proxies[0].url, proxies[1].url);
    struct decide_options options = decide_options_default();
    options.urls = urls;
    options.hedge_after_us = 10000;
    return decide_client_create(&options, &client, error) == DECIDE_OK ? 0 : -1;
}

static int tear_down(void **state)
{
    (void)state;
    decide_client_destroy(&client);
    for (int i = 0; i < 2; i++) {
        fault_proxy_stop(&proxies[i]);
        daemon_stop(&daemons[i]);
    }
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(every_call_ends_in_time_and_truthfully, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_trickles_is_left, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
