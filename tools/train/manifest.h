/* SPDX-License-Identifier: Apache-2.0 */
/* manifest - what a trainer says of a model in its manifest beside files and hashes: parameters,
 * tolerance, and where it comes from (docs/training.md).  Threads: one. */
#ifndef TOOLS_TRAIN_MANIFEST_H
#define TOOLS_TRAIN_MANIFEST_H

#include <cjson/cJSON.h>

#include "tools/train/trained.h"

/* For bundle_write_manifest; the caller cJSON_Deletes it.  `evaluation` may be NULL. */
MUST_CHECK enum err_code manifest_extra(const struct trained *trained,
                                        const struct dataset *dataset,
                                        const struct evaluation *evaluation, cJSON **ret_extra,
                                        struct err *err);

/* {"users", "recall@20", "ndcg@20", "hr@20"} for `new` and `any`, added to `to` as `key`.  False
 * when memory is out. */
bool manifest_add_metrics(cJSON *to, const struct evaluation *evaluation);

#endif
