/* SPDX-License-Identifier: Apache-2.0 */
/* What serves and what is refused: every kind, bad folders, installs, removed folders, limits. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <fcntl.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/rcu.h"
#include "models/safetensors.h"
#include "server/metrics.h"
#include "tests/support/registry_rig.h"

static void test_an_empty_directory_serves_without_models(void **state)
{
    struct registry_rig *rig = *state;
    struct rig_view view = rig_view(rig);
    assert_int_equal(view.epoch, 1);
    assert_int_equal(view.model_count, 0);
    assert_int_equal(view.static_count, 1);
    assert_int_equal(registry_serving_count(rig->registry), 0);
    assert_string_equal(rig_serving(rig, "m"), "");
}

static void test_every_kind_serves_and_its_items_have_numbers(void **state)
{
    struct registry_rig *rig = *state;
    for (uint32_t kind = 0; kind < MODEL_KIND_COUNT; kind++)
        rig_publish(rig, model_kind_name((enum model_kind)kind), "1", (enum model_kind)kind);
    rig_scan(rig);
    assert_int_equal(registry_serving_count(rig->registry), MODEL_KIND_COUNT);
    assert_int_equal(rig_loaded_count(rig), MODEL_KIND_COUNT);
    assert_int_equal(rig_refused_count(rig), 0);
    assert_int_equal(store_item_count(rig->store), MODEL_SAMPLE_ITEMS);
    uint32_t item = store_item_find(rig->store, TEXT_LITERAL("i3"));
    rcu_read_begin();
    const struct model *popularity = serving_current(&rig->serving)->variant[0].popularity;
    assert_non_null(popularity);
    assert_int_equal(model_row(popularity, item), 3);
    rcu_read_end();
    assert_int_equal(metric_value(rig->metrics, M_MODELS, 0, 0), MODEL_KIND_COUNT);
}

/* ---- refusals -------------------------------------------------------------------------------- */

static void cut_file(const char *dir)
{
    char path[4 * TEMP_DIR_BYTES];
    snprintf(path, sizeof path, "%s/scores.safetensors", dir);
    assert_int_equal(truncate(path, 40), 0);
}

static void turn_a_byte(const char *dir)
{
    char path[4 * TEMP_DIR_BYTES];
    snprintf(path, sizeof path, "%s/item_ids.txt", dir);
    int fd = open(path, O_RDWR);
    assert_true(fd >= 0);
    assert_int_equal(pwrite(fd, "j", 1, 0), 1);
    close(fd);
}

static void put_nan(const char *dir)
{
    char path[4 * TEMP_DIR_BYTES];
    float scores[MODEL_SAMPLE_ITEMS] = {10, 30, NAN, 0, 30, 5, 1, 0.5f};
    struct tensor tensor = {.name = "scores",
                            .type = TENSOR_F32,
                            .dim_count = 1,
                            .dim = {MODEL_SAMPLE_ITEMS},
                            .count = MODEL_SAMPLE_ITEMS,
                            .data = scores};
    snprintf(path, sizeof path, "%s/scores.safetensors", dir);
    assert_int_equal(safetensors_write(path, &tensor, 1, NULL), ERR_OK);
    model_sample_seal(dir, "m", "2", MODEL_popularity);
}

static void put_wrong_golden_row(const char *dir)
{
    cJSON *rows = cJSON_Parse("[{\"item\": \"i1\", \"score\": 31}]");
    assert_int_equal(bundle_write_golden(dir, rows, NULL), ERR_OK);
    cJSON_Delete(rows);
    model_sample_seal(dir, "m", "2", MODEL_popularity);
}

static void put_other_name(const char *dir)
{
    model_sample_seal(dir, "n", "2", MODEL_popularity);
}

static void put_other_version(const char *dir)
{
    model_sample_seal(dir, "m", "3", MODEL_popularity);
}

/* The manifest hashes the other files, not itself. */
static void train_in_the_future(const char *dir)
{
    char path[4 * TEMP_DIR_BYTES];
    uint8_t *bytes = NULL;
    size_t len = 0;
    snprintf(path, sizeof path, "%s/manifest.json", dir);
    assert_int_equal(file_read(path, 1 << 20, &bytes, &len, NULL), ERR_OK);
    char *year = strstr((char *)bytes, "2026-11-23");
    assert_non_null(year);
    memcpy(year, "2099", 4);
    assert_int_equal(file_write_atomic(path, bytes, len, NULL), ERR_OK);
    free(bytes);
}

