/* SPDX-License-Identifier: Apache-2.0 */
/* 8 or 32 rows in the lanes of AVX2: the leaf of each row in one tree after the other, then the
 * sums, in the order of the trees. */
#include "models/forest_fast_internal.h"

#if defined(__x86_64__)

#include <immintrin.h>

#define AVX2 __attribute__((target("avx2,bmi")))

/* The leaves that are left of one piece, for 8 * `vectors` rows. */
AVX2 static inline __attribute__((always_inline)) void
piece32(const struct fast_split32 *split, const struct fast_split32 *end, const float *columns,
        const int vectors, __m256i *ret_alive)
{
    __m256i alive[4];
    for (int v = 0; v < vectors; v++)
        alive[v] = _mm256_set1_epi32(-1);
    for (; split < end; split++) {
        const float *column = columns + split->column;
        __m256 threshold = _mm256_set1_ps(split->threshold);
        __m256i keep = _mm256_set1_epi32((int)split->keep);
        for (int v = 0; v < vectors; v++) {
            __m256 left = _mm256_cmp_ps(_mm256_load_ps(column + 8 * v), threshold, _CMP_LE_OQ);
            alive[v] = _mm256_and_si256(alive[v], _mm256_or_si256(_mm256_castps_si256(left), keep));
        }
    }
    for (int v = 0; v < vectors; v++)
        ret_alive[v] = alive[v];
}

/* The number of the lowest bit: a power of two becomes the exponent of a float. */
AVX2 static inline __m256i lowest_bit(__m256i bits)
{
    __m256i lowest = _mm256_and_si256(bits, _mm256_sub_epi32(_mm256_setzero_si256(), bits));
    __m256i exponent = _mm256_srli_epi32(_mm256_castps_si256(_mm256_cvtepi32_ps(lowest)), 23);
    return _mm256_sub_epi32(_mm256_and_si256(exponent, _mm256_set1_epi32(255)),
                            _mm256_set1_epi32(127));
}

AVX2 static inline __attribute__((always_inline)) void
leaves32(const struct fast_split32 *split, const struct fast_tree *tree, const float *columns,
         const int vectors, uint32_t *ret_leaf)
{
    __m256i alive[4];
    __m256i leaf[4];
    uint32_t piece = tree->piece_count - 1;
    piece32(split + tree->split_begin[piece], split + tree->split_begin[piece + 1], columns,
            vectors, alive);
    for (int v = 0; v < vectors; v++)
        leaf[v] = _mm256_add_epi32(lowest_bit(alive[v]), _mm256_set1_epi32((int)piece * 32));
    while (piece-- > 0) { /* an earlier piece that has a leaf left wins */
        piece32(split + tree->split_begin[piece], split + tree->split_begin[piece + 1], columns,
                vectors, alive);
        for (int v = 0; v < vectors; v++) {
            __m256i none = _mm256_cmpeq_epi32(alive[v], _mm256_setzero_si256());
            __m256i own =
                _mm256_add_epi32(lowest_bit(alive[v]), _mm256_set1_epi32((int)piece * 32));
            leaf[v] = _mm256_blendv_epi8(own, leaf[v], none);
        }
    }
    for (int v = 0; v < vectors; v++)
        _mm256_store_si256((__m256i *)(void *)(ret_leaf + 8 * v), leaf[v]);
}

AVX2 static void leaves32_of(const struct fast_split32 *split, const struct fast_tree *tree,
                             const float *columns, uint32_t lanes, uint32_t *ret_leaf)
{
    if (lanes == FOREST_FAST_ROWS)
        leaves32(split, tree, columns, 4, ret_leaf);
    else
        leaves32(split, tree, columns, 1, ret_leaf);
}

