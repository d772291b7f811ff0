/* SPDX-License-Identifier: Apache-2.0 */
/* options_table - the options and commands of decide-train, of which parsing, defaults and help are
 * made. */
#ifndef TOOLS_TRAIN_OPTIONS_TABLE_H
#define TOOLS_TRAIN_OPTIONS_TABLE_H

#include <stddef.h>

#include "tools/train/options.h"

enum option_kind {
    OPTION_TEXT,
    OPTION_NAME,   /* a plain name, fit for a folder */
    OPTION_CHOICE, /* one of those that `argument` lists */
    OPTION_COUNT,  /* whole number, min..max */
    OPTION_REAL,   /* min..max */
    OPTION_SPLIT,  /* time:ISODATE */
    OPTION_FLAG
};

struct option {
    const char *name, *argument;
    enum option_kind kind;
    unsigned commands, required; /* bits by train_command */
    size_t at;
    double min, max;
    const char *fallback; /* parsed like an argument; NULL: none */
    const char *help;
};

#define TRAIN_OPTION_ROWS 43

/* An option that differs by command stands there once for each. */
extern const struct option train_option[TRAIN_OPTION_ROWS];

struct train_command_row {
    const char *name, *help;
};
extern const struct train_command_row train_command[TRAIN_COMMAND_COUNT];

#endif
