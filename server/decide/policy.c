/* SPDX-License-Identifier: Apache-2.0 */
#include "server/decide/policy.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "server/decide/policy_choice.h"
#include "server/decide/policy_rules.h"
#include "server/decide/policy_sources.h"

#define POLICY_BYTES_MAX ((size_t)1 << 20)

static const char *const bought_names[] = {"exclude", "allow", NULL};

/* The required stock: `min_stock`, else 1, or 0 with "in_stock": false. */
static enum err_code parse_stock(const struct json_at *at, struct policy_slot *slot,
                                 struct err *err)
{
    bool in_stock = true;
    int64_t min_stock = 0;
    struct json_at flag = json_member(at, "in_stock"), number = json_member(at, "min_stock");
    enum err_code rc = flag.value == NULL ? ERR_OK : json_bool(&flag, &in_stock, err);
    if (rc == ERR_OK && flag.value != NULL && number.value != NULL)
        rc = err_set(err, ERR_BAD_INPUT, "%s: give one of in_stock and min_stock", at->path);
    if (rc == ERR_OK && number.value != NULL)
        rc = json_int(&number, 0, INT32_MAX, &min_stock, err);
    slot->min_stock = number.value != NULL ? (int32_t)min_stock : in_stock;
    return rc;
}

/* A source that brings nothing but what the slot leaves out is a mistake. */
static enum err_code check_bought(const struct json_at *slot_at, const struct policy_slot *slot,
                                  struct err *err)
{
    struct json_at sources = json_member(slot_at, "sources");
    for (uint32_t s = 0; s < slot->source_count && slot->bought == BOUGHT_EXCLUDE; s++) {
        struct json_at at = json_element(&sources, (int)s);
        if (slot->source[s].kind == SOURCE_repeat)
            return err_set(err, ERR_BAD_INPUT,
                           "%s: 'repeat' brings only what was bought before, which the slot leaves "
                           "out: expected \"bought\": \"allow\"",
                           at.path);
    }
    return ERR_OK;
}

static enum err_code parse_slot(const struct json_at *at, struct policy_set *set,
                                struct policy_slot *slot, struct err *err)
{
    static const char *const known[] = {
        "sources", "bought",         "in_stock", "min_stock", "catalogue_only", "ranker",
        "prices",  "generic_window", "filters",  "boosts",    "pins",           "diversity",
        "repeats", "freshness",      "seen",     "fallback",  "budget_us",      NULL};
    const char *name = at->value->string;
    if (!file_is_plain_name(name))
        return err_set(err, ERR_BAD_INPUT,
                       "%s: expected a slot name of 1..64 letters, digits, '.', '_' or '-'",
                       at->path);
    *slot = (struct policy_slot){.generic_window = STORE_WINDOW_14D, .mmr = {.lambda = 1.0f}};
    memcpy(slot->name, name, strlen(name) + 1);
    uint32_t bought = BOUGHT_EXCLUDE;
    enum err_code rc = json_only(at, known, err);
    if (rc == ERR_OK)
        rc = policy_parse_sources(at, set, slot, err);
    struct json_at member = json_member(at, "bought");
    if (rc == ERR_OK && member.value != NULL)
        rc = json_name(&member, bought_names, &bought, err);
    slot->bought = (enum policy_bought)bought;
    if (rc == ERR_OK)
        rc = parse_stock(at, slot, err);
    member = json_member(at, "catalogue_only");
    if (rc == ERR_OK && member.value != NULL)
        rc = json_bool(&member, &slot->catalogue_only, err);
    member = json_member(at, "repeats");
    if (rc == ERR_OK && member.value != NULL)
        rc = json_bool(&member, &slot->repeats, err);
    if (rc == ERR_OK)
        rc = policy_parse_model(at, "ranker", slot->ranker, err);
    if (rc == ERR_OK)
        rc = policy_parse_model(at, "prices", slot->prices, err);
    if (rc == ERR_OK)
        rc = policy_parse_window(at, "generic_window", &slot->generic_window, err);
    if (rc == ERR_OK)
        rc = policy_parse_rules(at, &set->fields, slot, err);
    if (rc == ERR_OK)
        rc = policy_parse_choice(at, set, slot, err);
    return rc == ERR_OK ? check_bought(at, slot, err) : rc;
}

static enum err_code parse_slots(const struct json_at *root, struct policy_set *set,
                                 struct err *err)
{
    struct json_at at = json_member(root, "slots");
    enum err_code rc = json_object(&at, err);
    if (rc != ERR_OK)
        return rc;
    for (const cJSON *child = at.value->child; child != NULL && rc == ERR_OK; child = child->next) {
        struct json_at slot_at = json_member(&at, child->string);
        if (set->slot_count == POLICY_SLOTS_MAX)
            return err_set(err, ERR_LIMIT, "%s: more than %d slots", at.path, POLICY_SLOTS_MAX);
        rc = json_object(&slot_at, err);
        if (rc == ERR_OK)
            rc = parse_slot(&slot_at, set, &set->slot[set->slot_count++], err);
    }
    if (rc == ERR_OK && set->slot_count == 0)
        rc = err_set(err, ERR_BAD_INPUT, "%s: expected at least one slot", at.path);
    return rc;
}

