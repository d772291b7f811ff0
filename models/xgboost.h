/* SPDX-License-Identifier: Apache-2.0 */
/* xgboost - models that XGBoost 1.x to 3.x saved as JSON or UBJSON.
 *
 * Boosters gbtree, dart and gblinear; numeric and categorical splits; several classes or targets
 * with a tree for each.  docs/bundles.md lists what is supported, and what is refused by name.
 *
 * Untrusted input: ERR_CORRUPT, ERR_UNSUPPORTED, ERR_LIMIT or ERR_NOMEM with the place in the file.
 * Threads: loader, tools. */
#ifndef MODELS_XGBOOST_H
#define MODELS_XGBOOST_H

#include "models/forest.h"

/* `name` is that of the file, for messages.  The bytes are not needed afterwards. */
MUST_CHECK enum err_code xgboost_read(const char *name, const void *bytes, size_t len,
                                      struct forest **ret_forest, struct err *err);

#endif
