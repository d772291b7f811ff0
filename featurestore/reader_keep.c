/* SPDX-License-Identifier: Apache-2.0 */
/* The rules of a map that say which lines are kept. */
#include <string.h>

#include "base/num.h"
#include "featurestore/reader_map_parse.h"

#define NUMBER_MAX 1e15

static const struct {
    const char *key;
    enum map_test test;
    enum { VALUE_TRUE, VALUE_NUMBER, VALUE_TEXT, VALUE_LIST } value;
} tests[] = {
    {"not_empty", MAP_NOT_EMPTY, VALUE_TRUE},
    {"above", MAP_ABOVE, VALUE_NUMBER},
    {"below", MAP_BELOW, VALUE_NUMBER},
    {"begins_with", MAP_BEGINS_WITH, VALUE_TEXT},
    {"begins_not_with", MAP_BEGINS_NOT_WITH, VALUE_TEXT},
    {"begins_with_digit", MAP_BEGINS_WITH_DIGIT, VALUE_TRUE},
    {"one_of", MAP_ONE_OF, VALUE_LIST},
    {"none_of", MAP_NONE_OF, VALUE_LIST},
};

enum { TEST_COUNT = sizeof tests / sizeof tests[0] };

static enum err_code parse_value(const struct json_at *at, uint32_t test, struct map_rule *rule,
                                 struct err *err)
{
    const char *text = NULL;
    bool yes = false;
    enum err_code rc = ERR_OK;
    rule->test = tests[test].test;
    switch (tests[test].value) {
    case VALUE_TRUE:
        rc = json_bool(at, &yes, err);
        if (rc == ERR_OK && !yes)
            rc = err_set(err, ERR_BAD_INPUT, "%s: expected true", at->path);
        break;
    case VALUE_NUMBER: rc = json_real(at, -NUMBER_MAX, NUMBER_MAX, &rule->number, err); break;
    case VALUE_TEXT:
        rc = json_string(at, &text, err);
        rule->text = text_of(text);
        break;
    case VALUE_LIST: rc = map_parse_texts(at, false, &rule->list, err); break;
    }
    return rc;
}

static enum err_code parse_rule(struct reader_map *map, const struct json_at *at,
                                struct map_rule *rule, struct err *err)
{
    const char *known[TEST_COUNT + 3] = {"name", "column"};
    const char *name = NULL;
    const char *column = NULL;
    uint32_t found_count = 0;
    for (uint32_t i = 0; i < TEST_COUNT; i++)
        known[2 + i] = tests[i].key;
    struct json_at name_at = json_member(at, "name");
    struct json_at column_at = json_member(at, "column");
    enum err_code rc = json_object(at, err);
    if (rc == ERR_OK)
        rc = json_only(at, known, err);
    if (rc == ERR_OK)
        rc = json_string(&name_at, &name, err);
    if (rc == ERR_OK)
        rc = json_string(&column_at, &column, err);
    for (uint32_t i = 0; rc == ERR_OK && i < TEST_COUNT; i++) {
        struct json_at value = json_member(at, tests[i].key);
        if (value.value == NULL)
            continue;
        found_count++;
        rc = parse_value(&value, i, rule, err);
    }
    if (rc != ERR_OK)
        return rc;
    if (found_count != 1)
        return err_set(err, ERR_BAD_INPUT, "%s: expected one test such as not_empty, got %u",
                       at->path, found_count);
    rule->name = text_of(name);
    if (rule->name.len == 0 || rule->name.len >= READER_RULE_BYTES)
        return err_set(err, ERR_BAD_INPUT, "%s: expected 1..%d bytes", name_at.path,
                       READER_RULE_BYTES - 1);
    if (!map_column_number(map, text_of(column), &rule->column))
        return err_set(err, ERR_LIMIT, "%s: the map names more than %d columns", at->path,
                       MAP_COLUMNS_MAX);
    return ERR_OK;
}

enum err_code map_parse_keep(struct reader_map *map, const struct json_at *at, struct err *err)
{
    int count = 0;
    if (at->value == NULL)
        return ERR_OK;
    enum err_code rc = json_array(at, &count, err);
    if (rc == ERR_OK && count > READER_RULES_MAX)
        rc = err_set(err, ERR_LIMIT, "%s: %d rules of at most %d", at->path, count,
                     READER_RULES_MAX);
    for (int i = 0; rc == ERR_OK && i < count; i++) {
        struct json_at rule = json_element(at, i);
        rc = parse_rule(map, &rule, &map->rule[map->rule_count++], err);
    }
    return rc;
}

static bool begins_with(struct text value, struct text prefix)
{
    return value.len >= prefix.len && memcmp(value.ptr, prefix.ptr, prefix.len) == 0;
}

static bool is_listed(struct text value, const cJSON *list)
{
    for (; list != NULL; list = list->next) {
        if (text_is(value, list->valuestring))
            return true;
    }
    return false;
}

static bool passes(const struct map_rule *rule, struct text value, double number)
{
    switch (rule->test) {
    case MAP_NOT_EMPTY: return value.len > 0;
    case MAP_ABOVE: return number > rule->number;
    case MAP_BELOW: return number < rule->number;
    case MAP_BEGINS_WITH: return begins_with(value, rule->text);
    case MAP_BEGINS_NOT_WITH: return !begins_with(value, rule->text);
    case MAP_BEGINS_WITH_DIGIT: return value.len > 0 && value.ptr[0] >= '0' && value.ptr[0] <= '9';
    case MAP_ONE_OF: return is_listed(value, rule->list);
    case MAP_NONE_OF: return !is_listed(value, rule->list);
    }
    return false;
}

enum err_code map_keep(const struct reader_map *map, const struct map_row *row,
                       const struct map_rule **ret_rule, struct err *err)
{
    for (uint32_t i = 0; i < map->rule_count; i++) {
        const struct map_rule *rule = &map->rule[i];
        struct text value = row->value[rule->column];
        bool is_numeric = rule->test == MAP_ABOVE || rule->test == MAP_BELOW;
        double number = 0;
        if (is_numeric && !num_parse_real(value, &number))
            return map_fault(err, row->line, map->column[rule->column], "a number", value);
        if (!passes(rule, value, number)) {
            *ret_rule = rule;
            return ERR_OK;
        }
    }
    *ret_rule = NULL;
    return ERR_OK;
}
