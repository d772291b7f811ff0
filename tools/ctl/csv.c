/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/ctl/csv.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "base/num.h"

#define EXACT_INTEGER 9007199254740992.0 /* 2^53 */

void csv_first(struct buffer *buffer, struct text text)
{
    bool is_plain =
        text.ptr == NULL ||
        (memchr(text.ptr, '"', text.len) == NULL && memchr(text.ptr, ',', text.len) == NULL &&
         memchr(text.ptr, '\n', text.len) == NULL && memchr(text.ptr, '\r', text.len) == NULL);
    if (is_plain) {
        buffer_put(buffer, text.ptr == NULL ? "" : text.ptr, text.len);
        return;
    }
    buffer_put_char(buffer, '"');
    for (uint32_t i = 0; i < text.len; i++) {
        if (text.ptr[i] == '"')
            buffer_put_char(buffer, '"');
        buffer_put_char(buffer, text.ptr[i]);
    }
    buffer_put_char(buffer, '"');
}

void csv_text(struct buffer *buffer, struct text text)
{
    buffer_put_char(buffer, ',');
    csv_first(buffer, text);
}

void csv_int(struct buffer *buffer, int64_t value)
{
    buffer_put_fmt(buffer, ",%" PRId64, value);
}

void csv_real(struct buffer *buffer, double value)
{
    char text[NUM_REAL_BYTES];
    if (isnan(value))
        csv_empty(buffer);
    else if (fabs(value) < EXACT_INTEGER && (double)(int64_t)value == value)
        csv_int(buffer, (int64_t)value);
    else
        csv_text(buffer, text_of(num_format_real(value, text)));
}

void csv_empty(struct buffer *buffer)
{
    buffer_put_char(buffer, ',');
}

void csv_end(struct buffer *buffer)
{
    buffer_put_str(buffer, "\r\n");
}
