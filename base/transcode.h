/* SPDX-License-Identifier: Apache-2.0 */
/* transcode - JSON text to MessagePack and back, so that one decoder serves both.
 *
 * JSON in: RFC 8259 as json_scan reads it (strict UTF-8, surrogates in pairs, duplicate keys
 * refused), nesting up to CURSOR_DEPTH_MAX.  Numbers without '.' or exponent and within int64 or
 * uint64 become integers, exactly; others float64, rounded once.  JSON out: integers exact, reals
 * with the fewest digits that read back the same (float32 as float32) and always with '.' or 'e',
 * bin as base64 text.
 *
 * Threads: any.  Allocates (on the way in only for objects with many keys), so never on the hot
 * path. */
#ifndef BASE_TRANSCODE_H
#define BASE_TRANSCODE_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/pack.h"

/* Appends one value to `pack`.  ERR_BAD_INPUT "line 1, column 17: ..."; ERR_LIMIT when it does not
 * fit into pack or nests too deep. */
MUST_CHECK enum err_code transcode_from_json(const char *json, size_t len, struct pack *pack,
                                             struct err *err);

/* `bytes` must have passed cursor_check.  *ret_json is malloc'ed and terminated; caller frees.
 * indent 0 writes one line. */
MUST_CHECK enum err_code transcode_to_json(const uint8_t *bytes, size_t len, int indent,
                                           char **ret_json, size_t *ret_len, struct err *err);

#endif
