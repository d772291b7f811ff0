/* SPDX-License-Identifier: Apache-2.0 */
#include "base/json_line.h"

#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "base/num.h"
#include "base/text.h"

#define CUT_MARK ",\"cut\":true"

/* Kept free behind what is cut: a closing quote and the mark. */
enum { CUT_BYTES = sizeof CUT_MARK };

/* The whole piece or nothing of it. */
static bool put(struct json_line *line, const char *piece, size_t len)
{
    if (line->cut || line->used + len > line->limit) {
        line->cut = true;
        return false;
    }
    memcpy(line->bytes + line->used, piece, len);
    line->used += len;
    return true;
}

void json_line_begin(struct json_line *line, size_t end_bytes)
{
    ASSERT(end_bytes + CUT_BYTES < JSON_LINE_BYTES);
    line->used = 0;
    line->limit = JSON_LINE_BYTES - CUT_BYTES - end_bytes;
    line->cut = false;
}

void json_line_raw(struct json_line *line, const char *text)
{
    put(line, text, strlen(text));
}

/* The character at `at` as JSON writes it; returns how many input bytes it stood for. */
static size_t escape(const char *at, size_t left, char *ret_piece, size_t *ret_len)
{
    static const char short_form[] = "\bb\ff\nn\rr\tt\"\"\\\\";
    unsigned char c = (unsigned char)*at;
    size_t length = text_utf8_length(at, left);
    for (size_t i = 0; i + 1 < sizeof short_form; i += 2) {
        if (c == (unsigned char)short_form[i]) {
            ret_piece[0] = '\\';
            ret_piece[1] = short_form[i + 1];
            *ret_len = 2;
            return 1;
        }
    }
    if (length == 0) { /* one replacement character for each byte that cannot be read */
        memcpy(ret_piece, "\xEF\xBF\xBD", 3);
        *ret_len = 3;
        return 1;
    }
    if (c < 0x20 || c == 0x7F) {
        *ret_len = (size_t)snprintf(ret_piece, 8, "\\u%04x", c);
        return 1;
    }
    memcpy(ret_piece, at, length);
    *ret_len = length;
    return length;
}

/* Cuts a long text between characters; the closing quote has its place in the tail. */
void json_line_quoted(struct json_line *line, const char *text)
{
    size_t left = strlen(text);
    if (!put(line, "\"", 1))
        return;
    while (left > 0) {
        char piece[8];
        size_t piece_len;
        size_t taken = escape(text, left, piece, &piece_len);
        if (!put(line, piece, piece_len))
            break;
        text += taken;
        left -= taken;
    }
    line->bytes[line->used++] = '"';
}

void json_line_field(struct json_line *line, const struct log_field *field)
{
    char number[NUM_REAL_BYTES];
    size_t mark = line->used;
    if (!put(line, ",\"", 2) || !put(line, field->name, strlen(field->name)) ||
        !put(line, "\":", 2)) {
        line->used = mark;
        return;
    }
    const char *plain = NULL;
    switch (field->kind) {
    case LOG_FIELD_STR: plain = field->value.str == NULL ? "null" : NULL; break;
    case LOG_FIELD_INT:
        snprintf(number, sizeof number, "%" PRId64, field->value.integer);
        plain = number;
        break;
    case LOG_FIELD_REAL: plain = num_format_real(field->value.real, number); break;
    case LOG_FIELD_BOOL: plain = field->value.boolean ? "true" : "false"; break;
    }
    size_t value_at = line->used;
    if (plain != NULL)
        put(line, plain, strlen(plain));
    else
        json_line_quoted(line, field->value.str);
    if (line->used == value_at) /* not even its beginning fitted: no key without a value */
        line->used = mark;
}

void json_line_close(struct json_line *line)
{
    if (!line->cut)
        return;
    memcpy(line->bytes + line->used, CUT_MARK, strlen(CUT_MARK));
    line->used += strlen(CUT_MARK);
}

void json_line_end(struct json_line *line, const char *text)
{
    size_t len = strlen(text);
    ASSERT(line->used + len <= JSON_LINE_BYTES);
    memcpy(line->bytes + line->used, text, len);
    line->used += len;
}