static void test_what_is_bad_is_refused_by_name_and_the_old_version_serves(void **state)
{
    static const struct {
        void (*damage)(const char *dir);
        const char *told;
    } cases[] = {{cut_file, "scores.safetensors"},
                 {turn_a_byte, "item_ids.txt"},
                 {put_nan, "scores"},
                 {put_wrong_golden_row, "golden.json"},
                 {put_other_name, "name"},
                 {put_other_version, "version"},
                 {train_in_the_future, "trained.at"}};
    struct registry_rig *rig = *state;
    char work[2 * TEMP_DIR_BYTES], place[2 * TEMP_DIR_BYTES];
    rig_publish(rig, "m", "1", MODEL_popularity);
    rig_scan(rig);
    uint32_t items = store_item_count(rig->store);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        uint64_t refused = rig_refused_count(rig);
        uint64_t epoch = rig_view(rig).epoch;
        model_sample_write(rig_path(rig, "work", work), "m", "2", MODEL_popularity);
        cases[i].damage(work);
        rig_move_in(rig, "m", "2");
        rig_scan(rig);
        assert_string_equal(rig_serving(rig, "m"), "1");
        assert_non_null(strstr(rig_refusal(rig, "m", "2"), cases[i].told));
        assert_int_equal(rig_refused_count(rig), refused + 1); /* once, though looked at twice */
        assert_int_equal(rig_view(rig).epoch, epoch);
        assert_int_equal(store_item_count(rig->store), items);
        assert_int_equal(file_remove_tree(rig_path(rig, "models/m/2", place), NULL), ERR_OK);
        rig_scan(rig);
    }
    /* The same version, mended: other bytes, so it is tried again. */
    model_sample_write(rig_path(rig, "work", work), "m", "2", MODEL_popularity);
    turn_a_byte(work);
    assert_int_equal(rename(work, rig_path(rig, "models/m/2", place)), 0);
    rig_scan(rig);
    assert_string_equal(rig_serving(rig, "m"), "1");
    assert_int_equal(file_remove_tree(place, NULL), ERR_OK);
    rig_publish(rig, "m", "2", MODEL_popularity);
    rig_scan(rig);
    assert_string_equal(rig_serving(rig, "m"), "2");
}

/* A ranker whose feature `name` nobody supplies. */
static void write_linear(const char *dir, const char *name, const char *version,
                         const char *feature)
{
    static const struct bundle_write_file files[] = {{"weights", "weights.safetensors"}};
    char extra_text[256];
    model_sample_write(dir, name, version, MODEL_linear);
    snprintf(extra_text, sizeof extra_text,
             "{\"features\": [{\"name\": \"item.price\"}, {\"name\": \"%s\"}, {\"name\": "
             "\"caller.score\"}]}",
             feature);
    cJSON *extra = cJSON_Parse(extra_text);
    cJSON *rows = cJSON_Parse("[{\"features\": {\"item.price\": 1}, \"score\": 2.25}]");
    assert_int_equal(bundle_write_golden(dir, rows, NULL), ERR_OK);
    assert_int_equal(bundle_write_manifest(dir, name, version, MODEL_linear, files, 1, extra, NULL),
                     ERR_OK);
    cJSON_Delete(extra);
    cJSON_Delete(rows);
}

static void test_a_ranker_with_an_unknown_feature_is_refused_and_all_else_serves(void **state)
{
    struct registry_rig *rig = *state;
    char work[2 * TEMP_DIR_BYTES];
    struct err err = {0};
    rig_publish(rig, "popular", "1", MODEL_popularity);
    rig_scan(rig);
    write_linear(rig_path(rig, "work", work), "ranker", "1", "item.colour");
    assert_int_equal(rig_install(rig, work, "ranker", "1", &err), ERR_BAD_INPUT);
    assert_non_null(strstr(err.text, "item.colour"));
    assert_non_null(strstr(rig_refusal(rig, "ranker", "1"), "item.colour"));
    assert_string_equal(rig_serving(rig, "popular"), "1");
    assert_int_equal(registry_serving_count(rig->registry), 1);
    assert_int_equal(file_remove_tree(work, NULL), ERR_OK);
    write_linear(work, "ranker", "1", "request.colour");
    assert_int_equal(rig_install(rig, work, "ranker", "1", &err), ERR_OK);
    assert_string_equal(rig_serving(rig, "ranker"), "1");
}

