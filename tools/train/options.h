/* SPDX-License-Identifier: Apache-2.0 */
/* options - the command line of decide-train: one table of options, from which parsing, defaults
 * and help are made.  Threads: no state. */
#ifndef TOOLS_TRAIN_OPTIONS_H
#define TOOLS_TRAIN_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "base/err.h"

enum train_command {
    TRAIN_FACTORS,
    TRAIN_NEIGHBORS,
    TRAIN_POPULARITY,
    TRAIN_RANKER,
    TRAIN_STARTER,
    TRAIN_EVAL,
    TRAIN_COMMAND_COUNT
};

struct train_options {
    enum train_command command;
    bool help, tells_version; /* --help, --version: nothing else was checked */
    const char *events, *map, *out, *name, *version;
    const char *format; /* "csv", "ndjson" or NULL: by the name of the file */
    uint32_t eval_s;    /* 0: no evaluation */
    uint64_t k, threads, seed;
    bool json;
    /* factors */
    uint64_t factors, sweeps;
    double regularization, regularization_exponent, unobserved_weight;
    /* neighbors */
    const char *method;      /* "ease" or "cosine" */
    uint64_t neighbor_count; /* 0: the default of the method */
    double energy, lambda, shrinkage;
    /* popularity */
    uint64_t days; /* 0: all */
    /* ranker */
    const char *rows, *slot, *objective, *label;
    uint64_t rounds, patience, depth, pairs;
    double learning_rate, min_child_weight, l2, subsample, column_share, valid_share;
    bool impressed_only;
    /* starter */
    const char *features;
    /* eval */
    const char *url, *slot_new, *slot_any;
};

const char *train_command_name(enum train_command command); /* "factors" */

/* argv[1] is the command; texts are borrowed from argv.  ERR_BAD_INPUT "--factors: expected a whole
 * number 1..512, got 'many'"; with an unknown option or command the nearest is named. */
MUST_CHECK enum err_code train_options_parse(int argc, char *const *argv,
                                             struct train_options *ret_options, struct err *err);

/* Without a command in particular (TRAIN_COMMAND_COUNT): what there is. */
void train_options_help(enum train_command command, FILE *out);

#endif
