/* SPDX-License-Identifier: Apache-2.0 */
/* What an operator says while a successor starts holds in the one that takes over. */
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

#include "base/file.h"
#include "tests/support/daemon_client.h"
#include "tests/support/model_sample.h"
#include "tests/support/succession.h"

#define ANOTHER "something was changed while the new process started"

static struct daemon served;

static int set_up(void **state)
{
    char work[2 * TEMP_DIR_BYTES], place[2 * TEMP_DIR_BYTES];
    (void)state;
    succession_start(&served, NULL);
    for (int version = 1; version <= 2; version++) {
        char below[64], name[16];
        snprintf(name, sizeof name, "%d", version);
        snprintf(below, sizeof below, "models/m/%d", version);
        model_sample_write(temp_dir_path(&served.dir, "work", work), "m", name, MODEL_factors);
        assert_int_equal(file_make_dir(temp_dir_path(&served.dir, "models/m", place), NULL),
                         ERR_OK);
        assert_int_equal(rename(work, temp_dir_path(&served.dir, below, place)), 0);
        snprintf(below, sizeof below, "\"version\":\"%d\"", version);
        assert_true(daemon_log_has(&served, below)); /* it serves */
    }
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    succession_stop(&served);
    return 0;
}

static cJSON *must(const char *op, const char *json)
{
    cJSON *reply = daemon_ask_nng(&served, op, json);
    if (!reply_ok(reply))
        fail_msg("%s: %s", op, reply_error_text(reply, "message"));
    return reply;
}

static void check(const char *op, const char *json, const char *key, const char *wanted)
{
    cJSON *reply = must(op, json);
    assert_string_equal(reply_text(reply, key), wanted);
    cJSON_Delete(reply);
}

static void *restart(void *argument)
{
    pid_t *pid = argument;
    *pid = succession_restart(&served);
    return NULL;
}

struct act {
    const char *op, *json;
};

/* The acts come when the successor has read all that it reads; the next one is the real program. */
static void restart_with(const struct act *acts, size_t count)
{
    pthread_t thread;
    pid_t old = served.pid, successor = 0;
    int status = 0;
    succession_plan("wait");
    assert_int_equal(pthread_create(&thread, NULL, restart, &successor), 0);
    assert_true(daemon_log_has(&served, "starting a new process"));
    for (size_t i = 0; i < count; i++)
        cJSON_Delete(must(acts[i].op, acts[i].json));
    succession_real();
    succession_go();
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_true(daemon_log_has(&served, ANOTHER));
    assert_int_equal(waitpid(old, &status, 0), old);
    assert_int_equal(status, 0);
    served.pid = successor;
}

static void test_a_mode_holds(void **state)
{
    (void)state;
    const struct act acts[] = {{"mode", "{\"mode\": \"cached\", \"reason\": \"flood\"}"}};
    restart_with(acts, 1);
    check("mode", "{}", "mode", "cached");
    check("mode", "{}", "reason", "flood");
}

static void test_a_breaker_holds(void **state)
{
    (void)state;
    const struct act acts[] = {{"breaker", "{\"model\": \"m\", \"hold\": \"open\"}"}};
    restart_with(acts, 1);
    check("breaker", "{\"model\": \"m\"}", "breaker", "held_open");
}

static void test_a_rollback_holds(void **state)
{
    (void)state;
    const struct act acts[] = {{"model_rollback", "{\"name\": \"m\"}"}};
    check("breaker", "{\"model\": \"m\"}", "model", "m@2");
    restart_with(acts, 1);
    check("breaker", "{\"model\": \"m\"}", "model", "m@1");
}

static void test_several_hold(void **state)
{
    (void)state;
    const struct act acts[] = {{"breaker", "{\"model\": \"m\", \"hold\": \"closed\"}"},
                               {"mode", "{\"mode\": \"generic\", \"for_ms\": 3600000}"},
                               {"reload", "{}"}};
    restart_with(acts, sizeof acts / sizeof acts[0]);
    check("mode", "{}", "mode", "generic");
    check("breaker", "{\"model\": \"m\"}", "breaker", "held_closed");
}

/* To ask changes nothing: the first successor is taken. */
static void test_questions_change_nothing(void **state)
{
    (void)state;
    pid_t old = served.pid;
    cJSON_Delete(must("mode", "{}"));
    cJSON_Delete(must("status", "{}"));
    cJSON_Delete(must("breaker", "{\"model\": \"m\"}"));
    served.pid = succession_restart(&served);
    assert_int_equal(waitpid(old, NULL, 0), old);
    succession_wait_ready(&served);
    daemon_signal(&served, SIGTERM);
    assert_int_equal(daemon_wait(&served), 0);
    assert_false(daemon_log_has(&served, ANOTHER));
}

int main(void)
{
    int code = 0;
    if (succession_run(&code))
        return code;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_a_mode_holds, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_a_breaker_holds, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_a_rollback_holds, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_several_hold, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_questions_change_nothing, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
