/* SPDX-License-Identifier: Apache-2.0 */
/* run - a whole run of decide-train: read, train or ask, evaluate, publish, report.
 * Threads: one, which starts those of the steps. */
#ifndef TOOLS_TRAIN_RUN_H
#define TOOLS_TRAIN_RUN_H

#include <stdio.h>

#include "base/clock.h"
#include "base/err.h"
#include "tools/train/options.h"

/* The report goes to `out`, descriptions of bad lines and the progress bar to `messages`. */
MUST_CHECK enum err_code run_train(const struct train_options *options, const struct clock *clock,
                                   FILE *out, FILE *messages, struct err *err);

#endif