static void test_what_is_unfinished_or_hidden_is_not_looked_at(void **state)
{
    struct registry_rig *rig = *state;
    char work[2 * TEMP_DIR_BYTES], manifest[2 * TEMP_DIR_BYTES], place[2 * TEMP_DIR_BYTES];
    temp_dir_write_text(&rig->dir, "models/README", "not a folder");
    temp_dir_write_text(&rig->dir, "models/m/.half/manifest.json", "{");
    temp_dir_write_text(&rig->dir, "models/.incoming/x/manifest.json", "{");
    temp_dir_write_text(&rig->dir, "models/odd name/1/manifest.json", "{");
    temp_dir_write_text(&rig->dir, "models/m/odd name/manifest.json", "{");
    model_sample_write(rig_path(rig, "work", work), "m", "1", MODEL_popularity);
    assert_int_equal(rename(rig_path(rig, "work/manifest.json", place),
                            rig_path(rig, "manifest.json", manifest)),
                     0);
    assert_int_equal(rename(work, rig_path(rig, "models/m/1", place)), 0);
    rig_scan(rig);
    assert_int_equal(registry_serving_count(rig->registry), 0);
    assert_int_equal(rig_refused_count(rig), 0);
    assert_int_equal(rename(manifest, rig_path(rig, "models/m/1/manifest.json", place)), 0);
    rig_scan(rig);
    assert_string_equal(rig_serving(rig, "m"), "1");
    assert_int_equal(rig_refused_count(rig), 0);
}

/* ---- what happens to folders ----------------------------------------------------------------- */

static void test_a_loaded_version_serves_on_whatever_happens_to_its_folder(void **state)
{
    struct registry_rig *rig = *state;
    char place[2 * TEMP_DIR_BYTES];
    rig_publish(rig, "m", "1", MODEL_popularity);
    rig_scan(rig);
    turn_a_byte(rig_path(rig, "models/m/1", place));
    rig_scan(rig);
    assert_string_equal(rig_serving(rig, "m"), "1");
    assert_non_null(strstr(rig_refusal(rig, "m", "1"), "has changed"));
    assert_int_equal(file_remove_tree(place, NULL), ERR_OK);
    rig_scan(rig);
    assert_string_equal(rig_serving(rig, "m"), "1");
    /* Without its whole folder it is retired. */
    rig_remove(rig, "m");
    rig_scan(rig);
    assert_string_equal(rig_serving(rig, "m"), "");
    assert_int_equal(rig_view(rig).model_count, 0);
    assert_int_equal(metric_value(rig->metrics, M_MODEL_BYTES, 0, 0), 0);
}

static void test_another_directory_in_place_of_models_dir_retires_nothing(void **state)
{
    struct registry_rig *rig = *state;
    char models[2 * TEMP_DIR_BYTES], aside[2 * TEMP_DIR_BYTES];
    rig_publish(rig, "m", "1", MODEL_popularity);
    rig_scan(rig);
    assert_int_equal(rename(rig_path(rig, "models", models), rig_path(rig, "aside", aside)), 0);
    rig_scan(rig);
    assert_string_equal(rig_serving(rig, "m"), "1");
    assert_int_equal(mkdir(models, 0700), 0);
    rig_scan(rig);
    assert_string_equal(rig_serving(rig, "m"), "1");
}

/* ---- install --------------------------------------------------------------------------------- */

static void test_install_moves_only_what_is_good(void **state)
{
    struct registry_rig *rig = *state;
    struct err err = {0};
    char work[2 * TEMP_DIR_BYTES], place[2 * TEMP_DIR_BYTES];
    struct stat info;
    model_sample_write(rig_path(rig, "work", work), "m", "1", MODEL_popularity);
    cut_file(work);
    assert_int_equal(rig_install(rig, work, "m", "1", &err), ERR_CORRUPT);
    assert_non_null(strstr(err.text, "scores.safetensors"));
    assert_int_not_equal(stat(rig_path(rig, "models/m", place), &info), 0);
    assert_int_equal(stat(work, &info), 0); /* left to the caller */
    assert_int_equal(file_remove_tree(work, NULL), ERR_OK);

    model_sample_write(work, "m", "1", MODEL_popularity);
    assert_int_equal(rig_install(rig, work, "m", "2", &err), ERR_CORRUPT); /* not its version */
    assert_int_equal(rig_install(rig, work, "m", "1", &err), ERR_OK);
    assert_int_not_equal(stat(work, &info), 0);
    assert_int_equal(stat(rig_path(rig, "models/m/1", place), &info), 0);
    assert_string_equal(rig_serving(rig, "m"), "1");

    /* The same again is fine; something else under the same version is not. */
    model_sample_write(work, "m", "1", MODEL_popularity);
    assert_int_equal(rig_install(rig, work, "m", "1", &err), ERR_OK);
    put_wrong_golden_row(work);
    model_sample_seal(work, "m", "1", MODEL_popularity);
    assert_int_equal(rig_install(rig, work, "m", "1", &err), ERR_EXISTS);
    assert_string_equal(rig_serving(rig, "m"), "1");
}

