/* SPDX-License-Identifier: Apache-2.0 */
#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "models/ranker.h"
#include "tools/ctl/replay.h"

#define MLP_TOLERANCE 1e-5
#define NO_COLUMN     UINT32_MAX

/* What a row of the model is made of. */
struct rows {
    const struct model *model;
    uint32_t *column; /* owned: where each feature of the model stands in the log */
    double *logged;   /* owned: one row of the log */
    double *value;    /* owned: the same for the model */
    void *scratch;    /* owned */
};

static void rows_free(struct rows *rows)
{
    free(rows->column);
    free(rows->logged);
    free(rows->value);
    free(rows->scratch);
}

static uint32_t find_name(const struct decision_record *decision, const char *name)
{
    struct cursor at = decision->names;
    for (uint32_t i = 0; i < decision->name_count; i++) {
        struct text text;
        (void)cursor_text(&at, &text);
        if (text_is(text, name))
            return i;
    }
    return NO_COLUMN;
}

static enum err_code rows_make(const struct decision_record *decision, const struct model *model,
                               struct rows *rows, struct err *err)
{
    const size_t count = model->feature_count;
    const size_t scratch = (ranker_scratch_bytes(model) + RANKER_ALIGN_BYTES - 1) /
                           RANKER_ALIGN_BYTES * RANKER_ALIGN_BYTES;
    *rows = (struct rows){.model = model,
                          .column = malloc((count + 1) * sizeof rows->column[0]),
                          .logged = malloc((decision->name_count + 1ULL) * sizeof(double)),
                          .value = malloc((count + 1) * sizeof(double)),
                          .scratch = aligned_alloc(RANKER_ALIGN_BYTES, scratch)};
    if (rows->column == NULL || rows->logged == NULL || rows->value == NULL ||
        rows->scratch == NULL)
        return err_set(err, ERR_NOMEM, "out of memory for a decision");
    for (uint32_t i = 0; i < count; i++) {
        rows->column[i] = find_name(decision, model->feature[i].name);
        if (rows->column[i] == NO_COLUMN)
            return err_set(err, ERR_NOT_FOUND,
                           "%s looks at '%s', which the log of this decision does not have",
                           model->label, model->feature[i].name);
    }
    return ERR_OK;
}

/* As a reply holds it. */
static float as_score(double score)
{
    if (score >= -(double)FLT_MAX && score <= (double)FLT_MAX)
        return (float)score;
    return score > 0.0 ? FLT_MAX : -FLT_MAX;
}

static float compute(const struct rows *rows, uint32_t name_count, struct cursor features)
{
    double score = 0.0;
    for (uint32_t i = 0; i < name_count; i++) {
        rows->logged[i] = NAN;
        if (!cursor_nil(&features))
            (void)cursor_real(&features, &rows->logged[i]);
    }
    for (uint32_t i = 0; i < rows->model->feature_count; i++)
        rows->value[i] = rows->logged[rows->column[i]];
    ranker_score_rows(rows->model, rows->value, 1, rows->scratch, &score);
    return as_score(score);
}

static bool same(const struct model *model, float a, float b)
{
    if (replay_rounds(model))
        return fabsf(a - b) <= (float)MLP_TOLERANCE * fmaxf(1.0f, fabsf(b));
    return memcmp(&a, &b, sizeof a) == 0;
}

static int by_computed(const void *a, const void *b)
{
    const struct replay_item *const *x = a, *const *y = b;
    if ((*x)->computed != (*y)->computed)
        return (*x)->computed > (*y)->computed ? -1 : 1;
    return *x < *y ? -1 : *x > *y; /* equal ones stay as they stood */
}

static void set_places(struct replay *replay)
{
    struct replay_item *order[REPLAY_ITEMS_MAX];
    uint32_t count = 0;
    for (uint32_t i = 0; i < replay->count; i++) {
        if (replay->item[i].is_ranked)
            order[count++] = &replay->item[i];
    }
    qsort(order, count, sizeof order[0], by_computed);
    for (uint32_t i = 0; i < count; i++)
        order[i]->place = i + 1;
}

enum err_code replay_compute(const struct decision_record *decision, const struct model *model,
                             struct replay *ret_replay, struct err *err)
{
    struct decision_record at = *decision;
    struct decision_record_item logged;
    struct rows rows;
    if (decision->item_count > REPLAY_ITEMS_MAX)
        return err_set(err, ERR_CORRUPT, "%u items, at most %d can be", decision->item_count,
                       REPLAY_ITEMS_MAX);
    ret_replay->count = ret_replay->ranked_count = ret_replay->differing_count = 0;
    ret_replay->order_differs = false;
    enum err_code rc = rows_make(decision, model, &rows, err);
    while (rc == ERR_OK && decision_record_next(&at, &logged)) {
        struct replay_item *item = &ret_replay->item[ret_replay->count];
        *item = (struct replay_item){.item = logged.item, .score = logged.score};
        ret_replay->order_differs =
            ret_replay->order_differs || (ret_replay->count > 0 && item->score > item[-1].score);
        ret_replay->count++;
        if (!logged.has_features)
            continue;
        item->is_ranked = true;
        item->logged = (float)(isnan(logged.ranked) ? logged.score : logged.ranked);
        item->computed = compute(&rows, decision->name_count, logged.features);
        item->is_equal = same(model, item->computed, item->logged);
        ret_replay->ranked_count++;
        ret_replay->differing_count += !item->is_equal;
    }
    rows_free(&rows);
    if (rc == ERR_OK)
        set_places(ret_replay);
    return rc;
}
