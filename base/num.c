/* SPDX-License-Identifier: Apache-2.0 */
#include "base/num.h"

#include <float.h>
#include <locale.h>
#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"

/* glibc keeps one static object for "C", so this allocates nothing and cannot fail. */
static locale_t c_locale;

static void c_locale_make(void)
{
    c_locale = newlocale(LC_ALL_MASK, "C", (locale_t)0);
    ASSERT(c_locale != (locale_t)0);
}

static locale_t c_locale_get(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, c_locale_make);
    return c_locale;
}

bool num_parse_uint(struct text text, uint64_t *ret_value)
{
    uint64_t value = 0;
    for (uint32_t at = 0; at < text.len; at++) {
        unsigned digit = (unsigned)(unsigned char)text.ptr[at] - '0';
        if (digit > 9 || __builtin_mul_overflow(value, UINT64_C(10), &value) ||
            __builtin_add_overflow(value, (uint64_t)digit, &value))
            return false;
    }
    if (text.len == 0)
        return false;
    *ret_value = value;
    return true;
}

bool num_parse_int(struct text text, int64_t min, int64_t max, int64_t *ret_value)
{
    uint32_t at = 0;
    bool negative = text.len > 0 && text.ptr[0] == '-';
    at += negative;
    if (at == text.len)
        return false;
    int64_t value = 0; /* built as a negative number, whose range is the larger one */
    for (; at < text.len; at++) {
        int digit = text.ptr[at] - '0';
        if (digit < 0 || digit > 9 || !num_mul(value, 10, &value) ||
            !num_add(value, -digit, &value))
            return false;
    }
    if (!negative && !num_mul(value, -1, &value))
        return false;
    if (value < min || value > max)
        return false;
    *ret_value = value;
    return true;
}

/* What a decimal number is made of: digits as an integer, and a power of ten. */
struct decimal {
    uint64_t digits;      /* exact when digit_count <= 19 */
    int digit_count;      /* without leading zeros */
    int exponent;         /* of ten, to apply to `digits` */
    bool exponent_is_big; /* |exponent| left the range that matters */
    bool negative;
};

/* Reads digits into *decimal from `at` on; returns where they end. */
static uint32_t scan_digits(struct text text, uint32_t at, struct decimal *decimal, bool decimals)
{
    for (; at < text.len && text.ptr[at] >= '0' && text.ptr[at] <= '9'; at++) {
        unsigned digit = (unsigned)(text.ptr[at] - '0');
        if (decimal->digit_count > 0 || digit > 0) {
            decimal->digit_count++;
            if (decimal->digit_count <= 19)
                decimal->digits = decimal->digits * 10 + digit;
        }
        if (decimals)
            decimal->exponent--;
    }
    return at;
}

/* [-] digits [. digits] [e [+-] digits], with a digit on at least one side of the point. */
static bool scan_decimal(struct text text, struct decimal *ret_decimal)
{
    struct decimal decimal = {0};
    uint32_t at = 0;
    if (text.len > 0 && text.ptr[0] == '-') {
        decimal.negative = true;
        at = 1;
    }
    uint32_t start = at;
    at = scan_digits(text, at, &decimal, false);
    uint32_t digit_count = at - start;
    if (at < text.len && text.ptr[at] == '.') {
        start = at + 1;
        at = scan_digits(text, start, &decimal, true);
        digit_count += at - start;
    }
    if (digit_count == 0)
        return false;
    if (at < text.len && (text.ptr[at] == 'e' || text.ptr[at] == 'E')) {
        at++;
        bool negative = at < text.len && text.ptr[at] == '-';
        if (at < text.len && (text.ptr[at] == '-' || text.ptr[at] == '+'))
            at++;
        start = at;
        int exponent = 0;
        for (; at < text.len && text.ptr[at] >= '0' && text.ptr[at] <= '9'; at++) {
            if (exponent < 100000)
                exponent = exponent * 10 + (text.ptr[at] - '0');
        }
        if (at == start)
            return false;
        decimal.exponent_is_big = exponent >= 100000;
        decimal.exponent += negative ? -exponent : exponent;
    }
    *ret_decimal = decimal;
    return at == text.len;
}

