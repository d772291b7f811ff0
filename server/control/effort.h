/* SPDX-License-Identifier: Apache-2.0 */
/* effort - holds the 99th percentile of decisions at a target by doing less for each.
 *
 * A worker counts how many of its decisions took longer than the target, from arrival to the packed
 * reply, in windows of EFFORT_DECISIONS (or of a second, when there are fewer).  More than one in a
 * hundred: the effort falls by a tenth, down to a tenth of all.  Fewer than half of that: it rises
 * by a fiftieth; and twofold when so few took even half of the target, since the double of the work
 * takes at most the double of the time.  A second without decisions counts as such a window.  The
 * pipeline scales with it how many items of the history speak and how many
 * candidates the ranker sees, and explains nothing below one half; an answer that got less than the
 * policy says is `reduced`.
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
