/* SPDX-License-Identifier: Apache-2.0 */
/* model_sample - a small good bundle of each kind, to be loaded, or damaged, by a test.
 *
 * Items are "i0" .. "i7", users "u0" .. "u3" and "u" with a blank and an accent; 3 factors.
 * Every failure here aborts the program with a message. */
#ifndef TESTS_SUPPORT_MODEL_SAMPLE_H
#define TESTS_SUPPORT_MODEL_SAMPLE_H

#include <cjson/cJSON.h>

#include "models/bundle.h"

enum { MODEL_SAMPLE_ITEMS = 8, MODEL_SAMPLE_USERS = 5, MODEL_SAMPLE_FACTORS = 3 };

/* Makes the folder `dir` and writes all into it, golden rows included. */
void model_sample_write(const char *dir, const char *name, const char *version,
                        enum model_kind kind);

/* Writes the manifest anew, with right hashes, after a test has changed a file. */
void model_sample_seal(const char *dir, const char *name, const char *version,
                       enum model_kind kind);

#endif
