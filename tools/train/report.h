/* SPDX-License-Identifier: Apache-2.0 */
/* report - what a run found, as a table for people or as one JSON value.  Threads: one. */
#ifndef TOOLS_TRAIN_REPORT_H
#define TOOLS_TRAIN_REPORT_H

#include "tools/train/evaluate.h"
#include "tools/train/load.h"
#include "tools/train/options.h"
#include "tools/train/remote.h"

struct report {
    const struct train_options *options;
    const struct load_summary *load;
    const struct interactions *interactions;
    const struct dataset *dataset;
    const struct evaluation *evaluation; /* NULL: none */
    const struct remote_levels *levels;  /* eval: how the daemon answered; else NULL */
    const char *bundle;                  /* the folder written; NULL: none */
    uint64_t neighbor_entries;           /* neighbors: entries of all lists */
    double read_s, train_s, evaluate_s;  /* seconds spent */
};

/* ERR_NOMEM, ERR_IO. */
MUST_CHECK enum err_code report_print(const struct report *report, FILE *out, struct err *err);

#endif
