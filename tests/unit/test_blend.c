/* SPDX-License-Identifier: Apache-2.0 */
/* Blends: what their manifests may say, what they make of their parts, and how they follow them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "base/rcu.h"
#include "base/transcode.h"
#include "models/blend.h"
#include "models/ranker.h"
#include "server/metrics.h"
#include "tests/support/release_rig.h"

/* ---- bundles --------------------------------------------------------------------------------- */

static void write_blend(const char *dir, const char *name, const char *version, const char *parts,
                        const char *golden)
{
    struct err err = {.text = ""};
    char text[1024];
    snprintf(text, sizeof text, "{\"params\": {\"parts\": [%s]}}", parts);
    cJSON *extra = cJSON_Parse(text), *rows = cJSON_Parse(golden);
    assert_true(extra != NULL && rows != NULL);
    assert_int_equal(file_make_dir(dir, &err), ERR_OK);
    assert_int_equal(bundle_write_golden(dir, rows, &err), ERR_OK);
    assert_int_equal(bundle_write_manifest(dir, name, version, MODEL_blend, NULL, 0, extra, &err),
                     ERR_OK);
    cJSON_Delete(extra);
    cJSON_Delete(rows);
}

static enum err_code load(const char *dir, struct model **ret_model, struct err *err)
{
    struct bundle *bundle = NULL;
    enum err_code rc = bundle_open(dir, NULL, NULL, &bundle, err);
    if (rc == ERR_OK)
        rc = model_load(bundle, ret_model, err);
    if (rc == ERR_OK)
        rc = model_check_golden(*ret_model, bundle, err);
    if (rc != ERR_OK)
        model_destroy(ret_model);
    bundle_close(&bundle);
    return rc;
}

#define GOLDEN "[{\"scores\": {\"a\": 1}, \"score\": 2}]"

static void test_a_manifest_that_is_wrong_is_refused_by_name(void **state)
{
    static const struct {
        const char *parts, *golden, *message;
    } cases[] = {
        {"", GOLDEN, "params.parts: expected 1..8 parts, got 0"},
        {"{\"weight\": 1}", GOLDEN, "params.parts[0].model: missing"},
        {"{\"model\": \"../a\", \"weight\": 1}", GOLDEN, "expected the name of a model"},
        {"{\"model\": \"a\"}", GOLDEN, "params.parts[0].weight: missing"},
        {"{\"model\": \"a\", \"weight\": 1e9}", GOLDEN, "params.parts[0].weight"},
        {"{\"model\": \"a\", \"weight\": 1, \"transform\": \"sigmod\"}", GOLDEN, "'sigmoid'"},
        {"{\"model\": \"a\", \"weight\": 1, \"default\": \"x\"}", GOLDEN,
         "params.parts[0].default"},
        {"{\"model\": \"a\", \"weight\": 1, \"scale\": 1}", GOLDEN, "unknown key 'scale'"},
        {"{\"model\": \"a\", \"weight\": 1}, {\"model\": \"a\", \"weight\": 1}", GOLDEN,
         "'a' is a part already"},
        {"{\"model\": \"m\", \"weight\": 1}", GOLDEN, "a blend is no part of itself"},
        {"{\"model\": \"a\", \"weight\": 3}", GOLDEN, "row 0: expected 2, got 3"},
        {"{\"model\": \"a\", \"weight\": 2}", "[{\"scores\": {}, \"score\": 2}]",
         "row 0.scores.a: missing, and the part has no default"},
        {"{\"model\": \"a\", \"weight\": 2}", "[{\"scores\": {\"b\": 1}, \"score\": 2}]",
         "unknown key 'b'"},
    };
    struct temp_dir temp;
    char dir[2 * TEMP_DIR_BYTES];
    (void)state;
    temp_dir_create(&temp);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct model *model = NULL;
        struct err err = {.text = ""};
        write_blend(temp_dir_path(&temp, "m", dir), "m", "1", cases[i].parts, cases[i].golden);
        assert_int_equal(load(dir, &model, &err), ERR_CORRUPT);
        assert_null(model);
        if (strstr(err.text, cases[i].message) == NULL)
            fail_msg("case %zu: %s", i, err.text);
        assert_int_equal(file_remove_tree(dir, NULL), ERR_OK);
    }
    temp_dir_remove(&temp);
}

