/* SPDX-License-Identifier: Apache-2.0 */
#include "models/clusters.h"

#include <cblas-openblas.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/background.h"
#include "base/rand.h"

enum { SAMPLE_PER_CLUSTER = 48, ITERATIONS = 8, BLOCK_ROWS = 512, TRIED = CLUSTERS_CELLS_TRIED };

/* Some centers, and half of the square of the length of each: what is largest for the nearest one
 * is the product less that half. */
struct centers {
    float *center, *half;
};

/* Two levels: cells, and the clusters of each cell. */
struct clusters {
    uint32_t dim, cell_count, cluster_count;
    struct centers coarse, fine; /* owned */
    uint32_t *first;             /* owned: first cluster of each cell, and one behind the last */
    float *score;                /* owned: BLOCK_ROWS times the larger of both counts */
};

static struct centers from(struct centers centers, size_t first, uint32_t dim)
{
    return (struct centers){centers.center + first * dim, centers.half + first};
}

static uint32_t largest(const float *score, uint32_t count)
{
    uint32_t best = 0;
    for (uint32_t i = 1; i < count; i++) {
        if (score[i] > score[best])
            best = i;
    }
    return best;
}

/* score[row][center]: the product less half */
static void score_rows(const float *rows, uint32_t row_count, struct centers centers,
                       uint32_t count, uint32_t dim, float *ret_score)
{
    for (uint32_t i = 0; i < row_count; i++)
        memcpy(ret_score + (size_t)i * count, centers.half, count * sizeof *ret_score);
    cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasTrans, (int)row_count, (int)count, (int)dim, 1.0f,
                rows, (int)dim, centers.center, (int)dim, -1.0f, ret_score, (int)count);
}

/* The nearest of `count` centers for each row. */
static void assign(const float *rows, uint32_t row_count, struct centers centers, uint32_t count,
                   uint32_t dim, float *score, uint32_t *ret_nearest)
{
    for (uint32_t first = 0; first < row_count; first += BLOCK_ROWS) {
        uint32_t block = row_count - first < BLOCK_ROWS ? row_count - first : BLOCK_ROWS;
        score_rows(rows + (size_t)first * dim, block, centers, count, dim, score);
        for (uint32_t i = 0; i < block; i++)
            ret_nearest[first + i] = largest(score + (size_t)i * count, count);
        background_rest();
    }
}

static void halve(struct centers centers, uint32_t count, uint32_t dim)
{
    for (uint32_t c = 0; c < count; c++) {
        const float *center = centers.center + (size_t)c * dim;
        centers.half[c] = cblas_sdot((int)dim, center, 1, center, 1) / 2.0f;
    }
}

/* To the means of their rows; one without rows moves to a row at random. */
static void move_centers(const float *rows, uint32_t row_count, const uint32_t *nearest,
                         uint32_t count, uint32_t dim, struct rand *rand, struct centers centers)
{
    float *rows_of = centers.half;
    memset(centers.center, 0, (size_t)count * dim * sizeof *centers.center);
    memset(rows_of, 0, count * sizeof *rows_of);
    for (uint32_t i = 0; i < row_count; i++) {
        cblas_saxpy((int)dim, 1.0f, rows + (size_t)i * dim, 1,
                    centers.center + (size_t)nearest[i] * dim, 1);
        rows_of[nearest[i]] += 1.0f;
    }
    for (uint32_t c = 0; c < count; c++) {
        float *center = centers.center + (size_t)c * dim;
        if (rows_of[c] == 0.0f)
            memcpy(center, rows + rand_below(rand, row_count) * dim, dim * sizeof *center);
        else
            cblas_sscal((int)dim, 1.0f / rows_of[c], center, 1);
    }
    halve(centers, count, dim);
}