static void test_install_brings_back_what_was_rolled_back(void **state)
{
    struct registry_rig *rig = *state;
    struct err err = {0};
    char work[2 * TEMP_DIR_BYTES];
    rig_publish(rig, "m", "1", MODEL_popularity);
    rig_scan(rig);
    rig_publish(rig, "m", "2", MODEL_popularity);
    rig_scan(rig);
    assert_int_equal(rig_rollback(rig, "m", &err), ERR_OK);
    model_sample_write(rig_path(rig, "work", work), "m", "2", MODEL_popularity);
    assert_int_equal(rig_install(rig, work, "m", "2", &err), ERR_OK);
    assert_string_equal(rig_serving(rig, "m"), "2");
    rig_stop(rig);
    rig_start(rig);
    assert_string_equal(rig_serving(rig, "m"), "2");
}

/* ---- limits and policies --------------------------------------------------------------------- */

static void test_more_models_than_a_snapshot_holds_are_refused_until_one_goes(void **state)
{
    struct registry_rig *rig = *state;
    char name[16], place[2 * TEMP_DIR_BYTES];
    for (int i = 0; i <= SNAPSHOT_MODELS_MAX; i++) {
        snprintf(name, sizeof name, "m%02d", i);
        rig_publish(rig, name, "1", MODEL_prices);
    }
    rig_scan(rig);
    assert_int_equal(registry_serving_count(rig->registry), SNAPSHOT_MODELS_MAX);
    assert_string_equal(rig_serving(rig, "m64"), "");
    assert_non_null(strstr(rig_refusal(rig, "m64", "1"), "64 models serve already"));
    assert_int_equal(file_remove_tree(rig_path(rig, "models/m05", place), NULL), ERR_OK);
    rig_scan(rig);
    assert_string_equal(rig_serving(rig, "m05"), "");
    assert_string_equal(rig_serving(rig, "m64"), "1");
}

static void test_a_ranker_that_no_slot_names_is_checked_too(void **state)
{
    struct registry_rig *rig = *state;
    static const char *const unknown[] = {"bogus.f", "source.bogus", "item.", "colour"};
    struct err err = {0};
    char work[2 * TEMP_DIR_BYTES];
    rig_path(rig, "work", work);
    for (size_t i = 0; i < sizeof unknown / sizeof unknown[0]; i++) {
        write_linear(work, "unnamed", "1", unknown[i]);
        assert_int_equal(rig_install(rig, work, "unnamed", "1", &err), ERR_BAD_INPUT);
        assert_non_null(strstr(err.text, unknown[i]));
        assert_non_null(strstr(err.text, "features[1]: nothing supplies"));
        assert_int_equal(file_remove_tree(work, NULL), ERR_OK);
    }
    write_linear(work, "unnamed", "1", "source.popular");
    assert_int_equal(rig_install(rig, work, "unnamed", "1", &err), ERR_OK);
}

#define WITH_RIG(test) cmocka_unit_test_setup_teardown(test, rig_set_up_started, rig_tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_RIG(test_an_empty_directory_serves_without_models),
        WITH_RIG(test_every_kind_serves_and_its_items_have_numbers),
        WITH_RIG(test_what_is_bad_is_refused_by_name_and_the_old_version_serves),
        WITH_RIG(test_a_ranker_with_an_unknown_feature_is_refused_and_all_else_serves),
        WITH_RIG(test_what_is_unfinished_or_hidden_is_not_looked_at),
        WITH_RIG(test_a_loaded_version_serves_on_whatever_happens_to_its_folder),
        WITH_RIG(test_another_directory_in_place_of_models_dir_retires_nothing),
        WITH_RIG(test_install_moves_only_what_is_good),
        WITH_RIG(test_install_brings_back_what_was_rolled_back),
        WITH_RIG(test_more_models_than_a_snapshot_holds_are_refused_until_one_goes),
        WITH_RIG(test_a_ranker_that_no_slot_names_is_checked_too),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
