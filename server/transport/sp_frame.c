/* SPDX-License-Identifier: Apache-2.0 */
#include "server/transport/sp_frame.h"

#include <string.h>

#define LENGTH_BYTES 8
#define IPC_MESSAGE  1
#define TOP_BIT      0x80

const uint8_t sp_frame_greeting[SP_FRAME_GREETING_BYTES] = {0, 'S', 'P', 0, 0, 0x31, 0, 0};

bool sp_frame_greets(const uint8_t *bytes, size_t len)
{
    static const uint8_t requester[SP_FRAME_GREETING_BYTES] = {0, 'S', 'P', 0, 0, 0x30, 0, 0};
    return memcmp(bytes, requester, len) == 0;
}

static enum sp_frame_state split(const uint8_t *payload, size_t payload_bytes,
                                 struct sp_frame *frame)
{
    size_t at = 0;
    for (uint32_t hop = 0; hop < SP_FRAME_HOPS_MAX; hop++) {
        if (payload_bytes - at < SP_FRAME_HOP_BYTES)
            return SP_FRAME_MALFORMED;
        bool is_id = (payload[at] & TOP_BIT) != 0;
        at += SP_FRAME_HOP_BYTES;
        if (!is_id)
            continue;
        frame->stack = payload;
        frame->stack_bytes = at;
        frame->body = payload + at;
        frame->body_bytes = payload_bytes - at;
        return SP_FRAME_REQUEST;
    }
    return SP_FRAME_LOOPED;
}

enum sp_frame_state sp_frame_parse(const uint8_t *bytes, size_t len, bool ipc,
                                   size_t body_bytes_max, struct sp_frame *ret_frame)
{
    size_t prefix = ipc ? 1 : 0;
    *ret_frame = (struct sp_frame){0};
    if (ipc && len > 0 && bytes[0] != IPC_MESSAGE)
        return SP_FRAME_MALFORMED;
    if (len < prefix + LENGTH_BYTES)
        return SP_FRAME_MORE;
    uint64_t length = 0;
    for (size_t i = 0; i < LENGTH_BYTES; i++)
        length = length << 8 | bytes[prefix + i];
    if (length < SP_FRAME_HOP_BYTES)
        return SP_FRAME_MALFORMED;
    if (length > (uint64_t)body_bytes_max + SP_FRAME_STACK_BYTES_MAX)
        return SP_FRAME_TOO_LARGE;
    ret_frame->frame_bytes = prefix + LENGTH_BYTES + (size_t)length;
    if (len < ret_frame->frame_bytes)
        return SP_FRAME_MORE;
    enum sp_frame_state state = split(bytes + prefix + LENGTH_BYTES, (size_t)length, ret_frame);
    return ret_frame->body_bytes > body_bytes_max ? SP_FRAME_TOO_LARGE : state;
}

uint8_t *sp_frame_put_head(uint8_t *body, size_t body_bytes, size_t stack_bytes, bool ipc)
{
    uint64_t length = (uint64_t)stack_bytes + body_bytes;
    uint8_t *at = body - stack_bytes;
    for (size_t i = 0; i < LENGTH_BYTES; i++)
        *--at = (uint8_t)(length >> (8 * i));
    if (ipc)
        *--at = IPC_MESSAGE;
    return at;
}
