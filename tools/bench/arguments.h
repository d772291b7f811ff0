/* SPDX-License-Identifier: Apache-2.0 */
/* arguments - command lines by a table: each option once, with its kind, range and help.
 *
 * Options are "--name VALUE", or "--name" for flags; anything else is refused.  Texts are borrowed
 * from argv.  Threads: none. */
#ifndef TOOLS_BENCH_ARGUMENTS_H
#define TOOLS_BENCH_ARGUMENTS_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "base/err.h"

/* The field at `offset`: bool, const char *, struct argument_list, double, uint32_t, uint64_t, or
 * an enumeration. */
enum argument_kind { ARG_FLAG, ARG_TEXT, ARG_LIST, ARG_REAL, ARG_U32, ARG_U64, ARG_CHOICE };

#define ARGUMENT_LIST_MAX   16
#define ARGUMENT_TEXT_BYTES 4096

struct argument_list {
    const char *values[ARGUMENT_LIST_MAX];
    uint32_t count;
};

struct argument {
    const char *name;
    enum argument_kind kind;
    size_t offset;
    double min, max; /* of a number; max: the most bytes of a text */
    const char *value, *help;
    const char *const *choices; /* in the order of the enumeration; ends with NULL */
};

/* argv[first] and what follows, into the structure that the offsets are of.  ERR_BAD_INPUT names
 * the option, what it expects and what it got. */
MUST_CHECK enum err_code arguments_parse(int argc, char **argv, int first,
                                         const struct argument *table, size_t count,
                                         void *ret_options, struct err *err);
void arguments_help(const struct argument *table, size_t count, FILE *out);

#endif
