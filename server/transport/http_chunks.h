/* SPDX-License-Identifier: Apache-2.0 */
/* http_chunks - checks that the chunks of a body are as RFC 9112 (section 7.1) requires.
 *
 * evhttp 2.1 parses chunk sizes with strtoll, ignores anything after a blank, and does not require
 * the line end after a chunk: 0x9, +9 and "9 x" are all 9 to it, while a proxy in front of the
 * daemon may read a different length (request smuggling).  This parser sees the same bytes and
 * keeps none of them.  Lines end with CRLF or LF, as in the head; extensions are malformed;
 * trailers are not checked. Threads: one owner. */
#ifndef SERVER_TRANSPORT_HTTP_CHUNKS_H
#define SERVER_TRANSPORT_HTTP_CHUNKS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum http_chunks_state {
    HTTP_CHUNKS_SIZE,
    HTTP_CHUNKS_SIZE_END, /* behind a CR */
    HTTP_CHUNKS_DATA,
    HTTP_CHUNKS_DATA_END, /* its CRLF or LF is due */
    HTTP_CHUNKS_DATA_LF,
    HTTP_CHUNKS_ENDED, /* the last one was there */
    HTTP_CHUNKS_MALFORMED
};

struct http_chunks {
    enum http_chunks_state state;
    bool has_digit;      /* the size at hand */
    uint64_t left_bytes; /* of the chunk at hand */
};

/* Before the first byte of a body all is zero.  Once it has ended or is malformed it stays so. */
void http_chunks_take(struct http_chunks *chunks, const char *bytes, size_t len);

#endif
