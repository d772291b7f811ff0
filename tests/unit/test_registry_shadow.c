/* SPDX-License-Identifier: Apache-2.0 */
/* Shadows in the registry: start, limits, what ends them, restarts. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "server/metrics.h"
#include "tests/support/registry_rig.h"

static enum err_code ask(struct registry_rig *rig, const char *name, const char *version,
                         struct err *ret_err)
{
    struct outcome outcome;
    outcome_init(&outcome);
    if (version == NULL)
        registry_shadow_stop(rig->registry, name, outcome_done, &outcome);
    else
        registry_shadow(rig->registry, name, version, 10000, outcome_done, &outcome);
    enum err_code rc = outcome_wait(&outcome);
    *ret_err = outcome.err;
    return rc;
}

static bool has_shadow(struct registry_rig *rig, const char *name)
{
    struct shadow_stats stats;
    return shadow_stats(rig->shadow, name, &stats);
}

static void test_a_shadow_runs_until_it_is_stopped_or_serves(void **state)
{
    struct registry_rig *rig = *state;
    struct err err = {0};
    rig_publish_three(rig, "m");
    assert_int_equal(ask(rig, "m", NULL, &err), ERR_NOT_FOUND);
    assert_int_equal(ask(rig, "m", "2", &err), ERR_OK);
    assert_true(has_shadow(rig, "m"));
    assert_string_equal(rig_serving(rig, "m"), "1");
    assert_int_equal(rig_view(rig).trial_count, 0); /* it never answers */
    assert_int_equal(metric_value(rig->metrics, M_SHADOWS, 0, 0), 1);
    assert_int_equal(ask(rig, "m", NULL, &err), ERR_OK);
    assert_false(has_shadow(rig, "m"));
    assert_int_equal(ask(rig, "m", "2", &err), ERR_OK);
    assert_int_equal(rig_promote(rig, "m", "2", &err), ERR_OK);
    assert_false(has_shadow(rig, "m"));
    assert_int_equal(ask(rig, "m", "3", &err), ERR_OK);
    assert_int_equal(rig_canary(rig, "m", "3", 100, &err), ERR_OK);
    assert_false(has_shadow(rig, "m")); /* it serves some of the people now */
    assert_int_equal(ask(rig, "m", "3", &err), ERR_BAD_INPUT);
    assert_int_equal(ask(rig, "m", "1", &err), ERR_OK);
    assert_int_equal(rig_rollback(rig, "m", &err), ERR_OK);
    assert_string_equal(rig_serving(rig, "m"), "1");
    assert_false(has_shadow(rig, "m"));
}

static void test_what_is_no_shadow_is_refused(void **state)
{
    struct registry_rig *rig = *state;
    struct err err = {0};
    static const char *const names[] = {"a", "b", "c", "m"};
    for (int i = 0; i < 4; i++)
        rig_publish_three(rig, names[i]);
    assert_int_equal(ask(rig, "x", "1", &err), ERR_NOT_FOUND);
    assert_int_equal(ask(rig, "m", "9", &err), ERR_NOT_FOUND);
    assert_int_equal(ask(rig, "m", "1", &err), ERR_BAD_INPUT);
    assert_non_null(strstr(err.text, "serves already"));
    rig_publish(rig, "m", "4", MODEL_popularity);
    rig_scan(rig);
    assert_int_equal(ask(rig, "m", "4", &err), ERR_BAD_INPUT);
    assert_non_null(strstr(err.text, "of the kind popularity"));
    for (int i = 0; i < 3; i++)
        assert_int_equal(ask(rig, names[i], "2", &err), ERR_OK);
    assert_int_equal(ask(rig, "a", "3", &err), ERR_EXISTS);
    assert_int_equal(ask(rig, "m", "2", &err), ERR_BUSY);
    assert_non_null(strstr(err.text, "3 shadows run already"));
    assert_false(has_shadow(rig, "m"));
    assert_true(has_shadow(rig, "a"));
}

static void test_a_restart_goes_on_with_the_shadow(void **state)
{
    struct registry_rig *rig = *state;
    struct err err = {0};
    char place[2 * TEMP_DIR_BYTES];
    rig_publish_three(rig, "m");
    assert_int_equal(ask(rig, "m", "2", &err), ERR_OK);
    rig_stop(rig);
    assert_false(has_shadow(rig, "m"));
    rig_start(rig);
    assert_true(has_shadow(rig, "m"));
    assert_string_equal(rig_serving(rig, "m"), "1");
    /* One whose bundle is gone is dropped; the whole name takes its shadow along. */
    rig_stop(rig);
    assert_int_equal(file_remove_tree(rig_path(rig, "models/m/2", place), NULL), ERR_OK);
    rig_start(rig);
    assert_false(has_shadow(rig, "m"));
    assert_int_equal(ask(rig, "m", "3", &err), ERR_OK);
    rig_remove(rig, "m");
    rig_scan(rig);
    assert_string_equal(rig_serving(rig, "m"), "");
    assert_false(has_shadow(rig, "m"));
}

#define WITH_RIG(test) cmocka_unit_test_setup_teardown(test, rig_set_up_promoted, rig_tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_RIG(test_a_shadow_runs_until_it_is_stopped_or_serves),
        WITH_RIG(test_what_is_no_shadow_is_refused),
        WITH_RIG(test_a_restart_goes_on_with_the_shadow),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
