/* SPDX-License-Identifier: Apache-2.0 */
/* lightgbm - models that LightGBM 2 to 4 saved as text.
 *
 * Boosters gbdt, dart, goss and rf; numeric and categorical splits, linear trees, several classes.
 * docs/bundles.md lists what is supported, and what is refused by name.
 *
 * Untrusted input: ERR_CORRUPT, ERR_UNSUPPORTED, ERR_LIMIT or ERR_NOMEM with the line of the file.
 * Threads: loader, tools. */
#ifndef MODELS_LIGHTGBM_H
#define MODELS_LIGHTGBM_H

#include "models/forest_file.h"

/* `name` is that of the file, for messages.  The bytes are not needed afterwards. */
MUST_CHECK enum err_code lightgbm_read(const char *name, const void *bytes, size_t len,
                                       enum forest_average average, struct forest **ret_forest,
                                       struct err *err);

#endif
