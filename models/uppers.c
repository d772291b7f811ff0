/* SPDX-License-Identifier: Apache-2.0 */
#include "models/uppers.h"

#include <stdlib.h>
#include <string.h>

enum { GROUP = DOT_INT8_GROUP, QUAD = 4, LINE_BYTES = 64 };

static bool make_room(struct uppers *uppers)
{
    size_t groups = uppers->group_count + (size_t)1;
    size_t bytes = groups * uppers->quad_count * QUAD * GROUP;
    uppers->bytes = aligned_alloc(LINE_BYTES, bytes);
    uppers->step = calloc(groups * GROUP, sizeof *uppers->step);
    uppers->rest = calloc(groups * GROUP, sizeof *uppers->rest);
    uppers->length = calloc(groups * GROUP, sizeof *uppers->length);
    if (uppers->bytes == NULL || uppers->step == NULL || uppers->rest == NULL ||
        uppers->length == NULL)
        return false;
    memset(uppers->bytes, 0, bytes);
    return true;
}

static void fill_item(struct uppers *uppers, uint32_t item, const float *row, uint32_t dim)
{
    int8_t whole[SIEVE_DIM_MAX];
    int8_t *group = uppers->bytes + (size_t)(item / GROUP) * uppers->quad_count * QUAD * GROUP;
    uppers->step[item] =
        sieve_to_whole(row, dim, sieve_largest(row, dim), whole, &uppers->rest[item]);
    uppers->length[item] = sieve_length(row, dim);
    for (uint32_t k = 0; k < dim; k++)
        group[((size_t)(k / QUAD) * GROUP + item % GROUP) * QUAD + k % QUAD] = whole[k];
}

enum err_code uppers_create(const float *floats, uint32_t dim, const uint32_t *row_of_item,
                            uint32_t item_count, struct uppers **ret_uppers, struct err *err)
{
    struct dot_int8_kernel kernel[DOT_INT8_KERNELS_MAX];
    ASSERT(dim > 0 && dim <= SIEVE_DIM_MAX && item_count <= UPPERS_ITEMS_MAX);
    (void)dot_int8_kernels(kernel);
    struct uppers *uppers = calloc(1, sizeof *uppers);
    if (uppers != NULL)
        *uppers = (struct uppers){.quad_count = (dim + QUAD - 1) / QUAD,
                                  .item_count = item_count,
                                  .group_count = (item_count + GROUP - 1) / GROUP,
                                  .dot = kernel[0].fn};
    if (uppers == NULL || !make_room(uppers)) {
        uppers_destroy(&uppers);
        return err_set(err, ERR_NOMEM, "no memory for the bytes of %u items of %u factors",
                       item_count, dim);
    }
    for (uint32_t item = 0; item < item_count; item++) {
        if (row_of_item[item] != SIEVE_NO_ROW)
            fill_item(uppers, item, floats + (size_t)row_of_item[item] * dim, dim);
    }
    *ret_uppers = uppers;
    return ERR_OK;
}

void uppers_destroy(struct uppers **uppers)
{
    struct uppers *old = *uppers;
    *uppers = NULL;
    if (old == NULL)
        return;
    free(old->bytes);
    free(old->step);
    free(old->rest);
    free(old->length);
    free(old);
}

uint64_t uppers_bytes(const struct uppers *uppers)
{
    uint64_t groups = uppers->group_count + 1ULL;
    return sizeof *uppers +
           groups * GROUP * ((uint64_t)uppers->quad_count * QUAD + 3 * sizeof *uppers->step);
}
