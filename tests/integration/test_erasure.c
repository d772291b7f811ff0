/* SPDX-License-Identifier: Apache-2.0 */
/* A daemon forgets a person: no file of its data_dir holds the id any more, whatever happens to the
 * daemon on the way, and everybody else stays as they were. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include "featurestore/snapshot.h"
#include "tests/support/daemon.h"
#include "tests/support/daemon_client.h"
#include "tests/support/erasure_rig.h"
#include "tests/support/file_search.h"

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

static void test_nothing_of_a_person_is_left(void **state)
{
    (void)state;
    erasure_rig_start(AT_ONCE);
    erasure_rig_people_live();
    erasure_rig_tell("checkpoint", "{}");
    assert_true(daemon_log_has(&erasure_rig_daemon, "\"msg\":\"checkpoint\""));
    assert_true(file_search(erasure_rig_dir, ALICE) > 0);
    cJSON *asked = erasure_rig_forget("{\"user\": \"" ALICE "\"}");
    assert_int_equal(erasure_rig_number(asked, "request"), 1);
    cJSON_Delete(asked);
    cJSON *erasures = erasure_rig_wait();
    const cJSON *receipt = last_receipt(erasures, "user");
    assert_int_equal(erasure_rig_number(receipt, "request"), 1);
    assert_int_equal(erasure_rig_number(receipt, "sequence"), 11);
    assert_int_equal(erasure_rig_number(receipt, "events"), 6);
    assert_int_equal(erasure_rig_number(receipt, "decisions"), 1);
    assert_int_equal(strlen(reply_text(receipt, "key")), 32);
    receipt = last_receipt(erasures, "anon");
    assert_int_equal(erasure_rig_number(receipt, "events"), 1);
    assert_int_equal(erasure_rig_number(receipt, "decisions"), 1);
    cJSON_Delete(erasures);
    erasure_rig_check_gone();
    erasure_rig_check_bob();

    /* Exports have nothing of her, and the counts of items have. */
    cJSON *reply = erasure_rig_ask("export", "{\"what\": \"events\"}");
    assert_int_equal(cJSON_GetArraySize(cJSON_GetObjectItem(reply, "records")), 3);
    cJSON_Delete(reply);
    reply = erasure_rig_ask("export", "{\"what\": \"decisions\"}");
    assert_int_equal(cJSON_GetArraySize(cJSON_GetObjectItem(reply, "records")), 1);
    cJSON_Delete(reply);
    reply = erasure_rig_ask("features", "{\"item\": \"shoe\"}");
    assert_int_equal(
        erasure_rig_number(cJSON_GetObjectItem(reply, "features"), "item.purchases_30d"), 1);
    cJSON_Delete(reply);

    cJSON *hash = erasure_rig_ask("state_hash", "{}");
    daemon_signal(&erasure_rig_daemon, SIGTERM);
    assert_int_equal(daemon_wait(&erasure_rig_daemon), 0);
    assert_int_equal(file_search(erasure_rig_dir, ALICE), 0);
    daemon_restart(&erasure_rig_daemon);
    cJSON *after = erasure_rig_ask("state_hash", "{}");
    assert_string_equal(reply_text(hash, "hash"), reply_text(after, "hash"));
    cJSON_Delete(hash);
    cJSON_Delete(after);
    erasure_rig_check_gone();

    /* She may come back, as somebody new. */
    erasure_rig_people_live();
    reply = erasure_rig_ask("features", "{\"user\": \"" ALICE "\"}");
    cJSON_Delete(reply);
}

static void test_somebody_unknown_gets_a_receipt(void **state)
{
    (void)state;
    erasure_rig_start(AT_ONCE);
    erasure_rig_tell("events",
                     "{\"events\": [{\"id\": \"f\", \"type\": \"forget\", \"user\": \"" ALICE
                     "\", \"anon\": \"" DEVICE "\"}]}");
    cJSON *erasures = erasure_rig_wait();
    const cJSON *receipt = last_receipt(erasures, "user");
    assert_int_equal(erasure_rig_number(receipt, "events"), 0);
    assert_int_equal(erasure_rig_number(receipt, "decisions"), 0);
    (void)last_receipt(erasures, "anon");
    cJSON_Delete(erasures);
    erasure_rig_check_gone();
    cJSON *reply = daemon_ask_nng(&erasure_rig_daemon, "erase", "{}");
    assert_string_equal(reply_error_text(reply, "field"), "user");
    cJSON_Delete(reply);
    reply = daemon_ask_nng(&erasure_rig_daemon, "erasures", "{\"request\": 0}");
    assert_string_equal(reply_error_text(reply, "field"), "request");
    cJSON_Delete(reply);
    reply = erasure_rig_ask("erasures", "{\"request\": 2}");
    assert_int_equal(cJSON_GetArraySize(cJSON_GetObjectItem(reply, "receipts")), 0);
    cJSON_Delete(reply);
}