/* ---- scores ---------------------------------------------------------------------------------- */

enum { ROWS = 70, PARTS = 3 };

/* Through the model alone, from the columns of the blend that bear its features' names. */
static double score_of(const struct model *blend, const struct model *part, const double *row)
{
    static _Alignas(RANKER_ALIGN_BYTES) uint8_t scratch[65536];
    double values[16], score = NAN;
    assert_true(ranker_scratch_bytes(part) <= sizeof scratch && part->feature_count <= 16);
    for (uint32_t f = 0; f < part->feature_count; f++) {
        for (uint32_t b = 0; b < blend->feature_count; b++) {
            if (strcmp(part->feature[f].name, blend->feature[b].name) == 0)
                values[f] = row[b];
        }
    }
    ranker_score_rows(part, values, 1, scratch, &score);
    return score;
}

static void test_a_score_is_the_sum_of_what_the_parts_say(void **state)
{
    static _Alignas(RANKER_ALIGN_BYTES) uint8_t scratch[262144];
    static const enum model_kind kinds[PARTS] = {MODEL_linear, MODEL_trees, MODEL_mlp};
    static const char *const names[PARTS] = {"l", "t", "n"};
    const struct model *part[PARTS + 1] = {NULL};
    struct model *loaded[PARTS] = {NULL}, *blend = NULL, *ranker = NULL;
    struct temp_dir temp;
    struct err err = {.text = ""};
    char dir[2 * TEMP_DIR_BYTES];
    double values[ROWS * 16], score[ROWS];
    (void)state;
    temp_dir_create(&temp);
    for (int i = 0; i < PARTS; i++) {
        model_sample_write(temp_dir_path(&temp, names[i], dir), names[i], "1", kinds[i]);
        assert_int_equal(load(dir, &loaded[i], &err), ERR_OK);
        part[i] = loaded[i];
    }
    write_blend(temp_dir_path(&temp, "m", dir), "m", "1",
                "{\"model\": \"l\", \"weight\": 2, \"transform\": \"sigmoid\"},"
                "{\"model\": \"t\", \"weight\": -0.5}, {\"model\": \"n\", \"weight\": 0.25},"
                "{\"model\": \"x\", \"weight\": 4, \"default\": 0.5}",
                "[{\"scores\": {\"l\": 0, \"t\": 1, \"n\": 4}, \"score\": 3.5}]");
    assert_int_equal(load(dir, &blend, &err), ERR_OK);
    assert_int_equal(blend->feature_count, 0);
    assert_int_equal(blend_assemble(blend, part, &ranker, &err), ERR_OK);
    assert_string_equal(ranker->label, "m@1");
    assert_int_equal(ranker->feature_count, 3); /* each name once */
    for (uint32_t i = 0; i < ROWS * ranker->feature_count; i++)
        values[i] = i % 7 == 3 ? (double)NAN : (double)((int)(i * 37 % 41) - 20) / 4;
    assert_true(ranker_scratch_bytes(ranker) <= sizeof scratch);
    ranker_score_rows(ranker, values, ROWS, scratch, score);
    for (uint32_t r = 0; r < ROWS; r++) {
        const double *row = values + (size_t)r * ranker->feature_count;
        double wanted = 2.0 / (1.0 + exp(-score_of(ranker, part[0], row))) -
                        0.5 * score_of(ranker, part[1], row) +
                        0.25 * score_of(ranker, part[2], row) + 4 * 0.5;
        assert_true(fabs(score[r] - wanted) <= 1e-6 * fmax(1.0, fabs(wanted)));
    }
    assert_true(blend_has(ranker, part[1]) && blend_has(ranker, blend));
    assert_false(blend_has(ranker, ranker));
    assert_null(blend_part_model(ranker, 3));
    blend_release(&ranker);

    part[1] = NULL;
    assert_int_equal(blend_assemble(blend, part, &ranker, &err), ERR_NOT_FOUND);
    assert_non_null(strstr(err.text, "m@1: its part 't' does not serve"));
    part[1] = blend; /* a circle */
    assert_int_equal(blend_assemble(blend, part, &ranker, &err), ERR_BAD_INPUT);
    assert_non_null(strstr(err.text, "'t' is of the kind blend, expected linear, trees or mlp"));
    assert_null(ranker);
    model_destroy(&blend);
    for (int i = 0; i < PARTS; i++)
        model_destroy(&loaded[i]);
    temp_dir_remove(&temp);
}

