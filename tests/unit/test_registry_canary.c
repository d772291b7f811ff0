/* SPDX-License-Identifier: Apache-2.0 */
/* Canaries in the registry: start, limits, their end by themselves, restarts. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/rcu.h"
#include "server/decide/tally.h"
#include "server/metrics.h"
#include "tests/support/registry_rig.h"
#include "tools/cli/value.h"

#define LIST_BYTES  262144
#define DEADLINE_NS UINT64_C(60000000000)

/* "2 500" - version and share of the canary in force; "" for none. */
static const char *canary_of(const struct registry_rig *rig, const char *name)
{
    static char text[128];
    text[0] = '\0';
    rcu_read_begin();
    const struct snapshot *snapshot = serving_current(&rig->serving);
    for (uint32_t t = 0; t < snapshot->trial_count; t++) {
        const struct snapshot_trial *trial = &snapshot->trial[t];
        if (strcmp(trial->model->name, name) == 0)
            snprintf(text, sizeof text, "%s %u", trial->model->version, trial->share_e4);
    }
    rcu_read_end();
    return text;
}

/* Counts as the workers 0 and 1 would; no canary, no counts. */
static void count(const struct registry_rig *rig, enum tally_side side, uint32_t uses, bool good)
{
    rcu_read_begin();
    const struct snapshot *snapshot = serving_current(&rig->serving);
    for (uint32_t i = 0; i < uses && snapshot->trial_count > 0; i++) {
        struct tally_counts *counts = tally_counts(snapshot->trial[0].tally, i % 2, side);
        tally_use(counts, 1000, good);
        tally_decision(counts, !good, false);
    }
    rcu_read_end();
}

static void wait_for_end(struct registry_rig *rig, const char *name)
{
    uint64_t until_ns = clock_now_ns(clock_system()) + DEADLINE_NS;
    while (canary_of(rig, name)[0] != '\0') {
        assert_true(clock_now_ns(clock_system()) < until_ns);
        sched_yield();
    }
    rig_scan(rig); /* until all about it is done */
}

/* The list shows what was judged: so many decisions of the only canary. */
static void wait_until_judged(const struct registry_rig *rig, int64_t decisions)
{
    uint64_t until_ns = clock_now_ns(clock_system()) + DEADLINE_NS;
    uint8_t *bytes = malloc(LIST_BYTES);
    int64_t seen = -1;
    assert_non_null(bytes);
    while (seen != decisions) {
        struct cursor at, canary, side;
        struct pack pack = pack_into(bytes, LIST_BYTES);
        pack_map(&pack, REGISTRY_PACK_PAIRS);
        registry_pack(rig->registry, &pack);
        for (uint32_t n = value_array(cursor_of(bytes, pack.used), "models", &at); n > 0; n--) {
            if (value_find(value_next(&at), "canary", &canary) &&
                value_find(canary, "canary", &side))
                seen = value_int(side, "decisions", -1);
        }
        assert_true(clock_now_ns(clock_system()) < until_ns);
        sched_yield();
    }
    free(bytes);
}

static uint64_t ends(const struct registry_rig *rig, enum canary_end end)
{
    return metric_value(rig->metrics, M_CANARY_ENDS, end, 0);
}

static void test_a_canary_runs_grows_and_is_promoted(void **state)
{
    struct registry_rig *rig = *state;
    struct err err = {0};
    rig_publish_three(rig, "m");
    assert_int_equal(rig_canary(rig, "m", "2", 500, &err), ERR_OK);
    assert_string_equal(canary_of(rig, "m"), "2 500");
    assert_string_equal(rig_serving(rig, "m"), "1");
    assert_int_equal(metric_value(rig->metrics, M_CANARIES, 0, 0), 1);
    assert_int_equal(rig_canary(rig, "m", "2", 2000, &err), ERR_OK);
    assert_string_equal(canary_of(rig, "m"), "2 2000");
    rig_scan(rig);
    assert_string_equal(canary_of(rig, "m"), "2 2000");
    assert_int_equal(rig_promote(rig, "m", "2", &err), ERR_OK);
    assert_string_equal(canary_of(rig, "m"), "");
    assert_string_equal(rig_serving(rig, "m"), "2");
    assert_int_equal(ends(rig, CANARY_PROMOTED), 1);
    assert_int_equal(metric_value(rig->metrics, M_CANARIES, 0, 0), 0);
    assert_int_equal(rig_rollback(rig, "m", &err), ERR_OK);
    assert_string_equal(rig_serving(rig, "m"), "1");
}

