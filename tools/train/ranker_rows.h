/* SPDX-License-Identifier: Apache-2.0 */
/* ranker_rows - what decisions showed: for each item the features that the ranker saw and what came
 * of it, as `decidectl export training` writes them (docs/decision-log.md), grouped by decision.
 *
 * Columns are those of all files together; a value that a row does not have is NaN.  Memory: 4
 * bytes a value and 24 a row.  Threads: one owner while filled, then read by any.
 * Limits: RANKER_*_MAX. */
#ifndef TOOLS_TRAIN_RANKER_ROWS_H
#define TOOLS_TRAIN_RANKER_ROWS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/text.h"

#define RANKER_FEATURES_MAX   1024
#define RANKER_NAME_BYTES     128
#define RANKER_ROWS_MAX       (UINT32_C(1) << 30)
#define RANKER_GROUP_ROWS_MAX 1000

/* What came of a shown item: bits, from weakest to strongest. */
enum ranker_outcome {
    RANKER_IMPRESSED = 1,
    RANKER_CLICKED = 2,
    RANKER_CARTED = 4,
    RANKER_PURCHASED = 8
};

struct ranker_group {
    uint64_t first_row;
    uint32_t row_count;
    int64_t ts_ms;   /* of the decision */
    uint64_t number; /* in which order the decisions came */
};

struct ranker_rows {
    char (*name)[RANKER_NAME_BYTES]; /* owned; of the columns */
    uint32_t feature_count;
    uint32_t stride;  /* places of a row, at least feature_count */
    float *value;     /* owned; row_count * stride */
    uint8_t *outcome; /* owned; bits */
    uint64_t row_count, row_room;
    struct ranker_group *group; /* owned */
    uint64_t group_count, group_room;
    struct event_ids *seen; /* owned; the decisions */
    uint64_t other_slots;   /* left out: of other slots than the one wanted */
    uint64_t unranked;      /* left out: no ranker saw them */
    uint64_t unseen;        /* left out: without an impression, where only those with one count */
    char decision[64];      /* whose rows come now */
};

MUST_CHECK enum err_code ranker_rows_create(struct ranker_rows *ret_rows, struct err *err);
void ranker_rows_destroy(struct ranker_rows *rows); /* fine when zeroed */

/* The column of that name, which is added when it is new; `likely` is where to look first.
 * ERR_LIMIT, ERR_NOMEM. */
MUST_CHECK enum err_code ranker_rows_column(struct ranker_rows *rows, struct text name,
                                            uint32_t likely, uint32_t *ret_column, struct err *err);

/* The rows of a decision come one after the other.  *ret_value has a place for each column, all
 * NaN, valid until the next call of any of these.  ERR_BAD_INPUT for a decision that came before,
 * ERR_LIMIT, ERR_NOMEM. */
MUST_CHECK enum err_code ranker_rows_add(struct ranker_rows *rows, struct text decision,
                                         int64_t ts_ms, uint8_t outcome, float **ret_value,
                                         struct err *err);

/* What is learned from: a grade for each row. */
enum ranker_label {
    RANKER_GRADED,
    RANKER_LABEL_PURCHASED,
    RANKER_LABEL_CARTED,
    RANKER_LABEL_CLICKED
};

/* Graded: clicked 1, carted 2, purchased 3, the strongest counts; else 1 for that outcome or a
 * stronger one. */
float ranker_grade(enum ranker_label label, uint8_t outcome);

/* Decisions in the order of time, without those whose items all have the same grade: they say
 * nothing about an order.  *ret_left_out is how many those were.  ERR_NOT_FOUND when none is left.
 */
MUST_CHECK enum err_code ranker_rows_sort(struct ranker_rows *rows, enum ranker_label label,
                                          uint64_t *ret_left_out, struct err *err);

#endif
