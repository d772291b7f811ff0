/* SPDX-License-Identifier: Apache-2.0 */
/* Ratios: features of features, which are read when the names of all are known. */
#include "featurestore/definitions_internal.h"
#include "featurestore/features.h"

static enum err_code read_part(const struct json_at *at, const struct definitions *definitions,
                               const struct definition *ratio, struct definition_part *ret_part,
                               struct err *err)
{
    const char *name = NULL;
    enum err_code rc = json_string(at, &name, err);
    if (rc != ERR_OK)
        return rc;
    const struct feature *builtin = feature_builtin(text_of(name));
    if (builtin != NULL && ratio->key == (builtin->subject == FEATURE_ITEM ? KEY_item : KEY_user)) {
        *ret_part = (struct definition_part){.is_builtin = true, .id = builtin->id};
        return ERR_OK;
    }
    const struct definition *part = definitions_find(definitions, text_of(name));
    if (part == NULL && builtin == NULL)
        return err_set(err, ERR_BAD_INPUT, "%s: there is no feature '%.64s'", at->path, name);
    if (part == NULL || part->key != ratio->key)
        return err_set(err, ERR_BAD_INPUT, "%s: expected a feature of the key %s, got '%.64s'",
                       at->path, feature_key_name(ratio->key), name);
    if (part->kind == FEATURE_KIND_ratio || definition_is_list_of_ids(part))
        return err_set(err, ERR_BAD_INPUT, "%s: expected a number that is no ratio, got '%.64s'",
                       at->path, name);
    *ret_part = (struct definition_part){.id = (uint32_t)(part - definitions->definition)};
    return ERR_OK;
}

static enum err_code read_lower(const struct json_at *per, const struct definitions *definitions,
                                struct definition *ratio, struct err *err)
{
    ratio->lower_count = 1;
    if (per->value == NULL || !cJSON_IsArray(per->value))
        return read_part(per, definitions, ratio, &ratio->lower[0], err);
    int count = cJSON_GetArraySize(per->value);
    if (count < 1 || count > DEFINITION_PARTS_MAX)
        return err_set(err, ERR_BAD_INPUT, "%s: expected 1..%d names, got %d", per->path,
                       DEFINITION_PARTS_MAX, count);
    ratio->lower_count = (uint32_t)count;
    enum err_code rc = ERR_OK;
    for (int i = 0; i < count && rc == ERR_OK; i++) {
        struct json_at element = json_element(per, i);
        rc = read_part(&element, definitions, ratio, &ratio->lower[i], err);
    }
    return rc;
}

static enum err_code read_prior(const struct json_at *at, struct definition *ratio, struct err *err)
{
    double *const prior[] = {&ratio->prior_hits, &ratio->prior_misses};
    int count = 0;
    if (at->value == NULL)
        return ERR_OK;
    enum err_code rc = json_array(at, &count, err);
    if (rc == ERR_OK && count != 2)
        rc = err_set(err, ERR_BAD_INPUT, "%s: expected [hits, misses], got %d values", at->path,
                     count);
    for (int i = 0; i < count && rc == ERR_OK; i++) {
        struct json_at element = json_element(at, i);
        rc = json_real(&element, 0, 1e9, prior[i], err);
    }
    return rc;
}

enum err_code definitions_read_ratios(const struct json_at *features,
                                      struct definitions *definitions, struct err *err)
{
    enum err_code rc = ERR_OK;
    for (uint32_t i = 0; i < definitions->count && rc == ERR_OK; i++) {
        struct definition *ratio = &definitions->definition[i];
        if (ratio->kind != FEATURE_KIND_ratio)
            continue;
        struct json_at at = json_member(features, ratio->name);
        struct json_at upper = json_member(&at, "of");
        struct json_at lower = json_member(&at, "per");
        struct json_at prior = json_member(&at, "prior");
        rc = read_part(&upper, definitions, ratio, &ratio->upper, err);
        if (rc == ERR_OK)
            rc = read_lower(&lower, definitions, ratio, err);
        if (rc == ERR_OK)
            rc = read_prior(&prior, ratio, err);
    }
    return rc;
}
