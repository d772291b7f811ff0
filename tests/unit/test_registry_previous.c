/* SPDX-License-Identifier: Apache-2.0 */
/* Versions that serve no more stay loaded within a budget, and what becomes of the others. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cursor.h"
#include "base/file.h"
#include "server/metrics.h"
#include "tests/support/registry_rig.h"
#include "tools/cli/value.h"

#define LIST_BYTES 262144

static void put(char text[256], struct text word)
{
    size_t used = strlen(text);
    snprintf(text + used, 256 - used, "%s%.*s", used > 0 ? " " : "", (int)word.len, word.ptr);
}

/* "2 1 | 1 memory": the versions of m that are previous, then what a rollback serves and from
 * where.  What the list, the metrics and the registry say of their memory agrees. */
static const char *kept(const struct registry_rig *rig)
{
    static char text[520];
    char versions[256] = "", rollback[256] = "";
    uint8_t *bytes = malloc(LIST_BYTES);
    uint64_t sum = 0, count = 0;
    struct cursor at, member;
    assert_non_null(bytes);
    struct pack pack = pack_into(bytes, LIST_BYTES);
    pack_map(&pack, REGISTRY_PACK_PAIRS);
    registry_pack(rig->registry, &pack);
    assert_int_equal(cursor_check(bytes, pack.used, CURSOR_VALUES_MAX, NULL), ERR_OK);
    struct cursor list = cursor_of(bytes, pack.used);
    for (uint32_t n = value_array(list, "models", &at); n > 0; n--) {
        struct cursor model = value_next(&at);
        bool is_previous = text_is(value_text(model, "state"), "previous");
        sum += is_previous ? (uint64_t)value_int(model, "bytes", 0) : 0;
        count += is_previous;
        if (is_previous && text_is(value_text(model, "name"), "m"))
            put(versions, value_text(model, "version"));
        if (text_is(value_text(model, "name"), "m") && value_find(model, "rollback", &member) &&
            cursor_peek(&member) == CURSOR_MAP) {
            put(rollback, value_text(member, "version"));
            put(rollback, value_text(member, "from"));
        }
    }
    assert_true(value_find(list, "previous", &member));
    assert_int_equal(value_int(member, "bytes", -1), sum);
    assert_int_equal(value_int(member, "count", -1), count);
    assert_int_equal(value_int(member, "bytes_max", -1), rig->previous_bytes_max);
    assert_int_equal(metric_value(rig->metrics, M_PREVIOUS_BYTES, 0, 0), sum);
    assert_int_equal(metric_value(rig->metrics, M_PREVIOUS, 0, 0), count);
    assert_int_equal(registry_previous(rig->registry).bytes, sum);
    assert_true(sum <= rig->previous_bytes_max);
    snprintf(text, sizeof text, "%s | %s", versions, rollback);
    free(bytes);
    return text;
}

static void publish(struct registry_rig *rig, const char *version)
{
    rig_publish(rig, "m", version, MODEL_popularity);
    rig_scan(rig);
}

static uint64_t one(const struct registry_rig *rig)
{
    return rig_view(rig).first_model_bytes;
}

static void set_budget(struct registry_rig *rig, uint64_t bytes_max)
{
    rig->previous_bytes_max = bytes_max;
    rig_reload(rig);
    rig_scan(rig);
}

static void rolls_back_to(struct registry_rig *rig, const char *version)
{
    struct err err = {0};
    if (rig_rollback(rig, "m", &err) != ERR_OK)
        fail_msg("%s", err.text);
    assert_string_equal(rig_serving(rig, "m"), version);
    rig_scan(rig);
}

static void test_the_budget_says_how_many_stay(void **state)
{
    struct registry_rig *rig = *state;
    rig_start(rig);
    publish(rig, "1");
    assert_string_equal(kept(rig), " | ");
    set_budget(rig, 2 * one(rig));
    publish(rig, "2");
    publish(rig, "3");
    assert_string_equal(kept(rig), "1 2 | 2 memory");
    publish(rig, "4");
    assert_string_equal(kept(rig), "2 3 | 3 memory");
    assert_int_equal(metric_value(rig->metrics, M_MODEL_BYTES, 0, 0), 3 * one(rig));
    assert_int_equal(metric_value(rig->metrics, M_PREVIOUS_BYTES_MAX, 0, 0), 2 * one(rig));

    set_budget(rig, 2 * one(rig) - 1);
    assert_string_equal(kept(rig), "3 | 3 memory");
    set_budget(rig, 0);
    assert_string_equal(kept(rig), " | 3 disk");
    assert_int_equal(metric_value(rig->metrics, M_MODEL_BYTES, 0, 0), one(rig));
    /* More again: what a rollback serves is loaded for it, and nothing else. */
    set_budget(rig, 2 * one(rig));
    assert_string_equal(kept(rig), "3 | 3 memory");
}

