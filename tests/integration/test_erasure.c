/* SPDX-License-Identifier: Apache-2.0 */
/* A daemon forgets a person: no file of its data_dir holds the id any more, whatever happens to the
 * daemon on the way, and everybody else stays as they were. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include "base/clock.h"
#include "featurestore/erase_ledger.h"
#include "featurestore/snapshot.h"
#include "tests/support/daemon.h"
#include "tests/support/daemon_client.h"
#include "tests/support/file_search.h"
#include "tests/support/program.h"

#define ALICE   "alice-4711-zanzibar"
#define DEVICE  "device-of-alice-0815"
#define BOB     "bob-1234-timbuktu"
#define WAIT_NS UINT64_C(60000000000)
#define AT_ONCE "\"erasure_delay_s\": 0, \"disk_reserve_bytes\": 0"

static struct daemon served;
static char state_dir[2 * TEMP_DIR_BYTES];

static void start(const char *config)
{
    daemon_start(&served, config);
    temp_dir_path(&served.dir, "state", state_dir);
}

static int tear_down(void **state)
{
    (void)state;
    daemon_stop(&served);
    return 0;
}

static cJSON *ask(const char *op, const char *json)
{
    cJSON *reply = daemon_ask_nng(&served, op, json);
    if (!reply_ok(reply))
        fail_msg("%s %s: %s", op, json, reply_error_text(reply, "message"));
    return reply;
}

static void tell(const char *op, const char *json)
{
    cJSON_Delete(ask(op, json));
}

static int number_of(const cJSON *reply, const char *key)
{
    const cJSON *value = cJSON_GetObjectItem(reply, key);
    assert_non_null(value);
    return value->valueint;
}

static void people_live(void)
{
    tell("events",
         "{\"events\": [{\"id\": \"i\", \"type\": \"item_upsert\", \"items\": [{\"id\": \"shoe\", "
         "\"category\": \"feet\", \"price\": 100}], \"currency\": \"EUR\"},"
         "{\"id\": \"secret-1\", \"type\": \"view\", \"anon\": \"" DEVICE
         "\", \"items\": [{\"id\": \"shoe\"}], \"session\": \"secret-session\"},"
         "{\"id\": \"secret-2\", \"type\": \"identify\", \"user\": \"" ALICE
         "\", \"anon\": \"" DEVICE "\"},"
         "{\"id\": \"secret-3\", \"type\": \"purchase\", \"user\": \"" ALICE
         "\", \"items\": [{\"id\": \"shoe\", \"price\": 100}], \"currency\": \"EUR\", \"order\": "
         "\"secret-order\"},"
         "{\"id\": \"secret-4\", \"type\": \"user_upsert\", \"user\": \"" ALICE
         "\", \"attributes\": {\"name\": \"secret-name\"}},"
         "{\"id\": \"secret-5\", \"type\": \"search\", \"user\": \"" ALICE
         "\", \"query\": \"secret-query\"},"
         "{\"id\": \"secret-6\", \"type\": \"consent\", \"user\": \"" ALICE
         "\", \"consent\": {\"ads\": false}},"
         "{\"id\": \"b1\", \"type\": \"view\", \"user\": \"" BOB
         "\", \"items\": [{\"id\": \"shoe\"}]},"
         "{\"id\": \"b2\", \"type\": \"view\", \"user\": \"" BOB
         "\", \"items\": [{\"id\": \"hat\"}]}]}");
    tell("recommend", "{\"user\": \"" ALICE "\", \"session\": \"secret-session\", \"n\": 5}");
    tell("recommend", "{\"anon\": \"" DEVICE "\", \"n\": 5}");
    tell("recommend", "{\"user\": \"" BOB "\", \"n\": 5}");
}

static cJSON *forget(const char *json)
{
    return ask("erase", json);
}

/* Until nobody waits to be erased; the last reply of `erasures`. */
static cJSON *wait_until_done(void)
{
    uint64_t end_ns = clock_now_ns(clock_system()) + WAIT_NS;
    for (;;) {
        cJSON *reply = ask("erasures", "{}");
        const cJSON *pending = cJSON_GetObjectItem(reply, "pending");
        if (number_of(pending, "ids") == 0)
            return reply;
        if (clock_now_ns(clock_system()) > end_ns)
            fail_msg("%s", cJSON_Print(pending));
        cJSON_Delete(reply);
        sched_yield();
    }
}

