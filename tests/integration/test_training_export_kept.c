/* SPDX-License-Identifier: Apache-2.0 */
/* Which decisions are still there to train on: after a kill, an orderly stop, a successor, and
 * without a log. */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include "tests/support/daemon_client.h"
#include "tests/support/export_rig.h"
#include "tests/support/program.h"

/* ---- tools ----------------------------------------------------------------------------------- */

static void decide_often(int count)
{
    for (int i = 0; i < count; i++)
        cJSON_Delete(export_rig_ask("recommend", "{\"user\": \"u\", \"n\": 3}"));
}

/* ---- tests ----------------------------------------------------------------------------------- */

static void test_a_kill_loses_nothing_that_was_committed(void **state)
{
    (void)state;
    char committed[64];
    for (int round = 0; round < 3; round++) {
        cJSON *reply = export_rig_ask("recommend", "{\"user\": \"u\", \"n\": 3}");
        snprintf(committed, sizeof committed, "%s", reply_text(reply, "decision"));
        cJSON_Delete(reply);
        (void)export_rig_until(committed);
        decide_often(50); /* these may be lost, and may tear nothing */
        daemon_signal(&export_rig_daemon, SIGKILL);
        daemon_wait(&export_rig_daemon);
        daemon_restart(&export_rig_daemon);
        cJSON *all = export_rig_lines(export_rig_until(committed));
        assert_true(cJSON_GetArraySize(all) > round);
        cJSON_Delete(all);
    }
}

static void test_an_orderly_stop_loses_nothing_at_all(void **state)
{
    (void)state;
    decide_often(20);
    daemon_signal(&export_rig_daemon, SIGTERM);
    assert_int_equal(daemon_wait(&export_rig_daemon), 0);
    daemon_restart(&export_rig_daemon);
    cJSON *all = export_rig_lines(export_rig_ctl(0, "export", "decisions", NULL, NULL, NULL));
    assert_int_equal(cJSON_GetArraySize(all), 20);
    cJSON_Delete(all);
}

static void test_a_successor_goes_on_with_the_log(void **state)
{
    (void)state;
    for (int round = 0; round < 2; round++) {
        int status = 0;
        pid_t old = export_rig_daemon.pid;
        decide_often(20);
        cJSON *reply = export_rig_ask("restart", "{}");
        export_rig_daemon.pid = (pid_t)export_rig_number(reply, "process_id");
        cJSON_Delete(reply);
        assert_int_equal(waitpid(old, &status, 0), old);
        assert_int_equal(status, 0);
    }
    cJSON *reply = export_rig_ask("recommend", "{\"user\": \"u\", \"n\": 3}");
    cJSON *all = export_rig_lines(export_rig_until(reply_text(reply, "decision")));
    assert_int_equal(cJSON_GetArraySize(all), 41);
    cJSON_Delete(all);
    cJSON_Delete(reply);
}

static void test_without_a_log_there_is_none_to_export(void **state)
{
    (void)state;
    daemon_start(&export_rig_daemon, "\"decision_log_bytes_max\": 0");
    cJSON_Delete(export_rig_ask("recommend", "{\"user\": \"u\", \"n\": 3}"));
    (void)export_rig_ctl(1, "export", "decisions", NULL, NULL, NULL);
    assert_non_null(strstr(export_rig_program.err, "decision_log_bytes_max is 0"));
    daemon_stop(&export_rig_daemon);
}

int main(void)
{
    /* Successors come to this process when their parents end. */
    prctl(PR_SET_CHILD_SUBREAPER, 1);
#define TEST(name) cmocka_unit_test_setup_teardown(name, export_rig_set_up, export_rig_tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_a_kill_loses_nothing_that_was_committed),
        TEST(test_an_orderly_stop_loses_nothing_at_all),
        TEST(test_a_successor_goes_on_with_the_log),
        cmocka_unit_test(test_without_a_log_there_is_none_to_export),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
