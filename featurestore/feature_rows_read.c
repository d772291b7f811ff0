/* SPDX-License-Identifier: Apache-2.0 */
#include "featurestore/feature_rows.h"

#if defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define FEATURE_ROWS_TSAN 1
#endif
#endif
#if defined(__SANITIZE_THREAD__)
#define FEATURE_ROWS_TSAN 1
#endif

/* A load of four atomics at once is a race by the letter, which the sanitizer goes by. */
#if defined(__SSE2__) && !defined(FEATURE_ROWS_TSAN)
#include <emmintrin.h>
#define FEATURE_ROWS_SSE2 1
#endif

const struct feature_pair_row feature_no_pair;

/* Bits of the slots of a line that have the bits of the hash, and of some that are free. */
#if defined(FEATURE_ROWS_SSE2)

static inline __m128i matching(const _Atomic uint32_t *slot, __m128i hash, __m128i tag)
{
    /* Four aligned words, none of which is torn.  What is found is read again as the atomic that it
     * is; what comes at the same time may be missed, as if it came later. */
    __m128i held = _mm_load_si128((const __m128i *)(const void *)slot);
    return _mm_cmpeq_epi32(_mm_and_si128(_mm_xor_si128(held, hash), tag), _mm_setzero_si128());
}

static inline uint32_t matches_in(const _Atomic uint32_t *line, uint32_t hash, uint32_t mask)
{
    __m128i all = _mm_set1_epi32((int)hash), tag = _mm_set1_epi32((int)~mask);
    __m128i low = _mm_packs_epi32(matching(line, all, tag), matching(line + 4, all, tag));
    __m128i high = _mm_packs_epi32(matching(line + 8, all, tag), matching(line + 12, all, tag));
    return (uint32_t)_mm_movemask_epi8(_mm_packs_epi16(low, high));
}

#else

static inline uint32_t matches_in(const _Atomic uint32_t *line, uint32_t hash, uint32_t mask)
{
    uint32_t bits = 0;
    for (uint32_t i = 0; i < FEATURE_LINE_SLOTS; i++) {
        uint32_t slot = atomic_load_explicit(&line[i], memory_order_relaxed);
        bits |= (uint32_t)((slot ^ hash) <= mask) << i;
    }
    return bits;
}

#endif

static inline bool is_full(const _Atomic uint32_t *line)
{
    return atomic_load_explicit(&line[FEATURE_LINE_SLOTS - 1], memory_order_relaxed) != 0;
}

static inline uint32_t next_line(const struct feature_index *index, uint32_t line)
{
    return (line + FEATURE_LINE_SLOTS) & index->mask;
}

/* Nothing foretells which pairs there are: but for a line that is full no branch depends on it. */
const struct feature_pair_row *feature_rows_likely(const struct feature_rows *rows,
                                                   const struct feature_index *index, uint64_t key)
{
    uint32_t hash = feature_rows_spread(key), mask = index->mask;
    uint32_t line = feature_index_line(index, key);
    uint32_t bits = matches_in(&index->slot[line], hash, mask);
    while ((bits == 0) & is_full(&index->slot[line])) {
        line = next_line(index, line);
        bits = matches_in(&index->slot[line], hash, mask);
    }
    uint32_t at = (uint32_t)__builtin_ctz(bits | 1u << (FEATURE_LINE_SLOTS - 1));
    uint32_t slot = atomic_load_explicit(&index->slot[line + at], memory_order_acquire);
    slot = bits == 0 ? 0 : slot;
    uintptr_t is_there = -(uintptr_t)(slot != 0);
    const struct feature_pair_row *row =
        feature_rows_pair_row(rows, ((slot & mask) - 1) & (uint32_t)is_there);
    return (const struct feature_pair_row *)(((uintptr_t)row & is_there) |
                                             ((uintptr_t)&feature_no_pair & ~is_there));
}

uint32_t feature_rows_find_pair(const struct feature_rows *rows, uint64_t key)
{
    const struct feature_index *index = atomic_load_explicit(&rows->index, memory_order_acquire);
    uint32_t hash = feature_rows_spread(key), mask = index->mask;
    for (uint32_t line = feature_index_line(index, key);; line = next_line(index, line)) {
        const _Atomic uint32_t *slots = &index->slot[line];
        for (uint32_t bits = matches_in(slots, hash, mask); bits != 0; bits &= bits - 1) {
            uint32_t at = (uint32_t)__builtin_ctz(bits);
            uint32_t slot = atomic_load_explicit(&slots[at], memory_order_acquire);
            if (slot != 0 && feature_rows_pair(rows, (slot & mask) - 1) == key)
                return (slot & mask) - 1;
        }
        if (!is_full(slots))
            return IDMAP_NONE;
    }
}
