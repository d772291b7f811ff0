/* SPDX-License-Identifier: Apache-2.0 */
/* forest_file - a model file of either library, recognised by its content, never by its name.
 *
 * Untrusted input: ERR_CORRUPT, ERR_UNSUPPORTED, ERR_LIMIT or ERR_NOMEM, with the place in the
 * file.  Threads: loader, tools. */
#ifndef MODELS_FOREST_FILE_H
#define MODELS_FOREST_FILE_H

#include "models/forest.h"

/* What the average of a random forest of LightGBM 2 is: 2.2.2 and older have outputs in their
 * leaves, 2.2.3 has margins, and the files look the same. */
enum forest_average { FOREST_AVERAGE_UNKNOWN, FOREST_AVERAGE_IS_MARGIN, FOREST_AVERAGE_IS_OUTPUT };

enum forest_format { FOREST_FORMAT_NONE, FOREST_FORMAT_XGBOOST, FOREST_FORMAT_LIGHTGBM };

enum forest_format forest_format_of(const void *bytes, size_t len);

/* Whether forest_read would read it at all; ERR_UNSUPPORTED says what it is and what to do with it.
 * `name` is that of the file, for messages. */
MUST_CHECK enum err_code forest_check_format(const char *name, const void *bytes, size_t len,
                                             struct err *err);

/* `name` is that of the file, for messages.  The bytes are not needed afterwards. */
MUST_CHECK enum err_code forest_read(const char *name, const void *bytes, size_t len,
                                     enum forest_average average, struct forest **ret_forest,
                                     struct err *err);

#endif
