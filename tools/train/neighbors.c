/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/train/neighbors.h"

#include <stdlib.h>

enum err_code neighbor_lists_init(uint32_t row_count, uint64_t entry_count,
                                  struct neighbor_lists *ret_lists, struct err *err)
{
    struct neighbor_lists lists = {.row_count = row_count};
    lists.offset = calloc((size_t)row_count + 1, sizeof lists.offset[0]);
    lists.row = calloc(entry_count + 1, sizeof lists.row[0]);
    lists.weight = calloc(entry_count + 1, sizeof lists.weight[0]);
    if (lists.offset == NULL || lists.row == NULL || lists.weight == NULL) {
        neighbor_lists_deinit(&lists);
        return err_set(err, ERR_NOMEM, "neighbors: lists of %llu entries: out of memory",
                       (unsigned long long)entry_count);
    }
    *ret_lists = lists;
    return ERR_OK;
}

void neighbor_lists_deinit(struct neighbor_lists *lists)
{
    free(lists->offset);
    free(lists->row);
    free(lists->weight);
    *lists = (struct neighbor_lists){0};
}

void neighbors_add_products(const struct matrix *by_person, const struct matrix *by_item,
                            uint32_t item, float *row)
{
    for (uint64_t p = by_item->offset[item]; p < by_item->offset[item + 1]; p++) {
        const uint32_t person = by_item->column[p];
        const float factor = by_item->value[p];
        const uint64_t end = by_person->offset[person + 1];
        for (uint64_t i = by_person->offset[person]; i < end; i++)
            row[by_person->column[i]] += factor * by_person->value[i];
    }
}
