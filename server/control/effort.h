/* SPDX-License-Identifier: Apache-2.0 */
/* effort - holds the 99th percentile of decisions at a target by doing less for each.
 *
 * A worker counts how many of its decisions took longer than the target, from arrival to the packed
 * reply, in windows of EFFORT_DECISIONS (or of a second, if there are fewer).  If more than one in
 * a hundred did, the effort falls by a tenth, down to a tenth of the full effort.  If fewer than
 * half of that did, it rises by a fiftieth; and it doubles if that few took even half of the
 * target, since twice the work takes at most twice the time.  A second without decisions counts as
 * the latter.  The pipeline scales the number of history items and of ranked candidates by it, and
 * explains nothing below one half; an answer with less than the policy's work is `reduced`.
 *
 * Threads: each worker has its own. */
#ifndef SERVER_CONTROL_EFFORT_H
#define SERVER_CONTROL_EFFORT_H

#include <stdint.h>

#include "server/decide/worker.h"

#define EFFORT_DECISIONS 200
#define EFFORT_FULL      1000 /* per mille */
#define EFFORT_LEAST     100

/* Before a decision: what there was no time for while nobody asked comes back. */
void effort_rest(struct effort *effort, uint64_t now_ns);
/* A decision ended that took so long.  target_ns 0: the effort is full. */
void effort_note(struct effort *effort, uint64_t target_ns, uint64_t now_ns, uint64_t took_ns);

static inline uint32_t effort_permille(const struct effort *effort)
{
    return EFFORT_FULL - effort->spared_permille;
}

#endif
