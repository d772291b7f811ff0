/* SPDX-License-Identifier: Apache-2.0 */
/* json - configuration-like files through cJSON, with errors that say where.
 *
 * Comments are allowed (slash-slash to the end of the line, slash-star pairs) and are blanked in
 * place, so that line and column of an error are those of the file.  A `struct json_at` is a value
 * together with its path from the root ("policies.json: slots.home.weights"), used in messages; of
 * a tree that json_parse_placed made with its line and column ("policies.json:12:7: slots.home").
 * Duplicate keys are refused.  Threads: any; not for the hot path (cJSON allocates).
 * Limits: nesting 32, size as given by the caller. */
#ifndef BASE_JSON_H
#define BASE_JSON_H

#include <cjson/cJSON.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/text.h"

#define JSON_PATH_BYTES 256

struct json_at {
    const cJSON *value;         /* borrowed from the tree; NULL when absent */
    const char *name;           /* borrowed */
    const cJSON *placed;        /* whose place the path has; NULL: places were not kept */
    uint16_t steps_begin;       /* in path, behind the name */
    char path[JSON_PATH_BYTES]; /* cut when it is longer */
};

/* `name` is used in messages (a file name).  Refuses trailing bytes, NUL bytes, nesting over 32 and
 * duplicate keys: ERR_BAD_INPUT "NAME:LINE:COLUMN: ...".  The caller cJSON_Deletes *ret_root. */
MUST_CHECK enum err_code json_parse(const char *name, const char *bytes, size_t len,
                                    cJSON **ret_root, struct err *err);
/* The same; and each value knows its place, which is that of its key where it has one, for the
 * paths of json_at: a second pass, for files that people write. */
MUST_CHECK enum err_code json_parse_placed(const char *name, const char *bytes, size_t len,
                                           cJSON **ret_root, struct err *err);
MUST_CHECK enum err_code json_parse_file(const char *path, size_t max_bytes, cJSON **ret_root,
                                         struct err *err);

/* `name` stays the caller's as long as the paths are in use. */
struct json_at json_root(const char *name, const cJSON *root);

/* Member or element, with the path extended; .value is NULL when absent (or parent is NULL).  Both
 * walk the list of siblings: for arrays of thousands follow value->child yourself. */
struct json_at json_member(const struct json_at *object, const char *key);
struct json_at json_element(const struct json_at *array, int index);
/* Of an element that the caller has already. */
struct json_at json_element_at(const struct json_at *array, const cJSON *element, int index);

/* Typed reads: ERR_NOT_FOUND "PATH: missing", ERR_BAD_INPUT "PATH: expected a number, got a
 * string". Strings are borrowed from the tree. */
MUST_CHECK enum err_code json_string(const struct json_at *at, const char **ret_value,
                                     struct err *err);
/* The place of a string in a NULL-terminated list of names; ERR_BAD_INPUT with the nearest name, or
 * with all of them. */
MUST_CHECK enum err_code json_name(const struct json_at *at, const char *const *names,
                                   uint32_t *ret_index, struct err *err);
MUST_CHECK enum err_code json_int(const struct json_at *at, int64_t min, int64_t max,
                                  int64_t *ret_value, struct err *err);
MUST_CHECK enum err_code json_real(const struct json_at *at, double min, double max,
                                   double *ret_value, struct err *err);
/* "90s", "5m", "12h" or "7d" in seconds, between two such lengths; absent: *ret_s stays. */
MUST_CHECK enum err_code json_duration(const struct json_at *at, uint32_t min_s, uint32_t max_s,
                                       uint32_t *ret_s, struct err *err);
MUST_CHECK enum err_code json_bool(const struct json_at *at, bool *ret_value, struct err *err);
MUST_CHECK enum err_code json_array(const struct json_at *at, int *ret_count, struct err *err);
MUST_CHECK enum err_code json_object(const struct json_at *at, struct err *err);

/* Refuses members that are not in `known` (NULL-terminated list): "PATH: unknown key 'wieghts', did
 * you mean 'weights'?". */
MUST_CHECK enum err_code json_only(const struct json_at *object, const char *const *known,
                                   struct err *err);

/* The nearest of `known` within an edit distance that still looks like a slip, or NULL. */
const char *json_nearest(struct text key, const char *const *known);

#endif
