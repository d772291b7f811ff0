/* SPDX-License-Identifier: Apache-2.0 */
/* ranker_run - a whole run of `decide-train ranker`: read, split by time, train, publish, report.
 * Threads: one, which starts those of XGBoost. */
#ifndef TOOLS_TRAIN_RANKER_RUN_H
#define TOOLS_TRAIN_RANKER_RUN_H

#include <stdio.h>

#include "base/clock.h"
#include "tools/train/options.h"

/* The report goes to `out`, the progress bar to `messages`. */
MUST_CHECK enum err_code ranker_run(const struct train_options *options, const struct clock *clock,
                                    FILE *out, FILE *messages, struct err *err);

#endif
