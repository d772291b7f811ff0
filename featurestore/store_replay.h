/* SPDX-License-Identifier: Apache-2.0 */
/* store_replay - reads, checks and decodes records of the log, in groups.
 *
 * After replay_start a separate thread works ahead of the thread that applies them; without it, or
 * if the thread cannot be started, the work happens inside replay_next.
 *
 *     replay_create -> [replay_start] -> replay_next, ... -> replay_destroy
 *
 * A group is valid until the next call.  Records and their content are copies, so that the read
 * transaction does not pin old pages of the log for long.
 * Threads: all calls from one thread; the reading thread touches only the log, not the store.
 * Limits: STORE_FETCH_MAX records per group, about 0.3 MB each, and REPLAY_GROUPS groups. */
#ifndef FEATURESTORE_STORE_REPLAY_H
#define FEATURESTORE_STORE_REPLAY_H

#include "featurestore/event_log.h"
#include "featurestore/store_apply.h"
#include "featurestore/store_internal.h"

enum { REPLAY_GROUPS = 8 };

struct replay_group {
    uint32_t count;
    struct event_record record[STORE_FETCH_MAX];
    struct event event[STORE_FETCH_MAX];
    struct arena arena; /* of the events */
    uint8_t *bytes;     /* owned: what the records hold */
    uint32_t bytes_used;
    enum err_code rc; /* after its records: ERR_NOT_FOUND at the end of the log */
    struct err err;
};

struct replay;

/* Of the records from `from_sequence` on.  ERR_NOMEM. */
MUST_CHECK enum err_code replay_create(struct event_log *log, uint64_t from_sequence,
                                       struct replay **ret_replay, struct err *err);
void replay_destroy(struct replay **replay); /* stops the thread; NULL is fine */

void replay_start(struct replay *replay);
/* After one whose `rc` is not ERR_OK there is no other. */
const struct replay_group *replay_next(struct replay *replay);

#endif
