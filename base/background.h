/* SPDX-License-Identifier: Apache-2.0 */
/* background - what a thread does whose work may wait, so that those which serve need not.
 *
 * Threads: the calling one alone (Linux counts policy and nice by thread). */
#ifndef BASE_BACKGROUND_H
#define BASE_BACKGROUND_H

/* SCHED_BATCH and nice 10: it takes no core from a thread that serves, and still gets its turn
 * while it holds a lock.  Not SCHED_IDLE, which could leave it waiting for a core for ever while
 * others wait for the lock. */
void background_begin(void);

/* Between pieces of long work, of a millisecond or less each: from time to time the thread sleeps,
 * so that it takes at most two thirds of a core.  Where all cores are busy, low priority is not
 * enough: a group of processes with a limit (a container's quota, a virtual machine) is stopped as
 * a whole for the rest of a period when it has used it up, and those that serve with it.  Does
 * nothing on a thread that has not begun to be a background one. */
void background_rest(void);

#endif