/* A number of up to 15 digits and a power of ten up to 10^22 are both exact doubles, so that one
 * multiplication or division rounds correctly (Clinger 1990). */
static bool decimal_to_real_exactly(const struct decimal *decimal, double *ret_value)
{
    static const double powers[] = {1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,
                                    1e8,  1e9,  1e10, 1e11, 1e12, 1e13, 1e14, 1e15,
                                    1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22};
    if (decimal->digit_count > 15 || decimal->exponent_is_big || decimal->exponent < -22 ||
        decimal->exponent > 22)
        return false;
    double value = (double)decimal->digits;
    value = decimal->exponent < 0 ? value / powers[-decimal->exponent]
                                  : value * powers[decimal->exponent];
    *ret_value = decimal->negative ? -value : value;
    return true;
}

bool num_parse_real(struct text text, double *ret_value)
{
    struct decimal decimal;
    double value;
    if (text.len >= NUM_TEXT_BYTES || !scan_decimal(text, &decimal))
        return false;
    if (!decimal_to_real_exactly(&decimal, &value)) {
        char buf[NUM_TEXT_BYTES];
        value = strtod_l(text_copy(text, buf, sizeof buf), NULL, c_locale_get());
        if (!isfinite(value))
            return false;
    }
    *ret_value = value;
    return true;
}

/* A double whose rounding to float is not the decimal's own: it stands in the middle of two floats,
 * or is so small that floats have fewer digits there. */
static bool rounds_twice(double value)
{
    uint64_t bits = 0;
    memcpy(&bits, &value, sizeof bits);
    return (bits & 0x1FFFFFFF) == 0x10000000 || fabs(value) < (double)FLT_MIN;
}

bool num_parse_real32(struct text text, float *ret_value)
{
    double wide = 0.0;
    if (!num_parse_real(text, &wide) || fabs(wide) > 2.0 * (double)FLT_MAX)
        return false;
    float value = (float)wide;
    if ((double)value != wide && rounds_twice(wide)) {
        char buf[NUM_TEXT_BYTES];
        value = strtof_l(text_copy(text, buf, sizeof buf), NULL, c_locale_get());
    }
    if (!isfinite(value))
        return false;
    *ret_value = value;
    return true;
}

/* Tries with rising precision until the digits read back the same. */
static void format_shortest(double value, bool is_real32, char *buf)
{
    int precision = is_real32 ? 6 : 15;
    int precision_max = is_real32 ? 9 : 17;
    locale_t locale = c_locale_get();
    locale_t before = uselocale(locale);
    for (; precision <= precision_max; precision++) {
        snprintf(buf, NUM_REAL_BYTES, "%.*g", precision, value);
        bool same = is_real32 ? strtof_l(buf, NULL, locale) == (float)value
                              : strtod_l(buf, NULL, locale) == value;
        if (same)
            break;
    }
    uselocale(before);
}

static char *format_real(double value, bool is_real32, char *buf)
{
    if (!isfinite(value)) {
        snprintf(buf, NUM_REAL_BYTES, "null");
        return buf;
    }
    format_shortest(value, is_real32, buf);
    size_t len = strlen(buf);
    if (strpbrk(buf, ".e") == NULL && len + 3 <= NUM_REAL_BYTES) {
        buf[len] = '.';
        buf[len + 1] = '0';
        buf[len + 2] = '\0';
    }
    return buf;
}

char *num_format_real(double value, char buf[NUM_REAL_BYTES])
{
    return format_real(value, false, buf);
}

char *num_format_real32(float value, char buf[NUM_REAL_BYTES])
{
    return format_real((double)value, true, buf);
}
