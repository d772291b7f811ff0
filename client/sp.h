/* SPDX-License-Identifier: Apache-2.0 */
/* sp - the bytes of nng's REQ protocol on a stream: greeting, frame, request id.
 *
 * Both sides greet with eight bytes.  A message is its length (64 bits, big-endian), then the
 * request id (32 bits, big-endian, top bit set) that the reply repeats, then the body; the length
 * counts id and body.  On ipc each message has one byte 0x01 before the length.
 * Threads: no state. */
#ifndef CLIENT_SP_H
#define CLIENT_SP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define SP_GREETING_BYTES   8
#define SP_ID_BYTES         4
#define SP_ID_FLAG          UINT32_C(0x80000000)
#define SP_HEADER_BYTES_MAX 13 /* ipc byte, length, id */

static const uint8_t SP_GREETING_REQ[SP_GREETING_BYTES] = {0, 'S', 'P', 0, 0, 0x30, 0, 0};
static const uint8_t SP_GREETING_REP[SP_GREETING_BYTES] = {0, 'S', 'P', 0, 0, 0x31, 0, 0};

/* Bytes before the body: 12 on tcp, 13 on ipc. */
static inline size_t sp_header_bytes(bool ipc)
{
    return SP_HEADER_BYTES_MAX - (ipc ? 0 : 1);
}

/* Writes the header into the bytes that end at `body`; there must be room for
 * SP_HEADER_BYTES_MAX.  Returns where the frame begins. */
static inline uint8_t *sp_put_header(uint8_t *body, size_t body_bytes, uint32_t id, bool ipc)
{
    uint64_t length = (uint64_t)body_bytes + SP_ID_BYTES;
    for (int i = 0; i < 4; i++)
        body[-1 - i] = (uint8_t)((id | SP_ID_FLAG) >> (8 * i));
    for (int i = 0; i < 8; i++)
        body[-5 - i] = (uint8_t)(length >> (8 * i));
    if (ipc)
        body[-SP_HEADER_BYTES_MAX] = 1;
    return body - sp_header_bytes(ipc);
}

enum sp_state {
    SP_MORE,    /* incomplete */
    SP_MESSAGE, /* a complete message */
    SP_BAD      /* not a reply: too long, too short for its id, or not framed */
};

struct sp_message {
    uint32_t id; /* with SP_ID_FLAG */
    const uint8_t *body;
    size_t body_bytes;
    size_t frame_bytes; /* of the whole frame; known once the length has arrived */
};

/* Parses the bytes received so far.  A length above `body_bytes_max` is SP_BAD.  frame_bytes is set
 * as soon as the length has arrived, and 0 before. */
static inline enum sp_state sp_parse(const uint8_t *bytes, size_t len, bool ipc,
                                     size_t body_bytes_max, struct sp_message *ret_message)
{
    size_t prefix = ipc ? 1 : 0;
    *ret_message = (struct sp_message){0};
    if (ipc && len > 0 && bytes[0] != 1)
        return SP_BAD;
    if (len < prefix + 8)
        return SP_MORE;
    uint64_t length = 0;
    for (int i = 0; i < 8; i++)
        length = length << 8 | bytes[prefix + i];
    if (length < SP_ID_BYTES || length - SP_ID_BYTES > body_bytes_max)
        return SP_BAD;
    ret_message->frame_bytes = prefix + 8 + (size_t)length;
    if (len < ret_message->frame_bytes)
        return SP_MORE;
    const uint8_t *id = bytes + prefix + 8;
    ret_message->id =
        (uint32_t)id[0] << 24 | (uint32_t)id[1] << 16 | (uint32_t)id[2] << 8 | (uint32_t)id[3];
    ret_message->body = id + SP_ID_BYTES;
    ret_message->body_bytes = (size_t)length - SP_ID_BYTES;
    return (ret_message->id & SP_ID_FLAG) != 0 ? SP_MESSAGE : SP_BAD;
}

#endif
