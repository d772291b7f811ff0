/* SPDX-License-Identifier: Apache-2.0 */
#include "base/text.h"

#include "base/err.h"

int text_compare(struct text a, struct text b)
{
    uint32_t shared = a.len < b.len ? a.len : b.len;
    int order = shared == 0 ? 0 : memcmp(a.ptr, b.ptr, shared);
    if (order != 0)
        return order;
    return (a.len > b.len) - (a.len < b.len);
}

/* Length of the well-formed sequence that starts at `at` (its first byte is 0x80 or above), or 0.
 * The table of RFC 3629 section 4: only the second byte has a range that depends on the first. */
static size_t utf8_sequence(const unsigned char *at, size_t left)
{
    unsigned char first = at[0];
    size_t length = 0;
    unsigned char low = 0x80;
    unsigned char high = 0xBF;

    if (first >= 0xC2 && first <= 0xDF) {
        length = 2;
    } else if (first >= 0xE0 && first <= 0xEF) {
        length = 3;
        low = first == 0xE0 ? 0xA0 : 0x80;
        high = first == 0xED ? 0x9F : 0xBF;
    } else if (first >= 0xF0 && first <= 0xF4) {
        length = 4;
        low = first == 0xF0 ? 0x90 : 0x80;
        high = first == 0xF4 ? 0x8F : 0xBF;
    }
    if (length == 0 || length > left || at[1] < low || at[1] > high)
        return 0;
    for (size_t i = 2; i < length; i++) {
        if ((at[i] & 0xC0) != 0x80)
            return 0;
    }
    return length;
}

size_t text_utf8_length(const char *ptr, size_t len)
{
    const unsigned char *bytes = (const unsigned char *)ptr;
    if (len == 0)
        return 0;
    return bytes[0] < 0x80 ? 1 : utf8_sequence(bytes, len);
}

bool text_is_utf8(const char *ptr, size_t len)
{
    const unsigned char *bytes = (const unsigned char *)ptr;
    size_t at = 0;
    while (at < len) {
        uint64_t eight;
        if (len - at >= sizeof eight) { /* ids and keys are nearly always plain ASCII */
            memcpy(&eight, bytes + at, sizeof eight);
            if ((eight & UINT64_C(0x8080808080808080)) == 0) {
                at += sizeof eight;
                continue;
            }
        }
        if (bytes[at] < 0x80) {
            at++;
            continue;
        }
        size_t length = utf8_sequence(bytes + at, len - at);
        if (length == 0)
            return false;
        at += length;
    }
    return true;
}

bool text_is_id(struct text id)
{
    if (id.ptr == NULL || id.len == 0 || id.len > ID_BYTES_MAX)
        return false;
    for (uint32_t i = 0; i < id.len; i++) {
        unsigned char c = (unsigned char)id.ptr[i];
        if (c < 0x20 || c == 0x7F)
            return false;
    }
    return text_is_utf8(id.ptr, id.len);
}

uint32_t text_distance(struct text a, struct text b)
{
    uint8_t row[TEXT_DISTANCE_BYTES + 1];
    uint32_t a_len = a.len < TEXT_DISTANCE_BYTES ? a.len : TEXT_DISTANCE_BYTES;
    uint32_t b_len = b.len < TEXT_DISTANCE_BYTES ? b.len : TEXT_DISTANCE_BYTES;

    for (uint32_t j = 0; j <= b_len; j++)
        row[j] = (uint8_t)j;
    for (uint32_t i = 1; i <= a_len; i++) {
        uint8_t diagonal = row[0]; /* distance of the prefixes i-1 and j-1 */
        row[0] = (uint8_t)i;
        for (uint32_t j = 1; j <= b_len; j++) {
            unsigned best = diagonal + (a.ptr[i - 1] != b.ptr[j - 1]);
            diagonal = row[j];
            if (row[j] + 1U < best)
                best = row[j] + 1U;
            if (row[j - 1] + 1U < best)
                best = row[j - 1] + 1U;
            row[j] = (uint8_t)best;
        }
    }
    return row[b_len];
}

char *text_copy(struct text from, char *buf, size_t buf_bytes)
{
    ASSERT(buf_bytes > 0);
    size_t len = from.len < buf_bytes ? from.len : buf_bytes - 1;
    if (len > 0)
        memcpy(buf, from.ptr, len);
    buf[len] = '\0';
    return buf;
}
