/* SPDX-License-Identifier: Apache-2.0 */
/* money - amounts as int64 in minor units (cents) with an ISO 4217 currency.  Never a float.
 *
 * Rates are integers in parts per million, products are formed in 128 bits and rounded once, half
 * to even.  Threads: no state.  Limits: amounts within +-MONEY_MINOR_MAX; a result outside
 * is an error.
 *
 * The number of minor digits is ISO 4217's (list one, 2024): 2 unless the table in money.c says
 * otherwise (JPY 0, BHD 3, ...). */
#ifndef BASE_MONEY_H
#define BASE_MONEY_H

#include <stdbool.h>
#include <stdint.h>

#include "base/text.h"

#define MONEY_MINOR_MAX INT64_C(1000000000000000) /* 10^15 minor units */
#define MONEY_PPM       INT64_C(1000000)

/* Three capital letters, packed; 0 means none. */
typedef uint32_t currency_code;

bool currency_parse(struct text text, currency_code *ret_currency); /* "EUR" */
/* Whether ISO 4217 has it: list one (2024), or withdrawn since 2000, since histories are imported.
 */
bool currency_is_known(currency_code currency);
char *currency_format(currency_code currency, char buf[4]); /* "" for 0 */
int currency_digits(currency_code currency);                /* 2 for 0 */

/* "12.34" -> 1234 with 2 digits.  At most `digits` decimals (trailing zeros may exceed them),
 * optional
 * '-'; no float on the way.  False when malformed, too precise or too large. */
bool money_parse(struct text text, int digits, int64_t *ret_minor);

/* "12.34"; buf holds at least 32 bytes. */
char *money_format(int64_t minor, int digits, char *buf);

/* minor * ppm / 10^6, rounded half to even; false when the result leaves the limits. */
bool money_scale(int64_t minor, int64_t ppm, int64_t *ret_minor);

#endif
