/* SPDX-License-Identifier: Apache-2.0 */
/* 8 or 32 rows in the lanes of AVX2.
 *
 * Column by column: splits below all values send every row to the right, which one word for all
 * rows notes; splits above all values send none and are not looked at; only those between are
 * compared row by row.  Rows that are ranked together are alike, so that these are few.  Then the
 * leaf of each row in one tree after the other, and the sums, in the order of the trees. */
#include "models/forest_fast_internal.h"

#if defined(__x86_64__)

#include <immintrin.h>
#include <string.h>

#define AVX2   __attribute__((target("avx2,bmi")))
#define INLINE static inline __attribute__((always_inline))
#if defined(__clang__)
#define UNROLLED _Pragma("unroll")
#else
#define UNROLLED _Pragma("GCC unroll 8")
#endif

/* What is left of the pieces of a chunk, and where the next chunk begins. */
struct progress32 {
    const struct fast_split32 *split;
    const struct fast_run *run;
    const struct fast_tree *tree;
    __m256i *alive;   /* by piece, the rows */
    uint32_t *common; /* by piece, for all rows */
};
struct progress64 {
    const struct fast_split64 *split;
    const struct fast_run *run;
    const struct fast_tree *tree;
    __m256i *alive;
    uint64_t *common;
};

/* ---- floats, pieces of 32 leaves ------------------------------------------------------------- */

AVX2 INLINE float least32(__m256 values)
{
    __m128 x = _mm_min_ps(_mm256_castps256_ps128(values), _mm256_extractf128_ps(values, 1));
    x = _mm_min_ps(x, _mm_movehl_ps(x, x));
    return _mm_cvtss_f32(_mm_min_ss(x, _mm_movehdup_ps(x)));
}

/* The splits of one column.  A NaN goes right of any threshold: it is no minimum, which the order
 * of the operands sees to, and is the maximum. */
AVX2 INLINE void run32(struct progress32 *at, const struct fast_split32 *end, const float *column,
                       const int vectors)
{
    const struct fast_split32 *split = at->split;
    __m256 value[4], least = _mm256_set1_ps(INFINITY), most = least, is_nan = _mm256_setzero_ps();
    UNROLLED
    for (int v = 0; v < vectors; v++) {
        value[v] = _mm256_load_ps(column + 8 * v);
        least = _mm256_min_ps(value[v], least);
        most = _mm256_min_ps(_mm256_sub_ps(_mm256_setzero_ps(), value[v]), most);
        is_nan = _mm256_or_ps(is_nan, _mm256_cmp_ps(value[v], value[v], _CMP_UNORD_Q));
    }
    float low = least32(least);
    float high = _mm256_movemask_ps(is_nan) != 0 ? NAN : -least32(most);
    for (; split < end && !(low <= split->threshold); split++)
        at->common[split->piece] &= split->keep;
    for (; split < end && !(high <= split->threshold); split++) {
        __m256i *alive = at->alive + (size_t)split->piece * (uint32_t)vectors;
        __m256 threshold = _mm256_set1_ps(split->threshold);
        __m256i keep = _mm256_set1_epi32((int)split->keep);
        UNROLLED
        for (int v = 0; v < vectors; v++) {
            __m256 left = _mm256_cmp_ps(value[v], threshold, _CMP_LE_OQ);
            alive[v] = _mm256_and_si256(alive[v], _mm256_or_si256(_mm256_castps_si256(left), keep));
        }
    }
    at->split = end;
}

/* The number of the lowest bit: a power of two becomes the exponent of a float. */
AVX2 INLINE __m256i lowest_bit(__m256i bits)
{
    __m256i lowest = _mm256_and_si256(bits, _mm256_sub_epi32(_mm256_setzero_si256(), bits));
    __m256i exponent = _mm256_srli_epi32(_mm256_castps_si256(_mm256_cvtepi32_ps(lowest)), 23);
    return _mm256_sub_epi32(_mm256_and_si256(exponent, _mm256_set1_epi32(255)),
                            _mm256_set1_epi32(127));
}

/* An earlier piece that has a leaf left wins. */
AVX2 INLINE __m256i leaf32(const struct progress32 *at, const struct fast_tree *tree, int v,
                           const int vectors)
{
    __m256i leaf = _mm256_setzero_si256();
    for (uint32_t piece = tree->piece_count; piece-- > 0;) {
        uint32_t place = tree->piece_begin + piece;
        __m256i alive = _mm256_and_si256(at->alive[place * (uint32_t)vectors + (uint32_t)v],
                                         _mm256_set1_epi32((int)at->common[place]));
        __m256i none = _mm256_cmpeq_epi32(alive, _mm256_setzero_si256());
        __m256i own = _mm256_add_epi32(lowest_bit(alive), _mm256_set1_epi32((int)piece * 32));
        leaf = _mm256_blendv_epi8(own, leaf, none);
    }
    return leaf;
}

