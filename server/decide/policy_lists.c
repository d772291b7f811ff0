/* SPDX-License-Identifier: Apache-2.0 */
/* The lists of policies.json: editors' lists, and those that are built for sources. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "server/decide/policy_sources.h"

#define DAY_S  86400u
#define YEAR_S (366 * DAY_S)

/* ---- editors' lists -------------------------------------------------------------------------- */

/* One block: the texts behind the table of them. */
static enum err_code copy_ids(const struct json_at *at, int count, struct policy_list *list,
                              struct err *err)
{
    size_t bytes = 0;
    int index = 0;
    enum err_code rc = ERR_OK;
    for (const cJSON *child = at->value->child; child != NULL && rc == ERR_OK;
         child = child->next, index++) {
        if (cJSON_IsString(child) && text_is_id(text_of(child->valuestring))) {
            bytes += strlen(child->valuestring);
        } else {
            struct json_at element = json_element_at(at, child, index);
            rc = err_set(err, ERR_BAD_INPUT, "%s: expected the id of an item of 1..%d bytes",
                         element.path, ID_BYTES_MAX);
        }
    }
    if (rc != ERR_OK)
        return rc;
    struct text *item = malloc(((size_t)count + 1) * sizeof *item + bytes);
    if (item == NULL)
        return err_set(err, ERR_NOMEM, "%s: no memory for %d ids", at->path, count);
    char *next = (char *)(item + count + 1);
    index = 0;
    for (const cJSON *child = at->value->child; child != NULL; child = child->next, index++) {
        item[index] = (struct text){next, (uint32_t)strlen(child->valuestring)};
        memcpy(next, child->valuestring, item[index].len);
        next += item[index].len;
    }
    list->item = item;
    list->item_count = (uint32_t)count;
    return ERR_OK;
}

static enum err_code parse_list(const struct json_at *at, struct policy_list *list, struct err *err)
{
    const char *name = at->value->string;
    int count = 0;
    if (!file_is_plain_name(name))
        return err_set(err, ERR_BAD_INPUT,
                       "%s: expected the name of a list of 1..64 letters, digits, '.', '_' or '-'",
                       at->path);
    *list = (struct policy_list){.kind = LIST_EDITOR};
    memcpy(list->name, name, strlen(name) + 1);
    enum err_code rc = json_array(at, &count, err);
    if (rc == ERR_OK && count > POLICY_LIST_ITEMS_MAX)
        rc = err_set(err, ERR_LIMIT, "%s: expected at most %d items, got %d", at->path,
                     POLICY_LIST_ITEMS_MAX, count);
    return rc == ERR_OK ? copy_ids(at, count, list, err) : rc;
}

enum err_code policy_parse_lists(const struct json_at *root, struct policy_set *set,
                                 struct err *err)
{
    struct json_at at = json_member(root, "lists");
    if (at.value == NULL)
        return ERR_OK;
    enum err_code rc = json_object(&at, err);
    if (rc != ERR_OK)
        return rc;
    for (const cJSON *child = at.value->child; child != NULL && rc == ERR_OK; child = child->next) {
        struct json_at list_at = json_member(&at, child->string);
        if (set->list_count == POLICY_LISTS_MAX)
            return err_set(err, ERR_LIMIT, "%s: more than %d lists", at.path, POLICY_LISTS_MAX);
        rc = parse_list(&list_at, &set->list[set->list_count++], err);
    }
    return rc;
}

void policy_free_lists(struct policy_set *set)
{
    for (uint32_t i = 0; i < set->list_count; i++)
        free((void *)set->list[i].item);
}

/* ---- lists that are made for a source -------------------------------------------------------- */

/* The editor's list that the source names. */
static enum err_code find_list(const struct json_at *at, const struct policy_set *set,
                               struct policy_source *source, struct err *err)
{
    struct json_at member = json_member(at, "list");
    const char *names[POLICY_LISTS_MAX + 1] = {NULL};
    const char *name = NULL;
    enum err_code rc = json_string(&member, &name, err);
    for (uint32_t i = 0; i < set->list_count && rc == ERR_OK; i++) {
        names[i] = set->list[i].name;
        if (set->list[i].kind == LIST_EDITOR && strcmp(name, set->list[i].name) == 0) {
            source->list = i;
            snprintf(source->label, sizeof source->label, "list: %s", name);
            return ERR_OK;
        }
    }
    if (rc != ERR_OK)
        return rc;
    const char *nearest = json_nearest(text_of(name), names);
    return err_set(err, ERR_BAD_INPUT, "%s: there is no list '%.64s'%s%s%s", member.path, name,
                   nearest != NULL ? ", did you mean '" : "", nearest != NULL ? nearest : "",
                   nearest != NULL ? "'?" : "");
}

