/* SPDX-License-Identifier: Apache-2.0 */
/* rules.json to rules.  Amounts are integers and percentages decimal texts: nothing here goes
 * through a float but the whole numbers of JSON, which are exact up to 2^53. */
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "models/bundle_internal.h"
#include "models/prices_internal.h"
#include "models/prices_parser.h"

#define PRIORITY_MAX   1000000
#define PERCENT_MAX    1000
#define PERCENT_DIGITS 4 /* of a percentage: then it is counted in ppm */
#define PPM_OF_PERCENT 10000
#define MARGIN_PPM_MAX 999999
#define ENDING_OF_MAX  1000000
#define NAME_BYTES_MAX 128
#define RULES_FORMAT   1

struct text prices_keep_text(struct prices_parser *p, const char *value)
{
    char *copy = p->prices->texts + p->texts_used;
    size_t bytes = strlen(value) + 1;
    memcpy(copy, value, bytes);
    p->texts_used += bytes;
    return text_of(copy);
}

static enum err_code read_amount(struct prices_parser *p, const struct json_at *rule,
                                 const char *key, int64_t min, int64_t *ret_minor)
{
    struct json_at at = json_member(rule, key);
    return at.value == NULL ? ERR_OK : json_int(&at, min, MONEY_MINOR_MAX, ret_minor, p->err);
}

/* "12.5" or 12, in ppm. */
static enum err_code read_percent(struct prices_parser *p, const struct json_at *at,
                                  int64_t min_ppm, int64_t max_ppm, int64_t *ret_ppm)
{
    int64_t ppm = 0;
    if (cJSON_IsString(at->value)) {
        if (!money_parse(text_of(at->value->valuestring), PERCENT_DIGITS, &ppm))
            return err_set(p->err, ERR_CORRUPT,
                           "%s: expected a decimal with up to %d digits behind the point, got "
                           "'%.32s'",
                           at->path, PERCENT_DIGITS, at->value->valuestring);
    } else {
        enum err_code rc = json_int(at, -PERCENT_MAX, PERCENT_MAX, &ppm, p->err);
        if (rc != ERR_OK)
            return rc;
        ppm *= PPM_OF_PERCENT;
    }
    if (ppm < min_ppm || ppm > max_ppm)
        return err_set(p->err, ERR_CORRUPT, "%s: must be %g..%g percent", at->path,
                       (double)min_ppm / PPM_OF_PERCENT, (double)max_ppm / PPM_OF_PERCENT);
    *ret_ppm = ppm;
    return ERR_OK;
}

static enum err_code parse_adjust(struct prices_parser *p, const struct json_at *rule_at,
                                  struct price_rule *rule)
{
    static const char *const known[] = {"percent", "add", "set", NULL};
    struct json_at at = json_member(rule_at, "adjust");
    if (at.value == NULL)
        return ERR_OK;
    enum err_code rc = json_only(&at, known, p->err);
    if (rc == ERR_OK && cJSON_GetArraySize(at.value) != 1)
        rc = err_set(p->err, ERR_CORRUPT, "%s: expected one of percent, add and set", at.path);
    if (rc != ERR_OK)
        return rc;
    struct json_at percent = json_member(&at, "percent");
    if (percent.value != NULL) {
        rule->adjust = PRICE_PERCENT;
        return read_percent(p, &percent, -MONEY_PPM, PERCENT_MAX * PPM_OF_PERCENT,
                            &rule->adjust_value);
    }
    bool is_add = cJSON_HasObjectItem(at.value, "add");
    rule->adjust = is_add ? PRICE_ADD : PRICE_SET;
    return read_amount(p, &at, is_add ? "add" : "set", is_add ? -MONEY_MINOR_MAX : 0,
                       &rule->adjust_value);
}