static void walk(const struct forest_fast *fast, const struct fast_tree *tree,
                 const struct fast_block *block, uint32_t *ret_leaf)
{
    const struct forest *forest = fast->forest;
    for (uint32_t row = 0; row < block->row_count; row++)
        ret_leaf[row] = forest_leaf(forest, &forest->tree[tree->number],
                                    block->values + (size_t)row * forest->feature_count) -
                        tree->leaf_begin;
}

AVX2 static void add_walked32(const struct forest_fast *fast, const struct fast_tree *tree,
                              const struct fast_block *block, float *sum)
{
    uint32_t leaf[FOREST_FAST_ROWS];
    walk(fast, tree, block, leaf);
    for (uint32_t row = 0; row < block->row_count; row++)
        sum[row] += fast->leaf32[tree->leaf_begin + leaf[row]];
}

/* Of a tree of one piece: its leaves are looked up in registers. */
AVX2 INLINE void add_small32(const struct progress32 *at, const float *leaf_value,
                             const int vectors, float *sum)
{
    const __m256i *alive = at->alive + (size_t)at->tree->piece_begin * (uint32_t)vectors;
    __m256i common = _mm256_set1_epi32((int)at->common[at->tree->piece_begin]);
    __m256 value[4];
    UNROLLED
    for (int i = 0; i < 4; i++)
        value[i] = _mm256_loadu_ps(leaf_value + 8 * i);
    UNROLLED
    for (int v = 0; v < vectors; v++) {
        __m256i leaf = lowest_bit(_mm256_and_si256(alive[v], common));
        __m256 bit3 = _mm256_castsi256_ps(_mm256_slli_epi32(leaf, 28));
        __m256 bit4 = _mm256_castsi256_ps(_mm256_slli_epi32(leaf, 27));
        __m256 low = _mm256_blendv_ps(_mm256_permutevar8x32_ps(value[0], leaf),
                                      _mm256_permutevar8x32_ps(value[1], leaf), bit3);
        __m256 high = _mm256_blendv_ps(_mm256_permutevar8x32_ps(value[2], leaf),
                                       _mm256_permutevar8x32_ps(value[3], leaf), bit3);
        __m256 own = _mm256_blendv_ps(low, high, bit4);
        _mm256_storeu_ps(sum + 8 * v, _mm256_add_ps(_mm256_loadu_ps(sum + 8 * v), own));
    }
}

AVX2 INLINE void add_large32(const struct progress32 *at, const float *leaf_value,
                             const int vectors, float *sum)
{
    for (int v = 0; v < vectors; v++) {
        __m256 own = _mm256_i32gather_ps(leaf_value, leaf32(at, at->tree, v, vectors), 4);
        _mm256_storeu_ps(sum + 8 * v, _mm256_add_ps(_mm256_loadu_ps(sum + 8 * v), own));
    }
}

AVX2 INLINE void chunk32(const struct forest_fast *fast, const struct fast_chunk *chunk,
                         const struct fast_block *block, struct progress32 *at, const int vectors,
                         float *sum)
{
    const float *columns = block->columns;
    memset(at->common, 255, chunk->piece_count * sizeof *at->common);
    memset(at->alive, 255, chunk->piece_count * (size_t)vectors * sizeof *at->alive);
    for (; at->run < fast->run + chunk->run_end; at->run++)
        run32(at, fast->split32 + at->run->split_end, columns + at->run->column, vectors);
    for (; at->tree < fast->tree + chunk->tree_end; at->tree++) {
        const float *leaf_value = fast->leaf32 + at->tree->leaf_begin;
        float *own = sum + (size_t)at->tree->output * FOREST_FAST_ROWS;
        if (at->tree->piece_count == 0) {
            add_walked32(fast, at->tree, block, own);
            continue;
        }
        if (at->tree->piece_count == 1)
            add_small32(at, leaf_value, vectors, own);
        else
            add_large32(at, leaf_value, vectors, own);
    }
}

/* Lanes that are no rows add to sums that nobody reads. */
AVX2 void forest_fast_block32(const struct forest_fast *fast, const struct fast_block *block,
                              float *sum)
{
    struct progress32 at = {
        .split = fast->split32, .run = fast->run, .tree = fast->tree, .alive = block->alive};
    at.common = (uint32_t *)(void *)(at.alive + (size_t)fast->chunk_pieces * FOREST_FAST_ROWS / 8);
    for (uint32_t c = 0; c < fast->chunk_count; c++) {
        if (block->lanes == FOREST_FAST_ROWS)
            chunk32(fast, &fast->chunk[c], block, &at, 4, sum);
        else
            chunk32(fast, &fast->chunk[c], block, &at, 1, sum);
    }
}

/* ---- doubles, pieces of 64 leaves ------------------------------------------------------------ */

AVX2 INLINE double least64(__m256d values)
{
    __m128d x = _mm_min_pd(_mm256_castpd256_pd128(values), _mm256_extractf128_pd(values, 1));
    return _mm_cvtsd_f64(_mm_min_sd(x, _mm_unpackhi_pd(x, x)));
}

