/* SPDX-License-Identifier: Apache-2.0 */
/* cel_cases - the cases of a file of CEL's conformance suite (tests/simple/testdata of
 * https://github.com/google/cel-spec), as far as they are about plain values.
 *
 * Reads as much of the text format of protocol buffers as those files use.  Threads: one. */
#ifndef TESTS_SUPPORT_CEL_CASES_H
#define TESTS_SUPPORT_CEL_CASES_H

#include <stdbool.h>
#include <stddef.h>

#include "base/text.h"

enum cel_expectation {
    CEL_EXPECTS_BOOL,
    CEL_EXPECTS_INT,
    CEL_EXPECTS_DOUBLE,
    CEL_EXPECTS_STRING,
    CEL_EXPECTS_ERROR,
    CEL_EXPECTS_OTHER /* a value of another kind, or something unknown */
};

struct cel_case {
    struct text section, name;
    struct text expr; /* without escapes */
    enum cel_expectation expectation;
    struct text value;    /* of numbers and bools as written, of strings without escapes */
    bool has_environment; /* bindings, declarations or a container */
};

/* Calls `visit` for each test of the file; its texts are valid during the call.  False when the
 * file is not what was expected. */
bool cel_cases_read(const char *file, size_t len, void (*visit)(void *ctx, const struct cel_case *),
                    void *ctx);

#endif
