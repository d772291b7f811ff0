/* SPDX-License-Identifier: Apache-2.0 */
#include "server/transport/http_chunks.h"

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    char lower = (char)(c | 0x20);
    return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}

static void end_size(struct http_chunks *chunks)
{
    if (!chunks->has_digit)
        chunks->state = HTTP_CHUNKS_MALFORMED;
    else
        chunks->state = chunks->left_bytes == 0 ? HTTP_CHUNKS_ENDED : HTTP_CHUNKS_DATA;
}

static void take_size(struct http_chunks *chunks, char c)
{
    int digit = hex_digit(c);
    if (c == '\n') {
        end_size(chunks);
    } else if (c == '\r') {
        chunks->state = HTTP_CHUNKS_SIZE_END;
    } else if (digit < 0 || chunks->left_bytes >> 60 != 0) {
        chunks->state = HTTP_CHUNKS_MALFORMED;
    } else {
        chunks->left_bytes = chunks->left_bytes << 4 | (uint64_t)digit;
        chunks->has_digit = true;
    }
}

static void begin_chunk(struct http_chunks *chunks)
{
    *chunks = (struct http_chunks){.state = HTTP_CHUNKS_SIZE};
}

static void take_byte(struct http_chunks *chunks, char c)
{
    switch (chunks->state) {
    case HTTP_CHUNKS_SIZE: take_size(chunks, c); return;
    case HTTP_CHUNKS_DATA_END:
        if (c == '\r') {
            chunks->state = HTTP_CHUNKS_DATA_LF;
            return;
        }
        break;
    case HTTP_CHUNKS_SIZE_END:
    case HTTP_CHUNKS_DATA_LF: break;
    case HTTP_CHUNKS_DATA:
    case HTTP_CHUNKS_ENDED:
    case HTTP_CHUNKS_MALFORMED: return;
    }
    if (c != '\n')
        chunks->state = HTTP_CHUNKS_MALFORMED;
    else if (chunks->state == HTTP_CHUNKS_SIZE_END)
        end_size(chunks);
    else
        begin_chunk(chunks);
}

void http_chunks_take(struct http_chunks *chunks, const char *bytes, size_t len)
{
    for (size_t at = 0; at < len;) {
        if (chunks->state != HTTP_CHUNKS_DATA) {
            take_byte(chunks, bytes[at++]);
            continue;
        }
        size_t taken = len - at < chunks->left_bytes ? len - at : (size_t)chunks->left_bytes;
        chunks->left_bytes -= taken;
        at += taken;
        if (chunks->left_bytes == 0)
            chunks->state = HTTP_CHUNKS_DATA_END;
    }
}