static enum err_code parse_ending(struct prices_parser *p, const struct json_at *rule_at,
                                  struct price_rule *rule)
{
    static const char *const known[] = {"digits", "of", "to", NULL};
    static const char *const directions[] = {
        [PRICE_NEAREST] = "nearest", [PRICE_DOWN] = "down", [PRICE_UP] = "up"};
    struct json_at at = json_member(rule_at, "ending");
    if (at.value == NULL)
        return ERR_OK;
    struct json_at of = json_member(&at, "of");
    struct json_at digits = json_member(&at, "digits");
    struct json_at to = json_member(&at, "to");
    const char *direction = directions[PRICE_NEAREST];
    enum err_code rc = json_only(&at, known, p->err);
    if (rc == ERR_OK)
        rc = json_int(&of, 2, ENDING_OF_MAX, &rule->ending_of, p->err);
    if (rc == ERR_OK)
        rc = json_int(&digits, 0, rule->ending_of - 1, &rule->ending_digits, p->err);
    if (rc == ERR_OK && to.value != NULL)
        rc = json_string(&to, &direction, p->err);
    for (int i = PRICE_NEAREST; rc == ERR_OK && i <= PRICE_UP; i++) {
        if (strcmp(direction, directions[i]) == 0) {
            rule->ending_to = (enum price_ending_to)i;
            return ERR_OK;
        }
    }
    return rc != ERR_OK
               ? rc
               : err_set(p->err, ERR_CORRUPT, "%s: expected 'nearest', 'down' or 'up', got '%.32s'",
                         to.path, direction);
}

static enum err_code read_currency(struct prices_parser *p, const struct json_at *object,
                                   currency_code *currency)
{
    struct json_at at = json_member(object, "currency");
    const char *value = NULL;
    if (at.value == NULL)
        return ERR_OK;
    enum err_code rc = json_string(&at, &value, p->err);
    if (rc == ERR_OK && !currency_parse(text_of(value), currency))
        rc = err_set(p->err, ERR_CORRUPT, "%s: expected three capital letters, got '%.32s'",
                     at.path, value);
    return rc;
}

static enum err_code parse_bounds(struct prices_parser *p, const struct json_at *at,
                                  struct price_rule *rule)
{
    struct json_at margin = json_member(at, "margin");
    enum err_code rc = read_amount(p, at, "floor", 0, &rule->floor_minor);
    if (rc == ERR_OK)
        rc = read_amount(p, at, "ceiling", 0, &rule->ceiling_minor);
    if (rc == ERR_OK && margin.value != NULL)
        rc = read_percent(p, &margin, 0, MARGIN_PPM_MAX, &rule->margin_ppm);
    return rc;
}

static enum err_code parse_name(struct prices_parser *p, const struct json_at *rule_at,
                                struct price_rule *rule)
{
    struct json_at at = json_member(rule_at, "name");
    const char *value = NULL;
    enum err_code rc = json_string(&at, &value, p->err);
    if (rc == ERR_OK && !text_is_id(text_of(value)))
        rc = err_set(p->err, ERR_CORRUPT, "%s: expected 1..%d bytes without controls, got %zu",
                     at.path, NAME_BYTES_MAX, strlen(value));
    if (rc == ERR_OK)
        rule->name = prices_keep_text(p, value).ptr;
    return rc;
}

static enum err_code parse_rule(struct prices_parser *p, const struct json_at *at, uint32_t index,
                                struct price_rule *rule)
{
    static const char *const known[] = {"name",  "priority", "match",  "currency", "adjust",
                                        "floor", "ceiling",  "margin", "ending",   NULL};
    static const char *const effects[] = {"adjust", "floor", "ceiling", "margin", "ending"};
    int64_t priority = 0;
    bool has_effect = false;
    *rule = (struct price_rule){.currency = p->currency,
                                .ceiling_minor = MONEY_MINOR_MAX,
                                .margin_ppm = PRICE_NO_MARGIN,
                                .qty_min = INT64_MIN,
                                .qty_max = INT64_MAX};
    struct json_at member = json_member(at, "priority");
    enum err_code rc = json_only(at, known, p->err);
    for (size_t i = 0; i < sizeof effects / sizeof effects[0] && rc == ERR_OK; i++)
        has_effect |= cJSON_HasObjectItem(at->value, effects[i]) != 0;
    if (rc == ERR_OK)
        rc = parse_name(p, at, rule);
    if (rc == ERR_OK && !has_effect)
        rc = err_set(p->err, ERR_CORRUPT,
                     "%s: expected one of adjust, floor, ceiling, margin and ending", at->path);
    if (rc == ERR_OK && member.value != NULL)
        rc = json_int(&member, -PRIORITY_MAX, PRIORITY_MAX, &priority, p->err);
    rule->priority = (int32_t)priority;
    if (rc == ERR_OK)
        rc = read_currency(p, at, &rule->currency);
    if (rc == ERR_OK)
        rc = prices_parse_match(p, at, index, rule);
    if (rc == ERR_OK)
        rc = parse_adjust(p, at, rule);
    if (rc == ERR_OK)
        rc = parse_bounds(p, at, rule);
    return rc == ERR_OK ? parse_ending(p, at, rule) : rc;
}

