/* SPDX-License-Identifier: Apache-2.0 */
#include "models/sieve.h"

#include <stdlib.h>
#include <string.h>

enum { GROUP = DOT_INT8_GROUP, QUAD = 4, LINE_BYTES = 64 };

struct ordered {
    float length;
    uint32_t row;
};

static int longest_first(const void *left, const void *right)
{
    const struct ordered *a = left, *b = right;
    if (a->length != b->length)
        return a->length > b->length ? -1 : 1;
    return a->row < b->row ? -1 : a->row > b->row;
}

/* Where each list begins when rows are in groups, and how many groups there are. */
static uint64_t count_groups(struct sieve *sieve, const uint32_t *list_of_row)
{
    uint64_t group_count = 0;
    for (uint32_t list = 0; list <= sieve->list_count; list++)
        sieve->first_group[list] = 0;
    for (uint32_t row = 0; row < sieve->row_count; row++)
        sieve->first_group[list_of_row == NULL ? 0 : list_of_row[row]]++;
    for (uint32_t list = 0; list <= sieve->list_count; list++) {
        uint32_t rows = sieve->first_group[list];
        sieve->first_group[list] = (uint32_t)group_count;
        group_count += (rows + (uint64_t)GROUP - 1) / GROUP;
    }
    return group_count;
}

static bool make_room(struct sieve *sieve, uint64_t group_count)
{
    size_t group_bytes = (size_t)sieve->quad_count * QUAD * GROUP;
    sieve->bytes = aligned_alloc(LINE_BYTES, (group_count + 1) * group_bytes);
    sieve->group = calloc(group_count + 1, sizeof *sieve->group);
    sieve->row = malloc((group_count + 1) * GROUP * sizeof *sieve->row);
    if (sieve->bytes == NULL || sieve->group == NULL || sieve->row == NULL)
        return false;
    memset(sieve->bytes, 0, (group_count + 1) * group_bytes);
    memset(sieve->row, 0xff, (group_count + 1) * GROUP * sizeof *sieve->row);
    return true;
}

/* Rows into the places of their lists, the longest first. */
static bool place_rows(struct sieve *sieve, const uint32_t *list_of_row)
{
    struct ordered *ordered = malloc((sieve->row_count + (size_t)1) * sizeof *ordered);
    uint32_t *filled = calloc(sieve->list_count + (size_t)1, sizeof *filled);
    bool ok = ordered != NULL && filled != NULL;
    size_t from = 0;
    for (uint32_t row = 0; ok && row < sieve->row_count; row++) {
        uint32_t list = list_of_row == NULL ? 0 : list_of_row[row];
        sieve->row[(size_t)sieve->first_group[list] * GROUP + filled[list]++] = row;
    }
    for (uint32_t list = 0; ok && list < sieve->list_count; list++) {
        uint32_t *row = sieve->row + (size_t)sieve->first_group[list] * GROUP;
        struct ordered *own = ordered + from;
        for (uint32_t i = 0; i < filled[list]; i++)
            own[i] = (struct ordered){
                sieve_length(sieve->floats + (size_t)row[i] * sieve->dim, sieve->dim), row[i]};
        qsort(own, filled[list], sizeof *own, longest_first);
        for (uint32_t i = 0; i < filled[list]; i++)
            row[i] = own[i].row;
        from += filled[list];
    }
    free(ordered);
    free(filled);
    return ok;
}

static void fill_group(struct sieve *sieve, uint32_t index)
{
    struct sieve_group *group = &sieve->group[index];
    const uint32_t *row = sieve->row + (size_t)index * GROUP;
    int8_t *bytes = sieve->bytes + (size_t)index * sieve->quad_count * QUAD * GROUP;
    float largest = 0.0f;
    for (uint32_t r = 0; r < GROUP && row[r] != SIEVE_NO_ROW; r++) {
        float own = sieve_largest(sieve->floats + (size_t)row[r] * sieve->dim, sieve->dim);
        largest = own > largest ? own : largest;
    }
    for (uint32_t r = 0; r < GROUP && row[r] != SIEVE_NO_ROW; r++) {
        const float *floats = sieve->floats + (size_t)row[r] * sieve->dim;
        int8_t whole[SIEVE_DIM_MAX];
        float rest = 0.0f;
        group->step = sieve_to_whole(floats, sieve->dim, largest, whole, &rest);
        group->rest = rest > group->rest ? rest : group->rest;
        float length = sieve_length(floats, sieve->dim);
        group->length = length > group->length ? length : group->length;
        for (uint32_t k = 0; k < sieve->dim; k++)
            bytes[((size_t)(k / QUAD) * GROUP + r) * QUAD + k % QUAD] = whole[k];
    }
}

enum err_code sieve_create(const float *floats, uint32_t row_count, uint32_t dim,
                           const uint32_t *list_of_row, uint32_t list_count,
                           struct sieve **ret_sieve, struct err *err)
{
    struct dot_int8_kernel kernel[DOT_INT8_KERNELS_MAX];
    ASSERT(dim > 0 && dim <= SIEVE_DIM_MAX);
    (void)dot_int8_kernels(kernel);
    struct sieve *sieve = calloc(1, sizeof *sieve);
    bool ok = sieve != NULL;
    if (ok) {
        *sieve = (struct sieve){.dim = dim,
                                .quad_count = (dim + QUAD - 1) / QUAD,
                                .row_count = row_count,
                                .list_count = list_count,
                                .floats = floats,
                                .dot = kernel[0].fn};
        sieve->first_group = malloc((list_count + (size_t)1) * sizeof *sieve->first_group);
        ok = sieve->first_group != NULL && make_room(sieve, count_groups(sieve, list_of_row)) &&
             place_rows(sieve, list_of_row);
    }
    if (!ok) {
        sieve_destroy(&sieve);
        return err_set(err, ERR_NOMEM, "no memory for the bytes of %u rows of %u factors",
                       row_count, dim);
    }
    for (uint32_t group = 0; group < sieve->first_group[list_count]; group++)
        fill_group(sieve, group);
    *ret_sieve = sieve;
    return ERR_OK;
}

void sieve_forget_floats(struct sieve *sieve)
{
    sieve->floats = NULL;
}

void sieve_destroy(struct sieve **sieve)
{
    struct sieve *old = *sieve;
    *sieve = NULL;
    if (old == NULL)
        return;
    free(old->bytes);
    free(old->group);
    free(old->row);
    free(old->first_group);
    free(old);
}

uint64_t sieve_bytes(const struct sieve *sieve)
{
    uint64_t groups = sieve->first_group[sieve->list_count];
    return sizeof *sieve + (sieve->list_count + 1ULL) * sizeof *sieve->first_group +
           groups * (GROUP * ((uint64_t)sieve->quad_count * QUAD + sizeof *sieve->row) +
                     sizeof *sieve->group);
}
