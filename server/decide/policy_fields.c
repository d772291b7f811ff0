/* SPDX-License-Identifier: Apache-2.0 */
#include "server/decide/policy_fields.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/rcu.h"

static const struct {
    const char *name;
    enum policy_field_kind kind;
    enum expr_type type;
    uint32_t scope;
} plain[] = {
    {"item.id", FIELD_ITEM_ID, EXPR_STRING, POLICY_SCOPE_ITEM},
    {"item.title", FIELD_ITEM_TITLE, EXPR_STRING, POLICY_SCOPE_ITEM},
    {"item.category", FIELD_ITEM_CATEGORY, EXPR_STRING, POLICY_SCOPE_ITEM},
    {"item.brand", FIELD_ITEM_BRAND, EXPR_STRING, POLICY_SCOPE_ITEM},
    {"item.currency", FIELD_ITEM_CURRENCY, EXPR_STRING, POLICY_SCOPE_ITEM},
    {"item.price", FIELD_ITEM_PRICE, EXPR_INT, POLICY_SCOPE_ITEM},
    {"item.cost", FIELD_ITEM_COST, EXPR_INT, POLICY_SCOPE_ITEM},
    {"item.stock", FIELD_ITEM_STOCK, EXPR_INT, POLICY_SCOPE_ITEM},
    {"item.age_s", FIELD_ITEM_AGE_S, EXPR_INT, POLICY_SCOPE_ITEM},
    {"user.id", FIELD_USER_ID, EXPR_STRING, 0},
    {"query", FIELD_QUERY, EXPR_STRING, 0},
    {"now", FIELD_NOW, EXPR_INT, 0},
    {"now.hour", FIELD_HOUR, EXPR_INT, 0},
    {"now.weekday", FIELD_WEEKDAY, EXPR_INT, 0},
    {"score", FIELD_SCORE, EXPR_DOUBLE, POLICY_SCOPE_SCORE},
};
void policy_fields_deinit(struct policy_fields *fields)
{
    for (uint32_t i = 0; i < fields->count; i++)
        free((char *)fields->field[i].name.ptr);
    free(fields->field);
    *fields = (struct policy_fields){0};
}

static bool add(struct policy_fields *fields, struct policy_field field, uint32_t *ret_id)
{
    for (uint32_t i = 0; i < fields->count; i++) {
        if (fields->field[i].kind == field.kind && text_equal(fields->field[i].name, field.name)) {
            *ret_id = i;
            return true;
        }
    }
    if (fields->count == fields->capacity) {
        uint32_t wanted = fields->capacity == 0 ? 16 : 2 * fields->capacity;
        struct policy_field *bigger = realloc(fields->field, wanted * sizeof *bigger);
        fields->no_memory |= bigger == NULL;
        if (bigger == NULL)
            return false;
        fields->field = bigger;
        fields->capacity = wanted;
    }
    char *name = malloc((size_t)field.name.len + 1);
    fields->no_memory |= name == NULL;
    if (name == NULL)
        return false;
    if (field.name.len > 0)
        memcpy(name, field.name.ptr, field.name.len);
    field.name.ptr = name;
    *ret_id = fields->count;
    fields->field[fields->count++] = field;
    return true;
}

/* The part after a prefix such as "context."; empty: the name does not start with it. */
static struct text behind(struct text path, const char *prefix)
{
    uint32_t len = (uint32_t)strlen(prefix);
    if (path.len <= len || memcmp(path.ptr, prefix, len) != 0)
        return (struct text){NULL, 0};
    return (struct text){path.ptr + len, path.len - len};
}

static bool find_plain(struct policy_fields *fields, struct text path, struct expr_field *ret_field)
{
    for (size_t i = 0; i < sizeof plain / sizeof plain[0]; i++) {
        if (!text_is(path, plain[i].name) || (plain[i].kind == FIELD_SCORE && !fields->takes_score))
            continue;
        *ret_field = (struct expr_field){.type = plain[i].type, .scope = plain[i].scope};
        return add(fields, (struct policy_field){.kind = plain[i].kind}, &ret_field->id);
    }
    return false;
}

/* Without a store, any name with the prefix of a feature is accepted. */
static bool may_be_feature(struct text path)
{
    for (uint32_t key = 0; key < FEATURE_KEY_COUNT; key++) {
        const char *prefix = feature_key_name((enum feature_key)key);
        uint32_t len = (uint32_t)strlen(prefix);
        if (path.len > len + 1 && path.ptr[len] == '.' && memcmp(path.ptr, prefix, len) == 0)
            return true;
    }
    return false;
}

