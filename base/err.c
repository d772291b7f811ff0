/* SPDX-License-Identifier: Apache-2.0 */
#include "base/err.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

_Noreturn void assert_fail(const char *cond, const char *file, int line)
{
    fprintf(stderr, "{\"level\":\"error\",\"msg\":\"assertion failed\",\"at\":\"%s:%d\"}\n%s\n",
            file, line, cond);
    abort();
}

/* Texts quote what came from outside, and end up on terminals. */
static void keep_to_one_line(char *text)
{
    for (; *text != '\0'; text++) {
        if ((unsigned char)*text < ' ' || *text == 0x7f)
            *text = '?';
    }
}

enum err_code err_set(struct err *err, enum err_code code, const char *fmt, ...)
{
    if (err != NULL) {
        va_list args;
        va_start(args, fmt);
        err->code = code;
        vsnprintf(err->text, sizeof err->text, fmt, args);
        va_end(args);
        keep_to_one_line(err->text);
    }
    return code;
}

const char *err_code_text(enum err_code code)
{
    static const char *const texts[ERR_COUNT] = {
#define X(name, text) [ERR_##name] = text,
        ERR_TABLE(X)
#undef X
    };
    return code < ERR_COUNT ? texts[code] : "unknown error";
}
