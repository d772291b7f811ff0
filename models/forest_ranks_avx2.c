/* SPDX-License-Identifier: Apache-2.0 */
/* Ranks of the values, the leaves alive of each block, and the sums in the order of the trees. */
#include "models/forest_ranks_internal.h"

#if defined(__x86_64__)

#include <immintrin.h>
#include <string.h>

#define AVX2   __attribute__((target("avx2,bmi")))
#define INLINE static inline __attribute__((always_inline))

/* ---- ranks ----------------------------------------------------------------------------------- */

/* How many of RANKS_FAN rising thresholds lie below the value; the last one never does. */
AVX2 INLINE uint32_t below32(const float *threshold, __m256 value)
{
    __m256 low = _mm256_cmp_ps(_mm256_load_ps(threshold), value, _CMP_LT_OQ);
    __m256 high = _mm256_cmp_ps(_mm256_load_ps(threshold + 8), value, _CMP_LT_OQ);
    uint32_t bits = (uint32_t)_mm256_movemask_ps(low) | (uint32_t)_mm256_movemask_ps(high) << 8;
    return _tzcnt_u32(~bits);
}

AVX2 INLINE uint32_t below64(const double *threshold, __m256d value)
{
    uint32_t bits = 0;
    for (int v = 0; v < 4; v++) {
        __m256d is = _mm256_cmp_pd(_mm256_load_pd(threshold + 4 * v), value, _CMP_LT_OQ);
        bits |= (uint32_t)_mm256_movemask_pd(is) << 4 * v;
    }
    return _tzcnt_u32(~bits);
}

AVX2 INLINE uint32_t rank32(const struct forest_ranks *ranks, const struct ranks_source *source,
                            float value)
{
    __m256 all = _mm256_set1_ps(value);
    uint32_t rank = 0;
    for (uint32_t l = 0; l < source->level_count; l++) {
        const float *node = ranks->threshold32 + source->level_begin[l] + RANKS_FAN * rank;
        rank = RANKS_FAN * rank + below32(node, all);
    }
    return rank;
}

AVX2 INLINE uint32_t rank64(const struct forest_ranks *ranks, const struct ranks_source *source,
                            double value)
{
    __m256d all = _mm256_set1_pd(value);
    uint32_t rank = 0;
    for (uint32_t l = 0; l < source->level_count; l++) {
        const double *node = ranks->threshold64 + source->level_begin[l] + RANKS_FAN * rank;
        rank = RANKS_FAN * rank + below64(node, all);
    }
    return rank;
}

/* A column holds the ranks among its own thresholds. */
INLINE void put(const struct ranks_source *source, uint32_t rank, bool is_missing, int8_t *column)
{
    if (source->column_count == 1) {
        column[source->column_begin] =
            (int8_t)(is_missing ? RANKS_MISSING : RANKS_LOWEST + (int32_t)rank);
        return;
    }
    for (uint32_t c = 0; c < source->column_count; c++) {
        uint32_t before = c * RANKS_OF_COLUMN;
        uint32_t own = rank < before ? 0 : rank - before;
        own = own > RANKS_OF_COLUMN ? RANKS_OF_COLUMN : own;
        column[source->column_begin + c] =
            (int8_t)(is_missing ? RANKS_MISSING : RANKS_LOWEST + (int32_t)own);
    }
}

AVX2 INLINE void source32(const struct forest_ranks *ranks, const struct ranks_source *source,
                          double x, int8_t *column)
{
    if ((source->flags & NODE_CATEGORICAL) != 0) {
        const struct forest_node node = {.set = source->set, .flags = source->flags};
        put(source, !forest_xgboost_left(ranks->fast->forest, &node, x), false, column);
        return;
    }
    float value = (float)x;
    put(source, rank32(ranks, source, value), isnan(value), column);
}

AVX2 INLINE void source64(const struct forest_ranks *ranks, const struct ranks_source *source,
                          double x, int8_t *column)
{
    if ((source->flags & NODE_CATEGORICAL) != 0) {
        const struct forest_node node = {.set = source->set, .flags = source->flags};
        put(source, !forest_lightgbm_left(ranks->fast->forest, &node, x), false, column);
        return;
    }
    bool is_there = fast_value64(source->flags, x, &x);
    put(source, rank64(ranks, source, x), !is_there, column);
}

