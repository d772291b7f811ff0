/* SPDX-License-Identifier: Apache-2.0 */
#include "server/decide/policy.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "server/decide/policy_rules.h"

#define POLICY_BYTES_MAX       ((size_t)1 << 20)
#define POLICY_COUNT_DEFAULT   300
#define POLICY_HISTORY_DEFAULT 50

const char *policy_source_name(enum policy_source_kind kind)
{
    static const char *const names[SOURCE_KIND_COUNT] = {
#define X(name) #name,
        POLICY_SOURCES(X)
#undef X
    };
    return kind < SOURCE_KIND_COUNT ? names[kind] : "none";
}

static const char *const source_names[] = {
#define X(name) #name,
    POLICY_SOURCES(X)
#undef X
        NULL};
static const char *const window_names[] = {"1h", "1d", "7d", "14d", "30d", NULL};
static const char *const bought_names[] = {"exclude", "allow", NULL};

/* A model's name: plain, or "*" for the first one of the kind that is wanted. */
static enum err_code parse_model(const struct json_at *object, const char *key,
                                 char ret_model[MODEL_NAME_BYTES], struct err *err)
{
    struct json_at at = json_member(object, key);
    const char *value = NULL;
    if (at.value == NULL)
        return ERR_OK;
    enum err_code rc = json_string(&at, &value, err);
    if (rc != ERR_OK)
        return rc;
    if (strcmp(value, "*") != 0 && !file_is_plain_name(value))
        return err_set(
            err, ERR_BAD_INPUT,
            "%s: expected a model name of 1..64 letters, digits, '.', '_' or '-', or '*', "
            "got '%.64s'",
            at.path, value);
    memcpy(ret_model, value, strlen(value) + 1);
    return ERR_OK;
}

static enum err_code parse_window(const struct json_at *object, const char *key,
                                  enum store_window *ret_window, struct err *err)
{
    struct json_at at = json_member(object, key);
    uint32_t index = *ret_window;
    enum err_code rc = at.value == NULL ? ERR_OK : json_name(&at, window_names, &index, err);
    if (rc == ERR_OK)
        *ret_window = (enum store_window)index;
    return rc;
}

static enum err_code parse_source(const struct json_at *at, struct policy_source *source,
                                  struct err *err)
{
    static const char *const known[] = {"source", "model",   "weight", "count",
                                        "window", "history", NULL};
    uint32_t kind = 0;
    double weight = 1.0;
    int64_t count = POLICY_COUNT_DEFAULT;
    int64_t history = POLICY_HISTORY_DEFAULT;
    enum err_code rc = json_only(at, known, err);
    struct json_at member = json_member(at, "source");
    if (rc == ERR_OK)
        rc = json_name(&member, source_names, &kind, err);
    member = json_member(at, "weight");
    if (rc == ERR_OK && member.value != NULL)
        rc = json_real(&member, 0, 1000, &weight, err);
    member = json_member(at, "count");
    if (rc == ERR_OK && member.value != NULL)
        rc = json_int(&member, 1, POLICY_COUNT_MAX, &count, err);
    member = json_member(at, "history");
    if (rc == ERR_OK && member.value != NULL && kind != SOURCE_neighbors)
        rc = err_set(err, ERR_BAD_INPUT, "%s: only the source 'neighbors' takes it", member.path);
    if (rc == ERR_OK && member.value != NULL)
        rc = json_int(&member, 1, POLICY_HISTORY_MAX, &history, err);
    *source = (struct policy_source){.kind = (enum policy_source_kind)kind,
                                     .window = STORE_WINDOW_14D,
                                     .weight = (float)weight,
                                     .count = (uint32_t)count,
                                     .history = (uint32_t)history};
    if (rc == ERR_OK)
        rc = parse_window(at, "window", &source->window, err);
    if (rc == ERR_OK)
        rc = parse_model(at, "model", source->model, err);
    bool needs_model = kind != SOURCE_repeat && kind != SOURCE_popular;
    if (rc == ERR_OK && needs_model && source->model[0] == '\0')
        memcpy(source->model, "*", 2);
    if (rc == ERR_OK && !needs_model && source->model[0] != '\0')
        rc = err_set(err, ERR_BAD_INPUT, "%s.model: the source '%s' uses no model", at->path,
                     source_names[kind]);
    return rc;
}

static enum err_code parse_sources(const struct json_at *slot_at, struct policy_slot *slot,
                                   struct err *err)
{
    struct json_at at = json_member(slot_at, "sources");
    int count = 0;
    enum err_code rc = json_array(&at, &count, err);
    if (rc == ERR_OK && (count < 1 || count > POLICY_SOURCES_MAX))
        rc = err_set(err, ERR_BAD_INPUT, "%s: expected 1..%d sources, got %d", at.path,
                     POLICY_SOURCES_MAX, count);
    for (int i = 0; i < count && rc == ERR_OK; i++) {
        struct json_at element = json_element(&at, i);
        rc = parse_source(&element, &slot->source[i], err);
    }
    slot->source_count = rc == ERR_OK ? (uint32_t)count : 0;
    return rc;
}

/* How much must be in stock: "in_stock" says one, or nothing. */
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

static enum err_code parse_slot(const struct json_at *at, struct policy_set *set,
                                struct policy_slot *slot, struct err *err)
{
    static const char *const known[] = {
        "sources",        "bought",  "in_stock", "min_stock", "catalogue_only", "ranker",  "prices",
        "generic_window", "filters", "boosts",   "pins",      "diversity",      "repeats", NULL};
    const char *name = at->value->string;
    if (!file_is_plain_name(name))
        return err_set(err, ERR_BAD_INPUT,
                       "%s: expected a slot name of 1..64 letters, digits, '.', '_' or '-'",
                       at->path);
    *slot = (struct policy_slot){.generic_window = STORE_WINDOW_14D};
    memcpy(slot->name, name, strlen(name) + 1);
    uint32_t bought = BOUGHT_EXCLUDE;
    enum err_code rc = json_only(at, known, err);
    if (rc == ERR_OK)
        rc = parse_sources(at, slot, err);
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
        rc = parse_model(at, "ranker", slot->ranker, err);
    if (rc == ERR_OK)
        rc = parse_model(at, "prices", slot->prices, err);
    if (rc == ERR_OK)
        rc = parse_window(at, "generic_window", &slot->generic_window, err);
    return rc == ERR_OK ? policy_parse_rules(at, &set->fields, slot, err) : rc;
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
    const char *name = NULL;
    if (at.value == NULL)
        return ERR_OK; /* the first slot */
    enum err_code rc = json_string(&at, &name, err);
    for (uint32_t i = 0; i < set->slot_count && rc == ERR_OK; i++) {
        if (strcmp(set->slot[i].name, name) == 0) {
            set->default_slot = i;
            return ERR_OK;
        }
    }
    return rc != ERR_OK
               ? rc
               : err_set(err, ERR_BAD_INPUT, "%s: there is no slot '%.64s'", at.path, name);
}

static enum err_code parse_root(const struct json_at *root, struct policy_set *set, struct err *err)
{
    static const char *const known[] = {"version", "default", "slots", NULL};
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
        rc = parse_slots(root, set, err);
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
    enum err_code rc = json_parse(name, bytes, len, &json, err);
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
    for (uint32_t i = 0; i < (*set)->slot_count; i++)
        policy_free_rules(&(*set)->slot[i]);
    policy_fields_deinit(&(*set)->fields);
    free(*set);
    *set = NULL;
}
