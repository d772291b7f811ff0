/* SPDX-License-Identifier: Apache-2.0 */
/* ranker_line - one line of training rows, NDJSON or CSV, into struct ranker_rows.
 *
 * What `decidectl export training` never writes is an error, not skipped: "line 17, field clicked:
 * expected 0 or 1, got 'x'".  Other fields are not looked at.  Threads: one owner. */
#ifndef TOOLS_TRAIN_RANKER_LINE_H
#define TOOLS_TRAIN_RANKER_LINE_H

#include "featurestore/reader_csv.h"
#include "tools/train/ranker_rows.h"

#define RANKER_PACK_BYTES (128 * 1024)

/* The fields of a row that are no features. */
#define RANKER_FIELDS(X) X(decision) X(ts) X(policy) X(impressed) X(clicked) X(carted) X(purchased)

enum ranker_field {
#define X(name) RANKER_FIELD_##name,
    RANKER_FIELDS(X)
#undef X
        RANKER_FIELD_COUNT
};

/* Where the columns of a CSV file go. */
struct ranker_csv {
    uint32_t column_count;
    uint32_t field[RANKER_FIELD_COUNT]; /* their columns */
    uint32_t first_feature;             /* column; features stand behind `revenue_minor` */
    uint32_t feature[CSV_FIELDS_MAX];   /* of each column: the column of the rows */
};

struct ranker_line {
    uint64_t number; /* from 1 */
    bool impressed_only;
    const char *slot; /* NULL: all */
    struct ranker_rows *rows;
    struct ranker_csv csv;
    uint8_t pack[RANKER_PACK_BYTES];
};

MUST_CHECK enum err_code ranker_line_json(struct ranker_line *line, struct text json,
                                          struct err *err);
/* The first record of a CSV file, then the others. */
MUST_CHECK enum err_code ranker_line_csv_header(struct ranker_line *line, struct csv_record *record,
                                                struct err *err);
MUST_CHECK enum err_code ranker_line_csv(struct ranker_line *line, struct csv_record *record,
                                         struct err *err);

/* ---- shared by both */

const char *ranker_field_name(enum ranker_field field);
/* "line 17, field ts: expected an integer, got 'x'" */
enum err_code ranker_line_fault(const struct ranker_line *line, struct text field,
                                const char *expected, struct text got, struct err *err);
/* The bit of an outcome's field; 0 for one that is none. */
uint8_t ranker_field_outcome(enum ranker_field field);
/* Whether a row of that outcome and policy ("home@3") counts; notes one that does not. */
bool ranker_line_counts(const struct ranker_line *line, struct text policy, uint8_t outcome,
                        bool has_features);
/* A value as a finite float. */
float ranker_value(double value);
/* Adds a row, with the number of the line in the error. */
MUST_CHECK enum err_code ranker_line_add(const struct ranker_line *line, struct text decision,
                                         int64_t ts_ms, uint8_t outcome, float **ret_value,
                                         struct err *err);

#endif
