/* SPDX-License-Identifier: Apache-2.0 */
#include "models/dot_int8.h"

#include <string.h>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

enum { GROUP = DOT_INT8_GROUP, QUAD = 4, HALF = GROUP / 2, AHEAD_BYTES = 4096 };

static void dot_portable(const int8_t *groups, uint32_t group_count, uint32_t quad_count,
                         const int8_t *vector, const int32_t *limit, int32_t *ret_product,
                         uint16_t *ret_mask)
{
    for (uint32_t g = 0; g < group_count; g++) {
        int32_t *sum = ret_product + (size_t)g * GROUP;
        uint32_t mask = 0;
        memset(sum, 0, GROUP * sizeof *sum);
        for (uint32_t q = 0; q < quad_count; q++, groups += GROUP * QUAD) {
            const int8_t *with = vector + (size_t)q * QUAD;
            for (uint32_t r = 0; r < GROUP; r++) {
                const int8_t *row = groups + (size_t)r * QUAD;
                sum[r] += row[0] * with[0] + row[1] * with[1] + row[2] * with[2] + row[3] * with[3];
            }
        }
        for (uint32_t r = 0; r < GROUP; r++)
            mask |= (uint32_t)(sum[r] >= limit[g]) << r;
        ret_mask[g] = (uint16_t)mask;
    }
}

#if defined(__x86_64__)

static inline int32_t quad_at(const int8_t *at)
{
    int32_t quad;
    memcpy(&quad, at, sizeof quad);
    return quad;
}

/* The multiplication wants one side without a sign, so the vector's goes over to the rows'; two
 * products of at most 127 * 127 fit into 16 bits. */
__attribute__((target("avx2"))) static inline __m256i add_products(__m256i sum, const int8_t *rows,
                                                                   __m256i with, __m256i magnitude)
{
    __m256i values = _mm256_load_si256((const __m256i *)(const void *)rows);
    __m256i pairs = _mm256_maddubs_epi16(magnitude, _mm256_sign_epi8(values, with));
    return _mm256_add_epi32(sum, _mm256_madd_epi16(pairs, _mm256_set1_epi16(1)));
}

__attribute__((target("avx2"))) static inline uint32_t at_least(__m256i sum, __m256i limit)
{
    __m256i below = _mm256_cmpgt_epi32(limit, sum);
    return ~(uint32_t)_mm256_movemask_ps(_mm256_castsi256_ps(below)) & 0xffu;
}

__attribute__((target("avx2"))) static void dot_avx2(const int8_t *groups, uint32_t group_count,
                                                     uint32_t quad_count, const int8_t *vector,
                                                     const int32_t *limit, int32_t *ret_product,
                                                     uint16_t *ret_mask)
{
    for (uint32_t g = 0; g < group_count; g++) {
        __m256i low = _mm256_setzero_si256();
        __m256i high = _mm256_setzero_si256();
        for (uint32_t q = 0; q < quad_count; q++, groups += GROUP * QUAD) {
            __m256i with = _mm256_set1_epi32(quad_at(vector + (size_t)q * QUAD));
            __m256i magnitude = _mm256_abs_epi8(with);
            __builtin_prefetch(groups + AHEAD_BYTES);
            low = add_products(low, groups, with, magnitude);
            high = add_products(high, groups + HALF * QUAD, with, magnitude);
        }
        __m256i least = _mm256_set1_epi32(limit[g]);
        int32_t *product = ret_product + (size_t)g * GROUP;
        _mm256_storeu_si256((__m256i *)(void *)product, low);
        _mm256_storeu_si256((__m256i *)(void *)(product + HALF), high);
        ret_mask[g] = (uint16_t)(at_least(low, least) | at_least(high, least) << HALF);
    }
}

/* Here the rows are shifted into 1..255 to have no sign, which adds 128 times the sum of the
 * vector to each product: the sums begin with that much less. */
__attribute__((target("avx512f,avx512bw,avx512vnni"))) static void
dot_avx512(const int8_t *groups, uint32_t group_count, uint32_t quad_count, const int8_t *vector,
           const int32_t *limit, int32_t *ret_product, uint16_t *ret_mask)
{
    const __m512i shift = _mm512_set1_epi8(-128);
    int32_t total = 0;
    for (uint32_t i = 0; i < quad_count * QUAD; i++)
        total += vector[i];
    for (uint32_t g = 0; g < group_count; g++) {
        __m512i sum = _mm512_set1_epi32(-128 * total);
        for (uint32_t q = 0; q < quad_count; q++, groups += GROUP * QUAD) {
            __m512i rows = _mm512_xor_si512(_mm512_load_si512(groups), shift);
            sum = _mm512_dpbusd_epi32(sum, rows,
                                      _mm512_set1_epi32(quad_at(vector + (size_t)q * QUAD)));
        }
        _mm512_storeu_si512(ret_product + (size_t)g * GROUP, sum);
        ret_mask[g] = _mm512_cmpge_epi32_mask(sum, _mm512_set1_epi32(limit[g]));
    }
}

#endif

uint32_t dot_int8_kernels(struct dot_int8_kernel ret_kernel[DOT_INT8_KERNELS_MAX])
{
    uint32_t count = 0;
#if defined(__x86_64__)
    if (__builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vnni"))
        ret_kernel[count++] = (struct dot_int8_kernel){"avx512vnni", dot_avx512};
    if (__builtin_cpu_supports("avx2"))
        ret_kernel[count++] = (struct dot_int8_kernel){"avx2", dot_avx2};
#endif
    ret_kernel[count++] = (struct dot_int8_kernel){"portable", dot_portable};
    return count;
}