static void test_what_was_rolled_back_goes_before_what_is_next(void **state)
{
    struct registry_rig *rig = *state;
    rig_start(rig);
    publish(rig, "1");
    publish(rig, "2");
    publish(rig, "3");
    uint64_t loaded = rig_loaded_count(rig);
    rolls_back_to(rig, "2");
    assert_string_equal(kept(rig), "1 3 | 1 memory");
    set_budget(rig, one(rig));
    assert_string_equal(kept(rig), "1 | 1 memory");
    rolls_back_to(rig, "1");
    assert_string_equal(kept(rig), "2 | ");
    assert_int_equal(rig_loaded_count(rig), loaded);
}

static void test_what_does_not_fit_is_not_loaded_again_and_again(void **state)
{
    struct registry_rig *rig = *state;
    rig_start(rig);
    publish(rig, "1");
    publish(rig, "2");
    set_budget(rig, one(rig) - 1);
    uint64_t loaded = rig_loaded_count(rig);
    assert_string_equal(kept(rig), " | 1 disk");
    for (int i = 0; i < 3; i++)
        rig_scan(rig);
    assert_int_equal(rig_loaded_count(rig), loaded);
    rig_stop(rig);
    rig_start(rig);
    rig_scan(rig);
    assert_string_equal(kept(rig), " | 1 disk");
    rolls_back_to(rig, "1");
}

static void test_what_has_a_label_or_waits_does_not_count(void **state)
{
    struct registry_rig *rig = *state;
    struct err err = {0};
    rig->serves_promoted = true;
    rig->previous_bytes_max = 0;
    rig_start(rig);
    rig_publish_three(rig, "m");
    assert_int_equal(rig_canary(rig, "m", "2", 500, &err), ERR_OK);
    rig_scan(rig);
    assert_string_equal(kept(rig), " | ");
    uint64_t all = metric_value(rig->metrics, M_MODEL_BYTES, 0, 0);
    assert_int_equal(all, 3 * one(rig)); /* stable, canary, and the newest that waits */
    assert_int_equal(rig_promote(rig, "m", "2", &err), ERR_OK);
    rig_scan(rig);
    assert_string_equal(kept(rig), " | 1 disk");
    assert_int_equal(metric_value(rig->metrics, M_MODEL_BYTES, 0, 0), 2 * one(rig));
}

static void test_names_share_the_budget(void **state)
{
    struct registry_rig *rig = *state;
    rig_start(rig);
    publish(rig, "1");
    rig_publish(rig, "n", "1", MODEL_popularity);
    rig_scan(rig);
    set_budget(rig, one(rig));
    publish(rig, "2");
    assert_string_equal(kept(rig), "1 | 1 memory");
    rig_publish(rig, "n", "2", MODEL_popularity);
    rig_scan(rig);
    assert_string_equal(kept(rig), " | 1 disk"); /* n's served after it */
    rolls_back_to(rig, "1");
}

static void test_folders_that_change_or_go(void **state)
{
    struct registry_rig *rig = *state;
    struct err err = {0};
    char path[2 * TEMP_DIR_BYTES], work[2 * TEMP_DIR_BYTES];
    rig_start(rig);
    publish(rig, "1");
    publish(rig, "2");
    publish(rig, "3");
    publish(rig, "4");
    assert_int_equal(truncate(rig_path(rig, "models/m/3/scores.safetensors", path), 40), 0);
    assert_int_equal(file_remove_tree(rig_path(rig, "models/m/1", path), NULL), ERR_OK);
    assert_int_equal(file_remove_tree(rig_path(rig, "models/m/2", path), NULL), ERR_OK);
    rig_scan(rig);
    assert_string_equal(kept(rig), "1 2 3 | 3 memory");
    rolls_back_to(rig, "3");
    rolls_back_to(rig, "2");
    assert_string_equal(kept(rig), "1 3 4 | 1 memory");
    /* What has no folder is forgotten with its memory. */
    set_budget(rig, 0);
    assert_string_equal(kept(rig), " | ");
    assert_int_equal(rig_rollback(rig, "m", &err), ERR_NOT_FOUND);
    /* What was rolled back and removed may come again with other content. */
    set_budget(rig, 1 << 20);
    assert_int_equal(rig_promote(rig, "m", "4", &err), ERR_OK);
    publish(rig, "5");
    rolls_back_to(rig, "4");
    assert_int_equal(file_remove_tree(rig_path(rig, "models/m/5", path), NULL), ERR_OK);
    model_sample_write(rig_path(rig, "work", work), "m", "5", MODEL_popularity);
    assert_int_equal(rig_install(rig, work, "m", "5", &err), ERR_OK);
    assert_string_equal(rig_serving(rig, "m"), "5");
}

