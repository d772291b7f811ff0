/* SPDX-License-Identifier: Apache-2.0 */
#include "base/cursor.h"

#include <math.h>
#include <string.h>

/* The first byte of a value and what follows it belongs to, before any payload. */
struct head {
    uint64_t raw; /* the integer or float bits, the payload's bytes, or the count */
    uint8_t kind; /* enum cursor_kind; CURSOR_END for a byte that starts no value of ours */
    uint8_t bytes;
    uint8_t first; /* the first byte */
};

/* For 0xC0..0xDF: the kind, and how many bytes follow the first. */
#define NONE    CURSOR_END, 0
#define H(k, n) CURSOR_##k, n
static const uint8_t head_table[32][2] = {
    {H(NIL, 0)}, {NONE},       {H(BOOL, 0)}, {H(BOOL, 0)}, {H(BIN, 1)},   {H(BIN, 2)},
    {H(BIN, 4)}, {NONE},       {NONE},       {NONE},       {H(REAL, 4)},  {H(REAL, 8)},
    {H(INT, 1)}, {H(INT, 2)},  {H(INT, 4)},  {H(INT, 8)},  {H(INT, 1)},   {H(INT, 2)},
    {H(INT, 4)}, {H(INT, 8)},  {NONE},       {NONE},       {NONE},        {NONE},
    {NONE},      {H(TEXT, 1)}, {H(TEXT, 2)}, {H(TEXT, 4)}, {H(ARRAY, 2)}, {H(ARRAY, 4)},
    {H(MAP, 2)}, {H(MAP, 4)},
};
#undef NONE
#undef H

/* Big-endian; the bytes may stand anywhere. */
static uint64_t read_big_endian(const uint8_t *at, unsigned bytes)
{
    uint64_t value = 0;
    for (unsigned i = 0; i < bytes; i++)
        value = (value << 8) | at[i];
    return value;
}

/* Sign-extends the integers 0xD0..0xD3. */
static int64_t sign_extend(uint64_t raw, unsigned bytes)
{
    unsigned shift = 64 - 8 * bytes;
    return (int64_t)(raw << shift) >> shift;
}

/* False when the bytes end within the head, or when there are none. */
static bool head_read(const uint8_t *at, const uint8_t *end, struct head *ret_head)
{
    if (at == end)
        return false;
    uint8_t first = *at;
    struct head head = {.first = first, .bytes = 1};
    if (first <= 0x7F) {
        head.kind = CURSOR_INT;
        head.raw = first;
    } else if (first >= 0xE0) {
        head.kind = CURSOR_INT;
        head.raw = (uint64_t)(int64_t)(int8_t)first;
    } else if (first <= 0x8F) {
        head.kind = CURSOR_MAP;
        head.raw = first & 15;
    } else if (first <= 0x9F) {
        head.kind = CURSOR_ARRAY;
        head.raw = first & 15;
    } else if (first <= 0xBF) {
        head.kind = CURSOR_TEXT;
        head.raw = first & 31;
    } else {
        unsigned extra = head_table[first - 0xC0][1];
        if ((size_t)(end - at) <= extra)
            return false;
        head.kind = head_table[first - 0xC0][0];
        head.bytes = (uint8_t)(1 + extra);
        head.raw = read_big_endian(at + 1, extra);
        if (first >= 0xD0 && first <= 0xD3)
            head.raw = (uint64_t)sign_extend(head.raw, extra);
    }
    *ret_head = head;
    return true;
}

static bool head_is_negative(const struct head *head)
{
    return head->first != 0xCF && (int64_t)head->raw < 0;
}

static double head_real(const struct head *head)
{
    if (head->first == 0xCA) {
        uint32_t bits = (uint32_t)head->raw;
        float value;
        memcpy(&value, &bits, sizeof value);
        return (double)value;
    }
    double value;
    memcpy(&value, &head->raw, sizeof value);
    return value;
}

/* What cursor_check keeps while it walks.
 *  1. `pending` values are still declared and unread, over all levels.
 *  2. Each takes a byte at least, so pending <= bytes left, always: no declared count can promise
 *     more than the message holds.
 *  3. level[0..depth-1].left of them belong to each open container; none of these is 0 between two
 *     values. */
struct check {
    const uint8_t *at;
    const uint8_t *end;
    uint64_t pending;
    uint64_t values_left; /* of values_max, not yet declared */
    uint32_t depth;
    struct {
        uint64_t left; /* values; a pair counts two */
        bool is_map;
    } level[CURSOR_DEPTH_MAX];
    const char *what;
};

static enum err_code refuse(struct check *check, enum err_code code, const char *what)
{
    check->what = what;
    return code;
}

