/* SPDX-License-Identifier: Apache-2.0 */
/* Which version serves: swaps under readers, rollbacks, and the line of versions over restarts. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/rcu.h"
#include "server/metrics.h"
#include "tests/support/registry_rig.h"

#define DEADLINE_NS UINT64_C(20000000000)

/* ---- refusals -------------------------------------------------------------------------------- */

static void test_a_new_folder_is_noticed_without_being_told(void **state)
{
    struct registry_rig *rig = *state;
    uint64_t until_ns = clock_now_ns(clock_system()) + DEADLINE_NS;
    char version[MODEL_NAME_BYTES];
    rig_publish(rig, "m", "1", MODEL_popularity);
    while (registry_version(rig->registry, "m", version)[0] == '\0') {
        assert_true(clock_now_ns(clock_system()) < until_ns);
        sched_yield();
    }
    assert_string_equal(version, "1");
}

/* ---- swap ------------------------------------------------------------------------------------ */

static void test_readers_keep_their_version_until_they_leave(void **state)
{
    struct registry_rig *rig = *state;
    struct outcome outcome;
    rig_publish(rig, "m", "1", MODEL_popularity);
    rig_publish(rig, "m", "2", MODEL_popularity);
    rig_scan(rig);

    rcu_read_begin();
    const struct snapshot *held = serving_current(&rig->serving);
    uint64_t epoch = held->epoch;
    uint64_t until_ns = clock_now_ns(clock_system()) + DEADLINE_NS;
    rig_publish(rig, "m", "3", MODEL_popularity);
    outcome_init(&outcome);
    registry_scan(rig->registry, outcome_done, &outcome);
    while (serving_current(&rig->serving) == held) {
        assert_true(clock_now_ns(clock_system()) < until_ns);
        sched_yield();
    }
    /* The new one is there, and all of the old one is still readable (ASan is the judge). */
    assert_int_equal(held->epoch, epoch);
    assert_string_equal(held->model[0]->label, "m@2");
    assert_true(popularity_score(held->model[0]->as.popularity, 1) == 30.0f);
    pthread_mutex_lock(&outcome.lock);
    assert_false(outcome.done); /* the loader waits for this reader */
    pthread_mutex_unlock(&outcome.lock);
    rcu_read_end();

    assert_int_equal(outcome_wait(&outcome), ERR_OK);
    assert_string_equal(rig_serving(rig, "m"), "3");
}

struct hammer {
    struct registry_rig *rig;
    _Atomic bool stop;
    _Atomic uint64_t reads, mistakes;
};

static void *read_on(void *arg)
{
    struct hammer *hammer = arg;
    char label[2 * MODEL_NAME_BYTES];
    while (!atomic_load(&hammer->stop)) {
        rcu_read_begin();
        const struct snapshot *snapshot = serving_current(&hammer->rig->serving);
        for (uint32_t i = 0; i < snapshot->model_count; i++) {
            const struct model *model = snapshot->model[i];
            snprintf(label, sizeof label, "%s@%s", model->name, model->version);
            if (strcmp(label, model->label) != 0 ||
                popularity_score(model->as.popularity, 4) != 30.0f)
                atomic_fetch_add(&hammer->mistakes, 1);
        }
        rcu_read_end();
        atomic_fetch_add(&hammer->reads, 1);
    }
    return NULL;
}

static void test_swaps_and_rollbacks_under_readers(void **state)
{
    struct hammer hammer = {.rig = *state};
    struct registry_rig *rig = *state;
    struct err err;
    char version[16];
    pthread_t reader[2];
    rig_publish(rig, "m", "0", MODEL_popularity);
    rig_scan(rig);
    for (int i = 0; i < 2; i++)
        assert_int_equal(pthread_create(&reader[i], NULL, read_on, &hammer), 0);
    for (int i = 1; i <= 20; i++) {
        snprintf(version, sizeof version, "%d", i);
        rig_publish(rig, "m", version, MODEL_popularity);
        rig_scan(rig);
        assert_string_equal(rig_serving(rig, "m"), version);
        if (i % 5 == 0)
            assert_int_equal(rig_rollback(rig, "m", &err), ERR_OK);
    }
    atomic_store(&hammer.stop, true);
    for (int i = 0; i < 2; i++)
        pthread_join(reader[i], NULL);
    assert_true(atomic_load(&hammer.reads) > 0);
    assert_int_equal(atomic_load(&hammer.mistakes), 0);
    /* All versions are in memory, since they fit; the one that serves alone without a budget. */
    uint64_t one = rig_view(rig).first_model_bytes;
    assert_int_equal(metric_value(rig->metrics, M_MODEL_BYTES, 0, 0), 21 * one);
    rig->previous_bytes_max = 0;
    rig_reload(rig);
    assert_int_equal(metric_value(rig->metrics, M_MODEL_BYTES, 0, 0), one);
}

/* ---- the line of versions -------------------------------------------------------------------- */

