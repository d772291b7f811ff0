/* SPDX-License-Identifier: Apache-2.0 */
/* Loads bundles of the kind blend, which are manifests, and assembles rankers of them. */
#include "models/blend.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "models/bundle_internal.h"
#include "models/model_internal.h"
#include "models/ranker.h"

/* ---- the manifest ---------------------------------------------------------------------------- */

static enum err_code parse_name(const struct json_at *element, const struct blend *blend,
                                struct blend_part *part, struct err *err)
{
    struct json_at at = json_member(element, "model");
    const char *name = NULL;
    enum err_code rc = json_string(&at, &name, err);
    if (rc == ERR_OK && !file_is_plain_name(name))
        rc = err_set(err, ERR_CORRUPT, "%s: expected the name of a model, got '%.80s'", at.path,
                     name);
    for (uint32_t i = 0; i < blend->part_count && rc == ERR_OK; i++) {
        if (strcmp(blend->part[i].model, name) == 0)
            rc = err_set(err, ERR_CORRUPT, "%s: '%s' is a part already", at.path, name);
    }
    if (rc == ERR_OK)
        text_copy(text_of(name), part->model, sizeof part->model);
    return rc;
}

static enum err_code parse_part(const struct json_at *element, const struct blend *blend,
                                struct blend_part *part, struct err *err)
{
    static const char *const known[] = {"model", "weight", "transform", "default", NULL};
    static const char *const transforms[] = {
#define X(name) #name,
        BLEND_TRANSFORMS(X)
#undef X
            NULL};
    uint32_t transform = BLEND_none;
    struct json_at weight = json_member(element, "weight");
    struct json_at transform_at = json_member(element, "transform");
    struct json_at fallback = json_member(element, "default");
    enum err_code rc = json_only(element, known, err);
    if (rc == ERR_OK)
        rc = parse_name(element, blend, part, err);
    if (rc == ERR_OK)
        rc = json_real(&weight, -BLEND_WEIGHT_MAX, BLEND_WEIGHT_MAX, &part->weight, err);
    if (rc == ERR_OK && transform_at.value != NULL)
        rc = json_name(&transform_at, transforms, &transform, err);
    part->transform = (enum blend_transform)transform;
    part->fallback = NAN;
    if (rc == ERR_OK && fallback.value != NULL)
        rc = json_real(&fallback, -LINEAR_ABS_MAX, LINEAR_ABS_MAX, &part->fallback, err);
    return rc;
}

enum err_code blend_load(struct bundle *bundle, struct model *model, struct err *err)
{
    int count = 0;
    struct blend *blend = calloc(1, sizeof *blend);
    model->as.blend = blend;
    if (blend == NULL)
        return err_set(err, ERR_NOMEM, "out of memory for model %s", model->label);
    struct json_at root = json_root(MANIFEST_NAME, bundle->manifest);
    struct json_at params = json_member(&root, "params");
    struct json_at at = json_member(&params, "parts");
    enum err_code rc = json_array(&at, &count, err);
    if (rc == ERR_OK && (count < 1 || count > BLEND_PARTS_MAX))
        rc = err_set(err, ERR_CORRUPT, "%s: expected 1..%d parts, got %d", at.path, BLEND_PARTS_MAX,
                     count);
    for (int i = 0; i < count && rc == ERR_OK; i++) {
        struct json_at element = json_element(&at, i);
        rc = parse_part(&element, blend, &blend->part[i], err);
        blend->part_count += rc == ERR_OK;
        if (rc == ERR_OK && strcmp(blend->part[i].model, model->name) == 0)
            rc = err_set(err, ERR_CORRUPT, "%s.model: a blend is no part of itself", element.path);
    }
    model->bytes += sizeof *blend;
    return bundle_fault(rc, err);
}

enum err_code blend_golden_row(const struct model *blend, const struct json_at *row,
                               double *ret_got, struct err *err)
{
    static const char *const known[] = {"scores", "score", NULL};
    const char *names[BLEND_PARTS_MAX + 1] = {NULL};
    double scores[BLEND_PARTS_MAX];
    struct json_at given = json_member(row, "scores");
    enum err_code rc = json_only(row, known, err);
    for (uint32_t i = 0; i < blend_part_count(blend); i++)
        names[i] = blend_part_at(blend, i)->model;
    if (rc == ERR_OK)
        rc = json_only(&given, names, err);
    for (uint32_t i = 0; i < blend_part_count(blend) && rc == ERR_OK; i++) {
        struct json_at at = json_member(&given, names[i]);
        scores[i] = NAN;
        if (at.value != NULL)
            rc = json_real(&at, -1e300, 1e300, &scores[i], err);
        else if (isnan(blend_part_at(blend, i)->fallback))
            rc = err_set(err, ERR_CORRUPT, "%s: missing, and the part has no default", at.path);
    }
    if (rc == ERR_OK)
        *ret_got = blend_of_scores(blend, scores);
    return rc;
}

void blend_destroy(struct blend *blend)
{
    if (blend == NULL)
        return;
    for (uint32_t i = 0; i < BLEND_PARTS_MAX; i++)
        free(blend->column[i]);
    free(blend->feature);
    free(blend);
}

