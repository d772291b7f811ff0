/* SPDX-License-Identifier: Apache-2.0 */
/* What a rule applies to: `match` of a rule, its lists of texts and its conditions. */
#include <stdlib.h>
#include <string.h>

#include "models/prices_internal.h"
#include "models/prices_parser.h"

#define CONDITIONS_MAX 32
#define TEXT_BYTES_MAX 1024

/* Room for one more element in *array. */
static enum err_code reserve(struct prices_parser *p, void **array, uint32_t used,
                             uint32_t *capacity, size_t element_bytes)
{
    if (used < *capacity)
        return ERR_OK;
    uint32_t larger = *capacity == 0 ? 16 : 2 * *capacity;
    void *grown = realloc(*array, larger * element_bytes);
    if (grown == NULL)
        return err_set(p->err, ERR_NOMEM, "out of memory for price rules");
    *array = grown;
    *capacity = larger;
    return ERR_OK;
}

static enum err_code read_text(struct prices_parser *p, const struct json_at *at,
                               struct text *ret_text)
{
    const char *value = NULL;
    enum err_code rc = json_string(at, &value, p->err);
    if (rc != ERR_OK)
        return rc;
    if (value[0] == '\0' || strlen(value) > TEXT_BYTES_MAX)
        return err_set(p->err, ERR_CORRUPT, "%s: expected 1..%d bytes, got %zu", at->path,
                       TEXT_BYTES_MAX, strlen(value));
    *ret_text = prices_keep_text(p, value);
    return ERR_OK;
}

static enum err_code parse_terms(struct prices_parser *p, const struct json_at *match,
                                 const char *key, enum price_dimension dimension, uint32_t rule)
{
    struct json_at at = json_member(match, key);
    int count = 0;
    uint32_t index = 0;
    if (at.value == NULL)
        return ERR_OK;
    enum err_code rc = json_array(&at, &count, p->err);
    if (rc == ERR_OK && count == 0)
        rc = err_set(p->err, ERR_CORRUPT, "%s: an empty list matches nothing", at.path);
    for (const cJSON *child = rc == ERR_OK ? at.value->child : NULL; child != NULL && rc == ERR_OK;
         child = child->next) {
        struct json_at element = json_element_at(&at, child, (int)index++);
        struct price_ref ref = {.dimension = dimension, .rule = rule};
        rc = reserve(p, (void **)&p->refs, p->ref_count, &p->ref_capacity, sizeof *p->refs);
        if (rc == ERR_OK)
            rc = read_text(p, &element, &ref.text);
        if (rc == ERR_OK)
            p->refs[p->ref_count++] = ref;
    }
    return rc;
}

static enum err_code add_value(struct prices_parser *p, const struct json_at *at)
{
    struct text text = {0};
    enum err_code rc = reserve(p, (void **)&p->prices->value, p->prices->value_count,
                               &p->value_capacity, sizeof *p->prices->value);
    if (rc == ERR_OK)
        rc = read_text(p, at, &text);
    if (rc == ERR_OK)
        p->prices->value[p->prices->value_count++] = text;
    return rc;
}

/* A text, or a list of texts. */
static enum err_code parse_condition(struct prices_parser *p, const struct json_at *at)
{
    struct prices *prices = p->prices;
    int count = 0;
    uint32_t index = 0;
    enum err_code rc = reserve(p, (void **)&prices->condition, prices->condition_count,
                               &p->condition_capacity, sizeof *prices->condition);
    if (rc != ERR_OK)
        return rc;
    struct price_condition condition = {.key = prices_keep_text(p, at->value->string),
                                        .values.first = prices->value_count};
    if (cJSON_IsString(at->value)) {
        rc = add_value(p, at);
    } else {
        rc = json_array(at, &count, p->err);
        if (rc == ERR_OK && count == 0)
            rc = err_set(p->err, ERR_CORRUPT, "%s: an empty list matches nothing", at->path);
        for (const cJSON *child = rc == ERR_OK ? at->value->child : NULL;
             child != NULL && rc == ERR_OK; child = child->next) {
            struct json_at element = json_element_at(at, child, (int)index++);
            rc = add_value(p, &element);
        }
    }
    condition.values.count = prices->value_count - condition.values.first;
    if (rc == ERR_OK)
        prices->condition[prices->condition_count++] = condition;
    return rc;
}

static enum err_code parse_context(struct prices_parser *p, const struct json_at *match,
                                   struct price_rule *rule)
{
    struct json_at at = json_member(match, "context");
    rule->conditions.first = p->prices->condition_count;
    if (at.value == NULL)
        return ERR_OK;
    enum err_code rc = json_object(&at, p->err);
    if (rc == ERR_OK && cJSON_GetArraySize(at.value) > CONDITIONS_MAX)
        rc = err_set(p->err, ERR_LIMIT, "%s: more than %d keys", at.path, CONDITIONS_MAX);
    for (const cJSON *child = rc == ERR_OK ? at.value->child : NULL; child != NULL && rc == ERR_OK;
         child = child->next) {
        struct json_at member = json_member(&at, child->string);
        rc = parse_condition(p, &member);
    }
    rule->conditions.count = p->prices->condition_count - rule->conditions.first;
    return rc;
}

static enum err_code parse_qty(struct prices_parser *p, const struct json_at *match,
                               struct price_rule *rule)
{
    static const char *const known[] = {"min", "max", NULL};
    struct json_at at = json_member(match, "qty");
    if (at.value == NULL)
        return ERR_OK;
    struct json_at min = json_member(&at, "min");
    struct json_at max = json_member(&at, "max");
    enum err_code rc = json_only(&at, known, p->err);
    if (rc == ERR_OK && min.value != NULL)
        rc = json_int(&min, 0, MONEY_MINOR_MAX, &rule->qty_min, p->err);
    if (rc == ERR_OK && max.value != NULL)
        rc = json_int(&max, rule->qty_min > 0 ? rule->qty_min : 0, MONEY_MINOR_MAX, &rule->qty_max,
                      p->err);
    return rc;
}

enum err_code prices_parse_match(struct prices_parser *p, const struct json_at *rule_at,
                                 uint32_t index, struct price_rule *rule)
{
    static const char *const known[] = {"items", "categories", "brands", "context", "qty", NULL};
    struct json_at at = json_member(rule_at, "match");
    if (at.value == NULL)
        return ERR_OK;
    enum err_code rc = json_only(&at, known, p->err);
    for (int i = 0; i < PRICE_DIMENSIONS && rc == ERR_OK; i++)
        rc = parse_terms(p, &at, known[i], (enum price_dimension)i, index);
    if (rc == ERR_OK)
        rc = parse_context(p, &at, rule);
    return rc == ERR_OK ? parse_qty(p, &at, rule) : rc;
}
