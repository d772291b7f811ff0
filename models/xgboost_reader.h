/* SPDX-License-Identifier: Apache-2.0 */
/* xgboost_reader - an XGBoost model file as a sequence of values, in JSON or UBJSON.
 *
 * Errors are sticky: after the first one every call fails, so callers may check reader->rc once at
 * the end of a section.  Errors name the file, the path of keys and, for a malformed file, the
 * position.
 * Threads: one owner.  Limits: those of base/json_scan.h and ubjson.h. */
#ifndef MODELS_XGBOOST_READER_H
#define MODELS_XGBOOST_READER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/json_scan.h"
#include "models/ubjson.h"

#define XGBOOST_KEY_BYTES 48
#define XGBOOST_DEPTH_MAX 16

enum xgboost_value {
    XGBOOST_BAD,
    XGBOOST_END,
    XGBOOST_OBJECT,
    XGBOOST_OBJECT_END,
    XGBOOST_ARRAY,
    XGBOOST_ARRAY_END,
    XGBOOST_KEY,
    XGBOOST_STRING,
    XGBOOST_NUMBER,
    XGBOOST_BOOL,
    XGBOOST_NULL,
};

struct xgboost_reader {
    const char *file;
    bool is_binary;
    struct json_scan json;
    struct ubjson ubjson;
    enum xgboost_value value; /* the last one */
    bool truth;               /* XGBOOST_BOOL */

    uint32_t depth; /* of the path */
    struct {
        bool is_array;
        int64_t index; /* of the element; -1 before the first */
        char key[XGBOOST_KEY_BYTES];
    } path[XGBOOST_DEPTH_MAX];

    enum err_code rc;
    struct err *err;
};

/* `{` and then a length is UBJSON, anything else is read as JSON. */
void xgboost_reader_init(struct xgboost_reader *reader, const char *file, const void *bytes,
                         size_t len, struct err *err);
void xgboost_reader_deinit(struct xgboost_reader *reader);

/* Sets the fault, with the path before the text; false. */
bool xgboost_fail(struct xgboost_reader *reader, enum err_code code, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

enum xgboost_value xgboost_next(struct xgboost_reader *reader);

/* An object: open it, then its keys until false (end or fault).  The place of the key in `known`
 * (NULL-terminated), or -1 for another, whose value is skipped already.  `seen` starts as 0; a
 * known key that comes twice is a fault. */
bool xgboost_open_object(struct xgboost_reader *reader);
bool xgboost_enter_object(struct xgboost_reader *reader); /* that reader->value has opened */
bool xgboost_next_key(struct xgboost_reader *reader, const char *const *known, uint64_t *seen,
                      int *ret_key);
/* An array: open it, then its elements until false; each has been read into reader->value. */
bool xgboost_open_array(struct xgboost_reader *reader);
bool xgboost_next_element(struct xgboost_reader *reader);
/* False with a fault when a key of `needed` (bits by place) was not seen in the object that ended.
 */
bool xgboost_require(struct xgboost_reader *reader, const char *const *known, uint64_t seen,
                     uint64_t needed);
/* Behind the value of an object or array that reader->value has just opened. */
bool xgboost_skip_rest(struct xgboost_reader *reader);

/* The number or text that reader->value is. */
bool xgboost_float(struct xgboost_reader *reader, float *ret_value); /* may be NaN or infinite */
bool xgboost_integer(struct xgboost_reader *reader, int64_t min, int64_t max, int64_t *ret_value);
bool xgboost_text(struct xgboost_reader *reader, char *buf, size_t buf_bytes);

/* The next value is a text, which is cut when it does not fit. */
bool xgboost_next_text(struct xgboost_reader *reader, char *buf, size_t buf_bytes);
/* The next value is a text that holds an integer: "12". */
bool xgboost_next_text_integer(struct xgboost_reader *reader, int64_t min, int64_t max,
                               int64_t *ret_value);

/* The next value is an array of numbers; *array is grown as it needs and owned by the caller. */
struct xgboost_floats {
    float *value;
    uint32_t count, room;
};
struct xgboost_integers {
    int32_t *value;
    uint32_t count, room;
};
bool xgboost_next_floats(struct xgboost_reader *reader, uint32_t most,
                         struct xgboost_floats *array);
/* Booleans count as 0 and 1. */
bool xgboost_next_integers(struct xgboost_reader *reader, uint32_t most,
                           struct xgboost_integers *array);

#endif
