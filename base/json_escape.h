/* SPDX-License-Identifier: Apache-2.0 */
/* json_escape - one escape of a JSON string (RFC 8259, section 7).  Threads: no state. */
#ifndef BASE_JSON_ESCAPE_H
#define BASE_JSON_ESCAPE_H

#include <stdint.h>

/* Decodes the escape at `at` (a backslash) into UTF-8; surrogates come in pairs.  Returns how many
 * bytes it takes, 0 when it is malformed. */
uint32_t json_escape_decode(const char *at, const char *end, char ret_utf8[4], uint32_t *ret_len);

#endif
