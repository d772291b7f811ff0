/* SPDX-License-Identifier: Apache-2.0 */
/* decision_log_internal - shared by decision_log.c (the thread) and decision_log_put.c (the hot
 * path). */
#ifndef SERVER_CONTROL_DECISION_LOG_INTERNAL_H
#define SERVER_CONTROL_DECISION_LOG_INTERNAL_H

#include <pthread.h>
#include <stdatomic.h>

#include "server/control/decision_log.h"
#include "server/decide/ring.h"

struct decision_log {
    struct event_log *disk;
    const struct clock *clock;
    uint32_t percent;

    /* The thread's own. */
    uint8_t *record;            /* owned, DECISION_RECORD_BYTES_MAX */
    uint64_t gathered_since_ns; /* when the first of them came; 0: none */
    uint64_t retry_ns, prune_ns;
    bool failing;

    _Atomic uint64_t dropped; /* relaxed: a number by itself */

    pthread_mutex_t lock; /* guards `stopping`, `ask` and `status`, but for `dropped` in it */
    struct decision_log_status status;
    pthread_cond_t changed, answered;
    bool started, stopping;
    struct decision_ask *ask; /* on the stack of who waits for it; NULL: none */
    pthread_t thread;

    uint32_t ring_count;
    struct ring ring[]; /* by worker */
};

#endif
