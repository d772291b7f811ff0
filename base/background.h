/* SPDX-License-Identifier: Apache-2.0 */
/* background - lowers the priority of a thread whose work may wait, in favour of serving threads.
 *
 * Threads: affects only the calling one (on Linux policy, nice value and slice are per thread).  No
 * errors: if the system refuses a setting the thread simply continues without it. */
#ifndef BASE_BACKGROUND_H
#define BASE_BACKGROUND_H

#include <stdint.h>

#define BACKGROUND_WORK_NS     2000000
#define BACKGROUND_REST_NS     1000000
#define BACKGROUND_REST_NS_MAX 10000000
#define BACKGROUND_SLICE_NS    10000000 /* others have 0.7 to 3 ms */

/* SCHED_BATCH and nice 10: it takes no core from a thread that serves, and still gets its turn
 * while it holds a lock.  Not SCHED_IDLE, which could leave it waiting for a core for ever while
 * others wait for the lock.
 *
 * And a slice of BACKGROUND_SLICE_NS: since Linux 6.12 a thread that wakes up gets the core at once
 * when its own slice is shorter; with equal ones it waits until that of the one that runs is over,
 * whatever the nice of both.  Earlier kernels ignore it. */
void background_begin(void);

/* How long a thread rests that worked so long since it rested: half as long, and no longer than
 * BACKGROUND_REST_NS_MAX, also when it did much without coming by, since others may wait for it. */
static inline long background_rest_ns(uint64_t worked_ns)
{
    uint64_t rest_ns = worked_ns / BACKGROUND_WORK_NS * BACKGROUND_REST_NS;
    return rest_ns < BACKGROUND_REST_NS_MAX ? (long)rest_ns : BACKGROUND_REST_NS_MAX;
}

/* Between pieces of long work, of a millisecond or less each: from time to time the thread sleeps,
 * so that it takes at most two thirds of a core.  Where all cores are busy, low priority is not
 * enough: a group of processes with a limit (a container's quota, a virtual machine) is stopped as
 * a whole for the rest of a period when it has used it up, and those that serve with it.  Does
 * nothing on a thread that has not begun to be a background one. */
void background_rest(void);

#endif