static void test_a_canary_is_stopped_and_may_come_back(void **state)
{
    struct registry_rig *rig = *state;
    struct err err = {0};
    rig_publish_three(rig, "m");
    assert_int_equal(rig_canary(rig, "m", NULL, 0, &err), ERR_NOT_FOUND);
    assert_string_equal(err.text, "'m' has no canary");
    assert_int_equal(rig_canary(rig, "m", "2", 500, &err), ERR_OK);
    assert_int_equal(rig_canary(rig, "m", NULL, 0, &err), ERR_OK);
    assert_string_equal(canary_of(rig, "m"), "");
    assert_int_equal(ends(rig, CANARY_STOPPED), 1);
    rig_scan(rig);
    assert_int_equal(rig_canary(rig, "m", "2", 500, &err), ERR_OK);
    assert_string_equal(canary_of(rig, "m"), "2 500");
    /* Another stable version: the comparison starts anew, the canary goes on. */
    count(rig, TALLY_TRIAL, 5, true);
    assert_int_equal(rig_promote(rig, "m", "3", &err), ERR_OK);
    assert_string_equal(canary_of(rig, "m"), "2 500");
    assert_int_equal(rig_view(rig).trial_decisions, 0);
    /* The whole name goes, and its canary with it. */
    rig_remove(rig, "m");
    rig_scan(rig);
    assert_string_equal(rig_serving(rig, "m"), "");
    assert_string_equal(canary_of(rig, "m"), "");
}

static void test_what_is_no_canary_is_refused_and_changes_nothing(void **state)
{
    struct registry_rig *rig = *state;
    struct err err = {0};
    static const char *const names[] = {"a", "b", "c", "m"};
    rig_publish(rig, "x", "1", MODEL_factors);
    rig_scan(rig);
    assert_int_equal(rig_canary(rig, "x", "1", 500, &err), ERR_NOT_FOUND);
    assert_non_null(strstr(err.text, "promote one first"));
    for (int i = 0; i < 4; i++)
        rig_publish_three(rig, names[i]);
    assert_int_equal(rig_canary(rig, "nobody", "1", 500, &err), ERR_NOT_FOUND);
    assert_int_equal(rig_canary(rig, "m", "9", 500, &err), ERR_NOT_FOUND);
    assert_int_equal(rig_canary(rig, "m", "1", 500, &err), ERR_BAD_INPUT);
    assert_non_null(strstr(err.text, "serves already"));
    rig_publish(rig, "m", "4", MODEL_popularity);
    rig_scan(rig);
    assert_int_equal(rig_canary(rig, "m", "4", 500, &err), ERR_BAD_INPUT);
    assert_non_null(strstr(err.text, "of the kind popularity, the one that serves of factors"));
    for (int i = 0; i < 3; i++)
        assert_int_equal(rig_canary(rig, names[i], "2", 500, &err), ERR_OK);
    assert_int_equal(rig_canary(rig, "a", "3", 500, &err), ERR_EXISTS);
    assert_non_null(strstr(err.text, "version 2 of 'a' is the canary"));
    uint64_t epoch = rig_view(rig).epoch;
    assert_int_equal(rig_canary(rig, "m", "2", 500, &err), ERR_BUSY);
    assert_non_null(strstr(err.text, "3 canaries run already"));
    assert_int_equal(rig_view(rig).epoch, epoch);
    assert_int_equal(rig_canary(rig, "b", NULL, 0, &err), ERR_OK);
    assert_int_equal(rig_canary(rig, "m", "2", 500, &err), ERR_OK);
    assert_string_equal(canary_of(rig, "m"), "2 500");
    /* A bad bundle. */
    char place[2 * TEMP_DIR_BYTES];
    assert_int_equal(unlink(rig_path(rig, "models/b/2/user_ids.txt", place)), 0);
    assert_int_equal(rig_canary(rig, "c", NULL, 0, &err), ERR_OK);
    assert_int_not_equal(rig_canary(rig, "b", "2", 500, &err), ERR_OK);
    assert_string_equal(canary_of(rig, "b"), "");
    assert_non_null(strstr(rig_refusal(rig, "b", "2"), "user_ids"));
}

static void test_a_canary_that_fails_is_rolled_back_by_itself(void **state)
{
    struct registry_rig *rig = *state;
    struct err err = {0};
    rig_publish_three(rig, "m");
    assert_int_equal(rig_canary(rig, "m", "3", 500, &err), ERR_OK);
    count(rig, TALLY_STABLE, 1000, true);
    count(rig, TALLY_TRIAL, 100, true);
    count(rig, TALLY_TRIAL, 10, false);
    wait_for_end(rig, "m");
    assert_int_equal(ends(rig, CANARY_ROLLED_BACK), 1);
    assert_string_equal(rig_serving(rig, "m"), "1");
    /* It is set aside for good, until somebody asks for it. */
    rig_stop(rig);
    rig_start(rig);
    assert_string_equal(canary_of(rig, "m"), "");
    assert_string_equal(rig_serving(rig, "m"), "1");
    assert_int_equal(rig_canary(rig, "m", "3", 500, &err), ERR_OK);
    assert_string_equal(canary_of(rig, "m"), "3 500");
}

