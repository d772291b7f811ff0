/* SPDX-License-Identifier: Apache-2.0 */
/* How long a drain lasts, by a loop whose transports are the test's, and where libevent speaks. */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>
#include <event2/event.h>

#include "base/log.h"
#include "server/control/lifecycle.h"
#include "tests/support/service_rig.h"

#define QUIET_POLLS 10 /* as docs/operations.md has them, each of 10 ms */
#define BUSY_POLLS  200

struct drained {
    struct service_rig rig;
    struct lifecycle *lifecycle;
    uint32_t ask_polls;    /* requests come during so many */
    uint32_t flying_polls; /* something is in flight during so many */
    uint32_t polls;
    bool refused_new;
};

static void refuse_new(void *ctx)
{
    struct drained *drained = ctx;
    drained->refused_new = true;
}

/* The loop asks this at each of its looks. */
static uint32_t in_flight(void *ctx)
{
    struct drained *drained = ctx;
    assert_true(drained->refused_new);
    if (drained->polls++ < drained->ask_polls) {
        cJSON_Delete(service_rig_ask(&drained->rig, "{\"op\": \"ping\"}"));
        assert_int_equal(drained->rig.code, REPLY_draining);
    }
    return drained->polls <= drained->flying_polls;
}

static bool are_alive(void *ctx)
{
    (void)ctx;
    return true;
}

static enum lifecycle_opening open_at_once(void *ctx, struct err *err)
{
    (void)ctx;
    (void)err;
    return LIFECYCLE_OPEN;
}

static uint32_t polls_of(uint32_t ask_polls, uint32_t flying_polls, uint32_t timeout_ms)
{
    static struct drained drained;
    struct err err = {0};
    drained = (struct drained){.ask_polls = ask_polls, .flying_polls = flying_polls};
    service_rig_create(&drained.rig);
    assert_int_equal(lifecycle_create(&drained.lifecycle, &err), ERR_OK);
    const struct lifecycle_options options = {.clock = clock_system(),
                                              .drain_timeout_ms = timeout_ms,
                                              .service = drained.rig.service,
                                              .modes = &drained.rig.modes,
                                              .jobs = drained.rig.jobs,
                                              .reload = &drained.rig.reload,
                                              .model_ops = drained.rig.model_ops,
                                              .refuse_new = refuse_new,
                                              .in_flight = in_flight,
                                              .are_alive = are_alive,
                                              .open = open_at_once,
                                              .transports = &drained};
    lifecycle_drain(drained.lifecycle);
    assert_int_equal(lifecycle_run(drained.lifecycle, &options, &err), ERR_OK);
    assert_true(lifecycle_is_leaving(drained.lifecycle));
    lifecycle_destroy(&drained.lifecycle);
    service_rig_destroy(&drained.rig);
    return drained.polls;
}

static void test_a_drain_waits_until_nobody_asks(void **state)
{
    (void)state;
    assert_int_equal(polls_of(0, 0, 30000), QUIET_POLLS);
    assert_int_equal(polls_of(30, 0, 30000), 30 + QUIET_POLLS);
    assert_int_equal(polls_of(0, 40, 30000), 40 + QUIET_POLLS);
}

static void test_a_drain_does_not_wait_for_ever(void **state)
{
    (void)state;
    assert_int_equal(polls_of(UINT32_MAX, 0, 30000), BUSY_POLLS);
    assert_int_equal(polls_of(0, UINT32_MAX, 30000), BUSY_POLLS);
    assert_int_equal(polls_of(UINT32_MAX, 0, 300), 30);
}

static void loop_again(evutil_socket_t fd, short what, void *base)
{
    (void)fd;
    (void)what;
    event_base_loop(base, 0); /* which libevent warns of */
}

static void test_libevent_speaks_in_the_log(void **state)
{
    (void)state;
    struct lifecycle *lifecycle = NULL;
    struct err err = {0};
    char line[LOG_LINE_BYTES] = "";
    int ends[2];
    assert_int_equal(pipe2(ends, O_NONBLOCK | O_CLOEXEC), 0);
    assert_int_equal(lifecycle_create(&lifecycle, &err), ERR_OK);
    struct event_base *base = lifecycle_base(lifecycle);
    log_set_fd(ends[1]);
    assert_int_equal(event_base_once(base, -1, EV_TIMEOUT, loop_again, base, NULL), 0);
    assert_int_equal(event_base_loop(base, EVLOOP_ONCE), 0);
    log_set_fd(STDERR_FILENO);
    assert_true(read(ends[0], line, sizeof line - 1) > 0);
    assert_non_null(strstr(line, "\"level\":\"warn\",\"msg\":\"libevent\",\"message\":\""));
    lifecycle_destroy(&lifecycle);
    close(ends[0]);
    close(ends[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_drain_waits_until_nobody_asks),
        cmocka_unit_test(test_a_drain_does_not_wait_for_ever),
        cmocka_unit_test(test_libevent_speaks_in_the_log),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