/* ---- leaves ---------------------------------------------------------------------------------- */

/* From two tables of 16 columns each; `which` says so in the highest bit of each byte. */
AVX2 INLINE __m256i look_up2(const __m256i *table, __m256i column, __m256i which)
{
    return _mm256_blendv_epi8(_mm256_shuffle_epi8(table[0], column),
                              _mm256_shuffle_epi8(table[1], column), which);
}

/* The ranks that the splits look at, from 2, 4 or 8 tables. */
AVX2 INLINE __m256i look_up(const __m256i *table, __m256i column, const int tables)
{
    __m256i bit4 = _mm256_slli_epi16(column, 3);
    __m256i bit5 = _mm256_slli_epi16(column, 2);
    __m256i low = look_up2(table, column, bit4);
    if (tables == 2)
        return low;
    low = _mm256_blendv_epi8(low, look_up2(table + 2, column, bit4), bit5);
    if (tables == 4)
        return low;
    __m256i high = _mm256_blendv_epi8(look_up2(table + 4, column, bit4),
                                      look_up2(table + 6, column, bit4), bit5);
    return _mm256_blendv_epi8(low, high, _mm256_slli_epi16(column, 1));
}

AVX2 INLINE __m256i has_none(const uint32_t *left_of, __m256i right)
{
    __m256i both =
        _mm256_and_si256(_mm256_load_si256((const __m256i *)(const void *)left_of), right);
    return _mm256_cmpeq_epi32(both, _mm256_setzero_si256());
}

/* A bit for each leaf that no split to the right has on its left. */
AVX2 INLINE uint32_t alive_of(const struct ranks_block *block, const __m256i *table,
                              const int tables)
{
    const __m256i *byte = (const __m256i *)(const void *)block;
    __m256i rank = look_up(table, _mm256_load_si256(byte), tables);
    rank = _mm256_add_epi8(rank, _mm256_load_si256(byte + 2));
    __m256i is_right = _mm256_cmpgt_epi8(rank, _mm256_load_si256(byte + 1));
    __m256i right = _mm256_set1_epi32(_mm256_movemask_epi8(is_right));
    __m256i low =
        _mm256_packs_epi32(has_none(block->left_of, right), has_none(block->left_of + 8, right));
    __m256i high = _mm256_packs_epi32(has_none(block->left_of + 16, right),
                                      has_none(block->left_of + 24, right));
    return (uint32_t)_mm256_movemask_epi8(_mm256_packs_epi16(low, high));
}

/* ---- sums ------------------------------------------------------------------------------------ */

/* Where it is, and the sum of the output that was added to last. */
struct progress {
    const struct forest_fast *fast;
    const double *values;
    const __m256i *table;
    const struct ranks_block *block;
    const struct ranks_part *part;
    float *sum32; /* one of the two */
    double *sum64;
    uint32_t output;
    float value32;
    double value64;
};

INLINE void change_output(struct progress *at, uint32_t output)
{
    if (at->sum32 != NULL) {
        at->sum32[at->output] = at->value32;
        at->value32 = at->sum32[output];
    } else {
        at->sum64[(size_t)at->output * FOREST_FAST_ROWS] = at->value64;
        at->value64 = at->sum64[(size_t)output * FOREST_FAST_ROWS];
    }
    at->output = output;
}

INLINE void add_leaf(struct progress *at, uint32_t output, uint32_t leaf)
{
    if (output != at->output)
        change_output(at, output);
    if (at->sum32 != NULL)
        at->value32 += at->fast->leaf32[leaf];
    else
        at->value64 += forest_leaf_output(at->fast->forest, leaf, at->values);
}

/* Trees of a block each. */
AVX2 INLINE void add_whole(struct progress *at, const struct ranks_part *end, const int tables)
{
    for (; at->part < end; at->part++, at->block++) {
        uint32_t alive = alive_of(at->block, at->table, tables);
        add_leaf(at, at->part->output, at->part->leaf + _tzcnt_u32(alive));
    }
}