static enum err_code parse_default(const struct json_at *root, struct policy_set *set,
                                   struct err *err)
{
    struct json_at at = json_member(root, "default");
    const char *names[POLICY_SLOTS_MAX + 1] = {NULL};
    const char *name = NULL;
    if (at.value == NULL)
        return ERR_OK; /* the first slot */
    enum err_code rc = json_string(&at, &name, err);
    for (uint32_t i = 0; i < set->slot_count && rc == ERR_OK; i++) {
        names[i] = set->slot[i].name;
        if (strcmp(names[i], name) == 0) {
            set->default_slot = i;
            return ERR_OK;
        }
    }
    if (rc != ERR_OK)
        return rc;
    const char *nearest = json_nearest(text_of(name), names);
    return err_set(err, ERR_BAD_INPUT, "%s: there is no slot '%.64s'%s%s%s", at.path, name,
                   nearest != NULL ? ", did you mean '" : "", nearest != NULL ? nearest : "",
                   nearest != NULL ? "'?" : "");
}

static enum err_code parse_root(const struct json_at *root, struct policy_set *set, struct err *err)
{
    static const char *const known[] = {"version", "default", "slots", "lists", NULL};
    enum err_code rc = json_object(root, err);
    if (rc == ERR_OK)
        rc = json_only(root, known, err);
    struct json_at at = json_member(root, "version");
    const char *version = "unversioned";
    if (rc == ERR_OK && at.value != NULL)
        rc = json_string(&at, &version, err);
    if (rc == ERR_OK && !file_is_plain_name(version))
        rc = err_set(err, ERR_BAD_INPUT,
                     "%s: expected 1..64 letters, digits, '.', '_' or '-', got '%.64s'", at.path,
                     version);
    if (rc == ERR_OK)
        memcpy(set->version, version, strlen(version) + 1);
    if (rc == ERR_OK)
        rc = policy_parse_lists(root, set, err);
    if (rc == ERR_OK)
        rc = parse_slots(root, set, err);
    for (uint32_t i = 0; i < set->slot_count && rc == ERR_OK; i++)
        rc = policy_resolve_fallback(root, set, &set->slot[i], err);
    if (rc == ERR_OK)
        rc = parse_default(root, set, err);
    return rc;
}

enum err_code policy_parse(const char *name, const char *bytes, size_t len,
                           const struct store *store, struct policy_set **ret_set, struct err *err)
{
    if (len > POLICY_BYTES_MAX)
        return err_set(err, ERR_LIMIT, "%s: longer than 1 MiB", name);
    cJSON *json = NULL;
    struct policy_set *set = NULL;
    enum err_code rc = json_parse_placed(name, bytes, len, &json, err);
    if (rc != ERR_OK)
        return rc;
    set = calloc(1, sizeof *set);
    if (set == NULL) {
        rc = err_set(err, ERR_NOMEM, "%s: no memory for the policies", name);
        goto out;
    }
    struct json_at root = json_root(name, json);
    set->fields.store = store;
    rc = parse_root(&root, set, err);
    if (rc != ERR_OK)
        goto out;
    set->fields.store = NULL;
    *ret_set = set;
    set = NULL;
out:
    policy_destroy(&set);
    cJSON_Delete(json);
    return rc;
}

enum err_code policy_builtin(struct policy_set **ret_set, struct err *err)
{
    static const char builtin[] =
        "{\"version\": \"builtin\", \"slots\": {"
        "\"home\": {\"bought\": \"exclude\", \"ranker\": \"*\", \"prices\": \"*\", \"sources\": ["
        "  {\"source\": \"neighbors\", \"model\": \"*\", \"weight\": 1.0},"
        "  {\"source\": \"factors\", \"model\": \"*\", \"weight\": 0.5},"
        "  {\"source\": \"popular\", \"window\": \"14d\", \"weight\": 0.05}]},"
        "\"again\": {\"bought\": \"allow\", \"ranker\": \"*\", \"prices\": \"*\", \"sources\": ["
        "  {\"source\": \"repeat\", \"weight\": 0.5},"
        "  {\"source\": \"neighbors\", \"model\": \"*\", \"weight\": 1.0},"
        "  {\"source\": \"factors\", \"model\": \"*\", \"weight\": 0.5},"
        "  {\"source\": \"popular\", \"window\": \"14d\", \"weight\": 0.05}]}}}";
    return policy_parse("builtin policy", builtin, sizeof builtin - 1, NULL, ret_set, err);
}

void policy_destroy(struct policy_set **set)
{
    if (*set == NULL)
        return;
    for (uint32_t i = 0; i < (*set)->slot_count; i++) {
        policy_free_sources(&(*set)->slot[i]);
        policy_free_rules(&(*set)->slot[i]);
        expr_destroy(&(*set)->slot[i].seen.since);
    }
    policy_free_lists(*set);
    policy_fields_deinit(&(*set)->fields);
    free(*set);
    *set = NULL;
}
