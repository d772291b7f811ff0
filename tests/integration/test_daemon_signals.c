/* SPDX-License-Identifier: Apache-2.0 */
/* Signals that others send: SIGHUP while the daemon starts waits until it can be obeyed, and those
 * without a meaning end nothing. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
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

static void test_signals_that_are_meant_for_others(void **state)
{
    static const int numbers[] = {SIGUSR1, SIGUSR2, SIGALRM, SIGPIPE};
    (void)state;
    struct daemon daemon;
    uint8_t *text = NULL;
    size_t len = 0;
    char path[2 * TEMP_DIR_BYTES];
    daemon_start(&daemon, NULL);
    for (size_t i = 0; i < 2 * sizeof numbers / sizeof numbers[0]; i++)
        daemon_signal(&daemon, numbers[i / 2]);
    assert_true(daemon_log_has(&daemon, "a signal without a meaning here is ignored"));
    daemon_signal(&daemon, SIGTERM); /* it is there to obey */
    assert_int_equal(daemon_wait(&daemon), 0);
    assert_int_equal(
        file_read(temp_dir_path(&daemon.dir, "decided.log", path), 1 << 20, &text, &len, NULL),
        ERR_OK);
    const char *first = strstr((const char *)text, "without a meaning");
    assert_non_null(first);
    assert_null(strstr(first + 1, "without a meaning"));
    free(text);
    daemon_stop(&daemon);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_hangup_before_the_first_instruction),
        cmocka_unit_test(test_signals_that_are_meant_for_others),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
