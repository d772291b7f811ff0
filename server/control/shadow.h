/* SPDX-License-Identifier: Apache-2.0 */
/* shadow - versions that are asked what they would have answered, and never answer.
 *
 * A worker copies the request and the answer of a sampled decision into a ring of its own; one
 * thread (base/background.h) makes each decision again, a few milliseconds later and off the hot
 * path, with the shadow version in the place of the stable one, in memory of its own, and compares.
 * Neither side waits: what finds no room is dropped and counted.  Nothing of it is served, logged
 * or counted as a decision.
 *
 * Sampled are full answers in which the stable version took part and no canary did: what mode,
 * overload or a deadline left out would look like a difference of the versions.  A slot of a page
 * is a decision like others; it is made again below what stood on the page that was served.
 *
 * Threads: create, start, stop and destroy on main; shadow_publish on the loader; shadow_put on any
 * serving thread with its own worker; shadow_stats on any.
 * Limits: SNAPSHOT_TRIALS_MAX names; SHADOW_REQUEST_BYTES_MAX a request. */
#ifndef SERVER_CONTROL_SHADOW_H
#define SERVER_CONTROL_SHADOW_H

#include "base/clock.h"
#include "base/err.h"
#include "base/hist.h"
#include "server/decide/decide.h"
#include "server/decide/page.h"
#include "server/protocol/call.h"

#define SHADOW_RING_BYTES        (UINT64_C(1) << 20) /* for each worker */
#define SHADOW_REQUEST_BYTES_MAX 65536

struct shadow;

struct shadow_options {
    const struct store *store; /* borrowed */
    struct metrics *metrics;   /* borrowed */
    const struct clock *clock;
    uint32_t worker_count;
};

/* What was seen of one name since its shadow, or its stable version, is what it is. */
struct shadow_stats {
    uint64_t compared;
    uint64_t dropped; /* no room, too long, or answered by another snapshot meanwhile */
    double overlap;   /* mean share of the items that are in both answers */
    double
        rank_correlation; /* mean of Spearman's over the items in both; NaN before there is one */
    double score_drift;   /* mean absolute difference of an item's score */
    double score_drift_max;
    uint64_t served_p50_ns, served_p99_ns; /* of decide() where it was served */
    uint64_t shadow_p50_ns, shadow_p99_ns; /* ... and here, at low priority */
};

MUST_CHECK enum err_code shadow_create(const struct shadow_options *options,
                                       struct shadow **ret_shadow, struct err *err);
MUST_CHECK enum err_code shadow_start(struct shadow *shadow, struct err *err);
void shadow_stop(struct shadow *shadow);
/* No snapshot is published any more: shadow_publish(shadow, NULL) was the last. */
void shadow_destroy(struct shadow **shadow);

/* `snapshot`: one worker's scratch, its trials are the shadows and their share that of the
 * decisions; NULL: there are none.  Returns the one before, which the caller destroys after
 * rcu_wait. */
struct snapshot *shadow_publish(struct shadow *shadow, struct snapshot *snapshot);
/* False when the name has no shadow. */
bool shadow_stats(struct shadow *shadow, const char *name, struct shadow_stats *ret_stats);

/* ---- hot path (shadow_put.c) */

struct shadow_served {
    const struct call *call;
    const struct decision *decision;
    uint64_t took_ns;             /* of decide() */
    const struct page_slot *slot; /* NULL: the call is no page */
};

/* Hands the decision over, or counts that it could not; inside rcu_read_begin/end.  `shadow` may be
 * NULL.  Takes what it needs from the worker's arena and gives it back. */
void shadow_put(struct shadow *shadow, struct worker *worker, const struct decide_env *env,
                const struct shadow_served *served);

#endif