static enum err_code parse_rules(struct prices_parser *p, const struct json_at *root)
{
    struct json_at at = json_member(root, "rules");
    int count = 0;
    enum err_code rc = json_array(&at, &count, p->err);
    if (rc == ERR_OK && (count < 1 || count > PRICE_RULES_MAX))
        rc = err_set(p->err, ERR_CORRUPT, "%s: expected 1..%d rules, got %d", at.path,
                     PRICE_RULES_MAX, count);
    if (rc != ERR_OK)
        return rc;
    p->prices->rule = calloc((size_t)count, sizeof *p->prices->rule);
    if (p->prices->rule == NULL)
        return err_set(p->err, ERR_NOMEM, "%s: out of memory for %d rules", at.path, count);
    for (const cJSON *child = at.value->child; child != NULL && rc == ERR_OK; child = child->next) {
        uint32_t index = p->prices->rule_count++;
        struct json_at element = json_element_at(&at, child, (int)index);
        rc = parse_rule(p, &element, index, &p->prices->rule[index]);
    }
    return rc;
}

static enum err_code parse_root(struct prices_parser *p, const struct json_at *root)
{
    static const char *const known[] = {"format", "currency", "rules", NULL};
    struct json_at at = json_member(root, "format");
    int64_t format = 0;
    enum err_code rc = json_only(root, known, p->err);
    if (rc == ERR_OK)
        rc = json_int(&at, 0, INT_MAX, &format, p->err);
    if (rc == ERR_OK && format != RULES_FORMAT)
        rc = err_set(p->err, ERR_UNSUPPORTED, "%s: expected %d, got %lld", at.path, RULES_FORMAT,
                     (long long)format);
    if (rc == ERR_OK)
        rc = read_currency(p, root, &p->currency);
    return rc == ERR_OK ? parse_rules(p, root) : rc;
}

enum err_code prices_parse(const char *name, const char *bytes, size_t len,
                           struct prices **ret_prices, struct err *err)
{
    cJSON *json = NULL;
    if (len > RULES_BYTES_MAX)
        return err_set(err, ERR_LIMIT, "%s: %zu bytes, at most %zu are allowed", name, len,
                       RULES_BYTES_MAX);
    enum err_code rc = json_parse(name, bytes, len, &json, err);
    if (rc != ERR_OK)
        return bundle_fault(rc, err);
    struct json_at root = json_root(name, json);
    struct prices_parser p = {.prices = calloc(1, sizeof *p.prices), .err = err};
    if (p.prices != NULL)
        p.prices->texts = malloc(len + 1);
    if (p.prices == NULL || p.prices->texts == NULL)
        rc = err_set(err, ERR_NOMEM, "%s: out of memory for price rules", name);
    if (rc == ERR_OK)
        rc = bundle_fault(parse_root(&p, &root), err);
    if (rc == ERR_OK)
        rc = prices_index(name, p.prices, p.refs, p.ref_count, err);
    if (rc == ERR_OK) {
        *ret_prices = p.prices;
        p.prices = NULL;
    }
    prices_destroy(p.prices);
    free(p.refs);
    cJSON_Delete(json);
    return rc;
}
