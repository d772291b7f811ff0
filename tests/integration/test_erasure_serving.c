/* SPDX-License-Identifier: Apache-2.0 */
/* A daemon forgets a person while it serves, and decidectl asks for it, waits and lists. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>

#include "tests/support/daemon_client.h"
#include "tests/support/erasure_rig.h"
#include "tests/support/program.h"

struct load {
    _Atomic bool stop;
    _Atomic uint32_t failed, sent;
};

static void *send_on(void *arg)
{
    struct load *load = arg;
    for (uint32_t n = 0; !atomic_load(&load->stop); n++) {
        char json[300];
        snprintf(json, sizeof json,
                 "{\"events\": [{\"id\": \"load-%u\", \"type\": \"view\", \"user\": \"crowd-%u\", "
                 "\"items\": [{\"id\": \"i%u\"}]}]}",
                 n, n % 50, n % 7);
        cJSON *reply = daemon_ask_nng(&erasure_rig_daemon, "events", json);
        atomic_fetch_add(&load->failed,
                         !reply_ok(reply) || erasure_rig_number(reply, "accepted") != 1);
        cJSON_Delete(reply);
        snprintf(json, sizeof json, "{\"user\": \"crowd-%u\", \"n\": 3}", n % 50);
        reply = daemon_ask_nng(&erasure_rig_daemon, "recommend", json);
        atomic_fetch_add(&load->failed, !reply_ok(reply));
        cJSON_Delete(reply);
        atomic_fetch_add(&load->sent, 1);
    }
    return NULL;
}

static void test_serving_goes_on(void **state)
{
    (void)state;
    struct load load = {0};
    pthread_t thread;
    erasure_rig_start(AT_ONCE);
    erasure_rig_people_live();
    assert_int_equal(pthread_create(&thread, NULL, send_on, &load), 0);
    for (int i = 0; i < 5; i++) {
        uint32_t sent = atomic_load(&load.sent);
        cJSON_Delete(
            erasure_rig_forget(i == 0 ? "{\"user\": \"" ALICE "\"}" : "{\"user\": \"crowd-1\"}"));
        while (atomic_load(&load.sent) < sent + 30)
            sched_yield();
        cJSON_Delete(erasure_rig_wait());
    }
    atomic_store(&load.stop, true);
    pthread_join(thread, NULL);
    assert_int_equal(atomic_load(&load.failed), 0);
    cJSON *reply = erasure_rig_ask("status", "{}");
    const cJSON *log = cJSON_GetObjectItem(reply, "log"); /* every event is there, once */
    assert_int_equal(erasure_rig_number(log, "last_sequence"),
                     10 + 5 + (int)atomic_load(&load.sent));
    cJSON_Delete(reply);
    erasure_rig_check_gone();
    erasure_rig_check_bob();
}

static void ctl(struct program *program, const char *const *args)
{
    char path[4096];
    const char *argv[10] = {path, "--url", erasure_rig_daemon.url, "erase"};
    size_t count = 4;
    snprintf(path, sizeof path, "%s/decidectl", getenv("DECIDED_TOOLS"));
    for (; *args != NULL; args++)
        argv[count++] = *args;
    program_run(program, argv);
}

#define CTL(...) ctl(&program, (const char *const[]){__VA_ARGS__, NULL})

static void test_decidectl_waits_for_so_long(void **state)
{
    (void)state;
    static struct program program;
    erasure_rig_start("\"erasure_delay_s\": 3600, \"disk_reserve_bytes\": 0");
    erasure_rig_people_live();
    CTL(ALICE, "--wait", "--for", "1ms");
    assert_int_equal(program.exit_code, 1);
    assert_non_null(strstr(program.err, "request 1 is not done yet"));
    CTL("--list");
    assert_int_equal(program.exit_code, 0);
    assert_non_null(strstr(program.out, "ids are still in files"));
}

static void test_decidectl_erases_and_lists(void **state)
{
    (void)state;
    static struct program program;
    erasure_rig_start(AT_ONCE);
    erasure_rig_people_live();
    CTL("--list");
    assert_int_equal(program.exit_code, 0);
    assert_string_equal(program.out, "nobody waits to be erased\n");
    CTL(ALICE, "--wait");
    assert_int_equal(program.exit_code, 0);
    assert_non_null(strstr(program.out, "request 1: not known any more"));
    assert_non_null(strstr(program.out, "REQUEST  KIND  KEY"));
    assert_non_null(strstr(program.out, "anon"));
    erasure_rig_check_gone();
    CTL("--anon", "nobody", "--wait", "--json");
    assert_int_equal(program.exit_code, 0);
    assert_non_null(strstr(program.out, "{\"ok\": true, \"pending\": 0, \"receipts\": [{"));
    assert_non_null(strstr(program.out, "\"request\":2"));
    CTL("--list", "--json");
    assert_int_equal(program.exit_code, 0);
    assert_non_null(strstr(program.out, "\"request\":1"));
    assert_non_null(strstr(program.out, "\"request\":2"));
    CTL("--wait");
    assert_int_equal(program.exit_code, 2);
    CTL(ALICE, "--for", "1s"); /* nobody is erased by a command that is half understood */
    assert_int_equal(program.exit_code, 2);
    CTL(ALICE, "--list");
    assert_int_equal(program.exit_code, 2);
    /* Who asked is on record, and whom they asked for is not. */
    cJSON *acts = erasure_rig_ask("audit", "{}");
    char *text = cJSON_PrintUnformatted(acts);
    assert_non_null(strstr(text, "\"act\":\"erase\""));
    assert_null(strstr(text, ALICE));
    free(text);
    cJSON_Delete(acts);
}

int main(void)
{
    /* Successors come to this process when their parents end. */
    prctl(PR_SET_CHILD_SUBREAPER, 1);
#define TEST(name) cmocka_unit_test_teardown(name, erasure_rig_tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_serving_goes_on),
        TEST(test_decidectl_waits_for_so_long),
        TEST(test_decidectl_erases_and_lists),
    };
#undef TEST
    return cmocka_run_group_tests(tests, NULL, NULL);
}
