/* SPDX-License-Identifier: Apache-2.0 */
/* Versions that operators serve by name, and versions that wait for it. */
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

/* "serving", "previous", "waiting" - what the list says of a version; "" when it is not loaded. */
static const char *state_of(const struct registry_rig *rig, const char *name, const char *version)
{
    static char state[32];
    uint8_t *bytes = malloc(LIST_BYTES);
    assert_non_null(bytes);
    struct pack pack = pack_into(bytes, LIST_BYTES);
    pack_map(&pack, REGISTRY_PACK_PAIRS);
    registry_pack(rig->registry, &pack);
    assert_false(pack.overflow);
    assert_int_equal(cursor_check(bytes, pack.used, CURSOR_VALUES_MAX, NULL), ERR_OK);
    struct cursor at;
    state[0] = '\0';
    for (uint32_t n = value_array(cursor_of(bytes, pack.used), "models", &at); n > 0; n--) {
        struct cursor model = value_next(&at);
        if (text_is(value_text(model, "name"), name) &&
            text_is(value_text(model, "version"), version))
            text_copy(value_text(model, "state"), state, sizeof state);
    }
    free(bytes);
    return state;
}

static int64_t left_out(const struct registry_rig *rig)
{
    uint8_t *bytes = malloc(LIST_BYTES);
    assert_non_null(bytes);
    struct pack pack = pack_into(bytes, LIST_BYTES);
    pack_map(&pack, REGISTRY_PACK_PAIRS);
    registry_pack(rig->registry, &pack);
    int64_t count = value_int(cursor_of(bytes, pack.used), "waiting_left_out", -1);
    free(bytes);
    return count;
}

static void publish(struct registry_rig *rig, const char *version)
{
    rig_publish(rig, "m", version, MODEL_popularity);
    rig_scan(rig);
}

static void test_any_version_that_is_there_can_be_promoted(void **state)
{
    struct registry_rig *rig = *state;
    struct err err = {0};
    rig_start(rig);
    publish(rig, "1");
    publish(rig, "2");
    publish(rig, "3");
    assert_string_equal(state_of(rig, "m", "1"), "previous");
    assert_int_equal(rig_promote(rig, "m", "1", &err), ERR_OK);
    assert_string_equal(rig_serving(rig, "m"), "1");
    rig_scan(rig);
    assert_string_equal(rig_serving(rig, "m"), "1");
    assert_string_equal(state_of(rig, "m", "3"), "previous");
    assert_int_equal(rig_promote(rig, "m", "1", &err), ERR_OK); /* again is fine */

    rig_stop(rig);
    rig_start(rig);
    assert_string_equal(rig_serving(rig, "m"), "1");
    uint64_t loaded = rig_loaded_count(rig);
    assert_int_equal(rig_rollback(rig, "m", &err), ERR_OK);
    assert_string_equal(rig_serving(rig, "m"), "3");
    /* It was loaded: instant.  One more may be by now, to be there for the next. */
    assert_true(rig_loaded_count(rig) <= loaded + 1);
    assert_int_equal(rig_promote(rig, "m", "1", &err), ERR_OK); /* though it was rolled back */
    assert_string_equal(rig_serving(rig, "m"), "1");
    publish(rig, "4"); /* what comes serves by itself as ever */
    assert_string_equal(rig_serving(rig, "m"), "4");
}

static void test_what_cannot_be_promoted_changes_nothing(void **state)
{
    struct registry_rig *rig = *state;
    struct err err = {0};
    char path[2 * TEMP_DIR_BYTES];
    rig->previous_bytes_max = 0; /* so that what is promoted is read */
    rig_start(rig);
    publish(rig, "1");
    publish(rig, "2");
    publish(rig, "3");
    assert_string_equal(state_of(rig, "m", "2"), ""); /* on disk alone */
    assert_int_equal(rig_promote(rig, "x", "1", &err), ERR_NOT_FOUND);
    assert_string_equal(err.text, "there is no model 'x'");
    assert_int_equal(rig_promote(rig, "m", "9", &err), ERR_NOT_FOUND);
    assert_string_equal(err.text, "there is no version 9 of 'm' in models_dir");
    assert_int_equal(truncate(rig_path(rig, "models/m/1/scores.safetensors", path), 40), 0);
    uint64_t epoch = rig_view(rig).epoch;
    for (int i = 0; i < 2; i++) {
        assert_int_equal(rig_promote(rig, "m", "1", &err), ERR_CORRUPT);
        assert_non_null(strstr(err.text, "scores.safetensors"));
    }
    assert_int_equal(rig_refused_count(rig), 2);
    assert_string_equal(rig_serving(rig, "m"), "3");
    assert_int_equal(rig_view(rig).epoch, epoch);
    /* The good one before it is still there. */
    assert_int_equal(rig_rollback(rig, "m", &err), ERR_OK);
    assert_string_equal(rig_serving(rig, "m"), "2");
    assert_int_equal(rig_rollback(rig, "m", &err), ERR_NOT_FOUND);
}

