/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/catalogue.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Items around a few tastes, some of them alike, some of them zeros, some long. */
static void fill(struct catalogue *catalogue, uint32_t item_count, uint32_t dim, double scale)
{
    static float taste[32][DIM_MAX];
    struct rand *rand = &catalogue->rand;
    for (uint32_t t = 0; t < 32; t++) {
        for (uint32_t k = 0; k < dim; k++)
            taste[t][k] = (float)rand_normal(rand);
    }
    for (uint32_t i = 0; i < item_count; i++) {
        float *row = catalogue->item + (size_t)i * dim;
        const float *own = taste[rand_below(rand, 32)];
        double length = exp(0.5 * rand_normal(rand)) * scale;
        for (uint32_t k = 0; k < dim; k++)
            row[k] = (float)(((double)own[k] + 0.5 * rand_normal(rand)) * length);
        if (rand_below(rand, 50) == 0)
            memset(row, 0, dim * sizeof *row);
        else if (i > 0 && rand_below(rand, 20) == 0)
            memcpy(row, row - dim, dim * sizeof *row);
    }
    for (uint32_t u = 0; u < USERS; u++) {
        const float *own = taste[rand_below(rand, 32)];
        for (uint32_t k = 0; k < dim; k++)
            catalogue->user[u * dim + k] = own[k] + 0.3f * (float)rand_normal(rand);
    }
}

static void catalogue_make_model(struct catalogue *catalogue, uint32_t item_count, uint32_t dim)
{
    catalogue->factors = (struct factors){.item_count = item_count,
                                          .user_count = USERS,
                                          .dim = dim,
                                          .item = catalogue->item,
                                          .user = catalogue->user};
    catalogue->model = (struct model){.kind = MODEL_factors, .as.factors = &catalogue->factors};
}

void catalogue_create(struct catalogue *catalogue, uint64_t seed, uint32_t item_count, uint32_t dim,
                      double scale)
{
    *catalogue = (struct catalogue){.item = malloc((size_t)item_count * dim * sizeof(float)),
                                    .user = malloc((size_t)USERS * dim * sizeof(float))};
    rand_init(&catalogue->rand, seed);
    fill(catalogue, item_count, dim, scale);
    catalogue_make_model(catalogue, item_count, dim);
}

void catalogue_add_sieve(struct catalogue *catalogue)
{
    struct factors *factors = &catalogue->factors;
    struct err err = {0};
    if (sieve_create(factors->item, factors->item_count, factors->dim, NULL, 1, &factors->sieve,
                     &err) != ERR_OK)
        fail_msg("%s", err.text);
}

void catalogue_bind(struct catalogue *catalogue)
{
    uint32_t count = catalogue->factors.item_count;
    uint32_t places = count + count / 3 + 1;
    catalogue->item_of_row = malloc(count * sizeof(uint32_t));
    catalogue->row_of_item = malloc(places * sizeof(uint32_t));
    memset(catalogue->row_of_item, 0xff, places * sizeof(uint32_t));
    for (uint32_t row = 0; row < count; row++) {
        uint32_t item = (uint32_t)rand_below(&catalogue->rand, places);
        while (catalogue->row_of_item[item] != MODEL_NO_ROW)
            item = (item + 1) % places;
        catalogue->row_of_item[item] = row;
        catalogue->item_of_row[row] = item;
    }
    catalogue->model.item_of_row = catalogue->item_of_row;
    catalogue->model.row_of_item = catalogue->row_of_item;
    catalogue->model.row_of_item_count = places;
}

void catalogue_destroy(struct catalogue *catalogue)
{
    if (catalogue->factors.index == NULL)
        sieve_destroy(&catalogue->factors.sieve);
    factors_index_destroy(&catalogue->factors.index);
    free(catalogue->item);
    free(catalogue->user);
    free(catalogue->item_of_row);
    free(catalogue->row_of_item);
}

int catalogue_best_first(const void *left, const void *right)
{
    const struct top_slot *a = left, *b = right;
    if (a->score != b->score)
        return a->score > b->score ? -1 : 1;
    return a->key < b->key ? -1 : a->key > b->key;
}

uint32_t catalogue_sort_all(const struct catalogue *catalogue, const struct factors_query *query,
                            struct top_slot *ret_slot)
{
    uint32_t count = 0;
    for (uint32_t row = 0; row < catalogue->factors.item_count; row++) {
        uint32_t item = catalogue->item_of_row == NULL ? row : catalogue->item_of_row[row];
        bool allowed =
            query->allowed == NULL ||
            (item < query->allowed_count && (query->allowed[item / 64] >> (item % 64) & 1) != 0);
        if (allowed && (query->admits == NULL || query->admits(query->ctx, item)))
            ret_slot[count++] =
                (struct top_slot){factors_score(&catalogue->factors, query->user, row), item};
    }
    qsort(ret_slot, count, sizeof *ret_slot, catalogue_best_first);
    return count;
}

uint32_t catalogue_make_bits(struct rand *rand, uint32_t count, uint32_t share, uint64_t *ret_bits)
{
    memset(ret_bits, 0, (count + 63) / 64 * sizeof *ret_bits);
    for (uint32_t i = 0; i < count; i++)
        ret_bits[i / 64] |= (uint64_t)(rand_below(rand, 65536) < share) << (i % 64);
    return count;
}