static enum err_code check_container(struct check *check, const struct head *head)
{
    bool is_map = head->kind == CURSOR_MAP;
    uint64_t children = is_map ? 2 * head->raw : head->raw;
    if (check->depth == CURSOR_DEPTH_MAX)
        return refuse(check, ERR_LIMIT, "arrays and maps are nested too deep");
    if (check->pending + children > (uint64_t)(check->end - check->at) - head->bytes)
        return refuse(check, ERR_BAD_INPUT, "a count promises more values than there are bytes");
    if (children > check->values_left)
        return refuse(check, ERR_LIMIT, "there are too many values");
    check->at += head->bytes;
    check->values_left -= children;
    check->pending += children;
    if (children > 0) {
        check->level[check->depth].left = children;
        check->level[check->depth].is_map = is_map;
        check->depth++;
    }
    return ERR_OK;
}

static enum err_code check_payload(struct check *check, const struct head *head)
{
    if (head->raw > (uint64_t)(check->end - check->at) - head->bytes)
        return refuse(check, ERR_BAD_INPUT, "a text or binary is longer than the message");
    const char *payload = (const char *)check->at + head->bytes;
    if (head->kind == CURSOR_TEXT && !text_is_utf8(payload, (size_t)head->raw))
        return refuse(check, ERR_BAD_INPUT, "a text is not UTF-8");
    check->at += head->bytes + head->raw;
    return ERR_OK;
}

static enum err_code check_value(struct check *check)
{
    struct head head;
    if (check->at == check->end)
        return refuse(check, ERR_BAD_INPUT, "the message ends before its last value");
    if (!head_read(check->at, check->end, &head))
        return refuse(check, ERR_BAD_INPUT, "the message ends within a value");
    check->pending--;
    if (check->depth > 0) {
        uint64_t left = check->level[check->depth - 1].left--;
        bool is_key = check->level[check->depth - 1].is_map && left % 2 == 0;
        if (is_key && head.kind != CURSOR_TEXT)
            return refuse(check, ERR_BAD_INPUT, "a map key is not a text");
    }
    switch ((enum cursor_kind)head.kind) {
    case CURSOR_ARRAY:
    case CURSOR_MAP: return check_container(check, &head);
    case CURSOR_TEXT:
    case CURSOR_BIN: return check_payload(check, &head);
    case CURSOR_END: return refuse(check, ERR_BAD_INPUT, "the type is not supported");
    case CURSOR_REAL:
        if (!isfinite(head_real(&head)))
            return refuse(check, ERR_BAD_INPUT, "a float is not finite");
        break;
    case CURSOR_NIL:
    case CURSOR_BOOL:
    case CURSOR_INT: break;
    }
    check->at += head.bytes;
    return ERR_OK;
}

enum err_code cursor_check_fault(const uint8_t *bytes, size_t len, uint32_t values_max,
                                 struct cursor_fault *ret_fault)
{
    struct check check = {.at = bytes, .end = bytes + len, .pending = 1};
    enum err_code rc = ERR_OK;
    if (values_max == 0)
        rc = refuse(&check, ERR_LIMIT, "there are too many values");
    else
        check.values_left = values_max - 1;
    while (rc == ERR_OK && check.pending > 0) {
        rc = check_value(&check);
        while (check.depth > 0 && check.level[check.depth - 1].left == 0)
            check.depth--;
    }
    if (rc == ERR_OK && check.at != check.end)
        rc = refuse(&check, ERR_BAD_INPUT, "bytes follow the value");
    if (rc != ERR_OK)
        *ret_fault = (struct cursor_fault){check.what, (size_t)(check.at - bytes)};
    return rc;
}

enum cursor_kind cursor_peek(const struct cursor *cursor)
{
    struct head head;
    if (!head_read(cursor->at, cursor->end, &head))
        return CURSOR_END;
    return (enum cursor_kind)head.kind;
}

const char *cursor_kind_name(enum cursor_kind kind)
{
    static const char *const names[] = {
        [CURSOR_NIL] = "nil",        [CURSOR_BOOL] = "a boolean", [CURSOR_INT] = "an integer",
        [CURSOR_REAL] = "a float",   [CURSOR_TEXT] = "a text",    [CURSOR_BIN] = "a binary",
        [CURSOR_ARRAY] = "an array", [CURSOR_MAP] = "a map",      [CURSOR_END] = "nothing",
    };
    return kind <= CURSOR_END ? names[kind] : "nothing";
}

/* The head of the next value when it is of this kind. */
static bool next_is(const struct cursor *cursor, enum cursor_kind kind, struct head *ret_head)
{
    return head_read(cursor->at, cursor->end, ret_head) && ret_head->kind == kind;
}

bool cursor_nil(struct cursor *cursor)
{
    struct head head;
    if (!next_is(cursor, CURSOR_NIL, &head))
        return false;
    cursor->at += head.bytes;
    return true;
}

bool cursor_bool(struct cursor *cursor, bool *ret_value)
{
    struct head head;
    if (!next_is(cursor, CURSOR_BOOL, &head))
        return false;
    cursor->at += head.bytes;
    *ret_value = head.first == 0xC3;
    return true;
}

