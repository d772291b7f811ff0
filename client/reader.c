/* SPDX-License-Identifier: Apache-2.0 */
#include "client/reader.h"

#include <math.h>
#include <string.h>

#include "client/clock.h"

enum { VALUES_PER_LOOK = 1024 }; /* takes some microseconds */

enum kind {
    KIND_NONE, /* the unused type byte, or an extension, which this protocol does not use */
    KIND_NIL,
    KIND_BOOL,
    KIND_INT,
    KIND_REAL,
    KIND_TEXT,
    KIND_BIN,
    KIND_ARRAY,
    KIND_MAP
};

/* The head of a value: its type, its size, and the size or count of what follows. */
struct head {
    enum kind kind;
    size_t bytes;   /* of the head, scalars included */
    size_t payload; /* of texts and binaries */
    uint64_t bits;  /* of scalars; the count of arrays and maps */
    bool is_unsigned;
};

static uint64_t big_endian(const uint8_t *bytes, size_t len)
{
    uint64_t value = 0;
    for (size_t i = 0; i < len; i++)
        value = value << 8 | bytes[i];
    return value;
}

/* Types from 0xc0 to 0xdf: the bytes that follow the first one hold a number of `width` bytes. */
static bool wide_head(uint8_t first, struct head *head, size_t *ret_width)
{
    static const struct {
        uint8_t kind, width;
    } types[32] = {
        [0x00] = {KIND_NIL, 0},  [0x02] = {KIND_BOOL, 0},  [0x03] = {KIND_BOOL, 0},
        [0x04] = {KIND_BIN, 1},  [0x05] = {KIND_BIN, 2},   [0x06] = {KIND_BIN, 4},
        [0x0a] = {KIND_REAL, 4}, [0x0b] = {KIND_REAL, 8},  [0x0c] = {KIND_INT, 1},
        [0x0d] = {KIND_INT, 2},  [0x0e] = {KIND_INT, 4},   [0x0f] = {KIND_INT, 8},
        [0x10] = {KIND_INT, 1},  [0x11] = {KIND_INT, 2},   [0x12] = {KIND_INT, 4},
        [0x13] = {KIND_INT, 8},  [0x19] = {KIND_TEXT, 1},  [0x1a] = {KIND_TEXT, 2},
        [0x1b] = {KIND_TEXT, 4}, [0x1c] = {KIND_ARRAY, 2}, [0x1d] = {KIND_ARRAY, 4},
        [0x1e] = {KIND_MAP, 2},  [0x1f] = {KIND_MAP, 4},
    };
    uint8_t index = (uint8_t)(first - 0xc0);
    head->kind = (enum kind)types[index].kind;
    head->is_unsigned = first >= 0xcc && first <= 0xcf;
    *ret_width = types[index].width;
    return head->kind != KIND_NONE;
}

static uint64_t sign_extend(uint64_t bits, size_t width)
{
    unsigned shift = (unsigned)(64 - 8 * width);
    return (uint64_t)((int64_t)(bits << shift) >> shift);
}

/* False when the bytes end inside the head or its payload, or the type is not supported. */
static bool read_head(const uint8_t *at, const uint8_t *end, struct head *head)
{
    *head = (struct head){.bytes = 1};
    if (at == end)
        return false;
    uint8_t first = *at;
    if (first <= 0x7f || first >= 0xe0) {
        head->kind = KIND_INT;
        head->bits = (uint64_t)(int64_t)(int8_t)first;
        return true;
    }
    if (first <= 0x9f) {
        head->kind = first <= 0x8f ? KIND_MAP : KIND_ARRAY;
        head->bits = first & 0x0f;
        return true;
    }
    if (first <= 0xbf) {
        head->kind = KIND_TEXT;
        head->payload = first & 0x1f;
    } else {
        size_t width = 0;
        if (!wide_head(first, head, &width) || (size_t)(end - at) - 1 < width)
            return false;
        head->bytes = 1 + width;
        head->bits = width == 0 ? first & 1 : big_endian(at + 1, width);
        if (head->kind == KIND_INT && !head->is_unsigned)
            head->bits = sign_extend(head->bits, width);
        if (head->kind == KIND_TEXT || head->kind == KIND_BIN)
            head->payload = (size_t)head->bits;
    }
    return head->payload <= (size_t)(end - at) - head->bytes;
}

static uint64_t values_inside(const struct head *head)
{
    if (head->kind == KIND_MAP)
        return 2 * head->bits;
    return head->kind == KIND_ARRAY ? head->bits : 0;
}

