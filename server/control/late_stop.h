/* SPDX-License-Identifier: Apache-2.0 */
/* late_stop - signals when the event loop has ended: SIGTERM and SIGINT end the process at once,
 * but for one that waits for its successor, which has to tell it first; SIGHUP has nothing to say.
 *
 * Threads: main; a signal may come on any. */
#ifndef SERVER_CONTROL_LATE_STOP_H
#define SERVER_CONTROL_LATE_STOP_H

#include <stdbool.h>

/* Before the event loop takes the signals: it gives them back to what was there. */
void late_stop_install(void);
/* From now on they are noted only; false: they end the process again. */
void late_stop_hold(bool held);
int late_stop_asked(void); /* the signal that was noted; 0: none */

#endif
