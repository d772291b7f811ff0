/* SPDX-License-Identifier: Apache-2.0 */
#include <math.h>

#include "base/cursor.h"
#include "featurestore/store_items.h"
#include "server/decide/policy_fields.h"
#include "server/protocol/request.h"

#define DAY_S 86400

void policy_asked_begin(struct policy_asked *asked, int64_t wall_ms)
{
    asked->now_s = wall_ms / 1000;
    asked->hour = asked->now_s % DAY_S / 3600;
    asked->weekday = (asked->now_s / DAY_S + 3) % 7 + 1; /* the epoch was a Thursday */
    asked->item = IDMAP_NONE;
    asked->read_item = IDMAP_NONE;
    asked->record = NULL;
    asked->score = (double)NAN;
}

void policy_asked_item(struct policy_asked *asked, uint32_t item)
{
    if (asked->item == item)
        return;
    asked->item = item;
    asked->record = item == IDMAP_NONE ? NULL : store_item(asked->store, item);
}

bool policy_field_of(const struct policy_fields *fields, enum policy_field_kind kind,
                     uint32_t *ret_field)
{
    for (uint32_t i = 0; i < fields->count; i++) {
        if (fields->field[i].kind == kind) {
            *ret_field = i;
            return true;
        }
    }
    return false;
}

static bool give_text(struct text text, union expr_value *ret_value)
{
    ret_value->text = text;
    return text.ptr != NULL;
}

static bool give_int(int64_t integer, bool is_known, union expr_value *ret_value)
{
    ret_value->integer = integer;
    return is_known;
}

/* An attribute is read as the type it is compared with; if it has another type it is unknown. */
static bool give_any(struct cursor value, enum expr_type type, union expr_value *ret_value)
{
    uint32_t count = 0;
    switch (type) {
    case EXPR_BOOL: return cursor_bool(&value, &ret_value->truth);
    case EXPR_INT: return cursor_int(&value, &ret_value->integer);
    case EXPR_DOUBLE: return cursor_real(&value, &ret_value->real);
    case EXPR_STRING:
        return cursor_short_text(&value, &ret_value->text) || cursor_text(&value, &ret_value->text);
    case EXPR_STRINGS:
        /* The array's head gives its length. */
        ret_value->text = (struct text){(const char *)value.at, (uint32_t)(value.end - value.at)};
        return cursor_usual_array(&value, &count);
    case EXPR_ANY: return cursor_peek(&value) != CURSOR_NIL;
    }
    return false;
}

static bool read_attribute(const struct item *record, struct text name, enum expr_type type,
                           union expr_value *ret_value)
{
    uint32_t count = 0;
    if (record->attributes.ptr == NULL)
        return false;
    struct cursor cursor =
        cursor_of((const uint8_t *)record->attributes.ptr, record->attributes.len);
    if (!cursor_usual_map(&cursor, &count))
        return false;
    for (uint32_t i = 0; i < count; i++) {
        struct text key, passed;
        if ((cursor_short_text(&cursor, &key) || cursor_text(&cursor, &key)) &&
            text_equal(key, name))
            return give_any(cursor, type, ret_value);
        if (!cursor_short_text(&cursor, &passed))
            cursor_skip(&cursor, NULL);
    }
    return false;
}

/* Text fields of the catalogue. */
static bool read_item_text(struct policy_asked *asked, const struct policy_field *field,
                           union expr_value *ret_value)
{
    const struct item *record = asked->record;
    switch (field->kind) {
    case FIELD_ITEM_TITLE: return give_text(record->title, ret_value);
    case FIELD_ITEM_CATEGORY:
        return record->category != IDMAP_NONE &&
               give_text(store_category_name(asked->store, record->category), ret_value);
    case FIELD_ITEM_BRAND:
        return record->brand != IDMAP_NONE &&
               give_text(store_brand_name(asked->store, record->brand), ret_value);
    default:
        return record->currency != 0 &&
               give_text(text_of(currency_format(record->currency, asked->currency)), ret_value);
    }
}

static bool read_context(const struct request *request, struct text name,
                         union expr_value *ret_value)
{
    for (uint32_t i = 0; i < request->context_count; i++) {
        if (text_equal(request->context[i].key, name))
            return give_text(request->context[i].value, ret_value);
    }
    return false;
}

/* The reader moves to an item only when one of its features is used: earlier conditions often make
 * that unnecessary. */
static bool read_feature(struct policy_asked *asked, const struct feature *feature,
                         union expr_value *ret_value)
{
    if (asked->reader == NULL)
        return false;
    if (feature->subject != FEATURE_DEFINED) {
        ret_value->real = feature_value_builtin(asked->reader, feature, asked->item);
        return !isnan(ret_value->real);
    }
    if (asked->read_item != asked->item) {
        feature_reader_item(asked->reader, asked->item);
        asked->read_item = asked->item;
    }
    ret_value->real = feature_value(asked->reader, feature);
    return !isnan(ret_value->real);
}

/* An item newer than the newest shopper event has age 0, not a negative one. */
static bool read_age(const struct policy_asked *asked, const struct item *record,
                     union expr_value *ret_value)
{
    const int64_t age_s = store_watermark_ms(asked->store) / 1000 - record->added_s;
    return give_int(age_s > 0 ? age_s : 0, record->added_s != 0, ret_value);
}

bool policy_field_read(void *ctx, uint32_t id, enum expr_type type, union expr_value *ret_value)
{
    struct policy_asked *asked = ctx;
    const struct policy_field *field = &asked->fields->field[id];
    const struct item *record = asked->record;
    switch (field->kind) {
    case FIELD_ITEM_PRICE:
        return record != NULL &&
               give_int(record->price_minor, record->price_minor != EVENT_ABSENT, ret_value);
    case FIELD_ITEM_COST:
        return record != NULL &&
               give_int(record->cost_minor, record->cost_minor != EVENT_ABSENT, ret_value);
    case FIELD_ITEM_STOCK:
        return record != NULL &&
               give_int(record->stock, record->stock != STORE_STOCK_UNKNOWN, ret_value);
    case FIELD_ITEM_AGE_S: return record != NULL && read_age(asked, record, ret_value);
    case FIELD_ITEM_ID:
        return asked->item != IDMAP_NONE &&
               give_text(store_item_id(asked->store, asked->item), ret_value);
    case FIELD_ITEM_TITLE:
    case FIELD_ITEM_CATEGORY:
    case FIELD_ITEM_BRAND:
    case FIELD_ITEM_CURRENCY: return record != NULL && read_item_text(asked, field, ret_value);
    case FIELD_ITEM_ATTRIBUTE:
        return record != NULL && read_attribute(record, field->name, type, ret_value);
    case FIELD_USER_ID: return !asked->is_hidden && give_text(asked->request->user, ret_value);
    case FIELD_QUERY: return give_text(asked->request->query, ret_value);
    case FIELD_CONTEXT: return read_context(asked->request, field->name, ret_value);
    case FIELD_NOW: return give_int(asked->now_s, true, ret_value);
    case FIELD_HOUR: return give_int(asked->hour, true, ret_value);
    case FIELD_WEEKDAY: return give_int(asked->weekday, true, ret_value);
    case FIELD_SCORE: ret_value->real = asked->score; return !isnan(asked->score);
    case FIELD_FEATURE: return read_feature(asked, &field->feature, ret_value);
    }
    return false;
}
