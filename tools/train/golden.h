/* SPDX-License-Identifier: Apache-2.0 */
/* golden - rows of what a model computes, for the daemon to recompute before it serves it
 * (docs/bundles.md).  Threads: one. */
#ifndef TOOLS_TRAIN_GOLDEN_H
#define TOOLS_TRAIN_GOLDEN_H

#include <cjson/cJSON.h>

#include "tools/train/trained.h"

/* An array that the caller cJSON_Deletes. */
MUST_CHECK enum err_code golden_rows(const struct trained *trained,
                                     const struct interactions *interactions,
                                     const struct dataset *dataset, cJSON **ret_rows,
                                     struct err *err);

#endif
