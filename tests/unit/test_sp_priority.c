/* SPDX-License-Identifier: Apache-2.0 */
/* Workers of real-time priority: they have it, or the server does not start. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka.h needs the four above */
#include <cmocka.h>

#include <linux/capability.h>
#include <sched.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "server/transport/sp_internal.h"
#include "tests/support/sp_client.h"
#include "tests/support/sp_fixture.h"

enum { PRIORITY = 7, CAPABILITY_WORDS = 2 };

static enum call_state tell_policy(void *ctx, struct worker *worker, struct call *call)
{
    struct sched_param param = {0};
    (void)ctx;
    (void)worker;
    (void)sched_getparam(0, &param);
    call->reply[0] = (uint8_t)sched_getscheduler(0);
    call->reply[1] = (uint8_t)param.sched_priority;
    call->reply_bytes = 2;
    return CALL_DONE;
}

/* Of this thread and those that it makes. */
static void set_may_be_realtime(bool may)
{
    struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct data[CAPABILITY_WORDS];
    assert_int_equal(syscall(SYS_capget, &head, data), 0);
    uint32_t bit = 1u << CAP_SYS_NICE;
    data[0].effective =
        may ? data[0].effective | (data[0].permitted & bit) : data[0].effective & ~bit;
    assert_int_equal(syscall(SYS_capset, &head, data), 0);
}

static bool is_realtime_allowed(void)
{
    const struct sched_param realtime = {.sched_priority = PRIORITY}, ordinary = {0};
    if (sched_setscheduler(0, SCHED_RR, &realtime) != 0)
        return false;
    assert_int_equal(sched_setscheduler(0, SCHED_OTHER, &ordinary), 0);
    return true;
}

static struct sp_server_options options_of(struct sp_fixture *fixture, int priority)
{
    sp_fixture_init(fixture);
    struct sp_server_options options = sp_fixture_options(fixture);
    options.call = tell_policy;
    options.realtime_priority = priority;
    return options;
}

static void expect_policy(int priority, int policy)
{
    struct sp_fixture fixture;
    struct sp_client client;
    uint32_t id = 0;
    uint8_t told[2] = {99, 99};
    struct sp_server_options options = options_of(&fixture, priority);
    sp_fixture_start(&fixture, &options);
    assert_true(sp_open(&client, sp_fixture_url(&fixture)));
    assert_true(sp_send(&client, 5, "?", 1));
    assert_int_equal(sp_receive(&client, &id, told, sizeof told), sizeof told);
    assert_int_equal(told[0], policy);
    assert_int_equal(told[1], priority);
    sp_close(&client);
    sp_fixture_deinit(&fixture);
}

static void test_workers_have_the_priority_that_was_asked_for(void **state)
{
    (void)state;
    expect_policy(0, SCHED_OTHER);
    if (is_realtime_allowed())
        expect_policy(PRIORITY, SCHED_RR);
    else
        print_message("real-time priority is not allowed here: only its refusal is tested\n");
}

static void test_a_refusal_ends_the_start(void **state)
{
    (void)state;
    struct sp_fixture fixture;
    struct sp_server *server = NULL;
    struct err err = {0};
    struct rlimit before;
    assert_int_equal(getrlimit(RLIMIT_RTPRIO, &before), 0);
    assert_int_equal(setrlimit(RLIMIT_RTPRIO, &(struct rlimit){0, before.rlim_max}), 0);
    set_may_be_realtime(false);
    struct sp_server_options options = options_of(&fixture, PRIORITY);
    assert_int_equal(sp_server_create(&options, &server, &err), ERR_OK);
    assert_int_equal(sp_server_start(server, &err), ERR_IO);
    assert_string_equal(err.text,
                        "workers_realtime_priority: the system refuses SCHED_RR with priority 7: "
                        "Operation not permitted; it needs CAP_SYS_NICE or a limit (ulimit -r, "
                        "LimitRTPRIO=) of 7 or more");
    sp_server_destroy(&server);
    set_may_be_realtime(true);
    assert_int_equal(setrlimit(RLIMIT_RTPRIO, &before), 0);
    sp_fixture_deinit(&fixture);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_workers_have_the_priority_that_was_asked_for),
        cmocka_unit_test(test_a_refusal_ends_the_start),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