uint32_t blend_part_count(const struct model *blend)
{
    return blend->as.blend->part_count;
}

const struct blend_part *blend_part_at(const struct model *blend, uint32_t index)
{
    ASSERT(index < blend->as.blend->part_count);
    return &blend->as.blend->part[index];
}

/* ---- assembling ------------------------------------------------------------------------------ */

static enum err_code check_part(const struct model *blend, uint32_t index, const struct model *part,
                                struct err *err)
{
    const struct blend_part *wanted = blend_part_at(blend, index);
    if (part == NULL && isnan(wanted->fallback))
        return err_set(err, ERR_NOT_FOUND,
                       "%s: its part '%s' does not serve, and has no default in the manifest",
                       blend->label, wanted->model);
    if (part != NULL && !ranker_is(part->kind))
        return err_set(err, ERR_BAD_INPUT,
                       "%s: its part '%s' is of the kind %s, expected linear, trees or mlp",
                       blend->label, wanted->model, model_kind_name(part->kind));
    return ERR_OK;
}

/* The column of a feature among those of the blend, added when it is new. */
static enum err_code add_feature(struct blend *blend, const struct bundle_feature *feature,
                                 const char *label, uint32_t *ret_column, struct err *err)
{
    for (uint32_t i = 0; i < blend->feature_count; i++) {
        if (strcmp(blend->feature[i].name, feature->name) == 0) {
            blend->feature[i].optional |= feature->optional;
            *ret_column = i;
            return ERR_OK;
        }
    }
    if (blend->feature_count == BUNDLE_FEATURES_MAX)
        return err_set(err, ERR_LIMIT, "%s: its parts have more than %d features", label,
                       BUNDLE_FEATURES_MAX);
    struct bundle_feature *added = &blend->feature[blend->feature_count];
    /* Each part has its own fallback. */
    *added = (struct bundle_feature){.fallback = NAN, .optional = feature->optional};
    memcpy(added->name, feature->name, sizeof added->name);
    *ret_column = blend->feature_count++;
    return ERR_OK;
}

static enum err_code add_part(struct blend *blend, uint32_t index, const struct model *part,
                              const char *label, struct err *err)
{
    enum err_code rc = ERR_OK;
    blend->model[index] = part;
    if (part == NULL)
        return ERR_OK;
    uint32_t *column = malloc((part->feature_count + 1ULL) * sizeof *column);
    blend->column[index] = column;
    if (column == NULL)
        return err_set(err, ERR_NOMEM, "%s: out of memory for its parts", label);
    for (uint32_t f = 0; f < part->feature_count && rc == ERR_OK; f++)
        rc = add_feature(blend, &part->feature[f], label, &column[f], err);
    size_t scratch = ranker_scratch_bytes(part);
    if (part->feature_count > blend->widest)
        blend->widest = part->feature_count;
    if (scratch > blend->scratch_bytes)
        blend->scratch_bytes = scratch;
    return rc;
}

enum err_code blend_assemble(const struct model *from, const struct model *const *parts,
                             struct model **ret_ranker, struct err *err)
{
    ASSERT(from->kind == MODEL_blend);
    enum err_code rc = ERR_OK;
    for (uint32_t i = 0; i < blend_part_count(from) && rc == ERR_OK; i++)
        rc = check_part(from, i, parts[i], err);
    if (rc != ERR_OK)
        return rc;
    struct model *model = malloc(sizeof *model);
    struct blend *blend = calloc(1, sizeof *blend);
    struct bundle_feature *feature = calloc(BUNDLE_FEATURES_MAX, sizeof *feature);
    if (model == NULL || blend == NULL || feature == NULL) {
        free(model);
        free(blend);
        free(feature);
        return err_set(err, ERR_NOMEM, "%s: out of memory for its parts", from->label);
    }
    *model = *from;
    model->as.blend = blend;
    blend->from = from;
    blend->feature = feature;
    blend->part_count = blend_part_count(from);
    memcpy(blend->part, from->as.blend->part, sizeof blend->part);
    for (uint32_t i = 0; i < blend->part_count && rc == ERR_OK; i++)
        rc = add_part(blend, i, parts[i], from->label, err);
    model->feature = feature;
    model->feature_count = blend->feature_count;
    if (rc != ERR_OK)
        blend_release(&model);
    else
        *ret_ranker = model;
    return rc;
}

void blend_release(struct model **ranker)
{
    if (*ranker == NULL)
        return;
    blend_destroy((*ranker)->as.blend);
    free(*ranker);
    *ranker = NULL;
}

bool blend_has(const struct model *ranker, const struct model *model)
{
    const struct blend *blend = ranker->as.blend;
    bool has = blend->from == model;
    for (uint32_t i = 0; i < blend->part_count; i++)
        has = has || blend->model[i] == model;
    return has;
}

const struct model *blend_part_model(const struct model *ranker, uint32_t index)
{
    ASSERT(index < ranker->as.blend->part_count);
    return ranker->as.blend->model[index];
}
