/* SPDX-License-Identifier: Apache-2.0 */
/* succession - a daemon whose successors act by a plan: in place of its program stands the test
 * itself, which is told by succession_run that it was started as one.
 *
 * NOTIFY_SOCKET leads here, so that what systemd would be told can be read.  Whatever fails, fails
 * the test.  One daemon at a time; threads: main. */
#ifndef TESTS_SUPPORT_SUCCESSION_H
#define TESTS_SUPPORT_SUCCESSION_H

#include "tests/support/daemon.h"

/* What the log of the daemon says when a successor is released, by all plans that come so far. */
#define SUCCESSION_RELEASED "the successor may write"

/* First in main: true when this process was started as a successor, and has ended by its plan; then
 * main returns *ret_code. */
bool succession_run(int *ret_code);
void succession_start(struct daemon *daemon, const char *config_extra);
void succession_stop(struct daemon *daemon);

/* The next successor:
 *   early     kills itself before it is ready
 *   wait      is ready when the file "go" is there
 *   ready     is ready, and kills itself
 *   drain     is ready, and does nothing more
 *   silent    is ready, and does nothing when it is released
 *   released  is ready, and ends with 3 when it is released */
void succession_plan(const char *plan);
void succession_real(void); /* the next one is the daemon's own program again */
void succession_go(void);   /* for `wait` */

/* The process that is to take over; the test fails when the restart does. */
pid_t succession_restart(const struct daemon *daemon);

/* The next notice to systemd, waited for; false when there is none and `wait` is false. */
bool succession_notice(char text[128], bool wait);
/* None of those that are there says that another process is the main one, or that this one ends. */
void succession_check_notices(void);
/* 200 of /readyz, within two minutes, and 503 until then. */
void succession_wait_ready(const struct daemon *daemon);

#endif
