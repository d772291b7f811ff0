/* SPDX-License-Identifier: Apache-2.0 */
/* replay_show - what a replay came to, for people and as JSON.  Threads: one. */
#ifndef TOOLS_CTL_REPLAY_SHOW_H
#define TOOLS_CTL_REPLAY_SHOW_H

#include "tools/ctl/replay.h"

struct replay_counts {
    uint64_t equal, differing, unranked, refused;
};

/* `other` NULL: nothing to compare with. */
void replay_show_one(const struct decision_record *decision, const struct model *model,
                     const struct replay *replay, const struct model *other,
                     const struct replay *with, bool json);
void replay_show_counts(const struct replay_counts *counts, bool json);

#endif
