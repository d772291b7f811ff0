/* SPDX-License-Identifier: Apache-2.0 */
#include "models/dot_int8.h"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

void dot_int8_portable(const int8_t *rows, uint32_t row_count, uint32_t stride,
                       const int8_t *vector, int32_t *ret_product)
{
    for (uint32_t row = 0; row < row_count; row++) {
        int32_t sum = 0;
        for (uint32_t i = 0; i < stride; i++)
            sum += rows[i] * vector[i];
        ret_product[row] = sum;
        rows += stride;
    }
}

#if defined(__x86_64__)

/* Products of 32 pairs, as eight sums.  The multiplication wants one side without a sign, so the
 * vector's goes over to the row's; two products of at most 127 * 127 fit into 16 bits. */
__attribute__((target("avx2"))) static inline __m256i products(const int8_t *row, __m256i vector,
                                                               __m256i magnitude)
{
    __m256i values = _mm256_loadu_si256((const __m256i *)(const void *)row);
    __m256i pairs = _mm256_maddubs_epi16(magnitude, _mm256_sign_epi8(values, vector));
    return _mm256_madd_epi16(pairs, _mm256_set1_epi16(1));
}

/* Four rows at once share the additions across a register. */
__attribute__((target("avx2"))) static void four_rows(const int8_t *rows, uint32_t stride,
                                                      const int8_t *vector, int32_t *ret_product)
{
    __m256i sum[4] = {_mm256_setzero_si256(), _mm256_setzero_si256(), _mm256_setzero_si256(),
                      _mm256_setzero_si256()};
    for (uint32_t i = 0; i < stride; i += DOT_INT8_ALIGN) {
        __m256i part = _mm256_loadu_si256((const __m256i *)(const void *)(vector + i));
        __m256i magnitude = _mm256_abs_epi8(part);
        for (uint32_t r = 0; r < 4; r++)
            sum[r] =
                _mm256_add_epi32(sum[r], products(rows + (size_t)r * stride + i, part, magnitude));
    }
    __m256i across =
        _mm256_hadd_epi32(_mm256_hadd_epi32(sum[0], sum[1]), _mm256_hadd_epi32(sum[2], sum[3]));
    __m128i four =
        _mm_add_epi32(_mm256_castsi256_si128(across), _mm256_extracti128_si256(across, 1));
    _mm_storeu_si128((__m128i *)(void *)ret_product, four);
}

__attribute__((target("avx2"))) static void dot_int8_avx2(const int8_t *rows, uint32_t row_count,
                                                          uint32_t stride, const int8_t *vector,
                                                          int32_t *ret_product)
{
    uint32_t row = 0;
    for (; row + 4 <= row_count; row += 4)
        four_rows(rows + (size_t)row * stride, stride, vector, ret_product + row);
    dot_int8_portable(rows + (size_t)row * stride, row_count - row, stride, vector,
                      ret_product + row);
}

dot_int8_fn dot_int8_best(void)
{
    return __builtin_cpu_supports("avx2") ? dot_int8_avx2 : dot_int8_portable;
}

#else

dot_int8_fn dot_int8_best(void)
{
    return dot_int8_portable;
}

#endif
