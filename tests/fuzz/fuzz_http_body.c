/* SPDX-License-Identifier: Apache-2.0 */
/* Any body of POST /v1/<op>: a message that is made of it is well-formed, names the operation of
 * the path, and either decodes or is refused in words.  The first byte chooses the operation. */
#include <string.h>

#include "base/cursor.h"
#include "server/protocol/request.h"
#include "server/transport/http_json.h"

enum { JSON_MAX = 1 << 14, ARENA_BYTES = 1 << 20 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void decode(struct text message, enum op op)
{
    static struct arena arena;
    struct err err = {0};
    if (arena.base == NULL)
        ASSERT(arena_init(&arena, ARENA_BYTES, &err) == ERR_OK);
    arena_reset(&arena);
    struct request request;
    char field[REQUEST_FIELD_BYTES];
    enum err_code rc =
        request_decode((const uint8_t *)message.ptr, message.len, &arena, &request, field, &err);
    if (rc == ERR_OK)
        ASSERT(request.op == op);
    else
        ASSERT(err.text[0] != '\0' && strlen(field) < sizeof field);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static uint8_t room[JSON_MAX * 4];
    if (size == 0 || size > JSON_MAX)
        return 0;
    enum op op = (enum op)(data[0] % OP_COUNT);
    struct text json = {(const char *)data + 1, (uint32_t)(size - 1)};
    struct text message;
    struct err err = {0};
    const char *field = NULL;
    size_t room_bytes = http_json_room(json.len);
    ASSERT(room_bytes <= sizeof room);
    enum err_code rc =
        http_json_request(text_of(op_name(op)), json, room, room_bytes, &message, &field, &err);
    /* Room is never what is lacking: ERR_LIMIT is for nesting alone. */
    ASSERT(rc == ERR_OK || ((rc == ERR_BAD_INPUT || rc == ERR_LIMIT) && err.text[0] != '\0'));
    ASSERT(rc != ERR_LIMIT || strstr(err.text, "too large") == NULL);
    if (rc != ERR_OK)
        return 0;
    ASSERT(cursor_check((const uint8_t *)message.ptr, message.len, UINT32_MAX, &err) == ERR_OK);
    decode(message, op);
    return 0;
}
