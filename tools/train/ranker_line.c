/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/train/ranker_line.h"

#include <float.h>
#include <stdio.h>
#include <string.h>

#include "base/cursor.h"
#include "base/num.h"
#include "base/transcode.h"

const char *ranker_field_name(enum ranker_field field)
{
    static const char *const names[RANKER_FIELD_COUNT] = {
#define X(name) #name,
        RANKER_FIELDS(X)
#undef X
    };
    return names[field];
}

uint8_t ranker_field_outcome(enum ranker_field field)
{
    switch (field) {
    case RANKER_FIELD_impressed: return RANKER_IMPRESSED;
    case RANKER_FIELD_clicked: return RANKER_CLICKED;
    case RANKER_FIELD_carted: return RANKER_CARTED;
    case RANKER_FIELD_purchased: return RANKER_PURCHASED;
    default: return 0;
    }
}

enum err_code ranker_line_fault(const struct ranker_line *line, struct text field,
                                const char *expected, struct text got, struct err *err)
{
    return err_set(err, ERR_BAD_INPUT, "line %llu, field %.*s: expected %s, got '%.*s'",
                   (unsigned long long)line->number, (int)field.len, field.ptr, expected,
                   got.len < 40 ? (int)got.len : 40, got.ptr);
}

static bool is_of_slot(const struct ranker_line *line, struct text policy)
{
    const size_t len = line->slot == NULL ? 0 : strlen(line->slot);
    return line->slot == NULL ||
           (policy.len > len && memcmp(policy.ptr, line->slot, len) == 0 && policy.ptr[len] == '@');
}

bool ranker_line_counts(const struct ranker_line *line, struct text policy, uint8_t outcome,
                        bool has_features)
{
    if (!is_of_slot(line, policy)) {
        line->rows->other_slots++;
    } else if (!has_features) {
        line->rows->unranked++;
    } else if (line->impressed_only && (outcome & RANKER_IMPRESSED) == 0) {
        line->rows->unseen++;
    } else {
        return true;
    }
    return false;
}

float ranker_value(double value)
{
    if (value > (double)FLT_MAX)
        return FLT_MAX;
    return value < -(double)FLT_MAX ? -FLT_MAX : (float)value;
}

enum err_code ranker_line_add(const struct ranker_line *line, struct text decision, int64_t ts_ms,
                              uint8_t outcome, float **ret_value, struct err *err)
{
    struct err why;
    enum err_code rc = ranker_rows_add(line->rows, decision, ts_ms, outcome, ret_value, &why);
    if (rc == ERR_OK)
        return ERR_OK;
    return err_set(err, rc, "line %llu, field %s", (unsigned long long)line->number, why.text);
}

/* ---- NDJSON ---------------------------------------------------------------------------------- */

/* The members of one row that matter. */
struct row {
    struct text decision, policy;
    int64_t ts_ms;
    uint8_t outcome;
    unsigned given;         /* bits by field */
    struct cursor features; /* at the map, or .at NULL */
    bool has_features_key;
};

static enum err_code wrong_kind(const struct ranker_line *line, const char *field,
                                const char *expected, const struct cursor *cursor, struct err *err)
{
    return err_set(err, ERR_BAD_INPUT, "line %llu, field %s: expected %s, got %s",
                   (unsigned long long)line->number, field, expected,
                   cursor_kind_name(cursor_peek(cursor)));
}

static enum err_code read_field(const struct ranker_line *line, enum ranker_field field,
                                struct cursor *cursor, struct row *row, struct err *err)
{
    int64_t flag = 0;
    const char *name = ranker_field_name(field);
    row->given |= 1u << field;
    if (field == RANKER_FIELD_decision || field == RANKER_FIELD_policy)
        return cursor_text(cursor, field == RANKER_FIELD_policy ? &row->policy : &row->decision)
                   ? ERR_OK
                   : wrong_kind(line, name, "a text", cursor, err);
    if (field == RANKER_FIELD_ts)
        return cursor_int(cursor, &row->ts_ms)
                   ? ERR_OK
                   : wrong_kind(line, name, "milliseconds since the epoch", cursor, err);
    if (cursor_peek(cursor) != CURSOR_INT || !cursor_int(cursor, &flag))
        return wrong_kind(line, name, "0 or 1", cursor, err);
    if (flag != 0 && flag != 1)
        return err_set(err, ERR_BAD_INPUT, "line %llu, field %s: expected 0 or 1, got %lld",
                       (unsigned long long)line->number, name, (long long)flag);
    row->outcome |= flag == 1 ? ranker_field_outcome(field) : 0;
    return ERR_OK;
}

