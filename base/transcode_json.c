/* SPDX-License-Identifier: Apache-2.0 */
/* The way out of transcode: MessagePack to JSON text. */
#include <inttypes.h>

#include "base/buffer.h"
#include "base/cursor.h"
#include "base/num.h"
#include "base/transcode.h"

enum { FLOAT32 = 0xCA }; /* the first byte of a MessagePack float32 */

struct writer {
    struct buffer buffer;
    struct cursor cursor;
    int indent;
    uint32_t depth;
    struct {
        uint32_t left; /* pairs or elements still to write */
        bool is_map;
    } level[CURSOR_DEPTH_MAX];
};

static void put_string(struct buffer *buffer, struct text text)
{
    static const char escapes[0x20] = {
        ['\b'] = 'b', ['\f'] = 'f', ['\n'] = 'n', ['\r'] = 'r', ['\t'] = 't'};
    const char *run = text.ptr;
    const char *end = text.ptr + text.len;
    buffer_put_char(buffer, '"');
    for (const char *at = run; at < end; at++) {
        unsigned char c = (unsigned char)*at;
        if (c >= 0x20 && c != '"' && c != '\\')
            continue;
        buffer_put(buffer, run, (size_t)(at - run));
        run = at + 1;
        if (c >= 0x20)
            buffer_put_fmt(buffer, "\\%c", c);
        else if (escapes[c] != '\0')
            buffer_put_fmt(buffer, "\\%c", escapes[c]);
        else
            buffer_put_fmt(buffer, "\\u%04x", c);
    }
    if (run < end)
        buffer_put(buffer, run, (size_t)(end - run));
    buffer_put_char(buffer, '"');
}

/* RFC 4648 section 4, padded. */
static void put_base64(struct buffer *buffer, struct text bytes)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const unsigned char *at = (const unsigned char *)bytes.ptr;
    buffer_put_char(buffer, '"');
    for (uint32_t i = 0; i < bytes.len; i += 3) {
        uint32_t left = bytes.len - i;
        uint32_t three = (uint32_t)at[i] << 16;
        three |= left > 1 ? (uint32_t)at[i + 1] << 8 : 0;
        three |= left > 2 ? at[i + 2] : 0;
        char four[4] = {digits[three >> 18], digits[(three >> 12) & 63],
                        left > 1 ? digits[(three >> 6) & 63] : '=',
                        left > 2 ? digits[three & 63] : '='};
        buffer_put(buffer, four, sizeof four);
    }
    buffer_put_char(buffer, '"');
}

static void put_number(struct writer *writer)
{
    char number[NUM_REAL_BYTES];
    int64_t integer;
    uint64_t large;
    double real;
    bool is_real32 = *writer->cursor.at == FLOAT32;
    if (cursor_int(&writer->cursor, &integer))
        buffer_put_fmt(&writer->buffer, "%" PRId64, integer);
    else if (cursor_uint(&writer->cursor, &large))
        buffer_put_fmt(&writer->buffer, "%" PRIu64, large);
    else if (cursor_real(&writer->cursor, &real))
        buffer_put_str(&writer->buffer, is_real32 ? num_format_real32((float)real, number)
                                                  : num_format_real(real, number));
}

static void put_line(struct writer *writer)
{
    if (writer->indent <= 0)
        return;
    buffer_put_char(&writer->buffer, '\n');
    for (uint32_t i = 0; i < writer->depth * (uint32_t)writer->indent; i++)
        buffer_put_char(&writer->buffer, ' ');
}

static void put_container(struct writer *writer, bool is_map)
{
    uint32_t count = 0;
    if (is_map ? !cursor_map(&writer->cursor, &count) : !cursor_array(&writer->cursor, &count))
        return;
    buffer_put_char(&writer->buffer, is_map ? '{' : '[');
    if (count == 0) {
        buffer_put_char(&writer->buffer, is_map ? '}' : ']');
        return;
    }
    ASSERT(writer->depth < CURSOR_DEPTH_MAX);
    writer->level[writer->depth].left = count;
    writer->level[writer->depth].is_map = is_map;
    writer->depth++;
    put_line(writer);
}

/* One value, or the beginning of a container; false when the bytes are not what cursor_check lets
 * pass. */
static bool put_value(struct writer *writer)
{
    const uint8_t *start = writer->cursor.at;
    struct text text;
    bool boolean;
    switch (cursor_peek(&writer->cursor)) {
    case CURSOR_NIL:
        cursor_nil(&writer->cursor);
        buffer_put_str(&writer->buffer, "null");
        break;
    case CURSOR_BOOL:
        if (cursor_bool(&writer->cursor, &boolean))
            buffer_put_str(&writer->buffer, boolean ? "true" : "false");
        break;
    case CURSOR_INT:
    case CURSOR_REAL: put_number(writer); break;
    case CURSOR_TEXT:
        if (cursor_text(&writer->cursor, &text))
            put_string(&writer->buffer, text);
        break;
    case CURSOR_BIN:
        if (cursor_bin(&writer->cursor, &text))
            put_base64(&writer->buffer, text);
        break;
    case CURSOR_ARRAY: put_container(writer, false); break;
    case CURSOR_MAP: put_container(writer, true); break;
    case CURSOR_END: break;
    }
    return writer->cursor.at != start;
}

/* Closes what is complete after a value, then writes what stands before the next one. */
static void put_between(struct writer *writer, bool container_was_opened)
{
    while (writer->depth > 0 && writer->level[writer->depth - 1].left == 0) {
        writer->depth--;
        put_line(writer);
        buffer_put_char(&writer->buffer, writer->level[writer->depth].is_map ? '}' : ']');
        container_was_opened = false;
    }
    if (writer->depth == 0)
        return;
    if (!container_was_opened) {
        buffer_put_char(&writer->buffer, ',');
        put_line(writer);
    }
    writer->level[writer->depth - 1].left--;
    if (writer->level[writer->depth - 1].is_map) {
        struct text key = {"", 0};
        bool is_text = cursor_text(&writer->cursor, &key);
        ASSERT(is_text); /* cursor_check lets no other key pass */
        put_string(&writer->buffer, key);
        buffer_put_str(&writer->buffer, writer->indent > 0 ? ": " : ":");
    }
}

enum err_code transcode_to_json(const uint8_t *bytes, size_t len, int indent, char **ret_json,
                                size_t *ret_len, struct err *err)
{
    struct writer writer = {.cursor = cursor_of(bytes, len), .indent = indent};
    do {
        uint32_t depth_before = writer.depth;
        if (!put_value(&writer)) {
            buffer_deinit(&writer.buffer);
            return err_set(err, ERR_BAD_INPUT, "MessagePack, byte %zu of %zu: not a checked value",
                           (size_t)(writer.cursor.at - bytes), len);
        }
        put_between(&writer, writer.depth > depth_before);
    } while (writer.depth > 0 && !writer.buffer.failed);
    char *json = buffer_take(&writer.buffer, ret_len);
    if (json == NULL)
        return err_set(err, ERR_NOMEM, "out of memory for the JSON of %zu bytes", len);
    *ret_json = json;
    return ERR_OK;
}