/* ---- serving --------------------------------------------------------------------------------- */

static const char slot_with_blend[] =
    "{\"version\": \"1\", \"default\": \"home\", \"slots\": {\"home\": {\"sources\": "
    "[{\"source\": \"popular\", \"weight\": 1}], \"ranker\": \"blend\"}}}";

#define PART_L "{\"model\": \"part\", \"weight\": 2}"

struct shop {
    struct registry_rig rig;
    char policies[2 * TEMP_DIR_BYTES];
    struct metrics *metrics;
    struct workers *workers;
    struct worker *worker;
    struct decision decision;
};

static int open_shop(void **state)
{
    static struct shop shop;
    struct err err = {.text = ""};
    rig_create(&shop.rig);
    temp_dir_write_text(&shop.rig.dir, "policies.json", slot_with_blend);
    shop.rig.policies = temp_dir_path(&shop.rig.dir, "policies.json", shop.policies);
    rig_start(&shop.rig);
    assert_int_equal(metrics_create(server_metric_families, M_COUNT, 1, &shop.metrics, &err),
                     ERR_OK);
    assert_int_equal(workers_create(1, shop.metrics, clock_system(), 1, &shop.workers, &err),
                     ERR_OK);
    shop.worker = workers_claim(shop.workers);
    *state = &shop;
    return 0;
}

static int close_shop(void **state)
{
    struct shop *shop = *state;
    rig_destroy(&shop->rig);
    workers_destroy(&shop->workers);
    metrics_destroy(&shop->metrics);
    return 0;
}

/* "blend@1 part@2: 7.5 3 features, full" - who made the score of an item with a caller's score of
 * 8. */
static const char *ranked(struct shop *shop)
{
    static const char json[] =
        "{\"op\": \"rank\", \"slot\": \"home\", \"items\": [{\"id\": \"i0\", \"score\": 8}]}";
    static char text[512];
    struct request request;
    struct err err;
    uint8_t bytes[256];
    char field[REQUEST_FIELD_BYTES];
    struct pack pack = pack_into(bytes, sizeof bytes);
    struct decision *decision = &shop->decision;
    arena_reset(&shop->worker->arena);
    assert_int_equal(transcode_from_json(json, sizeof json - 1, &pack, &err), ERR_OK);
    assert_int_equal(request_decode(bytes, pack.used, &shop->worker->arena, &request, field, &err),
                     ERR_OK);
    rcu_read_begin();
    const struct decide_env env = {.store = shop->rig.store,
                                   .snapshot = serving_current(&shop->rig.serving),
                                   .keep_features = true,
                                   .wall_ms = 1700000000000};
    decide(&env, shop->worker, &request, decision);
    int len = 0;
    text[0] = '\0';
    for (uint32_t i = 0; i < decision->model_count; i++)
        len += snprintf(text + len, sizeof text - (size_t)len, "%s%s", i == 0 ? "" : " ",
                        decision->models[i]);
    snprintf(text + len, sizeof text - (size_t)len, ": %g, %u features, %s",
             (double)decision->items[0].score,
             decision->ranker == NULL ? 0 : decision->ranker->feature_count,
             level_name(decision->level));
    rcu_read_end();
    return text;
}

static enum err_code push(struct shop *shop, const char *name, const char *version,
                          enum model_kind kind, const char *parts, struct err *err)
{
    char path[2 * TEMP_DIR_BYTES];
    rig_path(&shop->rig, "work", path);
    (void)!file_remove_tree(path, NULL);
    if (kind == MODEL_blend)
        write_blend(path, name, version, parts, "[{\"scores\": {\"part\": 1}, \"score\": 2}]");
    else
        model_sample_write(path, name, version, kind);
    return rig_install(&shop->rig, path, name, version, err);
}

