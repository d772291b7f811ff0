/* SPDX-License-Identifier: Apache-2.0 */
/* Binds a ranker's features to their sources, by name. */
#include <stdlib.h>
#include <string.h>

#include "base/rcu.h"
#include "server/decide/snapshot_internal.h"

static bool bind_source(const struct policy_slot *slot, struct text kind,
                        struct rank_binding *binding)
{
    for (uint32_t i = 0; i < slot->source_count; i++) {
        if (text_is(kind, policy_source_name(slot->source[i].kind))) {
            *binding = (struct rank_binding){.from = BIND_SOURCE, .id = i, .of_item = true};
            return true;
        }
    }
    return false;
}

/* BIND_NONE also stands for a list of ids, which has no numeric value. */
static bool bind_stored(const struct store *store, struct text name, struct rank_binding *binding)
{
    struct feature feature;
    rcu_read_begin();
    bool is_known = feature_bind(store, name, &feature);
    rcu_read_end();
    if (!is_known)
        return false;
    feature.name = NULL;
    if (feature.is_ids)
        *binding = (struct rank_binding){.from = BIND_NONE};
    else
        *binding = (struct rank_binding){
            .from = BIND_FEATURE, .feature = feature, .of_item = feature_needs_item(&feature)};
    return true;
}

static bool is_optional(const struct bundle_feature *feature, struct rank_binding *binding)
{
    *binding = (struct rank_binding){.from = BIND_NONE};
    return feature->optional;
}

static enum err_code bind_feature(const struct policy_slot *slot, const struct store *store,
                                  const struct bundle_feature *feature,
                                  struct rank_binding *binding, struct err *err)
{
    struct text text = text_of(feature->name);
    struct text rest = {0};
    if (bind_stored(store, text, binding))
        return ERR_OK;
    *binding = (struct rank_binding){.of_item = true};
    switch (decision_feature_find(text, &rest)) {
    case DECISION_FEATURE_CALLER_SCORE: binding->from = BIND_CALLER_SCORE; break;
    case DECISION_FEATURE_BLEND_SCORE: binding->from = BIND_BLEND_SCORE; break;
    case DECISION_FEATURE_PAIR_DAYS: binding->from = BIND_PAIR_DAYS; break;
    case DECISION_FEATURE_PAIR_AGE_S: binding->from = BIND_PAIR_AGE_S; break;
    case DECISION_FEATURE_REQUEST:
        binding->from = BIND_REQUEST;
        binding->name = rest;
        break;
    case DECISION_FEATURE_SOURCE:
        return bind_source(slot, rest, binding) || is_optional(feature, binding)
                   ? ERR_OK
                   : err_set(err, ERR_BAD_INPUT,
                             "slot %s: feature %.64s: the slot has no such source", slot->name,
                             feature->name);
    case DECISION_FEATURE_NONE:
        return is_optional(feature, binding)
                   ? ERR_OK
                   : err_set(err, ERR_BAD_INPUT, "slot %s: ranker %s: unknown feature '%.64s'",
                             slot->name, slot->ranker, feature->name);
    }
    return ERR_OK;
}

enum err_code snapshot_check_features(const struct model *ranker, const struct store *store,
                                      struct err *err)
{
    for (uint32_t i = 0; i < ranker->feature_count; i++) {
        const char *name = ranker->feature[i].name;
        struct rank_binding binding;
        struct text rest;
        bool is_stored = bind_stored(store, text_of(name), &binding);
        if (ranker->feature[i].optional)
            continue;
        if (is_stored && binding.from == BIND_NONE)
            return err_set(err, ERR_BAD_INPUT,
                           "manifest.json: features[%u]: '%.64s' is a list of ids and has no "
                           "number",
                           i, name);
        if (!is_stored && decision_feature_find(text_of(name), &rest) == DECISION_FEATURE_NONE)
            return err_set(err, ERR_BAD_INPUT,
                           "manifest.json: features[%u]: nothing supplies '%.64s' "
                           "(docs/policies.md)",
                           i, name);
    }
    return ERR_OK;
}

enum err_code snapshot_bind_ranker(const struct policy_slot *slot, const struct store *store,
                                   struct slot_models *models, struct err *err)
{
    enum err_code rc = ERR_OK;
    if (models->ranker == NULL)
        return ERR_OK;
    uint32_t count = models->ranker->feature_count;
    models->binding = calloc(count > 0 ? count : 1, sizeof *models->binding);
    if (models->binding == NULL)
        return err_set(err, ERR_NOMEM, "slot %s: no memory for its ranker", slot->name);
    for (uint32_t i = 0; i < count && rc == ERR_OK; i++)
        rc = bind_feature(slot, store, &models->ranker->feature[i], &models->binding[i], err);
    return rc;
}
