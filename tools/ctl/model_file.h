/* SPDX-License-Identifier: Apache-2.0 */
/* model_file - a bundle made of a bare model file of XGBoost or LightGBM.
 *
 * Which of them wrote it is told by what it holds.  Golden rows are computed by the plain evaluator
 * on rows that lie on the model's own thresholds and beside them: they show later that the daemon
 * computes the same, not that the library did.  Threads: one. */
#ifndef TOOLS_CTL_MODEL_FILE_H
#define TOOLS_CTL_MODEL_FILE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"

#define MODEL_FILE_NOT_GIVEN (-1)

struct model_file_options {
    const char *path;
    const char *name;
    const char *version;     /* NULL: the first digits of the file's SHA-256 */
    const char *feature_map; /* path; NULL: the file names its features as the daemon does */
    bool raw;
    int64_t output, rounds, average_is_output; /* or MODEL_FILE_NOT_GIVEN */
};

/* What the file at `path` is not, before anything else is asked for: ERR_UNSUPPORTED says what it
 * is and what to do with it. */
MUST_CHECK enum err_code model_file_check(const char *path, struct err *err);

/* Into the folder `dir`, which exists and is empty. */
MUST_CHECK enum err_code model_file_bundle(const struct model_file_options *options,
                                           const char *dir, struct err *err);

#endif