static enum err_code read_features_key(const struct ranker_line *line, struct cursor *cursor,
                                       struct row *row, struct err *err)
{
    enum cursor_kind kind = cursor_peek(cursor);
    if (kind != CURSOR_NIL && kind != CURSOR_MAP)
        return wrong_kind(line, "features", "an object or null", cursor, err);
    row->has_features_key = true;
    if (kind == CURSOR_MAP)
        row->features = *cursor;
    cursor_skip(cursor, NULL);
    return ERR_OK;
}

static enum err_code read_row(const struct ranker_line *line, struct cursor cursor, struct row *row,
                              struct err *err)
{
    uint32_t pair_count = 0;
    enum err_code rc = ERR_OK;
    if (!cursor_map(&cursor, &pair_count))
        return err_set(err, ERR_BAD_INPUT, "line %llu: expected an object, got %s",
                       (unsigned long long)line->number, cursor_kind_name(cursor_peek(&cursor)));
    for (uint32_t i = 0; i < pair_count && rc == ERR_OK; i++) {
        struct text key;
        int field = 0;
        (void)cursor_text(&cursor, &key);
        while (field < RANKER_FIELD_COUNT &&
               !text_is(key, ranker_field_name((enum ranker_field)field)))
            field++;
        if (field < RANKER_FIELD_COUNT)
            rc = read_field(line, (enum ranker_field)field, &cursor, row, err);
        else if (text_is(key, "features"))
            rc = read_features_key(line, &cursor, row, err);
        else
            cursor_skip(&cursor, NULL);
    }
    for (int field = 0; field < RANKER_FIELD_COUNT && rc == ERR_OK; field++) {
        if ((row->given >> field & 1) == 0)
            rc = err_set(err, ERR_BAD_INPUT, "line %llu: field %s is missing",
                         (unsigned long long)line->number,
                         ranker_field_name((enum ranker_field)field));
    }
    if (rc == ERR_OK && !row->has_features_key)
        rc = err_set(err, ERR_BAD_INPUT, "line %llu: field features is missing",
                     (unsigned long long)line->number);
    return rc;
}

/* Names first: a new one may move the rows. */
static enum err_code add_columns(const struct ranker_line *line, struct cursor features,
                                 struct err *err)
{
    uint32_t count = 0, column = 0;
    enum err_code rc = ERR_OK;
    struct err why;
    (void)cursor_map(&features, &count);
    for (uint32_t i = 0; i < count && rc == ERR_OK; i++) {
        struct text name;
        (void)cursor_text(&features, &name);
        cursor_skip(&features, NULL);
        rc = ranker_rows_column(line->rows, name, i, &column, &why);
    }
    if (rc != ERR_OK)
        return err_set(err, rc, "line %llu, field features: %s", (unsigned long long)line->number,
                       why.text);
    return ERR_OK;
}

static enum err_code read_features(const struct ranker_line *line, struct cursor features,
                                   float *ret_value, struct err *err)
{
    uint32_t count = 0, column = 0;
    (void)cursor_map(&features, &count);
    for (uint32_t i = 0; i < count; i++) {
        struct text name;
        double value = 0.0;
        (void)cursor_text(&features, &name);
        if (ranker_rows_column(line->rows, name, i, &column, err) != ERR_OK)
            continue; /* add_columns saw to it */
        if (cursor_nil(&features))
            continue;
        if (!cursor_real(&features, &value)) {
            char field[RANKER_NAME_BYTES + 16];
            snprintf(field, sizeof field, "features.%.*s", (int)name.len, name.ptr);
            return wrong_kind(line, field, "a number or null", &features, err);
        }
        ret_value[column] = ranker_value(value);
    }
    return ERR_OK;
}

enum err_code ranker_line_json(struct ranker_line *line, struct text json, struct err *err)
{
    struct pack pack = pack_into(line->pack, sizeof line->pack);
    struct row row = {0};
    struct err why;
    float *value = NULL;
    enum err_code rc = transcode_from_json(json.ptr, json.len, &pack, &why);
    if (rc != ERR_OK) { /* the JSON is one line, so of its place only the column counts */
        const char *column = strstr(why.text, "column");
        return err_set(err, rc, "line %llu, %s", (unsigned long long)line->number,
                       column == NULL ? why.text : column);
    }
    rc = read_row(line, cursor_of(pack.bytes, pack.used), &row, err);
    if (rc != ERR_OK || !ranker_line_counts(line, row.policy, row.outcome, row.features.at != NULL))
        return rc;
    rc = add_columns(line, row.features, err);
    if (rc == ERR_OK)
        rc = ranker_line_add(line, row.decision, row.ts_ms, row.outcome, &value, err);
    return rc == ERR_OK ? read_features(line, row.features, value, err) : rc;
}
