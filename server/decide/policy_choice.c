/* SPDX-License-Identifier: Apache-2.0 */
#include "server/decide/policy_choice.h"

#include <string.h>

#include "server/decide/policy_rules.h"
#include "server/decide/policy_sources.h"

#define DEPTH_DEFAULT 100
#define DEPTH_MAX     500
#define DAY_S         86400u

static enum err_code parse_limit(const struct json_at *object, const char *key, uint32_t *ret_limit,
                                 struct err *err)
{
    struct json_at at = json_member(object, key);
    int64_t limit = 0;
    enum err_code rc = at.value == NULL ? ERR_OK : json_int(&at, 1, 1000, &limit, err);
    *ret_limit = (uint32_t)limit;
    return rc;
}

/* Similarity by factors uses the slot's own factor source; by content it needs a list. */
static enum err_code check_likeness(const struct json_at *at, struct policy_set *set,
                                    struct policy_slot *slot, struct err *err)
{
    bool has_vectors = false;
    for (uint32_t s = 0; s < slot->source_count; s++)
        has_vectors = has_vectors || policy_has_vector(slot->source[s].kind);
    if (slot->mmr.likeness == LIKE_FACTORS && !has_vectors)
        return err_set(err, ERR_BAD_INPUT,
                       "%s: likeness by factors needs a source of factors or embeddings", at->path);
    return slot->mmr.likeness == LIKE_CONTENT
               ? policy_add_content_list(at, set, &slot->mmr.list, err)
               : ERR_OK;
}

static enum err_code parse_mmr(const struct json_at *object, struct policy_set *set,
                               struct policy_slot *slot, struct err *err)
{
    static const char *const known[] = {"lambda", "depth", "by", NULL};
    static const char *const by_names[] = {"category", "content", "factors", NULL};
    struct json_at at = json_member(object, "mmr");
    double lambda = 0.0;
    int64_t depth = DEPTH_DEFAULT;
    uint32_t by = LIKE_CATEGORY;
    if (at.value == NULL)
        return ERR_OK;
    enum err_code rc = json_object(&at, err);
    if (rc == ERR_OK)
        rc = json_only(&at, known, err);
    struct json_at member = json_member(&at, "lambda");
    if (rc == ERR_OK)
        rc = json_real(&member, 0.0, 1.0, &lambda, err);
    member = json_member(&at, "depth");
    if (rc == ERR_OK && member.value != NULL)
        rc = json_int(&member, 2, DEPTH_MAX, &depth, err);
    member = json_member(&at, "by");
    if (rc == ERR_OK && member.value != NULL)
        rc = json_name(&member, by_names, &by, err);
    slot->mmr = (struct policy_mmr){
        .lambda = (float)lambda, .depth = (uint32_t)depth, .likeness = (enum policy_likeness)by};
    return rc == ERR_OK ? check_likeness(&at, set, slot, err) : rc;
}

static enum err_code parse_diversity(const struct json_at *slot_at, struct policy_set *set,
                                     struct policy_slot *slot, struct err *err)
{
    static const char *const known[] = {"per_category", "per_brand", "mmr", NULL};
    struct json_at at = json_member(slot_at, "diversity");
    if (at.value == NULL)
        return ERR_OK;
    enum err_code rc = json_object(&at, err);
    if (rc == ERR_OK)
        rc = json_only(&at, known, err);
    if (rc == ERR_OK)
        rc = parse_limit(&at, "per_category", &slot->per_category, err);
    if (rc == ERR_OK)
        rc = parse_limit(&at, "per_brand", &slot->per_brand, err);
    return rc == ERR_OK ? parse_mmr(&at, set, slot, err) : rc;
}

static enum err_code parse_freshness(const struct json_at *slot_at, struct policy_slot *slot,
                                     struct err *err)
{
    static const char *const known[] = {"boost", "half_life", NULL};
    struct json_at at = json_member(slot_at, "freshness");
    double boost = 0.0;
    if (at.value == NULL)
        return ERR_OK;
    slot->freshness.half_life_s = 14 * DAY_S;
    enum err_code rc = json_object(&at, err);
    if (rc == ERR_OK)
        rc = json_only(&at, known, err);
    struct json_at member = json_member(&at, "boost");
    if (rc == ERR_OK)
        rc = json_real(&member, 0.001, 100.0, &boost, err);
    slot->freshness.boost = (float)boost;
    member = json_member(&at, "half_life");
    return rc == ERR_OK
               ? json_duration(&member, 3600, 366 * DAY_S, &slot->freshness.half_life_s, err)
               : rc;
}

static enum err_code parse_seen(const struct json_at *slot_at, struct policy_set *set,
                                struct policy_slot *slot, struct err *err)
{
    static const char *const known[] = {"within", "since", NULL};
    struct json_at at = json_member(slot_at, "seen");
    if (at.value == NULL)
        return ERR_OK;
    enum err_code rc = json_object(&at, err);
    if (rc == ERR_OK)
        rc = json_only(&at, known, err);
    struct json_at within = json_member(&at, "within"), since = json_member(&at, "since");
    if (rc == ERR_OK && within.value == NULL)
        rc = err_set(err, ERR_NOT_FOUND, "%s: missing", within.path);
    if (rc == ERR_OK)
        rc = json_duration(&within, 1, 366 * DAY_S, &slot->seen.within_s, err);
    return rc == ERR_OK ? policy_compile_number(&since, &set->fields, slot, &slot->seen.since, err)
                        : rc;
}