/* Trees of so many blocks each: the first piece that has a leaf alive wins, without a jump. */
AVX2 INLINE void add_cut(struct progress *at, const struct ranks_part *end, uint32_t pieces,
                         const int tables)
{
    while (at->part < end) {
        uint32_t leaf = 0;
        uint32_t is_found = 0; /* all bits */
        for (uint32_t p = 0; p < pieces; p++, at->part++, at->block++) {
            uint32_t alive = alive_of(at->block, at->table, tables) & at->part->keep;
            uint32_t own = at->part->leaf + _tzcnt_u32(alive);
            leaf = (leaf & is_found) | (own & ~is_found);
            is_found |= alive == 0 ? 0 : UINT32_MAX;
        }
        add_leaf(at, at->part[-1].output, leaf);
    }
}

/* Trees that share blocks or are walked. */
AVX2 INLINE void add_mixed(struct progress *at, const struct ranks_part *end, const int tables)
{
    const struct forest *forest = at->fast->forest;
    uint32_t alive = 0;
    for (; at->part < end; at->part++) {
        uint32_t leaf = at->part->leaf;
        if (at->part->begins_block)
            alive = alive_of(at->block++, at->table, tables);
        if (at->part->keep == 0)
            leaf = forest_leaf(forest, &forest->tree[leaf], at->values);
        else
            leaf += _tzcnt_u32(alive & at->part->keep);
        add_leaf(at, at->part->output, leaf);
    }
}

AVX2 INLINE void add_runs(const struct forest_ranks *ranks, struct progress at,
                          const int8_t *column, const int tables)
{
    __m256i table[8];
    for (int t = 0; t < tables; t++)
        table[t] = _mm256_broadcastsi128_si256(
            _mm_load_si128((const __m128i *)(const void *)(column + 16 * t)));
    at.table = table;
    for (uint32_t r = 0; r < ranks->run_count; r++) {
        const struct ranks_part *end = ranks->part + ranks->run[r].part_end;
        uint32_t pieces = ranks->run[r].pieces;
        if (pieces == 1)
            add_whole(&at, end, tables);
        else if (pieces == 0)
            add_mixed(&at, end, tables);
        else
            add_cut(&at, end, pieces, tables);
    }
    change_output(&at, at.output);
}

AVX2 INLINE void add_all(const struct forest_ranks *ranks, struct progress at, const int8_t *column)
{
    at.fast = ranks->fast;
    at.block = ranks->block;
    at.part = ranks->part;
    if (ranks->column_count <= 32)
        add_runs(ranks, at, column, 2);
    else if (ranks->column_count <= 64)
        add_runs(ranks, at, column, 4);
    else
        add_runs(ranks, at, column, 8);
}

AVX2 void forest_ranks_add32(const struct forest_ranks *ranks, const double *values, float *sum)
{
    _Alignas(32) int8_t column[RANKS_COLUMNS_MAX] = {0};
    for (uint32_t s = 0; s < ranks->source_count; s++)
        source32(ranks, &ranks->source[s], values[ranks->source[s].feature], column);
    const struct progress at = {.values = values, .sum32 = sum, .value32 = *sum};
    add_all(ranks, at, column);
}

AVX2 void forest_ranks_add64(const struct forest_ranks *ranks, const double *values, double *sum)
{
    _Alignas(32) int8_t column[RANKS_COLUMNS_MAX] = {0};
    for (uint32_t s = 0; s < ranks->source_count; s++)
        source64(ranks, &ranks->source[s], values[ranks->source[s].feature], column);
    const struct progress at = {.values = values, .sum64 = sum, .value64 = *sum};
    add_all(ranks, at, column);
}

#else

/* Nobody makes ranks here. */
void forest_ranks_add32(const struct forest_ranks *ranks, const double *values, float *sum)
{
    ASSERT(ranks == NULL && values == NULL && sum == NULL);
}

void forest_ranks_add64(const struct forest_ranks *ranks, const double *values, double *sum)
{
    ASSERT(ranks == NULL && values == NULL && sum == NULL);
}

#endif
