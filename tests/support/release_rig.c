/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/release_rig.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/rcu.h"
#include "featurestore/store_internal.h"

void release_write_policies(const struct registry_rig *rig, const char *below, const char *version)
{
    char name[256], text[512];
    snprintf(name, sizeof name, "%s/policies.json", below);
    snprintf(text, sizeof text,
             "{\"version\": \"%s\", \"default\": \"home\", \"slots\": {\"home\": {\"sources\": ["
             "{\"source\": \"neighbors\", \"model\": \"a\", \"weight\": 1},"
             "{\"source\": \"model_popular\", \"model\": \"b\", \"weight\": 0.1}]}}}",
             version);
    temp_dir_write_text(&rig->dir, name, text);
}

void release_write_features(const struct registry_rig *rig, const char *below, const char *version)
{
    char name[256], text[512];
    snprintf(name, sizeof name, "%s/features.json", below);
    snprintf(text, sizeof text,
             "{\"version\": \"%s\", \"features\": {\"user.views\": {\"kind\": \"count\", "
             "\"events\": [\"view\"], \"window\": \"%dd\"}, \"user.of%s\": {\"kind\": \"count\", "
             "\"events\": [\"view\"]}}}",
             version, (int)(strtoul(version, NULL, 10) % 30) + 1, version);
    temp_dir_write_text(&rig->dir, name, text);
}

void release_write(const struct registry_rig *rig, const char *below, const char *version)
{
    char name[256], path[2 * TEMP_DIR_BYTES];
    snprintf(name, sizeof name, "%s/a/%s", below, version);
    model_sample_write(rig_path(rig, name, path), "a", version, MODEL_neighbors);
    snprintf(name, sizeof name, "%s/b/%s", below, version);
    model_sample_write(rig_path(rig, name, path), "b", version, MODEL_popularity);
    release_write_policies(rig, below, version);
    release_write_features(rig, below, version);
}

enum err_code release_install(struct registry_rig *rig, const char *below, const char *id,
                              struct err *ret_err)
{
    char path[2 * TEMP_DIR_BYTES];
    struct outcome outcome;
    outcome_init(&outcome);
    registry_release_install(rig->registry, rig_path(rig, below, path), id, outcome_done, &outcome);
    enum err_code rc = outcome_wait(&outcome);
    *ret_err = outcome.err;
    return rc;
}

enum err_code release_rollback(struct registry_rig *rig, struct err *ret_err)
{
    struct outcome outcome;
    outcome_init(&outcome);
    registry_release_rollback(rig->registry, outcome_done, &outcome);
    enum err_code rc = outcome_wait(&outcome);
    *ret_err = outcome.err;
    return rc;
}

void release_push(struct registry_rig *rig, const char *version)
{
    char id[64];
    struct err err = {.text = ""};
    snprintf(id, sizeof id, "r%s", version);
    release_write(rig, "incoming", version);
    if (release_install(rig, "incoming", id, &err) != ERR_OK) {
        fprintf(stderr, "release_rig: %s\n", err.text);
        abort();
    }
}

const char *release_features(const struct registry_rig *rig, const struct snapshot *snapshot)
{
    const struct feature_set *set = snapshot->features;
    if (set == NULL)
        set = feature_set_of(rig->store->features);
    return set->definitions->version;
}

static void serving(const struct registry_rig *rig, char *ret_text, size_t size, bool with_features)
{
    const char *a = "-", *b = "-";
    rcu_read_begin();
    const struct snapshot *snapshot = serving_current(&rig->serving);
    for (uint32_t i = 0; i < snapshot->model_count; i++) {
        if (strcmp(snapshot->model[i]->name, "a") == 0)
            a = snapshot->model[i]->version;
        if (strcmp(snapshot->model[i]->name, "b") == 0)
            b = snapshot->model[i]->version;
    }
    snprintf(ret_text, size, "%s %s %s%s%s", a, b, snapshot->policies->version,
             with_features ? " " : "", with_features ? release_features(rig, snapshot) : "");
    rcu_read_end();
}

const char *release_serving(const struct registry_rig *rig)
{
    static char text[4 * MODEL_NAME_BYTES];
    serving(rig, text, sizeof text, false);
    return text;
}

const char *release_all(const struct registry_rig *rig)
{
    static char text[5 * MODEL_NAME_BYTES];
    serving(rig, text, sizeof text, true);
    return text;
}
