/* SPDX-License-Identifier: Apache-2.0 */
/* restart_load - callers that decide and send events through libdecide while a test restarts the
 * daemon.  One load at a time; a failed call is counted, and told at the end.
 *
 * Threads: its own, and main for the functions here. */
#ifndef TESTS_SUPPORT_RESTART_LOAD_H
#define TESTS_SUPPORT_RESTART_LOAD_H

#include <stdint.h>

#include "tests/support/daemon.h"

void restart_load_start(const char *url);
/* Until so many further calls have ended; fails the test after two minutes. */
void restart_load_wait(uint64_t more);
/* Fails the test when a call has failed; returns how many events were accepted, by all loads. */
uint64_t restart_load_stop(void);

#endif
