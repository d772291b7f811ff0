/* SPDX-License-Identifier: Apache-2.0 */
/* What a registry starts with, and what it has for itself: policies, its directory, memory. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/rcu.h"
#include "tests/support/alloc_fail.h"
#include "tests/support/registry_rig.h"

static enum err_code reload(struct registry_rig *rig, const char *policies, struct err *ret_err)
{
    struct outcome outcome;
    outcome_init(&outcome);
    registry_reload(rig->registry, policies, NULL, NULL, 0, rig->previous_bytes_max, outcome_done,
                    &outcome);
    enum err_code rc = outcome_wait(&outcome);
    *ret_err = outcome.err;
    return rc;
}

static void test_policies_are_applied_as_a_whole_or_not_at_all(void **state)
{
    struct registry_rig *rig = *state;
    struct err err = {0};
    char path[2 * TEMP_DIR_BYTES];
    rig_publish(rig, "m", "1", MODEL_popularity);
    rig_scan(rig);
    uint64_t epoch = rig_view(rig).epoch;
    rig_path(rig, "policies.json", path);
    assert_int_equal(reload(rig, path, &err), ERR_NOT_FOUND);
    temp_dir_write_text(&rig->dir, "policies.json", "{\"version\": ");
    assert_int_equal(reload(rig, path, &err), ERR_BAD_INPUT);
    temp_dir_write_text(&rig->dir, "policies.json",
                        "{\"version\": \"a\", \"default\": \"home\", \"slots\": {\"home\": "
                        "{\"sources\": [{\"source\": \"neighbors\", \"model\": \"m\"}]}}}");
    assert_int_equal(reload(rig, path, &err), ERR_BAD_INPUT);
    assert_non_null(strstr(err.text, "expected kind neighbors, got popularity"));
    assert_int_equal(rig_view(rig).epoch, epoch);
    assert_int_equal(rig_view(rig).static_count, 1);
    temp_dir_write_text(&rig->dir, "policies.json",
                        "{\"version\": \"b\", \"default\": \"home\", \"slots\": {\"home\": "
                        "{\"sources\": [{\"source\": \"model_popular\", \"model\": \"m\"}]}}}");
    assert_int_equal(reload(rig, path, &err), ERR_OK);
    assert_int_equal(rig_view(rig).static_count, 0);
    rcu_read_begin();
    assert_string_equal(serving_current(&rig->serving)->policies->version, "b");
    rcu_read_end();
    /* A model of a kind that the policies in force contradict is refused like any other fault. */
    rig_publish(rig, "m", "2", MODEL_neighbors);
    rig_scan(rig);
    assert_string_equal(rig_serving(rig, "m"), "1");
    assert_non_null(strstr(rig_refusal(rig, "m", "2"), "expected kind popularity"));
}

static void test_bad_policies_keep_a_registry_from_starting(void **state)
{
    struct registry_rig *rig = *state;
    struct registry *second = NULL;
    struct serving serving;
    struct err err = {0};
    char models[2 * TEMP_DIR_BYTES], policies[2 * TEMP_DIR_BYTES];
    const struct registry_options options = {.inherited_lock_fd = -1,
                                             .models_dir = rig_path(rig, "other", models),
                                             .policies_path =
                                                 rig_path(rig, "policies.json", policies),
                                             .worker_count = 1,
                                             .rescan_ms = 1000,
                                             .store = rig->store,
                                             .serving = &serving,
                                             .metrics = rig->metrics,
                                             .clock = clock_system()};
    atomic_init(&serving.current, NULL);
    assert_int_equal(registry_create(&options, &second, &err), ERR_NOT_FOUND);
    assert_null(second);
    temp_dir_write_text(&rig->dir, "policies.json", "{\"slots\": {}}");
    assert_int_equal(registry_create(&options, &second, &err), ERR_OK);
    assert_int_equal(registry_start(second, &err), ERR_BAD_INPUT);
    assert_non_null(strstr(err.text, "policies.json"));
    registry_stop(second);
    registry_destroy(&second);
}

