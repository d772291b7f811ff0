/* SPDX-License-Identifier: Apache-2.0 */
/* What a ranker's manifest says of a feature that nothing supplies, or that has no number: it
 * refuses the bundle, or each row has its default. */
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
#include "server/metrics.h"
#include "tests/support/release_rig.h"

static const char policies[] =
    "{\"version\": \"1\", \"default\": \"home\", \"slots\": {\"home\": {\"sources\": "
    "[{\"source\": \"popular\"}], \"ranker\": \"ranker\"}}}";
static const char features[] =
    "{\"version\": \"1\", \"features\": {\"user.seen\": {\"kind\": \"last\", \"events\": "
    "[\"view\"], \"value\": \"item\", \"n\": 3}}}";

struct shop {
    struct registry_rig rig;
    struct metrics *metrics;
    struct workers *workers;
    struct worker *worker;
    struct decision decision;
};

static int open_shop(void **state)
{
    static struct shop shop;
    static char policies_path[2 * TEMP_DIR_BYTES];
    char path[2 * TEMP_DIR_BYTES];
    struct err err = {.text = ""};
    rig_create(&shop.rig);
    temp_dir_write_text(&shop.rig.dir, "policies.json", policies);
    shop.rig.policies = rig_path(&shop.rig, "policies.json", policies_path);
    rig_start(&shop.rig);
    assert_int_equal(file_make_dir(rig_path(&shop.rig, "incoming", path), &err), ERR_OK);
    temp_dir_write_text(&shop.rig.dir, "incoming/features.json", features);
    assert_int_equal(release_install(&shop.rig, "incoming", "r1", &err), ERR_OK);
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

/* The linear sample, 2 price - 0.5 feature + 0.125 caller's score + 0.25. */
static enum err_code push(struct shop *shop, const char *version, const char *name,
                          const char *rest, struct err *err)
{
    static const struct bundle_write_file files[] = {{"weights", "weights.safetensors"}};
    char path[2 * TEMP_DIR_BYTES], text[512];
    (void)!file_remove_tree(rig_path(&shop->rig, "work", path), NULL);
    model_sample_write(path, "ranker", version, MODEL_linear);
    snprintf(text, sizeof text,
             "{\"features\": [{\"name\": \"item.price\", \"default\": 1}, {\"name\": \"%s\"%s}, "
             "{\"name\": \"caller.score\"}]}",
             name, rest);
    cJSON *extra = cJSON_Parse(text);
    snprintf(text, sizeof text,
             "[{\"features\": {\"item.price\": 3, \"%s\": 1, \"caller.score\": 8}, \"score\": "
             "6.75}]",
             name);
    cJSON *rows = cJSON_Parse(text);
    assert_true(extra != NULL && rows != NULL);
    assert_int_equal(bundle_write_golden(path, rows, err), ERR_OK);
    assert_int_equal(
        bundle_write_manifest(path, "ranker", version, MODEL_linear, files, 1, extra, err), ERR_OK);
    cJSON_Delete(extra);
    cJSON_Delete(rows);
    return rig_install(&shop->rig, path, "ranker", version, err);
}

static void refused(struct shop *shop, const char *name, const char *rest, const char *says)
{
    struct err err = {.text = ""};
    assert_int_not_equal(push(shop, "bad", name, rest, &err), ERR_OK);
    if (strstr(err.text, says) == NULL)
        fail_msg("expected '%s', got '%s'", says, err.text);
}

/* Of an item without a price and with a caller's score of 8; the row that was scored is kept, with
 * the feature as unknown. */
static void scores(struct shop *shop, double expected)
{
    static const char json[] = "{\"op\": \"rank\", \"items\": [{\"id\": \"i0\", \"score\": 8}]}";
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
    assert_string_equal(level_name(decision->level), "full");
    assert_float_equal(decision->items[0].score, expected, 1e-6);
    assert_true(isnan(decision->items[0].features[1]));
    rcu_read_end();
}

static void test_the_manifest_says_whether_a_feature_may_be_missing(void **state)
{
    struct shop *shop = *state;
    struct err err = {.text = ""};
    refused(shop, "user.height", ", \"default\": 0", "nothing supplies 'user.height'");
    refused(shop, "user.height", ", \"optional\": false", "nothing supplies");
    assert_int_equal(push(shop, "1", "user.height", ", \"optional\": true", &err), ERR_OK);
    scores(shop, 3.25);
    assert_int_equal(push(shop, "2", "user.height", ", \"default\": 4, \"optional\": true", &err),
                     ERR_OK);
    scores(shop, 1.25);
    refused(shop, "user.height", ", \"optional\": 1", "features[1].optional");
    assert_string_equal(rig_serving(&shop->rig, "ranker"), "2");
}

static void test_a_list_of_ids_is_no_number(void **state)
{
    struct shop *shop = *state;
    struct err err = {.text = ""};
    refused(shop, "user.seen", ", \"default\": 4", "'user.seen' is a list of ids");
    assert_int_equal(push(shop, "1", "user.seen", ", \"default\": 4, \"optional\": true", &err),
                     ERR_OK);
    scores(shop, 1.25);
}

static void test_a_source_that_the_slot_lacks(void **state)
{
    struct shop *shop = *state;
    struct err err = {.text = ""};
    refused(shop, "source.neighbors", "", "the slot has no such source");
    assert_int_equal(
        push(shop, "1", "source.neighbors", ", \"default\": 4, \"optional\": true", &err), ERR_OK);
    scores(shop, 1.25);
}

#define WITH_SHOP(test) cmocka_unit_test_setup_teardown(test, open_shop, close_shop)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_SHOP(test_the_manifest_says_whether_a_feature_may_be_missing),
        WITH_SHOP(test_a_list_of_ids_is_no_number),
        WITH_SHOP(test_a_source_that_the_slot_lacks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
