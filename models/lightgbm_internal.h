/* SPDX-License-Identifier: Apache-2.0 */
/* lightgbm_internal - the lines of a file, and one tree of it. */
#ifndef MODELS_LIGHTGBM_INTERNAL_H
#define MODELS_LIGHTGBM_INTERNAL_H

#include "base/text.h"
#include "models/forest.h"

struct lightgbm_lines {
    const char *file;
    const char *at, *end;
    uint32_t number; /* of the line that was read last, from 1 */
    struct text line;
    struct err *err;
};

/* False at the end.  Without its line end, LF or CRLF. */
bool lightgbm_next_line(struct lightgbm_lines *lines);
/* "model.txt: line 12: ...". */
enum err_code lightgbm_fail(const struct lightgbm_lines *lines, enum err_code code, const char *fmt,
                            ...) __attribute__((format(printf, 3, 4)));

/* "key=value", split at the first '='; without one, the value's pointer is NULL. */
void lightgbm_split(struct text line, struct text *ret_key, struct text *ret_value);
/* The next piece between blanks; false when there is none. */
bool lightgbm_next_token(struct text *rest, struct text *ret_token);

MUST_CHECK enum err_code lightgbm_integer(const struct lightgbm_lines *lines, const char *key,
                                          struct text value, int64_t min, int64_t max,
                                          int64_t *ret_value);

/* The tree whose "Tree=" line was read last, to its end (a blank line); its output is `output`. */
MUST_CHECK enum err_code lightgbm_read_tree(struct lightgbm_lines *lines, struct forest *forest,
                                            uint32_t output);

#endif
