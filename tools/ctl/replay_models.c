/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/file.h"
#include "models/ranker.h"
#include "tools/ctl/replay.h"

static enum err_code load(const char *dir, const char *name, const char *version,
                          struct model **ret_model, struct err *err)
{
    struct bundle *bundle = NULL;
    struct model *model = NULL;
    enum err_code rc = bundle_open(dir, name, version, &bundle, err);
    if (rc == ERR_OK)
        rc = model_load(bundle, &model, err);
    bundle_close(&bundle);
    if (rc == ERR_OK && !ranker_fits_slot(model->kind)) {
        rc = err_set(err, ERR_UNSUPPORTED, "%s@%s is of the kind %s, which ranks nothing", name,
                     version, model_kind_name(model->kind));
        model_destroy(&model);
    }
    if (rc == ERR_OK)
        *ret_model = model;
    return rc;
}

static enum err_code split_label(struct text label, char name[MODEL_NAME_BYTES],
                                 char version[MODEL_NAME_BYTES], struct err *err)
{
    const char *at = memchr(label.ptr, '@', label.len);
    const uint32_t len = at != NULL ? (uint32_t)(at - label.ptr) : 0;
    if (at != NULL && len < MODEL_NAME_BYTES && label.len - len - 1 < MODEL_NAME_BYTES) {
        text_copy((struct text){label.ptr, len}, name, MODEL_NAME_BYTES);
        text_copy((struct text){at + 1, label.len - len - 1}, version, MODEL_NAME_BYTES);
        if (file_is_plain_name(name) && file_is_plain_name(version))
            return ERR_OK;
    }
    return err_set(err, ERR_BAD_INPUT, "expected NAME@VERSION, got '%.*s'",
                   label.len < 80 ? (int)label.len : 80, label.ptr);
}

enum err_code replay_model(struct replay_models *models, struct text label,
                           const struct model **ret_model, struct err *err)
{
    char name[MODEL_NAME_BYTES], version[MODEL_NAME_BYTES];
    char parent[FILE_PATH_BYTES], dir[FILE_PATH_BYTES];
    struct stat st;
    for (uint32_t i = 0; i < models->count; i++) {
        if (text_is(label, models->model[i]->label)) {
            *ret_model = models->model[i];
            return ERR_OK;
        }
    }
    enum err_code rc = split_label(label, name, version, err);
    if (rc == ERR_OK && models->count == REPLAY_MODELS_MAX)
        rc = err_set(err, ERR_LIMIT, "more than %d versions of models", REPLAY_MODELS_MAX);
    if (rc == ERR_OK)
        rc = file_join(models->dir, name, parent, sizeof parent, err);
    if (rc == ERR_OK)
        rc = file_join(parent, version, dir, sizeof dir, err);
    if (rc == ERR_OK && stat(dir, &st) != 0)
        rc = err_set(err, ERR_NOT_FOUND, "%s@%s is not in '%s'", name, version, models->dir);
    if (rc == ERR_OK)
        rc = load(dir, name, version, &models->model[models->count], err);
    if (rc == ERR_OK)
        *ret_model = models->model[models->count++];
    return rc;
}

/* The label in the decision of the version that served under the name; .ptr NULL when none did. */
static struct text label_of(const struct decision_record *decision, const char *name)
{
    struct cursor at = decision->models;
    uint32_t len = (uint32_t)strlen(name);
    for (uint32_t i = 0; i < decision->model_count; i++) {
        struct text label;
        (void)cursor_text(&at, &label);
        if (label.len > len && label.ptr[len] == '@' && memcmp(label.ptr, name, len) == 0)
            return label;
    }
    return (struct text){NULL, 0};
}

static bool is_part_of(const struct model *blend, const char *name)
{
    for (uint32_t i = 0; i < blend_part_count(blend); i++) {
        if (strcmp(blend_part_at(blend, i)->model, name) == 0)
            return true;
    }
    return false;
}

static enum err_code add_part(struct replay_models *models, const struct model *of,
                              struct text label, struct replay_parts *parts, struct err *err)
{
    const struct model *part = NULL;
    enum err_code rc = replay_model(models, label, &part, err);
    if (rc != ERR_OK)
        return rc;
    if (of->kind != MODEL_blend || !is_part_of(of, part->name))
        return err_set(err, ERR_BAD_INPUT, "%s has no part that is called %s", of->label,
                       part->name);
    for (uint32_t i = 0; i < parts->count; i++) {
        if (strcmp(parts->model[i]->name, part->name) == 0)
            return err_set(err, ERR_BAD_INPUT, "%s is given twice", part->name);
    }
    ASSERT(parts->count < BLEND_PARTS_MAX); /* as many as the blend has, each once */
    parts->model[parts->count++] = part;
    return ERR_OK;
}

/* Names and versions have no commas. */
static struct text next_label(struct text *labels)
{
    const char *comma = memchr(labels->ptr, ',', labels->len);
    uint32_t len = comma == NULL ? labels->len : (uint32_t)(comma - labels->ptr);
    struct text label = {labels->ptr, len};
    uint32_t used = comma == NULL ? len : len + 1;
    *labels = (struct text){labels->ptr + used, labels->len - used};
    return label;
}

enum err_code replay_labels_check(struct text labels, struct err *err)
{
    char name[MODEL_NAME_BYTES], version[MODEL_NAME_BYTES];
    enum err_code rc = ERR_OK;
    do {
        rc = split_label(next_label(&labels), name, version, err);
    } while (rc == ERR_OK && labels.len > 0);
    return rc;
}

enum err_code replay_with(struct replay_models *models, struct text labels,
                          const struct model **ret_model, struct replay_parts *ret_parts,
                          struct err *err)
{
    const struct model *model = NULL;
    struct replay_parts parts = {.count = 0};
    enum err_code rc = replay_model(models, next_label(&labels), &model, err);
    while (rc == ERR_OK && labels.len > 0)
        rc = add_part(models, model, next_label(&labels), &parts, err);
    if (rc == ERR_OK) {
        *ret_model = model;
        *ret_parts = parts;
    }
    return rc;
}

static const struct model *wanted(const struct replay_parts *parts, const char *name)
{
    for (uint32_t i = 0; i < parts->count; i++) {
        if (strcmp(parts->model[i]->name, name) == 0)
            return parts->model[i];
    }
    return NULL;
}

enum err_code replay_assemble(struct replay_models *models, const struct decision_record *decision,
                              const struct model *blend, const struct replay_parts *parts,
                              struct model **ret_ranker, struct err *err)
{
    const struct model *part[BLEND_PARTS_MAX] = {NULL};
    enum err_code rc = ERR_OK;
    for (uint32_t i = 0; i < blend_part_count(blend) && rc == ERR_OK; i++) {
        const char *name = blend_part_at(blend, i)->model;
        part[i] = wanted(parts, name);
        struct text label = label_of(decision, name);
        if (part[i] == NULL && label.ptr != NULL)
            rc = replay_model(models, label, &part[i], err);
    }
    return rc == ERR_OK ? blend_assemble(blend, part, ret_ranker, err) : rc;
}

bool replay_rounds(const struct model *ranker)
{
    bool rounds = ranker->kind == MODEL_mlp;
    for (uint32_t i = 0; ranker->kind == MODEL_blend && i < blend_part_count(ranker); i++) {
        const struct model *part = blend_part_model(ranker, i);
        rounds = rounds || (part != NULL && part->kind == MODEL_mlp);
    }
    return rounds;
}

void replay_models_close(struct replay_models *models)
{
    for (uint32_t i = 0; i < models->count; i++)
        model_destroy(&models->model[i]);
    models->count = 0;
}
