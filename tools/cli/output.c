/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/cli/output.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

int output_close(const char *program, int code)
{
    errno = 0;
    bool failed = ferror(stdout) != 0;
    failed = fflush(stdout) != 0 || failed;
    if (!failed || code != 0)
        return code;
    fprintf(stderr, "%s: cannot write the output: %s\n", program,
            errno != 0 ? strerror(errno) : "an earlier write failed");
    return 1;
}