static bool is_same_list(const struct policy_list *a, const struct policy_list *b)
{
    return a->kind == b->kind && a->by == b->by && a->window == b->window &&
           a->baseline == b->baseline && a->max_age_s == b->max_age_s &&
           strcmp(a->name, b->name) == 0;
}

/* Sources with the same parameters share a list. */
static enum err_code add_list(const struct json_at *at, struct policy_set *set,
                              const struct policy_list *list, uint32_t *ret_list, struct err *err)
{
    for (uint32_t i = 0; i < set->list_count; i++) {
        if (is_same_list(&set->list[i], list)) {
            *ret_list = i;
            return ERR_OK;
        }
    }
    if (set->list_count == POLICY_LISTS_MAX)
        return err_set(err, ERR_LIMIT, "%s: more than %d lists, those of editors included",
                       at->path, POLICY_LISTS_MAX);
    *ret_list = set->list_count;
    set->list[set->list_count++] = *list;
    return ERR_OK;
}

/* Segments are the values of a user attribute. */
static enum err_code parse_segment(const struct json_at *at, struct policy_list *list,
                                   struct err *err)
{
    struct json_at attribute_at = json_member(at, "attribute");
    const char *attribute = "";
    if ((attribute_at.value != NULL) != (list->by == BY_SEGMENT))
        return err_set(err, ERR_BAD_INPUT, "%s: 'attribute' goes with \"by\": \"segment\"",
                       at->path);
    if (attribute_at.value == NULL)
        return ERR_OK;
    enum err_code rc = json_string(&attribute_at, &attribute, err);
    if (rc == ERR_OK && (attribute[0] == '\0' || strlen(attribute) >= sizeof list->name))
        rc = err_set(err, ERR_BAD_INPUT, "%s: expected 1..%zu bytes", attribute_at.path,
                     sizeof list->name - 1);
    if (rc == ERR_OK)
        memcpy(list->name, attribute, strlen(attribute) + 1);
    return rc;
}

static enum err_code parse_trending(const struct json_at *at, struct policy_set *set,
                                    struct policy_source *source, struct err *err)
{
    static const char *const by_names[] = {"all", "category", "segment", NULL};
    struct policy_list list = {
        .kind = LIST_TRENDING, .window = STORE_WINDOW_1D, .baseline = STORE_WINDOW_14D};
    struct json_at by_at = json_member(at, "by");
    uint32_t by = BY_ALL;
    enum err_code rc = policy_parse_window(at, "window", &list.window, err);
    if (rc == ERR_OK)
        rc = policy_parse_window(at, "baseline", &list.baseline, err);
    if (rc == ERR_OK && list.baseline <= list.window)
        rc = err_set(err, ERR_BAD_INPUT, "%s: 'baseline' has to be longer than 'window'", at->path);
    if (rc == ERR_OK && by_at.value != NULL)
        rc = json_name(&by_at, by_names, &by, err);
    list.by = (enum policy_by)by;
    if (rc == ERR_OK)
        rc = parse_segment(at, &list, err);
    return rc == ERR_OK ? add_list(at, set, &list, &source->list, err) : rc;
}

static enum err_code parse_new(const struct json_at *at, struct policy_set *set,
                               struct policy_source *source, struct err *err)
{
    struct policy_list list = {.kind = LIST_NEW, .max_age_s = 30 * DAY_S};
    struct json_at age_at = json_member(at, "max_age");
    enum err_code rc = json_duration(&age_at, 3600, YEAR_S, &list.max_age_s, err);
    return rc == ERR_OK ? add_list(at, set, &list, &source->list, err) : rc;
}

enum err_code policy_add_content_list(const struct json_at *at, struct policy_set *set,
                                      uint32_t *ret_list, struct err *err)
{
    const struct policy_list list = {.kind = LIST_CONTENT};
    return add_list(at, set, &list, ret_list, err);
}

enum err_code policy_parse_list_of(const struct json_at *at, struct policy_set *set,
                                   struct policy_source *source, struct err *err)
{
    switch (source->kind) {
    case SOURCE_list: return find_list(at, set, source, err);
    case SOURCE_trending: return parse_trending(at, set, source, err);
    case SOURCE_new: return parse_new(at, set, source, err);
    case SOURCE_content: return policy_add_content_list(at, set, &source->list, err);
    default: return ERR_OK;
    }
}
