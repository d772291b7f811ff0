/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/train/ranker_rows.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "tools/train/event_ids.h"

#define ROWS_AT_FIRST   4096
#define STRIDE_AT_FIRST 32

enum err_code ranker_rows_create(struct ranker_rows *ret_rows, struct err *err)
{
    struct ranker_rows rows = {.stride = STRIDE_AT_FIRST};
    enum err_code rc = event_ids_create(&rows.seen, err);
    if (rc != ERR_OK)
        return rc;
    rows.name = calloc(RANKER_FEATURES_MAX, sizeof *rows.name);
    if (rows.name == NULL) {
        ranker_rows_destroy(&rows);
        return err_set(err, ERR_NOMEM, "training rows: out of memory");
    }
    *ret_rows = rows;
    return ERR_OK;
}

void ranker_rows_destroy(struct ranker_rows *rows)
{
    event_ids_destroy(&rows->seen);
    free(rows->name);
    free(rows->value);
    free(rows->outcome);
    free(rows->group);
    *rows = (struct ranker_rows){0};
}

/* ---- columns --------------------------------------------------------------------------------- */

/* Twice as many places for each row; from the last row on, so that nothing is overwritten. */
static enum err_code widen(struct ranker_rows *rows, struct err *err)
{
    const uint32_t stride = 2 * rows->stride;
    float *wider = rows->row_room == 0
                       ? NULL
                       : realloc(rows->value, rows->row_room * stride * sizeof wider[0]);
    if (rows->row_room > 0 && wider == NULL)
        return err_set(err, ERR_NOMEM, "training rows: out of memory");
    for (uint64_t row = rows->row_count; row-- > 0;) {
        memmove(wider + row * stride, wider + row * rows->stride, rows->stride * sizeof wider[0]);
        for (uint32_t i = rows->stride; i < stride; i++)
            wider[row * stride + i] = NAN;
    }
    rows->value = wider;
    rows->stride = stride;
    return ERR_OK;
}

enum err_code ranker_rows_column(struct ranker_rows *rows, struct text name, uint32_t likely,
                                 uint32_t *ret_column, struct err *err)
{
    if (likely < rows->feature_count && text_is(name, rows->name[likely])) {
        *ret_column = likely;
        return ERR_OK;
    }
    for (uint32_t i = 0; i < rows->feature_count; i++) {
        if (text_is(name, rows->name[i])) {
            *ret_column = i;
            return ERR_OK;
        }
    }
    if (!text_is_id(name) || name.len >= RANKER_NAME_BYTES)
        return err_set(err, ERR_BAD_INPUT,
                       "the name of a feature: expected 1..%d bytes without controls, got '%.*s'",
                       RANKER_NAME_BYTES - 1, name.len < 80 ? (int)name.len : 80, name.ptr);
    if (rows->feature_count == RANKER_FEATURES_MAX)
        return err_set(err, ERR_LIMIT, "more than %d features", RANKER_FEATURES_MAX);
    if (rows->feature_count == rows->stride) {
        enum err_code rc = widen(rows, err);
        if (rc != ERR_OK)
            return rc;
    }
    text_copy(name, rows->name[rows->feature_count], RANKER_NAME_BYTES);
    *ret_column = rows->feature_count++;
    return ERR_OK;
}

/* ---- rows ------------------------------------------------------------------------------------ */

static enum err_code begin_group(struct ranker_rows *rows, struct text decision, int64_t ts_ms,
                                 struct err *err)
{
    bool is_new = false;
    enum err_code rc = event_ids_add(rows->seen, decision, &is_new, err);
    if (rc != ERR_OK)
        return rc;
    if (!is_new || decision.len >= sizeof rows->decision)
        return err_set(err, ERR_BAD_INPUT,
                       is_new ? "decision: expected a decision's id, got '%.*s'"
                              : "decision: '%.*s' came before: its rows stand together, and no "
                                "decision is in two files",
                       decision.len < 64 ? (int)decision.len : 64, decision.ptr);
    if (rows->group_count == rows->group_room) {
        const uint64_t room = rows->group_room == 0 ? ROWS_AT_FIRST : 2 * rows->group_room;
        void *grown = realloc(rows->group, room * sizeof rows->group[0]);
        if (grown == NULL)
            return err_set(err, ERR_NOMEM, "training rows: out of memory");
        rows->group = grown;
        rows->group_room = room;
    }
    text_copy(decision, rows->decision, sizeof rows->decision);
    rows->group[rows->group_count] = (struct ranker_group){
        .first_row = rows->row_count, .ts_ms = ts_ms, .number = rows->group_count};
    rows->group_count++;
    return ERR_OK;
}

