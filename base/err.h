/* SPDX-License-Identifier: Apache-2.0 */
/* err - error reporting of every function that can fail.
 *
 * A function that can fail returns `enum err_code` and takes a `struct err *` last.  The text is
 * written once, where the failure happened (what, which, expected, got); callers pass it up
 * unchanged.  `err` may be NULL: the hot path passes NULL and works with codes alone.
 *
 * Threads: no shared state.  Limits: one line of text, cut at ERR_TEXT_BYTES. */
#ifndef BASE_ERR_H
#define BASE_ERR_H

#include <stddef.h>

#define ERR_TABLE(X)                       \
    X(OK, "ok")                            \
    X(NOMEM, "out of memory")              \
    X(LIMIT, "a limit was reached")        \
    X(BAD_INPUT, "the input is malformed") \
    X(NOT_FOUND, "not found")              \
    X(EXISTS, "it exists already")         \
    X(CORRUPT, "stored data is corrupt")   \
    X(BUSY, "it is in use or overloaded")  \
    X(TIMEOUT, "the time ran out")         \
    X(UNSUPPORTED, "not supported")        \
    X(STALE, "it came too late")           \
    X(DENIED, "it is not allowed")         \
    X(DISK_FULL, "no space is left")       \
    X(IO, "the system reported an error")

enum err_code {
#define X(name, text) ERR_##name,
    ERR_TABLE(X)
#undef X
        ERR_COUNT
};

#define ERR_TEXT_BYTES 400

struct err {
    enum err_code code;
    char text[ERR_TEXT_BYTES]; /* one line without control characters, always terminated */
};

#define MUST_CHECK __attribute__((warn_unused_result))

/* For mistakes of ours only; stays on in release.  Input is checked and refused instead. */
#define ASSERT(cond) ((cond) ? (void)0 : assert_fail(#cond, __FILE__, __LINE__))

_Noreturn void assert_fail(const char *cond, const char *file, int line);

/* Fills *err (when not NULL) and returns `code`, so that a failure is one statement. */
enum err_code err_set(struct err *err, enum err_code code, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/* "not found" for ERR_NOT_FOUND; never NULL. */
const char *err_code_text(enum err_code code);

#endif