static bool find_feature(struct policy_fields *fields, struct text path,
                         struct expr_field *ret_field)
{
    struct feature feature = {.subject = FEATURE_ITEM};
    bool is_known = false;
    if (fields->store != NULL) {
        rcu_read_begin();
        is_known = feature_bind(fields->store, path, &feature);
        rcu_read_end();
    } else {
        const struct feature *builtin = feature_builtin(path);
        is_known = builtin != NULL || may_be_feature(path);
    }
    if (!is_known)
        return false;
    if (feature.is_ids) {
        *ret_field = (struct expr_field){.unfit = "is a list of ids and has no number"};
        return true;
    }
    feature.name = NULL;
    ret_field->type = EXPR_DOUBLE;
    ret_field->scope =
        POLICY_SCOPE_FEATURE | (feature_needs_item(&feature) ? POLICY_SCOPE_ITEM : 0);
    return add(fields,
               (struct policy_field){.kind = FIELD_FEATURE, .name = path, .feature = feature},
               &ret_field->id);
}

static bool find(void *ctx, struct text path, struct expr_field *ret_field)
{
    struct policy_fields *fields = ctx;
    *ret_field = (struct expr_field){.type = EXPR_STRING};
    if (find_plain(fields, path, ret_field))
        return true;
    struct policy_field field = {.kind = FIELD_CONTEXT, .name = behind(path, "context.")};
    if (field.name.ptr != NULL)
        return add(fields, field, &ret_field->id);
    field = (struct policy_field){.kind = FIELD_ITEM_ATTRIBUTE,
                                  .name = behind(path, "item.attributes.")};
    if (field.name.ptr != NULL) {
        *ret_field = (struct expr_field){.type = EXPR_ANY, .scope = POLICY_SCOPE_ITEM};
        return add(fields, field, &ret_field->id);
    }
    return find_feature(fields, path, ret_field);
}

/* ---- did you mean ---------------------------------------------------------------------------- */

/* The names of all fields and features, NULL-terminated, to be freed; inside rcu_read. */
static const char **all_names(const struct policy_fields *fields)
{
    enum { PLAIN = sizeof plain / sizeof plain[0] };
    uint32_t count = 0, at = 0, builtin = feature_builtin_count();
    struct feature feature;
    while (fields->store != NULL && feature_bind_next(fields->store, &count, &feature))
        continue;
    const char **names = calloc((size_t)PLAIN + builtin + count + 1, sizeof *names);
    if (names == NULL)
        return NULL;
    const char **to = names;
    for (uint32_t i = 0; i < PLAIN; i++)
        *to++ = plain[i].name;
    for (uint32_t i = 0; i < builtin && fields->store == NULL; i++)
        *to++ = feature_builtin_at(i)->name;
    while (fields->store != NULL && feature_bind_next(fields->store, &at, &feature))
        *to++ = feature.name;
    return names;
}

/* Prefixes of fields whose last component is free. */
static const char *nearest_open(struct text path)
{
    static const char *const heads[] = {"context", "item.attributes", NULL};
    static const char *const shown[] = {"context.NAME", "item.attributes.NAME"};
    uint32_t len = path.len;
    while (len > 0 && path.ptr[len - 1] != '.')
        len--;
    const char *head = json_nearest(len > 0 ? (struct text){path.ptr, len - 1} : path, heads);
    return head == NULL ? NULL : shown[head == heads[0] ? 0 : 1];
}

static const char *nearest(void *ctx, struct text path)
{
    struct policy_fields *fields = ctx;
    rcu_read_begin();
    const char **names = all_names(fields);
    const char *found = names == NULL ? NULL : json_nearest(path, names);
    if (found != NULL)
        snprintf(fields->nearest, sizeof fields->nearest, "%s", found);
    rcu_read_end();
    free(names);
    return found != NULL ? fields->nearest : nearest_open(path);
}

struct expr_schema policy_fields_schema(struct policy_fields *fields)
{
    return (struct expr_schema){.find = find,
                                .nearest = nearest,
                                .ctx = fields,
                                .varying = POLICY_SCOPE_ITEM | POLICY_SCOPE_SCORE,
                                .steady_count = &fields->steady_count};
}
