/* SPDX-License-Identifier: Apache-2.0 */
/* args - the options of a command: --name VALUE, --name=VALUE, -n VALUE, flags, and "--" before
 * what begins with '-' but is no option.  Options may stand before and after other arguments.
 *
 * The options that hold for every command (--url, --token, --token-file, --json, --timeout) are
 * understood everywhere.  Threads: one. */
#ifndef TOOLS_CTL_ARGS_H
#define TOOLS_CTL_ARGS_H

#include "tools/ctl/command.h"

enum arg_kind {
    ARG_FLAG,    /* bool */
    ARG_TEXT,    /* const char * */
    ARG_INT,     /* int64_t, min..max */
    ARG_DURATION /* uint64_t, microseconds */
};

struct arg {
    const char *name; /* without "--" */
    char letter;      /* 0: none */
    enum arg_kind kind;
    void *value;
    int64_t min, max;
};

/* Moves what is no option to argv[1], argv[2], ... and returns how many there are; -1 after a
 * message. */
int args_parse(struct ctl *ctl, int argc, char **argv, const struct arg *args, size_t arg_count);

/* Options before the command: the place of the first other argument in argv (argc when there is
 * none); -1 after a message. */
int args_parse_leading(struct ctl *ctl, int argc, char **argv, const struct arg *args,
                       size_t arg_count);

/* args_parse, and the number of other arguments must be least..most: a message says what `wanted`
 * is otherwise. */
int args_parse_count(struct ctl *ctl, int argc, char **argv, const struct arg *args,
                     size_t arg_count, int least, int most, const char *wanted);

#endif