AVX2 INLINE void run64(struct progress64 *at, const struct fast_split64 *end, const double *column,
                       const int vectors)
{
    const struct fast_split64 *split = at->split;
    __m256d value[8], least = _mm256_set1_pd(INFINITY), most = least, is_nan = _mm256_setzero_pd();
    UNROLLED
    for (int v = 0; v < vectors; v++) {
        value[v] = _mm256_load_pd(column + 4 * v);
        least = _mm256_min_pd(value[v], least);
        most = _mm256_min_pd(_mm256_sub_pd(_mm256_setzero_pd(), value[v]), most);
        is_nan = _mm256_or_pd(is_nan, _mm256_cmp_pd(value[v], value[v], _CMP_UNORD_Q));
    }
    double low = least64(least);
    double high = _mm256_movemask_pd(is_nan) != 0 ? (double)NAN : -least64(most);
    for (; split < end && !(low <= split->threshold); split++)
        at->common[split->piece] &= split->keep;
    for (; split < end && !(high <= split->threshold); split++) {
        __m256i *alive = at->alive + (size_t)split->piece * (uint32_t)vectors;
        __m256d threshold = _mm256_set1_pd(split->threshold);
        __m256i keep = _mm256_set1_epi64x((long long)split->keep);
        UNROLLED
        for (int v = 0; v < vectors; v++) {
            __m256d left = _mm256_cmp_pd(value[v], threshold, _CMP_LE_OQ);
            alive[v] = _mm256_and_si256(alive[v], _mm256_or_si256(_mm256_castpd_si256(left), keep));
        }
    }
    at->split = end;
}

AVX2 INLINE void leaves64(const struct progress64 *at, const struct fast_tree *tree,
                          const int vectors, uint32_t *ret_leaf)
{
    const uint32_t lanes = 4 * (uint32_t)vectors;
    for (uint32_t lane = 0; lane < lanes; lane++) {
        uint32_t piece = 0;
        const uint64_t *alive =
            (const uint64_t *)(const void *)at->alive + (size_t)tree->piece_begin * lanes + lane;
        const uint64_t *common = at->common + tree->piece_begin;
        while ((alive[(size_t)piece * lanes] & common[piece]) == 0)
            piece++;
        ret_leaf[lane] =
            piece * 64 + (uint32_t)_tzcnt_u64(alive[(size_t)piece * lanes] & common[piece]);
    }
}

static void add_leaves64(const struct forest_fast *fast, const struct fast_tree *tree,
                         const struct fast_block *block, const uint32_t *leaf, double *sum)
{
    const struct forest *forest = fast->forest;
    const double *leaf_value = forest->leaf_value + tree->leaf_begin;
    if (tree->leaf_begin >= forest->linear_count) {
        for (uint32_t row = 0; row < block->row_count; row++)
            sum[row] += leaf_value[leaf[row]];
        return;
    }
    for (uint32_t row = 0; row < block->row_count; row++)
        sum[row] += forest_leaf_output(forest, tree->leaf_begin + leaf[row],
                                       block->values + (size_t)row * forest->feature_count);
}

AVX2 INLINE void chunk64(const struct forest_fast *fast, const struct fast_chunk *chunk,
                         const struct fast_block *block, struct progress64 *at, const int vectors,
                         double *sum)
{
    uint32_t leaf[FOREST_FAST_ROWS];
    const double *columns = block->columns;
    memset(at->common, 255, chunk->piece_count * sizeof *at->common);
    memset(at->alive, 255, chunk->piece_count * (size_t)vectors * sizeof *at->alive);
    for (; at->run < fast->run + chunk->run_end; at->run++)
        run64(at, fast->split64 + at->run->split_end, columns + at->run->column, vectors);
    for (; at->tree < fast->tree + chunk->tree_end; at->tree++) {
        if (at->tree->piece_count == 0)
            walk(fast, at->tree, block, leaf);
        else
            leaves64(at, at->tree, vectors, leaf);
        add_leaves64(fast, at->tree, block, leaf,
                     sum + (size_t)at->tree->output * FOREST_FAST_ROWS);
    }
}

AVX2 void forest_fast_block64(const struct forest_fast *fast, const struct fast_block *block,
                              double *sum)
{
    struct progress64 at = {
        .split = fast->split64, .run = fast->run, .tree = fast->tree, .alive = block->alive};
    at.common = (uint64_t *)(void *)(at.alive + (size_t)fast->chunk_pieces * FOREST_FAST_ROWS / 4);
    for (uint32_t c = 0; c < fast->chunk_count; c++) {
        if (block->lanes == FOREST_FAST_ROWS)
            chunk64(fast, &fast->chunk[c], block, &at, 8, sum);
        else
            chunk64(fast, &fast->chunk[c], block, &at, 2, sum);
    }
}

#endif
