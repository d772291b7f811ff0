/* SPDX-License-Identifier: Apache-2.0 */
#include "server/decide/policy_rules.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/num.h"

struct rules_parser {
    struct policy_fields *fields;
    struct policy_slot *slot;
    struct err *err;
};

/* "path: line 1, column 3: ..." */
static enum err_code compile(const struct rules_parser *p, const struct json_at *at,
                             struct text source, enum expr_type wanted, struct expr **ret_expr)
{
    struct err why = {.text = ""};
    struct expr_schema schema = policy_fields_schema(p->fields);
    enum err_code rc = expr_compile(source, &schema, wanted, ret_expr, &why);
    if (p->fields->no_memory)
        rc = ERR_NOMEM;
    if (rc != ERR_OK)
        return err_set(p->err, rc, "%s: %s", at->path,
                       p->fields->no_memory ? "no memory for the names of fields" : why.text);
    p->slot->scopes |= expr_scopes(*ret_expr);
    return ERR_OK;
}

static enum err_code compile_member(const struct rules_parser *p, const struct json_at *at,
                                    struct expr **ret_expr)
{
    const char *source = NULL;
    enum err_code rc = json_string(at, &source, p->err);
    return rc == ERR_OK ? compile(p, at, text_of(source), EXPR_BOOL, ret_expr) : rc;
}

static enum err_code parse_time(const struct rules_parser *p, const struct json_at *object,
                                const char *key, int64_t *ret_ms)
{
    struct json_at at = json_member(object, key);
    const char *text = NULL;
    if (at.value == NULL)
        return ERR_OK;
    enum err_code rc = json_string(&at, &text, p->err);
    if (rc == ERR_OK && !clock_parse_iso(text, strlen(text), ret_ms))
        rc =
            err_set(p->err, ERR_BAD_INPUT,
                    "%s: expected a time such as 2026-11-27T08:00:00Z, got '%.40s'", at.path, text);
    return rc;
}

/* name, when, from and until; a rule without a name is identified by its position. */
static enum err_code parse_rule(const struct rules_parser *p, const struct json_at *at,
                                const char *kind, int index, struct policy_rule *rule)
{
    struct json_at name_at = json_member(at, "name"), when = json_member(at, "when");
    const char *name = NULL;
    enum err_code rc = ERR_OK;
    snprintf(rule->label, sizeof rule->label, "%s: %d", kind, index + 1);
    rule->from_ms = INT64_MIN;
    rule->until_ms = INT64_MAX;
    if (name_at.value != NULL)
        rc = json_string(&name_at, &name, p->err);
    if (rc == ERR_OK && name != NULL && !file_is_plain_name(name))
        rc = err_set(p->err, ERR_BAD_INPUT,
                     "%s: expected 1..64 letters, digits, '.', '_' or '-', got '%.64s'",
                     name_at.path, name);
    if (rc == ERR_OK && name != NULL)
        snprintf(rule->label, sizeof rule->label, "%s: %s", kind, name);
    if (rc == ERR_OK && when.value != NULL)
        rc = compile_member(p, &when, &rule->when);
    if (rc == ERR_OK)
        rc = parse_time(p, at, "from", &rule->from_ms);
    if (rc == ERR_OK)
        rc = parse_time(p, at, "until", &rule->until_ms);
    if (rc == ERR_OK && rule->from_ms >= rule->until_ms)
        rc = err_set(p->err, ERR_BAD_INPUT, "%s: 'until' is not after 'from'", at->path);
    return rc;
}

/* Allocates the rules for the array of that name; *ret_count is 0 if it is absent. */
static enum err_code open_list(const struct rules_parser *p, const struct json_at *slot_at,
                               const char *key, int count_max, size_t element_bytes,
                               struct json_at *ret_at, int *ret_count, void **ret_room)
{
    *ret_at = json_member(slot_at, key);
    *ret_count = 0;
    if (ret_at->value == NULL)
        return ERR_OK;
    enum err_code rc = json_array(ret_at, ret_count, p->err);
    if (rc == ERR_OK && *ret_count > count_max)
        rc = err_set(p->err, ERR_LIMIT, "%s: expected at most %d, got %d", ret_at->path, count_max,
                     *ret_count);
    if (rc != ERR_OK)
        return rc;
    *ret_room = calloc((size_t)*ret_count + 1, element_bytes);
    if (*ret_room == NULL)
        return err_set(p->err, ERR_NOMEM, "%s: no memory for %d rules", ret_at->path, *ret_count);
    return ERR_OK;
}