static void hold_part(const struct shop *shop, enum breaker_hold hold)
{
    rcu_read_begin();
    const struct snapshot *snapshot = serving_current(&shop->rig.serving);
    uint32_t at = 0;
    while (at < snapshot->model_count && strcmp(snapshot->model[at]->name, "part") != 0)
        at++;
    assert_true(at < snapshot->model_count);
    breaker_hold(snapshot->model[at]->breaker, hold);
    rcu_read_end();
}

static void test_a_blend_follows_its_parts(void **state)
{
    struct shop *shop = *state;
    struct err err = {.text = ""};
    /* A part that is not there, or ranks nothing, refuses it. */
    assert_int_equal(push(shop, "blend", "1", MODEL_blend, PART_L, &err), ERR_NOT_FOUND);
    assert_non_null(strstr(err.text, "its part 'part' does not serve"));
    assert_string_equal(ranked(shop), ": 8, 0 features, reduced");
    assert_int_equal(push(shop, "part", "1", MODEL_linear, NULL, &err), ERR_OK);
    assert_int_equal(push(shop, "other", "1", MODEL_popularity, NULL, &err), ERR_OK);
    assert_int_equal(push(shop, "blend", "0", MODEL_blend,
                          PART_L ",{\"model\": \"other\", \"weight\": 1, \"default\": 0}", &err),
                     ERR_BAD_INPUT);
    assert_non_null(strstr(err.text, "'other' is of the kind popularity"));
    assert_int_equal(push(shop, "blend", "1", MODEL_blend, PART_L, &err), ERR_OK);
    assert_string_equal(ranked(shop), "blend@1 part@1: 6.5, 3 features, full");

    /* A part that is held back holds the blend back. */
    hold_part(shop, BREAKER_HELD_OPEN);
    assert_string_equal(ranked(shop), ": 8, 0 features, reduced");
    hold_part(shop, BREAKER_AUTO);
    assert_string_equal(ranked(shop), "blend@1 part@1: 6.5, 3 features, full");

    /* Another version of the part is in it with the epoch in which it serves. */
    uint64_t epoch = shop->decision.epoch;
    assert_int_equal(push(shop, "part", "2", MODEL_mlp, NULL, &err), ERR_OK);
    assert_string_equal(ranked(shop), "blend@1 part@2: -13, 3 features, full");
    assert_int_equal(shop->decision.epoch, epoch + 1);
    assert_int_equal(rig_rollback(&shop->rig, "part", &err), ERR_OK);
    assert_string_equal(ranked(shop), "blend@1 part@1: 6.5, 3 features, full");
    /* A part on trial is in the blend of those who try it. */
    assert_int_equal(rig_canary(&shop->rig, "part", "2", 10000, &err), ERR_OK);
    assert_string_equal(ranked(shop), "blend@1 part@2: -13, 3 features, full");
    assert_int_equal(rig_canary(&shop->rig, "part", NULL, 0, &err), ERR_OK);

    /* What would break it is refused; what takes its part away leaves it out. */
    assert_int_equal(push(shop, "part", "3", MODEL_popularity, NULL, &err), ERR_BAD_INPUT);
    assert_int_equal(push(shop, "part", "4", MODEL_blend,
                          "{\"model\": \"blend\", \"weight\": 2, \"default\": 1}", &err),
                     ERR_CORRUPT); /* its golden rows know no such part */
    char path[2 * TEMP_DIR_BYTES];
    assert_int_equal(file_remove_tree(rig_path(&shop->rig, "models/part", path), NULL), ERR_OK);
    rig_scan(&shop->rig);
    assert_string_equal(ranked(shop), ": 8, 0 features, reduced");
}