static void test_a_models_dir_serves_one_registry(void **state)
{
    struct registry_rig *rig = *state;
    struct registry *second = NULL;
    struct serving serving;
    struct err err = {0};
    char models[2 * TEMP_DIR_BYTES], lock[2 * TEMP_DIR_BYTES], says[64];
    const struct registry_options options = {.inherited_lock_fd = -1,
                                             .models_dir = rig_path(rig, "models", models),
                                             .worker_count = 1,
                                             .rescan_ms = 1000,
                                             .store = rig->store,
                                             .serving = &serving,
                                             .metrics = rig->metrics,
                                             .clock = clock_system()};
    atomic_init(&serving.current, NULL);
    assert_int_equal(registry_create(&options, &second, &err), ERR_BUSY);
    assert_null(second);
    assert_non_null(strstr(err.text, "models_dir: the directory '"));
    snprintf(says, sizeof says, "is in use by process %d: each daemon needs its own",
             (int)getpid());
    assert_non_null(strstr(err.text, says));
    rig_stop(rig);
    assert_int_equal(registry_create(&options, &second, &err), ERR_OK);
    registry_destroy(&second);
    /* Where no lock can be had it serves without one. */
    assert_int_equal(unlink(rig_path(rig, "models/.lock", lock)), 0);
    assert_int_equal(mkdir(lock, 0750), 0);
    assert_int_equal(registry_create(&options, &second, &err), ERR_OK);
    registry_destroy(&second);
}

static void test_no_memory_at_creation_leaves_nothing(void **state)
{
    struct registry_rig *rig = *state;
    static const struct text ids[] = {{"i1", 2}, {"i2", 2}};
    struct serving serving;
    char models[2 * TEMP_DIR_BYTES], policies[2 * TEMP_DIR_BYTES];
    temp_dir_write_text(&rig->dir, "policies.json", "{}");
    const struct registry_options options = {.inherited_lock_fd = -1,
                                             .models_dir = rig_path(rig, "other", models),
                                             .policies_path =
                                                 rig_path(rig, "policies.json", policies),
                                             .static_ids = ids,
                                             .static_count = 2,
                                             .worker_count = 1,
                                             .store = rig->store,
                                             .serving = &serving,
                                             .metrics = rig->metrics,
                                             .clock = clock_system()};
    atomic_init(&serving.current, NULL);
    for (uint32_t n = 0;; n++) {
        struct registry *registry = NULL;
        assert_true(n < 100);
        alloc_fail_after(n);
        enum err_code rc = registry_create(&options, &registry, NULL);
        bool failed = alloc_fail_off();
        assert_int_equal(rc, failed ? ERR_NOMEM : ERR_OK);
        assert_int_equal(registry == NULL, failed);
        registry_destroy(&registry);
        if (!failed)
            break;
    }
}

static void test_a_stopped_registry_takes_nothing(void **state)
{
    struct registry_rig *rig = *state;
    struct outcome outcome;
    registry_stop(rig->registry);
    outcome_init(&outcome);
    registry_scan(rig->registry, outcome_done, &outcome);
    assert_int_equal(outcome_wait(&outcome), ERR_BUSY);
}

static bool is_line_written(const struct registry_rig *rig)
{
    char path[2 * TEMP_DIR_BYTES];
    return access(rig_path(rig, "models/m/.serving", path), F_OK) == 0;
}

/* The line is written by the registry that is followed, until it is gone. */
static void test_one_that_follows_writes_nothing(void **state)
{
    struct registry_rig *rig = *state;
    rig_stop(rig);
    rig->follows = true;
    rig_start(rig);
    rig_publish(rig, "m", "1", MODEL_popularity);
    rig_scan(rig);
    assert_string_equal(rig_serving(rig, "m"), "1");
    assert_false(is_line_written(rig));
    registry_take_over(rig->registry);
    rig_scan(rig); /* behind it */
    assert_true(is_line_written(rig));
}

/* What a successor reads, and nothing else. */
static void test_changes_are_noted(void **state)
{
    struct registry_rig *rig = *state;
    struct err err = {0};
    rig_publish(rig, "m", "1", MODEL_popularity);
    rig_scan(rig);
    assert_int_equal(changes_count(&rig->changes), 0);
    assert_int_equal(rig_promote(rig, "m", "1", &err), ERR_OK);
    assert_int_equal(changes_count(&rig->changes), 2); /* it was asked, and is done */
    rig_reload(rig);
    assert_int_equal(changes_count(&rig->changes), 4);
}

#define WITH_RIG(test) cmocka_unit_test_setup_teardown(test, rig_set_up_started, rig_tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_RIG(test_policies_are_applied_as_a_whole_or_not_at_all),
        WITH_RIG(test_bad_policies_keep_a_registry_from_starting),
        WITH_RIG(test_a_models_dir_serves_one_registry),
        WITH_RIG(test_no_memory_at_creation_leaves_nothing),
        WITH_RIG(test_a_stopped_registry_takes_nothing),
        WITH_RIG(test_one_that_follows_writes_nothing),
        WITH_RIG(test_changes_are_noted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
