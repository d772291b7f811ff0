/* SPDX-License-Identifier: Apache-2.0 */
/* json_line - builds one JSON object on one line, in place: for logs.
 *
 * The caller writes the beginning ("{\"ts\":\"...\"") and the end ("}\n") with json_line_raw and
 * json_line_end; fields come in between, each with a comma before it.  A line that would be
 * too long is cut between characters and remains valid JSON; json_line_end marks it with
 * `"cut":true`.
 *
 * Threads: one owner.  Allocates nothing.  Limits: JSON_LINE_BYTES, the end included. */
#ifndef BASE_JSON_LINE_H
#define BASE_JSON_LINE_H

#include <stdbool.h>
#include <stddef.h>

#include "base/log.h"

#define JSON_LINE_BYTES 4096

struct json_line {
    char bytes[JSON_LINE_BYTES]; /* not terminated */
    size_t used;
    size_t limit; /* of what comes before the end */
    bool cut;
};

/* `end_bytes`: how long the text given to json_line_end will be at most. */
void json_line_begin(struct json_line *line, size_t end_bytes);
void json_line_raw(struct json_line *line, const char *text); /* the whole text or nothing of it */
/* A text in quotes and escaped; bytes that are no UTF-8 become U+FFFD. */
void json_line_quoted(struct json_line *line, const char *text);
void json_line_field(struct json_line *line, const struct log_field *field);
/* Marks a line that was cut; what comes after that is within `end_bytes`. */
void json_line_close(struct json_line *line);
void json_line_end(struct json_line *line, const char *text);

#endif
