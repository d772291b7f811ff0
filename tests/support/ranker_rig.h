/* SPDX-License-Identifier: Apache-2.0 */
/* ranker_rig - rows of 200 made-up decisions in a folder, and decide-train ranker over them with a
 * clock of its own.  What cannot be written fails the test.  Threads: one owner. */
#ifndef TESTS_SUPPORT_RANKER_RIG_H
#define TESTS_SUPPORT_RANKER_RIG_H

#include "base/err.h"
#include "tests/support/temp_dir.h"

#define RANKER_RIG_DECISIONS 200
#define RANKER_RIG_SHOWN     12
#define RANKER_RIG_FIRST_MS  INT64_C(1700000000000)

extern struct temp_dir ranker_rig_dir; /* rows.ndjson, rows.csv, changed.ndjson */
int ranker_rig_set_up(void **state);
int ranker_rig_tear_down(void **state);
/* decide-train ranker with these words, over that file; what it printed is the caller's. */
enum err_code ranker_rig_run(const char *line, const char *file, char **ret_out, struct err *err);

#endif