/* Killed as soon as it is seen in a stage, or when it is done already. */
static void test_killed_at_any_stage_it_goes_on(void **state)
{
    (void)state;
    static const char *const stages[] = {"waiting", "memory",    "checkpoints",
                                         "events",  "decisions", "receipts"};
    erasure_rig_start(AT_ONCE);
    for (size_t i = 0; i < sizeof stages / sizeof stages[0]; i++) {
        erasure_rig_people_live();
        cJSON_Delete(erasure_rig_forget("{\"user\": \"" ALICE "\"}"));
        for (bool is_there = i == 0; !is_there;) {
            cJSON *reply = erasure_rig_ask("erasures", "{}");
            const cJSON *pending = cJSON_GetObjectItem(reply, "pending");
            is_there = erasure_rig_number(pending, "ids") == 0 ||
                       strcmp(reply_text(pending, "stage"), stages[i]) == 0;
            cJSON_Delete(reply);
        }
        daemon_signal(&erasure_rig_daemon, SIGKILL);
        assert_int_equal(daemon_wait(&erasure_rig_daemon), SIGKILL);
        daemon_restart(&erasure_rig_daemon);
        cJSON_Delete(erasure_rig_wait());
        erasure_rig_check_gone();
        erasure_rig_check_bob();
    }
}

static void test_an_older_snapshot_is_erased_again(void **state)
{
    (void)state;
    char snapshot[2 * TEMP_DIR_BYTES], json[3 * TEMP_DIR_BYTES], before[SNAPSHOT_NAME_BYTES];
    struct err err = {.text = ""};
    erasure_rig_start(AT_ONCE);
    erasure_rig_people_live();
    temp_dir_path(&erasure_rig_daemon.dir, "snapshot", snapshot);
    snprintf(json, sizeof json, "{\"dir\": \"%s\"}", snapshot);
    erasure_rig_tell("snapshot", json);
    cJSON_Delete(erasure_rig_forget("{\"user\": \"" ALICE "\"}"));
    cJSON_Delete(erasure_rig_wait());
    erasure_rig_check_gone();
    daemon_signal(&erasure_rig_daemon, SIGTERM);
    assert_int_equal(daemon_wait(&erasure_rig_daemon), 0);
    assert_int_equal(snapshot_restore(snapshot, erasure_rig_dir, 1, before, &err), ERR_OK);
    assert_true(file_search(erasure_rig_dir, ALICE) > 0);
    daemon_restart(&erasure_rig_daemon);
    cJSON_Delete(erasure_rig_wait());
    erasure_rig_check_gone();
    erasure_rig_check_bob();
    assert_int_equal(file_search(erasure_rig_dir, "before-restore"),
                     0); /* it held others, perhaps */
}

static void test_without_an_event_log(void **state)
{
    (void)state;
    erasure_rig_start(AT_ONCE ", \"event_log_bytes_max\": 0");
    cJSON_Delete(daemon_ask_nng(
        &erasure_rig_daemon, "events",
        "{\"ack\": \"memory\", \"events\": [{\"id\": \"1\", \"type\": \"view\", \"user\": \"" ALICE
        "\", \"items\": [{\"id\": \"shoe\"}]}]}"));
    erasure_rig_tell("recommend", "{\"user\": \"" ALICE "\", \"n\": 5}");
    cJSON_Delete(erasure_rig_forget("{\"user\": \"" ALICE "\"}"));
    cJSON *erasures = erasure_rig_wait();
    assert_int_equal(erasure_rig_number(last_receipt(erasures, "user"), "decisions"), 1);
    cJSON_Delete(erasures);
    erasure_rig_check_gone();
}

static void test_a_restart_takes_over_what_is_pending(void **state)
{
    (void)state;
    int status = 0;
    erasure_rig_start("\"erasure_delay_s\": 2, \"disk_reserve_bytes\": 0");
    erasure_rig_people_live();
    cJSON_Delete(erasure_rig_forget("{\"user\": \"" ALICE "\"}"));
    pid_t old = erasure_rig_daemon.pid;
    cJSON *reply = erasure_rig_ask("restart", "{}");
    erasure_rig_daemon.pid = erasure_rig_number(reply, "process_id");
    cJSON_Delete(reply);
    assert_int_equal(waitpid(old, &status, 0), old);
    assert_int_equal(status, 0);
    cJSON_Delete(erasure_rig_wait());
    erasure_rig_check_gone();
    erasure_rig_check_bob();
}

int main(void)
{
    /* Successors come to this process when their parents end. */
    prctl(PR_SET_CHILD_SUBREAPER, 1);
#define TEST(name) cmocka_unit_test_teardown(name, erasure_rig_tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_nothing_of_a_person_is_left),    TEST(test_somebody_unknown_gets_a_receipt),
        TEST(test_killed_at_any_stage_it_goes_on), TEST(test_an_older_snapshot_is_erased_again),
        TEST(test_without_an_event_log),           TEST(test_a_restart_takes_over_what_is_pending),
    };
#undef TEST
    return cmocka_run_group_tests(tests, NULL, NULL);
}
