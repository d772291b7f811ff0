/* SPDX-License-Identifier: Apache-2.0 */
/* erasure_internal - erasure.c has the thread and what it waits for, erasure_steps.c what it does.
 * Threads: the thread of erasure, but for what the lock guards. */
#ifndef SERVER_CONTROL_ERASURE_INTERNAL_H
#define SERVER_CONTROL_ERASURE_INTERNAL_H

#include <pthread.h>

#include "base/file.h"
#include "server/control/erasure.h"

struct erasure {
    char data_dir[FILE_PATH_BYTES], receipts_dir[FILE_PATH_BYTES];
    uint64_t delay_ms;
    const struct clock *clock;
    struct erasure_parts with;
    pthread_t thread;

    /* The thread's own: the round that is under way, also over failures. */
    struct erasure_round round;
    enum erasure_stage next; /* the step that comes next; ERASURE_IDLE: no round has begun */

    pthread_mutex_t lock; /* guards all below */
    pthread_cond_t changed;
    bool started, stopping, woken, held;
    bool is_swapping; /* a file is just being replaced */
    struct erasure_status status;
};

/* ---- erasure.c */
bool erasure_wait_ms(struct erasure *erasure, uint64_t ms); /* false when the thread is to end */
/* Between two steps.  ERR_BUSY: the round ends here, for this time. */
MUST_CHECK enum err_code erasure_may_go_on(struct erasure *erasure, struct err *err);
MUST_CHECK enum err_code erasure_begin_swap(struct erasure *erasure, struct err *err);
void erasure_end_swap(struct erasure *erasure);
void erasure_enter(struct erasure *erasure, enum erasure_stage stage);

/* ---- erasure_steps.c: from the step that comes next to the last one. */
MUST_CHECK enum err_code erasure_run_round(struct erasure *erasure, struct err *err);

#endif
