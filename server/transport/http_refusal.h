/* SPDX-License-Identifier: Apache-2.0 */
/* http_refusal - replies to input that never became a request, in the format of docs/protocol.md;
 * the connection is closed after each of them.  Threads: no state. */
#ifndef SERVER_TRANSPORT_HTTP_REFUSAL_H
#define SERVER_TRANSPORT_HTTP_REFUSAL_H

#include <stdbool.h>
#include <stddef.h>

struct evbuffer; /* libevent */

enum http_refusal {
    HTTP_REFUSAL_MALFORMED, /* the first three are evhttp's judgement */
    HTTP_REFUSAL_TOO_LARGE,
    HTTP_REFUSAL_EXPECTATION,
    HTTP_REFUSAL_TOO_MANY,
    HTTP_REFUSAL_DRAINING,
    HTTP_REFUSAL_COUNT
};

/* At once and past evhttp, when nothing else waits to be sent; a peer that does not take it goes
 * without. */
void http_refusal_send(int fd, enum http_refusal refusal);

/* The first `len` bytes of a bufferevent's output; false: there are not so many. */
bool http_refusal_peek(struct evbuffer *output, char *ret_bytes, size_t len);

/* Puts the reply of that status in the place of evhttp's own page, which nothing was sent of. */
void http_refusal_replace(struct evbuffer *output);

#endif
