/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/feature_rig.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
/* cmocka.h needs some of the above */
#include <cmocka.h>

void feature_rig_create(struct store_rig *rig)
{
    const struct store_limits limits = {.items_max = 1000,
                                        .people_max = 1000,
                                        .history_items_max = 4,
                                        .queue_events_max = 2000,
                                        .dedup_events_max = 100,
                                        .feature_rows_max = FEATURE_RIG_ROWS_MAX};
    store_rig_create(rig, &limits);
}

struct definitions *feature_rig_parse(const char *features, struct err *err)
{
    static char file[8192];
    struct definitions *definitions = NULL;
    int len = snprintf(file, sizeof file, "{\"features\": {%s}}", features);
    assert_in_range(len, 1, sizeof file - 1);
    if (definitions_parse("features.json", file, (size_t)len, &definitions, err) != ERR_OK)
        fail_msg("%s", err->text);
    return definitions;
}

enum err_code feature_rig_redefine(struct store *store, struct definitions **definitions,
                                   uint32_t *ret_new_count, struct err *err)
{
    const struct feature_set *set = NULL;
    bool is_done = false;
    enum err_code rc = store_declare_features(store, *definitions, err);
    if (rc == ERR_OK)
        rc = store_stage_features(store, definitions, &set, ret_new_count, err);
    while (rc == ERR_OK && !is_done)
        rc = store_fill_features(store, &is_done, err);
    if (rc == ERR_OK)
        store_adopt_features(store);
    else
        store_cancel_features(store);
    return rc;
}

uint32_t feature_rig_define(struct store_rig *rig, const char *features)
{
    uint32_t new_count = 0;
    struct definitions *definitions = feature_rig_parse(features, &rig->err);
    if (feature_rig_redefine(rig->store, &definitions, &new_count, &rig->err) != ERR_OK)
        fail_msg("%s", rig->err.text);
    assert_null(definitions);
    return new_count;
}

void feature_rig_act(struct store_rig *rig, const char *type, const char *user, const char *item,
                     int64_t ago_s)
{
    char json[512];
    bool is_anon = user[0] == '@';
    snprintf(json, sizeof json,
             "{\"type\": \"%s\", \"%s\": \"%s\", \"items\": [{\"id\": \"%s\", \"price\": 100}], "
             "\"ts\": %lld}",
             type, is_anon ? "anon" : "user", user + is_anon, item,
             (long long)(STORE_RIG_NOW_MS - ago_s * 1000));
    store_rig_apply_json(rig, json);
}

struct feature_detail feature_rig_detail(struct store_rig *rig, const char *name,
                                         struct feature_rig_of of)
{
    struct feature feature;
    struct feature_reader reader;
    struct feature_detail detail;
    struct history history;
    if (!feature_find(rig->store, text_of(name), &feature))
        fail_msg("%s is no feature", name);
    (void)store_history(rig->store, text_of(of.user), text_of(of.anon), &history);
    const struct feature_asker asker = {.user = text_of(of.user),
                                        .anon = text_of(of.anon),
                                        .query = text_of(of.query),
                                        .slot = text_of(of.slot),
                                        .history = &history};
    feature_reader_begin(&reader, rig->store, &asker);
    feature_reader_item(&reader, of.item == NULL ? IDMAP_NONE
                                                 : store_item_find(rig->store, text_of(of.item)));
    feature_describe(&reader, &feature, &detail);
    double value = feature_value(&reader, &feature);
    assert_true(value == detail.value || (isnan(value) && isnan(detail.value)));
    return detail;
}

double feature_rig_value(struct store_rig *rig, const char *name, struct feature_rig_of of)
{
    return feature_rig_detail(rig, name, of).value;
}

void feature_rig_load_catalogue(struct store_rig *rig)
{
    store_rig_apply_json(
        rig, "{\"type\": \"item_upsert\", \"currency\": \"EUR\", \"items\": ["
             "{\"id\": \"shoe\", \"category\": \"shoes\", \"brand\": \"acme\", \"stock\": 4, "
             " \"price\": 900, \"attributes\": {\"size\": 42, \"season\": \"summer\"}},"
             "{\"id\": \"boot\", \"category\": \"shoes\", \"brand\": \"bolt\", \"price\": 1500},"
             "{\"id\": \"hat\", \"category\": \"hats\", \"brand\": \"acme\", \"price\": 300}]}");
}