/* ---- where it turns to ----------------------------------------------------------------------- */

static enum err_code parse_fallback_level(const struct json_at *at, enum level *ret_level,
                                          struct err *err)
{
    static const char *const names[] = {"cached", "generic", "static", NULL};
    uint32_t index = 0;
    enum err_code rc = json_name(at, names, &index, err);
    *ret_level = (enum level)(LEVEL_cached + index);
    return rc;
}

static enum err_code parse_fallback(const struct json_at *slot_at, struct policy_slot *slot,
                                    struct err *err)
{
    static const char *const known[] = {"fewer_than", "slot", "level", NULL};
    struct json_at at = json_member(slot_at, "fallback");
    int64_t fewer_than = 1;
    const char *name = NULL;
    slot->fallback.slot = POLICY_NO_SLOT;
    if (at.value == NULL)
        return ERR_OK;
    enum err_code rc = json_object(&at, err);
    if (rc == ERR_OK)
        rc = json_only(&at, known, err);
    struct json_at slot_name = json_member(&at, "slot"), level = json_member(&at, "level");
    if (rc == ERR_OK && (slot_name.value == NULL) == (level.value == NULL))
        rc = err_set(err, ERR_BAD_INPUT, "%s: give one of slot and level", at.path);
    struct json_at member = json_member(&at, "fewer_than");
    if (rc == ERR_OK && member.value != NULL)
        rc = json_int(&member, 1, POLICY_PLACE_MAX, &fewer_than, err);
    slot->fallback.fewer_than = (uint32_t)fewer_than;
    if (rc == ERR_OK && level.value != NULL)
        return parse_fallback_level(&level, &slot->fallback.level, err);
    if (rc == ERR_OK)
        rc = json_string(&slot_name, &name, err);
    if (rc == ERR_OK)
        text_copy(text_of(name), slot->fallback.slot_name, sizeof slot->fallback.slot_name);
    return rc;
}

enum err_code policy_resolve_fallback(const struct json_at *root, const struct policy_set *set,
                                      struct policy_slot *slot, struct err *err)
{
    const char *names[POLICY_SLOTS_MAX + 1] = {NULL};
    const char *wanted = slot->fallback.slot_name;
    for (uint32_t i = 0; i < set->slot_count && wanted[0] != '\0'; i++) {
        names[i] = set->slot[i].name;
        if (strcmp(wanted, names[i]) == 0)
            slot->fallback.slot = i;
    }
    if (wanted[0] == '\0' ||
        (slot->fallback.slot != POLICY_NO_SLOT && &set->slot[slot->fallback.slot] != slot))
        return ERR_OK;
    const char *nearest =
        slot->fallback.slot == POLICY_NO_SLOT ? json_nearest(text_of(wanted), names) : NULL;
    struct json_at slots = json_member(root, "slots"), slot_at = json_member(&slots, slot->name);
    struct json_at fallback = json_member(&slot_at, "fallback"),
                   at = json_member(&fallback, "slot");
    return err_set(err, ERR_BAD_INPUT, "%s: there is no other slot '%.64s'%s%s%s", at.path, wanted,
                   nearest != NULL ? ", did you mean '" : "", nearest != NULL ? nearest : "",
                   nearest != NULL ? "'?" : "");
}

/* ---- what stages may take -------------------------------------------------------------------- */

static enum err_code parse_budget(const struct json_at *slot_at, struct policy_slot *slot,
                                  struct err *err)
{
    static const char *const known[POLICY_STAGE_COUNT + 1] = {"sources", "factors", "ranker", "mmr",
                                                              NULL};
    struct json_at at = json_member(slot_at, "budget_us");
    if (at.value == NULL)
        return ERR_OK;
    enum err_code rc = json_object(&at, err);
    if (rc == ERR_OK)
        rc = json_only(&at, known, err);
    for (uint32_t i = 0; i < POLICY_STAGE_COUNT && rc == ERR_OK; i++) {
        struct json_at member = json_member(&at, known[i]);
        int64_t us = 0;
        if (member.value != NULL)
            rc = json_int(&member, 1, 1000000, &us, err);
        slot->stage_ns[i] = (uint32_t)us * 1000;
    }
    return rc;
}

enum err_code policy_parse_choice(const struct json_at *slot_at, struct policy_set *set,
                                  struct policy_slot *slot, struct err *err)
{
    enum err_code rc = parse_diversity(slot_at, set, slot, err);
    if (rc == ERR_OK)
        rc = parse_freshness(slot_at, slot, err);
    if (rc == ERR_OK)
        rc = parse_seen(slot_at, set, slot, err);
    if (rc == ERR_OK)
        rc = parse_fallback(slot_at, slot, err);
    return rc == ERR_OK ? parse_budget(slot_at, slot, err) : rc;
}