static const cJSON *last_receipt(const cJSON *erasures, const char *kind)
{
    const cJSON *found = NULL, *receipt;
    cJSON_ArrayForEach(receipt, cJSON_GetObjectItem(erasures, "receipts"))
    {
        if (strcmp(reply_text(receipt, "kind"), kind) == 0)
            found = receipt;
    }
    assert_non_null(found);
    return found;
}

static void check_nothing_is_left(void)
{
    assert_int_equal(file_search(state_dir, ALICE), 0);
    assert_int_equal(file_search(state_dir, DEVICE), 0);
    assert_int_equal(file_search(state_dir, "secret-"), 0);
    cJSON *reply = daemon_ask_nng(&served, "features", "{\"user\": \"" ALICE "\"}");
    assert_string_equal(reply_error_text(reply, "code"), "not_found");
    cJSON_Delete(reply);
}

static void check_bob_is_there(void)
{
    assert_true(file_search(state_dir, BOB) > 0);
    cJSON *reply = ask("features", "{\"user\": \"" BOB "\"}");
    assert_int_equal(number_of(cJSON_GetObjectItem(reply, "features"), "user.items"), 2);
    cJSON_Delete(reply);
}

/* ---- tests ----------------------------------------------------------------------------------- */

static void test_nothing_of_a_person_is_left(void **state)
{
    (void)state;
    start(AT_ONCE);
    people_live();
    tell("checkpoint", "{}");
    assert_true(daemon_log_has(&served, "\"msg\":\"checkpoint\""));
    assert_true(file_search(state_dir, ALICE) > 0);
    cJSON *asked = forget("{\"user\": \"" ALICE "\"}");
    assert_int_equal(number_of(asked, "request"), 1);
    cJSON_Delete(asked);
    cJSON *erasures = wait_until_done();
    const cJSON *receipt = last_receipt(erasures, "user");
    assert_int_equal(number_of(receipt, "request"), 1);
    assert_int_equal(number_of(receipt, "sequence"), 10);
    assert_int_equal(number_of(receipt, "events"), 5);
    assert_int_equal(number_of(receipt, "decisions"), 1);
    assert_int_equal(strlen(reply_text(receipt, "key")), 32);
    receipt = last_receipt(erasures, "anon");
    assert_int_equal(number_of(receipt, "events"), 1);
    assert_int_equal(number_of(receipt, "decisions"), 1);
    cJSON_Delete(erasures);
    check_nothing_is_left();
    check_bob_is_there();

    /* Exports have nothing of her, and the counts of items have. */
    cJSON *reply = ask("export", "{\"what\": \"events\"}");
    assert_int_equal(cJSON_GetArraySize(cJSON_GetObjectItem(reply, "records")), 3);
    cJSON_Delete(reply);
    reply = ask("export", "{\"what\": \"decisions\"}");
    assert_int_equal(cJSON_GetArraySize(cJSON_GetObjectItem(reply, "records")), 1);
    cJSON_Delete(reply);
    reply = ask("features", "{\"item\": \"shoe\"}");
    assert_int_equal(number_of(cJSON_GetObjectItem(reply, "features"), "item.purchases_30d"), 1);
    cJSON_Delete(reply);

    cJSON *hash = ask("state_hash", "{}");
    daemon_signal(&served, SIGTERM);
    assert_int_equal(daemon_wait(&served), 0);
    assert_int_equal(file_search(state_dir, ALICE), 0);
    daemon_restart(&served);
    cJSON *after = ask("state_hash", "{}");
    assert_string_equal(reply_text(hash, "hash"), reply_text(after, "hash"));
    cJSON_Delete(hash);
    cJSON_Delete(after);
    check_nothing_is_left();

    /* She may come back, as somebody new. */
    people_live();
    reply = ask("features", "{\"user\": \"" ALICE "\"}");
    cJSON_Delete(reply);
}

