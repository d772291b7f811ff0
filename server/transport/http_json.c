/* SPDX-License-Identifier: Apache-2.0 */
#include "server/transport/http_json.h"

#include "base/cursor.h"
#include "base/pack.h"
#include "base/transcode.h"

/* "1.0," has four bytes and becomes nine, "[]," five; nothing grows by more, but brackets that are
 * open: five bytes for each, and as many as there may be levels. */
#define GROWTH_MAX       3
#define BODY_BYTES_LEAST (16 + 2 * CURSOR_DEPTH_MAX)
/* The header of a map in its longest form, the key, the header of a text, and the name. */
#define HEAD_BYTES_MAX (5 + 3 + 5 + HTTP_OP_BYTES_MAX)

size_t http_json_room(size_t json_bytes)
{
    return HEAD_BYTES_MAX + BODY_BYTES_LEAST + json_bytes * GROWTH_MAX;
}

static enum err_code refuse_kind(struct text json, enum cursor_kind kind, struct err *err)
{
    uint32_t line = 1;
    uint32_t column = 1;
    for (uint32_t i = 0; i < json.len && strchr(" \t\r\n", json.ptr[i]) != NULL; i++) {
        column++;
        if (json.ptr[i] == '\n') {
            line++;
            column = 1;
        }
    }
    return err_set(err, ERR_BAD_INPUT, "line %u, column %u: expected an object, got %s", line,
                   column, cursor_kind_name(kind));
}

/* Whether the body names the operation itself; *ret_same when it is the one of the path. */
static bool find_op(struct cursor pairs, uint32_t pair_count, struct text op, bool *ret_same)
{
    for (uint32_t i = 0; i < pair_count; i++) {
        struct text key;
        struct text value = {NULL, 0};
        if (!cursor_text(&pairs, &key))
            return false;
        if (text_is(key, "op")) {
            *ret_same = cursor_text(&pairs, &value) && text_equal(value, op);
            return true;
        }
        cursor_skip(&pairs, NULL);
    }
    return false;
}

/* A map of one pair more, whose pairs begin where those of the body do: the body is not moved. */
static struct text put_op(struct text op, uint32_t pair_count, uint8_t *pairs, size_t pairs_bytes)
{
    uint8_t head[HEAD_BYTES_MAX];
    struct pack pack = pack_into(head, sizeof head);
    pack_map(&pack, pair_count + 1);
    pack_key(&pack, "op");
    pack_text(&pack, op);
    ASSERT(!pack.overflow);
    uint8_t *start = pairs - pack.used;
    memcpy(start, head, pack.used);
    return (struct text){(const char *)start, (uint32_t)(pack.used + pairs_bytes)};
}

enum err_code http_json_request(struct text op, struct text json, uint8_t *room, size_t room_bytes,
                                struct text *ret_message, const char **ret_field, struct err *err)
{
    ASSERT(op.len > 0 && op.len <= HTTP_OP_BYTES_MAX && room_bytes >= http_json_room(json.len));
    *ret_field = NULL;
    uint8_t *body = room + HEAD_BYTES_MAX;
    struct pack pack = pack_into(body, room_bytes - HEAD_BYTES_MAX);
    if (json.len == 0)
        json = TEXT_LITERAL("{}");
    enum err_code rc = transcode_from_json(json.ptr, json.len, &pack, err);
    if (rc != ERR_OK)
        return rc;
    struct cursor cursor = cursor_of(body, pack.used);
    uint32_t pair_count = 0;
    bool same = false;
    if (!cursor_map(&cursor, &pair_count))
        return refuse_kind(json, cursor_peek(&cursor), err);
    if (find_op(cursor, pair_count, op, &same)) {
        if (!same) {
            *ret_field = "op";
            return err_set(err, ERR_BAD_INPUT, "op: the path says '%.*s', the body something else",
                           (int)op.len, op.ptr);
        }
        *ret_message = (struct text){(const char *)body, (uint32_t)pack.used};
        return ERR_OK;
    }
    size_t pairs_at = (size_t)(cursor.at - body);
    *ret_message = put_op(op, pair_count, body + pairs_at, pack.used - pairs_at);
    return ERR_OK;
}
