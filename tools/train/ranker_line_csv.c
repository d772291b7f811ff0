/* SPDX-License-Identifier: Apache-2.0 */
/* CSV: the header says where the fields stand; every column behind `revenue_minor` is a feature. */
#include <math.h>

#include "base/num.h"
#include "tools/train/ranker_line.h"

#define LAST_FIELD "revenue_minor"

static enum err_code find_column(struct csv_record *record, const char *name, uint32_t *ret_column,
                                 struct err *err)
{
    for (uint32_t i = 0; i < record->field_count; i++) {
        if (text_is(record->field[i], name)) {
            *ret_column = i;
            return ERR_OK;
        }
    }
    return err_set(err, ERR_BAD_INPUT,
                   "line 1: column %s is missing: expected what decidectl export training writes",
                   name);
}

enum err_code ranker_line_csv_header(struct ranker_line *line, struct csv_record *record,
                                     struct err *err)
{
    struct ranker_csv *csv = &line->csv;
    uint32_t last = 0;
    enum err_code rc = ERR_OK;
    csv->column_count = record->field_count;
    for (uint32_t i = 0; i < record->field_count; i++)
        (void)csv_unquote(record, i);
    for (int field = 0; field < RANKER_FIELD_COUNT && rc == ERR_OK; field++)
        rc = find_column(record, ranker_field_name((enum ranker_field)field), &csv->field[field],
                         err);
    if (rc == ERR_OK)
        rc = find_column(record, LAST_FIELD, &last, err);
    csv->first_feature = last + 1;
    for (uint32_t i = csv->first_feature; i < record->field_count && rc == ERR_OK; i++) {
        struct err why;
        uint32_t before = line->rows->feature_count;
        for (uint32_t k = csv->first_feature; k < i && rc == ERR_OK; k++) {
            if (text_equal(record->field[k], record->field[i]))
                rc = err_set(err, ERR_BAD_INPUT, "line 1: column %.*s stands there twice",
                             (int)record->field[i].len, record->field[i].ptr);
        }
        if (rc == ERR_OK && ranker_rows_column(line->rows, record->field[i], before,
                                               &csv->feature[i], &why) != ERR_OK)
            rc = err_set(err, why.code, "line 1: %s", why.text);
    }
    return rc;
}

static enum err_code read_fields(const struct ranker_line *line, struct csv_record *record,
                                 int64_t *ret_ts_ms, uint8_t *ret_outcome, struct err *err)
{
    for (int field = 0; field < RANKER_FIELD_COUNT; field++) {
        struct text text = csv_unquote(record, line->csv.field[field]);
        struct text name = text_of(ranker_field_name((enum ranker_field)field));
        int64_t flag = 0;
        if (field == RANKER_FIELD_decision || field == RANKER_FIELD_policy)
            continue;
        if (field == RANKER_FIELD_ts) {
            if (!num_parse_int(text, INT64_MIN, INT64_MAX, ret_ts_ms))
                return ranker_line_fault(line, name, "milliseconds since the epoch", text, err);
        } else if (!num_parse_int(text, 0, 1, &flag)) {
            return ranker_line_fault(line, name, "0 or 1", text, err);
        } else if (flag == 1) {
            *ret_outcome |= ranker_field_outcome((enum ranker_field)field);
        }
    }
    return ERR_OK;
}

/* A row whose features are all empty was seen by no ranker. */
static bool has_features(const struct ranker_line *line, const struct csv_record *record)
{
    for (uint32_t i = line->csv.first_feature; i < record->field_count; i++) {
        if (record->field[i].len > 0)
            return true;
    }
    return false;
}

enum err_code ranker_line_csv(struct ranker_line *line, struct csv_record *record, struct err *err)
{
    const struct ranker_csv *csv = &line->csv;
    int64_t ts_ms = 0;
    uint8_t outcome = 0;
    float *value = NULL;
    if (record->field_count != csv->column_count)
        return err_set(err, ERR_BAD_INPUT,
                       "line %llu: expected %u columns as in the header, got %u",
                       (unsigned long long)line->number, csv->column_count, record->field_count);
    enum err_code rc = read_fields(line, record, &ts_ms, &outcome, err);
    if (rc != ERR_OK ||
        !ranker_line_counts(line, csv_unquote(record, csv->field[RANKER_FIELD_policy]), outcome,
                            has_features(line, record)))
        return rc;
    rc = ranker_line_add(line, csv_unquote(record, csv->field[RANKER_FIELD_decision]), ts_ms,
                         outcome, &value, err);
    for (uint32_t i = csv->first_feature; i < record->field_count && rc == ERR_OK; i++) {
        struct text text = csv_unquote(record, i);
        double number = 0.0;
        if (text.len == 0)
            continue;
        if (!num_parse_real(text, &number))
            return ranker_line_fault(line, text_of(line->rows->name[csv->feature[i]]), "a number",
                                     text, err);
        value[csv->feature[i]] = ranker_value(number);
    }
    return rc;
}
