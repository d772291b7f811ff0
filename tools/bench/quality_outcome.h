/* SPDX-License-Identifier: Apache-2.0 */
/* quality_outcome - what a person did with the items of a list, as an event that names the decision
 * (NDJSON, as `decidectl import events` reads it), so that replayed decisions can be learned from.
 * Threads: the caller holds quality->lock. */
#ifndef TOOLS_BENCH_QUALITY_OUTCOME_H
#define TOOLS_BENCH_QUALITY_OUTCOME_H

#include "tools/bench/quality.h"

/* Whether there was anything to write. */
bool quality_write_outcome(struct quality *quality, const struct remote_answer *answer);

#endif
