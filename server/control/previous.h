/* SPDX-License-Identifier: Apache-2.0 */
/* previous - selects the versions that stay loaded after they stopped serving, so that a rollback
 * needs no file.
 *
 * A pure function of its inputs.  A version that alone exceeds the budget is evicted.  Of the
 * others, those that are not the next rollback target go first, and among equals those that served
 * longest ago, until the rest fits.  Nothing is evicted to make room for a version that is itself
 * evicted.
 *
 * Threads: any.  Limits: PREVIOUS_MAX versions stay, whatever they weigh. */
#ifndef SERVER_CONTROL_PREVIOUS_H
#define SERVER_CONTROL_PREVIOUS_H

#include <stdbool.h>
#include <stdint.h>

#define PREVIOUS_MAX 128

struct previous {
    uint64_t bytes;  /* memory that it holds */
    uint64_t served; /* grows with the time at which it served last; 0: not since the start */
    bool is_next;    /* a rollback of its name serves it */
    uint32_t tag;    /* the caller's */
    bool stays;      /* the answer */
};

/* Sets `stays` of each and puts the list into the order of who goes last; the sum of those that
 * stay is at most `bytes_max`.  With 0 none stays. */
void previous_choose(struct previous *list, uint32_t count, uint64_t bytes_max);

#endif
