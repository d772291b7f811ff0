/* SPDX-License-Identifier: Apache-2.0 */
/* dot_int8 - products of one vector with many rows, all of whole numbers -127..127: the sieve
 * before exact scores.
 *
 * Rows have a stride of DOT_INT8_ALIGN bytes times something and are padded with zeros.  The result
 * is exact, so every kernel gives the same: dot_int8_portable is the reference, dot_int8_best()
 * what this machine does fastest (AVX2 where there is AVX2).
 *
 * Threads: no state.  Limits: strides up to DOT_INT8_STRIDE_MAX, so that no sum overflows. */
#ifndef MODELS_DOT_INT8_H
#define MODELS_DOT_INT8_H

#include <stdint.h>

#define DOT_INT8_ALIGN      32
#define DOT_INT8_STRIDE_MAX 65536

/* ret_product[row] for each of row_count rows. */
typedef void (*dot_int8_fn)(const int8_t *rows, uint32_t row_count, uint32_t stride,
                            const int8_t *vector, int32_t *ret_product);

void dot_int8_portable(const int8_t *rows, uint32_t row_count, uint32_t stride,
                       const int8_t *vector, int32_t *ret_product);
dot_int8_fn dot_int8_best(void);

#endif
