/* SPDX-License-Identifier: Apache-2.0 */
/* http_head - the length of the body that a request announces, known as soon as its head is there,
 * and whether its chunks are well-formed.
 *
 * evhttp 2.1 waits for the whole of a body that it is going to refuse, and does not expose a head
 * before the body.  This parser sees the same bytes, keeps none of them, and checks nothing else.
 * Bodies are parsed only with a Transfer-Encoding; evhttp accepts only "chunked".
 * Threads: one owner. */
#ifndef SERVER_TRANSPORT_HTTP_HEAD_H
#define SERVER_TRANSPORT_HTTP_HEAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "server/transport/http_chunks.h"

enum http_head_state { HTTP_HEAD_NAME, HTTP_HEAD_VALUE, HTTP_HEAD_OTHER, HTTP_HEAD_ENDED };

struct http_head {
    enum http_head_state state;
    uint32_t column;     /* bytes of the line, without a CR */
    uint64_t body_bytes; /* the largest Content-Length; UINT64_MAX when it is larger than that */
    uint64_t value;      /* of the line at hand */
    const char *wanted;  /* the header that the line at hand may be */
    bool is_chunked;     /* a Transfer-Encoding was there */
    struct http_chunks chunks;
};

/* Before the first byte of a request all is zero.  Returns whether the head has ended. */
bool http_head_take(struct http_head *head, const char *bytes, size_t len);

#endif
