/* SPDX-License-Identifier: Apache-2.0 */
/* The event loop of docs/client.md, as it stands there: answers with a daemon, and an end without.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/support/daemon.h"
#include "tests/support/program.h"

static struct program run;

static void run_example(const char *url)
{
    char path[4096];
    snprintf(path, sizeof path, "%s/../client/client_example_loop", getenv("DECIDED_TOOLS"));
    const char *const argv[] = {path, url, NULL};
    program_run(&run, argv);
    assert_int_equal(run.exit_code, 0);
    assert_string_equal(run.err, "");
}

static uint32_t count_lines(const char *text, const char *start)
{
    uint32_t count = 0;
    for (const char *at = text; *at != '\0'; at = strchr(at, '\n') + 1)
        count += strncmp(at, start, strlen(start)) == 0;
    return count;
}

static void the_example_ends_with_and_without_a_daemon(void **state)
{
    (void)state;
    struct daemon daemon;
    daemon_start(&daemon, NULL);
    for (int i = 0; i < 20 && count_lines(run.out, "ok ") < 3; i++)
        run_example(daemon.url); /* its calls have little time, and the machine may be busy */
    assert_int_equal(count_lines(run.out, "ok "), 3);
    char url[256];
    snprintf(url, sizeof url, "%s", daemon.url);
    daemon_signal(&daemon, SIGKILL);
    daemon_wait(&daemon);
    run_example(url);
    assert_int_equal(count_lines(run.out, "unreachable ") + count_lines(run.out, "timeout "), 3);
    daemon_stop(&daemon);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_example_ends_with_and_without_a_daemon),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