/* ---- filters: a text, or an object with more ------------------------------------------------- */

static enum err_code parse_filter(const struct rules_parser *p, const struct json_at *at, int index,
                                  struct policy_rule *rule)
{
    static const char *const known[] = {"name", "when", "from", "until", NULL};
    if (cJSON_IsString(at->value)) {
        snprintf(rule->label, sizeof rule->label, "filter: %d", index + 1);
        rule->from_ms = INT64_MIN;
        rule->until_ms = INT64_MAX;
        return compile_member(p, at, &rule->when);
    }
    enum err_code rc = json_object(at, p->err);
    if (rc == ERR_OK)
        rc = json_only(at, known, p->err);
    if (rc == ERR_OK)
        rc = parse_rule(p, at, "filter", index, rule);
    if (rc == ERR_OK && rule->when == NULL)
        rc = err_set(p->err, ERR_NOT_FOUND, "%s: missing", json_member(at, "when").path);
    return rc;
}

static enum err_code parse_filters(const struct rules_parser *p, const struct json_at *slot_at)
{
    struct json_at list;
    int count = 0;
    void *room = NULL;
    enum err_code rc = open_list(p, slot_at, "filters", POLICY_RULES_MAX,
                                 sizeof(struct policy_rule), &list, &count, &room);
    p->slot->filter = room;
    for (int i = 0; i < count && rc == ERR_OK; i++) {
        struct json_at at = json_element(&list, i);
        rc = parse_filter(p, &at, i, &p->slot->filter[p->slot->filter_count++]);
    }
    return rc;
}

/* ---- boosts: multiply or add, a number or an expression -------------------------------------- */

static enum err_code parse_amount(const struct rules_parser *p, const struct json_at *at,
                                  bool multiplies, struct expr **ret_amount)
{
    char digits[NUM_REAL_BYTES];
    double number = 0.0;
    const char *source = NULL;
    p->fields->takes_score = true;
    enum err_code rc = ERR_OK;
    if (cJSON_IsString(at->value)) {
        rc = json_string(at, &source, p->err);
        if (rc == ERR_OK)
            rc = compile(p, at, text_of(source), EXPR_DOUBLE, ret_amount);
    } else {
        rc = json_real(at, multiplies ? 0.001 : -1e6, multiplies ? 1000.0 : 1e6, &number, p->err);
        if (rc == ERR_OK)
            rc = compile(p, at, text_of(num_format_real(number, digits)), EXPR_DOUBLE, ret_amount);
    }
    p->fields->takes_score = false;
    return rc;
}

static enum err_code parse_boost(const struct rules_parser *p, const struct json_at *at, int index,
                                 struct policy_boost *boost)
{
    static const char *const known[] = {"name", "when", "from", "until", "add", "multiply", NULL};
    enum err_code rc = json_object(at, p->err);
    if (rc == ERR_OK)
        rc = json_only(at, known, p->err);
    p->fields->takes_score = true;
    if (rc == ERR_OK)
        rc = parse_rule(p, at, "boost", index, &boost->rule);
    p->fields->takes_score = false;
    struct json_at adds = json_member(at, "add"), multiplies = json_member(at, "multiply");
    if (rc == ERR_OK && (adds.value == NULL) == (multiplies.value == NULL))
        rc = err_set(p->err, ERR_BAD_INPUT, "%s: give one of add and multiply", at->path);
    boost->adds = adds.value != NULL;
    if (rc == ERR_OK)
        rc = parse_amount(p, boost->adds ? &adds : &multiplies, !boost->adds, &boost->amount);
    return rc;
}

static enum err_code parse_boosts(const struct rules_parser *p, const struct json_at *slot_at)
{
    struct json_at list;
    int count = 0;
    void *room = NULL;
    enum err_code rc = open_list(p, slot_at, "boosts", POLICY_RULES_MAX,
                                 sizeof(struct policy_boost), &list, &count, &room);
    p->slot->boost = room;
    for (int i = 0; i < count && rc == ERR_OK; i++) {
        struct json_at at = json_element(&list, i);
        rc = parse_boost(p, &at, i, &p->slot->boost[p->slot->boost_count++]);
    }
    return rc;
}

