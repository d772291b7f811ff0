/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/bench/retrieval_vectors.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "base/rand.h"

enum {
    DIM = VECTORS_DIM,
    CATEGORIES = 100,
    SUBCATEGORIES = 50,
    GROUPS = CATEGORIES * SUBCATEGORIES,
    TASTES_MAX = 3,
    ITEMS_OF_TASTE = 5
};

static float group[GROUPS][DIM];
static float spectrum[DIM];

static void *pages(size_t bytes)
{
    void *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) {
        fprintf(stderr, "no memory for %zu MB of vectors\n", bytes >> 20);
        exit(1);
    }
    return memory;
}

static void make_groups(struct rand *rand)
{
    static float category[CATEGORIES][DIM];
    for (uint32_t k = 0; k < DIM; k++)
        spectrum[k] = (float)pow(k + 1.0, -0.3);
    for (uint32_t c = 0; c < CATEGORIES; c++) {
        for (uint32_t k = 0; k < DIM; k++)
            category[c][k] = (float)rand_normal(rand) * spectrum[k];
    }
    for (uint32_t g = 0; g < GROUPS; g++) {
        for (uint32_t k = 0; k < DIM; k++)
            group[g][k] =
                category[g / SUBCATEGORIES][k] + 0.7f * (float)rand_normal(rand) * spectrum[k];
    }
}

static void make_item(struct rand *rand, uint32_t of_group, float *ret_item)
{
    double length = 0.0;
    for (uint32_t k = 0; k < DIM; k++) {
        ret_item[k] = group[of_group][k] + 0.7f * (float)rand_normal(rand) * spectrum[k];
        length += (double)ret_item[k] * (double)ret_item[k];
    }
    float scale = (float)(exp(0.5 * rand_normal(rand)) / sqrt(length));
    for (uint32_t k = 0; k < DIM; k++)
        ret_item[k] *= scale;
}

static void make_user(struct rand *rand, float *ret_user)
{
    float item[DIM];
    uint64_t tastes = 1 + rand_below(rand, TASTES_MAX);
    for (uint32_t k = 0; k < DIM; k++)
        ret_user[k] = 0.1f * (float)rand_normal(rand) * spectrum[k];
    for (uint64_t t = 0; t < tastes; t++) {
        uint32_t of_group = (uint32_t)rand_below(rand, GROUPS);
        for (uint32_t i = 0; i < ITEMS_OF_TASTE; i++) {
            make_item(rand, of_group, item);
            for (uint32_t k = 0; k < DIM; k++)
                ret_user[k] += item[k];
        }
    }
}

void vectors_make(struct vectors *vectors, uint32_t item_count, uint32_t user_count, uint64_t seed)
{
    struct rand rand;
    rand_init(&rand, seed);
    *vectors = (struct vectors){.item_count = item_count,
                                .user_count = user_count,
                                .item = pages((size_t)item_count * DIM * sizeof(float)),
                                .user = pages((size_t)user_count * DIM * sizeof(float))};
    make_groups(&rand);
    for (uint32_t i = 0; i < item_count; i++) {
        uint32_t of_group = (uint32_t)(GROUPS * pow(rand_unit(&rand), 1.5));
        make_item(&rand, of_group, vectors->item + (size_t)i * DIM);
    }
    for (uint32_t u = 0; u < user_count; u++)
        make_user(&rand, vectors->user + (size_t)u * DIM);
}

void vectors_free_items(struct vectors *vectors)
{
    if (vectors->item != NULL)
        munmap(vectors->item, (size_t)vectors->item_count * DIM * sizeof(float));
    vectors->item = NULL;
}

void vectors_free(struct vectors *vectors)
{
    vectors_free_items(vectors);
    munmap(vectors->user, (size_t)vectors->user_count * DIM * sizeof(float));
}