static void test_somebody_unknown_gets_a_receipt(void **state)
{
    (void)state;
    start(AT_ONCE);
    tell("events", "{\"events\": [{\"id\": \"f\", \"type\": \"forget\", \"user\": \"" ALICE
                   "\", \"anon\": \"" DEVICE "\"}]}");
    cJSON *erasures = wait_until_done();
    const cJSON *receipt = last_receipt(erasures, "user");
    assert_int_equal(number_of(receipt, "events"), 0);
    assert_int_equal(number_of(receipt, "decisions"), 0);
    (void)last_receipt(erasures, "anon");
    cJSON_Delete(erasures);
    check_nothing_is_left();
    cJSON *reply = daemon_ask_nng(&served, "erase", "{}");
    assert_string_equal(reply_error_text(reply, "field"), "user");
    cJSON_Delete(reply);
    reply = daemon_ask_nng(&served, "erasures", "{\"request\": 0}");
    assert_string_equal(reply_error_text(reply, "field"), "request");
    cJSON_Delete(reply);
    reply = ask("erasures", "{\"request\": 2}");
    assert_int_equal(cJSON_GetArraySize(cJSON_GetObjectItem(reply, "receipts")), 0);
    cJSON_Delete(reply);
}

/* Killed as soon as it is seen in a stage, or when it is done already. */
static void test_killed_at_any_stage_it_goes_on(void **state)
{
    (void)state;
    static const char *const stages[] = {"waiting", "memory",    "checkpoints",
                                         "events",  "decisions", "receipts"};
    start(AT_ONCE);
    for (size_t i = 0; i < sizeof stages / sizeof stages[0]; i++) {
        people_live();
        cJSON_Delete(forget("{\"user\": \"" ALICE "\"}"));
        for (bool is_there = i == 0; !is_there;) {
            cJSON *reply = ask("erasures", "{}");
            const cJSON *pending = cJSON_GetObjectItem(reply, "pending");
            is_there = number_of(pending, "ids") == 0 ||
                       strcmp(reply_text(pending, "stage"), stages[i]) == 0;
            cJSON_Delete(reply);
        }
        daemon_signal(&served, SIGKILL);
        assert_int_equal(daemon_wait(&served), SIGKILL);
        daemon_restart(&served);
        cJSON_Delete(wait_until_done());
        check_nothing_is_left();
        check_bob_is_there();
    }
}

static void test_an_older_snapshot_is_erased_again(void **state)
{
    (void)state;
    char snapshot[2 * TEMP_DIR_BYTES], json[3 * TEMP_DIR_BYTES], before[SNAPSHOT_NAME_BYTES];
    struct err err = {.text = ""};
    start(AT_ONCE);
    people_live();
    temp_dir_path(&served.dir, "snapshot", snapshot);
    snprintf(json, sizeof json, "{\"dir\": \"%s\"}", snapshot);
    tell("snapshot", json);
    cJSON_Delete(forget("{\"user\": \"" ALICE "\"}"));
    cJSON_Delete(wait_until_done());
    check_nothing_is_left();
    daemon_signal(&served, SIGTERM);
    assert_int_equal(daemon_wait(&served), 0);
    assert_int_equal(snapshot_restore(snapshot, state_dir, 1, before, &err), ERR_OK);
    assert_true(file_search(state_dir, ALICE) > 0);
    daemon_restart(&served);
    cJSON_Delete(wait_until_done());
    check_nothing_is_left();
    check_bob_is_there();
    assert_int_equal(file_search(state_dir, "before-restore"), 0); /* it held others, perhaps */
}

