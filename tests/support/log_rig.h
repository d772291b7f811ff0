/* SPDX-License-Identifier: Apache-2.0 */
/* log_rig - an event log of the smallest size, and events that follow from their numbers; one in a
 * program.  What cannot be made fails the test. */
#ifndef TESTS_SUPPORT_LOG_RIG_H
#define TESTS_SUPPORT_LOG_RIG_H

#include "featurestore/event_log.h"
#include "tests/support/temp_dir.h"

extern struct clock_manual log_rig_clock;
extern struct temp_dir log_rig_dir;
extern struct event_log *log_rig_log;
extern struct event_log_options log_rig_options;
extern struct err log_rig_err;
int log_rig_set_up(void **state);
int log_rig_tear_down(void **state);
void log_rig_reopen(void);
/* Adds that many events, whose numbers begin with `first`. */
void log_rig_add(uint64_t first, uint64_t count);

/* The log holds the records first..last and nothing else. */
void log_rig_check(uint64_t first, uint64_t last);

#endif
