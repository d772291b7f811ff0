/* SPDX-License-Identifier: Apache-2.0 */
/* A signal that comes while the daemon starts: SIGHUP waits until it can be obeyed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <pthread.h>
#include <signal.h>

#include "tests/support/daemon.h"

static bool hangs_up;

/* It is blocked, so that it waits for the program that is executed next. */
static void in_child(void)
{
    if (hangs_up)
        raise(SIGHUP);
}

static void test_a_hangup_before_the_first_instruction(void **state)
{
    (void)state;
    struct daemon daemon;
    sigset_t hangup, before;
    sigemptyset(&hangup);
    sigaddset(&hangup, SIGHUP);
    assert_int_equal(pthread_atfork(NULL, NULL, in_child), 0);
    assert_int_equal(pthread_sigmask(SIG_BLOCK, &hangup, &before), 0);
    hangs_up = true;
    daemon_start(&daemon, NULL);
    hangs_up = false;
    assert_int_equal(pthread_sigmask(SIG_SETMASK, &before, NULL), 0);
    assert_true(daemon_log_has(&daemon, "\"msg\":\"reloaded\""));
    daemon_stop(&daemon);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_hangup_before_the_first_instruction),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
