/* SPDX-License-Identifier: Apache-2.0 */
/* dot_int8 - products of one vector with many rows, all of whole numbers -127..127: the sieve
 * before exact scores.
 *
 * Rows come in groups of DOT_INT8_GROUP, interleaved by quads of numbers: quad q of row r of a
 * group stands at 4 * (q * DOT_INT8_GROUP + r).  So every lane of a register belongs to one row,
 * and nothing has to be added up across lanes.  The result is exact, so all kernels give the same.
 *
 * Threads: no state.  Limits: DOT_INT8_QUADS_MAX, so that no sum overflows. */
#ifndef MODELS_DOT_INT8_H
#define MODELS_DOT_INT8_H

#include <stdbool.h>
#include <stdint.h>

#define DOT_INT8_GROUP     16
#define DOT_INT8_QUADS_MAX 16384

/* Of group_count groups of quad_count quads (aligned to 64 bytes): each row's product, and for each
 * group the bits of those rows whose product is at least limit[group]. */
typedef void (*dot_int8_fn)(const int8_t *groups, uint32_t group_count, uint32_t quad_count,
                            const int8_t *vector, const int32_t *limit, int32_t *ret_product,
                            uint16_t *ret_mask);

struct dot_int8_kernel {
    const char *name;
    dot_int8_fn fn;
};

/* The kernels that this machine can run, the fastest first, the portable reference last. */
#define DOT_INT8_KERNELS_MAX 3
uint32_t dot_int8_kernels(struct dot_int8_kernel ret_kernel[DOT_INT8_KERNELS_MAX]);

#endif
