/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/train/dataset.h"

#include <stdlib.h>

/* Above every weight, so that it is what stays of a pair; then the pair is dropped. */
#define DISLIKED 2.0f

float dataset_weight(enum event_class event_class)
{
    switch (event_class) {
    case EVENT_CLASS_PURCHASE: return 1.0f;
    case EVENT_CLASS_CART: return 0.6f;
    case EVENT_CLASS_VIEW: return 0.3f;
    case EVENT_CLASS_DISLIKE:
    case EVENT_CLASS_NONE: break;
    }
    return 0.0f;
}

static bool within(const struct interaction *interaction, struct span span)
{
    return interaction->time_s >= span.from_s &&
           (interaction->time_s < span.until_s || span.until_s == DATASET_ALL);
}

static uint32_t *new_numbers(uint32_t count)
{
    uint32_t *number = malloc(((size_t)count + 1) * sizeof number[0]);
    for (uint32_t i = 0; number != NULL && i < count; i++)
        number[i] = DATASET_NONE;
    return number;
}

static uint32_t number_for(uint32_t *number_of, uint32_t *list, uint32_t *count, uint32_t which)
{
    if (number_of[which] == DATASET_NONE) {
        number_of[which] = *count;
        list[*count] = which;
        ++*count;
    }
    return number_of[which];
}

/* Rows and columns for all that was viewed, put into a cart or bought. */
static void number_pairs(const struct interactions *interactions, struct span span,
                         struct dataset *dataset, uint32_t *ret_rows, uint32_t *ret_columns)
{
    for (uint64_t i = 0; i < interactions->count; i++) {
        const struct interaction *one = &interactions->list[i];
        if (!within(one, span) || dataset_weight(one->event_class) <= 0.0f)
            continue;
        number_for(dataset->row_of_person, dataset->person, ret_rows,
                   interactions_person(interactions, one));
        number_for(dataset->column_of_item, dataset->item, ret_columns, one->item);
        dataset->interaction_count++;
        if (one->time_s > dataset->newest_s)
            dataset->newest_s = one->time_s;
    }
}

/* What the span holds of the rows and columns of the dataset; `least` is the smallest weight that
 * counts, dislikes always do. */
static enum err_code collect(const struct interactions *interactions, struct span span,
                             const struct dataset *dataset, float least, struct matrix *ret_matrix,
                             struct err *err)
{
    uint64_t count = 0;
    struct matrix_entry *entry = malloc((interactions->count + 1) * sizeof entry[0]);
    if (entry == NULL)
        return err_set(err, ERR_NOMEM, "%llu interactions: out of memory",
                       (unsigned long long)interactions->count);
    for (uint64_t i = 0; i < interactions->count; i++) {
        const struct interaction *one = &interactions->list[i];
        uint32_t row = dataset->row_of_person[interactions_person(interactions, one)];
        uint32_t column = dataset->column_of_item[one->item];
        bool disliked = one->event_class == EVENT_CLASS_DISLIKE;
        float weight = disliked ? DISLIKED : dataset_weight(one->event_class);
        if (within(one, span) && row != DATASET_NONE && column != DATASET_NONE && weight >= least)
            entry[count++] = (struct matrix_entry){row, column, weight};
    }
    enum err_code rc = matrix_build(entry, count, dataset->pairs.row_count,
                                    dataset->pairs.column_count, ret_matrix, err);
    free(entry);
    if (rc == ERR_OK)
        matrix_drop_above(ret_matrix, dataset_weight(EVENT_CLASS_PURCHASE));
    return rc;
}

enum err_code dataset_build(const struct interactions *interactions, struct span span,
                            struct dataset *ret_dataset, struct err *err)
{
    struct dataset dataset = {0};
    uint32_t people = interactions_people(interactions);
    uint32_t items = idmap_count(interactions->items);
    enum err_code rc = ERR_OK;
    dataset.person = new_numbers(people);
    dataset.row_of_person = new_numbers(people);
    dataset.item = new_numbers(items);
    dataset.column_of_item = new_numbers(items);
    if (dataset.person == NULL || dataset.row_of_person == NULL || dataset.item == NULL ||
        dataset.column_of_item == NULL) {
        rc = err_set(err, ERR_NOMEM, "%u people and %u items: out of memory", people, items);
        goto out;
    }
    number_pairs(interactions, span, &dataset, &dataset.pairs.row_count,
                 &dataset.pairs.column_count);
    if (dataset.interaction_count == 0) {
        rc = err_set(err, ERR_NOT_FOUND,
                     "there is nothing to train on: no view, cart or purchase in that time");
        goto out;
    }
    rc = collect(interactions, span, &dataset, 0.0f, &dataset.pairs, err);
    if (rc != ERR_OK)
        goto out;
    *ret_dataset = dataset;
    dataset = (struct dataset){0};
out:
    dataset_deinit(&dataset);
    return rc;
}

void dataset_deinit(struct dataset *dataset)
{
    matrix_deinit(&dataset->pairs);
    free(dataset->person);
    free(dataset->item);
    free(dataset->row_of_person);
    free(dataset->column_of_item);
    *dataset = (struct dataset){0};
}

static enum event_class strongest_class(const struct interactions *interactions, struct span span)
{
    enum event_class strongest = EVENT_CLASS_VIEW;
    for (uint64_t i = 0; i < interactions->count; i++) {
        const struct interaction *one = &interactions->list[i];
        if (within(one, span) && dataset_weight(one->event_class) > dataset_weight(strongest))
            strongest = one->event_class;
    }
    return strongest;
}

enum err_code targets_build(const struct interactions *interactions, struct span span,
                            const struct dataset *dataset, struct targets *ret_targets,
                            struct err *err)
{
    struct targets targets = {.event_class = strongest_class(interactions, span)};
    enum err_code rc = collect(interactions, span, dataset, dataset_weight(targets.event_class),
                               &targets.items, err);
    if (rc != ERR_OK)
        return rc;
    if (matrix_count(&targets.items) == 0) {
        targets_deinit(&targets);
        return err_set(err, ERR_NOT_FOUND,
                       "there is nothing to test on: nobody of the training part did anything "
                       "with its items afterwards");
    }
    *ret_targets = targets;
    return ERR_OK;
}

void targets_deinit(struct targets *targets)
{
    matrix_deinit(&targets->items);
    *targets = (struct targets){0};
}
