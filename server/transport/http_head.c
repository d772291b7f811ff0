/* SPDX-License-Identifier: Apache-2.0 */
#include "server/transport/http_head.h"

static const char content_length[] = "content-length:";
static const char transfer_encoding[] = "transfer-encoding:";

static void end_line(struct http_head *head)
{
    bool is_blank = head->column == 0;
    if (head->state == HTTP_HEAD_VALUE && head->value > head->body_bytes)
        head->body_bytes = head->value;
    head->state = is_blank ? HTTP_HEAD_ENDED : HTTP_HEAD_NAME;
    head->column = 0;
    head->value = 0;
}

static void take_name(struct http_head *head, char c)
{
    char lower = c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
    if (head->column == 0)
        head->wanted = lower == 't' ? transfer_encoding : content_length;
    if (lower != head->wanted[head->column]) {
        head->state = HTTP_HEAD_OTHER;
    } else if (head->wanted[head->column + 1] == '\0') {
        head->state = head->wanted == content_length ? HTTP_HEAD_VALUE : HTTP_HEAD_OTHER;
        head->is_chunked |= head->wanted == transfer_encoding;
    }
}

/* What is no number is refused by evhttp itself. */
static void take_value(struct http_head *head, char c)
{
    if (c == ' ' || c == '\t')
        return;
    if (c < '0' || c > '9')
        head->state = HTTP_HEAD_OTHER;
    else if (__builtin_mul_overflow(head->value, UINT64_C(10), &head->value) ||
             __builtin_add_overflow(head->value, (uint64_t)(c - '0'), &head->value))
        head->value = UINT64_MAX;
}

static void take_byte(struct http_head *head, char c)
{
    if (c == '\n') {
        end_line(head);
        return;
    }
    if (c == '\r')
        return;
    if (head->state == HTTP_HEAD_NAME)
        take_name(head, c);
    else if (head->state == HTTP_HEAD_VALUE)
        take_value(head, c);
    head->column++;
}

bool http_head_take(struct http_head *head, const char *bytes, size_t len)
{
    size_t at = 0;
    while (at < len && head->state != HTTP_HEAD_ENDED)
        take_byte(head, bytes[at++]);
    if (head->is_chunked)
        http_chunks_take(&head->chunks, bytes + at, len - at);
    return head->state == HTTP_HEAD_ENDED;
}