static void learn(const float *rows, uint32_t row_count, uint32_t count, uint32_t dim,
                  struct rand *rand, float *score, uint32_t *nearest, struct centers centers)
{
    for (uint32_t c = 0; c < count; c++) {
        uint64_t row = (uint64_t)c * row_count / count;
        memcpy(centers.center + (size_t)c * dim, rows + row * dim, dim * sizeof *rows);
    }
    halve(centers, count, dim);
    for (uint32_t i = 0; i < ITERATIONS; i++) {
        assign(rows, row_count, centers, count, dim, score, nearest);
        move_centers(rows, row_count, nearest, count, dim, rand, centers);
    }
    assign(rows, row_count, centers, count, dim, score, nearest);
}

/* Moves the rows of each cell together; first[cell] says where they begin. */
static void sort_by_cell(const float *rows, uint32_t row_count, uint32_t dim,
                         const uint32_t *nearest, uint32_t cell_count, uint32_t *first,
                         float *ret_sorted)
{
    memset(first, 0, (cell_count + (size_t)1) * sizeof *first);
    for (uint32_t i = 0; i < row_count; i++)
        first[nearest[i] + 1]++;
    for (uint32_t c = 0; c < cell_count; c++)
        first[c + 1] += first[c];
    for (uint32_t i = 0; i < row_count; i++)
        memcpy(ret_sorted + (size_t)first[nearest[i]]++ * dim, rows + (size_t)i * dim,
               dim * sizeof *rows);
    for (uint32_t c = cell_count; c > 0; c--)
        first[c] = first[c - 1];
    first[0] = 0;
}

static void take_sample(const float *rows, uint32_t row_count, uint32_t dim, uint32_t count,
                        struct rand *rand, float *ret_sample)
{
    for (uint32_t i = 0; i < count; i++) {
        uint64_t row = count == row_count ? i : rand_below(rand, row_count);
        memcpy(ret_sample + (size_t)i * dim, rows + row * dim, dim * sizeof *rows);
    }
}

/* Both levels; `wanted` clusters are shared out by how many of the sample a cell has. */
static void learn_levels(struct clusters *clusters, const float *sample, uint32_t sample_count,
                         uint32_t wanted, struct rand *rand, float *sorted, uint32_t *nearest)
{
    uint32_t dim = clusters->dim;
    learn(sample, sample_count, clusters->cell_count, dim, rand, clusters->score, nearest,
          clusters->coarse);
    uint32_t *first = clusters->first;
    sort_by_cell(sample, sample_count, dim, nearest, clusters->cell_count, first, sorted);
    uint32_t begin = 0;
    for (uint32_t cell = 0; cell < clusters->cell_count; cell++) {
        uint32_t rows = first[cell + 1] - begin;
        uint32_t count = (uint32_t)((uint64_t)rows * wanted / sample_count);
        if (count == 0)
            count = 1;
        struct centers own = from(clusters->fine, clusters->cluster_count, dim);
        if (rows == 0)
            memcpy(own.center, from(clusters->coarse, cell, dim).center, dim * sizeof *own.center);
        else
            learn(sorted + (size_t)begin * dim, rows, count, dim, rand, clusters->score, nearest,
                  own);
        halve(own, count, dim);
        begin = first[cell + 1];
        first[cell] = clusters->cluster_count;
        clusters->cluster_count += count;
    }
    first[clusters->cell_count] = clusters->cluster_count;
}

/* The nearest cluster of a row, in the few cells that are nearest: score[cell] goes down on the
 * way. */
static uint32_t nearest_cluster(const struct clusters *clusters, const float *row, float *score,
                                float *fine_score)
{
    uint32_t dim = clusters->dim;
    uint32_t nearest = 0;
    float best = -INFINITY;
    for (uint32_t tried = 0; tried < TRIED && tried < clusters->cell_count; tried++) {
        uint32_t cell = largest(score, clusters->cell_count);
        uint32_t first = clusters->first[cell];
        uint32_t count = clusters->first[cell + 1] - first;
        score[cell] = -INFINITY;
        struct centers fine = from(clusters->fine, first, dim);
        memcpy(fine_score, fine.half, count * sizeof *fine_score);
        cblas_sgemv(CblasRowMajor, CblasNoTrans, (int)count, (int)dim, 1.0f, fine.center, (int)dim,
                    row, 1, -1.0f, fine_score, 1);
        uint32_t own = largest(fine_score, count);
        if (fine_score[own] > best) {
            best = fine_score[own];
            nearest = first + own;
        }
    }
    return nearest;
}

