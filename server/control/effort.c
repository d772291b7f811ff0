/* SPDX-License-Identifier: Apache-2.0 */
#include "server/control/effort.h"

#define WINDOW_NS UINT64_C(1000000000)

enum { LATE_SHARE = 100, RISE = EFFORT_FULL / 50 };

static void judge(struct effort *effort)
{
    uint32_t permille = effort_permille(effort);
    if (effort->late_count * LATE_SHARE > effort->count)
        permille -= permille / 10;
    else if (effort->late_count * LATE_SHARE * 2 < effort->count)
        permille += RISE;
    permille = permille < EFFORT_LEAST ? EFFORT_LEAST : permille;
    permille = permille > EFFORT_FULL ? EFFORT_FULL : permille;
    effort->spared_permille = EFFORT_FULL - permille;
}

void effort_note(struct effort *effort, uint64_t target_ns, uint64_t now_ns, uint64_t took_ns)
{
    if (target_ns == 0)
        return;
    effort->count++;
    effort->late_count += took_ns > target_ns;
    if (effort->count < EFFORT_DECISIONS && now_ns - effort->window_began_ns < WINDOW_NS)
        return;
    judge(effort);
    effort->count = effort->late_count = 0;
    effort->window_began_ns = now_ns;
}