static void test_a_circle_is_refused(void **state)
{
    struct shop *shop = *state;
    struct err err = {.text = ""};
    assert_int_equal(push(shop, "part", "1", MODEL_linear, NULL, &err), ERR_OK);
    assert_int_equal(push(shop, "blend", "1", MODEL_blend, PART_L, &err), ERR_OK);
    char path[2 * TEMP_DIR_BYTES];
    rig_path(&shop->rig, "work", path);
    (void)!file_remove_tree(path, NULL);
    write_blend(path, "part", "2", "{\"model\": \"blend\", \"weight\": 1}",
                "[{\"scores\": {\"blend\": 1}, \"score\": 1}]");
    assert_int_equal(rig_install(&shop->rig, path, "part", "2", &err), ERR_BAD_INPUT);
    assert_non_null(strstr(err.text, "is of the kind blend, expected linear, trees or mlp"));
    assert_string_equal(ranked(shop), "blend@1 part@1: 6.5, 3 features, full");
}

/* By name the blend is looked at first. */
static void test_a_start_finds_a_blend_with_its_parts(void **state)
{
    struct shop *shop = *state;
    char path[2 * TEMP_DIR_BYTES];
    struct err err = {.text = ""};
    write_blend(rig_path(&shop->rig, "models/blend/1", path), "blend", "1", PART_L,
                "[{\"scores\": {\"part\": 1}, \"score\": 2}]");
    rig_scan(&shop->rig);
    assert_string_equal(ranked(shop), ": 8, 0 features, reduced");
    assert_non_null(strstr(rig_refusal(&shop->rig, "blend", "1"), "its part 'part'"));
    model_sample_write(rig_path(&shop->rig, "models/part/1", path), "part", "1", MODEL_linear);
    rig_scan(&shop->rig);
    assert_string_equal(ranked(shop), "blend@1 part@1: 6.5, 3 features, full");
    rig_stop(&shop->rig);
    rig_start(&shop->rig);
    assert_string_equal(ranked(shop), "blend@1 part@1: 6.5, 3 features, full");
    /* Both at once: as a release. */
    write_blend(rig_path(&shop->rig, "incoming/blend/2", path), "blend", "2",
                "{\"model\": \"new\", \"weight\": 2}, {\"model\": \"part\", \"weight\": 0}",
                "[{\"scores\": {\"new\": 1, \"part\": 9}, \"score\": 2}]");
    model_sample_write(rig_path(&shop->rig, "incoming/new/1", path), "new", "1", MODEL_trees);
    assert_int_equal(release_install(&shop->rig, "incoming", "r1", &err), ERR_OK);
    assert_string_equal(ranked(shop), "blend@2 new@1 part@1: 0.25, 3 features, full");
    assert_int_equal(release_rollback(&shop->rig, &err), ERR_OK);
    assert_string_equal(ranked(shop), "blend@1 part@1: 6.5, 3 features, full");
}

static void test_a_default_stands_for_a_part_that_is_not_there(void **state)
{
    struct shop *shop = *state;
    struct err err = {.text = ""};
    assert_int_equal(push(shop, "blend", "1", MODEL_blend,
                          "{\"model\": \"part\", \"weight\": 2, \"default\": 1.5}", &err),
                     ERR_OK);
    assert_string_equal(ranked(shop), "blend@1: 3, 0 features, full");
    assert_int_equal(push(shop, "part", "1", MODEL_linear, NULL, &err), ERR_OK);
    assert_string_equal(ranked(shop), "blend@1 part@1: 6.5, 3 features, full");
}

int main(void)
{
#define WITH_SHOP(test) cmocka_unit_test_setup_teardown(test, open_shop, close_shop)
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_manifest_that_is_wrong_is_refused_by_name),
        cmocka_unit_test(test_a_score_is_the_sum_of_what_the_parts_say),
        WITH_SHOP(test_a_blend_follows_its_parts),
        WITH_SHOP(test_a_circle_is_refused),
        WITH_SHOP(test_a_start_finds_a_blend_with_its_parts),
        WITH_SHOP(test_a_default_stands_for_a_part_that_is_not_there),
    };
#undef WITH_SHOP
    return cmocka_run_group_tests(tests, NULL, NULL);
}
