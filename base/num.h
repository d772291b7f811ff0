/* SPDX-License-Identifier: Apache-2.0 */
/* num - strict number parsing, and arithmetic with overflow checks.
 *
 * Parsers accept the whole text or nothing: no leading blanks, no trailing bytes, no locale, no
 * infinities.  Threads: no state. */
#ifndef BASE_NUM_H
#define BASE_NUM_H

#include <stdbool.h>
#include <stdint.h>

#include "base/text.h"

/* Digits alone, up to UINT64_MAX. */
bool num_parse_uint(struct text text, uint64_t *ret_value);
/* Decimal integer with optional '-'.  False when malformed or outside min..max. */
bool num_parse_int(struct text text, int64_t min, int64_t max, int64_t *ret_value);

/* Decimal or scientific notation ("12", "-0.5", ".5", "1e-3"), rounded correctly; finite only and
 * shorter than NUM_TEXT_BYTES. */
#define NUM_TEXT_BYTES 512
bool num_parse_real(struct text text, double *ret_value);
/* The same, rounded once, to float. */
bool num_parse_real32(struct text text, float *ret_value);

/* The fewest digits that read back the same, always with a '.' or an 'e' ("1.0", "0.1", "1e+22");
 * "null" when it is not finite.  Returns buf. */
#define NUM_REAL_BYTES 32
char *num_format_real(double value, char buf[NUM_REAL_BYTES]);
char *num_format_real32(float value, char buf[NUM_REAL_BYTES]);

static inline bool num_add(int64_t a, int64_t b, int64_t *ret_sum)
{
    return !__builtin_add_overflow(a, b, ret_sum);
}

static inline bool num_mul(int64_t a, int64_t b, int64_t *ret_product)
{
    return !__builtin_mul_overflow(a, b, ret_product);
}

static inline bool num_mul_size(size_t a, size_t b, size_t *ret_product)
{
    return !__builtin_mul_overflow(a, b, ret_product);
}

#endif