static void test_without_an_event_log(void **state)
{
    (void)state;
    start(AT_ONCE ", \"event_log_bytes_max\": 0");
    cJSON_Delete(daemon_ask_nng(
        &served, "events",
        "{\"ack\": \"memory\", \"events\": [{\"id\": \"1\", \"type\": \"view\", \"user\": \"" ALICE
        "\", \"items\": [{\"id\": \"shoe\"}]}]}"));
    tell("recommend", "{\"user\": \"" ALICE "\", \"n\": 5}");
    cJSON_Delete(forget("{\"user\": \"" ALICE "\"}"));
    cJSON *erasures = wait_until_done();
    assert_int_equal(number_of(last_receipt(erasures, "user"), "decisions"), 1);
    cJSON_Delete(erasures);
    check_nothing_is_left();
}

static void test_a_restart_takes_over_what_is_pending(void **state)
{
    (void)state;
    int status = 0;
    start("\"erasure_delay_s\": 2, \"disk_reserve_bytes\": 0");
    people_live();
    cJSON_Delete(forget("{\"user\": \"" ALICE "\"}"));
    pid_t old = served.pid;
    cJSON *reply = ask("restart", "{}");
    served.pid = number_of(reply, "process_id");
    cJSON_Delete(reply);
    assert_int_equal(waitpid(old, &status, 0), old);
    assert_int_equal(status, 0);
    cJSON_Delete(wait_until_done());
    check_nothing_is_left();
    check_bob_is_there();
}

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
        cJSON *reply = daemon_ask_nng(&served, "events", json);
        atomic_fetch_add(&load->failed, !reply_ok(reply) || number_of(reply, "accepted") != 1);
        cJSON_Delete(reply);
        snprintf(json, sizeof json, "{\"user\": \"crowd-%u\", \"n\": 3}", n % 50);
        reply = daemon_ask_nng(&served, "recommend", json);
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
    start(AT_ONCE);
    people_live();
    assert_int_equal(pthread_create(&thread, NULL, send_on, &load), 0);
    for (int i = 0; i < 5; i++) {
        uint32_t sent = atomic_load(&load.sent);
        cJSON_Delete(forget(i == 0 ? "{\"user\": \"" ALICE "\"}" : "{\"user\": \"crowd-1\"}"));
        while (atomic_load(&load.sent) < sent + 30)
            sched_yield();
        cJSON_Delete(wait_until_done());
    }
    atomic_store(&load.stop, true);
    pthread_join(thread, NULL);
    assert_int_equal(atomic_load(&load.failed), 0);
    cJSON *reply = ask("status", "{}");
    const cJSON *log = cJSON_GetObjectItem(reply, "log"); /* every event is there, once */
    assert_int_equal(number_of(log, "last_sequence"), 9 + 5 + (int)atomic_load(&load.sent));
    cJSON_Delete(reply);
    check_nothing_is_left();
    check_bob_is_there();
}

static void ctl(struct program *program, const char *const *args)
{
    char path[4096];
    const char *argv[10] = {path, "--url", served.url, "erase"};
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
    start("\"erasure_delay_s\": 3600, \"disk_reserve_bytes\": 0");
    people_live();
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
    start(AT_ONCE);
    people_live();
    CTL("--list");
    assert_int_equal(program.exit_code, 0);
    assert_string_equal(program.out, "nobody waits to be erased\n");
    CTL(ALICE, "--wait");
    assert_int_equal(program.exit_code, 0);
    assert_non_null(strstr(program.out, "request 1: not known any more"));
    assert_non_null(strstr(program.out, "REQUEST  KIND  KEY"));
    assert_non_null(strstr(program.out, "anon"));
    check_nothing_is_left();
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
    cJSON *acts = ask("audit", "{}");
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
#define TEST(name) cmocka_unit_test_teardown(name, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_nothing_of_a_person_is_left),
        TEST(test_somebody_unknown_gets_a_receipt),
        TEST(test_killed_at_any_stage_it_goes_on),
        TEST(test_an_older_snapshot_is_erased_again),
        TEST(test_without_an_event_log),
        TEST(test_a_restart_takes_over_what_is_pending),
        TEST(test_serving_goes_on),
        TEST(test_decidectl_waits_for_so_long),
        TEST(test_decidectl_erases_and_lists),
    };
#undef TEST
    return cmocka_run_group_tests(tests, NULL, NULL);
}