AVX2 static inline __attribute__((always_inline)) void
piece64(const struct fast_split64 *split, const struct fast_split64 *end, const double *columns,
        const int vectors, uint64_t *ret_alive)
{
    __m256i alive[8];
    for (int v = 0; v < vectors; v++)
        alive[v] = _mm256_set1_epi64x(-1);
    for (; split < end; split++) {
        const double *column = columns + split->column;
        __m256d threshold = _mm256_set1_pd(split->threshold);
        __m256i keep = _mm256_set1_epi64x((long long)split->keep);
        for (int v = 0; v < vectors; v++) {
            __m256d left = _mm256_cmp_pd(_mm256_load_pd(column + 4 * v), threshold, _CMP_LE_OQ);
            alive[v] = _mm256_and_si256(alive[v], _mm256_or_si256(_mm256_castpd_si256(left), keep));
        }
    }
    for (int v = 0; v < vectors; v++)
        _mm256_store_si256((__m256i *)(void *)(ret_alive + 4 * v), alive[v]);
}

AVX2 static inline __attribute__((always_inline)) void
leaves64(const struct fast_split64 *split, const struct fast_tree *tree, const double *columns,
         const int vectors, uint32_t *ret_leaf)
{
    _Alignas(64) uint64_t alive[FOREST_FAST_ROWS];
    for (uint32_t piece = tree->piece_count; piece-- > 0;) {
        piece64(split + tree->split_begin[piece], split + tree->split_begin[piece + 1], columns,
                vectors, alive);
        for (int lane = 0; lane < 4 * vectors; lane++) {
            if (alive[lane] != 0 || piece + 1 == tree->piece_count)
                ret_leaf[lane] = piece * 64 + (uint32_t)_tzcnt_u64(alive[lane]);
        }
    }
}

AVX2 static void leaves64_of(const struct fast_split64 *split, const struct fast_tree *tree,
                             const double *columns, uint32_t lanes, uint32_t *ret_leaf)
{
    if (lanes == FOREST_FAST_ROWS)
        leaves64(split, tree, columns, 8, ret_leaf);
    else
        leaves64(split, tree, columns, 2, ret_leaf);
}

/* ---- all trees ------------------------------------------------------------------------------- */

static void walk(const struct forest *forest, const struct fast_tree *tree, const double *values,
                 uint32_t row_count, uint32_t *ret_leaf)
{
    for (uint32_t row = 0; row < row_count; row++)
        ret_leaf[row] = forest_leaf(forest, &forest->tree[tree->number],
                                    values + (size_t)row * forest->feature_count) -
                        tree->leaf_begin;
}

/* In lanes that are no rows stands whatever leaf zeros lead to. */
void forest_fast_block32(const struct forest_fast *fast, const double *values, uint32_t row_count,
                         uint32_t lanes, const float *columns, float *sum)
{
    _Alignas(64) uint32_t leaf[FOREST_FAST_ROWS] = {0};
    for (uint32_t t = 0; t < fast->tree_count; t++) {
        const struct fast_tree *tree = &fast->tree[t];
        const float *leaf_value = fast->leaf32 + tree->leaf_begin;
        float *own = sum + (size_t)tree->output * FOREST_FAST_ROWS;
        if (tree->piece_count == 0)
            walk(fast->forest, tree, values, row_count, leaf);
        else
            leaves32_of(fast->split32, tree, columns, lanes, leaf);
        for (uint32_t row = 0; row < row_count; row++)
            own[row] += leaf_value[leaf[row]];
    }
}

void forest_fast_block64(const struct forest_fast *fast, const double *values, uint32_t row_count,
                         uint32_t lanes, const double *columns, double *sum)
{
    _Alignas(64) uint32_t leaf[FOREST_FAST_ROWS] = {0};
    const struct forest *forest = fast->forest;
    for (uint32_t t = 0; t < fast->tree_count; t++) {
        const struct fast_tree *tree = &fast->tree[t];
        double *own = sum + (size_t)tree->output * FOREST_FAST_ROWS;
        if (tree->piece_count == 0)
            walk(forest, tree, values, row_count, leaf);
        else
            leaves64_of(fast->split64, tree, columns, lanes, leaf);
        if (tree->leaf_begin >= forest->linear_count) {
            for (uint32_t row = 0; row < row_count; row++)
                own[row] += forest->leaf_value[tree->leaf_begin + leaf[row]];
            continue;
        }
        for (uint32_t row = 0; row < row_count; row++)
            own[row] += forest_leaf_output(forest, tree->leaf_begin + leaf[row],
                                           values + (size_t)row * forest->feature_count);
    }
}

#endif
