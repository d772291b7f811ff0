/* SPDX-License-Identifier: Apache-2.0 */
/* The kernel of x86-64 with AVX2, and the choice.  Without fused multiplications, each step rounds
 * as in aggregate_plain.c, so that the bits are the same. */
#include "featurestore/aggregate.h"

#if defined(__x86_64__)

#include <immintrin.h>

#define AVX2 __attribute__((target("avx2")))

/* ---- powers of one half, four at a time ------------------------------------------------------ */

typedef double double4 __attribute__((vector_size(32)));
typedef int64_t mask4 __attribute__((vector_size(32)));

#define ALL(number) ((double4){number, number, number, number})

AVX2 static inline double4 chosen(mask4 mask, double4 yes, double4 no)
{
    return _mm256_blendv_pd(no, yes, (double4)mask);
}

AVX2 static inline double4 decay(double4 halvings)
{
    const double4 shift = ALL(0x1p52);
    mask4 is_far = halvings > ALL(1000.0);
    mask4 is_none = halvings == ALL(0.0);
    halvings = chosen(is_far, ALL(0.0), halvings);
    double4 whole = (halvings + shift) - shift;
    whole -= chosen(whole > halvings, ALL(1.0), ALL(0.0));
    double4 x = (ALL(0.5) - (halvings - whole)) * ALL(0.69314718055994530942);
    double4 x2 = x * x, x4 = x2 * x2;
    double4 low = (ALL(1.0) + x) + (ALL(1.0 / 2) + x * ALL(1.0 / 6)) * x2;
    double4 high =
        (ALL(1.0 / 24) + x * ALL(1.0 / 120)) + (ALL(1.0 / 720) + x * ALL(1.0 / 5040)) * x2;
    double4 sum = low + high * x4 + x4 * x4 * ALL(1.0 / 40320);
    const mask4 one = (mask4)ALL(1.0);
    double4 scale = (double4)(one - ((mask4)(whole + shift) << 52));
    double4 result = sum * ALL(0.70710678118654752440) * scale;
    return chosen(is_far, ALL(0.0), chosen(is_none, ALL(1.0), result));
}

AVX2 static void decay_all(double *halvings, uint32_t count)
{
    for (uint32_t i = 0; i < count; i += 4)
        _mm256_storeu_pd(halvings + i, decay(_mm256_loadu_pd(halvings + i)));
}

/* ---- counts, two loads at a time ------------------------------------------------------------- */

AVX2 static inline __m256i two_loads(const uint8_t *state, const uint32_t *at)
{
    return _mm256_loadu2_m128i((const __m128i *)(const void *)(state + at[1]),
                               (const __m128i *)(const void *)(state + at[0]));
}

AVX2 static void count_all(const struct aggregate_plan *plan, const struct aggregate_rows *rows,
                           struct aggregate_column *ret_column)
{
    if (plan->tile_count < AGGREGATE_LANES) {
        aggregate_plain.count(plan, rows, ret_column);
        return;
    }
    const __m256i low = _mm256_set1_epi64x(UINT32_MAX);
    for (uint32_t i = 0; i < rows->count; i++) {
        const uint8_t *state = aggregate_state(rows, i);
        uint32_t last_s = aggregate_u32(state, 0);
        __m256i last = _mm256_set1_epi32((int32_t)(last_s ^ UINT32_C(0x80000000)));
        __m256i sum = _mm256_setzero_si256();
        for (uint32_t load = 0; load < plan->load_count; load += 2) {
            const int32_t *newer_than = plan->newer_than + load * AGGREGATE_LANES;
            __m256i limit = _mm256_loadu_si256((const __m256i *)(const void *)newer_than);
            __m256i held = _mm256_and_si256(two_loads(state, plan->at + load),
                                            _mm256_cmpgt_epi32(last, limit));
            sum = _mm256_add_epi64(sum, _mm256_and_si256(held, low));
            sum = _mm256_add_epi64(sum, _mm256_srli_epi64(held, 32));
        }
        __m128i half = _mm_add_epi64(_mm256_castsi256_si128(sum), _mm256_extracti128_si256(sum, 1));
        ret_column->as_of_s[i] = last_s;
        ret_column->number[i] = (double)(_mm_cvtsi128_si64(half) + _mm_extract_epi64(half, 1));
    }
}

static const struct aggregate_kernel avx2 = {"avx2", decay_all, count_all};

const struct aggregate_kernel *aggregate_kernel(void)
{
    return __builtin_cpu_supports("avx2") ? &avx2 : &aggregate_plain;
}

#else

const struct aggregate_kernel *aggregate_kernel(void)
{
    return &aggregate_plain;
}

#endif
