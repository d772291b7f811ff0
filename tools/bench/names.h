/* SPDX-License-Identifier: Apache-2.0 */
/* names - the ids that requests ask for: lines of a file, or a prefix with numbers ("u1", "u2").
 *
 * Threads: read only after it was made. */
#ifndef TOOLS_BENCH_NAMES_H
#define TOOLS_BENCH_NAMES_H

#include <stdint.h>

#include "base/err.h"
#include "base/text.h"

#define NAMES_FILE_BYTES_MAX (UINT64_C(1) << 30)

struct names {
    char *bytes;        /* owned */
    struct text *texts; /* owned; point into bytes */
    uint32_t count;
};

/* One id per line; empty lines are left out.  ERR_BAD_INPUT names file and line. */
MUST_CHECK enum err_code names_read(struct names *names, const char *path, struct err *err);
MUST_CHECK enum err_code names_generate(struct names *names, const char *prefix, uint32_t count,
                                        struct err *err);
void names_deinit(struct names *names); /* fine on zeroed names */

#endif