static void test_a_rollback_to_what_cannot_be_read_changes_nothing(void **state)
{
    struct registry_rig *rig = *state;
    struct err err = {0};
    char path[2 * TEMP_DIR_BYTES];
    rig->previous_bytes_max = 0;
    rig_start(rig);
    publish(rig, "1");
    publish(rig, "2");
    publish(rig, "3");
    assert_int_equal(truncate(rig_path(rig, "models/m/2/scores.safetensors", path), 40), 0);
    uint64_t epoch = rig_view(rig).epoch;
    assert_int_equal(rig_rollback(rig, "m", &err), ERR_CORRUPT);
    assert_non_null(strstr(err.text, "version 2 of 'm', which was not in memory, does not serve, "
                                     "3 serves on: scores.safetensors: "));
    assert_string_equal(rig_serving(rig, "m"), "3");
    assert_int_equal(rig_view(rig).epoch, epoch);
    assert_non_null(strstr(rig_refusal(rig, "m", "2"), "scores.safetensors"));
    rolls_back_to(rig, "1"); /* 2 is set aside */
}

/* A hold is of the version that serves; memory does not bring it back. */
static void test_a_breaker_is_held_while_its_version_serves(void **state)
{
    struct registry_rig *rig = *state;
    rig_start(rig);
    publish(rig, "1");
    set_budget(rig, 2 * one(rig));
    breaker_hold(serving_current(&rig->serving)->model[0]->breaker, BREAKER_HELD_OPEN);
    rig_reload(rig);
    assert_string_equal(breaker_name(serving_current(&rig->serving)->model[0]->breaker),
                        "held_open");
    publish(rig, "2");
    assert_string_equal(kept(rig), "1 | 1 memory");
    rolls_back_to(rig, "1");
    assert_string_equal(breaker_name(serving_current(&rig->serving)->model[0]->breaker), "closed");
}

static const char *breaker_now(const struct registry_rig *rig)
{
    return breaker_name(serving_current(&rig->serving)->model[0]->breaker);
}

static enum err_code remember(struct registry_rig *rig, const char *name, struct err *ret_err)
{
    struct outcome outcome;
    outcome_init(&outcome);
    registry_remember(rig->registry, name, outcome_done, &outcome);
    enum err_code rc = outcome_wait(&outcome);
    *ret_err = outcome.err;
    return rc;
}

static void hold(struct registry_rig *rig, enum breaker_hold hold)
{
    struct err err = {0};
    breaker_hold(serving_current(&rig->serving)->model[0]->breaker, hold);
    assert_int_equal(remember(rig, "m", &err), ERR_OK);
}

static void restart(struct registry_rig *rig)
{
    rig_stop(rig);
    rig_start(rig);
}

static void test_a_breaker_is_held_over_a_restart(void **state)
{
    struct registry_rig *rig = *state;
    char path[2 * TEMP_DIR_BYTES];
    struct err err = {0};
    rig_start(rig);
    publish(rig, "1");
    hold(rig, BREAKER_HELD_OPEN);
    restart(rig);
    assert_string_equal(breaker_now(rig), "held_open");
    restart(rig); /* it is written down still */
    assert_string_equal(breaker_now(rig), "held_open");
    hold(rig, BREAKER_HELD_CLOSED);
    restart(rig);
    assert_string_equal(breaker_now(rig), "held_closed");
    hold(rig, BREAKER_AUTO);
    restart(rig);
    assert_string_equal(breaker_now(rig), "closed");
    /* Another version serves, also when it came while nobody looked. */
    hold(rig, BREAKER_HELD_OPEN);
    rig_stop(rig);
    rig_publish(rig, "m", "2", MODEL_popularity);
    rig_start(rig);
    assert_string_equal(rig_serving(rig, "m"), "2");
    assert_string_equal(breaker_now(rig), "closed");
    rolls_back_to(rig, "1");
    assert_string_equal(breaker_now(rig), "closed");
    assert_int_equal(remember(rig, "x", &err), ERR_NOT_FOUND);
    /* What is no hold is as if nothing had been written down. */
    rig_stop(rig);
    static const char bad[] = "{\"format\": 1, \"line\": [\"2\", \"1\"], \"aside\": [], \"held\": "
                              "{\"version\": \"1\", \"breaker\": \"ajar\"}}";
    assert_int_equal(
        file_write_atomic(rig_path(rig, "models/m/.serving", path), bad, sizeof bad - 1, &err),
        ERR_OK);
    rig_start(rig);
    assert_string_equal(breaker_now(rig), "closed");
}

#define WITH_RIG(test) cmocka_unit_test_setup_teardown(test, rig_set_up, rig_tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_RIG(test_the_budget_says_how_many_stay),
        WITH_RIG(test_what_was_rolled_back_goes_before_what_is_next),
        WITH_RIG(test_what_does_not_fit_is_not_loaded_again_and_again),
        WITH_RIG(test_what_has_a_label_or_waits_does_not_count),
        WITH_RIG(test_names_share_the_budget),
        WITH_RIG(test_folders_that_change_or_go),
        WITH_RIG(test_a_rollback_to_what_cannot_be_read_changes_nothing),
        WITH_RIG(test_a_breaker_is_held_while_its_version_serves),
        WITH_RIG(test_a_breaker_is_held_over_a_restart),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
