/* SPDX-License-Identifier: Apache-2.0 */
#include "featurestore/decision_record.h"

#include <math.h>
#include <stddef.h>

#include "base/rand.h"

enum { MUST_BE = 1, MAY_BE_NIL = 2 };

enum kind {
    VERSION,
    INTEGER,
    WORD,    /* a text */
    TEXTS,   /* an array of texts; its count is kept */
    TEXT_OF, /* a column: a text, a number, an integer or a row for each item */
    REAL_OF,
    INTEGER_OF,
    ROW_OF,
};

static const struct field {
    const char *name;
    enum kind kind;
    unsigned int flags;
    size_t at;       /* in struct decision_record */
    size_t count_at; /* TEXTS */
} fields[] = {
#define AT(member) offsetof(struct decision_record, member)
    {"v", VERSION, MUST_BE, 0, 0},
    {"decision", WORD, MUST_BE, AT(decision), 0},
    {"ts", INTEGER, MUST_BE, AT(ts_ms), 0},
    {"op", WORD, MUST_BE, AT(op), 0},
    {"level", WORD, MUST_BE, AT(level), 0},
    {"policy", WORD, MUST_BE, AT(policy), 0},
    {"models", TEXTS, MUST_BE, AT(models), AT(model_count)},
    {"items", TEXTS, MUST_BE, AT(items), AT(item_count)},
    {"scores", REAL_OF, MUST_BE, AT(scores), 0},
    {"slot", WORD, 0, AT(slot), 0},
    {"user", WORD, 0, AT(user), 0},
    {"anon", WORD, 0, AT(anon), 0},
    {"session", WORD, 0, AT(session), 0},
    {"reason", WORD, 0, AT(reason), 0},
    {"ranker", WORD, 0, AT(ranker), 0},
    {"names", TEXTS, 0, AT(names), AT(name_count)},
    {"prices", INTEGER_OF, MAY_BE_NIL, AT(prices), 0},
    {"currencies", TEXT_OF, MAY_BE_NIL, AT(currencies), 0},
    {"features", ROW_OF, MAY_BE_NIL, AT(features), 0},
    {"ranked", REAL_OF, MAY_BE_NIL, AT(ranked), 0},
#undef AT
};

enum { FIELD_COUNT = sizeof fields / sizeof fields[0] };

static enum err_code wrong(const struct field *field, const char *expected, struct err *err)
{
    return err_set(err, ERR_CORRUPT, "decision record: %s: expected %s", field->name, expected);
}

/* Where each known key has its value. */
static enum err_code find_fields(struct cursor map, struct cursor value[FIELD_COUNT],
                                 struct err *err)
{
    uint32_t pair_count = 0;
    if (!cursor_map(&map, &pair_count))
        return err_set(err, ERR_CORRUPT, "decision record: expected a map");
    for (uint32_t i = 0; i < pair_count; i++) {
        struct text key;
        if (!cursor_text(&map, &key))
            return err_set(err, ERR_CORRUPT, "decision record: expected texts as keys");
        for (uint32_t f = 0; f < FIELD_COUNT; f++) {
            if (!text_is(key, fields[f].name))
                continue;
            if (value[f].at != NULL)
                return wrong(&fields[f], "it once", err);
            value[f] = map;
        }
        cursor_skip(&map, NULL);
    }
    for (uint32_t f = 0; f < FIELD_COUNT; f++) {
        if (value[f].at == NULL && (fields[f].flags & MUST_BE) != 0)
            return wrong(&fields[f], "it to be there", err);
    }
    return ERR_OK;
}

static enum err_code read_version(const struct field *field, struct cursor value, struct err *err)
{
    int64_t version = 0;
    if (!cursor_int(&value, &version))
        return wrong(field, "an integer", err);
    if (version != DECISION_RECORD_VERSION)
        return err_set(err, ERR_UNSUPPORTED, "decision record: version %lld, expected %d",
                       (long long)version, DECISION_RECORD_VERSION);
    return ERR_OK;
}

static enum err_code read_texts(const struct field *field, struct cursor value, void *record,
                                struct err *err)
{
    uint32_t *count = (uint32_t *)(void *)((char *)record + field->count_at);
    struct text text;
    if (!cursor_array(&value, count))
        return wrong(field, "an array", err);
    *(struct cursor *)(void *)((char *)record + field->at) = value;
    for (uint32_t i = 0; i < *count; i++) {
        if (!cursor_text(&value, &text))
            return wrong(field, "texts", err);
    }
    return ERR_OK;
}

