/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/cli/json_text.h"

#include <string.h>

#include "base/text.h"

void json_text_print(const char *text, FILE *out)
{
    fputc('"', out);
    for (size_t left = strlen(text); left > 0;) {
        size_t length = text_utf8_length(text, left);
        if (length == 0)
            fputs("\\ufffd", out);
        else if ((unsigned char)*text < 0x20)
            fprintf(out, "\\u%04x", (unsigned)*text);
        else
            fprintf(out, "%s%.*s", *text == '"' || *text == '\\' ? "\\" : "", (int)length, text);
        length = length == 0 ? 1 : length;
        text += length;
        left -= length;
    }
    fputc('"', out);
}
