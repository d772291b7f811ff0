/* SPDX-License-Identifier: Apache-2.0 */
/* shadow_internal - what shadow.c (the thread) and shadow_put.c (the hot path) share. */
#ifndef SERVER_CONTROL_SHADOW_INTERNAL_H
#define SERVER_CONTROL_SHADOW_INTERNAL_H

#include <pthread.h>

#include "server/control/shadow.h"
#include "server/decide/ring.h"
#include "server/decide/shadow_compare.h"

#define SHADOW_NO_SLOT   UINT32_MAX
#define SHADOW_SHOWN_MAX (REQUEST_SLOTS_MAX * REQUEST_N_MAX)

/* A record of the ring: this, the items (struct shadow_item), what stood on the page before (item
 * numbers), the request. */
struct shadow_record {
    uint64_t epoch;  /* of the shadows' snapshot */
    uint32_t trials; /* bits: which of its shadows sample the decision */
    uint32_t item_count;
    uint32_t slot; /* of the page; SHADOW_NO_SLOT: the request is none */
    uint32_t shown_count;
    uint32_t request_bytes;
    uint32_t spared_permille;
    uint64_t took_ns;
    int64_t wall_ms;
};

#define SHADOW_RECORD_BYTES_MAX                                                     \
    (sizeof(struct shadow_record) + SHADOW_ITEMS_MAX * sizeof(struct shadow_item) + \
     SHADOW_SHOWN_MAX * sizeof(uint32_t) + SHADOW_REQUEST_BYTES_MAX)

/* Of one shadow; the labels say of which. */
struct shadow_sums {
    char name[MODEL_NAME_BYTES];
    char shadow_label[2 * MODEL_NAME_BYTES], stable_label[2 * MODEL_NAME_BYTES];
    uint64_t compared;
    double overlap_sum, correlation_sum, drift_sum, drift_max;
    uint64_t correlation_count, drift_count;
    struct hist served, shadow; /* durations */
};

struct shadow {
    struct serving serving; /* the shadows' snapshot; NULL: none */
    /* By place in it; written by workers: relaxed, numbers by themselves. */
    _Atomic uint64_t dropped[SNAPSHOT_TRIALS_MAX];
    const struct store *store;
    const struct clock *clock;
    struct metric_slot *slot; /* of the daemon's metrics, the thread's */

    /* The thread's own. */
    struct metrics *own_metrics; /* what decide() counts here is thrown away */
    struct workers *workers;     /* one */
    struct worker *worker;
    uint8_t *record;           /* owned, SHADOW_RECORD_BYTES_MAX */
    struct shadow_sums *spare; /* owned; the loader's, within `lock` */

    pthread_mutex_t lock; /* guards `stopping` and the sums */
    pthread_cond_t changed;
    bool started, stopping;
    uint32_t sums_count;
    struct shadow_sums sums[SNAPSHOT_TRIALS_MAX]; /* by place in the snapshot */
    pthread_t thread;

    uint32_t ring_count;
    struct ring ring[]; /* by worker */
};

#endif
