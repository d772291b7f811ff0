/* SPDX-License-Identifier: Apache-2.0 */
/* oracle - what the library that trained a model predicts, made by a script of tests/oracle in the
 * same run, and compared bit by bit.
 *
 * A script writes NAME.expect beside the model files of each case (its head says how).  A library
 * that is not installed is said loudly.  Failures of a comparison fail the test. */
#ifndef TESTS_SUPPORT_ORACLE_H
#define TESTS_SUPPORT_ORACLE_H

#include "models/forest.h"
#include "tests/support/temp_dir.h"

struct oracle_case {
    char name[128];
    uint32_t row_count, feature_count, margin_count, output_count;
    const double *rows; /* each: features, margins, outputs */
    uint8_t *bytes;     /* owned */
};

/* Runs `script` of tests/oracle with the interpreter that the environment variable names, or else
 * /usr/bin/python3, when it can import `library`.  False, after a message, when it cannot. */
bool oracle_run(const char *script, const char *library, const char *variable,
                struct temp_dir *ret_dir);

/* All cases of the folder, one call each; how many there were. */
uint32_t oracle_each(const struct temp_dir *dir,
                     void (*check)(const struct temp_dir *dir, const struct oracle_case *one));

/* Margins have the bits of the library's; outputs, which go through exp, differ by a digit at most.
 */
void oracle_compare(const struct oracle_case *one, const struct forest *forest, const char *file);

#endif
