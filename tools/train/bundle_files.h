/* SPDX-License-Identifier: Apache-2.0 */
/* bundle_files - tensors and id lists of a trained model, as docs/bundles.md lays them out.
 * Threads: one. */
#ifndef TOOLS_TRAIN_BUNDLE_FILES_H
#define TOOLS_TRAIN_BUNDLE_FILES_H

#include "models/bundle.h"
#include "tools/train/trained.h"

/* Writes them into `dir` and lists them: ret_files has BUNDLE_FILES_MAX places.  Anonymous people
 * get no row: their ids are not users', and the daemon folds them in. */
MUST_CHECK enum err_code bundle_files_write(const char *dir, const struct trained *trained,
                                            const struct interactions *interactions,
                                            const struct dataset *dataset,
                                            struct bundle_write_file *ret_files,
                                            uint32_t *ret_file_count, struct err *err);

#endif