static void test_what_arrives_waits_where_only_promotion_serves(void **state)
{
    struct registry_rig *rig = *state;
    struct err err = {0};
    char work[2 * TEMP_DIR_BYTES];
    rig->serves_promoted = true;
    rig_start(rig);
    publish(rig, "1");
    assert_string_equal(rig_serving(rig, "m"), "");
    assert_string_equal(state_of(rig, "m", "1"), "waiting");
    assert_int_equal(rig_loaded_count(rig), 1);
    assert_int_equal(rig_promote(rig, "m", "1", &err), ERR_OK);
    assert_string_equal(rig_serving(rig, "m"), "1");
    assert_string_equal(state_of(rig, "m", "1"), "serving");
    publish(rig, "2");
    model_sample_write(rig_path(rig, "work", work), "m", "3", MODEL_popularity);
    assert_int_equal(rig_install(rig, work, "m", "3", &err), ERR_OK);
    rig_scan(rig);
    assert_string_equal(rig_serving(rig, "m"), "1");
    assert_string_equal(state_of(rig, "m", "3"), "waiting");
    assert_string_equal(state_of(rig, "m", "2"), ""); /* verified, and on disk */

    rig_stop(rig);
    rig_start(rig);
    assert_string_equal(rig_serving(rig, "m"), "1");
    assert_string_equal(state_of(rig, "m", "3"), "waiting");
    assert_int_equal(rig_promote(rig, "m", "2", &err), ERR_OK);
    assert_string_equal(rig_serving(rig, "m"), "2");
    assert_int_equal(rig_rollback(rig, "m", &err), ERR_OK);
    assert_string_equal(rig_serving(rig, "m"), "1");
    rig_scan(rig);
    assert_string_equal(state_of(rig, "m", "3"), "waiting");
    /* Pushed again, what was rolled back waits; what is in the line stays where it is. */
    model_sample_write(work, "m", "2", MODEL_popularity);
    assert_int_equal(rig_install(rig, work, "m", "2", &err), ERR_OK);
    rig_scan(rig);
    assert_string_equal(state_of(rig, "m", "2"), "waiting");
    assert_string_equal(rig_serving(rig, "m"), "1");
}

/* However many wait: the list has room for what serves. */
static void test_of_those_that_wait_so_many_are_listed(void **state)
{
    enum { NAMES = SNAPSHOT_MODELS_MAX + 3 };
    struct registry_rig *rig = *state;
    struct err err = {0};
    char name[16];
    uint32_t waiting = 0;
    rig->serves_promoted = true;
    rig_start(rig);
    for (uint32_t i = 0; i < NAMES; i++) {
        snprintf(name, sizeof name, "n%02u", i);
        rig_publish(rig, name, "1", MODEL_popularity);
    }
    rig_scan(rig);
    snprintf(name, sizeof name, "n%02d", NAMES - 1);
    assert_int_equal(rig_promote(rig, name, "1", &err), ERR_OK);
    assert_string_equal(state_of(rig, name, "1"), "serving");
    for (uint32_t i = 0; i < NAMES; i++) {
        snprintf(name, sizeof name, "n%02u", i);
        waiting += strcmp(state_of(rig, name, "1"), "waiting") == 0;
    }
    assert_int_equal(waiting, SNAPSHOT_MODELS_MAX);
    assert_int_equal(left_out(rig), NAMES - 1 - SNAPSHOT_MODELS_MAX);
}

static void test_what_waits_is_refused_when_it_is_bad(void **state)
{
    struct registry_rig *rig = *state;
    struct err err = {0};
    char work[2 * TEMP_DIR_BYTES], place[2 * TEMP_DIR_BYTES], file[4 * TEMP_DIR_BYTES];
    rig->serves_promoted = true;
    rig_start(rig);
    publish(rig, "1");
    assert_int_equal(rig_promote(rig, "m", "1", &err), ERR_OK);
    model_sample_write(rig_path(rig, "work", work), "m", "2", MODEL_popularity);
    snprintf(file, sizeof file, "%s/scores.safetensors", work);
    assert_int_equal(truncate(file, 40), 0);
    rig_move_in(rig, "m", "2");
    rig_scan(rig);
    assert_non_null(strstr(rig_refusal(rig, "m", "2"), "scores.safetensors"));
    assert_string_equal(state_of(rig, "m", "2"), "");
    assert_string_equal(rig_serving(rig, "m"), "1");
    /* Mended, it waits. */
    assert_int_equal(file_remove_tree(rig_path(rig, "models/m/2", place), NULL), ERR_OK);
    rig_scan(rig);
    publish(rig, "2");
    assert_string_equal(state_of(rig, "m", "2"), "waiting");
}

static void test_a_line_from_before_is_read_and_one_for_later_too(void **state)
{
    struct registry_rig *rig = *state;
    rig_start(rig);
    publish(rig, "1");
    publish(rig, "2");
    rig_stop(rig);
    temp_dir_write_text(&rig->dir, "models/m/.serving",
                        "{\"format\": 1, \"line\": [\"1\"], \"aside\": [\"2\"]}\n");
    rig_start(rig);
    assert_string_equal(rig_serving(rig, "m"), "1");
    rig_stop(rig);
    temp_dir_write_text(
        &rig->dir, "models/m/.serving",
        "{\"format\": 1, \"line\": [\"2\", \"1\"], \"aside\": [], \"later\": {}}\n");
    rig_start(rig);
    assert_string_equal(rig_serving(rig, "m"), "1");
    rig_stop(rig);
    temp_dir_write_text(
        &rig->dir, "models/m/.serving",
        "{\"format\": 1, \"line\": [\"1\"], \"aside\": [\"2\"], \"waiting\": [\"2\"]}\n");
    rig_start(rig);
    assert_string_equal(rig_serving(rig, "m"), "1");
    assert_string_equal(state_of(rig, "m", "2"), "waiting");
}

#define WITH_RIG(test) cmocka_unit_test_setup_teardown(test, rig_set_up, rig_tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_RIG(test_any_version_that_is_there_can_be_promoted),
        WITH_RIG(test_what_cannot_be_promoted_changes_nothing),
        WITH_RIG(test_what_arrives_waits_where_only_promotion_serves),
        WITH_RIG(test_of_those_that_wait_so_many_are_listed),
        WITH_RIG(test_what_waits_is_refused_when_it_is_bad),
        WITH_RIG(test_a_line_from_before_is_read_and_one_for_later_too),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
