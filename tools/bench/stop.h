/* SPDX-License-Identifier: Apache-2.0 */
/* stop - Ctrl-C ends a measurement early; what was measured until then is still reported.
 *
 * The second Ctrl-C ends the program at once.  Threads: one; the flag is the process's. */
#ifndef TOOLS_BENCH_STOP_H
#define TOOLS_BENCH_STOP_H

#include <stdbool.h>

/* SIGINT and SIGTERM from now on; processes that are forked later are told by their parent. */
void stop_on_signals(void);
bool stop_is_requested(void);

#endif