static void assign_all(struct clusters *clusters, const float *rows, uint32_t row_count,
                       float *fine_score, uint32_t *ret_cluster)
{
    uint32_t cells = clusters->cell_count;
    for (uint32_t first = 0; first < row_count; first += BLOCK_ROWS) {
        uint32_t block = row_count - first < BLOCK_ROWS ? row_count - first : BLOCK_ROWS;
        const float *block_rows = rows + (size_t)first * clusters->dim;
        score_rows(block_rows, block, clusters->coarse, cells, clusters->dim, clusters->score);
        for (uint32_t i = 0; i < block; i++)
            ret_cluster[first + i] =
                nearest_cluster(clusters, block_rows + (size_t)i * clusters->dim,
                                clusters->score + (size_t)i * cells, fine_score);
        background_rest();
    }
}

static bool make_centers(struct centers *centers, size_t count, uint32_t dim)
{
    centers->center = malloc(count * dim * sizeof *centers->center);
    centers->half = malloc(count * sizeof *centers->half);
    return centers->center != NULL && centers->half != NULL;
}

static void free_centers(struct centers *centers)
{
    free(centers->center);
    free(centers->half);
}

enum err_code clusters_find(const float *rows, uint32_t row_count, uint32_t dim, uint32_t wanted,
                            uint64_t seed, uint32_t *ret_cluster, uint32_t *ret_count,
                            struct err *err)
{
    ASSERT(row_count > 0 && wanted > 0 && wanted <= CLUSTERS_MAX);
    struct rand rand;
    rand_init(&rand, seed);
    uint64_t most = (uint64_t)wanted * SAMPLE_PER_CLUSTER;
    uint32_t sample_count = most < row_count ? (uint32_t)most : row_count;
    struct clusters clusters = {.dim = dim, .cell_count = (uint32_t)ceil(sqrt(wanted))};
    /* A cell without rows has a cluster all the same. */
    size_t cluster_max = (size_t)wanted + clusters.cell_count;
    float *sample = malloc((size_t)sample_count * dim * sizeof *sample);
    float *sorted = malloc((size_t)sample_count * dim * sizeof *sorted);
    uint32_t *nearest = malloc(sample_count * sizeof *nearest);
    float *fine_score = malloc(cluster_max * sizeof *fine_score);
    clusters.first = malloc((clusters.cell_count + (size_t)1) * sizeof *clusters.first);
    clusters.score = malloc(BLOCK_ROWS * cluster_max * sizeof *clusters.score);
    bool ok = make_centers(&clusters.coarse, clusters.cell_count, dim);
    ok = make_centers(&clusters.fine, cluster_max, dim) && ok && sample != NULL && sorted != NULL &&
         nearest != NULL && fine_score != NULL && clusters.first != NULL && clusters.score != NULL;
    if (ok) {
        take_sample(rows, row_count, dim, sample_count, &rand, sample);
        learn_levels(&clusters, sample, sample_count, wanted, &rand, sorted, nearest);
        assign_all(&clusters, rows, row_count, fine_score, ret_cluster);
        *ret_count = clusters.cluster_count;
    }
    free(sample);
    free(sorted);
    free(nearest);
    free(fine_score);
    free(clusters.first);
    free(clusters.score);
    free_centers(&clusters.coarse);
    free_centers(&clusters.fine);
    return ok ? ERR_OK : err_set(err, ERR_NOMEM, "no memory for %u clusters", wanted);
}
