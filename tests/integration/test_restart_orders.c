/* SPDX-License-Identifier: Apache-2.0 */
/* What operators order while a successor starts: to drain, to stop, a second restart; and what
 * decidectl says of one that does not come to serve. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>

#include "tests/support/daemon_client.h"
#include "tests/support/program.h"
#include "tests/support/restart_load.h"
#include "tests/support/succession.h"

static struct daemon served;
static struct program ctl;

static int set_up(void **state)
{
    (void)state;
    succession_start(&served, NULL);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    succession_stop(&served);
    return 0;
}

static void *ask_restart(void *ret_reply)
{
    *(cJSON **)ret_reply = daemon_ask_nng(&served, "restart", "{}");
    return NULL;
}

/* A restart whose successor is not ready yet. */
static pthread_t begin_restart(cJSON **ret_reply)
{
    pthread_t thread;
    succession_plan("wait");
    assert_int_equal(pthread_create(&thread, NULL, ask_restart, ret_reply), 0);
    assert_true(daemon_log_has(&served, "starting a new process"));
    return thread;
}

static void check_failed(pthread_t thread, cJSON **reply, const char *why)
{
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_false(reply_ok(*reply));
    if (strstr(reply_error_text(*reply, "message"), why) == NULL)
        fail_msg("no '%s' in '%s'", why, reply_error_text(*reply, "message"));
    cJSON_Delete(*reply);
}

static void check_ended(void)
{
    assert_int_equal(daemon_wait(&served), 0);
    assert_true(waitpid(-1, NULL, 0) == -1); /* nobody is left */
}

static void test_a_drain(void **state)
{
    (void)state;
    cJSON *reply = NULL;
    pthread_t thread = begin_restart(&reply);
    cJSON *drained = daemon_ask_nng(&served, "drain", "{}");
    assert_true(reply_ok(drained));
    cJSON_Delete(drained);
    check_failed(thread, &reply, "about to stop");
    check_ended();
}

static void test_a_signal(void **state)
{
    (void)state;
    cJSON *reply = NULL;
    pthread_t thread = begin_restart(&reply);
    daemon_signal(&served, SIGTERM);
    check_failed(thread, &reply, "about to stop");
    check_ended();
}

/* The first one goes on. */
static void test_a_second_restart(void **state)
{
    (void)state;
    static const char *const args[] = {"restart", NULL};
    cJSON *reply = NULL;
    pid_t old = served.pid;
    restart_load_start(served.url);
    pthread_t thread = begin_restart(&reply);
    assert_int_equal(program_run_ctl(&ctl, served.url, args), 1);
    assert_non_null(strstr(ctl.err, "a restart or a drain is under way"));
    daemon_signal(&served,
                  SIGHUP); /* changes something: the next one is the daemon's own program */
    assert_true(daemon_log_has(&served, "\"msg\":\"reloaded\""));
    succession_real();
    succession_go();
    assert_int_equal(pthread_join(thread, NULL), 0);
    if (!reply_ok(reply))
        fail_msg("%s", reply_error_text(reply, "message"));
    served.pid = (pid_t)cJSON_GetObjectItem(reply, "process_id")->valuedouble;
    cJSON_Delete(reply);
    restart_load_wait(50);
    (void)restart_load_stop();
    assert_int_equal(waitpid(old, NULL, 0), old);
    succession_wait_ready(&served);
}

static void test_what_decidectl_says(void **state)
{
    (void)state;
    static const char *const args[] = {"restart", NULL};
    static const char *const as_json[] = {"restart", "--json", NULL};
    static const char *const plans[] = {"ready", "released"};
    char wanted[64];
    pid_t old = served.pid;
    for (size_t i = 0; i < 2; i++) {
        succession_plan(plans[i]);
        assert_int_equal(program_run_ctl(&ctl, served.url, i == 0 ? args : as_json), 1);
        snprintf(wanted, sizeof wanted, "and %d has started again", (int)old);
        assert_non_null(strstr(ctl.err, wanted));
        assert_true((strstr(ctl.out, "\"ok\":false") != NULL) == (i == 1));
    }
    succession_real();
    assert_int_equal(program_run_ctl(&ctl, served.url, args), 0);
    int pid = 0;
    assert_int_equal(sscanf(ctl.out, "process %d takes over", &pid), 1);
    cJSON *reply = daemon_ask_nng(&served, "status", "{}");
    assert_int_equal((int)cJSON_GetObjectItem(reply, "process_id")->valuedouble, pid);
    cJSON_Delete(reply);
    assert_int_equal(waitpid(old, NULL, 0), old);
    served.pid = pid;
}

int main(void)
{
    int code = 0;
    if (succession_run(&code))
        return code;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_a_drain, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_a_signal, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_a_second_restart, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_what_decidectl_says, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