static bool skip_row(struct cursor *at, uint32_t name_count)
{
    uint32_t count = 0;
    double number;
    if (!cursor_array(at, &count) || count != name_count)
        return false;
    for (uint32_t i = 0; i < count; i++) {
        if (!cursor_nil(at) && !cursor_real(at, &number))
            return false;
    }
    return true;
}

static bool skip_cell(const struct field *field, struct cursor *at, uint32_t name_count)
{
    struct text text;
    int64_t integer;
    double real;
    if ((field->flags & MAY_BE_NIL) != 0 && cursor_nil(at))
        return true;
    switch (field->kind) {
    case TEXT_OF: return cursor_text(at, &text);
    case INTEGER_OF: return cursor_int(at, &integer);
    case REAL_OF: return cursor_real(at, &real);
    default: return skip_row(at, name_count);
    }
}

static enum err_code read_column(const struct field *field, struct cursor value,
                                 struct decision_record *record, struct err *err)
{
    uint32_t count = 0;
    if (!cursor_array(&value, &count))
        return wrong(field, "an array", err);
    if (count != record->item_count)
        return err_set(err, ERR_CORRUPT, "decision record: %s: expected %u values, got %u",
                       field->name, record->item_count, count);
    *(struct cursor *)(void *)((char *)record + field->at) = value;
    for (uint32_t i = 0; i < count; i++) {
        if (!skip_cell(field, &value, record->name_count))
            return wrong(field, field->kind == ROW_OF ? "as many numbers as names" : "other values",
                         err);
    }
    return ERR_OK;
}

static enum err_code read_field(const struct field *field, struct cursor value,
                                struct decision_record *record, struct err *err)
{
    void *at = (char *)record + field->at;
    switch (field->kind) {
    case VERSION: return read_version(field, value, err);
    case INTEGER:
        return cursor_int(&value, (int64_t *)at) ? ERR_OK : wrong(field, "an integer", err);
    case WORD: return cursor_text(&value, (struct text *)at) ? ERR_OK : wrong(field, "a text", err);
    case TEXTS: return read_texts(field, value, record, err);
    default: return read_column(field, value, record, err);
    }
}

/* Columns come last: how long they must be is known by then. */
static bool is_column(const struct field *field)
{
    return field->kind >= TEXT_OF;
}

enum err_code decision_record_read(struct text bytes, struct decision_record *ret_record,
                                   struct err *err)
{
    struct cursor value[FIELD_COUNT] = {{0}};
    int64_t made_ms = 0;
    *ret_record = (struct decision_record){.next_position = 1};
    if (bytes.len > DECISION_RECORD_BYTES_MAX)
        return err_set(err, ERR_CORRUPT, "decision record: %u bytes of at most %d", bytes.len,
                       DECISION_RECORD_BYTES_MAX);
    enum err_code rc = cursor_check((const uint8_t *)bytes.ptr, bytes.len, CURSOR_VALUES_MAX, err);
    if (rc != ERR_OK)
        return err == NULL ? ERR_CORRUPT : (err->code = ERR_CORRUPT);
    rc = find_fields(cursor_of((const uint8_t *)bytes.ptr, bytes.len), value, err);
    for (int columns = 0; columns <= 1; columns++) {
        for (uint32_t f = 0; f < FIELD_COUNT && rc == ERR_OK; f++) {
            if (value[f].at != NULL && is_column(&fields[f]) == (columns == 1))
                rc = read_field(&fields[f], value[f], ret_record, err);
        }
    }
    if (rc == ERR_OK && !ulid_time_ms(ret_record->decision, &made_ms))
        rc = err_set(err, ERR_CORRUPT, "decision record: decision: expected a ULID");
    return rc;
}

bool decision_record_next(struct decision_record *record, struct decision_record_item *ret_item)
{
    struct decision_record_item item = {.position = record->next_position, .ranked = NAN};
    if (record->next_position > record->item_count)
        return false;
    record->next_position++;
    (void)cursor_text(&record->items, &item.item);
    (void)cursor_real(&record->scores, &item.score);
    if (record->prices.at != NULL && !cursor_nil(&record->prices))
        item.has_price = cursor_int(&record->prices, &item.price_minor);
    if (record->currencies.at != NULL && !cursor_nil(&record->currencies))
        (void)cursor_text(&record->currencies, &item.currency);
    if (record->ranked.at != NULL && !cursor_nil(&record->ranked))
        (void)cursor_real(&record->ranked, &item.ranked);
    if (record->features.at != NULL && !cursor_nil(&record->features)) {
        uint32_t count = 0;
        item.features = record->features;
        item.has_features = cursor_array(&item.features, &count);
        cursor_skip(&record->features, NULL);
    }
    *ret_item = item;
    return true;
}
