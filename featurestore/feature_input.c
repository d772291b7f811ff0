/* SPDX-License-Identifier: Apache-2.0 */
#include "featurestore/feature_input.h"

#include <math.h>

#include "base/cursor.h"
#include "base/hash.h"
#include "base/idmap.h"

/* ---- values of MessagePack maps -------------------------------------------------------------- */

struct scalar {
    struct text text; /* .ptr NULL: a number */
    double number;
};

/* The value of a key; false when it is not there or is no text, number or boolean. */
static bool find_scalar(struct text map, const char *key, struct scalar *ret_value)
{
    struct cursor cursor = cursor_of((const uint8_t *)map.ptr, map.len);
    uint32_t count = 0;
    bool truth = false;
    if (map.ptr == NULL || !cursor_map(&cursor, &count))
        return false;
    for (uint32_t i = 0; i < count; i++) {
        struct text name;
        bool is_text = cursor_text(&cursor, &name);
        ASSERT(is_text); /* cursor_check: keys are texts */
        if (!text_is(name, key)) {
            cursor_skip(&cursor, NULL);
            continue;
        }
        *ret_value = (struct scalar){{NULL, 0}, 0.0};
        if (cursor_text(&cursor, &ret_value->text) || cursor_real(&cursor, &ret_value->number))
            return true;
        if (!cursor_bool(&cursor, &truth))
            return false;
        ret_value->number = truth ? 1.0 : 0.0;
        return true;
    }
    return false;
}

static bool equals(const struct definition_value *value, const struct scalar *scalar)
{
    if (value->text != NULL)
        return scalar->text.ptr != NULL && text_is(scalar->text, value->text);
    return scalar->text.ptr == NULL && scalar->number == value->number;
}

static bool meets(const struct definition_condition *condition, struct text props)
{
    struct scalar scalar;
    if (!find_scalar(props, condition->prop, &scalar))
        return false;
    for (uint32_t i = 0; i < condition->value_count; i++) {
        if (equals(&condition->value[i], &scalar))
            return true;
    }
    return condition->value_count == 0 && scalar.text.ptr == NULL &&
           scalar.number >= condition->at_least && scalar.number <= condition->at_most &&
           scalar.number > condition->above && scalar.number < condition->below;
}

static bool is_custom_type(const struct definition *definition, struct text name)
{
    for (uint32_t i = 0; i < definition->lists->custom_count; i++) {
        if (text_is(name, definition->lists->custom[i]))
            return true;
    }
    return false;
}

bool feature_wants(const struct definition *definition, const struct event *event)
{
    if (definition->kind == FEATURE_KIND_attribute)
        return event->type == (definition->key == KEY_item ? EVENT_item_upsert : EVENT_user_upsert);
    if (event->type == EVENT_custom ? !is_custom_type(definition, event->custom)
                                    : (definition->types >> event->type & 1) == 0)
        return false;
    for (uint32_t i = 0; i < definition->lists->condition_count; i++) {
        if (!meets(&definition->lists->condition[i], event->props))
            return false;
    }
    return true;
}

/* ---- readings -------------------------------------------------------------------------------- */

bool feature_is_of_items(const struct definition *definition)
{
    switch (definition->source) {
    case VALUE_PRICE:
    case VALUE_QTY:
    case VALUE_AMOUNT:
    case VALUE_POS:
    case VALUE_ITEM:
    case VALUE_CATEGORY:
    case VALUE_BRAND: return true;
    default: return false;
    }
}

static bool read_money(int64_t value, double factor, struct reading *reading)
{
    reading->number = (double)value * factor;
    return value != EVENT_ABSENT;
}

static bool read_number_id(const struct idmap *ids, uint32_t number, struct reading *reading)
{
    if (number == IDMAP_NONE)
        return false;
    reading->id = number;
    reading->hash = hash_text(idmap_text(ids, number), 0);
    return true;
}

static bool read_text_id(struct text id, struct reading *reading)
{
    reading->hash = hash_text(id, 0);
    return id.len > 0;
}

static bool read_of_item(const struct definition *definition, const struct event_item *given,
                         const struct feature_item *item, const struct feature_names *names,
                         struct reading *reading)
{
    switch (definition->source) {
    case VALUE_PRICE: return read_money(given->price_minor, 1.0, reading);
    case VALUE_QTY: return read_money(given->qty, 1.0, reading);
    case VALUE_AMOUNT: return read_money(given->price_minor, (double)given->qty, reading);
    case VALUE_POS: return read_money(given->pos, 1.0, reading);
    case VALUE_ITEM: return read_number_id(names->items, item->item, reading);
    case VALUE_CATEGORY: return read_number_id(names->categories, item->category, reading);
    default: return read_number_id(names->brands, item->brand, reading);
    }
}

bool feature_reading(const struct definition *definition, const struct event *event, uint32_t at,
                     const struct feature_item *item, const struct feature_names *names,
                     struct reading *ret_reading)
{
    char buf[ID_BYTES_MAX];
    struct scalar scalar;
    if (feature_is_of_items(definition))
        return at != IDMAP_NONE &&
               read_of_item(definition, &event->items[at], item, names, ret_reading);
    switch (definition->source) {
    case VALUE_TOTAL: return read_money(event->total_minor, 1.0, ret_reading);
    case VALUE_USER:
        return read_text_id(event->user.ptr != NULL ? event->user : event->anon, ret_reading);
    case VALUE_SESSION: return read_text_id(event->session, ret_reading);
    case VALUE_QUERY: /* an erased event knows its key alone */
        return !event->erased && read_text_id(feature_query(event->query, buf), ret_reading);
    case VALUE_PROP:
        if (!find_scalar(event->props, definition->property, &scalar) || scalar.text.ptr != NULL)
            return false;
        ret_reading->number = scalar.number;
        return true;
    default: ret_reading->number = 1.0; return true;
    }
}

/* ---- attributes ------------------------------------------------------------------------------ */

/* The number that a value stands for. */
static double number_of(const struct definition *definition, const struct scalar *scalar)
{
    if (scalar->text.ptr == NULL)
        return scalar->number;
    for (uint32_t i = 0; i < definition->lists->value_count; i++) {
        if (text_is(scalar->text, definition->lists->value[i].text))
            return definition->lists->value[i].number;
    }
    return (double)NAN;
}

static bool column_of(const struct definition *definition, const struct event_item *given,
                      struct scalar *ret_value)
{
    int64_t number = EVENT_ABSENT;
    *ret_value = (struct scalar){{NULL, 0}, 0.0};
    switch (definition->source) {
    case VALUE_PRICE: number = given->price_minor; break;
    case VALUE_COST: number = given->cost_minor; break;
    case VALUE_STOCK: number = given->stock; break;
    case VALUE_CATEGORY: ret_value->text = given->category; break;
    default: ret_value->text = given->brand; break;
    }
    ret_value->number = (double)number;
    return ret_value->text.ptr != NULL || number != EVENT_ABSENT;
}

bool feature_attribute(const struct definition *definition, const struct event *event, uint32_t at,
                       double *ret_value)
{
    struct scalar scalar;
    const struct event_item *given = at == IDMAP_NONE ? NULL : &event->items[at];
    struct text attributes = given == NULL ? event->attributes : given->attributes;
    if (definition->source != VALUE_PROP) {
        if (!column_of(definition, given, &scalar))
            return false;
    } else if (given != NULL && attributes.ptr == NULL) {
        return false;
    } else if (!find_scalar(attributes, definition->property, &scalar)) {
        *ret_value = (double)NAN; /* what is given replaces all of them */
        return true;
    }
    *ret_value = number_of(definition, &scalar);
    return true;
}
