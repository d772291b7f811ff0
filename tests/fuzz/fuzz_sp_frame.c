/* SPDX-License-Identifier: Apache-2.0 */
/* Bytes of a peer, taken for the stream of a connection: greeting, then messages.  Whatever they
 * are, what is found lies within them, more bytes do not change what was decided, and a reply to it
 * is a frame that the same parser takes apart again. */
#include <string.h>

#include "base/err.h"
#include "server/transport/sp_frame.h"

#define BODY_BYTES_MAX 4096

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_request(const uint8_t *data, size_t size, const struct sp_frame *frame, bool ipc)
{
    uint8_t reply[SP_FRAME_HEADER_BYTES_MAX + BODY_BYTES_MAX];
    uint8_t *body = reply + SP_FRAME_HEADER_BYTES_MAX;
    struct sp_frame again;
    ASSERT(frame->frame_bytes <= size && frame->body_bytes <= BODY_BYTES_MAX);
    ASSERT(frame->stack >= data && frame->body == frame->stack + frame->stack_bytes);
    ASSERT(frame->body + frame->body_bytes == data + frame->frame_bytes);
    ASSERT(frame->stack_bytes >= SP_FRAME_HOP_BYTES &&
           frame->stack_bytes <= SP_FRAME_STACK_BYTES_MAX);
    memcpy(body, frame->body, frame->body_bytes);
    memcpy(body - frame->stack_bytes, frame->stack, frame->stack_bytes);
    const uint8_t *start = sp_frame_put_head(body, frame->body_bytes, frame->stack_bytes, ipc);
    size_t bytes = (size_t)(body - start) + frame->body_bytes;
    ASSERT(start >= reply && bytes == frame->frame_bytes && memcmp(start, data, bytes) == 0);
    ASSERT(sp_frame_parse(start, bytes, ipc, BODY_BYTES_MAX, &again) == SP_FRAME_REQUEST);
    ASSERT(again.stack_bytes == frame->stack_bytes && again.body_bytes == frame->body_bytes);
}

/* With fewer bytes the answer is the same, or that more are needed. */
static void check_shorter(const uint8_t *data, size_t size, bool ipc, enum sp_frame_state decided)
{
    struct sp_frame frame;
    for (size_t len = 0; len < size && len < 64; len++) {
        enum sp_frame_state state = sp_frame_parse(data, len, ipc, BODY_BYTES_MAX, &frame);
        ASSERT(state == SP_FRAME_MORE || state == decided);
        ASSERT(state != SP_FRAME_MORE || frame.frame_bytes == 0 || frame.frame_bytes > len);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    bool ipc = size > 0 && (data[size - 1] & 1) != 0;
    size_t greeting = size < SP_FRAME_GREETING_BYTES ? size : SP_FRAME_GREETING_BYTES;
    for (size_t len = 1; len < greeting; len++)
        ASSERT(!sp_frame_greets(data, len) ? !sp_frame_greets(data, greeting) : true);
    if (!sp_frame_greets(data, greeting))
        return 0;
    data += greeting;
    size -= greeting;
    for (;;) {
        struct sp_frame frame;
        enum sp_frame_state state = sp_frame_parse(data, size, ipc, BODY_BYTES_MAX, &frame);
        check_shorter(data, size, ipc, state);
        if (state == SP_FRAME_REQUEST)
            check_request(data, size, &frame, ipc);
        else if (state != SP_FRAME_LOOPED)
            return 0;
        ASSERT(frame.frame_bytes > 0 && frame.frame_bytes <= size);
        data += frame.frame_bytes;
        size -= frame.frame_bytes;
    }
}
