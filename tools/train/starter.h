/* SPDX-License-Identifier: Apache-2.0 */
/* starter - the ranker that a slot begins with: a linear model with weight 1 for `blend.score` and
 * 0 for the features that are named, so that the order stays as the sources have it and all of
 * these features are logged as served.  Threads: one. */
#ifndef TOOLS_TRAIN_STARTER_H
#define TOOLS_TRAIN_STARTER_H

#include <stdio.h>

#include "base/clock.h"
#include "tools/train/options.h"

/* ERR_BAD_INPUT names a feature that is no name or stands there twice. */
MUST_CHECK enum err_code starter_run(const struct train_options *options, const struct clock *clock,
                                     FILE *out, struct err *err);

#endif
