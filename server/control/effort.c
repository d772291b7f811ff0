/* SPDX-License-Identifier: Apache-2.0 */
#include "server/control/effort.h"

#include <stdbool.h>

#define WINDOW_NS UINT64_C(1000000000)

enum { LATE_SHARE = 100, RISE = EFFORT_FULL / 50 };

static void set(struct effort *effort, uint32_t permille)
{
    permille = permille < EFFORT_LEAST ? EFFORT_LEAST : permille;
    permille = permille > EFFORT_FULL ? EFFORT_FULL : permille;
    effort->spared_permille = EFFORT_FULL - permille;
}

static bool are_few(const struct effort *effort, uint32_t count)
{
    return count * LATE_SHARE * 2 < effort->count;
}

static void judge(struct effort *effort)
{
    uint32_t permille = effort_permille(effort);
    if (effort->late_count * LATE_SHARE > effort->count)
        set(effort, permille - permille / 10);
    else if (are_few(effort, effort->near_count))
        set(effort, 2 * permille);
    else if (are_few(effort, effort->late_count))
        set(effort, permille + RISE);
}

static void begin_window(struct effort *effort, uint64_t now_ns)
{
    effort->count = effort->late_count = effort->near_count = 0;
    effort->window_began_ns = now_ns;
}

void effort_rest(struct effort *effort, uint64_t now_ns)
{
    uint64_t windows = (now_ns - effort->window_began_ns) / WINDOW_NS;
    if (effort->spared_permille == 0 || windows < 2)
        return;
    for (; windows >= 2 && effort->spared_permille > 0; windows--)
        set(effort, 2 * effort_permille(effort));
    begin_window(effort, now_ns);
}

void effort_note(struct effort *effort, uint64_t target_ns, uint64_t now_ns, uint64_t took_ns)
{
    if (target_ns == 0)
        return;
    effort->count++;
    effort->late_count += took_ns > target_ns;
    effort->near_count += took_ns > target_ns / 2;
    if (effort->count < EFFORT_DECISIONS && now_ns - effort->window_began_ns < WINDOW_NS)
        return;
    judge(effort);
    begin_window(effort, now_ns);
}