bool client_reader_check(const void *bytes, size_t len)
{
    return client_reader_check_until(bytes, len, UINT64_MAX) == CLIENT_CHECKED_FINE;
}

enum client_checked client_reader_check_until(const void *bytes, size_t len, uint64_t deadline_ns)
{
    const uint8_t *at = bytes;
    const uint8_t *end = at + len;
    uint64_t left[CLIENT_READER_DEPTH_MAX + 1] = {1}; /* values still expected, per level */
    uint64_t promised = 1;                            /* their sum; each takes at least a byte */
    int depth = 0;
    for (uint32_t seen = 1; promised > 0; seen++) {
        struct head head;
        if (seen % VALUES_PER_LOOK == 0 && client_now_ns() >= deadline_ns)
            return CLIENT_CHECKED_LATE;
        if (!read_head(at, end, &head))
            return CLIENT_CHECKED_WRONG;
        at += head.bytes + head.payload;
        left[depth]--;
        promised--;
        uint64_t inside = values_inside(&head);
        if (inside > 0) {
            promised += inside;
            if (depth == CLIENT_READER_DEPTH_MAX || promised > (uint64_t)(end - at))
                return CLIENT_CHECKED_WRONG;
            left[++depth] = inside;
        }
        while (depth > 0 && left[depth] == 0)
            depth--;
    }
    return at == end ? CLIENT_CHECKED_FINE : CLIENT_CHECKED_WRONG;
}

/* Reads the next head if it is of this kind, and advances past it (not past a payload). */
static bool take(struct client_reader *reader, enum kind kind, struct head *head)
{
    if (!read_head(reader->at, reader->end, head) || head->kind != kind)
        return false;
    reader->at += head->bytes;
    return true;
}

bool client_read_nil(struct client_reader *reader)
{
    struct head head;
    return take(reader, KIND_NIL, &head);
}

bool client_read_bool(struct client_reader *reader, bool *ret_value)
{
    struct head head;
    if (!take(reader, KIND_BOOL, &head))
        return false;
    *ret_value = head.bits != 0;
    return true;
}

bool client_read_int(struct client_reader *reader, int64_t *ret_value)
{
    struct client_reader before = *reader;
    struct head head;
    if (!take(reader, KIND_INT, &head))
        return false;
    if (head.is_unsigned && head.bits > INT64_MAX) {
        *reader = before;
        return false;
    }
    *ret_value = (int64_t)head.bits;
    return true;
}

bool client_read_real(struct client_reader *reader, double *ret_value)
{
    struct client_reader before = *reader;
    struct head head;
    int64_t integer = 0;
    if (client_read_int(reader, &integer)) {
        *ret_value = (double)integer;
        return true;
    }
    if (!take(reader, KIND_REAL, &head))
        return false;
    double value = 0;
    if (head.bytes == 5) {
        uint32_t bits = (uint32_t)head.bits;
        float narrow = 0;
        memcpy(&narrow, &bits, sizeof narrow);
        value = (double)narrow;
    } else {
        memcpy(&value, &head.bits, sizeof value);
    }
    if (!isfinite(value)) {
        *reader = before;
        return false;
    }
    *ret_value = value;
    return true;
}

bool client_read_text(struct client_reader *reader, struct client_text *ret_text)
{
    struct head head;
    if (!take(reader, KIND_TEXT, &head))
        return false;
    *ret_text = (struct client_text){(const char *)reader->at, head.payload};
    reader->at += head.payload;
    return true;
}

bool client_read_array(struct client_reader *reader, uint32_t *ret_count)
{
    struct head head;
    if (!take(reader, KIND_ARRAY, &head))
        return false;
    *ret_count = (uint32_t)head.bits;
    return true;
}

bool client_read_map(struct client_reader *reader, uint32_t *ret_pair_count)
{
    struct head head;
    if (!take(reader, KIND_MAP, &head))
        return false;
    *ret_pair_count = (uint32_t)head.bits;
    return true;
}

void client_read_skip(struct client_reader *reader)
{
    for (uint64_t left = 1; left > 0; left--) {
        struct head head;
        if (!read_head(reader->at, reader->end, &head))
            return;
        reader->at += head.bytes + head.payload;
        left += values_inside(&head);
    }
}

bool client_text_is(struct client_text text, const char *s)
{
    return text.ptr != NULL && text.len == strlen(s) && memcmp(text.ptr, s, text.len) == 0;
}