static void test_rollback_steps_back_and_does_not_come_back(void **state)
{
    struct registry_rig *rig = *state;
    struct err err = {0};
    char place[2 * TEMP_DIR_BYTES];
    for (int i = 1; i <= 3; i++) {
        char version[16];
        snprintf(version, sizeof version, "%d", i);
        rig_publish(rig, "m", version, MODEL_popularity);
        rig_scan(rig);
    }
    uint64_t loaded = rig_loaded_count(rig);
    assert_int_equal(rig_rollback(rig, "m", &err), ERR_OK);
    assert_string_equal(rig_serving(rig, "m"), "2");
    /* It was loaded: instant.  One more may be by now, to be there for the next. */
    assert_true(rig_loaded_count(rig) <= loaded + 1);
    rig_scan(rig);
    assert_string_equal(rig_serving(rig, "m"), "2");
    assert_int_equal(rig_rollback(rig, "m", &err), ERR_OK);
    assert_string_equal(rig_serving(rig, "m"), "1");
    assert_int_equal(rig_rollback(rig, "m", &err), ERR_NOT_FOUND);
    assert_non_null(strstr(err.text, "before 1"));
    assert_int_equal(rig_rollback(rig, "x", &err), ERR_NOT_FOUND);
    assert_string_equal(rig_serving(rig, "m"), "1");

    rig_stop(rig);
    rig_start(rig);
    assert_string_equal(rig_serving(rig, "m"), "1");
    rig_publish(rig, "m", "4", MODEL_popularity);
    rig_scan(rig);
    assert_string_equal(rig_serving(rig, "m"), "4");
    assert_int_equal(rig_rollback(rig, "m", &err), ERR_OK);
    assert_string_equal(rig_serving(rig, "m"), "1");

    /* Other bytes under a version that was set aside make it a new arrival. */
    assert_int_equal(file_remove_tree(rig_path(rig, "models/m/3", place), NULL), ERR_OK);
    rig_publish(rig, "m", "3", MODEL_popularity);
    rig_scan(rig);
    assert_string_equal(rig_serving(rig, "m"), "3");
}

static void test_a_restart_keeps_the_line_and_finds_what_came_meanwhile(void **state)
{
    struct registry_rig *rig = *state;
    struct err err = {0};
    rig_publish(rig, "m", "9", MODEL_popularity);
    rig_scan(rig);
    rig_publish(rig, "m", "10", MODEL_popularity);
    rig_scan(rig);
    rig_stop(rig);
    rig_start(rig);
    assert_string_equal(rig_serving(rig, "m"), "10");
    assert_int_equal(rig_rollback(rig, "m", &err), ERR_OK);
    assert_string_equal(rig_serving(rig, "m"), "9");
    rig_stop(rig);
    rig_publish(rig, "m", "8", MODEL_popularity); /* the newest by arrival */
    rig_start(rig);
    assert_string_equal(rig_serving(rig, "m"), "8");
    /* A damaged memory is no disaster: then the manifests' times count. */
    rig_stop(rig);
    temp_dir_write_text(&rig->dir, "models/m/.serving", "{\"format\": 1, \"line\": [\"../x\"]}");
    rig_start(rig);
    assert_string_equal(rig_serving(rig, "m"), "8");
}

static void test_those_that_come_together_stand_by_manifest_time_then_name(void **state)
{
    struct registry_rig *rig = *state;
    const char *const versions[] = {"2", "10", "1"};
    struct err err = {0};
    char path[2 * TEMP_DIR_BYTES], below[64];
    rig_stop(rig); /* so that it finds all three at once */
    for (int i = 0; i < 3; i++) {
        rig_publish(rig, "m", versions[i], MODEL_popularity);
        snprintf(below, sizeof below, "models/m/%s/manifest.json", versions[i]);
        const struct timespec times[2] = {{.tv_sec = 1000}, {.tv_sec = i == 2 ? 900 : 1000}};
        assert_int_equal(utimensat(AT_FDCWD, rig_path(rig, below, path), times, 0), 0);
    }
    rig_start(rig);
    assert_string_equal(rig_serving(rig, "m"), "10");
    assert_int_equal(rig_rollback(rig, "m", &err), ERR_OK);
    assert_string_equal(rig_serving(rig, "m"), "2");
    assert_int_equal(rig_rollback(rig, "m", &err), ERR_OK);
    assert_string_equal(rig_serving(rig, "m"), "1");
}

/* ---- limits and policies --------------------------------------------------------------------- */

#define WITH_RIG(test) cmocka_unit_test_setup_teardown(test, rig_set_up_started, rig_tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_RIG(test_a_new_folder_is_noticed_without_being_told),
        WITH_RIG(test_readers_keep_their_version_until_they_leave),
        WITH_RIG(test_swaps_and_rollbacks_under_readers),
        WITH_RIG(test_rollback_steps_back_and_does_not_come_back),
        WITH_RIG(test_a_restart_keeps_the_line_and_finds_what_came_meanwhile),
        WITH_RIG(test_those_that_come_together_stand_by_manifest_time_then_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
