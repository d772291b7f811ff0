/* SPDX-License-Identifier: Apache-2.0 */
/* json_scan - a strict JSON tokeniser: RFC 8259, well-formed UTF-8, paired surrogates, no duplicate
 * keys, no trailing bytes, bounded nesting.
 *
 * It decodes JSON requests (transcode) and validates configuration files before cJSON reads them
 * (json).  Iterative.  Nothing is copied: texts point into the input.  Allocates only
 * for the set of keys, when there are more than fit into the struct.
 *
 * Threads: one owner.  Limits: depth_max (at most JSON_SCAN_DEPTH_MAX), keys of
 * JSON_SCAN_KEY_BYTES_MAX bytes, numbers of NUM_TEXT_BYTES. */
#ifndef BASE_JSON_SCAN_H
#define BASE_JSON_SCAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/text.h"

#define JSON_SCAN_DEPTH_MAX     32
#define JSON_SCAN_KEY_BYTES_MAX 1024
#define JSON_SCAN_KEYS_INLINE   64 /* slots; a power of two */
#define JSON_SCAN_WHAT_BYTES    96

enum json_token {
    JSON_TOKEN_END, /* the value is complete and nothing but blanks followed */
    JSON_TOKEN_BAD, /* see `code`, `what` and json_scan_place */
    JSON_TOKEN_OBJECT,
    JSON_TOKEN_OBJECT_END,
    JSON_TOKEN_ARRAY,
    JSON_TOKEN_ARRAY_END,
    JSON_TOKEN_KEY,
    JSON_TOKEN_STRING,
    JSON_TOKEN_INTEGER, /* digits without '.' or exponent */
    JSON_TOKEN_REAL,
    JSON_TOKEN_TRUE,
    JSON_TOKEN_FALSE,
    JSON_TOKEN_NULL,
};

struct json_scan {
    const char *begin;
    const char *at;
    const char *end;

    /* The token that was returned last. */
    struct text raw;      /* key or string between its quotes; digits of a number */
    uint32_t decoded_len; /* bytes of the key or string without escapes */
    bool has_escapes;
    bool has_nul; /* holds \u0000 */

    /* The fault, after JSON_TOKEN_BAD. */
    enum err_code code; /* ERR_BAD_INPUT, ERR_LIMIT or ERR_NOMEM */
    const char *what;
    char what_buf[JSON_SCAN_WHAT_BYTES]; /* where `what` names a key */

    /* Set after json_scan_init: NaN, Infinity and -Infinity, which XGBoost writes though JSON has
     * none of them, are JSON_TOKEN_REAL. */
    bool takes_non_finite;

    uint8_t expect; /* what may come next: see json_scan.c */
    uint32_t depth;
    uint32_t depth_max;
    bool is_object[JSON_SCAN_DEPTH_MAX];
    uint64_t object_seed[JSON_SCAN_DEPTH_MAX]; /* tells equal keys of two objects apart */
    uint64_t object_count;

    /* Hashes of all keys, each with its object's seed; 0 is a free slot. */
    uint64_t *keys; /* keys_inline, or owned */
    uint32_t keys_used;
    uint32_t keys_capacity;
    uint64_t keys_inline[JSON_SCAN_KEYS_INLINE];
};

/* `len` is below 4 GiB (longer texts are refused by the first json_scan_next). */
void json_scan_init(struct json_scan *scan, const char *json, size_t len, uint32_t depth_max);
void json_scan_deinit(struct json_scan *scan);

enum json_token json_scan_next(struct json_scan *scan);

/* Writes the last key or string without its escapes: exactly scan->decoded_len bytes. */
void json_scan_decode(const struct json_scan *scan, char *to);

/* Where the scanner stands, or where the fault is: line and column from 1, columns in bytes. */
void json_scan_place(const struct json_scan *scan, uint32_t *ret_line, uint32_t *ret_column);

#endif