static enum err_code make_room(struct ranker_rows *rows, struct err *err)
{
    if (rows->row_count < rows->row_room)
        return ERR_OK;
    if (rows->row_room >= RANKER_ROWS_MAX)
        return err_set(err, ERR_LIMIT, "more than %u rows", RANKER_ROWS_MAX);
    const uint64_t room = rows->row_room == 0 ? ROWS_AT_FIRST : 2 * rows->row_room;
    float *value = realloc(rows->value, room * rows->stride * sizeof value[0]);
    if (value != NULL)
        rows->value = value;
    uint8_t *outcome = realloc(rows->outcome, room);
    if (outcome != NULL)
        rows->outcome = outcome;
    if (value == NULL || outcome == NULL)
        return err_set(err, ERR_NOMEM, "training rows: out of memory");
    rows->row_room = room;
    return ERR_OK;
}

enum err_code ranker_rows_add(struct ranker_rows *rows, struct text decision, int64_t ts_ms,
                              uint8_t outcome, float **ret_value, struct err *err)
{
    enum err_code rc = ERR_OK;
    if (rows->group_count == 0 || !text_is(decision, rows->decision))
        rc = begin_group(rows, decision, ts_ms, err);
    if (rc == ERR_OK)
        rc = make_room(rows, err);
    if (rc != ERR_OK)
        return rc;
    struct ranker_group *group = &rows->group[rows->group_count - 1];
    if (group->row_count == RANKER_GROUP_ROWS_MAX)
        return err_set(err, ERR_LIMIT, "decision: more than %d items", RANKER_GROUP_ROWS_MAX);
    float *value = rows->value + rows->row_count * rows->stride;
    for (uint32_t i = 0; i < rows->stride; i++)
        value[i] = NAN;
    rows->outcome[rows->row_count++] = outcome;
    group->row_count++;
    *ret_value = value;
    return ERR_OK;
}

/* ---- grades ---------------------------------------------------------------------------------- */

float ranker_grade(enum ranker_label label, uint8_t outcome)
{
    static const uint8_t least[] = {[RANKER_LABEL_PURCHASED] = RANKER_PURCHASED,
                                    [RANKER_LABEL_CARTED] = RANKER_CARTED,
                                    [RANKER_LABEL_CLICKED] = RANKER_CLICKED};
    if (label != RANKER_GRADED)
        return outcome >= least[label] ? 1.0f : 0.0f;
    if ((outcome & RANKER_PURCHASED) != 0)
        return 3.0f;
    if ((outcome & RANKER_CARTED) != 0)
        return 2.0f;
    return (outcome & RANKER_CLICKED) != 0 ? 1.0f : 0.0f;
}

static bool says_something(const struct ranker_rows *rows, const struct ranker_group *group,
                           enum ranker_label label)
{
    const uint8_t *outcome = rows->outcome + group->first_row;
    for (uint32_t i = 1; i < group->row_count; i++) {
        if (ranker_grade(label, outcome[i]) != ranker_grade(label, outcome[0]))
            return true;
    }
    return false;
}

static int compare_groups(const void *a, const void *b)
{
    const struct ranker_group *x = a, *y = b;
    if (x->ts_ms != y->ts_ms)
        return x->ts_ms < y->ts_ms ? -1 : 1;
    return x->number < y->number ? -1 : x->number > y->number;
}

enum err_code ranker_rows_sort(struct ranker_rows *rows, enum ranker_label label,
                               uint64_t *ret_left_out, struct err *err)
{
    uint64_t kept = 0;
    for (uint64_t g = 0; g < rows->group_count; g++) {
        if (says_something(rows, &rows->group[g], label))
            rows->group[kept++] = rows->group[g];
    }
    *ret_left_out = rows->group_count - kept;
    rows->group_count = kept;
    if (kept == 0)
        return err_set(err, ERR_NOT_FOUND,
                       "of %llu decisions none has items of different outcome: there is no order "
                       "to learn",
                       (unsigned long long)*ret_left_out);
    qsort(rows->group, kept, sizeof rows->group[0], compare_groups);
    return ERR_OK;
}
