/* SPDX-License-Identifier: Apache-2.0 */
#include "server/transport/http_refusal.h"

#include <event2/buffer.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "base/num.h"
#include "server/protocol/reply.h"

#define REFUSAL_BYTES 512
#define STATUS_LINE   "HTTP/1.1 "

static const struct {
    int status;
    const char *phrase;
    enum reply_code code;
    const char *message;
} refusals[HTTP_REFUSAL_COUNT] = {
    [HTTP_REFUSAL_MALFORMED] = {400, "Bad Request", REPLY_bad_request,
                                "this is no HTTP request, or its head is too long"},
    [HTTP_REFUSAL_TOO_LARGE] = {413, "Content Too Large", REPLY_too_large,
                                "the body is longer than http_body_bytes_max, or its chunks are "
                                "malformed or have extensions"},
    [HTTP_REFUSAL_EXPECTATION] = {417, "Expectation Failed", REPLY_bad_request,
                                  "Expect: 100-continue is the only expectation that is known"},
    [HTTP_REFUSAL_TOO_MANY] = {503, "Service Unavailable", REPLY_overloaded,
                               "there are http_connections_max connections"},
    [HTTP_REFUSAL_DRAINING] = {503, "Service Unavailable", REPLY_draining,
                               "this daemon is about to stop: use another one"},
};

static size_t format(enum http_refusal refusal, char reply[REFUSAL_BYTES])
{
    char body[REFUSAL_BYTES / 2];
    int status = refusals[refusal].status;
    int body_bytes = snprintf(body, sizeof body,
                              "{\"ok\":false,\"error\":{\"code\":\"%s\",\"message\":\"%s\"},"
                              "\"took_us\":0}",
                              reply_code_name(refusals[refusal].code), refusals[refusal].message);
    ASSERT(body_bytes > 0 && (size_t)body_bytes < sizeof body);
    int bytes = snprintf(reply, REFUSAL_BYTES,
                         STATUS_LINE "%d %s\r\nContent-Type: application/json\r\n%s"
                                     "Connection: close\r\nContent-Length: %d\r\n\r\n%s",
                         status, refusals[refusal].phrase,
                         status == 503 ? "Retry-After: 1\r\n" : "", body_bytes, body);
    ASSERT(bytes > 0 && bytes < REFUSAL_BYTES);
    return (size_t)bytes;
}

void http_refusal_send(int fd, enum http_refusal refusal)
{
    char reply[REFUSAL_BYTES];
    size_t bytes = format(refusal, reply);
    (void)!send(fd, reply, bytes, MSG_DONTWAIT | MSG_NOSIGNAL);
}

/* A bufferevent that has sent something keeps its output from being copied and drained. */
bool http_refusal_peek(struct evbuffer *output, char *ret_bytes, size_t len)
{
    evbuffer_unfreeze(output, 1);
    ev_ssize_t copied = evbuffer_copyout(output, ret_bytes, len);
    evbuffer_freeze(output, 1);
    return copied == (ev_ssize_t)len;
}

void http_refusal_replace(struct evbuffer *output)
{
    char line[sizeof STATUS_LINE + 3] = "";
    char reply[REFUSAL_BYTES];
    int64_t status = 0;
    size_t page_bytes = evbuffer_get_length(output);
    if (!http_refusal_peek(output, line, sizeof line - 1) ||
        !num_parse_int(text_of(line + strlen(STATUS_LINE)), 100, 999, &status))
        return;
    for (int i = 0; i < HTTP_REFUSAL_TOO_MANY; i++) {
        if (refusals[i].status != status)
            continue;
        size_t bytes = format((enum http_refusal)i, reply);
        /* Added first, so that the output is never empty. */
        if (evbuffer_add(output, reply, bytes) != 0)
            return;
        evbuffer_unfreeze(output, 1);
        evbuffer_drain(output, page_bytes);
        evbuffer_freeze(output, 1);
        return;
    }
}