/* ---- pins: an item at a place ---------------------------------------------------------------- */

static enum err_code parse_pin(const struct rules_parser *p, const struct json_at *at, int index,
                               struct policy_pin *pin)
{
    static const char *const known[] = {"name", "when", "from", "until", "item", "place", NULL};
    struct json_at item_at = json_member(at, "item"), place_at = json_member(at, "place");
    const char *item = NULL;
    int64_t place = 0;
    enum err_code rc = json_object(at, p->err);
    if (rc == ERR_OK)
        rc = json_only(at, known, p->err);
    if (rc == ERR_OK)
        rc = parse_rule(p, at, "pin", index, &pin->rule);
    if (rc == ERR_OK)
        rc = json_int(&place_at, 1, POLICY_PLACE_MAX, &place, p->err);
    if (rc == ERR_OK)
        rc = json_string(&item_at, &item, p->err);
    if (rc == ERR_OK && !text_is_id(text_of(item)))
        rc = err_set(p->err, ERR_BAD_INPUT, "%s: expected the id of an item of 1..%d bytes",
                     item_at.path, ID_BYTES_MAX);
    if (rc != ERR_OK)
        return rc;
    char *copy = strdup(item);
    if (copy == NULL)
        return err_set(p->err, ERR_NOMEM, "%s: no memory for an id", item_at.path);
    pin->item = text_of(copy);
    pin->place = (uint32_t)place;
    return ERR_OK;
}

static int by_place(const void *left, const void *right)
{
    const struct policy_pin *a = left, *b = right;
    return (a->place > b->place) - (a->place < b->place);
}

/* If two pins have the same place the first in the file gets it. */
static void sort_pins(struct policy_slot *slot)
{
    for (uint32_t i = 1; i < slot->pin_count; i++) {
        struct policy_pin pin = slot->pin[i];
        uint32_t at = i;
        for (; at > 0 && by_place(&slot->pin[at - 1], &pin) > 0; at--)
            slot->pin[at] = slot->pin[at - 1];
        slot->pin[at] = pin;
    }
}

static enum err_code parse_pins(const struct rules_parser *p, const struct json_at *slot_at)
{
    struct json_at list;
    int count = 0;
    void *room = NULL;
    enum err_code rc = open_list(p, slot_at, "pins", POLICY_PINS_MAX, sizeof(struct policy_pin),
                                 &list, &count, &room);
    p->slot->pin = room;
    for (int i = 0; i < count && rc == ERR_OK; i++) {
        struct json_at at = json_element(&list, i);
        rc = parse_pin(p, &at, i, &p->slot->pin[p->slot->pin_count++]);
    }
    sort_pins(p->slot);
    return rc;
}

enum err_code policy_parse_rules(const struct json_at *slot_at, struct policy_fields *fields,
                                 struct policy_slot *slot, struct err *err)
{
    const struct rules_parser p = {.fields = fields, .slot = slot, .err = err};
    enum err_code rc = parse_filters(&p, slot_at);
    if (rc == ERR_OK)
        rc = parse_boosts(&p, slot_at);
    return rc == ERR_OK ? parse_pins(&p, slot_at) : rc;
}

enum err_code policy_compile_number(const struct json_at *at, struct policy_fields *fields,
                                    struct policy_slot *slot, struct expr **ret_expr,
                                    struct err *err)
{
    const struct rules_parser p = {.fields = fields, .slot = slot, .err = err};
    const char *source = NULL;
    enum err_code rc = json_string(at, &source, err);
    return rc == ERR_OK ? compile(&p, at, text_of(source), EXPR_DOUBLE, ret_expr) : rc;
}

void policy_free_rules(struct policy_slot *slot)
{
    for (uint32_t i = 0; i < slot->filter_count; i++)
        expr_destroy(&slot->filter[i].when);
    for (uint32_t i = 0; i < slot->boost_count; i++) {
        expr_destroy(&slot->boost[i].rule.when);
        expr_destroy(&slot->boost[i].amount);
    }
    for (uint32_t i = 0; i < slot->pin_count; i++) {
        expr_destroy(&slot->pin[i].rule.when);
        free((char *)slot->pin[i].item.ptr);
    }
    free(slot->filter);
    free(slot->boost);
    free(slot->pin);
}
