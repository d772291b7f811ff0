/* SPDX-License-Identifier: Apache-2.0 */
/* load - a file of events into interactions, line by line.  Lines that a rule of the map leaves out
 * are counted by rule; bad ones are counted and the first few described.  Threads: one. */
#ifndef TOOLS_TRAIN_LOAD_H
#define TOOLS_TRAIN_LOAD_H

#include <stdio.h>

#include "base/clock.h"
#include "featurestore/reader.h"
#include "tools/cli/progress.h"
#include "tools/train/interactions.h"

#define LOAD_RULES_MAX  32 /* what further rules leave out is counted as "other rules" */
#define LOAD_RULE_BYTES 65
#define LOAD_BAD_SHOWN  5

struct load_rule {
    char name[LOAD_RULE_BYTES];
    uint64_t lines;
};

struct load_summary {
    uint64_t lines; /* read, without a header */
    uint64_t bad;
    struct load_rule rule[LOAD_RULES_MAX];
    uint32_t rule_count;
};

struct load_options {
    const char *program;      /* begins the messages */
    const char *events, *map; /* map NULL: none */
    enum reader_format format;
    const struct clock *clock;
    FILE *messages;            /* descriptions of bad lines; NULL: none */
    struct progress *progress; /* started by the caller; NULL: none */
};

/* Errors of the file, not of its lines: ERR_NOT_FOUND, ERR_IO, ERR_BAD_INPUT (map), ERR_NOMEM. */
MUST_CHECK enum err_code load_events(const struct load_options *options,
                                     struct interactions *interactions,
                                     struct load_summary *ret_summary, struct err *err);

#endif