bool cursor_int(struct cursor *cursor, int64_t *ret_value)
{
    struct head head;
    if (!next_is(cursor, CURSOR_INT, &head) || (head.first == 0xCF && head.raw > INT64_MAX))
        return false;
    cursor->at += head.bytes;
    *ret_value = (int64_t)head.raw;
    return true;
}

bool cursor_uint(struct cursor *cursor, uint64_t *ret_value)
{
    struct head head;
    if (!next_is(cursor, CURSOR_INT, &head) || head_is_negative(&head))
        return false;
    cursor->at += head.bytes;
    *ret_value = head.raw;
    return true;
}

bool cursor_real(struct cursor *cursor, double *ret_value)
{
    struct head head;
    double value;
    if (!head_read(cursor->at, cursor->end, &head))
        return false;
    if (head.kind == CURSOR_REAL)
        value = head_real(&head);
    else if (head.kind == CURSOR_INT)
        value = head_is_negative(&head) ? (double)(int64_t)head.raw : (double)head.raw;
    else
        return false;
    if (!isfinite(value))
        return false;
    cursor->at += head.bytes;
    *ret_value = value;
    return true;
}

static bool read_payload(struct cursor *cursor, enum cursor_kind kind, struct text *ret_value)
{
    struct head head;
    if (!next_is(cursor, kind, &head) ||
        head.raw > (uint64_t)(cursor->end - cursor->at) - head.bytes)
        return false;
    *ret_value = (struct text){(const char *)cursor->at + head.bytes, (uint32_t)head.raw};
    cursor->at += head.bytes + head.raw;
    return true;
}

bool cursor_text(struct cursor *cursor, struct text *ret_value)
{
    return read_payload(cursor, CURSOR_TEXT, ret_value);
}

bool cursor_bin(struct cursor *cursor, struct text *ret_value)
{
    return read_payload(cursor, CURSOR_BIN, ret_value);
}

static bool read_count(struct cursor *cursor, enum cursor_kind kind, uint32_t *ret_count)
{
    struct head head;
    if (!next_is(cursor, kind, &head))
        return false;
    cursor->at += head.bytes;
    *ret_count = (uint32_t)head.raw;
    return true;
}

bool cursor_array(struct cursor *cursor, uint32_t *ret_count)
{
    return read_count(cursor, CURSOR_ARRAY, ret_count);
}

bool cursor_map(struct cursor *cursor, uint32_t *ret_count)
{
    return read_count(cursor, CURSOR_MAP, ret_count);
}

void cursor_skip(struct cursor *cursor, struct text *ret_bytes)
{
    const uint8_t *start = cursor->at;
    uint64_t pending = 1;
    struct head head;
    while (pending > 0 && head_read(cursor->at, cursor->end, &head)) {
        uint64_t step = head.bytes;
        pending--;
        if (head.kind == CURSOR_TEXT || head.kind == CURSOR_BIN)
            step += head.raw;
        else if (head.kind == CURSOR_ARRAY || head.kind == CURSOR_MAP)
            pending += head.kind == CURSOR_MAP ? 2 * head.raw : head.raw;
        /* Cannot be: the bytes were checked.  Were they not, the walk ends here. */
        if (step > (uint64_t)(cursor->end - cursor->at))
            break;
        cursor->at += step;
    }
    if (ret_bytes != NULL)
        *ret_bytes = (struct text){(const char *)start, (uint32_t)(cursor->at - start)};
}

uint32_t cursor_skip_deep(struct cursor *cursor, struct text *ret_bytes)
{
    const uint8_t *start = cursor->at;
    uint64_t left[CURSOR_DEPTH_MAX + 1] = {1}; /* values to come, by level */
    uint32_t depth = 0, deepest = 0;
    struct head head;
    while ((depth > 0 || left[0] > 0) && head_read(cursor->at, cursor->end, &head)) {
        bool is_map = head.kind == CURSOR_MAP, is_container = is_map || head.kind == CURSOR_ARRAY;
        uint64_t step = head.bytes;
        if (head.kind == CURSOR_TEXT || head.kind == CURSOR_BIN)
            step += head.raw;
        /* Neither can be in bytes that were checked. */
        if (step > (uint64_t)(cursor->end - cursor->at) ||
            (is_container && depth == CURSOR_DEPTH_MAX))
            break;
        cursor->at += step;
        left[depth]--;
        if (is_container) {
            left[++depth] = is_map ? 2 * head.raw : head.raw;
            deepest = depth > deepest ? depth : deepest;
        }
        while (depth > 0 && left[depth] == 0)
            depth--;
    }
    if (ret_bytes != NULL)
        *ret_bytes = (struct text){(const char *)start, (uint32_t)(cursor->at - start)};
    return deepest;
}