static void test_a_breaker_that_opens_ends_the_canary(void **state)
{
    struct registry_rig *rig = *state;
    struct err err = {0};
    rig_publish_three(rig, "m");
    assert_int_equal(rig_canary(rig, "m", "2", 500, &err), ERR_OK);
    rcu_read_begin();
    const struct snapshot *snapshot = serving_current(&rig->serving);
    uint64_t now_ns = clock_now_ns(clock_system());
    for (int i = 0; i < 2 * BREAKER_CALLS; i++)
        breaker_record(snapshot->trial[0].model->breaker, now_ns, false);
    rcu_read_end();
    wait_for_end(rig, "m");
    assert_int_equal(ends(rig, CANARY_ROLLED_BACK), 1);
}

static void test_what_turns_bad_late_is_found_in_its_window(void **state)
{
    struct registry_rig *rig = *state;
    struct err err = {0};
    rig_publish_three(rig, "m");
    assert_int_equal(rig_canary(rig, "m", "2", 5000, &err), ERR_OK);
    count(rig, TALLY_STABLE, 200000, true);
    count(rig, TALLY_TRIAL, 200000, true);
    wait_until_judged(rig, 200000);
    count(rig, TALLY_STABLE, 1000, true);
    count(rig, TALLY_TRIAL, 1000, true);
    wait_until_judged(rig, 201000);
    assert_string_equal(canary_of(rig, "m"), "2 5000");
    /* Among all uses these would be nothing. */
    count(rig, TALLY_TRIAL, 300, false);
    wait_for_end(rig, "m");
    assert_int_equal(ends(rig, CANARY_ROLLED_BACK), 1);
}

static void test_a_restart_goes_on_with_the_canary(void **state)
{
    struct registry_rig *rig = *state;
    struct err err = {0};
    char place[2 * TEMP_DIR_BYTES];
    rig_publish_three(rig, "m");
    assert_int_equal(rig_canary(rig, "m", "3", 1234, &err), ERR_OK);
    rig_stop(rig);
    rig_start(rig);
    assert_string_equal(rig_serving(rig, "m"), "1");
    assert_string_equal(canary_of(rig, "m"), "3 1234");
    rig_stop(rig);
    rig_start(rig);
    assert_string_equal(canary_of(rig, "m"), "3 1234");
    /* One whose bundle is gone is dropped. */
    rig_stop(rig);
    assert_int_equal(file_remove_tree(rig_path(rig, "models/m/3", place), NULL), ERR_OK);
    rig_start(rig);
    assert_string_equal(canary_of(rig, "m"), "");
    assert_string_equal(rig_serving(rig, "m"), "1");
    assert_int_equal(rig_canary(rig, "m", "2", 1, &err), ERR_OK);
    /* Nonsense is told, and all else is remembered. */
    static const char *const bad[] = {"{}", "{\"version\": \"../2\", \"share_e4\": 1}",
                                      "{\"version\": \"2\", \"share_e4\": 20000}", "[]", "7"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        char text[256];
        rig_stop(rig);
        snprintf(text, sizeof text,
                 "{\"format\": 1, \"line\": [\"1\"], \"aside\": [\"2\"], \"canary\": %s}", bad[i]);
        temp_dir_write_text(&rig->dir, "models/m/.serving", text);
        rig_start(rig);
        assert_string_equal(rig_serving(rig, "m"), "1");
        assert_string_equal(canary_of(rig, "m"), "");
    }
}

#define WITH_RIG(test) cmocka_unit_test_setup_teardown(test, rig_set_up_promoted, rig_tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_RIG(test_a_canary_runs_grows_and_is_promoted),
        WITH_RIG(test_a_canary_is_stopped_and_may_come_back),
        WITH_RIG(test_what_is_no_canary_is_refused_and_changes_nothing),
        WITH_RIG(test_a_canary_that_fails_is_rolled_back_by_itself),
        WITH_RIG(test_a_breaker_that_opens_ends_the_canary),
        WITH_RIG(test_what_turns_bad_late_is_found_in_its_window),
        WITH_RIG(test_a_restart_goes_on_with_the_canary),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
