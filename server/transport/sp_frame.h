/* SPDX-License-Identifier: Apache-2.0 */
/* sp_frame - the wire format of the server side of SP REQ/REP: greeting, frame, hop stack.
 *
 * Both sides greet with eight bytes.  A message is its length (64 bits, big-endian), then the stack
 * of hops, then the body; the length counts stack and body.  On ipc each message has one byte 0x01
 * before the length.  The stack is a sequence of 32-bit words: first those added by devices on
 * the way, and last, with the top bit set, the request id.  A reply repeats the whole stack.
 *
 * Everything read is untrusted.  Threads: no state. */
#ifndef SERVER_TRANSPORT_SP_FRAME_H
#define SERVER_TRANSPORT_SP_FRAME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SP_FRAME_GREETING_BYTES   8
#define SP_FRAME_HOP_BYTES        4
#define SP_FRAME_HOPS_MAX         8 /* the id included; what nng calls its TTL */
#define SP_FRAME_STACK_BYTES_MAX  (SP_FRAME_HOPS_MAX * SP_FRAME_HOP_BYTES)
#define SP_FRAME_HEADER_BYTES_MAX (1 + 8 + SP_FRAME_STACK_BYTES_MAX)

extern const uint8_t sp_frame_greeting[SP_FRAME_GREETING_BYTES]; /* of a replier: ours */

enum sp_frame_state {
    SP_FRAME_MORE, /* bytes are missing */
    SP_FRAME_REQUEST,
    SP_FRAME_LOOPED,    /* more hops than SP_FRAME_HOPS_MAX: to be dropped alone */
    SP_FRAME_TOO_LARGE, /* known from the length on */
    SP_FRAME_MALFORMED  /* not framed, or no request id */
};

struct sp_frame {
    size_t frame_bytes; /* the whole message; 0 until its length has arrived */
    const uint8_t *stack;
    size_t stack_bytes;
    const uint8_t *body;
    size_t body_bytes;
};

/* True while the bytes are those that a requester greets with; `len` at most the greeting's. */
bool sp_frame_greets(const uint8_t *bytes, size_t len);

/* Looks at what has arrived.  frame_bytes is set for SP_FRAME_MORE too, as soon as it is known; the
 * rest for SP_FRAME_REQUEST alone. */
enum sp_frame_state sp_frame_parse(const uint8_t *bytes, size_t len, bool ipc,
                                   size_t body_bytes_max, struct sp_frame *ret_frame);

/* Writes length and type in front of a stack that ends where the body begins.  There must be room
 * for SP_FRAME_HEADER_BYTES_MAX before the body.  Returns where the frame begins. */
uint8_t *sp_frame_put_head(uint8_t *body, size_t body_bytes, size_t stack_bytes, bool ipc);

#endif
