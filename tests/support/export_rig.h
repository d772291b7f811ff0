/* SPDX-License-Identifier: Apache-2.0 */
/* export_rig - a daemon with items, models and a decision log, and decidectl export; one in a
 * program. What is not as it must be fails the test. */
#ifndef TESTS_SUPPORT_EXPORT_RIG_H
#define TESTS_SUPPORT_EXPORT_RIG_H

#include <cjson/cJSON.h>

#include "tests/support/daemon.h"
#include "tests/support/program.h"

extern struct daemon export_rig_daemon;
extern struct program export_rig_program;

/* Runs decidectl and returns what it printed; NULL ends the arguments. */
const char *export_rig_ctl(int code, const char *a, const char *b, const char *c, const char *d,
                           const char *e);

/* The reply, which is no error; the caller cJSON_Deletes it. */
cJSON *export_rig_ask(const char *op, const char *json);
void export_rig_tell(const char *json);
double export_rig_number(const cJSON *object, const char *key);

/* The lines of the text as an array. */
cJSON *export_rig_lines(const char *text);

/* Exports until this is in it: the log is written a moment after the reply. */
const char *export_rig_until(const char *wanted);

int export_rig_set_up(void **state);
int export_rig_tear_down(void **state);

#endif
